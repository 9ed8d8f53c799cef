"""The hierarchical decoder equals a plain step-by-step reference, however it is run."""

import numpy as np
import pytest
import tensorflow as tf

from magenta_vae.model import autoregressor, decoders
from magenta_vae.model.autoregressor import greedy
from magenta_vae.model.noise import FEEDBACK, TOKEN, BatchNoise, categorical

BATCH, SEGMENTS, SEGMENT_STEPS, Z, EMBEDDING, UNITS, LAYERS = 3, 4, 5, 3, 6, 5, 2
STEPS = SEGMENTS * SEGMENT_STEPS
SEED = tf.constant([1, 2], tf.int64)
NOISE = BatchNoise(SEED, BATCH)
SIZES = [(7,), (4, 6, 9), (130, 130, 512)]
SAMPLE = autoregressor.sampler(1.0, NOISE.uniform(TOKEN, STEPS, 3))


def make_decoder(num_classes, activation=None, segments=SEGMENTS, steps=STEPS):
    conductor = decoders.Conductor(Z, segments, EMBEDDING, UNITS + 1, LAYERS, activation)
    decoder = decoders.HierarchicalDecoder(num_classes, steps, conductor, UNITS, LAYERS, activation)
    rng = np.random.default_rng(3)
    for variable in decoder.variables:
        variable.assign(0.7 * rng.normal(size=variable.shape))
    return decoder


def make_z():
    return tf.constant(np.random.default_rng(1).normal(size=(BATCH, Z)), tf.float32)


def make_tokens(num_classes, batch=BATCH, steps=STEPS):
    rng = np.random.default_rng(2)
    columns = [rng.integers(classes, size=(batch, steps)) for classes in num_classes]
    return tf.constant(np.stack(columns, axis=-1), tf.int32)


def reference(decoder, num_classes, z, choose, activation=tf.identity):
    """The paper's decoder in plain operations, one step of one track at a time.

    `choose` is given (step, logits of each track) and returns what the next step reads, [B, K].
    Returns the logits of each track, [B, T, V], and what it chose, [B, T, K].
    """
    w = {variable.path: variable.value for variable in decoder.variables}

    def linear(name, x):
        return x @ w[f"{name}/kernel"] + w[f"{name}/bias"]

    def initial_states(name, x):
        parts = tf.split(activation(linear(f"{name}/initial_state", x)), 2 * LAYERS, axis=-1)
        return [(parts[2 * n], parts[2 * n + 1]) for n in range(LAYERS)]  # hidden, cell

    def stack(name, x, states):
        for n, (hidden, cell) in enumerate(states):
            gates = hidden @ w[f"{name}/lstm_{n}/recurrent_kernel"] + w[f"{name}/lstm_{n}/bias"]
            if x is not None:  # The conductor reads nothing.
                gates += x @ w[f"{name}/lstm_{n}/kernel"]
            i, f, candidate, o = tf.split(gates, 4, axis=-1)
            cell = tf.sigmoid(f) * cell + tf.sigmoid(i) * tf.tanh(candidate)
            x = tf.sigmoid(o) * tf.tanh(cell)
            states[n] = (x, cell)
        return x

    conductor_states = initial_states("conductor", z)
    previous = [tf.zeros([len(z), n]) for n in num_classes]  # The first input is a zero vector.
    all_logits, chosen = [], []
    for step in range(STEPS):
        if step % SEGMENT_STEPS == 0:
            embedding = linear("conductor/embedding", stack("conductor", None, conductor_states))
            states = [initial_states(f"decoder/track_{k}", embedding) for k in range(len(previous))]
        logits = []
        for k, one_hot in enumerate(previous):
            x = tf.concat([one_hot, embedding], axis=-1)
            name = f"decoder/track_{k}"
            logits.append(linear(f"{name}/logits", stack(name, x, states[k])))
        token = choose(step, logits)
        previous = [tf.one_hot(token[:, k], n) for k, n in enumerate(num_classes)]
        all_logits.append(logits)
        chosen.append(token)
    tracks = [tf.stack(track, axis=1) for track in zip(*all_logits, strict=True)]
    return tracks, tf.stack(chosen, axis=1)


def scheduled(tokens, probability, num_classes):
    """Returns a choice between truth and own samples, with draws for each row of each segment."""

    def draws(purpose, step, size):
        segment, own_step = divmod(step, SEGMENT_STEPS)
        uniform = NOISE.uniform(purpose, SEGMENT_STEPS, SEGMENTS * size)
        return tf.reshape(uniform[own_step], [BATCH, SEGMENTS, size])[:, segment]

    def choose(step, logits):
        if (step + 1) % SEGMENT_STEPS == 0:  # The next segment begins with the truth.
            return tokens[:, step]
        noise = tf.unstack(draws(TOKEN, step, len(num_classes)), axis=-1)
        own = [categorical(x, y) for x, y in zip(logits, noise, strict=True)]
        is_own = draws(FEEDBACK, step, 1) < probability
        return tf.where(is_own, tf.stack(own, axis=-1), tokens[:, step])

    return choose


def assert_tracks_close(mine, theirs):
    for track, expected in zip(mine, theirs, strict=True):
        np.testing.assert_allclose(track, expected, atol=1e-5)


@pytest.mark.parametrize("num_classes", SIZES, ids=str)
@pytest.mark.parametrize("activation", [None, "tanh"])
def test_all_segments_at_once_equal_the_reference(num_classes, activation):
    decoder, z, tokens = make_decoder(num_classes, activation), make_z(), make_tokens(num_classes)
    logits = decoder.predict(z, tokens)
    assert [track.shape for track in logits] == [(BATCH, STEPS, n) for n in num_classes]
    plain = tf.tanh if activation else tf.identity
    expected, _ = reference(decoder, num_classes, z, lambda t, _: tokens[:, t], plain)
    assert_tracks_close(logits, expected)
    # It says something: logits differ between steps, segments and rows, by far more than 1e-5.
    for axis in (0, 1):
        assert min(np.abs(np.diff(track, axis=axis)).max() for track in logits) > 0.1
    assert np.abs(np.diff(decoder.conductor(z), axis=1)).max() > 0.1


@pytest.mark.parametrize("num_classes", SIZES[:2], ids=str)
def test_the_previous_token_crosses_borders_and_the_state_does_not(num_classes):
    decoder, z, tokens = make_decoder(num_classes), make_z(), make_tokens(num_classes)
    border = 2 * SEGMENT_STEPS
    before = decoder.predict(z, tokens)
    for step, is_read_beyond in ((border - 1, True), (border - 2, False)):
        at_step = (np.arange(STEPS) == step)[:, None]
        changed = tf.where(at_step, (tokens + 1) % num_classes, tokens)
        for old, new in zip(before, decoder.predict(z, changed), strict=True):
            difference = np.abs(new - old).max(axis=(0, 2))
            assert difference[: step + 1].max() == 0
            assert (difference[border] > 1e-3) == is_read_beyond
            assert difference[border + SEGMENT_STEPS :].max() == 0


def test_a_track_is_read_by_its_own_decoder_only():
    decoder, z, tokens = make_decoder(SIZES[1]), make_z(), make_tokens(SIZES[1])
    changed = tf.where([True, False, False], (tokens + 1) % SIZES[1], tokens)
    lead, *others = zip(decoder.predict(z, tokens), decoder.predict(z, changed), strict=True)
    assert np.abs(lead[0] - lead[1]).max() > 0.1
    for before, after in others:
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("num_classes", SIZES, ids=str)
def test_sampling_with_the_true_tokens_forced_is_teacher_forcing(num_classes):
    decoder, z, tokens = make_decoder(num_classes), make_z(), make_tokens(num_classes)
    steps, seen = [], []

    def choose(step, logits):
        steps.append(int(step))
        seen.append(logits)
        return tokens[:, step]

    chosen = decoder.sample(z, choose)
    assert steps == list(range(STEPS))
    np.testing.assert_array_equal(chosen, tokens)
    logits = decoder.predict(z, tokens)
    assert_tracks_close([tf.stack(track, 1) for track in zip(*seen, strict=True)], logits)


@pytest.mark.parametrize("choose", [greedy, SAMPLE], ids=["greedy", "sampled"])
def test_free_running_equals_the_reference_across_segments(choose):
    decoder, z = make_decoder(SIZES[1]), make_z()
    chosen = tf.function(lambda z: decoder.sample(z, choose))(z)
    _, expected = reference(decoder, SIZES[1], z, choose)
    np.testing.assert_array_equal(chosen, expected)
    assert np.any(chosen != decoder.sample(z, greedy)) == (choose is not greedy)


@pytest.mark.parametrize(
    ("num_classes", "probability"),
    [(SIZES[0], 0.5), (SIZES[1], 0.0), (SIZES[1], 0.5), (SIZES[1], 1.0)],
    ids=str,
)
def test_scheduled_sampling_has_the_logits_and_gradient_of_the_reference(num_classes, probability):
    decoder, z, tokens = make_decoder(num_classes), make_z(), make_tokens(num_classes)
    rng = np.random.default_rng(4)
    upstream = [tf.constant(rng.normal(size=(BATCH, STEPS, n)), tf.float32) for n in num_classes]
    choose = scheduled(tokens, probability, num_classes)
    _, previous = reference(decoder, num_classes, z, choose)
    agreement = np.mean(previous == tokens)
    assert (agreement == 1) == (probability == 0) and agreement > 0.1

    def differentiate(predict):
        with tf.GradientTape() as tape:
            tape.watch(z)
            logits = predict()
            objective = tf.add_n(
                [tf.reduce_sum(x * y) for x, y in zip(logits, upstream, strict=True)]
            )
        return logits, tape.gradient(objective, [z, *(v.value for v in decoder.variables)])

    @tf.function
    def ours():
        return differentiate(lambda: decoder.predict_scheduled(z, tokens, probability, NOISE))

    # Plain autodiff, through fixed tokens: samples are integers and carry no gradient.
    logits, expected = differentiate(
        lambda: reference(decoder, num_classes, z, lambda t, _: previous[:, t])[0]
    )
    own_logits, own_gradients = ours()
    assert_tracks_close(own_logits, logits)
    for mine, theirs in zip(own_gradients, expected, strict=True):
        assert np.abs(theirs).max() > 1e-2  # says something
        np.testing.assert_allclose(mine, theirs, atol=2e-5 * np.abs(theirs).max())


def test_steps_and_segments_that_do_not_divide_are_refused_with_both():
    for segments, steps in ((16, 100), (3, 16), (32, 16), (0, 16)):
        with pytest.raises(ValueError, match=f"num_segments={segments}. .*num_steps={steps}"):
            make_decoder((7,), segments=segments, steps=steps)


@pytest.mark.parametrize("segments", [1, 2, 8])
def test_any_number_of_segments_and_of_rows_in_a_graph(segments):
    num_classes = (4, 6)
    decoder = make_decoder(num_classes, segments=segments, steps=8)
    z, tokens = make_z(), make_tokens(num_classes, steps=8)
    forced = decoder.sample(z, lambda step, _: tokens[:, step])
    np.testing.assert_array_equal(forced, tokens)

    def scheduled_logits(z, tokens):
        return decoder.predict_scheduled(z, tokens, 0.5, BatchNoise(SEED, BATCH, 0, tf.shape(z)[0]))

    signature = [tf.TensorSpec([None, Z]), tf.TensorSpec([None, 8, 2], tf.int32)]
    graph = tf.function(scheduled_logits, input_signature=signature)
    eager = scheduled_logits(z, tokens)
    assert [track.shape for track in eager] == [(BATCH, 8, n) for n in num_classes]
    assert_tracks_close(graph(z, tokens), eager)
    # A row's draws are the same in any part of the batch.
    assert_tracks_close(graph(z[:2], tokens[:2]), [track[:2] for track in eager])


def test_the_first_segments_of_a_window_are_predicted_as_in_the_whole():
    decoder, tokens = make_decoder((7,)), make_tokens((7,))
    (whole,) = decoder.predict(make_z(), tokens)
    (first,) = decoder.predict(make_z(), tokens[:, : 2 * SEGMENT_STEPS])
    np.testing.assert_allclose(first, whole[:, : 2 * SEGMENT_STEPS], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("steps", [SEGMENT_STEPS + 1, STEPS + SEGMENT_STEPS])
def test_steps_that_are_no_segments_of_a_window_are_refused(steps):
    message = f"must be 1 to 4 whole segments of 5 steps. Received: {steps} steps"
    with pytest.raises(ValueError, match=message):
        make_decoder((7,)).predict(make_z(), make_tokens((7,), steps=steps))
