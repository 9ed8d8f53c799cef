"""The encoder equals Keras' bidirectional LSTM and a linear layer, on one-hot tokens."""

from functools import partial

import keras
import numpy as np
import pytest
import tensorflow as tf

from magenta_vae.model.encoders import BidirectionalLSTM

RNG = np.random.default_rng(0)
UNITS, Z = 6, 4


def make_encoder(num_classes):
    encoder = BidirectionalLSTM(num_classes, UNITS, Z)
    for variable in encoder.variables:
        variable.assign(0.5 * RNG.normal(size=variable.shape))
    return encoder


def make_tokens(num_classes, batch=3, steps=8):
    columns = [RNG.integers(classes, size=(batch, steps)) for classes in num_classes]
    return tf.constant(np.stack(columns, axis=-1), tf.int32)


@pytest.mark.parametrize("num_classes", [(7,), (3, 4, 6)])
def test_equals_keras_layers_on_concatenated_one_hot_tokens(num_classes):
    encoder, tokens = make_encoder(num_classes), make_tokens(num_classes)
    weights = {variable.path: variable.numpy() for variable in encoder.variables}

    def direction(name):
        return [weights[f"encoder/{name}/{w}"] for w in ("kernel", "recurrent_kernel", "bias")]

    lstm = keras.layers.Bidirectional(keras.layers.LSTM(UNITS))
    lstm.build((None, None, sum(num_classes)))
    lstm.set_weights(direction("forward") + direction("backward"))
    one_hot = [tf.one_hot(tokens[..., track], n) for track, n in enumerate(num_classes)]
    outputs = lstm(tf.concat(one_hot, axis=-1)).numpy()
    linear = weights["encoder/mu_and_sigma/kernel"], weights["encoder/mu_and_sigma/bias"]
    expected_mu, sigma_pre = np.split(outputs @ linear[0] + linear[1], 2, axis=-1)

    mu, sigma = encoder(tokens)
    assert mu.shape == sigma.shape == (3, Z)
    np.testing.assert_allclose(mu, expected_mu, atol=1e-5)
    # Paper, Architecture Details: sigma = exp(2 sigma_pre).
    np.testing.assert_allclose(sigma, np.exp(2 * sigma_pre), rtol=1e-4)


def test_sigma_pre_is_the_linear_layers_second_half():
    encoder = make_encoder((5,))
    weights = {variable.path: variable for variable in encoder.variables}
    weights["encoder/mu_and_sigma/kernel"].assign(np.zeros((2 * UNITS, 2 * Z)))
    weights["encoder/mu_and_sigma/bias"].assign([1, 2, 3, 4, -1, 0, 0.5, 1])
    mu, sigma = encoder(make_tokens((5,)))
    np.testing.assert_allclose(mu[0], [1, 2, 3, 4])
    np.testing.assert_allclose(sigma[0], np.exp([-2, 0, 1, 2]), rtol=1e-6)


def test_both_ends_of_the_window_count():
    encoder, tokens = make_encoder((5,)), make_tokens((5,), batch=1).numpy()
    mu, _ = encoder(tf.constant(tokens))
    for step in (0, -1):
        changed = tokens.copy()
        changed[0, step] = (changed[0, step] + 1) % 5
        assert np.abs(encoder(tf.constant(changed))[0] - mu).max() > 1e-3


def test_examples_are_encoded_alone_and_graph_equals_eager():
    encoder, tokens = make_encoder((5, 6)), make_tokens((5, 6))
    specification = tf.TensorSpec([None, None, 2], tf.int32)
    graph = tf.function(encoder, input_signature=[specification])
    mu, sigma = encoder(tokens)
    for row in range(3):
        alone_mu, alone_sigma = graph(tokens[row : row + 1])
        np.testing.assert_allclose(alone_mu[0], mu[row], atol=1e-6)
        np.testing.assert_allclose(alone_sigma[0], sigma[row], rtol=1e-5)


def test_only_training_keeps_the_steps():
    encoder, tokens = make_encoder((5, 6)), make_tokens((5, 6))
    for kept, found in zip(encoder(tokens, training=True), encoder(tokens), strict=True):
        np.testing.assert_allclose(found, kept, atol=1e-6)
    for training, num_lists in ((True, 14), (False, 0)):  # Seven a direction, and nothing.
        encode = tf.function(partial(encoder, training=training), autograph=False)
        operations = encode.get_concrete_function(tokens).graph.get_operations()
        kinds = [operation.type for operation in operations]
        assert kinds.count("TensorListReserve") == num_lists


def test_weights_are_named_by_their_place():
    encoder = make_encoder((5,))
    parts = [("kernel", "recurrent_kernel", "bias")] * 2 + [("kernel", "bias")]
    assert [variable.path for variable in encoder.variables] == [
        f"encoder/{layer}/{part}"
        for layer, names in zip(("forward", "backward", "mu_and_sigma"), parts, strict=True)
        for part in names
    ]
