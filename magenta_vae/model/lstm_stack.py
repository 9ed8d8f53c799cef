"""A stack of LSTM layers: the one thing that encoders, conductors and decoders are made of."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from magenta_vae.model import lstm, lstm_steps, recomputation, recurrence
from magenta_vae.model.lstm import LSTMLayer
from magenta_vae.model.lstm_steps import StackSteps, StackWeights, State
from magenta_vae.model.registration import hold_by_name, register


class InitialInputs(NamedTuple):
    """What a context gives a stack before its first step.

    Attributes:
        gates: what the context adds to the first layer's gates of each part, the same at every
            step, [rows, 4P], or another at each, [steps, rows, 4P].
        states: of each layer.
    """

    gates: list[tf.Tensor]
    states: list[State]


@register
class LSTMStack(keras.layers.Layer):
    """LSTM layers that read one-hot tokens joined with a context, which also sets the first state.

    A sequence is computed by loops over steps, which keep what a gradient needs, or by loops that
    compute it again (gradient checkpointing), or by cuDNN.

    Args:
        num_classes: classes of each track; () for a stack that reads no tokens. The token
            `num_classes[k]` is read as a vector of zeros.
        num_units: units of each layer, or one number for each.
        num_layers: layers of the stack.
        context_size: width of the context, 0 for none.
        joins_context: whether each input has the context joined to it.
        state_from_context: whether the first state is a linear layer of the context; otherwise,
            and without a context, it is zero.
        state_activation: activation of the first state.
        features: what is read for each class, float [classes, width] a track; one-hot rows by
            default.
        recompute: whether gradients compute the loops' activations again instead of keeping them.
        cudnn: whether cuDNN's kernels take sequences where TensorFlow sees a GPU, by Keras' LSTM on
            the same weights. They compute in float32 or float16, and recompute nothing: the rest
            takes the loops. XLA cannot compile them.
        in_parts: whether loops that keep what a gradient needs may compute the units of each layer
            in parts, side by side. Of stacks that run side by side themselves each fills a core.
        layer_names: of the layers, lstm_0, lstm_1 ... by default.
        **kwargs: options of `keras.layers.Layer`.
    """

    def __init__(
        self,
        num_classes: Sequence[int],
        num_units: int | Sequence[int],
        num_layers: int = 1,
        context_size: int = 0,
        joins_context: bool = True,
        state_from_context: bool = True,
        state_activation: str | None = None,
        features: Sequence[np.ndarray] | None = None,
        recompute: bool = False,
        cudnn: bool = True,
        in_parts: bool = True,
        layer_names: Sequence[str] | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.num_classes = tuple(num_classes)
        self.units = units_of_layers(num_units, num_layers)
        self.context_size = context_size
        self.joins_context = joins_context
        self.state_from_context = state_from_context
        self.recompute = recompute
        self.cudnn = cudnn
        self.in_parts = in_parts
        self.layer_names = tuple(layer_names or (f"lstm_{n}" for n in range(num_layers)))
        self._state_activation = state_activation
        self._features = (
            None if features is None else [np.asarray(rows, np.float32) for rows in features]
        )
        self._widths = lstm.widths_of(self.num_classes, self._features)
        # No scope of names: variables have the path of the layer that holds the stack.
        self._initial_state = None
        if context_size and state_from_context:
            self._initial_state = keras.layers.Dense(
                2 * sum(self.units), state_activation, name="initial_state", dtype=self.dtype_policy
            )
            self._initial_state.build((None, context_size))
        sizes = [sum(self._widths) + (context_size if joins_context else 0), *self.units[:-1]]
        by_name = zip(self.layer_names, sizes, self.units, strict=True)
        hold_by_name(
            self,
            {
                name: LSTMLayer(size, width, name=name, dtype=self.dtype_policy)
                for name, size, width in by_name
            },
        )
        self.built = True

    @property
    def lstm_layers(self) -> list[LSTMLayer]:
        """The layers of the stack, the one that reads the tokens first."""
        return [getattr(self, name) for name in self.layer_names]

    def share_layers(self, owner: keras.layers.Layer) -> None:
        """Names the layers at the layer that holds the stack too, where checkpoints keep them."""
        if self._initial_state is not None:
            owner._initial_state = self._initial_state
        hold_by_name(owner, {layer.name: layer for layer in self.lstm_layers})

    def call(
        self, tokens: tf.Tensor, context: tf.Tensor | None = None, training: bool = False
    ) -> tf.Tensor:
        """Returns the outputs of all steps, float [rows, steps, U].

        Args:
            tokens: int32 [rows, steps, tracks].
            context: float [rows, context_size].
            training: whether a gradient will be taken: what it needs is then kept. Without, the
                values are the same, and a gradient would take far more memory.
        """
        outputs = self.follow(context, tf.transpose(tokens, [1, 0, 2]), training)
        return tf.transpose(outputs, [1, 0, 2])

    def follow(
        self, context: tf.Tensor | None, tokens: tf.Tensor, training: bool = False
    ) -> tf.Tensor:
        """Runs over given tokens.

        Args:
            context: float [rows, context_size]; or another at each step, [steps, rows,
                context_size], where it sets no state. None where there is none.
            tokens: int32 [steps, rows, tracks].
            training: whether a gradient will be taken: what it needs is then kept. Without, the
                values are the same, and a gradient would take far more memory.

        Returns:
            The hidden states of the last layer, [steps, rows, U].
        """
        if self._takes_cudnn():
            return self._run_keras(context, tokens)
        inputs = self._over(context, tokens)
        return self._loop(*inputs) if training else recurrence.outputs(*inputs)

    def last_output(
        self, context: tf.Tensor | None, tokens: tf.Tensor, training: bool = False
    ) -> tf.Tensor:
        """Runs over given tokens as `follow` does, for the last output alone: [rows, U]."""
        if training or self._takes_cudnn():
            return self.follow(context, tokens, training)[-1]
        return recurrence.final_output(*self._over(context, tokens))

    def draw(
        self,
        context: tf.Tensor,
        first: tf.Tensor,
        num_steps: int,
        choose: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    ) -> tf.Tensor:
        """Runs over tokens that are chosen on the way; the choice carries no gradient.

        What a gradient needs is kept.

        Args:
            context: float [rows, context_size].
            first: int32 [rows, tracks], the tokens that the first step reads.
            num_steps: how many steps.
            choose: (step, hidden state of the last layer [rows, U]) -> int32 [rows, tracks], what
                the next step reads. It reads no variable.

        Returns:
            The hidden states of the last layer, [steps, rows, U].
        """
        if self._takes_cudnn():
            # A kernel of a whole sequence wants its tokens before: one loop, of no gradient, draws
            # them.
            tokens = recurrence.read_tokens(*self._inputs(context), first, num_steps, choose)
            return self._run_keras(context, tokens)
        inputs = self._inputs(context, self.count_parts())
        return self._loop(*inputs, first, num_steps, choose)

    def initial_inputs(self, context: tf.Tensor, num_parts: int = 1) -> InitialInputs:
        """Returns what the context gives; of width 0 it tells the rows alone.

        Args:
            context: see `follow`.
            num_parts: in how many parts the units of each layer are computed.
        """
        joined = context if self.joins_context else context[..., :0]
        gates = lstm.context_gates(self.lstm_layers[0], self._widths, joined)
        states = [
            (hidden, tuple(tf.split(cell, num_parts, axis=1)))
            for hidden, cell in self.first_states(context)
        ]
        return InitialInputs(lstm_steps.in_parts(gates, num_parts), states)

    def first_states(self, context: tf.Tensor) -> list[tuple[tf.Tensor, tf.Tensor]]:
        """Returns the first (hidden, cell) of each layer, [rows, U] each."""
        if self._initial_state is not None:
            return pairs(self._initial_state(context), self.units)
        num_rows = tf.shape(context)[-2]
        zeros = [tf.zeros([num_rows, units], self.compute_dtype) for units in self.units]
        return list(zip(zeros, zeros, strict=True))

    def stepper(self, num_parts: int = 1) -> StackSteps:
        """Returns (gates, tokens, states) -> (next states, ...): one step, for sampling.

        Args:
            num_parts: in how many parts the units of each layer are computed.
        """
        return StackSteps(self._weights(num_parts))

    def count_parts(self) -> int:
        """Returns in how many parts the units of each layer are computed at best."""
        return lstm_steps.count_parts(self.units) if self.in_parts else 1

    def get_config(self) -> dict:
        """Returns the arguments of the constructor."""
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "num_units": self.units,
            "num_layers": len(self.units),
            "context_size": self.context_size,
            "joins_context": self.joins_context,
            "state_from_context": self.state_from_context,
            "state_activation": self._state_activation,
            "features": features_config(self._features),
            "recompute": self.recompute,
            "cudnn": self.cudnn,
            "in_parts": self.in_parts,
            "layer_names": self.layer_names,
        }

    def _inputs(self, context: tf.Tensor, num_parts: int = 1) -> tuple:
        """Returns the arguments of loops that have a gradient: weights, gates and states."""
        return self._weights(num_parts), *self.initial_inputs(context, num_parts)

    def _over(self, context: tf.Tensor | None, tokens: tf.Tensor) -> tuple:
        """Returns the arguments of loops over given tokens."""
        if context is None:
            context = tf.zeros([tf.shape(tokens)[1], 0])
        num_steps = recurrence.count_steps(tokens)
        inputs = self._inputs(context, self.count_parts())
        return *inputs, tokens[0], num_steps, _following(tokens)

    def _weights(self, num_parts: int) -> StackWeights:
        return lstm.stack_weights(self.lstm_layers, self.num_classes, self._features, num_parts)

    def _loop(self, *arguments) -> tf.Tensor:
        unroll = recomputation.unroll if self.recompute else recurrence.unroll
        hidden, _ = unroll(*arguments)
        return hidden

    def _takes_cudnn(self) -> bool:
        return (
            self.cudnn
            and not self.recompute
            and self.compute_dtype in ("float32", "float16")
            and self.lstm_layers[0].input_size > 0
            and lstm_steps.has_gpu()
        )

    def _run_keras(self, context: tf.Tensor | None, tokens: tf.Tensor) -> tf.Tensor:
        """Does what `follow` does by Keras' LSTM, which takes cuDNN's kernel on a GPU."""
        tokens = tf.transpose(tokens, [1, 0, 2])  # [T, R, K] -> [R, T, K]
        inputs = [self._read(tokens[..., track], track) for track in range(len(self.num_classes))]
        if context is None:
            context = tf.zeros([tf.shape(tokens)[0], 0])
        if self.context_size and self.joins_context:
            joined = tf.cast(context, self.compute_dtype)
            if joined.shape.rank == 3:
                joined = tf.transpose(joined, [1, 0, 2])
            else:
                at_each_step = [*tf.unstack(tf.shape(tokens)[:2]), self.context_size]
                joined = tf.broadcast_to(joined[:, None], at_each_step)
            inputs.append(joined)
        outputs = tf.concat(inputs, axis=-1)
        for layer, state in zip(self.lstm_layers, self.first_states(context), strict=True):
            outputs = layer.as_keras()(outputs, initial_state=list(state))
        return tf.transpose(outputs, [1, 0, 2])

    def _read(self, tokens: tf.Tensor, track: int) -> tf.Tensor:
        """Returns what is read for the tokens of a track: int32 [...] -> [..., width]."""
        if self._features is None:
            return tf.one_hot(tokens, self.num_classes[track], dtype=self.compute_dtype)
        rows = np.pad(self._features[track], [[0, 1], [0, 0]])  # What is read for no token: zeros.
        return tf.gather(tf.constant(rows, self.compute_dtype), tokens)


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


def pairs(states: tf.Tensor, units: Sequence[int]) -> list[tuple[tf.Tensor, tf.Tensor]]:
    """Returns (hidden, cell) of each layer: [rows, 2 * sum(units)] -> [rows, U] each."""
    halves = tf.split(states, [size for size in units for _ in range(2)], axis=1)
    return list(zip(halves[::2], halves[1::2], strict=True))


def features_config(features: Sequence[np.ndarray] | None) -> list | None:
    """Returns features as a config holds them."""
    return None if features is None else [rows.tolist() for rows in features]


def _following(tokens: tf.Tensor) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """Returns a choice of what given tokens, int32 [steps, rows, tracks], say at each step."""
    last = tf.shape(tokens)[0] - 1
    return lambda step, _: tokens[tf.minimum(step + 1, last)]
