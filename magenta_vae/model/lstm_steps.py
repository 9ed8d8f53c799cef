"""A stack of LSTM layers' way from one step to the next, for token inputs.

Weights have Keras' layout (kernel, recurrent kernel, bias; gates in the order input, forget, cell,
output), so they can be exchanged with `keras.layers.LSTM`. What differs is the work done:

- A layer takes one product a step, of its input joined with its state.
- A one-hot row times a matrix is a row of the matrix; a context's product is the same at all steps.
- The units of a layer may be computed in parts, side by side: on a CPU a core then takes all rows
  through one half of the weights, and no small operation waits for another core.
"""

import contextlib
import contextvars
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import tensorflow as tf

from magenta_vae import private_apis, threads

# The hidden state [rows, U], and the cell of each part [rows, U / parts].
State = tuple[tf.Tensor, tuple[tf.Tensor, ...]]

SMALLEST_PART = 32  # units; of fewer the operations cost more than their sums


class StackWeights(NamedTuple):
    """The weights of a stack as its loop takes them, the units of each layer in parts.

    The input of the first layer is the one-hot tokens of all tracks joined with a context. P are
    the units of a part; the gates of a part follow each other, [..., 4P].

    Attributes:
        tables: of each part, the first kernel's rows for the tokens; after each track's follows
            one of zeros, for "nothing": [sum(classes + 1), 4P].
        kernels: of each layer and part; the first layer's recurrent kernel [U, 4P], and of each
            other layer kernel and recurrent kernel [units of the layer below + U, 4P].
        biases: of all layers but the first, of each part, [4P].
        offsets: of each track in the tables.
    """

    tables: list[tf.Tensor]
    kernels: list[list[tf.Tensor]]
    biases: list[list[tf.Tensor]]
    offsets: tuple[int, ...]


class StackSteps:
    """A stack's way from one step to the next; nothing of it carries a gradient.

    Args:
        weights: of the stack.
    """

    def __init__(self, weights: StackWeights):
        self._weights = weights
        # A sum of three terms TensorFlow rewrites, for large ones, with a temporary variable whose
        # name is not unique in a loop within two others. A difference it leaves alone.
        self._minus_tables = [-table for table in weights.tables]

    def __call__(self, constant: Sequence[tf.Tensor], tokens: tf.Tensor, states: Sequence[State]):
        """Takes a step.

        Args:
            constant: what the context adds to the first gates of each part, [rows, 4P].
            tokens: int32 [rows, tracks]; the class `num_classes[k]` stands for a zero vector.
            states: of each layer.

        Returns:
            The next state of each layer; and of each layer and part the activated gates, input,
            forget, candidate and output, [rows, P] each.
        """
        next_states: list[State] = []
        activated = []
        for index, (hidden, cells) in enumerate(states):
            joined = tf.concat([next_states[-1][0], hidden], axis=1) if index else hidden
            parts = []
            for part, (kernel, cell) in enumerate(
                zip(self._weights.kernels[index], cells, strict=True)
            ):
                gates = tf.matmul(joined, kernel)
                if index:
                    gates = tf.nn.bias_add(gates, self._weights.biases[index - 1][part])
                else:
                    gates = gates + constant[part] - self._look_up_minus(tokens, part)
                parts.append(_cell(gates, cell))
            hiddens, cells, gates = zip(*parts, strict=True)
            next_states.append((join(hiddens), cells))
            activated.append(gates)
        return next_states, activated

    def _look_up_minus(self, tokens: tf.Tensor, part: int):
        """Returns minus what the tokens add to the first gates of a part: [rows, 4P]."""
        rows = [
            tf.gather(self._minus_tables[part], tokens[:, track] + offset)
            for track, offset in enumerate(self._weights.offsets)
        ]
        return tf.add_n(rows) if rows else 0.0


def has_gpu() -> bool:
    """Says whether TensorFlow sees a GPU."""
    return bool(tf.config.list_logical_devices("GPU"))


_whole = contextvars.ContextVar("_whole", default=False)


@contextlib.contextmanager
def in_whole_layers() -> Iterator[None]:
    """Has the layers of what is traced within not be computed in parts: for other runtimes."""
    token = _whole.set(True)
    try:
        yield
    finally:
        _whole.reset(token)


def count_parts(units: Sequence[int]) -> int:
    """Returns in how many parts the units of a stack's layers are to be computed: 1 or 2.

    Two where TensorFlow runs what is traced on several cores of a CPU.
    """
    if _whole.get() or has_gpu() or threads.count_cores() < 2 or private_apis.compiled_by_xla():
        return 1
    return 2 if all(size % 2 == 0 and size >= 2 * SMALLEST_PART for size in units) else 1


def in_parts(gates: tf.Tensor, num_parts: int) -> list[tf.Tensor]:
    """Returns what belongs to the gates of all units, [..., 4U], for each part: [..., 4P]."""
    if num_parts == 1:
        return [gates]
    *outer, width = gates.shape
    by_gate = tf.reshape(gates, [-1, 4, num_parts, width // (4 * num_parts)])
    if outer.count(None) > 1:
        outer = tf.unstack(tf.shape(gates)[:-1])
    shape = [num_parts, *(-1 if size is None else size for size in outer), width // num_parts]
    return tf.unstack(tf.reshape(tf.transpose(by_gate, [2, 0, 1, 3]), shape))


def join(parts: Sequence[tf.Tensor]) -> tf.Tensor:
    """Returns the units of all parts: [rows, P] each -> [rows, U]."""
    return tf.concat(parts, axis=1) if len(parts) > 1 else parts[0]


def _cell(gates, cell):
    """Returns the next hidden state and cell, and the activated gates, [rows, P] each."""
    inputs, forget, candidate, output = tf.split(gates, 4, axis=1)
    inputs, forget, output = tf.sigmoid(inputs), tf.sigmoid(forget), tf.sigmoid(output)
    candidate = tf.tanh(candidate)
    cell = forget * cell + inputs * candidate
    return output * tf.tanh(cell), cell, (inputs, forget, candidate, output)
