"""Every layer does what Keras promises of a layer, and every schedule and model likewise.

A class of `model/` that is no case here fails the first test.
"""

import importlib
import inspect
import json
import pkgutil
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from magenta_vae import configuration
from magenta_vae import model as package
from magenta_vae.model import (
    autoregressor,
    decoders,
    encoders,
    lstm,
    lstm_stack,
    music_vae,
    schedules,
)
from magenta_vae.model.autoregressor import Autoregressor
from magenta_vae.model.noise import BatchNoise
from magenta_vae.model.schedules import Constant, ExponentialDecay, InverseSigmoid

CLASSES, STEPS, UNITS, Z = (5, 4), 8, 3, 6
TOKENS, POINTS, INPUTS = (STEPS, 2), (Z,), (STEPS, 7)
FEATURES = [np.eye(5)[:, :3], np.eye(4)]
MAGENTA = importlib.import_module("magenta_vae.magenta.encoder")
LEVELS = importlib.import_module("magenta_vae.magenta.hierarchical_encoder")


def conductor(**kwargs):
    return decoders.Conductor(Z, 2, None, UNITS, 2, **kwargs)


def hierarchical(**kwargs):
    lower = conductor(**kwargs)
    return decoders.HierarchicalDecoder(CLASSES, STEPS, lower, UNITS, 2, **kwargs)


# name -> (how it is made, the shapes of what a call is given of an example).
LAYERS = {
    "LSTMLayer": (lambda **k: lstm.LSTMLayer(7, UNITS, **k), [INPUTS]),
    "LSTMStack": (lambda **k: lstm_stack.LSTMStack(CLASSES, UNITS, 2, Z, **k), [TOKENS, POINTS]),
    "LSTMStack/recompute": (
        lambda **k: lstm_stack.LSTMStack(CLASSES, UNITS, 2, Z, recompute=True, **k),
        [TOKENS, POINTS],
    ),
    "LSTMStack/features": (
        lambda **k: lstm_stack.LSTMStack(CLASSES, UNITS, features=FEATURES, **k),
        [TOKENS],
    ),
    "Autoregressor": (lambda **k: Autoregressor(CLASSES, Z, UNITS, 2, **k), [TOKENS, POINTS]),
    "BidirectionalLSTM": (lambda **k: encoders.BidirectionalLSTM(CLASSES, UNITS, Z, **k), [TOKENS]),
    "NoEncoder": (encoders.NoEncoder, [TOKENS]),
    "StackedBidirectionalLSTM": (
        lambda **k: MAGENTA.StackedBidirectionalLSTM(CLASSES, UNITS, 2, Z, FEATURES, **k),
        [TOKENS],
    ),
    "HierarchicalBidirectionalLSTM": (
        lambda **k: LEVELS.HierarchicalBidirectionalLSTM(CLASSES, UNITS, 4, Z, FEATURES, **k),
        [TOKENS],
    ),
    "Conductor": (conductor, [POINTS]),
    "Conductor/embedding": (
        lambda **k: decoders.Conductor(Z, 2, 4, UNITS, 1, "tanh", **k),
        [POINTS],
    ),
    "FlatDecoder": (
        lambda **k: decoders.FlatDecoder(CLASSES, STEPS, Z, UNITS, 2, **k),
        [POINTS, TOKENS],
    ),
    "HierarchicalDecoder": (hierarchical, [POINTS, TOKENS]),
}
SCHEDULES = {
    "Constant": lambda **k: Constant(0.3, **k),
    "ExponentialDecay": lambda **k: ExponentialDecay(1e-3, 1e-5, 0.99, **k),
    "InverseSigmoid": lambda **k: InverseSigmoid(9, **k),
}
VAES = ["mel_2bar", "drums_2bar", "hierdec_mel_32bar", "hierdec_trio_16bar"]
ABSTRACT = {"Schedule"}


@pytest.fixture(params=LAYERS)
def case(request):
    make, shapes = LAYERS[request.param]
    keras.utils.set_random_seed(1)
    return make, shapes


def draw(shapes, batch_size=3, seed=0):
    """Returns what a layer is called with: tokens for shapes of steps by tracks, else numbers."""
    rng = np.random.default_rng(seed)

    def one(shape):
        if shape == TOKENS:
            columns = [rng.integers(size, size=(batch_size, STEPS)) for size in CLASSES]
            return tf.constant(np.stack(columns, axis=-1), tf.int32)
        return tf.constant(rng.normal(size=(batch_size, *shape)), tf.float32)

    return [one(shape) for shape in shapes]


def functional(layer, shapes):
    """Returns a Keras model of one layer."""
    inputs = [
        keras.Input(shape, dtype="int32" if shape == TOKENS else "float32", name=f"input_{n}")
        for n, shape in enumerate(shapes)
    ]
    return keras.Model(inputs, layer(*inputs))


def tiny_vae(name):
    """Returns an untrained model of a configuration, and some windows of random tokens."""
    keras.utils.set_random_seed(0)
    experiment = configuration.parse([f"{name}.gin", "scale/tiny.gin"]).experiment
    vae, rng = experiment.make_model(), np.random.default_rng(0)
    sizes = [track.num_classes for track in experiment.settings.tracks]
    columns = [rng.integers(size, size=(5, vae.decoder.num_steps)) for size in sizes]
    return vae, tf.constant(np.stack(columns, axis=-1), tf.int32)


def assert_equal(found, expected, **tolerance):
    found, expected = tf.nest.flatten(found), tf.nest.flatten(expected)
    assert len(found) == len(expected) > 0
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, **{"rtol": 1e-6, "atol": 1e-6, **tolerance})


def classes_of_the_package():
    """Returns the layers, models and schedules that the modules of `model/` define, by name."""
    bases = keras.layers.Layer, keras.optimizers.schedules.LearningRateSchedule
    modules = [
        importlib.import_module(f"{package.__name__}.{info.name}")
        for info in pkgutil.iter_modules(package.__path__)
    ]
    return {
        name: one
        for module in [*modules, MAGENTA, LEVELS]
        for name, one in inspect.getmembers(module, inspect.isclass)
        if issubclass(one, bases) and one.__module__ == module.__name__
    }


def test_every_class_is_a_case():
    cases = {name.split("/")[0] for name in [*LAYERS, *SCHEDULES]} | ABSTRACT
    assert set(classes_of_the_package()) == cases | {"MusicVAE", "UpperLevelsVAE"}


@pytest.mark.parametrize("name", sorted(set(classes_of_the_package()) - ABSTRACT))
def test_keras_knows_the_class_by_name(name):
    found = classes_of_the_package()[name]
    assert keras.saving.get_registered_object(f"magenta_vae>{name}") is found


def test_a_layer_takes_the_options_of_keras(case):
    make, shapes = case
    layer = make(name="mine", dtype="mixed_bfloat16", trainable=False)
    assert layer.name == "mine" and layer.dtype_policy.name == "mixed_bfloat16"
    assert layer.built and not layer.trainable_variables
    assert {variable.dtype for variable in layer.variables} <= {"float32"}
    wide = tf.nest.flatten(make(dtype="float32")(*draw(shapes)))
    for found, expected in zip(tf.nest.flatten(layer(*draw(shapes))), wide, strict=True):
        assert found.shape == expected.shape
        assert np.isfinite(tf.cast(found, tf.float32)).all()


def test_a_layer_computes_in_the_dtype_that_it_is_given(case):
    make, shapes = case
    layer, other = make(dtype="float32"), make(dtype="mixed_bfloat16")
    other.set_weights(layer.get_weights())
    inputs = draw(shapes)
    found = [tf.cast(x, tf.float32) for x in tf.nest.flatten(other(*inputs))]
    expected = tf.nest.flatten(layer(*inputs))
    assert_equal(found, expected, atol=0.05, rtol=0.05)
    if layer.variables:
        assert any(np.abs(a - b).max() > 1e-7 for a, b in zip(found, expected, strict=True))


def test_rows_do_not_depend_on_their_batch(case):
    make, shapes = case
    layer, inputs = make(), draw(shapes, 4)
    whole = layer(*inputs)
    for rows in (slice(0, 1), slice(1, 4)):
        own = layer(*(x[rows] for x in inputs))
        assert_equal(own, tf.nest.map_structure(lambda x, rows=rows: x[rows], whole))


@pytest.mark.parametrize("training", [False, True])
def test_a_graph_of_any_batch_size_gives_what_the_layer_gives(case, training):
    make, shapes = case
    layer = make()
    specs = [tf.TensorSpec([None, *s], tf.int32 if s == TOKENS else tf.float32) for s in shapes]
    run = tf.function(lambda *x: layer(*x, training=training), specs, autograph=False)
    for batch_size in (1, 3):
        inputs = draw(shapes, batch_size)
        assert_equal(run(*inputs), layer(*inputs))


def test_every_variable_has_a_gradient(case):
    make, shapes = case
    layer, inputs = make(), draw(shapes)
    with tf.GradientTape() as tape:
        outputs = tf.nest.flatten(layer(*inputs, training=True))
        loss = tf.add_n([tf.reduce_sum(tf.sin(3 * x)) for x in outputs])
    gradients = tape.gradient(loss, layer.trainable_variables)
    for variable, gradient in zip(layer.trainable_variables, gradients, strict=True):
        assert gradient is not None, variable.path
        assert np.abs(tf.convert_to_tensor(gradient)).max() > 1e-9, variable.path


def test_a_config_makes_the_layer_again(case):
    make, shapes = case
    layer = make(name="mine")
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(layer)))
    again = keras.saving.deserialize_keras_object(config)
    assert type(again) is type(layer) and again.name == "mine"
    assert again.get_config() == layer.get_config()
    again.set_weights(layer.get_weights())
    inputs = draw(shapes)
    assert_equal(again(*inputs), layer(*inputs))


def test_a_keras_file_holds_the_layer(case, tmp_path):
    make, shapes = case
    model, inputs = functional(make(), shapes), draw(shapes)
    model.save(tmp_path / "model.keras")
    assert_equal(keras.models.load_model(tmp_path / "model.keras")(inputs), model(inputs))


def test_a_saved_model_holds_the_layer(case, tmp_path):
    make, shapes = case
    model, inputs = functional(make(), shapes), draw(shapes)
    model.export(tmp_path / "export", verbose=False)
    loaded = tf.saved_model.load(tmp_path / "export")
    served = loaded.serve(inputs)
    assert_equal(tf.nest.flatten(served), tf.nest.flatten(model(inputs)))


def test_a_checkpoint_holds_the_layer(case, tmp_path):
    make, shapes = case
    layer, other, inputs = make(), make(), draw(shapes)
    path = tf.train.Checkpoint(layer=layer).write(str(tmp_path / "checkpoint"))
    tf.train.Checkpoint(layer=other).read(path).assert_consumed()
    assert_equal(other(*inputs), layer(*inputs))


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_is_saved_and_computes_in_its_dtype(name):
    schedule = SCHEDULES[name](name="mine")
    assert schedule.name == "mine"
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(schedule)))
    again = keras.saving.deserialize_keras_object(config)
    assert again.get_config() == schedule.get_config()
    for step in (0, 7, tf.constant(50, tf.int64)):
        assert again(step) == schedule(step)
        assert schedule(step).dtype == tf.float32
        assert SCHEDULES[name](dtype="float64")(step).dtype == tf.float64


LIKE_OTHERS = {"drums_2bar", "hierdec_mel_32bar"}  # A melody and a trio have all their parts.


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[pytest.mark.slow] if n in LIKE_OTHERS else []) for n in VAES],
)
def test_a_model_is_compiled_fitted_evaluated_saved_and_loaded(name, tmp_path, capsys):
    vae, tokens = tiny_vae(name)
    data = tf.data.Dataset.from_tensor_slices(tokens).repeat(3).batch(5)
    before = [variable.numpy() for variable in vae.trainable_variables]
    vae.compile(keras.optimizers.Adam(3e-3))
    history = vae.fit(data, epochs=3, verbose=0).history
    accuracies = {f"accuracy/{track}" for track in vae.track_names}
    assert set(history) == {"loss", "reconstruction", "kl", *accuracies}
    assert history["loss"][-1] < history["loss"][0]
    for variable, old in zip(vae.trainable_variables, before, strict=True):
        assert np.abs(variable - old).max() > 0, variable.path
    figures = vae.evaluate(data, return_dict=True, verbose=0)
    assert set(figures) == set(history)
    assert figures["loss"] < history["loss"][0]

    vae.summary()
    printed = capsys.readouterr().out
    assert "Total params" in printed
    for classes in vae.decoder.get_config()["num_classes"]:
        assert f"(None, {vae.decoder.num_steps}, {classes})" in printed
    assert f"[(None, {vae.z_size}), (None, {vae.z_size})]" in printed

    vae.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert type(again) is music_vae.MusicVAE and again.get_config() == vae.get_config()
    assert_equal(again(tokens), vae(tokens))
    assert again.evaluate(data, return_dict=True, verbose=0)["loss"] == pytest.approx(
        figures["loss"], rel=1e-5
    )


def test_predict_gives_logits_of_every_window():
    vae, tokens = tiny_vae("mel_2bar")
    data = tf.data.Dataset.from_tensor_slices(tokens).batch(2)
    assert_equal(vae.predict(data, verbose=0), vae(tokens))


def test_metrics_of_an_epoch_are_means_over_its_windows():
    vae, tokens = tiny_vae("mel_2bar")
    vae.compile(keras.optimizers.Adam(0.0))
    data = tf.data.Dataset.from_tensor_slices(tokens).batch(len(tokens))
    history = vae.fit(data, epochs=2, verbose=0).history
    step = tf.constant(0, tf.int64)
    terms = vae.training_terms(tokens, step, tf.stack([step, step]))
    for name, values in history.items():
        assert values[0] == pytest.approx(float(tf.reduce_mean(terms[name])), rel=1e-5), name


def test_a_checkpoint_of_a_model_that_is_not_compiled_holds_weights_alone(tmp_path):
    vae, _ = tiny_vae("hierdec_trio_16bar")
    path = tf.train.Checkpoint(model=vae).write(str(tmp_path / "checkpoint"))
    keys = [key for key, _ in tf.train.list_variables(path) if key.startswith("model/")]
    assert len(keys) == len(vae.variables)


@pytest.mark.parametrize("option", ["num_unit", "recomputed"])
def test_an_option_that_is_none_is_refused(option):
    with pytest.raises((TypeError, ValueError), match=option):
        decoders.FlatDecoder(CLASSES, STEPS, Z, UNITS, 2, **{option: 1})
    with pytest.raises(TypeError):
        schedules.Constant(1.0, **{option: 1})


def test_a_keras_file_is_loaded_where_the_models_module_is_imported(tmp_path):
    vae, tokens = tiny_vae("mel_2bar")
    vae.save(tmp_path / "model.keras")
    np.save(tmp_path / "tokens.npy", tokens)
    program = (
        "import keras, numpy, magenta_vae.model.music_vae\n"
        "logits = keras.models.load_model('model.keras')(numpy.load('tokens.npy'))\n"
        "numpy.save('logits.npy', logits[0])"
    )
    ran = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True)
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert_equal(np.load(tmp_path / "logits.npy"), vae(tokens)[0])


def test_what_a_model_does_not_take_is_refused():
    vae, tokens = tiny_vae("mel_2bar")
    with pytest.raises(ValueError, match="a loss and metrics of its own. Received: metrics="):
        vae.compile("adam", metrics=["accuracy"])
    with pytest.raises(ValueError, match="Received: loss='mse'"):
        vae.compile("adam", loss="mse")
    vae.compile("adam")
    vae.compile("adam")
    names = [metric.name for metric in vae.metrics]
    assert names == ["loss", "reconstruction", "kl", "accuracy/melody"]
    with pytest.raises(ValueError, match="no targets and no weights"):
        vae.fit(np.int32(tokens), np.zeros(len(tokens)), verbose=0)
    with pytest.raises(TypeError, match="encoder must be a keras.layers.Layer"):
        music_vae.MusicVAE(object(), vae.decoder, ["melody"], 0, Constant(1.0))


def test_compile_takes_what_keras_takes_in_its_order():
    vae, _ = tiny_vae("mel_2bar")
    with pytest.raises(ValueError, match="Received: loss='mse'"):
        vae.compile("adam", "mse")
    with pytest.raises(TypeError, match="learning_rate"):
        vae.compile("adam", learning_rate=0.1)
    vae.compile("adam", None, None, None, None, False, 2, True)
    assert vae.steps_per_execution == 2 and vae.jit_compile is True
    vae.compile("adam")
    assert vae.jit_compile is False


def parts(**dtypes):
    """Returns the layers of a model, of the dtype policies given."""
    encoder = encoders.BidirectionalLSTM(CLASSES, UNITS, Z, dtype=dtypes.get("encoder"))
    decoder = decoders.FlatDecoder(CLASSES, STEPS, Z, UNITS, 1, dtype=dtypes.get("decoder"))
    return encoder, decoder


def made(layers, **options):
    known = {"track_names": ("a", "b"), "free_bits": 0, "beta": Constant(1.0)}
    return music_vae.MusicVAE(*layers, **{**known, **options})


def test_a_model_has_the_dtype_policy_of_its_layers():
    half = "mixed_float16"
    assert made(parts()).dtype_policy.name == "float32"
    vae = made(parts(encoder=half, decoder=half))
    assert vae.dtype_policy.name == half
    assert made(parts(encoder=half, decoder=half), dtype=half).dtype_policy.name == half
    vae.compile("adam")
    assert isinstance(vae.optimizer, keras.optimizers.LossScaleOptimizer)
    with pytest.raises(ValueError, match="dtype=mixed_float16, where the encoder has float32"):
        made(parts(), dtype=half)
    with pytest.raises(ValueError, match="dtype=float32, where the decoder has mixed_float16"):
        made(parts(decoder=half), dtype="float32")
    mixed = made(parts(decoder=half))
    again = music_vae.MusicVAE.from_config(mixed.get_config())
    assert again.encoder.dtype_policy.name == "float32" and again.dtype_policy.name == half


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("beta", 0.2),
        ("beta", None),
        ("beta", Constant),
        ("beta", lambda step: "1"),
        ("beta", lambda: 1),
        ("sampling_probability", 0.5),
        ("free_bits", "48"),
        ("free_bits", -1),
        ("track_names", "melody"),
        ("track_names", []),
    ],
)
def test_an_argument_that_is_none_of_its_kind_is_refused_where_the_model_is_made(argument, value):
    with pytest.raises(ValueError, match=f"^{argument} must be .* Received: {argument}=") as caught:
        made(parts(), **{argument: value})
    assert str(caught.value).endswith(f"{value!r}.")


def test_choices_and_noise_are_refused_where_they_are_given():
    vae = made(parts())
    z = tf.zeros([2, Z])
    for choose in (0.5, autoregressor.sampler(1.0, z).__class__):
        with pytest.raises(ValueError, match="^choose must be .* Received: choose="):
            vae.sample(z, choose)
    for noise in (3, BatchNoise):
        with pytest.raises(ValueError, match="^noise must have .* Received: noise="):
            vae.draw_z(z, z, noise)
        with pytest.raises(ValueError, match="^noise must have"):
            vae.sampler(1.0, noise)


def test_tokens_may_be_numpys_integers():
    vae, tokens = tiny_vae("mel_2bar")
    assert_equal(vae(np.int64(tokens)), vae(tokens))


def test_a_model_is_exported_for_batches_of_any_size(tmp_path):
    vae, tokens = tiny_vae("hierdec_trio_16bar")
    vae.export(tmp_path / "export", verbose=False)
    loaded = tf.saved_model.load(tmp_path / "export")
    assert_equal(loaded.serve(tokens[:2]), vae(tokens[:2]))
