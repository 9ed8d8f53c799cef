"""The encoder of the models that Magenta released."""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from magenta_vae.model.lstm_stack import LSTMStack, units_of_layers
from magenta_vae.model.registration import hold_by_name, register


@register
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
        recompute, cudnn: see `LSTMStack`.
        **kwargs: options of `keras.layers.Layer`.
    """

    def __init__(
        self,
        num_classes: Sequence[int],
        num_units: int | Sequence[int],
        num_layers: int,
        z_size: int,
        features: Sequence[np.ndarray] | None = None,
        recompute: bool = False,
        cudnn: bool = True,
        name: str = "encoder",
        **kwargs,
    ):
        super().__init__(name=name, **kwargs)
        self.z_size = z_size
        self._units = units_of_layers(num_units, num_layers)
        with keras.name_scope(self.name):
            stacks = make_stacks(
                num_classes,
                self._units,
                "{direction}_{index}",
                features,
                recompute=recompute,
                cudnn=cudnn,
                dtype=self.dtype_policy,
            )
            hold_by_name(self, stacks)
            self._mu, self._sigma = make_heads(z_size, 2 * self._units[-1], self.dtype_policy)
        for stack in stacks.values():
            stack.share_layers(self)
        self.built = True

    def call(self, tokens: tf.Tensor, training: bool = False) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns mu and sigma, float [batch, z_size], of int32 [batch, steps, tracks].

        Args:
            tokens: of all tracks.
            training: whether a gradient will be taken: what it needs is then kept. Without, the
                values are the same, and a gradient would take far more memory.
        """
        tokens, context = tf.transpose(tokens, [1, 0, 2]), None
        for index in range(len(self._units)):
            forward, backward = self._stacks(index)
            ahead = forward.follow(context, tokens, training)
            back = backward.follow(_reverse(context), tokens[::-1], training)
            context = tf.concat([ahead, back[::-1]], axis=-1)  # [T, B, 2U]
            tokens = tokens[..., :0]
        final = tf.concat([ahead[-1], back[-1]], axis=-1)
        return tuple(tf.cast(linear(final), tf.float32) for linear in (self._mu, self._sigma))

    def get_config(self) -> dict:
        """Returns the arguments of the constructor."""
        stack = self._stacks(0)[0].get_config()
        return {
            **super().get_config(),
            "num_units": self._units,
            "num_layers": len(self._units),
            "z_size": self.z_size,
            **{name: stack[name] for name in ("num_classes", "features", "recompute", "cudnn")},
        }

    def _stacks(self, index: int) -> tuple[LSTMStack, LSTMStack]:
        """Returns both directions of a layer."""
        return getattr(self, f"forward_stack_{index}"), getattr(self, f"backward_stack_{index}")


def make_stacks(
    num_classes: Sequence[int],
    units: Sequence[int],
    layer_name: str,
    features: Sequence[np.ndarray] | None,
    **options,
) -> dict[str, LSTMStack]:
    """Returns a stack for each direction of each layer, `forward_stack_0` and so on, by name.

    Args:
        num_classes: classes of each track, which the lowest layer reads.
        units: of each direction of each layer; each other layer reads both directions below it.
        layer_name: what the layer of a stack is called, with `{direction}` and `{index}` in it.
        features: as of `StackedBidirectionalLSTM`.
        **options: of `LSTMStack`.
    """
    return {
        f"{direction}_stack_{index}": LSTMStack(
            num_classes=() if index else num_classes,
            num_units=size,
            context_size=2 * units[index - 1] if index else 0,
            state_from_context=False,
            features=None if index else features,
            layer_names=[layer_name.format(direction=direction, index=index)],
            **options,
        )
        for index, size in enumerate(units)
        for direction in ("forward", "backward")
    }


def make_heads(
    z_size: int, num_inputs: int, dtype: keras.DTypePolicy
) -> tuple[keras.layers.Dense, keras.layers.Dense]:
    """Returns what makes mu and sigma of [batch, num_inputs]: float [batch, z_size] each."""
    mu = keras.layers.Dense(z_size, name="mu", dtype=dtype)
    sigma = keras.layers.Dense(z_size, "softplus", name="sigma", dtype=dtype)
    for linear in (mu, sigma):
        linear.build((None, num_inputs))
    return mu, sigma


def _reverse(sequence: tf.Tensor | None) -> tf.Tensor | None:
    return None if sequence is None else sequence[::-1]
