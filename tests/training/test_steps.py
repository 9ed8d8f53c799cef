"""A training step's options: each takes the steps that a plain step takes, or nearly."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from magenta_vae.model import decoders, lstm_steps, schedules
from magenta_vae.model.encoders import BidirectionalLSTM
from magenta_vae.model.lstm_stack import LSTMStack
from magenta_vae.model.music_vae import MusicVAE
from magenta_vae.model.noise import TOKEN, BatchNoise
from magenta_vae.training import precision, steps

BATCH, STEPS, Z, CLASSES = 8, 8, 3, (7, 9)
CHUNK = 3  # training steps


def flat(**options):
    return decoders.FlatDecoder(CLASSES, STEPS, Z, 5, 2, **options)


def hierarchical(**options):
    conductor = decoders.Conductor(Z, 2, 4, 5, 1)
    return decoders.HierarchicalDecoder(CLASSES, STEPS, conductor, 5, 2, **options)


DECODERS = pytest.mark.parametrize("make_decoder", [flat, hierarchical])


def make_vae(make_decoder=flat, sampling_probability=0.5, **options):
    keras.utils.set_random_seed(1)
    return MusicVAE(
        BidirectionalLSTM(CLASSES, 5, Z, **options),
        make_decoder(**options),
        ("lead", "bass"),
        free_bits=0,
        beta=schedules.Constant(1.0),
        sampling_probability=sampling_probability and schedules.Constant(sampling_probability),
    )


def make_chunk():
    rng = np.random.default_rng(0)
    columns = [rng.integers(n, size=(CHUNK, BATCH, STEPS)) for n in CLASSES]
    return tf.constant(np.stack(columns, axis=-1), tf.int32)


def take_steps(vae, optimizer=None, clip_norm=1.0, **options):
    """Takes the steps of a chunk; returns their metrics and the weights after them."""
    optimizer = optimizer or keras.optimizers.SGD(0.1)  # Adam's first steps hide sizes.
    strategy = tf.distribute.get_strategy()
    train_steps = steps.TrainingSteps(vae, optimizer, strategy, BATCH, 3, clip_norm, **options)
    metrics = train_steps.take(make_chunk())
    return {name: values.numpy() for name, values in metrics.items()}, vae.get_weights()


def assert_same(one, other, rtol=1e-5, atol=1e-6, names=None):
    for name in names or one[0]:
        np.testing.assert_allclose(other[0][name], one[0][name], rtol, err_msg=name)
    for weight, expected in zip(other[1], one[1], strict=True):
        np.testing.assert_allclose(weight, expected, atol=atol)


@DECODERS
def test_micro_batches_take_the_steps_of_the_whole_batch(make_decoder):
    """Own samples and draws of z included: another draw would be another loss."""
    whole = take_steps(make_vae(make_decoder))
    assert whole[0].keys() >= {"loss", "beta", "learning_rate", "gradient_norm"}
    assert (whole[0]["gradient_norm"] > 1).all()  # so the whole batch's gradient is clipped
    parts = take_steps(make_vae(make_decoder), micro_batch_size=2)
    assert_same(whole, parts)


def make_mixed(policy, make_decoder=flat, **options):
    """Returns a model of a dtype policy and its optimizer."""
    with precision.dtype_policy(policy):
        vae = make_vae(make_decoder, **options)
    return vae, precision.scale_losses(keras.optimizers.SGD(0.1), policy)


MIXED = pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])


@MIXED
@DECODERS
def test_mixed_precision_takes_nearly_the_steps_of_float32(make_decoder, policy):
    whole = take_steps(make_vae(make_decoder))
    vae, optimizer = make_mixed(policy, make_decoder)
    mixed = take_steps(vae, optimizer)
    assert_same(whole, mixed, rtol=0.05, atol=0.01, names=("loss", "kl", "gradient_norm"))
    assert ("loss_scale" in mixed[0]) == (policy == "mixed_float16")
    assert {variable.dtype for variable in vae.variables} == {"float32"}


@MIXED
def test_only_what_lies_between_weights_and_losses_is_in_16_bits(policy):
    vae, _ = make_mixed(policy)
    tokens = make_chunk()[0]
    mu, sigma = vae.encode(tokens)
    (lead, bass), (expected, _) = vae.decode(mu, tokens), make_vae().decode(mu, tokens)
    assert {x.dtype for x in (mu, sigma, lead, bass)} == {tf.float32}
    hidden = vae.decoder._autoregressor.stack.first_states(mu)[0][0]
    assert hidden.dtype == policy.removeprefix("mixed_")
    assert 0 < np.abs(lead - expected).max() < 0.05


def test_a_step_whose_scaled_gradient_overflows_is_skipped_and_counted():
    vae, _ = make_mixed("mixed_float16")
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1), 2.0**100)
    before = vae.get_weights()
    metrics, weights = take_steps(vae, optimizer)
    assert_same((metrics, before), (metrics, weights), atol=0)
    assert not np.isfinite(metrics["gradient_norm"]).any()
    np.testing.assert_array_equal(metrics["loss_scale"], 2.0 ** np.array([100, 99, 98]))
    assert int(optimizer.iterations) == CHUNK


def test_an_unknown_policy_is_refused_and_the_global_one_left_as_it_was():
    with pytest.raises(ValueError, match="float32, mixed_bfloat16, mixed_float16. Received: half"):
        make_mixed("half")
    make_mixed("mixed_bfloat16")
    assert keras.config.dtype_policy().name == "float32"


@DECODERS
@pytest.mark.parametrize("probability", [0.5, None], ids=["scheduled", "teacher forcing"])
def test_steps_by_the_layers_that_a_gpu_takes_are_the_same(make_decoder, probability, monkeypatch):
    def make():
        return make_vae(make_decoder, probability)

    loops, layers = take_steps(make()), []
    monkeypatch.setattr(lstm_steps, "has_gpu", lambda: True)
    run = LSTMStack._run_keras
    monkeypatch.setattr(
        LSTMStack,
        "_run_keras",
        lambda stack, *rest: layers.extend(stack.lstm_layers) or run(stack, *rest),
    )
    assert_same(loops, take_steps(make()))
    assert {layer.name for layer in layers} == {"forward", "backward", "lstm_0", "lstm_1"}


@DECODERS
@pytest.mark.parametrize(
    ("options", "policy", "expected"),
    [
        ({}, "float32", True),
        ({}, "mixed_float16", True),
        ({}, "mixed_bfloat16", False),
        ({"recompute": True}, "float32", False),
        ({"cudnn": False}, "float32", False),
    ],
    ids=str,
)
def test_a_gpus_graph_has_cudnns_kernels(make_decoder, options, policy, expected, monkeypatch):
    """A graph that is traced and not run: here is no GPU."""
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind=None: ["GPU:0"])
    vae, optimizer = make_mixed(policy, make_decoder, **options)
    train_steps = steps.TrainingSteps(vae, optimizer, tf.distribute.get_strategy(), BATCH, 3, 1.0)
    chunk = make_chunk()
    take = train_steps.graph(chunk.shape[2])
    graph = str(take.get_concrete_function(chunk).graph.as_graph_def())
    kernels = [graph.count(f'op: "{name}"') for name in ("CudnnRNNV3", "CudnnRNNBackpropV3")]
    # Two directions of the encoder, and two layers of each autoregressor; and their gradients.
    num_parts = 1 if make_decoder is flat else len(CLASSES)
    num_layers = (2 + 2 * num_parts) * expected
    assert kernels == [num_layers, num_layers]


@DECODERS
def test_steps_that_recompute_are_the_same(make_decoder):
    whole = take_steps(make_vae(make_decoder))
    assert_same(whole, take_steps(make_vae(make_decoder, recompute=True)))


@DECODERS
def test_gradients_that_recompute_take_any_number_of_rows(make_decoder):
    vae, tokens = make_vae(make_decoder, recompute=True), make_chunk()[0]
    rows = {}
    for number in (len(tokens), None):

        @tf.function(
            autograph=False,
            input_signature=[tf.TensorSpec([number, *tokens.shape[1:]], tf.int32)],
        )
        def derive(tokens):
            with tf.GradientTape() as tape:
                loss = vae.training_terms(tokens, tf.constant(500), tf.constant([0, 1]))["loss"]
            gradients = tape.gradient(loss, vae.trainable_variables)
            return [tf.convert_to_tensor(gradient) for gradient in gradients]

        rows[number] = derive(tokens)
    for fixed, free in zip(*rows.values(), strict=True):
        np.testing.assert_allclose(fixed, free, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "is_all",
    [
        pytest.param(False, id="alone"),
        pytest.param(True, id="with all other options", marks=pytest.mark.slow),
    ],
)
def test_xla_takes_the_steps_of_a_plain_graph_given_the_same_draws(is_all, monkeypatch):
    # From the same seed XLA draws other numbers than TensorFlow's kernels do.
    def uniform(noise, purpose, num_steps, size):
        return tf.fill([num_steps, noise._num_drawn, size], 0.25 + 0.25 * (purpose == TOKEN))

    monkeypatch.setattr(BatchNoise, "uniform", uniform)
    monkeypatch.setattr(BatchNoise, "normal", lambda noise, _, size: tf.ones([1, size]))
    plain = take_steps(make_vae(hierarchical))
    if is_all:
        vae, optimizer = make_mixed("mixed_float16", hierarchical, recompute=True)
        compiled = take_steps(vae, optimizer, micro_batch_size=4, jit_compile=True)
        assert_same(plain, compiled, 0.05, 0.01, names=("loss", "kl", "gradient_norm"))
    else:
        assert_same(plain, take_steps(make_vae(hierarchical), jit_compile=True))


@pytest.mark.parametrize("micro_batch_size", [3, 16, 0, -1])
def test_a_micro_batch_that_does_not_divide_is_refused(micro_batch_size):
    match = rf"has of a batch, 8. Received: micro_batch_size={micro_batch_size}\."
    with pytest.raises(ValueError, match=match):
        take_steps(make_vae(), micro_batch_size=micro_batch_size)
