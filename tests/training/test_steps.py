"""A training step's options: each takes the steps that a plain step takes, or nearly."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from magenta_vae.model import decoders, schedules
from magenta_vae.model.encoders import BidirectionalLSTM
from magenta_vae.model.music_vae import MusicVAE
from magenta_vae.training import steps

BATCH, STEPS, Z, CLASSES = 8, 8, 3, (7, 9)
CHUNK = 3  # training steps


def flat(**options):
    return decoders.FlatDecoder(CLASSES, STEPS, Z, 5, 2, **options)


def hierarchical(**options):
    conductor = decoders.Conductor(Z, 2, 4, 5, 1)
    return decoders.HierarchicalDecoder(CLASSES, STEPS, conductor, 5, 2, **options)


DECODERS = pytest.mark.parametrize("make_decoder", [flat, hierarchical])


def make_vae(make_decoder=flat, **options):
    keras.utils.set_random_seed(1)
    return MusicVAE(
        BidirectionalLSTM(CLASSES, 5, Z, **options),
        make_decoder(**options),
        ("lead", "bass"),
        free_bits=0,
        beta=schedules.Constant(1.0),
        sampling_probability=schedules.Constant(0.5),
    )


def make_chunk():
    rng = np.random.default_rng(0)
    columns = [rng.integers(n, size=(CHUNK, BATCH, STEPS)) for n in CLASSES]
    return tf.constant(np.stack(columns, axis=-1), tf.int32)


def take_steps(vae, optimizer=None, clip_norm=1.0, **options):
    """Takes the steps of a chunk; returns their metrics and the weights after them."""
    optimizer = optimizer or keras.optimizers.SGD(0.1)  # Adam's first steps hide sizes.
    optimizer.build(vae.trainable_variables)
    strategy = tf.distribute.get_strategy()
    train_steps = steps.make_train_steps(vae, optimizer, strategy, BATCH, 3, clip_norm, **options)
    metrics = train_steps(make_chunk())
    return {name: values.numpy() for name, values in metrics.items()}, vae.get_weights()


def assert_same(one, other, rtol=1e-5, atol=1e-6):
    for name, values in one[0].items():
        np.testing.assert_allclose(other[0][name], values, rtol, err_msg=name)
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


@pytest.mark.parametrize("micro_batch_size", [3, 16, 0, -1])
def test_a_micro_batch_that_does_not_divide_is_refused(micro_batch_size):
    match = rf"has of a batch, 8. Received: micro_batch_size={micro_batch_size}\."
    with pytest.raises(ValueError, match=match):
        take_steps(make_vae(), micro_batch_size=micro_batch_size)
