"""Magenta's variables -> the weights of our models.

What differs is found here and nowhere else: the names; the order of the gates (LSTMBlockCell's is
input, cell, forget, output, ours input, forget, cell, output); a forget bias of 1, which
LSTMBlockCell adds at every step and we keep in the bias; one kernel for input and state; initial
states that begin with the cell; and the one zero that Magenta's conductor reads, whose row of the
kernel we do without.
"""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from magenta_vae.contracts import LatentModel
from magenta_vae.magenta.checkpoint import Checkpoint

# The scope of each layer's variables, by our path of the layer.
_CORE = {
    "initial_state": "decoder/z_to_initial_state",
    r"lstm_(\d+)": r"decoder/multi_rnn_cell/cell_\1/lstm_cell",
    "logits": "decoder/output_projection",
}
_CELL = r"bidirectional_rnn/{}/multi_rnn_cell/cell_0/lstm_cell"
_SCOPES = {
    r"encoder/forward_(\d+)": r"encoder/cell_\1/" + _CELL.format("fw"),
    r"encoder/backward_(\d+)": r"encoder/cell_\1/" + _CELL.format("bw"),
    r"encoder/(mu|sigma)": r"encoder/\1",
    "conductor/initial_state": "decoder/hierarchical_level_0/initial_state",
    r"conductor/lstm_(\d+)": r"decoder/hierarchical_level_0/cell_\1/lstm_cell",
    **{f"decoder/flat/{ours}": theirs for ours, theirs in _CORE.items()},
}
# The lower level of a hierarchy, of one track or of several.
_ONLY_TRACK = {f"decoder/track_0/{ours}": f"core_decoder/{own}" for ours, own in _CORE.items()}

# The macros of gin_configs/magenta whose values are read from a checkpoint, and the layers that
# they are the units of.
_UNITS = {
    "encoder_units": r"encoder/forward_\d+",
    "conductor_units": r"conductor/lstm_\d+",
    "decoder_units": r"decoder/(flat|track_0)/lstm_\d+",
}
_SLOT = re.compile(r"(.+)/[^/]+")  # The optimizer's, named after the variable it belongs to.
_TRAINING = re.compile(r"global_step|(.+/)?beta[12]_power(_\d+)?")


class Layer(NamedTuple):
    """A layer of ours, and where Magenta keeps it.

    Attributes:
        path: our name for it.
        scope: what Magenta's variables of it begin with.
        variables: ours, by the last of their names.
        units: of a layer that makes initial states, the units of the layers they are for.
    """

    path: str
    scope: str
    variables: dict
    units: Sequence[int]

    @property
    def is_lstm(self) -> bool:
        """Whether it is an LSTM layer, else a linear one."""
        return "recurrent_kernel" in self.variables

    @property
    def num_inputs(self) -> int:
        """The rows of Magenta's kernel that are the input's; a conductor reads one zero."""
        kernel = self.variables.get("kernel")
        return 1 if kernel is None else kernel.shape[0]

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Magenta's variables of it and their shapes."""
        rows, columns = self.num_inputs, self.variables["bias"].shape[0]
        if self.is_lstm:
            rows += columns // 4
        return {f"{self.scope}/kernel": (rows, columns), f"{self.scope}/bias": (columns,)}

    def convert(self, kernel: np.ndarray, bias: np.ndarray) -> dict[str, np.ndarray]:
        """Returns our weights of Magenta's, by the names of our variables."""
        if self.is_lstm:
            return convert_lstm(kernel, bias, self.num_inputs)
        if self.units:
            kernel, bias = (hidden_first(array, self.units) for array in (kernel, bias))
        return {"kernel": kernel, "bias": bias}


def model_layers(model: LatentModel) -> list[Layer]:
    """Returns the layers of a model of `gin_configs/magenta`.

    Raises:
        ValueError: for a layer that Magenta's models do not have.
    """
    variables: dict[str, dict] = {}
    for variable in model.variables:
        path, _, name = variable.path.rpartition("/")
        variables.setdefault(path, {})[name] = variable
    scopes = _SCOPES | (_track_scopes() if "decoder/track_1/logits" in variables else _ONLY_TRACK)
    units = {
        path: variables_of_layer["bias"].shape[0] // 4
        for path, variables_of_layer in variables.items()
    }
    layers = []
    for path, variables_of_layer in variables.items():
        parent, _, name = path.rpartition("/")
        stack = [units[other] for other in units if re.fullmatch(rf"{parent}/lstm_\d+", other)]
        layers.append(
            Layer(
                path,
                _scope(path, scopes),
                variables_of_layer,
                stack if name == "initial_state" else (),
            )
        )
    return layers


def find_widths(layers: Sequence[Layer], shapes: Mapping[str, tuple]) -> dict:
    """Returns what a checkpoint's own shapes say of the macros of `gin_configs/magenta`.

    Args:
        layers: of a model with the right number of layers, of any widths.
        shapes: of the checkpoint's variables. Where one is missing the layer's width remains.
    """

    def width(layer: Layer) -> int:
        name = f"{layer.scope}/bias"
        (size,) = layer.shapes[name]
        shape = shapes.get(name, ())
        return shape[0] if len(shape) == 1 and shape[0] > 0 else size

    widths: dict = {}
    for macro, pattern in _UNITS.items():
        if stack := [layer for layer in layers if re.fullmatch(pattern, layer.path)]:
            widths[macro] = [max(width(layer) // 4, 1) for layer in stack]
    (mu,) = (layer for layer in layers if layer.path == "encoder/mu")
    return {"z_size": width(mu), **widths}


def check_shapes(layers: Sequence[Layer], checkpoint: Checkpoint) -> None:
    """Raises `ValueError` where a checkpoint is not of these layers, with all that differs."""
    shapes = checkpoint.shapes
    expected = {name: shape for layer in layers for name, shape in layer.shapes.items()}
    unknown = [name for name in shapes if name not in expected]
    unexpected = [name for name in unknown if not _is_training(name, shapes)]
    differences = [
        *(f"missing: {name} {_text(expected[name])}" for name in expected if name not in shapes),
        *(f"unexpected: {name} {_text(shapes[name])}" for name in sorted(unexpected)),
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


def load_weights(layers: Sequence[Layer], checkpoint: Checkpoint) -> None:
    """Assigns a checkpoint's weights, a layer at a time. The optimizer's slots are not read."""
    for layer in layers:
        weights = layer.convert(*(checkpoint.read(name) for name in layer.shapes))
        for name, variable in layer.variables.items():
            variable.assign(weights[name])


def convert_lstm(kernel: np.ndarray, bias: np.ndarray, num_inputs: int) -> dict[str, np.ndarray]:
    """Returns the kernel, recurrent kernel and bias of an LSTMBlockCell's kernel and bias.

    Args:
        kernel: [num_inputs + U, 4U], the gates in the order input, cell, forget, output.
        bias: [4U], to whose forget gate LSTMBlockCell adds 1.
        num_inputs: how many rows are the input's.
    """
    kernel, bias = _forget_second(kernel), _forget_second(bias)
    num_units = len(bias) // 4
    bias[num_units : 2 * num_units] += 1
    return {"kernel": kernel[:num_inputs], "recurrent_kernel": kernel[num_inputs:], "bias": bias}


def hidden_first(states: np.ndarray, units: Sequence[int]) -> np.ndarray:
    """Exchanges the cell and the hidden state of each layer in [..., 2 * sum(units)] columns."""
    ends = np.cumsum([size for size in units for _ in range(2)])
    blocks = np.split(states, ends[:-1], axis=-1)
    pairs = zip(blocks[1::2], blocks[::2], strict=True)
    return np.concatenate([block for pair in pairs for block in pair], axis=-1)


def _forget_second(gates: np.ndarray) -> np.ndarray:
    """[..., 4U]: input, cell, forget, output -> input, forget, cell, output."""
    inputs, cell, forget, output = np.split(gates, 4, axis=-1)
    return np.concatenate([inputs, forget, cell, output], axis=-1)


def _track_scopes() -> dict[str, str]:
    return {
        # The track's number comes first: that of an LSTM layer is the second.
        rf"decoder/track_(\d+)/{ours}": rf"core_decoder/core_decoder_\1/{theirs}".replace(
            r"cell_\1", r"cell_\2"
        )
        for ours, theirs in _CORE.items()
    }


def _scope(path: str, scopes: Mapping[str, str]) -> str:
    for pattern, scope in scopes.items():
        if match := re.fullmatch(pattern, path):
            return match.expand(scope)
    raise ValueError(f"{path} is no layer of the models that Magenta released.")


def _is_training(name: str, shapes: Mapping[str, tuple]) -> bool:
    """Says whether a variable is needed for training alone: the step, or one of the optimizer."""
    slot = _SLOT.fullmatch(name)
    return bool(_TRAINING.fullmatch(name) or (slot and slot[1] in shapes))


def _text(shape: Sequence[int]) -> str:
    return str(list(shape))
