"""LSTM stacks that read their own previous tokens and a context.

Several autoregressors may run side by side on the same context, each with tracks of its own: the
trio's lead, bass and drums. The functions below take them as a list, in the order of the tracks.
"""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from magenta_vae.contracts import Noise, TokenChooser
from magenta_vae.model import losses, recurrence
from magenta_vae.model.lstm_stack import LSTMStack
from magenta_vae.model.noise import FEEDBACK, TOKEN, categorical
from magenta_vae.model.registration import register


@register
class Autoregressor(keras.layers.Layer):
    """An LSTM stack that predicts tokens from the previous ones and a context.

    The context sets the initial state by a linear layer, and is concatenated with the previous
    tokens as the input at each step (paper, Architecture Details).

    Args:
        num_classes: classes of each track; all its tracks are read and predicted together.
        context_size: width of the context; at 0 the initial state is zero.
        num_units: units of each layer, or one number for each.
        num_layers: layers of the stack.
        state_activation: activation of the initial state, none by default as in the paper; the
            models that Magenta released use `tanh`.
        recompute, cudnn: see `LSTMStack`.
        **kwargs: options of `keras.layers.Layer`.
    """

    def __init__(
        self,
        num_classes: Sequence[int],
        context_size: int,
        num_units: int | Sequence[int],
        num_layers: int,
        state_activation: str | None = None,
        recompute: bool = False,
        cudnn: bool = True,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.num_classes = tuple(num_classes)
        with keras.name_scope(self.name):
            self.stack = LSTMStack(
                num_classes,
                num_units,
                num_layers,
                context_size,
                state_activation=state_activation,
                recompute=recompute,
                cudnn=cudnn,
                name="stack",
                dtype=self.dtype_policy,
            )
            self._head = keras.layers.Dense(
                sum(num_classes), name="logits", dtype=self.dtype_policy
            )
            self._head.build((None, self.stack.units[-1]))
        self.stack.share_layers(self)
        self.built = True

    def call(
        self, previous: tf.Tensor, context: tf.Tensor, training: bool = False
    ) -> list[tf.Tensor]:
        """Returns what `predict` returns."""
        return self.predict(context, previous, training)

    def logits(self, hidden: tf.Tensor) -> list[tf.Tensor]:
        """Returns float32 logits of each track for hidden states of the last layer, [rows, U]."""
        return tf.split(tf.cast(self._head(hidden), tf.float32), self.num_classes, axis=-1)

    def predict(self, context: tf.Tensor, previous: tf.Tensor, training: bool) -> list[tf.Tensor]:
        """Predicts every step from given previous tokens.

        Args:
            context: float [rows, context_size].
            previous: int32 [rows, steps, tracks], the token before each step.
            training: whether a gradient will be taken: what it needs is then kept. Without, the
                values are the same, and a gradient would take far more memory.

        Returns:
            Logits of each track, float [rows, steps, classes].
        """
        steps_first = tf.transpose(previous, [1, 0, 2])
        return self._logits_of_steps(self.stack.follow(context, steps_first, training))

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

        return self._logits_of_steps(self.stack.draw(context, first, tokens.shape[0], choose))

    def get_config(self) -> dict:
        """Returns the arguments of the constructor."""
        names = ("context_size", "num_units", "num_layers", "state_activation")
        stack = self.stack.get_config()
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            **{name: stack[name] for name in (*names, "recompute", "cudnn")},
        }

    def _logits_of_steps(self, hidden: tf.Tensor) -> list[tf.Tensor]:
        """Returns logits of each track, [rows, steps, classes], of [steps, rows, U]."""
        # Flat: of a sequence, the gradient of the product would hold a matrix for every step.
        rows = tf.reshape(tf.transpose(hidden, [1, 0, 2]), [-1, hidden.shape[-1]])
        num_steps = recurrence.count_steps(hidden)
        return [tf.reshape(track, [-1, num_steps, track.shape[-1]]) for track in self.logits(rows)]


def start_tokens(autoregressors: Sequence[Autoregressor], num_rows) -> tf.Tensor:
    """Returns the tokens before the first step, which are read as zeros: int32 [rows, tracks]."""
    num_classes = [classes for one in autoregressors for classes in one.num_classes]
    return tf.broadcast_to(num_classes, [num_rows, len(num_classes)])


def predict(
    autoregressors: Sequence[Autoregressor], context: tf.Tensor, previous: tf.Tensor, training: bool
) -> list[tf.Tensor]:
    """Returns logits of each track, float [rows, steps, classes]; see `Autoregressor.predict`."""
    inputs = zip(autoregressors, _split_tracks(autoregressors, previous), strict=True)
    return [logits for one, tokens in inputs for logits in one.predict(context, tokens, training)]


def predict_scheduled(
    autoregressors: Sequence[Autoregressor],
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
        autoregressors: in the order of the tracks.
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
    by_track = (_split_tracks(autoregressors, value) for value in (first, tokens, uniform))
    return [
        logits
        for one, *inputs in zip(autoregressors, *by_track, strict=True)
        for logits in one.predict_scheduled(context, *inputs, is_own)
    ]


def generate(
    autoregressors: Sequence[Autoregressor],
    contexts: tf.Tensor,
    first: tf.Tensor,
    segment_steps: int,
    choose: TokenChooser,
) -> tf.Tensor:
    """Generates tokens step by step, each step reading the one before; none has a gradient.

    Args:
        autoregressors: in the order of the tracks.
        contexts: float [segments, rows, context_size]; at each the state is set anew.
        first: int32 [rows, tracks], the token before the first step.
        segment_steps: how many steps each context is for.
        choose: what each step reads. It counts steps over all segments.

    Returns:
        The chosen tokens, int32 [rows, segments * segment_steps, tracks].
    """
    num_segments, context_size = contexts.shape[0], contexts.shape[-1]
    # The chains of several tracks fill the cores by themselves where a step is short: for one row.
    are_parts = len(autoregressors) == 1 or first.shape[0] != 1
    num_parts = [one.stack.count_parts() if are_parts else 1 for one in autoregressors]
    stacks = [(one.stack, number) for one, number in zip(autoregressors, num_parts, strict=True)]
    steppers = [stack.stepper(number) for stack, number in stacks]
    flat = tf.reshape(contexts, [num_segments * tf.shape(contexts)[1], context_size])
    # Of all segments at once: the weights are read once.
    initial = [
        _by_segment(tuple(stack.initial_inputs(flat, number)), num_segments)
        for stack, number in stacks
    ]

    def step_body(first_step, gates, t, token, states, chosen):
        logits, next_states = [], []
        by_track = gates, _split_tracks(autoregressors, token), states
        for one, take_step, *inputs in zip(autoregressors, steppers, *by_track, strict=True):
            state, _ = take_step(*inputs)
            next_states.append(state)
            logits += one.logits(state[-1][0])
        token = tf.ensure_shape(choose(first_step + t, logits), first.shape)
        return t + 1, token, next_states, chosen.write(t, token)

    def segment_body(segment, token, chosen):
        gates, states = zip(
            *(tf.nest.map_structure(lambda x: x[segment], each) for each in initial), strict=True
        )
        # One array a segment: ONNX knows no array that loops within loops write to.
        tokens = tf.TensorArray(tf.int32, segment_steps, element_shape=first.shape)
        _, token, _, tokens = tf.while_loop(
            lambda t, *_: t < segment_steps,
            lambda *loop: step_body(segment * segment_steps, gates, *loop),
            (0, token, list(states), tokens),
            parallel_iterations=1,
        )
        return segment + 1, token, chosen.write(segment, tokens.stack())

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


def sampler(temperature, uniform: tf.Tensor) -> TokenChooser:
    """Returns a choice that samples each track from its softmax at a temperature.

    Args:
        temperature: a number, or one for each row: float [rows, 1].
        uniform: float [steps, rows, tracks] in (0, 1): the draws.
    """

    def choose(step, logits):
        if logits[0].shape[0] == 1:  # Small operations: those of all tracks as one are faster.
            draws, logits = [uniform[step][0]], [_padded(logits)]
        else:
            draws = tf.unstack(uniform[step], axis=-1)
        chosen = [
            categorical(tf.cast(track, tf.float32) / temperature, draw)
            for track, draw in zip(logits, draws, strict=True)
        ]
        return tf.reshape(tf.stack(chosen, axis=-1), [-1, num_tracks])

    num_tracks = uniform.shape[-1]
    return choose


def _padded(logits: Sequence[tf.Tensor]) -> tf.Tensor:
    """Returns the logits of each track for one row, [1, classes], as rows: [tracks, classes].

    Classes that a track does not have are impossible.
    """
    num_classes = max(track.shape[-1] for track in logits)
    return tf.concat(
        [
            tf.pad(track, [[0, 0], [0, num_classes - track.shape[-1]]], constant_values=-np.inf)
            for track in logits
        ],
        axis=0,
    )


def _by_segment(structure, num_segments: int):
    """Returns a structure of [segments * rows, D] as [segments, rows, D]."""

    def split(x):
        # Where the rows are known LiteRT must be told.
        num_rows = -1 if x.shape[0] is None else x.shape[0] // num_segments
        return tf.reshape(x, [num_segments, num_rows, x.shape[1]])

    return tf.nest.map_structure(split, structure)


def _split_tracks(autoregressors: Sequence[Autoregressor], tokens: tf.Tensor) -> list[tf.Tensor]:
    """Returns the tokens that each autoregressor reads: [..., tracks] -> [..., its tracks]."""
    return tf.split(tokens, [len(one.num_classes) for one in autoregressors], axis=-1)
