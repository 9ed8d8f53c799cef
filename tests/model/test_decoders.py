"""Decoders equal a plain step-by-step reference, teacher-forced, scheduled and free-running."""

import numpy as np
import pytest
import tensorflow as tf

from magenta_vae.model import autoregressor, losses
from magenta_vae.model.autoregressor import greedy
from magenta_vae.model.decoders import FlatDecoder
from magenta_vae.model.noise import FEEDBACK, TOKEN, BatchNoise, RowNoise, categorical

NUM_CLASSES, STEPS, Z, UNITS, LAYERS, BATCH = (4, 6), 5, 3, 5, 2, 3
SEED = tf.constant([1, 2], tf.int64)
NOISE = BatchNoise(SEED, BATCH)
RNG = np.random.default_rng(0)


def sampler(temperature, noise):
    uniform = noise.uniform(TOKEN, STEPS, len(NUM_CLASSES))
    return autoregressor.sampler(temperature, uniform)


@pytest.fixture
def decoder():
    return make_decoder()


@pytest.fixture
def z():
    return tf.constant(np.random.default_rng(1).normal(size=(BATCH, Z)), tf.float32)


@pytest.fixture
def tokens():
    rng = np.random.default_rng(2)
    columns = [rng.integers(classes, size=(BATCH, STEPS)) for classes in NUM_CLASSES]
    return tf.constant(np.stack(columns, axis=-1), tf.int32)


def make_decoder(num_classes=NUM_CLASSES, state_activation=None):
    decoder = FlatDecoder(num_classes, STEPS, Z, UNITS, LAYERS, state_activation)
    rng = np.random.default_rng(3)
    for variable in decoder.variables:
        variable.assign(0.7 * rng.normal(size=variable.shape))
    return decoder


def shift(tokens):
    """Returns the token before each step; before the first, the zero vector's."""
    nothing = tf.constant([NUM_CLASSES] * tokens.shape[0])[:, None]
    return tf.concat([nothing, tokens[:, :-1]], axis=1)


def reference_predict(decoder, z, previous, activation=tf.identity):
    """The paper's decoder in plain operations, one step at a time: [batch, steps, sum(classes)]."""
    w = {v.path.removeprefix("decoder/flat/"): v.value for v in decoder.variables}
    state = activation(z @ w["initial_state/kernel"] + w["initial_state/bias"])
    parts = tf.split(state, 2 * LAYERS, axis=-1)  # hidden, cell of each layer
    states = [(parts[2 * n], parts[2 * n + 1]) for n in range(LAYERS)]
    logits = []
    for t in range(previous.shape[1]):
        one_hot = [tf.one_hot(previous[:, t, k], n) for k, n in enumerate(NUM_CLASSES)]
        x = tf.concat([*one_hot, z], axis=-1)
        for n, (hidden, cell) in enumerate(states):
            gates = x @ w[f"lstm_{n}/kernel"] + hidden @ w[f"lstm_{n}/recurrent_kernel"]
            i, f, candidate, o = tf.split(gates + w[f"lstm_{n}/bias"], 4, axis=-1)
            cell = tf.sigmoid(f) * cell + tf.sigmoid(i) * tf.tanh(candidate)
            x = tf.sigmoid(o) * tf.tanh(cell)
            states[n] = (x, cell)
        logits.append(x @ w["logits/kernel"] + w["logits/bias"])
    return tf.stack(logits, axis=1)


@pytest.mark.parametrize("activation", [None, "tanh"])
def test_teacher_forcing_equals_the_reference(z, tokens, activation):
    decoder = make_decoder(state_activation=activation)
    logits = decoder.predict(z, tokens)
    assert [track.shape for track in logits] == [(BATCH, STEPS, n) for n in NUM_CLASSES]
    kept = decoder.predict(z, tokens, training=True)
    np.testing.assert_allclose(tf.concat(kept, -1), tf.concat(logits, -1), atol=1e-6)
    expected = reference_predict(decoder, z, shift(tokens), tf.tanh if activation else tf.identity)
    np.testing.assert_allclose(tf.concat(logits, -1), expected, atol=1e-5)


def test_a_step_reads_only_what_came_before(decoder, z, tokens):
    changed = tf.concat([tokens[:, :3], (tokens[:, 3:] + 1) % NUM_CLASSES], axis=1)
    for before, after in zip(decoder.predict(z, tokens), decoder.predict(z, changed), strict=True):
        np.testing.assert_array_equal(before[:, :4], after[:, :4])
        assert np.abs(before[:, 4:] - after[:, 4:]).max() > 1e-3


def test_sampling_with_the_true_tokens_forced_is_teacher_forcing(decoder, z, tokens):
    seen = []

    def choose(t, logits):
        seen.append(logits)
        return tokens[:, t]

    chosen = decoder.sample(z, choose)
    logits = decoder.predict(z, tokens)
    np.testing.assert_array_equal(chosen, tokens)
    for track, expected in enumerate(logits):
        np.testing.assert_allclose(tf.stack([s[track] for s in seen], 1), expected, atol=1e-5)


def test_scheduled_sampling_never_is_teacher_forcing(decoder, z, tokens):
    scheduled = decoder.predict_scheduled(z, tokens, tf.constant(0.0), NOISE)
    for mine, forced in zip(scheduled, decoder.predict(z, tokens), strict=True):
        np.testing.assert_array_equal(mine, forced)


def test_scheduled_sampling_always_reads_only_own_samples(decoder, z, tokens):
    own = decoder.sample(z, sampler(1.0, NOISE))
    expected = reference_predict(decoder, z, shift(own))
    for truth in (tokens, tf.zeros_like(tokens)):
        logits = decoder.predict_scheduled(z, truth, tf.constant(1.0), NOISE)
        np.testing.assert_allclose(tf.concat(logits, -1), expected, atol=1e-5)


def reference_scheduled(decoder, z, tokens, probability):
    """Returns what each step reads, by the definition: int32 [batch, steps, tracks]."""
    is_own = NOISE.uniform(FEEDBACK, STEPS, 1) < probability
    sample = sampler(1.0, NOISE)
    previous = shift(tokens)
    for t in range(STEPS - 1):  # A step's logits need only what was read before it.
        logits = reference_predict(decoder, z, previous)[:, t]
        own = sample(t, tf.split(logits, NUM_CLASSES, axis=-1))
        read = np.array(previous)
        read[:, t + 1] = np.where(is_own[t], own, tokens[:, t])
        previous = tf.constant(read)
    return previous


def test_scheduled_sampling_chooses_for_each_step_and_example(decoder, z, tokens):
    previous = reference_scheduled(decoder, z, tokens, 0.5)
    is_true = np.array(previous == shift(tokens))[:, 1:]
    assert 0.2 < is_true.mean() < 0.9
    logits = decoder.predict_scheduled(z, tokens, tf.constant(0.5), NOISE)
    expected = reference_predict(decoder, z, previous)
    np.testing.assert_allclose(tf.concat(logits, -1), expected, atol=1e-5)


@pytest.mark.parametrize("probability", [0.0, 0.5, 1.0])
def test_scheduled_gradient_is_that_of_the_reference_on_the_same_tokens(
    decoder, z, tokens, probability
):
    upstream = tf.constant(RNG.normal(size=(BATCH, STEPS, sum(NUM_CLASSES))), tf.float32)
    previous = reference_scheduled(decoder, z, tokens, probability)
    sources = [z, *(variable.value for variable in decoder.variables)]

    def gradients(predict):
        with tf.GradientTape() as tape:
            tape.watch(z)
            objective = tf.reduce_sum(predict() * upstream)
        return tape.gradient(objective, sources)

    @tf.function
    def ours():
        return gradients(
            lambda: tf.concat(decoder.predict_scheduled(z, tokens, probability, NOISE), -1)
        )

    expected = gradients(lambda: reference_predict(decoder, z, previous))
    for mine, theirs in zip(ours(), expected, strict=True):
        assert np.abs(theirs).max() > 1e-3  # says something
        np.testing.assert_allclose(mine, theirs, atol=1e-5, rtol=1e-4)


def test_greedy_decoding_reads_its_most_likely_tokens(decoder, z):
    chosen = decoder.sample(z, greedy)
    assert chosen.dtype == tf.int32
    logits = reference_predict(decoder, z, shift(chosen))
    expected = losses.most_likely(tf.split(logits, NUM_CLASSES, axis=-1))
    np.testing.assert_array_equal(chosen, expected)


def test_own_samples_are_drawn_from_what_the_reference_says(decoder, z):
    chosen = decoder.sample(z, sampler(1.0, NOISE))
    logits = tf.split(reference_predict(decoder, z, shift(chosen)), NUM_CLASSES, axis=-1)
    draws = NOISE.uniform(TOKEN, STEPS, len(NUM_CLASSES))
    for t in range(STEPS):
        for k, track in enumerate(logits):
            expected = categorical(track[:, t], draws[t, :, k])
            np.testing.assert_array_equal(chosen[:, t, k], expected)
    assert np.any(chosen != losses.most_likely(logits))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_sampler_draws_from_the_softmax_at_a_temperature(temperature):
    rows = 40_000
    logits = [np.log([[0.5, 0.3, 0.2]]), np.array([[1.0, -1.0]])]
    choose = sampler(temperature, BatchNoise(SEED, rows))
    drawn = choose(1, [tf.repeat(tf.constant(x, tf.float32), rows, axis=0) for x in logits])
    joint = np.histogram2d(*drawn.numpy().T, bins=[range(4), range(3)])[0] / rows
    softmax = [np.exp(x[0] / temperature) / np.exp(x[0] / temperature).sum() for x in logits]
    # The tracks are independent; a frequency's standard error is at most 0.0025.
    np.testing.assert_allclose(joint, np.outer(*softmax), atol=0.01)


def test_sampler_takes_a_temperature_for_each_row():
    logits = [tf.tile([[0.0, 1.0, 2.0]], [2000, 1])] * 2
    temperatures = tf.repeat([[1e-3], [100.0]], 1000, axis=0)
    drawn = sampler(temperatures, BatchNoise(SEED, 2000))(0, logits).numpy()[:, 0]
    assert (drawn[:1000] == 2).all()  # nearly greedy
    assert (np.bincount(drawn[1000:]) > 250).all()  # nearly uniform


def test_a_rows_sample_does_not_depend_on_the_other_rows(decoder, z):
    seeds = tf.constant([[5, row] for row in range(BATCH)], tf.int64)
    together = decoder.sample(z, sampler(1.0, RowNoise(seeds)))
    alone = decoder.sample(z[1:2], sampler(1.0, RowNoise(seeds[1:2])))
    np.testing.assert_array_equal(alone[0], together[1])


@pytest.mark.parametrize(
    ("batch", "autograph"),
    [(1, False), (BATCH, False), (BATCH, True), pytest.param(1, True, marks=pytest.mark.slow)],
)
def test_graph_equals_eager_whether_or_not_the_batch_is_known(decoder, z, tokens, batch, autograph):
    def run(z, tokens):
        noise = BatchNoise(SEED, tf.shape(z)[0], 0, tf.shape(z)[0])
        samples = decoder.sample(z, sampler(1.0, noise))
        return [samples, *decoder.predict_scheduled(z, tokens, 0.5, noise)]

    unknown = [tf.TensorSpec([None, Z]), tf.TensorSpec([None, STEPS, 2], tf.int32)]
    eager = run(z[:batch], tokens[:batch])
    for signature in (None, unknown):
        graph = tf.function(run, input_signature=signature, autograph=autograph)
        for mine, theirs in zip(graph(z[:batch], tokens[:batch]), eager, strict=True):
            np.testing.assert_allclose(mine, theirs, atol=1e-6)


def test_the_first_input_is_a_zero_vector(decoder, z, tokens):
    # So the first step's logits do not depend on the tokens' rows of the kernel.
    before = [track[:, 0].numpy() for track in decoder.predict(z, tokens)]
    kernel = next(v for v in decoder.variables if v.path == "decoder/flat/lstm_0/kernel")
    rows = np.arange(sum(NUM_CLASSES) + Z)[:, None] < sum(NUM_CLASSES)
    kernel.assign(tf.where(rows, 0.0, kernel.value))
    for track, expected in zip(decoder.predict(z, tokens), before, strict=True):
        np.testing.assert_allclose(track[:, 0], expected, atol=1e-6)
