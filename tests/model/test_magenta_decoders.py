"""Stacks of layers of different widths, and a conductor whose outputs are its embeddings."""

import numpy as np
import pytest
import tensorflow as tf

from magenta_vae.model.decoders import Conductor, FlatDecoder, HierarchicalDecoder
from magenta_vae.model.noise import BatchNoise

RNG = np.random.default_rng(0)
CLASSES = (4, 3)


def make_flat(units, activation="tanh"):
    decoder = FlatDecoder(CLASSES, 6, 2, units, 3, activation)
    return randomized(decoder)


def make_hierarchical():
    conductor = Conductor(2, 3, None, [5, 4], 2, "tanh")
    return randomized(HierarchicalDecoder(CLASSES, 6, conductor, [3, 2], 2, "tanh"))


def randomized(decoder):
    for variable in decoder.variables:
        variable.assign(0.7 * RNG.normal(size=variable.shape))
    return decoder


def inputs():
    tokens = np.stack([RNG.integers(classes, size=(2, 6)) for classes in CLASSES], axis=-1)
    return tf.constant(RNG.normal(size=(2, 2)), tf.float32), tf.constant(tokens, tf.int32)


@pytest.mark.parametrize("make", [lambda: make_flat([5, 3, 4]), make_hierarchical])
def test_the_gradient_is_that_of_finite_differences(make):
    decoder, (z, tokens) = make(), inputs()
    directions = [tf.constant(RNG.normal(size=(2, 6, size)), tf.float32) for size in CLASSES]

    def loss():
        logits = decoder.predict(z, tokens)
        return tf.add_n(
            [tf.reduce_sum(d * tf.tanh(each)) for d, each in zip(directions, logits, strict=True)]
        )

    with tf.GradientTape() as tape:
        value = loss()
    gradients = tape.gradient(value, decoder.trainable_variables)
    for variable, gradient in zip(decoder.trainable_variables, gradients, strict=True):
        step = 3e-3 * tf.constant(RNG.normal(size=variable.shape), tf.float32)
        variable.assign_add(step)
        above = loss()
        variable.assign_sub(2 * step)
        below = loss()
        variable.assign_add(step)
        found = tf.reduce_sum(tf.convert_to_tensor(gradient) * step)
        expected = (above - below) / 2
        np.testing.assert_allclose(found, expected, rtol=3e-2, atol=1e-4, err_msg=variable.path)


@pytest.mark.parametrize("make", [lambda: make_flat([5, 3, 4]), make_hierarchical])
def test_a_step_by_step_run_sees_what_the_whole_sequence_sees(make):
    """Choosing the true tokens on the way meets the logits of teacher forcing."""
    decoder, (z, tokens) = make(), inputs()
    logits = decoder.predict(z, tokens)
    seen = []

    def choose(step, own):
        seen.append([part.numpy() for part in own])
        return tokens[:, int(step)]

    decoder.sample(z, choose)
    for track, expected in enumerate(logits):
        found = np.stack([step[track] for step in seen], axis=1)
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_without_z_the_states_are_zeros_of_each_width():
    decoder = randomized(FlatDecoder(CLASSES, 6, 0, [5, 3], 2))
    logits = decoder.predict(tf.zeros([2, 0]), inputs()[1])
    assert [track.shape for track in logits] == [(2, 6, 4), (2, 6, 3)]


def test_scheduled_sampling_takes_layers_of_different_widths():
    decoder, (z, tokens) = make_hierarchical(), inputs()
    noise = BatchNoise(tf.constant([1, 2], tf.int64), 2)
    forced = decoder.predict_scheduled(z, tokens, tf.constant(0.0), noise)
    for one, other in zip(forced, decoder.predict(z, tokens), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_a_conductors_outputs_are_its_embeddings():
    conductor = randomized(Conductor(2, 3, None, [5, 4], 2, "tanh"))
    assert conductor.embedding_size == 4
    embeddings = conductor(inputs()[0])
    assert embeddings.shape == (2, 3, 4)
    assert np.abs(embeddings).max() < 1  # of an LSTM, not of a linear layer
    assert not [variable for variable in conductor.variables if "embedding" in variable.path]


def test_tanh_bounds_the_initial_states():
    large = tf.constant([[100.0, -100.0]])
    for activation, is_bounded in (("tanh", True), (None, False)):
        states = make_flat([2, 2, 2], activation)._autoregressor.stack.first_states(large)
        highest = max(float(tf.reduce_max(tf.abs(part))) for state in states for part in state)
        assert (highest <= 1) == is_bounded
