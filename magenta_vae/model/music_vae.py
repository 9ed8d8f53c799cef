"""The variational autoencoder: an encoder and a decoder around a latent space."""

import contextlib
import inspect
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from magenta_vae.contracts import Decoder, Encoder, Noise, Schedule, TokenChooser
from magenta_vae.model import (
    autoregressor,
    decoders,
    encoders,
    latent,
    losses,
    schedules,
    validation,
)
from magenta_vae.model.noise import LATENT, TOKEN, BatchNoise
from magenta_vae.model.registration import register

# What a file of a model holds: Keras finds classes whose modules are imported.
PARTS = encoders, decoders, schedules


@register
class MusicVAE(keras.Model):
    """A VAE of token sequences (paper, 2.1 and Training Details).

    `compile(optimizer)` and `fit(dataset)` train it on tokens, int32 [batch, steps, tracks].
    `scripts/train` has a loop instead: it resumes after a kill (on one CPU device bit for bit),
    draws the same numbers on any number of devices, takes micro-batches, and runs under
    MultiWorkerMirroredStrategy.

    Args:
        encoder: tokens -> (mu, sigma), with a `z_size`.
        decoder: z -> logits and tokens.
        track_names: of the tracks, in the order of the tokens.
        free_bits: KL that costs nothing, in bits an example.
        beta: schedule of the weight of the KL cost.
        sampling_probability: schedule of the probability that the decoder reads its own sample
            while training; None for teacher forcing.
        dtype: the dtype policy. The layers are made before the model, each with a policy of its
            own: the model takes that of the decoder, by which `compile` scales losses in float16.
            Another one is refused. `keras.config.set_dtype_policy` before all are made, or `dtype=`
            of each layer, has a model compute in mixed precision.
        **kwargs: options of `keras.Model`.

    Raises:
        TypeError: for an encoder or decoder that is no Keras layer.
        ValueError: for a schedule, `free_bits` or `track_names` that are none, and for a `dtype`
            that is not the layers'.

    Example:
        >>> mu, sigma = vae.encode(tokens)
        >>> music = vae.sample(mu, autoregressor.greedy)
    """

    def __init__(
        self,
        encoder: Encoder,
        decoder: Decoder,
        track_names: Sequence[str],
        free_bits: float,
        beta: Schedule,
        sampling_probability: Schedule | None = None,
        name: str = "music_vae",
        dtype: str | keras.DTypePolicy | None = None,
        **kwargs,
    ):
        layers: dict[str, Any] = {"encoder": encoder, "decoder": decoder}
        validation.check_layers(layers)
        validation.check_dtype(dtype, layers)
        validation.check_schedule("beta", beta)
        if sampling_probability is not None:
            validation.check_schedule("sampling_probability", sampling_probability)
        validation.check_free_bits(free_bits)
        validation.check_track_names(track_names)
        super().__init__(name=name, dtype=layers["decoder"].dtype_policy, **kwargs)
        self.encoder = encoder
        self.decoder = decoder
        self.track_names = tuple(track_names)
        self._free_bits = free_bits
        self._beta = beta
        self._sampling_probability = sampling_probability
        self.built = True

    @property
    def z_size(self) -> int:
        """Dimensions of the latent space."""
        return self.encoder.z_size

    def call(self, tokens: tf.Tensor, training: bool = False) -> list[tf.Tensor]:
        """Returns teacher-forced logits of each track from the posterior's mean.

        Args:
            tokens: int32 [batch, steps, tracks].
            training: see `encode`.
        """
        tokens = tf.cast(tokens, tf.int32)
        mu, _ = self.encode(tokens, training)
        return self.decode(mu, tokens, training)

    def encode(self, tokens: tf.Tensor, training: bool = False) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns mu and sigma, float [batch, z_size], of int32 [batch, steps, tracks].

        Args:
            tokens: of all tracks.
            training: whether a gradient will be taken: what it needs is then kept. Without, the
                values are the same, and a gradient would take far more memory.
        """
        return self.encoder(tokens, training=training)

    def draw_z(self, mu: tf.Tensor, sigma: tf.Tensor, noise: Noise) -> tf.Tensor:
        """Returns z drawn from the posterior, with gradients: float [batch, z_size]."""
        validation.check_noise(noise)
        return mu + sigma * noise.normal(LATENT, self.z_size)

    def decode(self, z: tf.Tensor, tokens: tf.Tensor, training: bool = False) -> list[tf.Tensor]:
        """Returns teacher-forced logits of each track, float [batch, steps, classes].

        Args:
            z: float [batch, z_size].
            tokens: int32 [batch, steps, tracks], the true tokens.
            training: see `encode`.
        """
        return self.decoder.predict(z, tokens, training)

    def sample(self, z: tf.Tensor, choose: TokenChooser = autoregressor.greedy) -> tf.Tensor:
        """Runs the decoder on its own output.

        Args:
            z: float [batch, z_size].
            choose: `autoregressor.greedy`, or what `sampler` returns.

        Returns:
            The chosen tokens, int32 [batch, steps, tracks].
        """
        validation.check_choose(choose)
        return self.decoder.sample(z, choose)

    def sampler(self, temperature, noise: Noise) -> TokenChooser:
        """Returns a choice for `sample` that draws from the softmax at a temperature.

        Args:
            temperature: a number, or one for each row: float [batch, 1].
            noise: for the draws, which are made here for all steps.
        """
        return autoregressor.sampler(temperature, self.draw_choices(noise))

    def draw_choices(self, noise: Noise) -> tf.Tensor:
        """Returns the draws of `sampler`, float [steps, batch, tracks] in (0, 1)."""
        validation.check_noise(noise)
        return noise.uniform(TOKEN, self.decoder.num_steps, len(self.track_names))

    def training_terms(
        self, tokens: tf.Tensor, step: tf.Tensor, seed: tf.Tensor, num_rows=None, first_row=0
    ) -> dict[str, tf.Tensor]:
        """Returns the training loss and what it is made of, for each example.

        loss = cross-entropy summed over steps and tracks + beta * max(KL - free bits, 0), in nats.

        Args:
            tokens: int32 [batch, steps, tracks].
            step: the training step, for the schedules.
            seed: int [2], of the draws for z and for scheduled sampling.
            num_rows, first_row: where `tokens` are some rows of a larger batch, its size and where
                they begin. They get the draws that they would get in the whole batch.

        Returns:
            The `loss_terms`, float [batch], and `beta` and `sampling_probability`, float scalars.
        """
        rows = tf.shape(tokens)[0]
        num_rows = rows if num_rows is None else num_rows
        draws = BatchNoise(seed, num_rows, first_row, rows)
        mu, sigma = self.encode(tokens, training=True)
        z = self.draw_z(mu, sigma, draws)
        probability = self._probability(step)
        if self._sampling_probability is None:
            logits = self.decode(z, tokens, training=True)
        else:
            logits = self.decoder.predict_scheduled(z, tokens, probability, draws)
        terms = self.loss_terms(tokens, logits, mu, sigma, step)
        return {**terms, "beta": self._beta(step), "sampling_probability": probability}

    def held_out_terms(
        self, tokens: tf.Tensor, step: tf.Tensor, seed: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Returns what Table 1 is made of, for each example.

        z is drawn from the posterior once, for all of them. It is for evaluation: nothing is kept
        for a gradient, and free bits and beta are those of the training loss.

        Args:
            tokens: int32 [batch, steps, tracks].
            step: the training step, int scalar, for beta.
            seed: int [2], of the draws for z and for the decoder's own samples.

        Returns:
            The `loss_terms` of teacher-forced logits, float [batch], and three accuracies, the
            share of steps whose most likely token is the true one, float [batch, tracks]:
            `next`, where the decoder reads the true tokens (paper, Table 1, "Next");
            `reconstructed`, where it reads what it sampled at temperature 1 ("Recon"); and
            `greedy`, where it reads its most likely tokens.
        """
        return self.held_out_terms_and_tokens(tokens, step, seed)[0]

    def held_out_terms_and_tokens(
        self, tokens: tf.Tensor, step: tf.Tensor, seed: tf.Tensor
    ) -> tuple[dict, dict]:
        """Returns the `held_out_terms`, and the tokens whose accuracies are among them.

        Args:
            tokens, step, seed: as of `held_out_terms`.

        Returns:
            The terms, and under the names of the accuracies int32 [batch, steps, tracks] each.
        """
        draws = BatchNoise(seed, tf.shape(tokens)[0])
        mu, sigma = self.encode(tokens)
        z = self.draw_z(mu, sigma, draws)
        logits = self.decode(z, tokens)
        sampled = self.sample(z, self.sampler(1.0, draws))
        predicted = {
            "next": losses.most_likely(logits),
            # What it would have said at each step.
            "reconstructed": losses.most_likely(self.decode(z, sampled)),
            "greedy": self.sample(z, autoregressor.greedy),
        }
        accuracies = {name: losses.accuracies(each, tokens) for name, each in predicted.items()}
        return {**self.loss_terms(tokens, logits, mu, sigma, step), **accuracies}, predicted

    def loss_terms(self, tokens, logits, mu, sigma, step) -> dict[str, tf.Tensor]:
        """Returns the terms of the loss that do not depend on how the logits were made.

        Args:
            tokens: int32 [batch, steps, tracks].
            logits: float [batch, steps, classes] of each track.
            mu, sigma: of the posterior, float [batch, z_size].
            step: the training step, for beta.

        Returns:
            `loss`, `reconstruction`, `kl` (nats) and `accuracy/<track>`: float [batch].
        """
        kl, cost, _ = self.kl_terms(mu, sigma, step)
        reconstruction = losses.cross_entropy(logits, tokens)
        accuracies = losses.accuracies(losses.most_likely(logits), tokens)
        return {
            "loss": reconstruction + cost,
            "reconstruction": reconstruction,
            "kl": kl,
            **{
                f"accuracy/{name}": accuracies[:, track]
                for track, name in enumerate(self.track_names)
            },
        }

    def kl_terms(self, mu, sigma, step) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Returns the KL to the prior and what it costs, in nats, float [batch], and beta.

        Args:
            mu, sigma: of the posterior, float [batch, z_size].
            step: the training step, for beta.
        """
        kl, beta = latent.kl_to_prior(latent.posterior(mu, sigma)), self._beta(step)
        return kl, losses.kl_cost(kl, beta, self._free_bits), beta

    def compile(self, *args, **kwargs) -> None:
        """Readies the model for `fit` and `evaluate`; takes what `keras.Model.compile` takes.

        The loss is the model's, so none is given. XLA compiles the steps only where `jit_compile`
        asks for it: it draws other numbers, and starts later. There are metrics from here on
        alone: a checkpoint of a model that is not compiled holds none.

        Raises:
            TypeError: for an argument that `keras.Model.compile` does not have.
            ValueError: for a loss or metrics.
        """
        given = inspect.signature(super().compile).bind(*args, **kwargs).arguments
        for name in ("loss", "loss_weights", "metrics", "weighted_metrics"):
            if given.get(name) is not None:
                raise ValueError(
                    f"A MusicVAE has a loss and metrics of its own. Received: {name}="
                    f"{given[name]!r}."
                )
        super().compile(**{"jit_compile": False, **given})
        names = ("loss", "reconstruction", "kl", *(f"accuracy/{n}" for n in self.track_names))
        self._means = {name: keras.metrics.Mean(name) for name in names}

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The means that `fit` and `evaluate` show, in their order; none before `compile`."""
        return list(getattr(self, "_means", {}).values())

    def compile_from_config(self, config: dict) -> None:
        """Does what `compile` did before the model was saved; Keras calls it while loading."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def train_step(self, data) -> dict[str, tf.Tensor]:
        """Takes a step of `fit` and returns the means of the epoch so far.

        The draws are a function of the step.
        """
        tokens = _tokens(data)
        step = tf.convert_to_tensor(self.optimizer.iterations)
        with tf.GradientTape() as tape:
            terms = self.training_terms(tokens, step, _seed(step))
            loss = self.optimizer.scale_loss(tf.reduce_mean(terms["loss"]))
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply(gradients, self.trainable_variables)
        return self._update_means(terms)

    def test_step(self, data) -> dict[str, tf.Tensor]:
        """Takes a step of `evaluate`, teacher-forced, and returns the means so far."""
        tokens = _tokens(data)
        step = tf.convert_to_tensor(self.optimizer.iterations)
        mu, sigma = self.encode(tokens)
        z = self.draw_z(mu, sigma, BatchNoise(_seed(step), tf.shape(tokens)[0]))
        return self._update_means(self.loss_terms(tokens, self.decode(z, tokens), mu, sigma, step))

    def summary(self, *args, **kwargs) -> None:
        """Prints the layers with the shapes that they return; see `keras.Model.summary`."""
        # A layer has a shape to show once it was called on something that Keras traces.
        with contextlib.suppress(Exception):  # Without one it is a ?: decoders need no `call`.
            shape = self.decoder.num_steps, len(self.track_names)
            tokens = keras.Input(shape, dtype="int32")
            mu, _ = self.encoder(tokens)
            layer: Any = self.decoder
            layer(mu, tokens)
        super().summary(*args, **kwargs)

    def export(self, filepath, *args, **kwargs) -> None:
        """Writes what `call` computes as a SavedModel, for batches of any size.

        `serving.export` writes what a server of music needs: encoding, sampling, interpolation.
        """
        if len(args) < 3:  # format, verbose, input_signature
            shape = (None, self.decoder.num_steps, len(self.track_names))
            kwargs = {"input_signature": [keras.InputSpec(shape=shape, dtype="int32")], **kwargs}
        super().export(filepath, *args, **kwargs)

    def get_config(self) -> dict:
        """Returns the arguments of the constructor."""
        layers = {"encoder": self.encoder, "decoder": self.decoder}
        schedules = {"beta": self._beta, "sampling_probability": self._sampling_probability}
        config = super().get_config()
        del config["dtype"]  # Those of the layers hold it.
        return {
            **config,
            **{
                name: keras.saving.serialize_keras_object(value)
                for name, value in (layers | schedules).items()
            },
            "track_names": self.track_names,
            "free_bits": self._free_bits,
        }

    @classmethod
    def from_config(cls, config: dict) -> "MusicVAE":
        """Returns the model of a config, its layers and schedules included."""
        names = ("encoder", "decoder", "beta", "sampling_probability")
        made = {name: keras.saving.deserialize_keras_object(config[name]) for name in names}
        return cls(**{**config, **made})

    def _update_means(self, terms: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        means = {name: mean for name, mean in self._means.items() if name in terms}
        for name, mean in means.items():
            mean.update_state(terms[name])
        return {name: mean.result() for name, mean in means.items()}

    def _probability(self, step) -> tf.Tensor:
        if self._sampling_probability is None:
            return tf.zeros([])
        return self._sampling_probability(step)


def _tokens(data) -> tf.Tensor:
    """Returns the tokens of a batch that Keras gives a step, int32 [batch, steps, tracks]."""
    tokens, targets, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    if targets is not None or sample_weight is not None:
        raise ValueError("A MusicVAE is fitted to tokens alone: give it no targets and no weights.")
    return tf.cast(tokens, tf.int32)


def _seed(step: tf.Tensor) -> tf.Tensor:
    """Returns the seed of the draws of a step of Keras' own loop, int64 [2]."""
    return tf.stack([tf.zeros([], tf.int64), tf.cast(step, tf.int64)])
