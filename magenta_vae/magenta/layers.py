"""The layers of our models, and how Magenta keeps the weights of each.

What differs is found here and nowhere else: the names; the order of the gates (LSTMBlockCell's is
input, cell, forget, output, ours input, forget, cell, output); a forget bias of 1, which
LSTMBlockCell adds at every step and we keep in the bias; one kernel for input and state; initial
states that begin with the cell; the one zero that Magenta's conductor reads, whose row of the
kernel we do without; and the order of the classes of a vocabulary that is not Magenta's.
"""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from magenta_vae.contracts import LatentModel

_CELL = r"bidirectional_rnn/{}/multi_rnn_cell/cell_0/lstm_cell"
_LEVEL = r"encoder/hierarchical_level_\1/cell_0/"
# The layers of a decoder that reads its own tokens.
_CORE = {
    "initial_state": "decoder/z_to_initial_state",
    r"lstm_(\d+)": r"decoder/multi_rnn_cell/cell_\1/lstm_cell",
    "logits": "decoder/output_projection",
}
# The scope of each layer's variables, by our path of the layer; of a layer that is two of
# Magenta's, the scopes of both.
_SCOPES = {
    r"encoder/forward_(\d+)": r"encoder/cell_\1/" + _CELL.format("fw"),
    r"encoder/backward_(\d+)": r"encoder/cell_\1/" + _CELL.format("bw"),
    "encoder/forward": "encoder/cell_0/" + _CELL.format("fw"),
    "encoder/backward": "encoder/cell_0/" + _CELL.format("bw"),
    r"encoder/level_(\d)_forward": _LEVEL + _CELL.format("fw"),
    r"encoder/level_(\d)_backward": _LEVEL + _CELL.format("bw"),
    r"encoder/(mu|sigma)": r"encoder/\1",
    "encoder/mu_and_sigma": "encoder/mu encoder/sigma",
    "conductor/initial_state": "decoder/hierarchical_level_0/initial_state",
    r"conductor/lstm_(\d+)": r"decoder/hierarchical_level_0/cell_\1/lstm_cell",
    "conductor/embedding": "decoder/hierarchical_level_0/embedding",  # Magenta's have none.
    **{f"decoder/flat/{ours}": theirs for ours, theirs in _CORE.items()},
}
# The lower level of a hierarchy, of one track or of several.
_ONLY_TRACK = {f"decoder/track_0/{ours}": f"core_decoder/{own}" for ours, own in _CORE.items()}

_READS_ALL = re.compile(
    r"encoder/(forward|backward)(_0)?|encoder/level_0_(forward|backward)|decoder/flat/lstm_0"
)
_READS_ONE = re.compile(r"decoder/track_(\d+)/lstm_0")
_WRITES = re.compile(r"decoder/(?:flat|track_(\d+))/logits")


class Layer(NamedTuple):
    """A layer of ours, and where Magenta keeps it.

    Attributes:
        path: our name for it.
        scopes: what Magenta's variables of it begin with; two where it is two of Magenta's layers.
        variables: ours, by the last of their names.
        units: of a layer that makes initial states, the units of the layers they are for.
        rows: of a layer that reads tokens, which of our rows each of Magenta's first is.
        columns: of a layer that writes tokens, which of our columns each of Magenta's is.
    """

    path: str
    scopes: Sequence[str]
    variables: dict
    units: Sequence[int] = ()
    rows: Sequence[int] = ()
    columns: Sequence[int] = ()

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
        rows, columns = self.num_inputs, self.variables["bias"].shape[0] // len(self.scopes)
        if self.is_lstm:
            rows += columns // 4
        each = {"kernel": (rows, columns), "bias": (columns,)}
        return {f"{scope}/{name}": each[name] for scope in self.scopes for name in each}

    def convert(self, *arrays: np.ndarray) -> dict[str, np.ndarray]:
        """Returns our weights of Magenta's, by the names of our variables.

        Args:
            *arrays: of the variables that `shapes` names, in its order.
        """
        kernel, bias = (np.concatenate(arrays[place::2], axis=-1) for place in range(2))
        if self.is_lstm:
            weights = convert_lstm(kernel, bias, self.num_inputs)
            if len(self.rows):
                weights["kernel"] = _put(weights["kernel"], self.rows)
            return weights
        if self.units:
            kernel, bias = (hidden_first(array, self.units) for array in (kernel, bias))
        if len(self.columns):
            kernel, bias = (_put(array.T, self.columns).T for array in (kernel, bias))
        return {"kernel": kernel, "bias": bias}

    def restore(self) -> dict[str, np.ndarray]:
        """Returns Magenta's weights of ours, by the names of its variables: `convert`, undone."""
        ours = {name: np.asarray(variable) for name, variable in self.variables.items()}
        kernel = ours.get("kernel", np.zeros((1, len(ours["bias"])), np.float32))
        bias = ours["bias"]
        if self.is_lstm:
            kernel = np.concatenate([kernel[list(self.rows)], kernel[len(self.rows) :]])
            kernel, bias = restore_lstm(kernel, ours["recurrent_kernel"], bias)
        if self.units:  # Exchanging twice leaves all where it was.
            kernel, bias = (hidden_first(array, self.units) for array in (kernel, bias))
        if len(self.columns):
            kernel, bias = (array[..., list(self.columns)] for array in (kernel, bias))
        halves = [np.split(array, len(self.scopes), axis=-1) for array in (kernel, bias)]
        parts = zip(*halves, strict=True)
        arrays = (np.ascontiguousarray(array) for part in parts for array in part)
        return dict(zip(self.shapes, arrays, strict=True))


def model_layers(
    model: LatentModel, class_orders: Sequence[Sequence[int]] | None = None
) -> list[Layer]:
    """Returns the layers of a model as Magenta would keep them.

    Args:
        model: of `gin_configs/magenta`, or of the paper's.
        class_orders: of each track, which of our classes each of Magenta's is; the same by default.
            Only for encoders that read one-hot rows.

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
                _scope(path, scopes).split(),
                variables_of_layer,
                stack if name == "initial_state" else (),
                _rows(path, class_orders or ()),
                _columns(path, class_orders or ()),
            )
        )
    return layers


def convert_lstm(kernel: np.ndarray, bias: np.ndarray, num_inputs: int) -> dict[str, np.ndarray]:
    """Returns the kernel, recurrent kernel and bias of an LSTMBlockCell's kernel and bias.

    Args:
        kernel: [num_inputs + U, 4U], the gates in the order input, cell, forget, output.
        bias: [4U], to whose forget gate LSTMBlockCell adds 1.
        num_inputs: how many rows are the input's.
    """
    kernel, bias = _second_third(kernel), _second_third(bias)
    num_units = len(bias) // 4
    bias[num_units : 2 * num_units] += 1
    return {"kernel": kernel[:num_inputs], "recurrent_kernel": kernel[num_inputs:], "bias": bias}


def restore_lstm(
    kernel: np.ndarray, recurrent_kernel: np.ndarray, bias: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the kernel and bias of an LSTMBlockCell: `convert_lstm`, undone.

    Of a forget bias below a half, float32 keeps not every last digit of what is left without 1.
    """
    num_units = len(bias) // 4
    bias = bias.copy()
    bias[num_units : 2 * num_units] -= 1
    return _second_third(np.concatenate([kernel, recurrent_kernel])), _second_third(bias)


def hidden_first(states: np.ndarray, units: Sequence[int]) -> np.ndarray:
    """Exchanges the cell and the hidden state of each layer in [..., 2 * sum(units)] columns."""
    ends = np.cumsum([size for size in units for _ in range(2)])
    blocks = np.split(states, ends[:-1], axis=-1)
    pairs = zip(blocks[1::2], blocks[::2], strict=True)
    return np.concatenate([block for pair in pairs for block in pair], axis=-1)


def _second_third(gates: np.ndarray) -> np.ndarray:
    """Exchanges the cell and the forget gate of [..., 4U], whichever comes first."""
    inputs, second, third, output = np.split(gates, 4, axis=-1)
    return np.concatenate([inputs, third, second, output], axis=-1)


def _put(array: np.ndarray, places: Sequence[int]) -> np.ndarray:
    """Returns an array whose first rows stand at other places among them."""
    moved = array.copy()
    moved[list(places)] = array[: len(places)]
    return moved


def _rows(path: str, class_orders: Sequence[Sequence[int]]) -> Sequence[int]:
    """Returns which of our rows each of Magenta's is, of the tokens that a layer reads."""
    if _READS_ALL.fullmatch(path):
        starts = np.cumsum([0, *map(len, class_orders)])
        pairs = zip(starts[:-1], class_orders, strict=True)
        return [int(start) + one for start, order in pairs for one in order]
    if class_orders and (match := _READS_ONE.fullmatch(path)):
        return class_orders[int(match[1])]
    return ()


def _columns(path: str, class_orders: Sequence[Sequence[int]]) -> Sequence[int]:
    """Returns which of our columns each of Magenta's is, of the tokens that a layer writes."""
    if class_orders and (match := _WRITES.fullmatch(path)):
        return class_orders[int(match[1] or 0)]
    return ()


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
