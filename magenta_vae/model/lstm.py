"""LSTM layers for token inputs: their weights, and a stack's way from one step to the next.

Weights have Keras' layout (kernel, recurrent kernel, bias; gates in the order input, forget, cell,
output), so they can be exchanged with `keras.layers.LSTM`. What differs is the work done:

- Within a loop over steps units come before rows, [U, rows]. A product `weights @ states` of few
  rows is up to twice as fast on a CPU as `states @ weights`.
- A layer takes one product a step, of its input joined with its state.
- A one-hot row times a matrix is a row of the matrix; a context's product is the same at all steps.
"""

from collections.abc import Sequence
from typing import NamedTuple

import keras
import tensorflow as tf

State = tuple[tf.Tensor, tf.Tensor]  # hidden, cell: [U, rows] each


class LSTMLayer(keras.layers.Layer):
    """The weights of one LSTM layer.

    Args:
        input_size: width of the input; a layer that reads nothing, of width 0, has no kernel.
        num_units: width of the state.

    Attributes:
        as_keras: where there is a GPU, () -> `keras.layers.LSTM` with these variables, which
            returns all outputs.
    """

    def __init__(self, input_size: int, num_units: int, name: str | None = None):
        super().__init__(name=name)
        self.num_units = num_units
        self.kernel = None
        if input_size:
            self.kernel = self.add_weight(
                shape=(input_size, 4 * num_units), initializer="glorot_uniform", name="kernel"
            )
        self.recurrent_kernel = self.add_weight(
            shape=(num_units, 4 * num_units), initializer=_orthogonal, name="recurrent_kernel"
        )
        self.bias = self.add_weight(
            shape=(4 * num_units,), initializer=_forget_bias_of_one, name="bias"
        )
        if has_gpu():  # Only there is it run. Keras would count an attribute's weights once more.
            theirs = _keras_lstm(self)
            self.as_keras = lambda: theirs
        self.built = True

    def compute_weights(self) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Returns kernel, recurrent kernel and bias in the dtype that the layer computes in.

        Without an input the kernel is [0, 4U].
        """
        kernel = tf.zeros([0, 4 * self.num_units]) if self.kernel is None else self.kernel
        weights = (kernel, self.recurrent_kernel, self.bias)
        return tuple(tf.cast(weight, self.compute_dtype) for weight in weights)


def has_gpu() -> bool:
    """Says whether TensorFlow sees a GPU."""
    return bool(tf.config.list_logical_devices("GPU"))


def units_of_layers(num_units: int | Sequence[int], num_layers: int) -> list[int]:
    """Returns the units of each layer of a stack, given one number for all or one for each.

    Raises:
        ValueError: where there is not one for each layer.
    """
    units = [num_units] * num_layers if isinstance(num_units, int) else list(num_units)
    if len(units) != num_layers:
        raise ValueError(
            f"num_units must be one number, or one for each of num_layers={num_layers}. "
            f"Received: num_units={units}."
        )
    return units


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


def stack_weights(layers: Sequence[LSTMLayer], num_classes: Sequence[int]) -> StackWeights:
    """Returns the weights of layers, the first of which reads tracks of so many classes."""
    (kernel, recurrent_kernel, _), *others = (layer.compute_weights() for layer in layers)
    table = tf.zeros([0, 4 * layers[0].num_units], kernel.dtype)
    if num_classes:
        tables = tf.split(kernel[: sum(num_classes)], num_classes)
        table = tf.concat([tf.pad(track, [[0, 1], [0, 0]]) for track in tables], axis=0)
    return StackWeights(
        table,
        [recurrent_kernel, *(tf.concat([one, own], axis=0) for one, own, _ in others)],
        [bias[:, None] for _, _, bias in others],
        tuple(sum(num_classes[:track]) + track for track in range(len(num_classes))),
    )


def context_gates(layer: LSTMLayer, num_classes: Sequence[int], context: tf.Tensor) -> tf.Tensor:
    """Returns what a context adds to the first layer's gates at every step, its bias included.

    Args:
        layer: the first layer of a stack.
        num_classes: classes of each track. The kernel's first sum(num_classes) rows are theirs.
        context: float [rows, input_size - sum(num_classes)].

    Returns:
        float [4U, rows].
    """
    kernel, _, bias = layer.compute_weights()
    bias = bias[:, None]
    if not context.shape[-1]:  # oneDNN aborts the process on a product over no columns.
        return tf.broadcast_to(bias, [4 * layer.num_units, tf.shape(context)[0]])
    kernel, context = kernel[sum(num_classes) :], tf.cast(context, kernel.dtype)
    return tf.matmul(kernel, context, transpose_a=True, transpose_b=True) + bias


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
            constant: the context's part of the first gates, [4U, rows].
            tokens: int32 [rows, tracks]; the class `num_classes[k]` stands for a zero vector.
            states: of each layer.

        Returns:
            The next state of each layer, and the activated gates of each layer.
        """
        next_states, activated = [], []
        for index, (kernel, (hidden, cell)) in enumerate(zip(self._kernels, states, strict=True)):
            if index:
                joined = tf.concat([next_states[-1][0], hidden], axis=0)
                gates = tf.matmul(kernel, joined) + self._weights.biases[index - 1]
            else:
                gates = tf.matmul(kernel, hidden) + constant - self._look_up_minus(tokens)
            *state, parts = _cell(gates, cell)
            next_states.append(tuple(state))
            activated.append(parts)
        return next_states, activated

    def _look_up_minus(self, tokens: tf.Tensor):
        """Returns minus the tokens' part of the first gates: [4U, rows]."""
        rows = [
            tf.gather(self._minus_table, tokens[:, track] + offset)
            for track, offset in enumerate(self._weights.offsets)
        ]
        return tf.transpose(tf.add_n(rows)) if rows else 0.0


def _keras_lstm(layer: LSTMLayer) -> keras.layers.LSTM:
    theirs = keras.layers.LSTM(
        layer.num_units,
        return_sequences=True,
        dtype=layer.dtype_policy,
        # It draws nothing, and leaves the draws of initial weights as they are.
        kernel_initializer="zeros",
        recurrent_initializer="zeros",
        seed=0,
    )
    theirs.cell.kernel = layer.kernel
    theirs.cell.recurrent_kernel = layer.recurrent_kernel
    theirs.cell.bias = layer.bias
    theirs.built = theirs.cell.built = True
    return theirs


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


def _orthogonal(shape, dtype=None):
    """Keras' `orthogonal` for a recurrent kernel, its draws included, in a third of the time.

    Keras takes Q of the factorization A = QR of a normal matrix. R is the Cholesky factor of A's
    product with itself too, a well conditioned one: A has four times more rows than columns.
    """
    normal = keras.initializers.RandomNormal(stddev=1.0)(shape[::-1], dtype)
    factor = tf.linalg.cholesky(tf.matmul(normal, normal, transpose_a=True))
    return tf.linalg.triangular_solve(factor, tf.transpose(normal))


def _forget_bias_of_one(shape, dtype=None):
    """Keras' `unit_forget_bias`: a new LSTM remembers."""
    num_units = shape[0] // 4
    values = tf.ones(num_units, dtype)
    return tf.pad(values, [[num_units, 2 * num_units]])
