"""LSTM layers for token inputs, with a whole-sequence gradient.

Weights have Keras' layout (kernel, recurrent kernel, bias; gates in the order input, forget, cell,
output), so they can be exchanged with `keras.layers.LSTM`. What differs is the work done: the
product of the input is taken outside the loop over steps, and the gradient of each weight is one
matrix product over all steps instead of a sum of one product a step.
"""

from collections.abc import Callable, Sequence

import keras
import tensorflow as tf


class LSTMLayer(keras.layers.Layer):
    """The weights of one LSTM layer and its two ways to run: a step, or a sequence.

    Args:
        input_size: width of the input; a layer that reads nothing, of width 0, has no kernel.
        num_units: width of the state.
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
            shape=(num_units, 4 * num_units), initializer="orthogonal", name="recurrent_kernel"
        )
        self.bias = self.add_weight(
            shape=(4 * num_units,), initializer=_forget_bias_of_one, name="bias"
        )
        self.built = True

    def project(self, inputs: tf.Tensor) -> tf.Tensor:
        """Returns the input's part of the gates, bias included: [..., input_size] -> [..., 4U]."""
        if self.kernel is None:
            return tf.zeros([*tf.unstack(tf.shape(inputs)[:-1]), 1], inputs.dtype) + self.bias
        # Not tf.matmul: of a sequence, its gradient holds one kernel's gradient for every step.
        return tf.tensordot(inputs, tf.convert_to_tensor(self.kernel), axes=1) + self.bias

    def token_projection(
        self, num_classes: Sequence[int], context: tf.Tensor
    ) -> Callable[[tf.Tensor], tf.Tensor]:
        """Returns a function of tokens that gives the gates' input part for them and a context.

        The layer's input is the one-hot tokens joined with the context. A one-hot row times a
        matrix is a row of the matrix, and the context's product is the same at every step, so
        neither is multiplied out in the loop over steps.

        Args:
            num_classes: classes of each track. The kernel's first sum(num_classes) rows are theirs.
            context: float [rows, input_size - sum(num_classes)].

        Returns:
            int [..., rows, tracks] -> float [..., rows, 4U]; the class `num_classes[k]` stands for
            a zero vector.
        """
        kernel = tf.convert_to_tensor(self.kernel)
        context_size = kernel.shape[0] - sum(num_classes)
        *tables, context_kernel = tf.split(kernel, [*num_classes, context_size])
        tables = [tf.pad(table, [[0, 1], [0, 0]]) for table in tables]
        constant = tf.convert_to_tensor(self.bias)
        if context_size:  # oneDNN aborts the process on a product over no columns.
            constant += tf.matmul(context, context_kernel)

        def project(tokens):
            rows = [embed(table, tokens[..., track]) for track, table in enumerate(tables)]
            return tf.add_n(rows) + constant

        return project

    def step(self, projected: tf.Tensor, state: tuple) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the next (hidden, cell) for the input's part of the gates [rows, 4U]."""
        hidden, cell = state
        gates = projected + tf.matmul(hidden, tf.convert_to_tensor(self.recurrent_kernel))
        return _cell(gates, cell)[:2]

    def sequence(self, projected: tf.Tensor, state: tuple) -> tf.Tensor:
        """Returns the hidden states of all steps: [steps, rows, 4U] -> [steps, rows, U]."""
        return _sequence(projected, *state, tf.convert_to_tensor(self.recurrent_kernel))

    def zero_state(self, num_rows) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns (hidden, cell) of zeros, [rows, U] each."""
        zeros = tf.zeros([num_rows, self.num_units], self.compute_dtype)
        return zeros, zeros


@tf.custom_gradient
def embed(table: tf.Tensor, ids: tf.Tensor):
    """Returns rows of a table: [V, D], int [...] -> [..., D]."""

    def gradient(upstream):
        # One product with the one-hot ids: faster than adding row by row, and deterministic.
        one_hot = tf.one_hot(tf.reshape(ids, [-1]), tf.shape(table)[0], dtype=table.dtype)
        return tf.matmul(one_hot, _flat(upstream), transpose_a=True), None

    return tf.gather(table, ids), gradient


@tf.custom_gradient
def _sequence(projected, hidden, cell, recurrent_kernel):
    """Runs an LSTM over all steps; its gradient takes one product for the recurrent kernel's."""
    num_steps = tf.shape(projected)[0]
    num_units = recurrent_kernel.shape[0]

    def arrays(*widths):
        return tuple(
            tf.TensorArray(projected.dtype, num_steps, element_shape=[None, width])
            for width in widths
        )

    def forward(t, hidden, cell, hiddens, cells, gates):
        next_hidden, next_cell, activated = _cell(
            projected[t] + tf.matmul(hidden, recurrent_kernel), cell
        )
        return (
            t + 1,
            next_hidden,
            next_cell,
            hiddens.write(t, next_hidden),
            cells.write(t, next_cell),
            gates.write(t, activated),
        )

    loop = (0, hidden, cell, *arrays(num_units, num_units, 4 * num_units))
    stacked = tf.while_loop(lambda t, *_: t < num_steps, forward, loop, parallel_iterations=1)[3:]
    hiddens, cells, gates = (array.stack() for array in stacked)

    def gradient(upstream):
        previous_cells = tf.concat([cell[None], cells[:-1]], axis=0)

        def backward(t, d_hidden, d_cell, d_gates):
            d_step, d_cell = _cell_gradient(
                upstream[t] + d_hidden, d_cell, gates[t], cells[t], previous_cells[t]
            )
            d_hidden = tf.matmul(d_step, recurrent_kernel, transpose_b=True)
            return t - 1, d_hidden, d_cell, d_gates.write(t, d_step)

        zeros = tf.zeros_like(hidden)
        _, d_hidden, d_cell, d_gates = tf.while_loop(
            lambda t, *_: t >= 0,
            backward,
            (num_steps - 1, zeros, zeros, *arrays(4 * num_units)),
            parallel_iterations=1,
        )
        d_gates = d_gates.stack()
        previous_hiddens = tf.concat([hidden[None], hiddens[:-1]], axis=0)
        d_recurrent_kernel = tf.matmul(_flat(previous_hiddens), _flat(d_gates), transpose_a=True)
        return d_gates, d_hidden, d_cell, d_recurrent_kernel

    return hiddens, gradient


def _cell(gates, cell):
    """Returns the next hidden state, the next cell and the activated gates [rows, 4U]."""
    inputs, forget, candidate, output = tf.split(gates, 4, axis=-1)
    inputs, forget, output = tf.sigmoid(inputs), tf.sigmoid(forget), tf.sigmoid(output)
    candidate = tf.tanh(candidate)
    cell = forget * cell + inputs * candidate
    activated = tf.concat([inputs, forget, candidate, output], axis=-1)
    return output * tf.tanh(cell), cell, activated


def _cell_gradient(d_hidden, d_cell, activated, cell, previous_cell):
    """Returns the gradients of the gates before activation [rows, 4U] and of the previous cell."""
    inputs, forget, candidate, output = tf.split(activated, 4, axis=-1)
    tanh_cell = tf.tanh(cell)
    d_cell += d_hidden * output * (1 - tanh_cell * tanh_cell)
    d_gates = tf.concat(
        [
            d_cell * candidate * inputs * (1 - inputs),
            d_cell * previous_cell * forget * (1 - forget),
            d_cell * inputs * (1 - candidate * candidate),
            d_hidden * tanh_cell * output * (1 - output),
        ],
        axis=-1,
    )
    return d_gates, d_cell * forget


def _flat(sequence: tf.Tensor) -> tf.Tensor:
    """[steps, rows, D] -> [steps * rows, D]."""
    return tf.reshape(sequence, [-1, tf.shape(sequence)[-1]])


def _forget_bias_of_one(shape, dtype=None):
    """Keras' `unit_forget_bias`: a new LSTM remembers."""
    num_units = shape[0] // 4
    values = tf.ones(num_units, dtype)
    return tf.pad(values, [[num_units, 2 * num_units]])
