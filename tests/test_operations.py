"""The benchmarks' list of a training step's matrix products."""

import pytest
import tensorflow as tf
from operations import Product, count_flops, list_products

from magenta_vae import configuration
from magenta_vae.model import lstm_steps
from magenta_vae.music.tokens import num_classes

BATCH_SIZE = 4


def tiny(name):
    """Returns what `list_products` takes of a tiny model."""
    experiment = configuration.parse([f"{name}.gin", "scale/tiny.gin"]).experiment
    with tf.Graph().as_default():  # No weights are drawn.
        model = experiment.make_model()
    classes = num_classes(experiment.settings.tracks)
    return model, classes, experiment.settings.num_steps, BATCH_SIZE


def test_each_weight_of_a_flat_model_meets_its_rows_three_times():
    # Encoder and decoder have 16 units and 64 gates, z 8 dimensions, the decoder two layers.
    each_step = 2 * 16 * 64 + 16 * 64 + (16 + 16) * 64 + 16 * 130
    once = 32 * (2 * 8) + 8 * (2 * 2 * 16) + 8 * 64  # mu and sigma, first states, z's gates
    assert count_flops(*tiny("mel_2bar")) == 2 * 3 * BATCH_SIZE * (32 * each_step + once)


@pytest.mark.parametrize(
    ("name", "product"),
    [
        # The gates of the decoder's second layer, from the one below and itself, at each step.
        ("mel_2bar", Product(BATCH_SIZE, 32, 64, "", count=32)),
        # What the gradient of these gates is turned into: that of the layer below and its own.
        ("mel_2bar", Product(BATCH_SIZE, 64, 32, "", count=32)),
        # The heads' weights: their gradient is taken over all steps at once.
        pytest.param(
            "mel_2bar",
            Product(16, 32 * BATCH_SIZE, 130, "first", count=1),
            marks=pytest.mark.slow,
        ),
        # The first layers of three decoders, whose 16 segments of 16 steps are rows; what the
        # embeddings add to their gates, and the first states.
        ("hierdec_trio_16bar", Product(16 * BATCH_SIZE, 8, 32, "", count=3 * 16 + 3 + 3)),
        # The conductor's second layer, once a segment.
        ("hierdec_trio_16bar", Product(BATCH_SIZE, 16, 32, "", count=16)),
    ],
)
def test_products_have_the_shapes_of_the_step(name, product):
    assert product in list_products(*tiny(name))


def test_layers_in_parts_have_as_many_products_of_half_the_columns(monkeypatch):
    flops = count_flops(*tiny("mel_2bar"))
    monkeypatch.setattr(lstm_steps, "count_parts", lambda units: 2)
    products = list_products(*tiny("mel_2bar"))
    assert Product(BATCH_SIZE, 32, 32, "", count=2 * 2 * 32) in products  # There and back.
    assert sum(each.flops for each in products) == flops
