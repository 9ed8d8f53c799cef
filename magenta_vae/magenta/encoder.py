"""The encoder of the models that Magenta released."""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from magenta_vae.model import lstm, recurrence, unrolling
from magenta_vae.model.lstm import LSTMLayer, units_of_layers


class StackedBidirectionalLSTM(keras.layers.Layer):
    """A stack of bidirectional LSTMs, with layers of their own for mu and sigma.

    Each layer reads the outputs of both directions of the one below. The final outputs of the
    topmost go through a linear layer to mu, and through another and a softplus to sigma.

    Args:
        num_classes: classes of each track.
        num_units: units of each direction of each layer, or one number for each layer.
        num_layers: layers of the stack.
        z_size: dimensions of the latent space.
        features: what the encoder is fed for each class, float [classes, width] a track; one-hot
            rows by default.
    """

    def __init__(
        self,
        num_classes: Sequence[int],
        num_units: int | Sequence[int],
        num_layers: int,
        z_size: int,
        features: Sequence[np.ndarray] | None = None,
        name: str = "encoder",
    ):
        super().__init__(name=name)
        self.z_size = z_size
        self._features = None if features is None else tuple(features)
        self._widths = [table.shape[1] for table in features] if features else list(num_classes)
        units = units_of_layers(num_units, num_layers)
        self._num_layers = num_layers
        with keras.name_scope(self.name):
            for index, size in enumerate([sum(self._widths), *(2 * below for below in units[:-1])]):
                for direction in ("forward", "backward"):
                    layer = LSTMLayer(size, units[index], name=f"{direction}_{index}")
                    setattr(self, layer.name, layer)
            self._mu = keras.layers.Dense(z_size, name="mu")
            self._sigma = keras.layers.Dense(z_size, "softplus", name="sigma")
            for linear in (self._mu, self._sigma):
                linear.build((None, 2 * units[-1]))
        self.built = True

    def call(self, tokens: tf.Tensor, training: bool = False) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns mu and sigma, float [batch, z_size], of int32 [batch, steps, tracks].

        Args:
            tokens: of all tracks.
            training: whether to keep what a gradient will need.
        """
        inputs = tf.transpose(tokens, [1, 0, 2])
        run = self._read_tokens
        for index in range(self._num_layers):
            ahead = run(getattr(self, f"forward_{index}"), inputs, training)
            back = run(getattr(self, f"backward_{index}"), inputs[::-1], training)
            inputs = tf.concat([ahead, back[::-1]], axis=-1)  # [T, B, 2U]
            run = _read_outputs
        final = tf.concat([ahead[-1], back[-1]], axis=-1)
        return tuple(tf.cast(linear(final), tf.float32) for linear in (self._mu, self._sigma))

    def _read_tokens(self, layer: LSTMLayer, tokens: tf.Tensor, training: bool) -> tf.Tensor:
        """Returns the outputs of all steps: int32 [T, B, K] -> [T, B, U]."""
        tables = tf.split(layer.compute_weights()[0], self._widths)
        if self._features is not None:
            each = zip(self._features, tables, strict=True)
            tables = [tf.matmul(tf.cast(features, table.dtype), table) for features, table in each]
        sizes = [0, *(table.shape[0] for table in tables[:-1])]
        weights = lstm.stack_weights([layer], ())._replace(
            table=tf.concat(tables, axis=0), offsets=tuple(np.cumsum(sizes).tolist())
        )
        bias = lstm.context_gates(layer, (), tf.zeros([tf.shape(tokens)[1], 0]))
        return _unroll(layer, weights, bias, tokens, training)


def _read_outputs(layer: LSTMLayer, inputs: tf.Tensor, training: bool) -> tf.Tensor:
    """Returns the outputs of all steps for those of the layer below: [T, B, D] -> [T, B, U]."""
    # Not tf.matmul: of a sequence, its gradient holds one kernel's gradient for every step.
    kernel, _, bias = layer.compute_weights()
    gates = tf.tensordot(inputs, kernel, axes=1) + bias
    no_tokens = tf.zeros([*tf.unstack(tf.shape(inputs)[:2]), 0], tf.int32)
    no_tokens = tf.ensure_shape(no_tokens, [*inputs.shape[:2], 0])
    gates = tf.transpose(gates, [0, 2, 1])
    return _unroll(layer, lstm.stack_weights([layer], ()), gates, no_tokens, training)


def _unroll(layer: LSTMLayer, weights, gates, tokens: tf.Tensor, training: bool) -> tf.Tensor:
    """Returns the outputs of all steps, from a state of zeros: [T, B, U]."""
    zeros = tf.zeros([layer.num_units, tf.shape(tokens)[1]], gates.dtype)
    num_steps, choose = tokens.shape[0], unrolling.following(tokens)
    arguments = weights, gates, [(zeros, zeros)], tokens[0], num_steps, choose
    return recurrence.unroll(*arguments)[0] if training else recurrence.outputs(*arguments)
