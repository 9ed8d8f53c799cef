"""z -> tokens: decoders that read their own previous output."""

from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

from magenta_vae.model import losses
from magenta_vae.model.lstm import LSTMLayer
from magenta_vae.model.noise import FEEDBACK, TOKEN, Noise, gumbel


class Autoregressor(keras.layers.Layer):
    """An LSTM stack that predicts tokens from the previous ones and a context.

    The context sets the initial state by a linear layer, and is concatenated with the previous
    tokens as the input at each step (paper, Architecture Details).

    Args:
        num_classes: classes of each track; all tracks are read and predicted together.
        context_size: width of the context.
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
        self._num_classes = tuple(num_classes)
        self._num_layers = num_layers
        input_sizes = [sum(num_classes) + context_size] + [num_units] * (num_layers - 1)
        with keras.name_scope(self.name):
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
    def _lstm_layers(self) -> list[LSTMLayer]:
        return [getattr(self, f"lstm_{index}") for index in range(self._num_layers)]

    def nothing(self, num_rows) -> tf.Tensor:
        """Returns the tokens that are read as zero vectors: int32 [rows, tracks]."""
        return tf.broadcast_to(self._num_classes, [num_rows, len(self._num_classes)])

    def predict(self, context: tf.Tensor, previous: tf.Tensor) -> list[tf.Tensor]:
        """Predicts every step from given previous tokens, all steps at once.

        Args:
            context: float [rows, context_size].
            previous: int32 [rows, steps, tracks], the token before each step.

        Returns:
            Logits of each track, float [rows, steps, classes].
        """
        first, *others = self._lstm_layers
        states = self._states(context)
        projected = first.project_tokens(
            tf.transpose(previous, [1, 0, 2]), self._num_classes, context
        )
        hidden = first.sequence(projected, states[0])
        for layer, state in zip(others, states[1:], strict=True):
            hidden = layer.sequence(layer.project(hidden), state)
        return self._split(tf.transpose(self._head(hidden), [1, 0, 2]))

    def run(
        self,
        context: tf.Tensor,
        first: tf.Tensor,
        num_steps: int,
        choose: Callable[[tf.Tensor, list[tf.Tensor]], tf.Tensor],
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Runs step by step on tokens chosen on the way; nothing of it carries a gradient.

        Args:
            context: float [rows, context_size].
            first: int32 [rows, tracks], the token before the first step.
            num_steps: how many steps.
            choose: (step, logits [rows, classes] of each track) -> int32 [rows, tracks], the token
                the next step reads.

        Returns:
            The chosen and the most likely tokens, int32 [rows, num_steps, tracks] each.
        """
        context = tf.stop_gradient(context)
        arrays = tuple(
            tf.TensorArray(tf.int32, num_steps, element_shape=[None, len(self._num_classes)])
            for _ in range(2)
        )

        def body(t, previous, states, chosen, likely):
            logits, states = self._step(context, previous, states)
            token = tf.ensure_shape(choose(t, logits), previous.shape)
            best = greedy(t, logits)
            return t + 1, token, states, chosen.write(t, token), likely.write(t, best)

        loop = (0, first, self._states(context), *arrays)
        _, _, _, *tokens = tf.while_loop(
            lambda t, *_: t < num_steps, body, loop, parallel_iterations=1
        )
        return tuple(tf.transpose(array.stack(), [1, 0, 2]) for array in tokens)

    def scheduled_previous(
        self,
        context: tf.Tensor,
        first: tf.Tensor,
        tokens: tf.Tensor,
        probability: tf.Tensor,
        noise: Noise,
    ) -> tf.Tensor:
        """Returns the token before each step, some of them the model's own samples.

        Each step reads, with the given probability, what the model sampled at temperature 1 instead
        of the true token (Bengio et al., 2015). The samples carry no gradient, so they can be
        drawn first and read by `predict` later.

        Args:
            context: float [rows, context_size].
            first: int32 [rows, tracks], the token before the first step.
            tokens: int32 [rows, steps, tracks], the true tokens.
            probability: of reading the model's own sample.
            noise: for the samples, and for the choice between them and the truth.

        Returns:
            int32 [rows, steps, tracks].
        """
        sample = sampler(1.0, noise)

        def choose(t, logits):
            is_own = noise.uniform(FEEDBACK, t, 1) < probability
            return tf.where(is_own, sample(t, logits), tokens[:, t])

        # The last token is read by no step.
        chosen, _ = self.run(context, first, tokens.shape[1] - 1, choose)
        return tf.concat([first[:, None], chosen], axis=1)

    def _step(self, context, previous, states):
        """Returns the logits of each track, [rows, classes], and the next states."""
        first, *others = self._lstm_layers
        projected = first.project_tokens(previous[None], self._num_classes, context)[0]
        next_states = [first.step(projected, states[0])]
        for layer, state in zip(others, states[1:], strict=True):
            next_states.append(layer.step(layer.project(next_states[-1][0]), state))
        return self._split(self._head(next_states[-1][0])), next_states

    def _states(self, context) -> list[tuple[tf.Tensor, tf.Tensor]]:
        """Returns (hidden, cell) of each layer, [rows, U] each."""
        parts = tf.split(self._initial_state(context), 2 * self._num_layers, axis=-1)
        return list(zip(parts[::2], parts[1::2], strict=True))

    def _split(self, logits: tf.Tensor) -> list[tf.Tensor]:
        return tf.split(logits, self._num_classes, axis=-1)


class FlatDecoder(keras.layers.Layer):
    """One LSTM stack for the whole window, with z at every step (paper, 2-bar Architectures).

    Args:
        num_classes: classes of each track.
        num_steps: steps of a window.
        z_size: dimensions of the latent space.
        num_units: units of each layer.
        num_layers: layers of the stack.
        state_activation: activation of the initial state.
    """

    def __init__(
        self,
        num_classes: Sequence[int],
        num_steps: int,
        z_size: int,
        num_units: int,
        num_layers: int,
        state_activation: str | None = None,
        name: str = "decoder",
    ):
        super().__init__(name=name)
        self._num_steps = num_steps
        with keras.name_scope(self.name):
            self._autoregressor = Autoregressor(
                num_classes, z_size, num_units, num_layers, state_activation, name="flat"
            )
        self.built = True

    def predict(self, z: tf.Tensor, tokens: tf.Tensor) -> list[tf.Tensor]:
        """Returns teacher-forced logits of each track, float [batch, steps, classes].

        Args:
            z: float [batch, z_size].
            tokens: int32 [batch, steps, tracks], the true tokens.
        """
        previous = tf.concat([self._first(z)[:, None], tokens[:, :-1]], axis=1)
        return self._autoregressor.predict(z, previous)

    def predict_scheduled(
        self, z: tf.Tensor, tokens: tf.Tensor, probability: tf.Tensor, noise: Noise
    ) -> list[tf.Tensor]:
        """Returns logits as `predict` does, reading the model's own samples with a probability."""
        previous = self._autoregressor.scheduled_previous(
            z, self._first(z), tokens, probability, noise
        )
        return self._autoregressor.predict(z, previous)

    def sample(
        self, z: tf.Tensor, choose: Callable[[tf.Tensor, list[tf.Tensor]], tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the tokens chosen and the most likely ones, int32 [batch, steps, tracks] each.

        Args:
            z: float [batch, z_size].
            choose: `greedy`, or a `sampler`.
        """
        return self._autoregressor.run(z, self._first(z), self._num_steps, choose)

    def _first(self, z: tf.Tensor) -> tf.Tensor:
        return self._autoregressor.nothing(tf.shape(z)[0])


def greedy(step, logits: Sequence[tf.Tensor]) -> tf.Tensor:
    """Chooses the most likely token of each track: int32 [rows, tracks]."""
    del step
    return losses.most_likely([track[:, None] for track in logits])[:, 0]


def sampler(temperature, noise: Noise) -> Callable[[tf.Tensor, list[tf.Tensor]], tf.Tensor]:
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
