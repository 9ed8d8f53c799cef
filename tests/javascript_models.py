"""Tiny models for @magenta/music, with weights that matter, and what they are on our side."""

import dataclasses
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from magenta_vae import configuration
from magenta_vae.magenta import javascript_spec, weights
from magenta_vae.magenta.javascript_weights import JavaScriptModel
from magenta_vae.serving import javascript
from magenta_vae.workflows import magenta_configurations

TANH = "variants/tanh_states.gin"
LEVELS = "variants/hierarchical_encoder.gin"
TINY = "scale/tiny.gin"
SMALL = ("z_size = 8", "encoder_units = 6", "decoder_units = 7")
SHORT = ("num_bars = 4", "num_segments = 4")
LONG = [TANH, LEVELS, TINY], ("encoder_units = [6, 5]", *SHORT)
# name -> (gin files, bindings).
MODELS: dict[str, tuple[list[str], tuple[str, ...]]] = {
    "melody": (["mel_2bar.gin", TANH, TINY], ()),
    "melody_of_90": (["magenta/cat-mel_2bar_small.gin"], SMALL),
    "drums": (["drums_2bar.gin", TANH, TINY], ()),
    "drums_by_hits": (["magenta/cat-drums_2bar_small.gin"], SMALL),
    "long_melody": (["hierdec_mel_32bar.gin", *LONG[0]], LONG[1]),
    "trio": (["hierdec_trio_16bar.gin", *LONG[0]], LONG[1]),
    "trio_of_90": (["magenta/hier-trio_16bar.gin"], (*SMALL, *SHORT, "conductor_units = 5")),
}


@dataclasses.dataclass
class Written:
    """A model, and the folder of its files."""

    model: Any
    configured: Any
    folder: str

    @property
    def window_format(self):
        return self.configured.experiment.settings.window_format

    @property
    def orders(self):
        """Which of our classes each of @magenta/music's is, of each track."""
        found = javascript_spec.class_orders(self.window_format.tracks)
        return found or [list(range(size)) for size in self.window_format.num_classes]

    def theirs(self, tokens):
        """Returns int [..., tracks] tokens in the classes of @magenta/music."""
        columns = [np.argsort(order)[tokens[..., k]] for k, order in enumerate(self.orders)]
        return np.stack(columns, axis=-1)

    def ours(self, tokens):
        """Returns int [..., tracks] classes of @magenta/music as our tokens."""
        tokens = np.asarray(tokens)
        columns = [np.array(order)[tokens[..., k]] for k, order in enumerate(self.orders)]
        return np.stack(columns, axis=-1)


def make(name, seed=0):
    """Returns a model whose every weight matters, and its configuration."""
    configured = configuration.parse(*MODELS[name])
    keras.utils.set_random_seed(seed)
    model = configured.experiment.make_model()
    random = np.random.default_rng(seed)
    for variable in model.variables:
        shape = tuple(variable.shape)
        scale = 0.5 if len(shape) == 1 else 3 / np.sqrt(min(shape[0], 20))
        variable.assign(scale * random.normal(size=shape))
    return model, configured


def write(name, folder, quantize_bytes=None):
    """Writes a model for @magenta/music and returns it as it is read again, if quantised."""
    model, configured = make(name)
    window_format = configured.experiment.settings.window_format
    facts = {"name": name, "step": 7}
    javascript.write(model, window_format, folder, quantize_bytes, facts, configured.text)
    if quantize_bytes:
        model, configured = read(folder)
    return Written(model, configured, folder)


def read(folder):
    """Returns the model that a folder holds, and its configuration."""
    source = JavaScriptModel(folder)
    _, configured = magenta_configurations.find(source, None)
    model = configured.experiment.make_model()
    weights.load_weights(magenta_configurations.layers_of(configured, model), source)
    return model, configured


def draw_tokens(window_format, batch_size=2, seed=1):
    """Returns random tokens of a model, int32 [batch, steps, tracks]."""
    random = np.random.default_rng(seed)
    shape = (batch_size, window_format.num_steps)
    columns = [random.integers(size, size=shape) for size in window_format.num_classes]
    return np.stack(columns, axis=-1).astype(np.int32)


def weights_of(model):
    return {variable.path: variable.numpy() for variable in model.variables}


def size_of(folder):
    return sum(path.stat().st_size for path in Path(folder).glob("group1-shard*"))


def encode(model, tokens):
    return [np.asarray(each) for each in model.encode(tf.constant(tokens, tf.int32))]
