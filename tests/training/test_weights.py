"""Models that are made to be loaded."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from magenta_vae import configuration
from magenta_vae.training import checkpoints, published_weights, tracked, weights


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


class Listed(keras.Model):
    """Keras keeps lists of layers to itself: TensorFlow finds those variables nowhere."""

    def __init__(self, sizes=(2, 3)):
        super().__init__()
        self.own = keras.layers.Dense(4)
        self.listed = [keras.layers.Dense(size) for size in sizes]
        for layer in (self.own, *self.listed):
            layer.build([None, 4])
            layer.bias.assign(tf.range(1.0, 1.0 + layer.units))
        self.built = True


def test_layers_in_lists_are_saved_and_read(tmp_path):
    model = Listed()
    checkpoints.BestCheckpoint(str(tmp_path), model).offer(3, loss=1.0)
    other = Listed()
    for variable in other.variables:
        variable.assign(tf.zeros_like(variable))
    assert weights.load_weights(str(tmp_path), other, "best") == 3
    for variable, expected in zip(other.variables, model.variables, strict=True):
        np.testing.assert_array_equal(variable, expected, err_msg=variable.path)


def test_layers_in_lists_start_another_run(tmp_path):
    model, lines = Listed(), []
    checkpoints.BestCheckpoint(str(tmp_path), model).offer(3, loss=1.0)
    path, _ = weights.find_checkpoint(str(tmp_path), "best")
    other = Listed()
    weights.initialize(other, path, report=lines.append)
    np.testing.assert_array_equal(other.listed[1].kernel, model.listed[1].kernel)
    assert "6 of 6 weights" in lines[0]
    with pytest.raises(ValueError, match=r"\(4, 5\) is \(4, 3\) there"):
        weights.initialize(Listed((2, 5)), path)


def test_the_checkpoints_of_this_packages_models_hold_the_model_alone():
    model = configuration.parse(["hierdec_trio_16bar.gin", "scale/tiny.gin"]).experiment.make_model
    assert list(tracked.checkpointed_objects(model())) == ["model"]


@pytest.mark.parametrize("published", [False, True], ids=["checkpoint", "published"])
def test_the_lower_level_starts_from_a_flat_model(published, tmp_path):
    flat = configuration.parse(["mel_2bar.gin", "scale/tiny.gin"]).experiment.make_model()
    if published:
        path = str(tmp_path / published_weights.FILE)
        published_weights.write(path, flat, 3)
    else:
        checkpoints.BestCheckpoint(str(tmp_path), flat).offer(3, loss=1.0)
        path, _ = weights.find_checkpoint(str(tmp_path), "best")
    gin_files = ["hierdec_mel_32bar.gin", "scale/tiny.gin", "variants/hierarchical_encoder.gin"]
    params = ["encoder_units = 16", "decoders.HierarchicalDecoder.num_units = 16"]
    long = configuration.parse(gin_files, params).experiment.make_model()
    with pytest.raises(ValueError, match="encoder/level_0_forward/kernel .* is not in the"):
        weights.initialize(long, path)
    weights.initialize(long, path, partial=True)
    values = {variable.path: variable.numpy() for variable in flat.variables}
    pairs = {
        "encoder/forward/": "encoder/level_0_forward/",
        "encoder/backward/": "encoder/level_0_backward/",
        "decoder/flat/": "decoder/track_0/",
    }
    taken = 0
    for variable in long.variables:
        for name, level in pairs.items():
            if variable.path.startswith(level):
                expected = values[variable.path.replace(level, name)]
                expected = expected.astype(np.float16) if published else expected
                np.testing.assert_array_equal(variable, expected, err_msg=variable.path)
                taken += 1
    assert taken == len(values) - len(("mu_and_sigma/kernel", "mu_and_sigma/bias"))
