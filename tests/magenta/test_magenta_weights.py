"""Imported models compute what Magenta computed from the same weights and inputs."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from magenta_vae import configuration
from magenta_vae.magenta import layers as magenta_layers
from magenta_vae.magenta import weights as magenta_weights
from magenta_vae.magenta.checkpoint import open_checkpoint
from magenta_vae.model import autoregressor, losses
from magenta_vae.training import precision

FIXTURES = Path(__file__).parents[1] / "fixtures" / "magenta"
DRUMS = "cat-drums_2bar_small"
WIDTHS = {
    "cat-mel_2bar_big": {"z_size": 5, "encoder_units": [7], "decoder_units": [6, 8, 4]},
    "cat-mel_2bar_small": {"z_size": 5, "encoder_units": [7], "decoder_units": [6, 8]},
    DRUMS: {"z_size": 5, "encoder_units": [7], "decoder_units": [6, 4]},
    "hierdec-mel_16bar": {
        "z_size": 5, "encoder_units": [7, 3], "conductor_units": [6, 4], "decoder_units": [6, 4],
    },
    "hierdec-trio_16bar": {
        "z_size": 5, "encoder_units": [4, 3], "conductor_units": [6, 4], "decoder_units": [6, 4],
    },
    "hier-mel_16bar": {
        "z_size": 5, "encoder_units": [7, 7], "conductor_units": [6, 4], "decoder_units": [6, 4],
    },
    "hier-trio_16bar": {
        "z_size": 5, "encoder_units": [3, 3], "conductor_units": [6, 4], "decoder_units": [6, 4],
    },
}  # fmt: skip
STRUCTURES = [*WIDTHS, f"{DRUMS}.lokl", f"{DRUMS}.hikl"]


def folder_of(config):
    return FIXTURES / config.removesuffix(".lokl").removesuffix(".hikl")


def parse(config, widths=None):
    """Returns the experiment of a configuration, with other widths."""
    params = [f"{name} = {value}" for name, value in (widths or {}).items()]
    return configuration.parse([f"magenta/{config}.gin"], params).experiment


def sketch(config, widths=None):
    """Returns the layers of a configuration, with other widths, without their weights."""
    with tf.Graph().as_default():
        return magenta_layers.model_layers(parse(config, widths).make_model())


@pytest.fixture(scope="module", params=STRUCTURES)
def imported(request):
    """Returns a model with imported weights, and what Magenta computed with them."""
    config = request.param
    with open_checkpoint(str(folder_of(config))) as checkpoint:
        widths = magenta_weights.find_widths(sketch(config), checkpoint.shapes)
        assert widths == WIDTHS[folder_of(config).name]
        magenta_weights.check_shapes(sketch(config, widths), checkpoint)
        model = parse(config, widths).make_model()
        magenta_weights.load_weights(magenta_layers.model_layers(model), checkpoint)
    arrays = np.load(folder_of(config) / "expected.npz")
    return model, {name: arrays[name] for name in arrays}


def test_the_configurations_are_the_released_ones():
    assert configuration.magenta_configurations() == sorted(STRUCTURES)


def test_mu_and_sigma(imported):
    model, expected = imported
    mu, sigma = model.encode(tf.constant(expected["tokens"], tf.int32))
    np.testing.assert_allclose(mu, expected["mu"], atol=1e-5)
    np.testing.assert_allclose(sigma, expected["sigma"], atol=1e-5)


def test_teacher_forced_logits_and_reconstruction_loss(imported):
    model, expected = imported
    tokens = tf.constant(expected["tokens"], tf.int32)
    logits = model.decode(tf.constant(expected["z"]), tokens)
    at_steps = np.concatenate(logits, axis=-1)[:, expected["logit_steps"]]
    np.testing.assert_allclose(at_steps, expected["logits"], atol=1e-4)
    loss = losses.cross_entropy(logits, tokens)
    np.testing.assert_allclose(loss, expected["reconstruction_loss"], rtol=1e-4)


def test_greedy_tokens(imported):
    model, expected = imported
    tokens = model.sample(tf.constant(expected["z"]), autoregressor.greedy)
    np.testing.assert_array_equal(tokens, expected["greedy_tokens"])
    assert len(np.unique(tokens)) > 4  # not one token for ever


@pytest.mark.parametrize("config", ["cat-mel_2bar_big", f"{DRUMS}.lokl"])
def test_mixed_precision_computes_the_same_roughly(config):
    experiment = parse(config, WIDTHS[folder_of(config).name])
    encoded = []
    for policy in ("float32", "mixed_bfloat16"):
        keras.utils.set_random_seed(0)
        with precision.dtype_policy(policy):
            model = experiment.make_model()
        tokens = tf.constant(np.load(folder_of(config) / "expected.npz")["tokens"], tf.int32)
        encoded.append(np.concatenate(model.encode(tokens), axis=-1))
    assert encoded[1].dtype == np.float32
    np.testing.assert_allclose(*encoded, atol=0.05)
    assert not np.array_equal(*encoded)


def test_every_weight_was_assigned(imported):
    model, _ = imported
    layers = magenta_layers.model_layers(model)
    assert sum(len(layer.variables) for layer in layers) == len(model.variables)


@pytest.mark.parametrize("config", WIDTHS)
def test_released_widths_are_the_configurations_own(config):
    """What Magenta's configs.py says: sizes of z, of the encoder's and of the decoder's layers."""
    shapes = {name: shape for layer in sketch(config) for name, shape in layer.shapes.items()}
    z_size, encoder, decoder = {
        "cat-mel_2bar_big": (512, [2048], [2048, 2048, 2048]),
        "cat-mel_2bar_small": (256, [512], [256, 256]),
        DRUMS: (256, [512], [256, 256]),
        "hierdec-mel_16bar": (512, [2048, 2048], [1024, 1024]),
        "hierdec-trio_16bar": (512, [2048, 2048], [1024, 1024]),
        "hier-mel_16bar": (512, [1024, 1024], [1024, 1024]),
        "hier-trio_16bar": (512, [1024, 1024], [1024, 1024]),
    }[config]
    widths = magenta_weights.find_widths(sketch(config), shapes)
    assert widths["z_size"] == z_size
    assert widths["encoder_units"] == encoder
    assert widths["decoder_units"] == widths.get("conductor_units", decoder) == decoder


def refusal(config, folder):
    with open_checkpoint(str(FIXTURES / folder)) as checkpoint:
        widths = magenta_weights.find_widths(sketch(config), checkpoint.shapes)
        with pytest.raises(ValueError, match="of another configuration") as caught:
            magenta_weights.check_shapes(sketch(config, widths), checkpoint)
    return str(caught.value).splitlines()


def test_another_configuration_is_refused_with_all_that_differs():
    message = "\n".join(lines := refusal("cat-mel_2bar_big", DRUMS))
    scope = "decoder/multi_rnn_cell/cell_2/lstm_cell"
    assert f"  missing: {scope}/bias [8192]" in lines  # The width remains the configuration's.
    assert "  of another shape: decoder/output_projection/bias, expected [90], found [512]" in lines
    kernel = "encoder/cell_0/bidirectional_rnn/fw/multi_rnn_cell/cell_0/lstm_cell/kernel"
    assert f"  of another shape: {kernel}, expected [97, 28], found [17, 28]" in lines
    assert "unexpected" not in message
    lines = refusal(DRUMS, "cat-mel_2bar_big")
    assert f"  unexpected: {scope}/bias [16]" in lines
    message = "\n".join(lines)
    assert "missing" not in message
    assert "Adam" not in message  # The optimizer's variables are none of the model's.
    assert "global_step" not in message
    assert "power" not in message


def test_a_trio_is_no_melody():
    lines = refusal("hierdec-mel_16bar", "hierdec-trio_16bar")
    assert "  missing: core_decoder/decoder/output_projection/bias [90]" in lines
    assert "  unexpected: core_decoder/core_decoder_2/decoder/output_projection/bias [512]" in lines
    kernel = "encoder/cell_0/bidirectional_rnn/bw/multi_rnn_cell/cell_0/lstm_cell/kernel"
    assert f"  of another shape: {kernel}, expected [94, 16], found [696, 16]" in lines


def test_gates_and_states_are_reordered():
    # Two units; each gate is known by its number: input 0, cell 1, forget 2, output 3.
    bias = np.repeat([0.0, 10.0, 20.0, 30.0], 2)
    kernel = np.arange(3)[:, None] + bias
    weights = magenta_layers.convert_lstm(kernel, bias, num_inputs=1)
    order = np.repeat([0.0, 20.0, 10.0, 30.0], 2)
    np.testing.assert_array_equal(weights["bias"], order + np.repeat([0, 1, 0, 0], 2))
    np.testing.assert_array_equal(weights["kernel"], [order])
    np.testing.assert_array_equal(weights["recurrent_kernel"], [order + 1, order + 2])
    states = np.array([["c0", "c0", "h0", "h0", "c1", "h1"]])
    expected = [["h0", "h0", "c0", "c0", "h1", "c1"]]
    assert magenta_layers.hidden_first(states, [2, 1]).tolist() == expected
