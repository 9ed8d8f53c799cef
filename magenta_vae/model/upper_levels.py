"""The upper levels of a hierarchical VAE, trained on what a flat VAE makes of each segment."""

from typing import Any

import keras
import tensorflow as tf

from magenta_vae.model.music_vae import MusicVAE
from magenta_vae.model.noise import BatchNoise
from magenta_vae.model.registration import register


@register
class UpperLevelsVAE(MusicVAE):
    """A hierarchical VAE whose upper levels learn, while the lower ones stay a flat VAE's.

    The lower level of the encoder and the decoder of the tracks have the weights of a flat VAE of
    one segment (`--init_from=FLAT --init_partial`). That VAE has a posterior N(m, s) of each
    segment. The conductor's embeddings c, which stand in the place of the flat z, are to be near:

        loss = sum over segments of |(c - m) / s|^2 / 2 + beta * max(KL - free bits, 0)

    in nats. The decoder of the tracks is not run, so a step takes a fraction of the time. A
    `MusicVAE` of the same parts goes on from there. Figures of held-out windows are those of such
    a `MusicVAE`.

    Args:
        encoder: of two levels: its `encode_segments` makes of each segment what its
            `encode_window` reads, and its `lower_layers` are kept as they are.
        decoder: a hierarchical decoder of one track, with a `conductor`, whose embeddings are as
            wide as the z of the flat VAE.
        **kwargs: the other arguments of `MusicVAE`.

    Raises:
        TypeError: for an encoder or decoder without these.
    """

    def __init__(self, encoder, decoder, track_names, free_bits, beta, name="music_vae", **kwargs):
        for role, layer, needed in (
            ("an encoder", encoder, ("encode_segments", "encode_window", "lower_layers")),
            ("a decoder", decoder, ("conductor", "lower_layers")),
        ):
            missing = [each for each in needed if not hasattr(layer, each)]
            if missing:
                raise TypeError(
                    f"UpperLevelsVAE needs {role} with two levels, as of "
                    f"variants/hierarchical_encoder.gin. Received: {layer!r}, which has no "
                    f"{missing[0]}."
                )
        super().__init__(encoder, decoder, track_names, free_bits, beta, name=name, **kwargs)
        for layer in (*encoder.lower_layers, *decoder.lower_layers):
            layer.trainable = False
        self._segment_posterior = keras.layers.Dense(
            2 * decoder.conductor.embedding_size, name="segment_posterior", trainable=False
        )
        self._segment_posterior.build((None, encoder.segment_size))

    @property
    def fixed_weights(self) -> list[keras.Variable]:
        """The weights that do not learn: without a flat model's they would be chance."""
        return self.non_trainable_variables

    def training_terms(
        self, tokens: tf.Tensor, step: tf.Tensor, seed: tf.Tensor, num_rows=None, first_row=0
    ) -> dict[str, tf.Tensor]:
        """Returns the loss and what it is made of, as `MusicVAE.training_terms` does.

        `reconstruction` is the distance of the embeddings. There is no accuracy of tokens.
        """
        rows = tf.shape(tokens)[0]
        num_rows = rows if num_rows is None else num_rows
        draws = BatchNoise(seed, num_rows, first_row, rows)
        encoder: Any = self.encoder
        decoder: Any = self.decoder
        segments = tf.stop_gradient(encoder.encode_segments(tokens))
        posteriors = tf.cast(self._segment_posterior(segments), tf.float32)
        means, sigma_pre = tf.split(posteriors, 2, axis=-1)  # `encoders.BidirectionalLSTM`.
        mu, sigma = encoder.encode_window(segments, training=True)
        z = self.draw_z(mu, sigma, draws)
        embeddings = decoder.conductor(z, training=True)[:, : segments.shape[1]]
        errors = (tf.cast(embeddings, tf.float32) - means) * tf.exp(-2 * sigma_pre)
        distance = tf.reduce_sum(tf.square(errors), axis=[1, 2]) / 2
        kl, cost, beta = self.kl_terms(mu, sigma, step)
        return {
            "loss": distance + cost,
            "reconstruction": distance,
            "kl": kl,
            "beta": beta,
            "sampling_probability": tf.zeros([]),
        }
