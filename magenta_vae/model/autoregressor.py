"""LSTM stacks that read their own previous tokens and a context.

Several autoregressors may run side by side on the same context, each with tracks of its own: the
trio's lead, bass and drums. The functions below take them as a list, in the order of the tracks.
"""

from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

from magenta_vae.model import losses, lstm, recurrence
from magenta_vae.model.lstm import LSTMLayer, StackSteps, units_of_layers
from magenta_vae.model.noise import FEEDBACK, TOKEN, Noise, categorical
from magenta_vae.model.unrolling import Unrolling

# (step, logits [rows, classes] of each track) -> int32 [rows, tracks], the token that the next step
# reads.
Choice = Callable[[tf.Tensor, Sequence[tf.Tensor]], tf.Tensor]


class Autoregressor(keras.layers.Layer):
    """An LSTM stack that predicts tokens from the previous ones and a context.

    The context sets the initial state by a linear layer, and is concatenated with the previous
    tokens as the input at each step (paper, Architecture Details).

    Args:
        num_classes: classes of each track; all its tracks are read and predicted together.
        context_size: width of the context; at 0 the initial state is zero.
        num_units: units of each layer, or one number for each.
        num_layers: layers of the stack.
        unrolling: how whole sequences are computed.
        state_activation: activation of the initial state, none by default as in the paper; the
            models that Magenta released use `tanh`.
    """

    def __init__(
        self,
        num_classes: Sequence[int],
        context_size: int,
        num_units: int | Sequence[int],
        num_layers: int,
        unrolling: Unrolling,
        state_activation: str | None = None,
        name: str = "autoregressor",
    ):
        super().__init__(name=name)
        self._unrolling = unrolling
        self.num_classes = tuple(num_classes)
        self._units = units_of_layers(num_units, num_layers)
        input_sizes = [sum(num_classes) + context_size, *self._units[:-1]]
        with keras.name_scope(self.name):
            self._initial_state = None
            if context_size:
                self._initial_state = keras.layers.Dense(
                    2 * sum(self._units), state_activation, name="initial_state"
                )
                self._initial_state.build((None, context_size))
            for index, sizes in enumerate(zip(input_sizes, self._units, strict=True)):
                # Not in a list: Keras 3 hides a layer's lists from tf.train.Checkpoint.
                setattr(self, f"lstm_{index}", LSTMLayer(*sizes, name=f"lstm_{index}"))
            self._head = keras.layers.Dense(sum(num_classes), name="logits")
            self._head.build((None, self._units[-1]))
        self.built = True

    @property
    def lstm_layers(self) -> list[LSTMLayer]:
        """The layers of the stack, the one that reads the tokens first."""
        return [getattr(self, f"lstm_{index}") for index in range(len(self._units))]

    def states(self, context: tf.Tensor) -> list[lstm.State]:
        """Returns the initial (hidden, cell) of each layer, [U, rows] each."""
        if self._initial_state is None:
            rows = tf.shape(context)[0]
            zeros = [tf.zeros([units, rows], self.compute_dtype) for units in self._units]
            return list(zip(zeros, zeros, strict=True))
        return pairs(self._initial_state(context), self._units)

    def context_gates(self, context: tf.Tensor) -> tf.Tensor:
        """Returns the context's part of the first layer's gates, [4U, rows]."""
        return lstm.context_gates(self.lstm_0, self.num_classes, context)

    def weights_of_stack(self) -> lstm.StackWeights:
        """Returns the weights of the layers as loops take them."""
        return lstm.stack_weights(self.lstm_layers, self.num_classes)

    def logits(self, hidden: tf.Tensor) -> list[tf.Tensor]:
        """Returns float32 logits of each track for hidden states of the last layer, [rows, U]."""
        return tf.split(tf.cast(self._head(hidden), tf.float32), self.num_classes, axis=-1)

    def predict(self, context: tf.Tensor, previous: tf.Tensor, training: bool) -> list[tf.Tensor]:
        """Predicts every step from given previous tokens.

        Args:
            context: float [rows, context_size].
            previous: int32 [rows, steps, tracks], the token before each step.
            training: whether to keep what a gradient will need.

        Returns:
            Logits of each track, float [rows, steps, classes].
        """
        return self._logits_of_steps(
            self._unrolling.follow(
                *self._stack(context), tf.transpose(previous, [1, 0, 2]), training
            )
        )

    def predict_scheduled(
        self,
        context: tf.Tensor,
        first: tf.Tensor,
        tokens: tf.Tensor,
        uniform: tf.Tensor,
        is_own: tf.Tensor,
    ) -> list[tf.Tensor]:
        """Predicts every step, reading the model's own sample in the place of some tokens.

        Args:
            context: float [rows, context_size].
            first: int32 [rows, tracks], the token before the first step.
            tokens: int32 [steps, rows, tracks], the true tokens.
            uniform: float [steps, rows, tracks] in (0, 1), the draws for the samples.
            is_own: bool [steps, rows, 1]: whether the next step reads the own samples.

        Returns:
            Logits of each track, float [rows, steps, classes].
        """
        kernel, bias = (
            tf.stop_gradient(tf.cast(weight, self.compute_dtype)) for weight in self._head.weights
        )
        sample = sampler(1.0, uniform)

        def choose(step, hidden):
            logits = tf.split(tf.matmul(hidden, kernel) + bias, self.num_classes, axis=-1)
            return tf.where(is_own[step], sample(step, logits), tokens[step])

        return self._logits_of_steps(
            self._unrolling.draw(*self._stack(context), first, tokens.shape[0], choose)
        )

    def _stack(self, context: tf.Tensor) -> tuple:
        """Returns what both ways of `Unrolling` take first."""
        return self.lstm_layers, self.num_classes, context, self.states(context)

    def _logits_of_steps(self, hidden: tf.Tensor) -> list[tf.Tensor]:
        """Returns logits of each track, [rows, steps, classes], of [steps, rows, U]."""
        # Flat: of a sequence, the gradient of the product would hold a matrix for every step.
        rows = tf.reshape(tf.transpose(hidden, [1, 0, 2]), [-1, hidden.shape[-1]])
        num_steps = recurrence.count_steps(hidden)
        return [tf.reshape(track, [-1, num_steps, track.shape[-1]]) for track in self.logits(rows)]


def pairs(states: tf.Tensor, units: Sequence[int]) -> list[lstm.State]:
    """Returns (hidden, cell) of each layer: [rows, 2 * sum(units)] -> [U, rows] each."""
    parts = tf.split(tf.transpose(states), [size for size in units for _ in range(2)], axis=0)
    return list(zip(parts[::2], parts[1::2], strict=True))


def nothing(parts: Sequence[Autoregressor], num_rows) -> tf.Tensor:
    """Returns the tokens that are read as zero vectors: int32 [rows, tracks]."""
    num_classes = [classes for part in parts for classes in part.num_classes]
    return tf.broadcast_to(num_classes, [num_rows, len(num_classes)])


def predict(
    parts: Sequence[Autoregressor], context: tf.Tensor, previous: tf.Tensor, training: bool
) -> list[tf.Tensor]:
    """Returns logits of each track, float [rows, steps, classes]; see `Autoregressor.predict`."""
    each = zip(parts, _split_tracks(parts, previous), strict=True)
    return [logits for part, own in each for logits in part.predict(context, own, training)]


def predict_scheduled(
    parts: Sequence[Autoregressor],
    context: tf.Tensor,
    first: tf.Tensor,
    tokens: tf.Tensor,
    probability: tf.Tensor,
    noise: Noise,
) -> list[tf.Tensor]:
    """Returns logits of each track, some steps reading the model's own samples.

    Each step reads, with the given probability, what the model sampled at temperature 1 instead of
    the true token (Bengio et al., 2015). The samples carry no gradient.

    Args:
        parts: the autoregressors, in the order of the tracks.
        context: float [rows, context_size].
        first: int32 [rows, tracks], the token before the first step.
        tokens: int32 [rows, steps, tracks], the true tokens.
        probability: of reading the model's own samples, drawn for each step and row: those of all
            tracks, or of none.
        noise: for the samples, and for the choice between them and the truth.

    Returns:
        float [rows, steps, classes] for each track.
    """
    num_steps, num_tracks = tokens.shape[1:]
    is_own = noise.uniform(FEEDBACK, num_steps, 1) < probability
    uniform = noise.uniform(TOKEN, num_steps, num_tracks)
    tokens = tf.transpose(tokens, [1, 0, 2])
    each = (_split_tracks(parts, value) for value in (first, tokens, uniform))
    return [
        logits
        for part, *own in zip(parts, *each, strict=True)
        for logits in part.predict_scheduled(context, *own, is_own)
    ]


def run(
    parts: Sequence[Autoregressor],
    contexts: tf.Tensor,
    first: tf.Tensor,
    segment_steps: int,
    choose: Choice,
) -> tf.Tensor:
    """Runs step by step on tokens chosen on the way; nothing of it carries a gradient.

    Args:
        parts: the autoregressors, in the order of the tracks.
        contexts: float [segments, rows, context_size]; at each the state is set anew.
        first: int32 [rows, tracks], the token before the first step.
        segment_steps: how many steps each context is for.
        choose: what each step reads. It counts steps over all segments.

    Returns:
        The chosen tokens, int32 [rows, segments * segment_steps, tracks].
    """
    num_segments, context_size = contexts.shape[0], contexts.shape[-1]
    steps = [StackSteps(part.weights_of_stack()) for part in parts]
    flat = tf.reshape(contexts, [num_segments * tf.shape(contexts)[1], context_size])
    # Of all segments at once: the weights are read once.
    starts = [
        _by_segment((part.context_gates(flat), part.states(flat)), num_segments) for part in parts
    ]

    def step_body(t, token, states, chosen, first_step, constants):
        logits, next_states = [], []
        own_tokens = _split_tracks(parts, token)
        for part, take_step, *own in zip(parts, steps, constants, own_tokens, states, strict=True):
            state, _ = take_step(*own)
            next_states.append(state)
            logits += part.logits(tf.transpose(state[-1][0]))
        token = tf.ensure_shape(choose(first_step + t, logits), first.shape)
        return t + 1, token, next_states, chosen.write(t, token)

    def segment_body(segment, token, chosen):
        constants, states = zip(
            *(tf.nest.map_structure(lambda x: x[segment], start) for start in starts), strict=True
        )
        # An array of its own: ONNX knows no array that loops within loops write to.
        own = tf.TensorArray(tf.int32, segment_steps, element_shape=first.shape)
        _, token, _, own = tf.while_loop(
            lambda t, *_: t < segment_steps,
            lambda *loop: step_body(*loop, segment * segment_steps, constants),
            (0, token, list(states), own),
            parallel_iterations=1,
        )
        return segment + 1, token, chosen.write(segment, own.stack())

    shape = tf.TensorShape([segment_steps]).concatenate(first.shape)
    array = tf.TensorArray(tf.int32, num_segments, element_shape=shape)
    *_, chosen = tf.while_loop(
        lambda segment, *_: segment < num_segments,
        segment_body,
        (0, first, array),
        parallel_iterations=1,
    )
    # [S, T / S, B, K] -> [T, B, K] -> [B, T, K]
    num_rows = -1 if first.shape[0] is None else first.shape[0]
    chosen = tf.reshape(chosen.stack(), [num_segments * segment_steps, num_rows, first.shape[-1]])
    return tf.transpose(chosen, [1, 0, 2])


def greedy(step, logits: Sequence[tf.Tensor]) -> tf.Tensor:
    """Chooses the most likely token of each track: int32 [rows, tracks]."""
    del step
    return losses.most_likely([track[:, None] for track in logits])[:, 0]


def sampler(temperature, uniform: tf.Tensor) -> Choice:
    """Returns a choice that samples each track from its softmax at a temperature.

    Args:
        temperature: a number, or one for each row: float [rows, 1].
        uniform: float [steps, rows, tracks] in (0, 1): the draws.
    """

    def choose(step, logits):
        draws = tf.unstack(uniform[step], axis=-1)
        return tf.stack(
            [
                categorical(tf.cast(track, tf.float32) / temperature, draw)
                for track, draw in zip(logits, draws, strict=True)
            ],
            axis=-1,
        )

    return choose


def _by_segment(structure, num_segments: int):
    """Returns a structure of [D, segments * rows] as [segments, D, rows]."""

    def split(x):
        # Where the rows are known LiteRT must be told.
        num_rows = -1 if x.shape[1] is None else x.shape[1] // num_segments
        return tf.transpose(tf.reshape(x, [x.shape[0], num_segments, num_rows]), [1, 0, 2])

    return tf.nest.map_structure(split, structure)


def _split_tracks(parts: Sequence[Autoregressor], tokens: tf.Tensor) -> list[tf.Tensor]:
    """Returns each part's own tokens: [..., tracks] -> [..., tracks of the part]."""
    return tf.split(tokens, [len(part.num_classes) for part in parts], axis=-1)
