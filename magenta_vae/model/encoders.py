"""Tokens -> mu and sigma of the posterior."""

from collections.abc import Sequence

import keras
import tensorflow as tf

from magenta_vae.model.lstm_stack import LSTMStack
from magenta_vae.model.registration import register


@register
class BidirectionalLSTM(keras.layers.Layer):
    """A single-layer bidirectional LSTM (paper, Architecture Details).

    The one-hot tokens of all tracks are concatenated as the input; the final output of each
    direction is concatenated and passed through a linear layer to mu and sigma_pre, and
    sigma = exp(2 sigma_pre).

    Args:
        num_classes: classes of each track.
        num_units: units of each direction.
        z_size: dimensions of the latent space.
        recompute, cudnn: see `LSTMStack`.
        **kwargs: options of `keras.layers.Layer`.

    Raises:
        ValueError: for a latent space without a dimension.
    """

    def __init__(
        self,
        num_classes: Sequence[int],
        num_units: int,
        z_size: int,
        recompute: bool = False,
        cudnn: bool = True,
        name: str = "encoder",
        **kwargs,
    ):
        super().__init__(name=name, **kwargs)
        if not z_size > 0:
            raise ValueError(
                f"BidirectionalLSTM.z_size must be at least 1. Received: z_size={z_size}. "
                "A model without a latent space is variants/baseline.gin."
            )
        self.z_size = z_size
        with keras.name_scope(self.name):
            self._forward_stack, self._backward_stack = (
                LSTMStack(
                    num_classes,
                    num_units,
                    recompute=recompute,
                    cudnn=cudnn,
                    in_parts=False,  # The two directions run side by side.
                    layer_names=[direction],
                    dtype=self.dtype_policy,
                )
                for direction in ("forward", "backward")
            )
            self._linear = keras.layers.Dense(
                2 * z_size, name="mu_and_sigma", dtype=self.dtype_policy
            )
            self._linear.build((None, 2 * num_units))
        # Where checkpoints keep the layers.
        self._forward, self._backward = self._forward_stack.forward, self._backward_stack.backward
        self.built = True

    def call(self, tokens: tf.Tensor, training: bool = False) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns mu and sigma, float32 [batch, z_size], of int32 [batch, steps, tracks].

        Args:
            tokens: of all tracks.
            training: whether a gradient will be taken: what it needs is then kept. Without, the
                values are the same, and a gradient would take far more memory.
        """
        steps_first = tf.transpose(tokens, [1, 0, 2])
        finals = [
            self._forward_stack.last_output(None, steps_first, training),
            self._backward_stack.last_output(None, steps_first[::-1], training),
        ]
        outputs = tf.cast(self._linear(tf.concat(finals, axis=-1)), tf.float32)
        mu, sigma_pre = tf.split(outputs, 2, axis=-1)
        return mu, tf.exp(2 * sigma_pre)

    def get_config(self) -> dict:
        """Returns the arguments of the constructor."""
        stack = self._forward_stack.get_config()
        return {
            **super().get_config(),
            "num_units": self._forward_stack.units[0],
            "z_size": self.z_size,
            **{name: stack[name] for name in ("num_classes", "recompute", "cudnn")},
        }


@register
class NoEncoder(keras.layers.Layer):
    """Encodes nothing: a latent space without dimensions, whose KL is 0.

    With it a VAE is the paper's baseline, a decoder-only autoregressive model (paper, Table 1).

    Args:
        **kwargs: options of `keras.layers.Layer`.
    """

    z_size = 0

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.built = True

    def call(self, tokens: tf.Tensor, training: bool = False) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns mu and sigma, float [batch, 0], of int32 [batch, steps, tracks]."""
        empty = tf.zeros([tf.shape(tokens)[0], 0])
        return empty, empty
