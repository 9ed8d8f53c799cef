"""The weights of a model as @magenta/music reads them, and read again."""

import os
from collections.abc import Sequence

import numpy as np

from magenta_vae.contracts import LatentModel, Vocabulary
from magenta_vae.magenta import javascript_files, javascript_spec
from magenta_vae.magenta.layers import Layer, model_layers
from magenta_vae.magenta.weights import FORGET_BIAS

MAX_NAME = 100  # Characters.
_EMBEDDING = "decoder/hierarchical_level_0/embedding"


class JavaScriptModel:
    """A model of @magenta/music in a folder, as weights that can be imported.

    Args:
        folder: with `config.json`, `weights_manifest.json` and the shards.

    Attributes:
        source: the folder, for messages.
        spec: what `config.json` says.
        shapes: of the variables, by name.

    Raises:
        FileNotFoundError: where a file is missing.
        ValueError: where a file is damaged.
    """

    def __init__(self, folder: str):
        self.source = folder
        self.spec = javascript_spec.read(folder)
        own = self.spec.get(javascript_spec.OWN)
        self._own = own if isinstance(own, dict) else {}
        self._arrays = javascript_files.read(folder)
        self.shapes = {name: array.shape for name, array in self._arrays.items()}

    @property
    def name(self) -> str:
        """What the model is called: as its folder says, else as that is called."""
        name = self._own.get("name")
        if isinstance(name, str) and name.isprintable() and 0 < len(name) <= MAX_NAME:
            return name
        return os.path.basename(os.path.realpath(self.source))

    @property
    def step(self) -> int:
        """The training step that the folder says, at least 1."""
        step = self._own.get("step")
        return step if type(step) is int and 0 < step < 2**63 else 1

    def read(self, name: str) -> np.ndarray:
        """Returns one variable, float32."""
        return self._arrays[name]


def has_embedding(model: LatentModel) -> bool:
    """Says whether a model's conductor has a linear embedding."""
    return any(variable.path.startswith("conductor/embedding/") for variable in model.variables)


def collect(
    model: LatentModel, tracks: Sequence[Vocabulary], exact: bool = True
) -> dict[str, np.ndarray]:
    """Returns the weights of a model by the names of Magenta's variables, float32.

    A conductor's linear embedding, which Magenta's models do not have, is multiplied into what
    reads it: the initial states and the first layer of the lower level.

    Args:
        model: that `javascript_spec.describe` accepts.
        tracks: the vocabularies of its windows.
        exact: whether to add what an import needs to find forget biases to their last digit. It
            is not read by @magenta/music.
    """
    arrays: dict[str, np.ndarray] = {}
    for layer in model_layers(model, javascript_spec.class_orders(tracks)):
        arrays |= layer.restore()
        if exact and layer.is_lstm:
            arrays |= _find_rounded(layer)
    if has_embedding(model):
        _fold(arrays)
    return arrays


def _find_rounded(layer: Layer) -> dict[str, np.ndarray]:
    """Returns the forget bias of a layer whose import would differ in a last digit, else {}."""
    bias = np.asarray(layer.variables["bias"])
    again = layer.convert(*layer.restore().values())["bias"]
    num_units = len(bias) // 4
    forget = bias[num_units : 2 * num_units]
    return {} if np.array_equal(bias, again) else {f"{layer.scopes[0]}/{FORGET_BIAS}": forget}


def _fold(arrays: dict[str, np.ndarray]) -> None:
    """Multiplies the embedding into what reads it; computed in double precision."""
    kernel, bias = (
        arrays.pop(f"{_EMBEDDING}/{name}").astype(np.float64) for name in ("kernel", "bias")
    )
    size = kernel.shape[1]
    readers = [name for name in arrays if name.endswith("decoder/z_to_initial_state/kernel")]
    for reader in readers:
        prefix = reader.removesuffix("z_to_initial_state/kernel")
        first = f"{prefix}multi_rnn_cell/cell_0/lstm_cell/kernel"
        num_classes = len(arrays[f"{prefix}output_projection/bias"])
        # What reads the embedding, and the first row of it there.
        for name, start in ((reader, 0), (first, num_classes)):
            before, own, after = np.split(arrays[name], [start, start + size])
            bias_name = name.removesuffix("kernel") + "bias"
            arrays[bias_name] = (arrays[bias_name] + bias @ own).astype(np.float32)
            folded = (kernel @ own).astype(np.float32)
            arrays[name] = np.concatenate([before, folded, after])
            arrays.pop(f"{name.removesuffix('kernel')}{FORGET_BIAS}", None)  # of the bias before
