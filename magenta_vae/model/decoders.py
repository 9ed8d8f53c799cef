"""z -> logits and tokens: the flat and the hierarchical decoder."""

from collections.abc import Sequence

import keras
import tensorflow as tf

from magenta_vae import contracts
from magenta_vae.contracts import Noise, TokenChooser
from magenta_vae.model import autoregressor
from magenta_vae.model.autoregressor import Autoregressor
from magenta_vae.model.lstm_stack import LSTMStack
from magenta_vae.model.noise import GroupedNoise
from magenta_vae.model.registration import hold_by_name, register


@register
class FlatDecoder(keras.layers.Layer):
    """One LSTM stack for the whole window, with z at every step (paper, 2-bar Architectures).

    Args:
        num_classes: classes of each track.
        num_steps: steps of a window.
        z_size: dimensions of the latent space; 0 for a decoder alone, the paper's baseline.
        num_units: units of each layer, or one number for each.
        num_layers: layers of the stack.
        state_activation: activation of the initial state.
        recompute, cudnn: see `LSTMStack`.
        **kwargs: options of `keras.layers.Layer`.
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
        **kwargs,
    ):
        super().__init__(name=name, **kwargs)
        self.num_steps = num_steps
        with keras.name_scope(self.name):
            self._autoregressor = Autoregressor(
                num_classes,
                z_size,
                num_units,
                num_layers,
                state_activation,
                recompute,
                cudnn,
                name="flat",
                dtype=self.dtype_policy,
            )
        self.built = True

    def call(self, z: tf.Tensor, tokens: tf.Tensor, training: bool = False) -> list[tf.Tensor]:
        """Returns what `predict` returns."""
        return self.predict(z, tokens, training)

    def predict(self, z: tf.Tensor, tokens: tf.Tensor, training: bool = False) -> list[tf.Tensor]:
        """Returns teacher-forced logits of each track, float [batch, steps, classes].

        Args:
            z: float [batch, z_size].
            tokens: int32 [batch, steps, tracks], the true tokens.
            training: whether a gradient will be taken: what it needs is then kept. Without, the
                values are the same, and a gradient would take far more memory.
        """
        return self._autoregressor.predict(z, _previous(self._first(z), tokens), training)

    def predict_scheduled(
        self, z: tf.Tensor, tokens: tf.Tensor, probability: tf.Tensor, noise: Noise
    ) -> list[tf.Tensor]:
        """Returns logits as `predict` does, reading the model's own samples with a probability."""
        return autoregressor.predict_scheduled(
            [self._autoregressor], z, self._first(z), tokens, probability, noise
        )

    def sample(self, z: tf.Tensor, choose: TokenChooser) -> tf.Tensor:
        """Returns the tokens chosen, int32 [batch, steps, tracks].

        Args:
            z: float [batch, z_size].
            choose: `autoregressor.greedy`, or an `autoregressor.sampler`.
        """
        return autoregressor.generate(
            [self._autoregressor], z[None], self._first(z), self.num_steps, choose
        )

    def get_config(self) -> dict:
        """Returns the arguments of the constructor."""
        inner = self._autoregressor.get_config()
        z_size = inner.pop("context_size")
        return {**inner, **super().get_config(), "num_steps": self.num_steps, "z_size": z_size}

    def _first(self, z: tf.Tensor) -> tf.Tensor:
        return autoregressor.start_tokens([self._autoregressor], tf.shape(z)[0])


@register
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
        **kwargs: options of `keras.layers.Layer`.
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
        **kwargs,
    ):
        super().__init__(name=name, **kwargs)
        self.num_segments = num_segments
        with keras.name_scope(self.name):
            self.stack = LSTMStack(
                (),
                num_units,
                num_layers,
                z_size,
                joins_context=False,
                state_activation=state_activation,
                name="stack",
                dtype=self.dtype_policy,
            )
            self._linear = None
            if embedding_size:
                self._linear = keras.layers.Dense(
                    embedding_size, name="embedding", dtype=self.dtype_policy
                )
                self._linear.build((None, self.stack.units[-1]))
        self.embedding_size = embedding_size or self.stack.units[-1]
        self.stack.share_layers(self)
        self.built = True

    def call(self, z: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Returns the embeddings, float [batch, segments, embedding_size].

        Args:
            z: float [batch, z_size].
            training: whether a gradient will be taken: what it needs is then kept. Without, the
                values are the same, and a gradient would take far more memory.
        """
        no_tokens = tf.zeros([self.num_segments, tf.shape(z)[0], 0], tf.int32)
        outputs = tf.transpose(self.stack.follow(z, no_tokens, training), [1, 0, 2])
        return outputs if self._linear is None else self._linear(outputs)

    def get_config(self) -> dict:
        """Returns the arguments of the constructor."""
        stack = self.stack.get_config()
        return {
            **super().get_config(),
            "z_size": stack["context_size"],
            "num_segments": self.num_segments,
            "embedding_size": None if self._linear is None else self.embedding_size,
            **{name: stack[name] for name in ("num_units", "num_layers", "state_activation")},
        }


@register
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
        recompute, cudnn: of the lower level; see `LSTMStack`.
        **kwargs: options of `keras.layers.Layer`.
    """

    def __init__(
        self,
        num_classes: Sequence[int],
        num_steps: int,
        conductor: contracts.Conductor,
        num_units: int | Sequence[int],
        num_layers: int,
        state_activation: str | None = None,
        recompute: bool = False,
        cudnn: bool = True,
        name: str = "decoder",
        **kwargs,
    ):
        super().__init__(name=name, **kwargs)
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
            autoregressors = [
                Autoregressor(
                    [classes],
                    conductor.embedding_size,
                    num_units,
                    num_layers,
                    state_activation,
                    recompute,
                    cudnn,
                    name=f"track_{track}",
                    dtype=self.dtype_policy,
                )
                for track, classes in enumerate(num_classes)
            ]
        hold_by_name(self, {one.name: one for one in autoregressors})
        self.built = True

    @property
    def lower_layers(self) -> list[keras.layers.Layer]:
        """The layers below the conductor."""
        return list(self._autoregressors)

    @property
    def _autoregressors(self) -> list[Autoregressor]:
        return [getattr(self, f"track_{track}") for track in range(self._num_tracks)]

    def call(self, z: tf.Tensor, tokens: tf.Tensor, training: bool = False) -> list[tf.Tensor]:
        """Returns what `predict` returns."""
        return self.predict(z, tokens, training)

    def predict(self, z: tf.Tensor, tokens: tf.Tensor, training: bool = False) -> list[tf.Tensor]:
        """Returns teacher-forced logits of each track, float [batch, steps, classes].

        Args:
            z: float [batch, z_size].
            tokens: int32 [batch, steps, tracks], the true tokens, of a window or of its first
                segments.
            training: whether a gradient will be taken: what it needs is then kept. Without, the
                values are the same, and a gradient would take far more memory.
        """
        num_segments = self._count_segments(tokens)
        previous = self._split(_previous(self._first(z), tokens))
        embeddings = self._embeddings(z, num_segments, training)
        logits = autoregressor.predict(self._autoregressors, embeddings, previous, training)
        return self._join(logits, num_segments)

    def predict_scheduled(
        self, z: tf.Tensor, tokens: tf.Tensor, probability: tf.Tensor, noise: Noise
    ) -> list[tf.Tensor]:
        """Returns logits as `predict` does, reading the model's own samples with a probability."""
        num_segments = self._count_segments(tokens)
        embeddings = self._embeddings(z, num_segments, training=True)
        true_previous = self._split(_previous(self._first(z), tokens))
        logits = autoregressor.predict_scheduled(
            self._autoregressors,
            embeddings,
            true_previous[:, 0],
            self._split(tokens),
            probability,
            GroupedNoise(noise, num_segments),
        )
        return self._join(logits, num_segments)

    def sample(self, z: tf.Tensor, choose: TokenChooser) -> tf.Tensor:
        """Returns the tokens chosen, int32 [batch, steps, tracks].

        Args:
            z: float [batch, z_size].
            choose: `autoregressor.greedy`, or an `autoregressor.sampler`.
        """
        embeddings = tf.transpose(self.conductor(z), [1, 0, 2])
        return autoregressor.generate(
            self._autoregressors, embeddings, self._first(z), self._segment_steps, choose
        )

    @classmethod
    def from_config(cls, config: dict) -> "HierarchicalDecoder":
        """Returns the decoder of a config, the conductor included."""
        conductor = keras.saving.deserialize_keras_object(config["conductor"])
        return cls(**{**config, "conductor": conductor})

    def get_config(self) -> dict:
        """Returns the arguments of the constructor."""
        names = ("num_units", "num_layers", "state_activation", "recompute", "cudnn")
        first = self._autoregressors[0].get_config()
        return {
            **super().get_config(),
            "num_classes": [classes for one in self._autoregressors for classes in one.num_classes],
            "num_steps": self.num_steps,
            "conductor": keras.saving.serialize_keras_object(self.conductor),
            **{name: first[name] for name in names},
        }

    def _count_segments(self, tokens: tf.Tensor) -> int:
        num_segments, rest = divmod(tokens.shape[1], self._segment_steps)
        if rest or num_segments > self.conductor.num_segments:
            raise ValueError(
                f"The tokens must be 1 to {self.conductor.num_segments} whole segments of "
                f"{self._segment_steps} steps. Received: {tokens.shape[1]} steps."
            )
        return num_segments

    def _embeddings(self, z: tf.Tensor, num_segments: int, training: bool) -> tf.Tensor:
        """Returns the embeddings of the first segments as rows: [B * S, embedding_size]."""
        embeddings = self.conductor(z, training=training)[:, :num_segments]
        return tf.reshape(embeddings, [-1, self.conductor.embedding_size])

    def _first(self, z: tf.Tensor) -> tf.Tensor:
        return autoregressor.start_tokens(self._autoregressors, tf.shape(z)[0])

    def _split(self, tokens: tf.Tensor) -> tf.Tensor:
        """[B, T, K] -> [B * S, T / S, K]."""
        return tf.reshape(tokens, [-1, self._segment_steps, self._num_tracks])

    def _join(self, logits: Sequence[tf.Tensor], num_segments: int) -> list[tf.Tensor]:
        """[B * S, T / S, V] -> [B, T, V] for each track."""
        num_steps = num_segments * self._segment_steps
        return [tf.reshape(track, [-1, num_steps, track.shape[-1]]) for track in logits]


def _previous(first: tf.Tensor, tokens: tf.Tensor) -> tf.Tensor:
    """Returns the token before each step: int32 [batch, steps, tracks]."""
    return tf.concat([first[:, None], tokens[:, :-1]], axis=1)
