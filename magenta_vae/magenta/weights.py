"""A checkpoint of Magenta's -> the weights of our models, once all of them fit."""

import re
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from magenta_vae.magenta.layers import Layer

# The macros of gin_configs/magenta whose values are read from a checkpoint, and the layers that
# they are the units of.
_UNITS = {
    "encoder_units": r"encoder/(forward_\d+|level_\d_forward)",
    "conductor_units": r"conductor/lstm_\d+",
    "decoder_units": r"decoder/(flat|track_0)/lstm_\d+",
}
# Below an LSTM layer's bias, where files of ours keep the forget gate's as it was: without the 1
# that Magenta adds, float32 does not hold every last digit of it.
FORGET_BIAS = "bias/forget"
_SLOT = re.compile(r"(.+)/[^/]+")  # The optimizer's, named after the variable it belongs to.
_TRAINING = re.compile(r"global_step|(.+/)?beta[12]_power(_\d+)?")


class Variables(Protocol):
    """What weights are read from: a checkpoint of TensorFlow 1, or the files of magenta.js.

    Attributes:
        source: what the user calls it, for messages.
        shapes: of the variables, by name.
    """

    source: str
    shapes: dict[str, tuple[int, ...]]

    @property
    def step(self) -> int:
        """The training step, at least 1."""

    def read(self, name: str) -> np.ndarray:
        """Returns one variable."""


def find_widths(layers: Sequence[Layer], shapes: Mapping[str, tuple]) -> dict:
    """Returns what a checkpoint's own shapes say of the macros of `gin_configs/magenta`.

    Args:
        layers: of a model with the right number of layers, of any widths.
        shapes: of the checkpoint's variables. Where one is missing the layer's width remains.
    """

    def width(layer: Layer) -> int:
        name = f"{layer.scopes[0]}/bias"
        (size,) = layer.shapes[name]
        shape = shapes.get(name, ())
        return shape[0] if len(shape) == 1 and shape[0] > 0 else size

    widths: dict = {}
    for macro, pattern in _UNITS.items():
        if stack := [layer for layer in layers if re.fullmatch(pattern, layer.path)]:
            widths[macro] = [max(width(layer) // 4, 1) for layer in stack]
    (mu,) = (layer for layer in layers if layer.path == "encoder/mu")
    return {"z_size": width(mu), **widths}


def find_misnamed(
    layers: Sequence[Layer], shapes: Mapping[str, tuple]
) -> tuple[list[str], list[str]]:
    """Returns the variables that a checkpoint lacks for these layers, and those that it has more.

    Args:
        layers: of a model.
        shapes: of the checkpoint's variables.
    """
    expected = {name for layer in layers for name in layer.shapes}
    missing = [name for layer in layers for name in layer.shapes if name not in shapes]
    unknown = sorted(name for name in shapes if name not in expected)
    return missing, [name for name in unknown if not _is_training(name, shapes)]


def check_shapes(layers: Sequence[Layer], checkpoint: Variables) -> None:
    """Raises `ValueError` where a checkpoint is not of these layers, with all that differs."""
    shapes = checkpoint.shapes
    expected = {name: shape for layer in layers for name, shape in layer.shapes.items()}
    missing, unexpected = find_misnamed(layers, shapes)
    differences = [
        *(f"missing: {name} {_text(expected[name])}" for name in missing),
        *(f"unexpected: {name} {_text(shapes[name])}" for name in unexpected),
        *(
            f"of another shape: {name}, expected {_text(shape)}, found {_text(shapes[name])}"
            for name, shape in expected.items()
            if name in shapes and shapes[name] != shape
        ),
    ]
    if differences:
        raise ValueError(
            f"{checkpoint.source} is a checkpoint of another configuration:\n  "
            + "\n  ".join(differences)
        )


def load_weights(layers: Sequence[Layer], checkpoint: Variables) -> None:
    """Assigns a checkpoint's weights, a layer at a time. The optimizer's slots are not read."""
    for layer in layers:
        weights = layer.convert(*(checkpoint.read(name) for name in layer.shapes))
        if (exact := f"{layer.scopes[0]}/{FORGET_BIAS}") in checkpoint.shapes:
            num_units = len(weights["bias"]) // 4
            weights["bias"][num_units : 2 * num_units] = checkpoint.read(exact)
        for name, variable in layer.variables.items():
            variable.assign(weights[name])


def _is_training(name: str, shapes: Mapping[str, tuple]) -> bool:
    """Says whether a variable is needed for training alone: the step, or one of the optimizer."""
    slot = _SLOT.fullmatch(name)
    return bool(_TRAINING.fullmatch(name) or (slot and slot[1] in shapes))


def _text(shape: Sequence[int]) -> str:
    return str(list(shape))
