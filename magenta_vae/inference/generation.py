"""A trained model -> music."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from note_seq.protobuf import music_pb2

from magenta_vae.model import autoregressor
from magenta_vae.model.noise import LATENT, RowNoise
from magenta_vae.music import tokens as music_tokens

MAX_BATCH = 64


def sample(
    model,
    tracks: Sequence[music_tokens.Vocabulary],
    num_samples: int,
    temperature: float = 0.5,  # paper, Sampling Details
    seed: int = 0,
) -> list[music_pb2.NoteSequence]:
    """Samples music from the prior.

    Args:
        model: a `MusicVAE`.
        tracks: the vocabularies of its tokens.
        num_samples: how many pieces.
        temperature: of the softmax; lower is safer, 1 is the model's own distribution.
        seed: sample i is a function of the seed, i and the weights, whatever `num_samples` is.

    Raises:
        ValueError: for a temperature or number that is not positive.
    """
    if temperature <= 0:
        raise ValueError(f"--temperature must be above 0. Received: --temperature={temperature}.")
    if num_samples < 1:
        raise ValueError(
            f"--num_samples must be at least 1. Received: --num_samples={num_samples}."
        )

    @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.int64)])
    def sample_rows(seeds):
        noise = RowNoise(seeds)
        z = noise.normal(LATENT, 0, model.z_size)
        return model.sample(z, autoregressor.sampler(temperature, noise))[0]

    seeds = np.stack([np.full(num_samples, seed), np.arange(num_samples)], axis=-1)
    batches = [
        sample_rows(tf.constant(seeds[first : first + MAX_BATCH], tf.int64)).numpy()
        for first in range(0, num_samples, MAX_BATCH)
    ]
    return [music_tokens.detokenize(window, tracks) for window in np.concatenate(batches)]
