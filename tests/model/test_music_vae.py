"""The whole model: its loss, its figures, its gradients, its size, and that it learns."""

import resource

import keras
import numpy as np
import pytest
import tensorflow as tf

from magenta_vae.model import decoders, losses, schedules
from magenta_vae.model.encoders import BidirectionalLSTM
from magenta_vae.model.music_vae import MusicVAE
from magenta_vae.model.noise import LATENT, BatchNoise

SEED = tf.constant([3, 4], tf.int64)
STEP = tf.constant(50_000, tf.int64)
BETA = schedules.ExponentialDecay(0.0, 0.2, 0.99999)
HALF = schedules.Constant(0.5)
BATCH, STEPS, Z = 4, 6, 3
NAMES = {1: ("melody",), 3: ("lead", "bass", "drums")}
TRACKS = [(7,), (130, 130, 512)]


def make_vae(
    num_classes=(7,), sampling=HALF, steps=STEPS, units=5, z_size=Z, layers=2, free_bits=0, seed=1
):
    keras.utils.set_random_seed(seed)
    return MusicVAE(
        BidirectionalLSTM(num_classes, units, z_size),
        decoders.FlatDecoder(num_classes, steps, z_size, units, layers),
        NAMES[len(num_classes)],
        free_bits,
        BETA,
        sampling,
    )


def make_tokens(num_classes=(7,), batch=BATCH):
    rng = np.random.default_rng(0)
    columns = [rng.integers(classes, size=(batch, STEPS)) for classes in num_classes]
    return tf.constant(np.stack(columns, axis=-1), tf.int32)


@pytest.mark.parametrize("sampling", [None, HALF], ids=["forced", "scheduled"])
def test_loss_is_cross_entropy_and_weighed_kl_above_the_free_bits(sampling):
    tokens = make_tokens()
    mu, sigma = make_vae().encode(tokens)
    kl = 0.5 * np.sum(sigma**2 + mu**2 - 1 - 2 * np.log(sigma), axis=-1)
    free_nats = np.median(kl)  # so that both sides of the free bits are tried
    vae = make_vae(sampling=sampling, free_bits=free_nats / np.log(2))
    metrics = vae.training_terms(tokens, STEP, SEED)

    noise = BatchNoise(SEED, BATCH)
    z = mu + sigma * noise.normal(LATENT, Z)
    logits = (
        vae.decoder.predict_scheduled(z, tokens, 0.5, noise) if sampling else vae.decode(z, tokens)
    )[0].numpy()
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    truth = np.take_along_axis(probabilities, tokens.numpy(), axis=-1)
    reconstruction = -np.log(truth).sum(axis=(1, 2))
    cost = 0.0786942 * np.maximum(kl - free_nats, 0)  # beta: 0.2 (1 - 0.99999^50000)
    assert cost.max() > 1e-3

    assert set(metrics) == {
        *("loss", "reconstruction", "kl", "accuracy/melody", "beta", "sampling_probability")
    }
    np.testing.assert_allclose(metrics["reconstruction"], reconstruction, rtol=1e-5)
    np.testing.assert_allclose(metrics["kl"], kl, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(metrics["beta"], 0.0786942, rtol=1e-5)
    np.testing.assert_allclose(metrics["loss"] - metrics["reconstruction"], cost, atol=2e-6)
    accuracy = (logits.argmax(axis=-1) == tokens[..., 0].numpy()).mean(axis=1)
    np.testing.assert_allclose(metrics["accuracy/melody"], accuracy)
    assert metrics["sampling_probability"] == (0.5 if sampling else 0.0)


@pytest.mark.parametrize("num_classes", TRACKS)
def test_the_loss_is_shaped_by_examples_and_rows_are_replicas(num_classes):
    vae, tokens = make_vae(num_classes), make_tokens(num_classes)
    whole = vae.training_terms(tokens, STEP, SEED)
    first = vae.training_terms(tokens[:1], STEP, SEED, BATCH, 0)
    rest = vae.training_terms(tokens[1:], STEP, SEED, BATCH, tf.constant(1))
    for name in set(whole) - {"beta", "sampling_probability"}:
        assert whole[name].shape == (BATCH,)
        parts = np.concatenate([first[name], rest[name]])
        np.testing.assert_allclose(parts, whole[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("num_classes", TRACKS)
def test_figures_are_accuracies_of_each_track_and_the_teacher_forced_loss(num_classes):
    vae, tokens = make_vae(num_classes), make_tokens(num_classes)
    figures = vae.held_out_terms(tokens, STEP, SEED)
    names = [f"accuracy/{name}" for name in vae.track_names]
    per_track = ("next", "reconstructed", "greedy")
    assert set(figures) == {"loss", "reconstruction", "kl", *names, *per_track}
    for name in per_track:
        assert figures[name].shape == (BATCH, len(num_classes))
        assert 0 <= np.min(figures[name]) <= np.max(figures[name]) <= 1
    np.testing.assert_array_equal(
        figures["next"], np.stack([figures[name] for name in names], axis=-1)
    )
    mu, sigma = vae.encode(tokens)
    z = vae.draw_z(mu, sigma, BatchNoise(SEED, BATCH))
    greedy = vae.sample(z)
    np.testing.assert_array_equal(figures["greedy"], losses.accuracies(greedy, tokens))
    cost = losses.cross_entropy(vae.decode(z, tokens), tokens)
    np.testing.assert_allclose(figures["reconstruction"], cost, rtol=1e-6)


@pytest.mark.parametrize(
    ("num_classes", "sampling"), [(TRACKS[0], None), (TRACKS[0], HALF), (TRACKS[1], HALF)]
)
def test_every_variable_gets_a_gradient_and_graph_equals_eager(num_classes, sampling):
    vae, tokens = make_vae(num_classes, sampling, units=3, layers=1), make_tokens(num_classes)

    def differentiate(tokens, step, seed):
        with tf.GradientTape() as tape:
            metrics = vae.training_terms(tokens, step, seed)
            loss = tf.reduce_mean(metrics["loss"])
        return metrics, tape.gradient(loss, [v.value for v in vae.trainable_variables])

    graph = tf.function(
        differentiate,
        input_signature=[
            tf.TensorSpec([None, STEPS, len(num_classes)], tf.int32),
            tf.TensorSpec([], tf.int64),
            tf.TensorSpec([2], tf.int64),
        ],
    )
    metrics, gradients = graph(tokens, STEP, SEED)
    eager_metrics, eager_gradients = differentiate(tokens, STEP, SEED)
    for name, value in metrics.items():
        np.testing.assert_allclose(value, eager_metrics[name], rtol=1e-5, err_msg=name)
    for variable, mine, theirs in zip(
        vae.trainable_variables, gradients, eager_gradients, strict=True
    ):
        assert mine is not None, variable.path
        assert np.abs(mine).max() > 1e-6, variable.path
        np.testing.assert_allclose(mine, theirs, atol=1e-5, err_msg=variable.path)
    for batch in (1, 3):
        metrics, _ = graph(tokens[:batch], STEP, SEED)
        assert metrics["loss"].shape == (batch,)


def test_calling_the_model_decodes_the_posteriors_mean():
    vae, tokens = make_vae(), make_tokens()
    mu, _ = vae.encode(tokens)
    np.testing.assert_array_equal(vae(tokens)[0], vae.decode(mu, tokens)[0])
    assert vae.z_size == Z


def test_it_learns_four_melodies_by_heart():
    melodies = ["01234567", "01201201", "07654321", "00000000"]  # the first note says nothing
    tokens = tf.constant([[[int(note)] for note in melody] for melody in melodies])
    schedule = schedules.InverseSigmoid(50)
    vae = make_vae((8,), schedule, steps=8, units=24, z_size=4, layers=1, free_bits=48)
    optimizer = keras.optimizers.Adam(1e-2)
    optimizer.build(vae.trainable_variables)

    @tf.function
    def train(num_steps):
        for _ in tf.range(num_steps):
            step = tf.cast(optimizer.iterations, tf.int64)
            with tf.GradientTape() as tape:
                metrics = vae.training_terms(
                    tokens, step, tf.stack([tf.constant(1, tf.int64), step])
                )
                loss = tf.reduce_mean(metrics["loss"])
            optimizer.apply(tape.gradient(loss, vae.trainable_variables))

    train(tf.constant(300))
    figures = vae.held_out_terms(tokens, optimizer.iterations.value, SEED)
    for name in ("next", "reconstructed", "greedy"):
        np.testing.assert_array_equal(figures[name], np.ones((4, 1)), err_msg=name)
    mu, _ = vae.encode(tokens)
    np.testing.assert_array_equal(vae.sample(mu), tokens)


@pytest.mark.parametrize(("classes", "total"), [(130, 128_295_554), (512, 138_466_304)])
def test_parameters_at_full_size(classes, total):
    """Counts the weights of the 2-bar models, melody (130) and drums (512), unallocated."""

    def lstm(inputs, units):  # four gates; a row for each input and state, and a bias
        return 4 * units * (inputs + units + 1)

    def linear(inputs, outputs):
        return (inputs + 1) * outputs

    counts = [  # paper, 2-bar Melody and Drum Architectures
        # "a single-layer bidirectional LSTM, with 2048 units per cell"
        2 * lstm(classes, 2048),
        # "the final output in each direction is concatenated and passed through a linear layer to
        # produce 512 outputs", of 256 mu and 256 sigma_pre: 2.1, "a N_256(0, I) prior"
        linear(2 * 2048, 512),
        # "the z is passed through a linear layer to initialize the state": 3 hidden and 3 cells
        linear(256, 2 * 3 * 2048),
        # "of a 3-layer LSTM with 2048 units per layer"; "the z is concatenated with the previous
        # output as the input at each time step"
        lstm(classes + 256, 2048) + 2 * lstm(2048, 2048),
        # "a linear layer and softmax to create a distribution over the 130/512 classes"
        linear(2048, classes),
    ]
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    with tf.Graph().as_default():
        vae = make_vae((classes,), steps=32, units=2048, z_size=256, layers=3)
        assert vae.count_params() == sum(counts) == total
    # In float32 the weights would take half a gigabyte.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - megabytes < 100


def test_checkpoint_round_trip(tmp_path):
    vae, other, tokens = make_vae(), make_vae(seed=2), make_tokens()
    expected = vae.training_terms(tokens, STEP, SEED)["loss"]
    assert np.abs(other.training_terms(tokens, STEP, SEED)["loss"] - expected).max() > 1e-3
    path = tf.train.Checkpoint(model=vae).save(str(tmp_path / "step"))
    tf.train.Checkpoint(model=other).restore(path).assert_consumed()
    # Keras 3 lets a checkpoint miss what a layer holds in a list, and `assert_consumed` with it.
    for variable, original in zip(other.variables, vae.variables, strict=True):
        np.testing.assert_array_equal(variable, original, err_msg=variable.path)
    np.testing.assert_array_equal(other.training_terms(tokens, STEP, SEED)["loss"], expected)


def test_weights_have_names_of_their_own():
    paths = [variable.path for variable in make_vae(TRACKS[1], layers=3).variables]
    assert len(set(paths)) == len(paths)
    assert {path.split("/")[0] for path in paths} == {"encoder", "decoder"}
