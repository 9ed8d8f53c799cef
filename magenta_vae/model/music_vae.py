"""The variational autoencoder: an encoder and a decoder around a latent space."""

from collections.abc import Sequence

import keras
import tensorflow as tf

from magenta_vae.model import autoregressor, latent, losses
from magenta_vae.model.noise import LATENT, TOKEN, BatchNoise, Noise
from magenta_vae.model.schedules import Schedule


class MusicVAE(keras.Model):
    """A VAE of token sequences (paper, 2.1 and Training Details).

    Args:
        encoder: tokens -> (mu, sigma), with a `z_size`.
        decoder: z -> logits and tokens.
        track_names: of the tracks, in the order of the tokens.
        free_bits: KL that costs nothing, in bits an example.
        beta: schedule of the weight of the KL cost.
        sampling_probability: schedule of the probability that the decoder reads its own sample
            while training; None for teacher forcing.

    Example:
        >>> mu, sigma = vae.encode(tokens)
        >>> music = vae.sample(mu, autoregressor.greedy)
    """

    def __init__(
        self,
        encoder: keras.layers.Layer,
        decoder: keras.layers.Layer,
        track_names: Sequence[str],
        free_bits: float,
        beta: Schedule,
        sampling_probability: Schedule | None = None,
        name: str = "music_vae",
    ):
        super().__init__(name=name)
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

    def call(self, tokens: tf.Tensor) -> list[tf.Tensor]:
        """Returns teacher-forced logits of each track from the posterior's mean."""
        mu, _ = self.encode(tokens)
        return self.decode(mu, tokens)

    def encode(self, tokens: tf.Tensor, training: bool = False) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns mu and sigma, float [batch, z_size], of int32 [batch, steps, tracks].

        Args:
            tokens: of all tracks.
            training: whether to keep what a gradient will need; without, one takes far more memory.
        """
        return self.encoder(tokens, training=training)

    def draw_z(self, mu: tf.Tensor, sigma: tf.Tensor, noise: Noise) -> tf.Tensor:
        """Returns z drawn from the posterior, with gradients: float [batch, z_size]."""
        return mu + sigma * noise.normal(LATENT, self.z_size)

    def decode(self, z: tf.Tensor, tokens: tf.Tensor, training: bool = False) -> list[tf.Tensor]:
        """Returns teacher-forced logits of each track, float [batch, steps, classes].

        Args:
            z: float [batch, z_size].
            tokens: int32 [batch, steps, tracks], the true tokens.
            training: see `encode`.
        """
        return self.decoder.predict(z, tokens, training)

    def sample(self, z: tf.Tensor, choose=autoregressor.greedy) -> tf.Tensor:
        """Runs the decoder on its own output.

        Args:
            z: float [batch, z_size].
            choose: `autoregressor.greedy`, or what `sampler` returns.

        Returns:
            The chosen tokens, int32 [batch, steps, tracks].
        """
        return self.decoder.sample(z, choose)

    def sampler(self, temperature, noise: Noise) -> autoregressor.Choice:
        """Returns a choice for `sample` that draws from the softmax at a temperature.

        Args:
            temperature: a number, or one for each row: float [batch, 1].
            noise: for the draws, which are made here for all steps.
        """
        return autoregressor.sampler(temperature, self.draw_choices(noise))

    def draw_choices(self, noise: Noise) -> tf.Tensor:
        """Returns the draws of `sampler`, float [steps, batch, tracks] in (0, 1)."""
        return noise.uniform(TOKEN, self.decoder.num_steps, len(self.track_names))

    def compute_loss(
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

    def compute_figures(self, tokens: tf.Tensor, step: tf.Tensor, seed: tf.Tensor) -> dict:
        """Returns what Table 1 is made of, for each example.

        Args:
            tokens: int32 [batch, steps, tracks].
            step: the training step, for beta.
            seed: int [2], of the draws for z and for the decoder's own samples.

        Returns:
            The `loss_terms` with teacher forcing, float [batch], and the accuracies `next`
            (teacher-forced), `reconstructed` (the decoder reads its own samples at temperature 1)
            and `greedy` (it reads its most likely tokens), float [batch, tracks].
        """
        draws = BatchNoise(seed, tf.shape(tokens)[0])
        mu, sigma = self.encode(tokens)
        z = self.draw_z(mu, sigma, draws)
        logits = self.decode(z, tokens)
        sampled = self.sample(z, self.sampler(1.0, draws))
        likely = losses.most_likely(self.decode(z, sampled))  # what it would have said at each step
        greedy = self.sample(z, autoregressor.greedy)
        return {
            **self.loss_terms(tokens, logits, mu, sigma, step),
            "next": losses.accuracies(losses.most_likely(logits), tokens),
            "reconstructed": losses.accuracies(likely, tokens),
            "greedy": losses.accuracies(greedy, tokens),
        }

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
        kl = latent.kl_to_prior(latent.posterior(mu, sigma))
        reconstruction = losses.cross_entropy(logits, tokens)
        accuracies = losses.accuracies(losses.most_likely(logits), tokens)
        return {
            "loss": reconstruction + losses.kl_cost(kl, self._beta(step), self._free_bits),
            "reconstruction": reconstruction,
            "kl": kl,
            **{
                f"accuracy/{name}": accuracies[:, track]
                for track, name in enumerate(self.track_names)
            },
        }

    def _probability(self, step) -> tf.Tensor:
        if self._sampling_probability is None:
            return tf.zeros([])
        return self._sampling_probability(step)
