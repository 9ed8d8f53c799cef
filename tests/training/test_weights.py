"""Models that are made to be loaded."""

import numpy as np
import tensorflow as tf

from magenta_vae import configuration
from magenta_vae.training import weights


def test_an_empty_model_is_the_model_with_zeros():
    parsed = configuration.parse(["hierdec_trio_16bar.gin", "scale/tiny.gin"])
    make_model = parsed.experiment.make_model
    network, empty = make_model(), weights.make_empty(make_model)
    expected = [(each.path, each.shape, each.dtype, each.trainable) for each in network.variables]
    found = [(each.path, each.shape, each.dtype, each.trainable) for each in empty.variables]
    assert found == expected
    assert all(not np.any(variable.numpy()) for variable in empty.variables)
    assert any(np.any(variable.numpy()) for variable in network.variables)
    z = tf.ones([2, network.z_size])
    for variable, value in zip(empty.variables, network.variables, strict=True):
        variable.assign(value)
    np.testing.assert_array_equal(empty.sample(z), network.sample(z))
