"""Tokens -> mu and sigma of the posterior."""

from collections.abc import Sequence

import keras
import tensorflow as tf

from magenta_vae.model.lstm import LSTMLayer
from magenta_vae.model.unrolling import Unrolling


class BidirectionalLSTM(keras.layers.Layer):
    """A single-layer bidirectional LSTM (paper, Architecture Details).

    The one-hot tokens of all tracks are concatenated as the input; the final output of each
    direction is concatenated and passed through a linear layer to mu and sigma_pre, and
    sigma = exp(2 sigma_pre).

    Args:
        num_classes: classes of each track.
        num_units: units of each direction.
        z_size: dimensions of the latent space.
        recompute, cudnn: see `Unrolling`.
    """

    def __init__(
        self,
        num_classes: Sequence[int],
        num_units: int,
        z_size: int,
        recompute: bool = False,
        cudnn: bool = True,
        name: str = "encoder",
    ):
        super().__init__(name=name)
        self._unrolling = Unrolling(recompute, cudnn)
        self.z_size = z_size
        self._num_classes = tuple(num_classes)
        input_size = sum(num_classes)
        with keras.name_scope(self.name):
            self._forward = LSTMLayer(input_size, num_units, name="forward")
            self._backward = LSTMLayer(input_size, num_units, name="backward")
            self._linear = keras.layers.Dense(2 * z_size, name="mu_and_sigma")
            self._linear.build((None, 2 * num_units))
        self.built = True

    def call(self, tokens: tf.Tensor, training: bool = False) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns mu and sigma, float32 [batch, z_size], of int32 [batch, steps, tracks].

        Args:
            tokens: of all tracks.
            training: whether to keep what a gradient will need.
        """
        steps_first = tf.transpose(tokens, [1, 0, 2])
        finals = [
            self._final_output(self._forward, steps_first, training),
            self._final_output(self._backward, steps_first[::-1], training),
        ]
        outputs = tf.cast(self._linear(tf.concat(finals, axis=-1)), tf.float32)
        mu, sigma_pre = tf.split(outputs, 2, axis=-1)
        return mu, tf.exp(2 * sigma_pre)

    def _final_output(self, layer: LSTMLayer, tokens: tf.Tensor, training: bool) -> tf.Tensor:
        num_rows = tf.shape(tokens)[1]
        zeros = tf.zeros([layer.num_units, num_rows], layer.compute_dtype)
        nothing = tf.zeros([num_rows, 0])
        return self._unrolling.finish(
            [layer], self._num_classes, nothing, [(zeros, zeros)], tokens, training
        )


class NoEncoder(keras.layers.Layer):
    """Encodes nothing: a latent space without dimensions, whose KL is 0.

    With it a VAE is the paper's baseline, a decoder-only autoregressive model (paper, Table 1).
    """

    z_size = 0

    def call(self, tokens: tf.Tensor, training: bool = False) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns mu and sigma, float [batch, 0], of int32 [batch, steps, tracks]."""
        empty = tf.zeros([tf.shape(tokens)[0], 0])
        return empty, empty
