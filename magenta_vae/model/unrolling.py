"""The ways of a stack of LSTM layers over a sequence: loops, loops that recompute, and cuDNN."""

import dataclasses
from collections.abc import Callable, Sequence

import tensorflow as tf

from magenta_vae.model import lstm, recomputation, recurrence
from magenta_vae.model.lstm import LSTMLayer, State


@dataclasses.dataclass(frozen=True)
class Unrolling:
    """How values and gradients of a whole sequence are computed.

    Attributes:
        recompute: whether gradients compute the loops' activations again instead of keeping them.
        cudnn: whether cuDNN's kernels take sequences where TensorFlow sees a GPU, by Keras' LSTM on
            the same weights. They compute in float32 or float16, and recompute nothing: the rest
            takes the loops. XLA cannot compile them.
    """

    recompute: bool
    cudnn: bool

    def follow(
        self,
        layers: Sequence[LSTMLayer],
        num_classes: Sequence[int],
        context: tf.Tensor,
        states: Sequence[State],
        tokens: tf.Tensor,
        training: bool,
    ) -> tf.Tensor:
        """Runs a stack that reads given tokens.

        Args:
            layers: of the stack; the first reads one-hot tokens joined with the context.
            num_classes: classes of each track; the token `num_classes[k]` is a zero vector.
            context: float [rows, context_size].
            states: of each layer at the start.
            tokens: int32 [steps, rows, tracks].
            training: whether to keep what a gradient will need.

        Returns:
            The hidden states of the last layer, [steps, rows, U].
        """
        if self._takes_cudnn(layers):
            return _run_keras(layers, num_classes, context, states, tokens)
        loop = self._loop if training else recurrence.outputs
        return loop(*_given(layers, num_classes, context, states, tokens))

    def finish(
        self,
        layers: Sequence[LSTMLayer],
        num_classes: Sequence[int],
        context: tf.Tensor,
        states: Sequence[State],
        tokens: tf.Tensor,
        training: bool,
    ) -> tf.Tensor:
        """Runs a stack as `follow` does, for its last output alone: [rows, U]."""
        arguments = layers, num_classes, context, states, tokens
        if training or self._takes_cudnn(layers):
            return self.follow(*arguments, training)[-1]
        return recurrence.final_output(*_given(*arguments))

    def draw(
        self,
        layers: Sequence[LSTMLayer],
        num_classes: Sequence[int],
        context: tf.Tensor,
        states: Sequence[State],
        first: tf.Tensor,
        num_steps: int,
        choose: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    ) -> tf.Tensor:
        """Runs a stack whose tokens are chosen on the way; the choice carries no gradient.

        Args:
            layers, num_classes, context, states: see `follow`.
            first: int32 [rows, tracks], the tokens that the first step reads.
            num_steps: how many steps.
            choose: (step, hidden state of the last layer [rows, U]) -> int32 [rows, tracks], what
                the next step reads. It reads no variable.

        Returns:
            The hidden states of the last layer, [steps, rows, U].
        """
        if self._takes_cudnn(layers):
            # A kernel of a whole sequence wants its tokens before: one loop, of no gradient, draws
            # them.
            weights = _weigh(layers, num_classes, context)
            tokens = recurrence.read_tokens(*weights, states, first, num_steps, choose)
            return _run_keras(layers, num_classes, context, states, tokens)
        weights = _weigh(layers, num_classes, context)
        return self._loop(*weights, states, first, num_steps, choose)

    def _takes_cudnn(self, layers: Sequence[LSTMLayer]) -> bool:
        return (
            self.cudnn
            and not self.recompute
            and layers[0].compute_dtype in ("float32", "float16")
            and lstm.has_gpu()
        )

    def _loop(self, *arguments) -> tf.Tensor:
        unroll = recomputation.unroll if self.recompute else recurrence.unroll
        hidden, _ = unroll(*arguments)
        return hidden


def following(tokens: tf.Tensor) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """Returns a choice of what given tokens, int32 [steps, rows, tracks], say at each step."""
    last = tf.shape(tokens)[0] - 1
    return lambda step, _: tokens[tf.minimum(step + 1, last)]


def _given(layers, num_classes, context, states, tokens):
    """Returns the arguments of loops that read given tokens."""
    weights = _weigh(layers, num_classes, context)
    return *weights, states, tokens[0], recurrence.count_steps(tokens), following(tokens)


def _weigh(layers, num_classes, context):
    """Returns the weights and the context's gates, as loops take them."""
    weights = lstm.stack_weights(layers, num_classes)
    return weights, lstm.context_gates(layers[0], num_classes, context)


def _run_keras(layers, num_classes, context, states, tokens) -> tf.Tensor:
    """Does what `Unrolling.follow` does by Keras' LSTM, which takes cuDNN's kernel on a GPU."""
    dtype = layers[0].compute_dtype
    tokens = tf.transpose(tokens, [1, 0, 2])  # [T, R, K] -> [R, T, K]
    inputs = [
        tf.one_hot(tokens[..., track], classes, dtype=dtype)
        for track, classes in enumerate(num_classes)
    ]
    if context.shape[-1]:
        at_each_step = [*tf.unstack(tf.shape(tokens)[:2]), context.shape[-1]]
        inputs.append(tf.broadcast_to(tf.cast(context, dtype)[:, None], at_each_step))
    outputs = tf.concat(inputs, axis=-1)
    for layer, state in zip(layers, states, strict=True):
        initial = [tf.transpose(part) for part in state]
        outputs = layer.as_keras()(outputs, initial_state=initial)
    return tf.transpose(outputs, [1, 0, 2])
