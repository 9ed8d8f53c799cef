"""What TensorBoard's projector is given, as its plugin reads it."""

import numpy as np
import tensorflow as tf
from tensorboard.backend.event_processing import data_provider, plugin_event_multiplexer
from tensorboard.plugins import base_plugin
from tensorboard.plugins.projector import projector_plugin

from magenta_vae.training import projector

MU = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
METADATA = {
    "song": ["a\tb.mid", "ü.mid", "c\udcff.mid", "d.mid"],
    "density": np.array([1, 2.5, np.nan, 4]),
}


def read(logdir):
    """The configurations that the plugin finds, and the vectors of the first."""
    multiplexer = plugin_event_multiplexer.EventMultiplexer().AddRunsFromDirectory(str(logdir))
    multiplexer.Reload()
    provider = data_provider.MultiplexerDataProvider(multiplexer, str(logdir))
    context = base_plugin.TBContext(logdir=str(logdir), data_provider=provider)
    plugin = projector_plugin.ProjectorPlugin(context)
    plugin._update_configs()
    tensors = {
        run: plugin.tensor_cache.get((run, config.embeddings[0].tensor_name))
        for run, config in plugin._configs.items()
    }
    return plugin._configs, tensors


def test_the_plugin_finds_the_vectors_beside_the_curves(tmp_path):
    folder = tmp_path / "run" / "eval"
    with tf.summary.create_file_writer(str(folder)).as_default(step=1):
        tf.summary.scalar("loss", 1.0)
    projector.write(str(folder), np.zeros([2, 3]), {"song": ["x", "y"], "bar": [1, 2]})
    projector.write(str(folder), MU, METADATA)  # In the place of the first.
    configs, tensors = read(tmp_path)
    assert list(configs) == ["run/eval"]
    (embedding,) = configs["run/eval"].embeddings
    assert embedding.tensor_name == "mu of 4 held-out windows"
    assert list(embedding.tensor_shape) == [4, 3]
    np.testing.assert_allclose(tensors["run/eval"], MU, rtol=1e-4)
    rows = (folder / embedding.metadata_path).read_text(encoding="utf-8").splitlines()
    assert rows == ["song\tdensity", "a b.mid\t1", "ü.mid\t2.5", "c?.mid\t", "d.mid\t4"]


def test_a_single_column_has_no_heading(tmp_path):
    projector.write(str(tmp_path), MU, {"density": np.arange(4.0)})
    assert (tmp_path / projector.METADATA).read_text().splitlines() == ["0", "1", "2", "3"]
