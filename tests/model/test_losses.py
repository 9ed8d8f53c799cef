"""Losses are in nats and an example's own; accuracies are shares of steps."""

import math

import numpy as np
import pytest
import tensorflow as tf

from magenta_vae.model import losses

RNG = np.random.default_rng(0)
FREE_NATS = 33.271065  # paper, Training Details: "48 free bits (~33.3 nats)"; 48 ln 2


@pytest.mark.parametrize(
    ("num_classes", "num_steps", "nats"),
    [
        ((130,), 32, 155.7611),  # 32 ln 130 = 32 x 4.867534
        ((512,), 32, 199.6264),  # 32 ln 512 = 32 x 9 x 0.6931472
        ((130, 130, 512), 256, 4089.189),  # 256 (2 x 4.867534 + 6.238325)
    ],
)
def test_uniform_logits_cost_the_logarithm_of_the_classes_a_step(num_classes, num_steps, nats):
    tokens = np.stack([RNG.integers(classes, size=(2, num_steps)) for classes in num_classes], -1)
    logits = [tf.fill([2, num_steps, classes], 3.0) for classes in num_classes]
    cost = losses.cross_entropy(logits, tf.constant(tokens, tf.int32))
    np.testing.assert_allclose(cost, [nats, nats], rtol=1e-6)


def test_cross_entropy_equals_numpy():
    tokens = RNG.integers(5, size=(3, 7, 2))
    logits = RNG.normal(size=(2, 3, 7, 5))
    oracle = np.zeros(3)
    for track, example, step in np.ndindex(2, 3, 7):
        row = logits[track, example, step]
        oracle[example] += np.log(np.exp(row).sum()) - row[tokens[example, step, track]]
    cost = losses.cross_entropy(list(tf.constant(logits, tf.float32)), tf.constant(tokens))
    np.testing.assert_allclose(cost, oracle, rtol=1e-5)


def test_certain_and_right_costs_nothing():
    tokens = tf.constant([[[0], [2]]])
    logits = 1000 * tf.one_hot(tokens[..., 0], 3)
    np.testing.assert_array_equal(losses.cross_entropy([logits], tokens), [0])


def test_free_bits_cost_nothing_and_the_rest_is_weighed_by_beta():
    kl = tf.constant([0.0, 33.27, FREE_NATS, FREE_NATS + 10, 100.0])
    cost = losses.kl_cost(kl, tf.constant(0.2), free_bits=48)
    np.testing.assert_allclose(cost, [0, 0, 0, 2, 0.2 * (100 - FREE_NATS)], atol=2e-6, rtol=1e-6)


def test_free_bits_of_the_long_models():
    # Paper, Training Details: "256 free bits (~177.4 nats) with beta = 1".
    cost = losses.kl_cost(tf.constant([177.4, 178.4]), 1.0, 256)
    np.testing.assert_allclose(cost, [0, 178.4 - 256 * math.log(2)], rtol=1e-4)


def test_kl_within_the_free_bits_has_no_gradient():
    kl = tf.constant([20.0, 40.0])
    with tf.GradientTape() as tape:
        tape.watch(kl)
        cost = losses.kl_cost(kl, 0.2, 48)
    np.testing.assert_allclose(tape.gradient(cost, kl), [0, 0.2])


def test_accuracies_are_shares_of_steps_for_each_track():
    tokens = tf.constant([[[1, 5], [2, 5], [3, 5], [4, 5]], [[1, 1], [1, 1], [1, 1], [1, 1]]])
    predictions = tf.constant([[[1, 0], [2, 0], [3, 0], [0, 0]], [[1, 0], [1, 1], [1, 1], [1, 0]]])
    np.testing.assert_array_equal(losses.accuracies(predictions, tokens), [[0.75, 0], [1, 0.5]])


def test_most_likely_tokens():
    tokens = RNG.integers(4, size=(2, 6, 2))
    logits = [tf.one_hot(tokens[..., track], 4) for track in range(2)]
    likely = losses.most_likely(logits)
    assert likely.dtype == tf.int32
    np.testing.assert_array_equal(likely, tokens)
