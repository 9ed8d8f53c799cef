"""LSTM stacks that read their own previous tokens and a context.

Several autoregressors may run side by side on the same context, each with tracks of its own: the
trio's lead, bass and drums. The functions below take them as a list, in the order of the tracks.
"""

from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

from magenta_vae.model import losses
from magenta_vae.model.lstm import LSTMLayer
from magenta_vae.model.noise import FEEDBACK, TOKEN, Noise, gumbel

Choice = Callable[[tf.Tensor, Sequence[tf.Tensor]], tf.Tensor]


class Autoregressor(keras.layers.Layer):
    """An LSTM stack that predicts tokens from the previous ones and a context.

    The context sets the initial state by a linear layer, and is concatenated with the previous
    tokens as the input at each step (paper, Architecture Details).

    Args:
        num_classes: classes of each track; all its tracks are read and predicted together.
        context_size: width of the context; at 0 the initial state is zero.
        num_units: units of each layer.
        num_layers: layers of the stack.
        state_activation: activation of the initial state, none by default as in the paper; the
            models that Magenta released use `tanh`.
    """

    def __init__(
        self,
        num_classes: Sequence[int],
        context_size: int,
        num_units: int,
        num_layers: int,
        state_activation: str | None = None,
        name: str = "autoregressor",
    ):
        super().__init__(name=name)
        self.num_classes = tuple(num_classes)
        self._num_layers = num_layers
        input_sizes = [sum(num_classes) + context_size] + [num_units] * (num_layers - 1)
        with keras.name_scope(self.name):
            self._initial_state = None
            if context_size:
                self._initial_state = keras.layers.Dense(
                    2 * num_layers * num_units, state_activation, name="initial_state"
                )
                self._initial_state.build((None, context_size))
            for index, size in enumerate(input_sizes):
                # Not in a list: Keras 3 hides a layer's lists from tf.train.Checkpoint.
                setattr(self, f"lstm_{index}", LSTMLayer(size, num_units, name=f"lstm_{index}"))
            self._head = keras.layers.Dense(sum(num_classes), name="logits")
            self._head.build((None, num_units))
        self.built = True

    @property
    def lstm_layers(self) -> list[LSTMLayer]:
        """The layers of the stack, the one that reads the tokens first."""
        return [getattr(self, f"lstm_{index}") for index in range(self._num_layers)]

    def states(self, context: tf.Tensor) -> list[tuple[tf.Tensor, tf.Tensor]]:
        """Returns the initial (hidden, cell) of each layer, [rows, U] each."""
        if self._initial_state is None:
            return [layer.zero_state(tf.shape(context)[0]) for layer in self.lstm_layers]
        return pairs(self._initial_state(context), self._num_layers)

    def input_projection(self, context: tf.Tensor) -> Callable[[tf.Tensor], tf.Tensor]:
        """Returns what maps previous tokens [..., rows, tracks] to the first layer's gates."""
        return self.lstm_layers[0].token_projection(self.num_classes, context)

    def predict(self, context: tf.Tensor, previous: tf.Tensor) -> list[tf.Tensor]:
        """Predicts every step from given previous tokens, all steps at once.

        Args:
            context: float [rows, context_size].
            previous: int32 [rows, steps, tracks], the token before each step.

        Returns:
            Logits of each track, float [rows, steps, classes].
        """
        first, *others = self.lstm_layers
        states = self.states(context)
        projected = self.input_projection(context)(tf.transpose(previous, [1, 0, 2]))
        hidden = first.sequence(projected, states[0])
        for layer, state in zip(others, states[1:], strict=True):
            hidden = layer.sequence(layer.project(hidden), state)
        return self._split(tf.transpose(self._head(hidden), [1, 0, 2]))

    def step(self, projected: tf.Tensor, states):
        """Returns the logits of each track, [rows, classes], and the next states.

        Args:
            projected: the first layer's gates of this step's input, [rows, 4U].
            states: (hidden, cell) of each layer.
        """
        first, *others = self.lstm_layers
        next_states = [first.step(projected, states[0])]
        for layer, state in zip(others, states[1:], strict=True):
            next_states.append(layer.step(layer.project(next_states[-1][0]), state))
        return self._split(self._head(next_states[-1][0])), next_states

    def _split(self, logits: tf.Tensor) -> list[tf.Tensor]:
        return tf.split(logits, self.num_classes, axis=-1)


def pairs(states: tf.Tensor, num_layers: int) -> list[tuple[tf.Tensor, tf.Tensor]]:
    """Returns (hidden, cell) of each layer: [rows, 2 * layers * U] -> [rows, U] each."""
    parts = tf.split(states, 2 * num_layers, axis=-1)
    return list(zip(parts[::2], parts[1::2], strict=True))


def nothing(parts: Sequence[Autoregressor], num_rows) -> tf.Tensor:
    """Returns the tokens that are read as zero vectors: int32 [rows, tracks]."""
    num_classes = [classes for part in parts for classes in part.num_classes]
    return tf.broadcast_to(num_classes, [num_rows, len(num_classes)])


def predict(
    parts: Sequence[Autoregressor], context: tf.Tensor, previous: tf.Tensor
) -> list[tf.Tensor]:
    """Returns logits of each track, float [rows, steps, classes]; see `Autoregressor.predict`."""
    each = zip(parts, _split_tracks(parts, previous), strict=True)
    return [logits for part, own in each for logits in part.predict(context, own)]


def run(
    parts: Sequence[Autoregressor],
    context: tf.Tensor,
    first: tf.Tensor,
    num_steps: int,
    choose: Choice,
    first_step=0,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Runs step by step on tokens chosen on the way; nothing of it carries a gradient.

    Args:
        parts: the autoregressors, in the order of the tracks.
        context: float [rows, context_size].
        first: int32 [rows, tracks], the token before the first step.
        num_steps: how many steps.
        choose: (step, logits [rows, classes] of each track) -> int32 [rows, tracks], the token that
            the next step reads.
        first_step: what `choose` is told the first step is.

    Returns:
        The chosen and the most likely tokens, int32 [rows, num_steps, tracks] each.
    """
    context = tf.stop_gradient(context)
    projections = [part.input_projection(context) for part in parts]
    shape = [None, first.shape[-1]]
    arrays = tuple(tf.TensorArray(tf.int32, num_steps, element_shape=shape) for _ in range(2))

    def body(t, previous, states, chosen, likely):
        logits, next_states = [], []
        own_tokens = _split_tracks(parts, previous)
        for part, project, own, state in zip(parts, projections, own_tokens, states, strict=True):
            part_logits, next_state = part.step(project(own), state)
            logits += part_logits
            next_states.append(next_state)
        token = tf.ensure_shape(choose(first_step + t, logits), previous.shape)
        return t + 1, token, next_states, chosen.write(t, token), likely.write(t, greedy(t, logits))

    loop = (0, first, [part.states(context) for part in parts], *arrays)
    _, _, _, *tokens = tf.while_loop(lambda t, *_: t < num_steps, body, loop, parallel_iterations=1)
    return tuple(tf.transpose(array.stack(), [1, 0, 2]) for array in tokens)


def scheduled_previous(
    parts: Sequence[Autoregressor],
    context: tf.Tensor,
    first: tf.Tensor,
    tokens: tf.Tensor,
    probability: tf.Tensor,
    noise: Noise,
) -> tf.Tensor:
    """Returns the token before each step, some of them the model's own samples.

    Each step reads, with the given probability, what the model sampled at temperature 1 instead of
    the true token (Bengio et al., 2015). The samples carry no gradient, so they can be drawn first
    and read by `predict` later.

    Args:
        parts: the autoregressors, in the order of the tracks.
        context: float [rows, context_size].
        first: int32 [rows, tracks], the token before the first step.
        tokens: int32 [rows, steps, tracks], the true tokens.
        probability: of reading the model's own sample, drawn for each step, row and track.
        noise: for the samples, and for the choice between them and the truth.

    Returns:
        int32 [rows, steps, tracks].
    """
    if tokens.shape[1] == 1:  # A TensorArray without elements does not know the rows.
        return first[:, None]
    sample = sampler(1.0, noise)

    def choose(t, logits):
        is_own = noise.uniform(FEEDBACK, t, len(logits)) < probability
        return tf.where(is_own, sample(t, logits), tokens[:, t])

    # The last token is read by no step.
    chosen, _ = run(parts, context, first, tokens.shape[1] - 1, choose)
    return tf.concat([first[:, None], chosen], axis=1)


def greedy(step, logits: Sequence[tf.Tensor]) -> tf.Tensor:
    """Chooses the most likely token of each track: int32 [rows, tracks]."""
    del step
    return losses.most_likely([track[:, None] for track in logits])[:, 0]


def sampler(temperature, noise: Noise) -> Choice:
    """Returns a choice that samples each track from its softmax at a temperature."""

    def choose(step, logits):
        sizes = [track.shape[-1] for track in logits]
        draws = tf.split(gumbel(noise.uniform(TOKEN, step, sum(sizes))), sizes, axis=-1)
        noisy = [
            tf.cast(track, tf.float32) / temperature + draw
            for track, draw in zip(logits, draws, strict=True)
        ]
        return greedy(step, noisy)

    return choose


def _split_tracks(parts: Sequence[Autoregressor], tokens: tf.Tensor) -> list[tf.Tensor]:
    """Returns each part's own tokens: [..., tracks] -> [..., tracks of the part]."""
    return tf.split(tokens, [len(part.num_classes) for part in parts], axis=-1)
