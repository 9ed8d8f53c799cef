"""The encoder of two levels equals Keras' layers, segment by segment."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from magenta_vae import configuration
from magenta_vae.magenta.hierarchical_encoder import HierarchicalBidirectionalLSTM

RNG = np.random.default_rng(0)
CLASSES = (4, 6)
ROLLS = (RNG.integers(2, size=(4, 3)).astype(np.float32), np.eye(6, dtype=np.float32)[:, :5])


def make_encoder(num_units=(5, 3), num_segments=4, features=None, **options):
    encoder = HierarchicalBidirectionalLSTM(
        CLASSES, num_units, num_segments, 4, features, **options
    )
    for variable in encoder.variables:
        variable.assign(0.5 * RNG.normal(size=variable.shape))
    return encoder


def make_tokens(batch=3, steps=12):
    columns = [RNG.integers(classes, size=(batch, steps)) for classes in CLASSES]
    return tf.constant(np.stack(columns, axis=-1), tf.int32)


def keras_level(weights, level, units, inputs):
    """Returns the final outputs of Keras' bidirectional LSTM with the weights of a level."""
    layer = keras.layers.Bidirectional(keras.layers.LSTM(units))
    layer.build((None, None, inputs.shape[-1]))
    layer.set_weights(
        [
            weights[f"encoder/level_{level}_{way}/{name}"]
            for way in ("forward", "backward")
            for name in ("kernel", "recurrent_kernel", "bias")
        ]
    )
    return layer(inputs).numpy()


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("features", [None, ROLLS], ids=["one_hot", "rolls"])
def test_equals_keras_layers_over_segments_and_over_their_outputs(features, training):
    encoder, tokens = make_encoder(features=features), make_tokens()
    weights = {variable.path: variable.numpy() for variable in encoder.variables}
    tables = features or [np.eye(size) for size in CLASSES]
    inputs = np.concatenate(
        [table[tokens[..., track]] for track, table in enumerate(tables)], axis=-1
    )
    segments = [keras_level(weights, 0, 5, part) for part in np.split(inputs, 4, axis=1)]
    final = keras_level(weights, 1, 3, np.stack(segments, axis=1))
    mu, sigma = encoder(tokens, training=training)
    expected = {
        name: final @ weights[f"encoder/{name}/kernel"] + weights[f"encoder/{name}/bias"]
        for name in ("mu", "sigma")
    }
    np.testing.assert_allclose(mu, expected["mu"], atol=1e-5)
    np.testing.assert_allclose(sigma, np.log1p(np.exp(expected["sigma"])), atol=1e-5)


def test_one_number_of_units_is_for_both_levels():
    shapes = {v.path: tuple(v.shape) for v in make_encoder(3).variables}
    assert shapes["encoder/level_0_forward/kernel"] == (10, 12)
    assert shapes["encoder/level_1_backward/kernel"] == (6, 12)


def test_steps_that_cannot_be_cut_are_refused_with_both_numbers():
    with pytest.raises(ValueError, match=r"multiple of num_segments=4\. Received: 10 steps"):
        make_encoder()(make_tokens(steps=10))


def test_a_piece_of_a_window_is_cut_in_segments_of_the_windows_length():
    of_windows, of_pieces = make_encoder(num_steps=12), make_encoder(num_segments=2)
    of_pieces.set_weights(of_windows.get_weights())
    piece = make_tokens(steps=6)
    for ours, expected in zip(of_windows(piece), of_pieces(piece), strict=True):
        np.testing.assert_allclose(ours, expected, atol=1e-6)
    with pytest.raises(ValueError, match=r"segment_steps=3\. Received: 8 steps"):
        of_windows(make_tokens(steps=8))
    with pytest.raises(ValueError, match=r"multiple of num_segments=4\. Received: num_steps=10"):
        make_encoder(num_steps=10)


@pytest.mark.parametrize(
    "model, classes", [("hierdec_mel_32bar", 130), ("hierdec_trio_16bar", 772)]
)
def test_the_variant_gives_a_long_model_the_encoder(model, classes):
    files = [f"{model}.gin", "scale/tiny.gin", "variants/hierarchical_encoder.gin"]
    configured = configuration.parse(files, ("num_bars = 2", "num_segments = 4"))
    assert configured.experiment.table1_column is None
    with tf.Graph().as_default():
        encoder = configured.experiment.make_model().encoder
        shapes = {variable.path: tuple(variable.shape) for variable in encoder.variables}
    # hier-mel_16bar and hier-trio_16bar of Magenta's configs.py: enc_rnn_size=[1024]
    assert shapes["encoder/level_0_forward/kernel"] == (classes, 4096)
    assert shapes["encoder/level_1_backward/kernel"] == (2048, 4096)
    assert shapes["encoder/sigma/kernel"] == (2048, 8)
