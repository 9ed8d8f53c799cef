"""An encoder of two levels, as Magenta's `HierarchicalLstmEncoder` is one."""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from magenta_vae.magenta.encoder import make_heads, make_stacks
from magenta_vae.model.lstm_stack import units_of_layers
from magenta_vae.model.registration import hold_by_name, register

NUM_LEVELS = 2


@register
class HierarchicalBidirectionalLSTM(keras.layers.Layer):
    """A bidirectional LSTM over each segment of a window, and one over the segments.

    The final outputs of both directions are what a segment is to the upper level. The upper level's
    go through a linear layer to mu, and through another and a softplus to sigma.

    Args:
        num_classes: classes of each track.
        num_units: units of each direction of each level, or one number for each, the lower first.
        num_segments: in how many segments of one length a window is cut.
        z_size: dimensions of the latent space.
        features: what the encoder is fed for each class, float [classes, width] a track; one-hot
            rows by default.
        recompute, cudnn: see `LSTMStack`.
        num_steps: steps of a window. A piece of a window is then cut in fewer segments of the same
            length; without, in `num_segments` shorter ones.
        **kwargs: options of `keras.layers.Layer`.

    Raises:
        ValueError: for steps of a window that are no multiple of its segments.
    """

    def __init__(
        self,
        num_classes: Sequence[int],
        num_units: int | Sequence[int],
        num_segments: int,
        z_size: int,
        features: Sequence[np.ndarray] | None = None,
        recompute: bool = False,
        cudnn: bool = True,
        num_steps: int | None = None,
        name: str = "encoder",
        **kwargs,
    ):
        super().__init__(name=name, **kwargs)
        self.z_size = z_size
        self.num_segments, self.num_steps = num_segments, num_steps
        if num_steps is not None and num_steps % num_segments:
            raise ValueError(
                f"num_steps must be a multiple of num_segments={num_segments}. "
                f"Received: num_steps={num_steps}."
            )
        self._units = units_of_layers(num_units, NUM_LEVELS)
        with keras.name_scope(self.name):
            stacks = make_stacks(
                num_classes,
                self._units,
                "level_{index}_{direction}",
                features,
                recompute=recompute,
                cudnn=cudnn,
                in_parts=False,  # The two directions run side by side.
                dtype=self.dtype_policy,
            )
            hold_by_name(self, stacks)
            self._mu, self._sigma = make_heads(z_size, 2 * self._units[-1], self.dtype_policy)
        for stack in stacks.values():
            stack.share_layers(self)
        self.built = True

    def call(self, tokens: tf.Tensor, training: bool = False) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns mu and sigma, float32 [batch, z_size], of int32 [batch, steps, tracks].

        Args:
            tokens: of all tracks; whole segments.
            training: whether a gradient will be taken: what it needs is then kept. Without, the
                values are the same, and a gradient would take far more memory.

        Raises:
            ValueError: for steps that are no whole segments.
        """
        return self.encode_window(self.encode_segments(tokens, training), training)

    @property
    def segment_size(self) -> int:
        """Width of what `encode_segments` makes of a segment."""
        return 2 * self._units[0]

    @property
    def lower_layers(self) -> list[keras.layers.Layer]:
        """The layers of the lower level."""
        return [self.forward_stack_0, self.backward_stack_0]

    def encode_segments(self, tokens: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Returns the lower level's final outputs, float [batch, segments, segment_size].

        Args:
            tokens, training: as of `call`.

        Raises:
            ValueError: for steps that are no whole segments.
        """
        num_rows, num_tracks = tf.shape(tokens)[0], tokens.shape[2]
        num_segments, segment_steps = self._cut(tokens)
        # All segments as rows of one batch: none depends on another. [B, T, K] -> [T / S, B * S, K]
        rows = tf.reshape(tokens, [num_rows * num_segments, segment_steps, num_tracks])
        segments = self._final_outputs(0, None, tf.transpose(rows, [1, 0, 2]), training)
        return tf.reshape(segments, [num_rows, num_segments, self.segment_size])

    def encode_window(
        self, segments: tf.Tensor, training: bool = False
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns mu and sigma, float32 [batch, z_size], of what `encode_segments` returned."""
        num_segments = segments.shape[1] or tf.shape(segments)[1]
        no_tokens = tf.zeros([num_segments, tf.shape(segments)[0], 0], tf.int32)
        final = self._final_outputs(1, tf.transpose(segments, [1, 0, 2]), no_tokens, training)
        return tuple(tf.cast(linear(final), tf.float32) for linear in (self._mu, self._sigma))

    def get_config(self) -> dict:
        """Returns the arguments of the constructor."""
        stack = self.forward_stack_0.get_config()
        return {
            **super().get_config(),
            "num_units": self._units,
            "num_segments": self.num_segments,
            "num_steps": self.num_steps,
            "z_size": self.z_size,
            **{name: stack[name] for name in ("num_classes", "features", "recompute", "cudnn")},
        }

    def _cut(self, tokens: tf.Tensor) -> tuple[int | tf.Tensor, int | tf.Tensor]:
        """Returns how many segments tokens are cut into, and the steps of a segment."""
        steps = tokens.shape[1]
        if self.num_steps is None:
            of, unit = "num_segments", self.num_segments
        else:
            of, unit = "segment_steps", self.num_steps // self.num_segments
        if steps is not None and steps % unit:
            raise ValueError(
                f"A window's steps must be a multiple of {of}={unit}. Received: {steps} steps."
            )
        count = (tf.shape(tokens)[1] if steps is None else steps) // unit
        return (unit, count) if self.num_steps is None else (count, unit)

    def _final_outputs(
        self, level: int, context: tf.Tensor | None, tokens: tf.Tensor, training: bool
    ) -> tf.Tensor:
        """Returns the last outputs of both directions of a level, [rows, 2U]."""
        forward, backward = (
            getattr(self, f"{direction}_stack_{level}") for direction in ("forward", "backward")
        )
        reverse = None if context is None else context[::-1]
        finals = [
            forward.last_output(context, tokens, training),
            backward.last_output(reverse, tokens[::-1], training),
        ]
        return tf.concat(finals, axis=-1)
