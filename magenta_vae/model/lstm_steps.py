"""A stack of LSTM layers' way from one step to the next, for token inputs.

Weights have Keras' layout (kernel, recurrent kernel, bias; gates in the order input, forget, cell,
output), so they can be exchanged with `keras.layers.LSTM`. What differs is the work done:

- Within a loop over steps units come before rows, [U, rows]. A product `weights @ states` of few
  rows is up to twice as fast on a CPU as `states @ weights`.
- A layer takes one product a step, of its input joined with its state.
- A one-hot row times a matrix is a row of the matrix; a context's product is the same at all steps.
"""

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

State = tuple[tf.Tensor, tf.Tensor]  # hidden, cell: [U, rows] each


class StackWeights(NamedTuple):
    """The weights of a stack as its loop takes them.

    The input of the first layer is the one-hot tokens of all tracks joined with a context.

    Attributes:
        table: the first kernel's rows for the tokens; after each track's follows one of zeros,
            for "nothing": [sum(classes + 1), 4U].
        kernels: the first layer's recurrent kernel [U, 4U]; of each other layer, kernel and
            recurrent kernel [units of the layer below + U, 4U].
        biases: of all layers but the first, [4U, 1].
        offsets: of each track in the table.
    """

    table: tf.Tensor
    kernels: list[tf.Tensor]
    biases: list[tf.Tensor]
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
        self._minus_table = -weights.table
        # Turned around once: in a product of few rows the order of the factors counts.
        self._kernels = [tf.transpose(kernel) for kernel in weights.kernels]

    def __call__(self, constant: tf.Tensor, tokens: tf.Tensor, states: Sequence[State]):
        """Takes a step.

        Args:
            constant: what the context adds to the first gates, [4U, rows].
            tokens: int32 [rows, tracks]; the class `num_classes[k]` stands for a zero vector.
            states: of each layer.

        Returns:
            The next state of each layer, and the activated gates of each layer.
        """
        next_states: list[State] = []
        activated = []
        for index, (kernel, (hidden, cell)) in enumerate(zip(self._kernels, states, strict=True)):
            if index:
                joined = tf.concat([next_states[-1][0], hidden], axis=0)
                gates = tf.matmul(kernel, joined) + self._weights.biases[index - 1]
            else:
                gates = tf.matmul(kernel, hidden) + constant - self._look_up_minus(tokens)
            *state, gates = _cell(gates, cell)
            next_states.append(tuple(state))
            activated.append(gates)
        return next_states, activated

    def _look_up_minus(self, tokens: tf.Tensor):
        """Returns minus what the tokens add to the first gates: [4U, rows]."""
        rows = [
            tf.gather(self._minus_table, tokens[:, track] + offset)
            for track, offset in enumerate(self._weights.offsets)
        ]
        return tf.transpose(tf.add_n(rows)) if rows else 0.0


def has_gpu() -> bool:
    """Says whether TensorFlow sees a GPU."""
    return bool(tf.config.list_logical_devices("GPU"))


def _cell(gates, cell):
    """Returns the next hidden state and cell, and the activated gates.

    These are (input and forget [2U, rows], candidate [U, rows], output [U, rows]).
    """
    num_units = gates.shape[0] // 4
    both, candidate, output = tf.split(gates, [2 * num_units, num_units, num_units])
    both, candidate, output = tf.sigmoid(both), tf.tanh(candidate), tf.sigmoid(output)
    inputs, forget = tf.split(both, 2)
    cell = forget * cell + inputs * candidate
    return output * tf.tanh(cell), cell, (both, candidate, output)
