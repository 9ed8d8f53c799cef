"""LSTM layers: their weights, in Keras' layout, and what a loop over steps takes of them."""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from magenta_vae.model import lstm_steps, recurrence
from magenta_vae.model.lstm_steps import StackWeights, in_parts
from magenta_vae.model.registration import register


@register
class LSTMLayer(keras.layers.Layer):
    """One LSTM layer, which computes what `keras.layers.LSTM` computes.

    Args:
        input_size: width of the input; a layer that reads nothing, of width 0, has no kernel.
        num_units: width of the state.
        **kwargs: options of `keras.layers.Layer`.

    Attributes:
        as_keras: where there is a GPU, () -> `keras.layers.LSTM` with these variables, which
            returns all outputs.
    """

    def __init__(self, input_size: int, num_units: int, **kwargs):
        super().__init__(**kwargs)
        self.input_size = input_size
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
        if (
            lstm_steps.has_gpu()
        ):  # Only there is it run. Keras would count an attribute's weights once more.
            theirs = _keras_lstm(self)
            self.as_keras = lambda: theirs
        self.built = True

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Returns the outputs of all steps, from a state of zeros: float [rows, steps, U].

        Args:
            inputs: float [rows, steps, input_size].
            training: whether a gradient will be taken: what it needs is then kept. Without, the
                values are the same, and a gradient would take far more memory.
        """
        gates = context_gates(self, (), tf.transpose(inputs, [1, 0, 2]))  # [T, B, 4U]
        num_rows = tf.shape(inputs)[0]
        zeros = tf.zeros([num_rows, self.num_units], gates.dtype)
        no_tokens = tf.zeros([num_rows, 0], tf.int32)
        arguments = (
            stack_weights([self], ()),
            [gates],
            [(zeros, (zeros,))],
            no_tokens,
            recurrence.count_steps(gates),
            lambda step, hidden: no_tokens,
        )
        if training:
            outputs, _ = recurrence.unroll(*arguments)
        else:
            outputs = recurrence.outputs(*arguments)
        return tf.transpose(outputs, [1, 0, 2])

    def compute_weights(self) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Returns kernel, recurrent kernel and bias in the dtype that the layer computes in.

        Without an input the kernel is [0, 4U].
        """
        kernel = tf.zeros([0, 4 * self.num_units]) if self.kernel is None else self.kernel
        weights = (kernel, self.recurrent_kernel, self.bias)
        return tuple(tf.cast(weight, self.compute_dtype) for weight in weights)

    def get_config(self) -> dict:
        """Returns the arguments of the constructor."""
        own = {"input_size": self.input_size, "num_units": self.num_units}
        return {**super().get_config(), **own}


def stack_weights(
    layers: Sequence[LSTMLayer],
    num_classes: Sequence[int],
    features: Sequence[np.ndarray] | None = None,
    num_parts: int = 1,
) -> StackWeights:
    """Returns the weights of layers, as a loop over steps takes them.

    Args:
        layers: of the stack.
        num_classes: classes of each track that the first layer reads.
        features: what it reads for each class, float [classes, width] a track; one-hot rows by
            default.
        num_parts: in how many parts the units of each layer are computed.
    """
    (kernel, recurrent_kernel, _), *others = (layer.compute_weights() for layer in layers)
    table = tf.zeros([0, 4 * layers[0].num_units], kernel.dtype)
    if num_classes:
        widths = widths_of(num_classes, features)
        tables = tf.split(kernel[: sum(widths)], widths)
        if features is not None:
            tables = [
                tf.matmul(tf.cast(rows, kernel.dtype), track)
                for rows, track in zip(features, tables, strict=True)
            ]
        table = tf.concat([tf.pad(track, [[0, 1], [0, 0]]) for track in tables], axis=0)
    kernels = [recurrent_kernel, *(tf.concat([one, own], axis=0) for one, own, _ in others)]
    return StackWeights(
        in_parts(table, num_parts),
        [in_parts(kernel, num_parts) for kernel in kernels],
        [in_parts(bias, num_parts) for _, _, bias in others],
        tuple(sum(num_classes[:track]) + track for track in range(len(num_classes))),
    )


def widths_of(num_classes: Sequence[int], features: Sequence[np.ndarray] | None) -> list[int]:
    """Returns how many inputs the tokens of each track are."""
    return list(num_classes) if features is None else [len(rows[0]) for rows in features]


def context_gates(layer: LSTMLayer, widths: Sequence[int], context: tf.Tensor) -> tf.Tensor:
    """Returns what a context adds to the first layer's gates, its bias included.

    Args:
        layer: the first layer of a stack.
        widths: inputs of each track; the kernel's first sum(widths) rows are theirs.
        context: float [rows, input_size - sum(widths)], the same at each step; or
            [steps, rows, ...].

    Returns:
        float [rows, 4U], or [steps, rows, 4U].
    """
    kernel, _, bias = layer.compute_weights()
    if not context.shape[-1]:  # oneDNN aborts the process on a product over no columns.
        return tf.broadcast_to(bias, [*tf.unstack(tf.shape(context)[:-1]), 4 * layer.num_units])
    kernel, context = kernel[sum(widths) :], tf.cast(context, kernel.dtype)
    # Not tf.matmul: of a sequence, its gradient holds one kernel's gradient for every step.
    return tf.tensordot(context, kernel, axes=1) + bias


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
