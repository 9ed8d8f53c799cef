"""A trained model in use: music in, music out."""

import os
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from note_seq.protobuf import music_pb2

from magenta_vae.model import autoregressor, latent
from magenta_vae.model.noise import LATENT, RowNoise
from magenta_vae.music import note_sequences, songs, windows
from magenta_vae.music import tokens as music_tokens

MAX_BATCH = 64
TEMPERATURE = 0.5  # paper, Sampling Details

# A NoteSequence, or the path of a MIDI file.
Music = music_pb2.NoteSequence | str | os.PathLike


class TrainedModel:
    """Encodes, decodes, samples and interpolates music.

    Every result is a function of its arguments and the weights alone: row i of a batch draws from
    (seed, i), whatever the size of the batch. Graphs are built at the first call of each kind.

    Args:
        model: a `MusicVAE` with its weights.
        tracks: the vocabularies of its tokens.
        num_bars: the length of its windows.
    """

    def __init__(self, model, tracks: Sequence[music_tokens.Vocabulary], num_bars: int):
        self._model = model
        self._tracks = tuple(tracks)
        self._num_bars = num_bars
        self._num_steps = num_bars * songs.STEPS_PER_BAR
        window = tf.TensorSpec([None, self._num_steps, len(self._tracks)], tf.int32)
        rows = tf.TensorSpec([None, 2], tf.int64)
        z = tf.TensorSpec([None, model.z_size])
        number = tf.TensorSpec([])
        self._encode_graph = tf.function(model.encode, [window])
        self._decode_graph = tf.function(self._decode_rows, [z, number, rows])
        self._prior_graph = tf.function(
            lambda seeds: RowNoise(seeds).normal(LATENT, 0, model.z_size), [rows]
        )

    @property
    def z_size(self) -> int:
        """Dimensions of the latent space."""
        return self._model.z_size

    def encode(self, music: Music | Sequence[Music]) -> np.ndarray:
        """Returns the posterior's mean of each window: float32 [windows, z_size].

        Args:
            music: NoteSequences or paths of MIDI files, or one of them. One longer than the model's
                windows gives one row for each whole window of its first fitting instruments.

        Raises:
            SongError: for music that does not fit, with the rule it breaks.
        """
        several = [music] if isinstance(music, Music) else music
        tokens = np.concatenate([self.tokenize(one) for one in several])
        return self._batched(lambda batch: self._encode_graph(batch)[0], tokens.astype(np.int32))

    def decode(
        self, z: np.ndarray, temperature: float = TEMPERATURE, seed: int = 0
    ) -> list[music_pb2.NoteSequence]:
        """Returns the music of each point, float [points, z_size], sampled at a temperature."""
        if temperature <= 0:
            raise ValueError(f"temperature must be above 0. Received: temperature={temperature}.")
        z = np.asarray(z, np.float32)
        if z.ndim != 2 or z.shape[1] != self.z_size:
            raise ValueError(f"z must be [points, {self.z_size}]. Received: shape {z.shape}.")
        tokens = self._batched(
            lambda points, seeds: self._decode_graph(points, temperature, seeds),
            z,
            _row_seeds(seed, len(z)),
        )
        return [music_tokens.detokenize(window, self._tracks) for window in tokens]

    def reconstruct(
        self, music: Music | Sequence[Music], temperature: float = TEMPERATURE, seed: int = 0
    ) -> list[music_pb2.NoteSequence]:
        """Encodes and decodes music; see `encode` and `decode`."""
        return self.decode(self.encode(music), temperature, seed)

    def sample(
        self, num_samples: int, temperature: float = TEMPERATURE, seed: int = 0
    ) -> list[music_pb2.NoteSequence]:
        """Samples music from the prior; sample i does not depend on `num_samples`."""
        if num_samples < 1:
            raise ValueError(f"num_samples must be at least 1. Received: {num_samples}.")
        z = self._batched(self._prior_graph, _row_seeds(seed, num_samples))
        return self.decode(z, temperature, seed)

    def interpolate(
        self,
        start: Music,
        end: Music,
        num_steps: int,
        temperature: float = TEMPERATURE,
        seed: int = 0,
    ) -> list[music_pb2.NoteSequence]:
        """Returns music on the way from one window to another (paper, Sampling Details).

        The points lie at equal intervals on the spherical way between the two means, both ends
        included. Of longer music the first window is taken.
        """
        if num_steps < 2:
            raise ValueError(f"num_steps must be at least 2. Received: num_steps={num_steps}.")
        ends = [self.encode(music)[0] for music in (start, end)]
        points = latent.slerp(*map(tf.constant, ends), np.linspace(0, 1, num_steps))
        return self.decode(points.numpy(), temperature, seed)

    def tokenize(self, music: Music) -> np.ndarray:
        """Returns the windows of a NoteSequence or MIDI file: int32 [windows, steps, tracks].

        Raises:
            SongError: for music that does not fit, with the rule it breaks.
        """
        if isinstance(music, music_pb2.NoteSequence) and self._is_window(music):
            return music_tokens.tokenize(music, self._tracks, self._num_steps)[None]
        try:
            return self._tokenize_song(music)
        except songs.SongError as error:
            if isinstance(music, music_pb2.NoteSequence):
                raise
            raise songs.SongError(f"{music}: {error.reason}", error.detail) from error

    def _tokenize_song(self, music: Music) -> np.ndarray:
        if isinstance(music, music_pb2.NoteSequence):
            song = note_sequences.note_sequence_to_song(music)
        else:
            song = songs.read_song(music)
        # The rests rule is for training: rests may be encoded.
        first = next(windows.song_windows(song, self._tracks, self._num_bars, self._num_steps))
        return first.tokens[first.bars % self._num_bars == 0]

    def _is_window(self, sequence: music_pb2.NoteSequence) -> bool:
        """Says whether a sequence is such as `decode` returns: it may hold silent tracks."""
        names = [info.name for info in sequence.instrument_infos]
        return (
            sequence.quantization_info.steps_per_quarter == songs.STEPS_PER_QUARTER
            and sequence.total_quantized_steps == self._num_steps
            and names == [track.name for track in self._tracks]
        )

    def _decode_rows(self, z, temperature, seeds):
        return self._model.sample(z, autoregressor.sampler(temperature, RowNoise(seeds)))[0]

    def _batched(self, function, *arrays: np.ndarray) -> np.ndarray:
        """Applies a function of batches to rows of any number."""
        parts = [
            function(*(tf.constant(array[first : first + MAX_BATCH]) for array in arrays)).numpy()
            for first in range(0, len(arrays[0]), MAX_BATCH)
        ]
        return np.concatenate(parts)


def _row_seeds(seed: int, num_rows: int) -> np.ndarray:
    """Returns a seed for each row, int64 [rows, 2]."""
    return np.stack([np.full(num_rows, seed), np.arange(num_rows)], axis=-1).astype(np.int64)
