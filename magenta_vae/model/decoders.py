"""z -> logits and tokens: the flat and the hierarchical decoder."""

from collections.abc import Sequence

import keras
import tensorflow as tf

from magenta_vae.model import autoregressor, lstm, recurrence
from magenta_vae.model.autoregressor import Autoregressor, Choice, pairs
from magenta_vae.model.lstm import LSTMLayer, units_of_layers
from magenta_vae.model.noise import GroupedNoise, Noise
from magenta_vae.model.unrolling import Unrolling


class FlatDecoder(keras.layers.Layer):
    """One LSTM stack for the whole window, with z at every step (paper, 2-bar Architectures).

    Args:
        num_classes: classes of each track.
        num_steps: steps of a window.
        z_size: dimensions of the latent space; 0 for a decoder alone, the paper's baseline.
        num_units: units of each layer, or one number for each.
        num_layers: layers of the stack.
        state_activation: activation of the initial state.
        recompute, cudnn: see `Unrolling`.
    """

    def __init__(
        self,
        num_classes: Sequence[int],
        num_steps: int,
        z_size: int,
        num_units: int | Sequence[int],
        num_layers: int,
        state_activation: str | None = None,
        recompute: bool = False,
        cudnn: bool = True,
        name: str = "decoder",
    ):
        super().__init__(name=name)
        self.num_steps = num_steps
        unrolling = Unrolling(recompute, cudnn)
        with keras.name_scope(self.name):
            self._autoregressor = Autoregressor(
                num_classes, z_size, num_units, num_layers, unrolling, state_activation, "flat"
            )
        self.built = True

    def predict(self, z: tf.Tensor, tokens: tf.Tensor, training: bool = False) -> list[tf.Tensor]:
        """Returns teacher-forced logits of each track, float [batch, steps, classes].

        Args:
            z: float [batch, z_size].
            tokens: int32 [batch, steps, tracks], the true tokens.
            training: whether to keep what a gradient will need.
        """
        return self._autoregressor.predict(z, _previous(self._first(z), tokens), training)

    def predict_scheduled(
        self, z: tf.Tensor, tokens: tf.Tensor, probability: tf.Tensor, noise: Noise
    ) -> list[tf.Tensor]:
        """Returns logits as `predict` does, reading the model's own samples with a probability."""
        return autoregressor.predict_scheduled(
            [self._autoregressor], z, self._first(z), tokens, probability, noise
        )

    def sample(self, z: tf.Tensor, choose: Choice) -> tf.Tensor:
        """Returns the tokens chosen, int32 [batch, steps, tracks].

        Args:
            z: float [batch, z_size].
            choose: `autoregressor.greedy`, or an `autoregressor.sampler`.
        """
        return autoregressor.run(
            [self._autoregressor], z[None], self._first(z), self.num_steps, choose
        )

    def _first(self, z: tf.Tensor) -> tf.Tensor:
        return autoregressor.nothing([self._autoregressor], tf.shape(z)[0])


class Conductor(keras.layers.Layer):
    """z -> one embedding for each segment (paper, 32-bar Melody Architecture).

    A linear layer of z initializes an LSTM stack that reads nothing; a linear layer of its outputs
    makes the embeddings, or they are the outputs themselves.

    Args:
        z_size: dimensions of the latent space.
        num_segments: how many embeddings.
        embedding_size: width of an embedding; None for the outputs themselves.
        num_units: units of each layer, or one number for each.
        num_layers: layers of the stack.
        state_activation: activation of the initial state.
    """

    def __init__(
        self,
        z_size: int,
        num_segments: int,
        embedding_size: int | None,
        num_units: int | Sequence[int],
        num_layers: int,
        state_activation: str | None = None,
        name: str = "conductor",
    ):
        super().__init__(name=name)
        self.num_segments = num_segments
        self._units = units_of_layers(num_units, num_layers)
        self.embedding_size = embedding_size or self._units[-1]
        with keras.name_scope(self.name):
            self._initial_state = keras.layers.Dense(
                2 * sum(self._units), state_activation, name="initial_state"
            )
            self._initial_state.build((None, z_size))
            for index, sizes in enumerate(zip([0, *self._units[:-1]], self._units, strict=True)):
                setattr(self, f"lstm_{index}", LSTMLayer(*sizes, name=f"lstm_{index}"))
            self._linear = None
            if embedding_size:
                self._linear = keras.layers.Dense(embedding_size, name="embedding")
                self._linear.build((None, self._units[-1]))
        self.built = True

    def call(self, z: tf.Tensor) -> tf.Tensor:
        """Returns float [batch, segments, embedding_size] of z [batch, z_size]."""
        layers = [getattr(self, f"lstm_{index}") for index in range(len(self._units))]
        no_tokens = tf.zeros([tf.shape(z)[0], 0], tf.int32)
        hidden, _ = recurrence.unroll(
            lstm.stack_weights(layers, ()),
            lstm.context_gates(layers[0], (), tf.zeros([tf.shape(z)[0], 0])),
            pairs(self._initial_state(z), self._units),
            no_tokens,
            self.num_segments,
            lambda step, hidden: no_tokens,
        )
        outputs = tf.transpose(hidden, [1, 0, 2])
        return outputs if self._linear is None else self._linear(outputs)


class HierarchicalDecoder(keras.layers.Layer):
    """A conductor, and an autoregressor for each track that is reset at each of its embeddings.

    The state of the lower level is reset at each segment and the embedding joined to each of its
    inputs; the previous token crosses the borders of segments (paper, 2.2, 2.3 and Appendix).
    While training the first input of a segment is the true previous token, so no segment depends on
    another: all are decoded at once, as rows of one batch.

    Args:
        num_classes: classes of each track; each has an autoregressor of its own.
        num_steps: steps of a window, a multiple of the conductor's segments.
        conductor: z -> embeddings, with `num_segments` and `embedding_size`.
        num_units: units of each layer of the lower level, or one number for each.
        num_layers: layers of each autoregressor.
        state_activation: activation of the initial states of the lower level.
        recompute, cudnn: of the lower level; see `Unrolling`.
    """

    def __init__(
        self,
        num_classes: Sequence[int],
        num_steps: int,
        conductor: Conductor,
        num_units: int | Sequence[int],
        num_layers: int,
        state_activation: str | None = None,
        recompute: bool = False,
        cudnn: bool = True,
        name: str = "decoder",
    ):
        super().__init__(name=name)
        if conductor.num_segments < 1 or num_steps % conductor.num_segments:
            raise ValueError(
                "num_steps must be a multiple of the conductor's "
                f"num_segments={conductor.num_segments}. Received: num_steps={num_steps}."
            )
        self.conductor = conductor
        self.num_steps = num_steps
        self._segment_steps = num_steps // conductor.num_segments
        self._num_tracks = len(num_classes)
        with keras.name_scope(self.name):
            for track, classes in enumerate(num_classes):
                part = Autoregressor(
                    [classes],
                    conductor.embedding_size,
                    num_units,
                    num_layers,
                    Unrolling(recompute, cudnn),
                    state_activation,
                    name=f"track_{track}",
                )
                setattr(self, f"track_{track}", part)
        self.built = True

    @property
    def _parts(self) -> list[Autoregressor]:
        return [getattr(self, f"track_{track}") for track in range(self._num_tracks)]

    def predict(self, z: tf.Tensor, tokens: tf.Tensor, training: bool = False) -> list[tf.Tensor]:
        """Returns teacher-forced logits of each track, float [batch, steps, classes].

        Args:
            z: float [batch, z_size].
            tokens: int32 [batch, steps, tracks], the true tokens.
            training: whether to keep what a gradient will need.
        """
        previous = self._split(_previous(self._first(z), tokens))
        return self._join(
            autoregressor.predict(self._parts, self._embeddings(z), previous, training)
        )

    def predict_scheduled(
        self, z: tf.Tensor, tokens: tf.Tensor, probability: tf.Tensor, noise: Noise
    ) -> list[tf.Tensor]:
        """Returns logits as `predict` does, reading the model's own samples with a probability."""
        embeddings = self._embeddings(z)
        true_previous = self._split(_previous(self._first(z), tokens))
        logits = autoregressor.predict_scheduled(
            self._parts,
            embeddings,
            true_previous[:, 0],
            self._split(tokens),
            probability,
            GroupedNoise(noise, self.conductor.num_segments),
        )
        return self._join(logits)

    def sample(self, z: tf.Tensor, choose: Choice) -> tf.Tensor:
        """Returns the tokens chosen, int32 [batch, steps, tracks].

        Args:
            z: float [batch, z_size].
            choose: `autoregressor.greedy`, or an `autoregressor.sampler`.
        """
        embeddings = tf.transpose(self.conductor(z), [1, 0, 2])
        return autoregressor.run(
            self._parts, embeddings, self._first(z), self._segment_steps, choose
        )

    def _embeddings(self, z: tf.Tensor) -> tf.Tensor:
        """Returns the embeddings of all segments as rows: [B * S, embedding_size]."""
        return tf.reshape(self.conductor(z), [-1, self.conductor.embedding_size])

    def _first(self, z: tf.Tensor) -> tf.Tensor:
        return autoregressor.nothing(self._parts, tf.shape(z)[0])

    def _split(self, tokens: tf.Tensor) -> tf.Tensor:
        """[B, T, K] -> [B * S, T / S, K]."""
        return tf.reshape(tokens, [-1, self._segment_steps, self._num_tracks])

    def _join(self, logits: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """[B * S, T / S, V] -> [B, T, V] for each track."""
        return [tf.reshape(track, [-1, self.num_steps, track.shape[-1]]) for track in logits]


def _previous(first: tf.Tensor, tokens: tf.Tensor) -> tf.Tensor:
    """Returns the token before each step: int32 [batch, steps, tracks]."""
    return tf.concat([first[:, None], tokens[:, :-1]], axis=1)
