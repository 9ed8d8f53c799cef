"""The stacked encoder equals Keras' layers on what Magenta feeds it."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from magenta_vae.magenta.encoder import StackedBidirectionalLSTM

RNG = np.random.default_rng(0)
CLASSES = (4, 6)
ROLLS = (RNG.integers(2, size=(4, 3)).astype(np.float32), np.eye(6, dtype=np.float32)[:, :5])


def make_encoder(num_units, num_layers, features=None):
    encoder = StackedBidirectionalLSTM(CLASSES, num_units, num_layers, 4, features)
    for variable in encoder.variables:
        variable.assign(0.5 * RNG.normal(size=variable.shape))
    return encoder


def make_tokens(batch=3, steps=7):
    columns = [RNG.integers(classes, size=(batch, steps)) for classes in CLASSES]
    return tf.constant(np.stack(columns, axis=-1), tf.int32)


@pytest.mark.parametrize("units", [[5], [5, 3], [4, 4, 4]])
@pytest.mark.parametrize("features", [None, ROLLS], ids=["one_hot", "rolls"])
def test_equals_a_stack_of_keras_layers(units, features):
    encoder, tokens = make_encoder(units, len(units), features), make_tokens()
    weights = {variable.path: variable.numpy() for variable in encoder.variables}
    tables = features or [np.eye(size) for size in CLASSES]
    outputs = np.concatenate(
        [table[tokens[..., track]] for track, table in enumerate(tables)], axis=-1
    )
    for index, size in enumerate(units):
        layer = keras.layers.Bidirectional(
            keras.layers.LSTM(size, return_sequences=index < len(units) - 1)
        )
        layer.build((None, None, outputs.shape[-1]))
        names = ("kernel", "recurrent_kernel", "bias")
        own = [
            weights[f"encoder/{way}_{index}/{name}"]
            for way in ("forward", "backward")
            for name in names
        ]
        layer.set_weights(own)
        outputs = layer(outputs).numpy()
    mu, sigma = encoder(tokens)
    linear = {name: [weights[f"encoder/{name}/{w}"] for w in ("kernel", "bias")] for name in
              ("mu", "sigma")}  # fmt: skip
    np.testing.assert_allclose(mu, outputs @ linear["mu"][0] + linear["mu"][1], atol=1e-5)
    softplus = np.log1p(np.exp(outputs @ linear["sigma"][0] + linear["sigma"][1]))
    np.testing.assert_allclose(sigma, softplus, atol=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_every_weight_gets_the_gradient_of_finite_differences(training):
    encoder, tokens = make_encoder([3, 2], 2, ROLLS), make_tokens(2, 5)
    direction = tf.constant(RNG.normal(size=(2, 4)), tf.float32)

    def loss():
        mu, sigma = encoder(tokens, training=training)
        return tf.reduce_sum(direction * (mu + sigma * sigma))

    with tf.GradientTape() as tape:
        value = loss()
    gradients = tape.gradient(value, encoder.trainable_variables)
    for variable, gradient in zip(encoder.trainable_variables, gradients, strict=True):
        step = tf.constant(RNG.normal(size=variable.shape), tf.float32) * 1e-2
        variable.assign_add(step)
        above = loss()
        variable.assign_sub(2 * step)
        below = loss()
        variable.assign_add(step)
        expected = (above - below) / 2
        found = tf.reduce_sum(tf.convert_to_tensor(gradient) * step)
        np.testing.assert_allclose(found, expected, rtol=2e-2, atol=2e-4, err_msg=variable.path)


def test_one_number_of_units_is_for_every_layer():
    shapes = {v.path: tuple(v.shape) for v in make_encoder(3, 2).variables}
    assert shapes["encoder/forward_0/kernel"] == (10, 12)
    assert shapes["encoder/backward_1/kernel"] == (6, 12)


def test_a_layer_without_units_is_refused_with_both_numbers():
    with pytest.raises(ValueError, match=r"num_layers=3\. Received: num_units=\[4, 4\]"):
        StackedBidirectionalLSTM(CLASSES, [4, 4], 3, 4)
