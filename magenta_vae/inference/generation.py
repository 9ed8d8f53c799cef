"""A trained model in use: music in, music out."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from magenta_vae.inference import forks, graphs, validation
from magenta_vae.inference.reading import REFUSE, Music, WindowReader
from magenta_vae.inference.validation import TEMPERATURE, NoteSequences
from magenta_vae.model import latent
from magenta_vae.music import songs
from magenta_vae.music import tokens as music_tokens

MAX_BATCH = 64


class TrainedModel:
    """Encodes, decodes, samples and interpolates music.

    Music is given as NoteSequences or paths of MIDI and MusicXML files, and comes back as
    NoteSequences of the model's windows. Every result is a function of its arguments and the
    weights alone: row i of a batch draws from (seed, i), whatever the size of the batch. Each kind
    of call builds one graph, the first time, for batches of any size. Threads may share a model;
    a process that is forked from one that has used a model may not use any, for TensorFlow would
    hang there: it is refused, see `forks`.

    Args:
        model: a `MusicVAE` with its weights.
        tracks: the vocabularies of its tokens.
        num_bars: the length of its windows.
        polyphony, pad: how music is read that does not fit; see `reading.WindowReader`.
        jit_compile: whether XLA compiles decoding. That takes seconds at the first batch of 1, 2,
            4 ... 64 points; from then on decoding is faster. It rounds otherwise: of thousands of
            tokens one may differ, and what follows it.

    Example:
        >>> z = model.encode("song.mid")  # float32 [windows, z_size]
        >>> music = model.decode(z, temperature=0.5, seed=0)
        >>> variations = model.similar("song.mid", 4, similarity=0.8)
    """

    def __init__(
        self,
        model,
        tracks: Sequence[music_tokens.Vocabulary],
        num_bars: int,
        polyphony: str = REFUSE,
        pad: bool = False,
        jit_compile: bool = False,
    ):
        self._model = model
        self._tracks = tuple(tracks)
        self._num_bars = num_bars
        self._num_steps = num_bars * songs.STEPS_PER_BAR
        self._reader = WindowReader(tracks, num_bars, polyphony, pad)
        window = tf.TensorSpec([None, self._num_steps, len(self._tracks)], tf.int32)
        self._encode_graph = tf.function(model.encode, [window], autograph=False)
        self._decode_graph = graphs.make_decoder(model, jit_compile)
        self._prior_graph = graphs.make_prior(model)

    @property
    def z_size(self) -> int:
        """Dimensions of the latent space."""
        return self._model.z_size

    @property
    def num_bars(self) -> int:
        """Bars of a window."""
        return self._num_bars

    @property
    def tracks(self) -> tuple[music_tokens.Vocabulary, ...]:
        """The vocabularies of the tokens, in their order."""
        return self._tracks

    def tokenize(self, music: Music | Sequence[Music]) -> np.ndarray:
        """Returns the windows of music: int32 [windows, steps, tracks].

        Raises:
            SongError: for music that does not fit, with the rule it breaks.
        """
        return self._reader.read(music)

    def encode(self, music: Music | Sequence[Music]) -> np.ndarray:
        """Returns the posterior's mean of each window: float32 [windows, z_size].

        Args:
            music: one piece or several. One longer than the model's windows gives one row for each
                whole window.

        Raises:
            SongError: for music that does not fit, with the rule it breaks.
        """
        return self.encode_tokens(self.tokenize(music))

    def encode_tokens(self, tokens: np.ndarray) -> np.ndarray:
        """Returns the means, float32 [windows, z_size], of int [windows, steps, tracks] tokens.

        Raises:
            ValueError: for a model without a latent space, for tokens of another shape, or of
                classes that a track has not.
        """
        if not self.z_size:
            raise ValueError("Music cannot be encoded: the model is a baseline, without a z.")
        return self._batched(lambda batch: self._encode_graph(batch)[0], self._checked(tokens))

    def posterior(self, tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns mu and sigma, float32 [windows, z_size], of int [windows, steps, tracks].

        Raises:
            ValueError: for tokens of another shape, or of classes that a track has not.
        """
        tokens = self._checked(tokens)
        both = self._batched(lambda batch: tf.stack(self._encode_graph(batch), axis=1), tokens)
        return both[:, 0], both[:, 1]

    def decode(
        self, z: np.ndarray, temperature: float = TEMPERATURE, seed: int = 0
    ) -> NoteSequences:
        """Returns the music of each point, float [points, z_size], sampled at a temperature."""
        tokens = self.decode_tokens(z, temperature, seed)
        return [music_tokens.detokenize(window, self._tracks) for window in tokens]

    def decode_tokens(
        self, z: np.ndarray, temperature: float = TEMPERATURE, seed: int = 0
    ) -> np.ndarray:
        """Returns int32 [points, steps, tracks] tokens of each point; see `decode`."""
        validation.check_temperature(temperature)
        z = validation.as_points(z, self.z_size)
        return self._batched(
            lambda points, seeds: self._decode_graph(points, temperature, seeds),
            z,
            _row_seeds(seed, len(z)),
        )

    def reconstruct(
        self, music: Music | Sequence[Music], temperature: float = TEMPERATURE, seed: int = 0
    ) -> NoteSequences:
        """Encodes and decodes music; see `encode` and `decode`."""
        return self.decode(self.encode(music), temperature, seed)

    def sample_z(self, num_samples: int, seed: int = 0) -> np.ndarray:
        """Returns points of the prior, float32 [samples, z_size]; see `sample`."""
        validation.check_count("num_samples", num_samples)
        return self._batched(self._prior_graph, _row_seeds(seed, num_samples))

    def sample(
        self, num_samples: int, temperature: float = TEMPERATURE, seed: int = 0
    ) -> NoteSequences:
        """Samples music from the prior; sample i does not depend on `num_samples`."""
        return self.decode(self.sample_z(num_samples, seed), temperature, seed)

    def similar(
        self,
        music: Music,
        num_samples: int,
        similarity: float,
        temperature: float = TEMPERATURE,
        seed: int = 0,
    ) -> NoteSequences:
        """Returns variations of a window, each on the way from a point of its own in the prior.

        Args:
            music: of longer music the first window is taken.
            num_samples: how many variations.
            similarity: how far along the spherical way they lie: at 1 the window itself is decoded,
                at 0 the samples of the prior.
            temperature, seed: as of `sample`.
        """
        validation.check_share("similarity", similarity)
        mean = self.encode(music)[0]
        points = self.sample_z(num_samples, seed)
        mixed = _slerp(points, mean, np.full(num_samples, similarity))
        return self.decode(mixed, temperature, seed)

    def interpolate(
        self,
        start: Music,
        end: Music,
        num_steps: int,
        temperature: float = TEMPERATURE,
        seed: int = 0,
    ) -> NoteSequences:
        """Returns music on the way from one window to another (paper, Sampling Details).

        The points lie at equal intervals on the spherical way between the two means, both ends
        included. Of longer music the first window is taken.
        """
        positions = validation.positions(num_steps)
        ends = [self.encode(music)[0] for music in (start, end)]
        points = _slerp(*ends, positions)
        return self.decode(points, temperature, seed)

    def interpolate_grid(
        self,
        corners: Sequence[Music],
        num_rows: int,
        num_columns: int,
        temperature: float = TEMPERATURE,
        seed: int = 0,
    ) -> list[NoteSequences]:
        """Returns rows of music between four windows.

        Both ends of each row lie on the spherical ways down the sides, the rest of it between them.

        Args:
            corners: top left, top right, bottom left, bottom right; of longer music the first
                window is taken.
            num_rows, num_columns: of the grid, corners included.
            temperature, seed: as of `sample`.
        """
        if len(corners) != 4:
            raise ValueError(f"A grid has four corners. Received: {len(corners)}.")
        for name, number in (("num_rows", num_rows), ("num_columns", num_columns)):
            validation.check_count(name, number)
        if min(num_rows, num_columns) < 2:
            raise ValueError(
                "num_rows and num_columns must be at least 2. "
                f"Received: num_rows={num_rows}, num_columns={num_columns}."
            )
        top_left, top_right, bottom_left, bottom_right = (self.encode(one)[0] for one in corners)
        down, across = np.linspace(0, 1, num_rows), np.linspace(0, 1, num_columns)
        left, right = _slerp(top_left, bottom_left, down), _slerp(top_right, bottom_right, down)
        points = np.concatenate([_slerp(*ends, across) for ends in zip(left, right, strict=True)])
        music = self.decode(points, temperature, seed)
        return [music[first : first + num_columns] for first in range(0, len(music), num_columns)]

    def attribute_vector(
        self, with_attribute: Music | Sequence[Music], without: Music | Sequence[Music]
    ) -> np.ndarray:
        """Returns the way in latent space from music without an attribute to music with it.

        Args:
            with_attribute, without: as `encode` takes music. Of each its windows' mean is taken.

        Returns:
            The difference of the means of z: float32 [z_size].
        """
        return self.encode(with_attribute).mean(axis=0) - self.encode(without).mean(axis=0)

    def apply_attribute(
        self,
        music: Music | Sequence[Music],
        vector: np.ndarray,
        strength: float = 1.0,
        temperature: float = TEMPERATURE,
        seed: int = 0,
    ) -> NoteSequences:
        """Returns the reconstruction of music with `strength` times an attribute added to its z.

        Args:
            music: as `encode` takes it.
            vector: float [z_size], as `attribute_vector` returns it.
            strength: below 0 for less of the attribute; 0 is `reconstruct`.
            temperature, seed: see `decode`.
        """
        validation.check_finite("strength", strength)
        vector = np.asarray(vector, np.float32)
        if vector.shape != (self.z_size,):
            raise ValueError(
                f"The vector must be of this model: [{self.z_size}]. Received: {vector.shape}."
            )
        return self.decode(self.encode(music) + np.float32(strength) * vector, temperature, seed)

    def _checked(self, tokens: np.ndarray) -> np.ndarray:
        classes = music_tokens.num_classes(self._tracks)
        return validation.as_tokens(tokens, self._num_steps, classes)

    def _batched(self, function, *arrays: np.ndarray) -> np.ndarray:
        """Applies a function of batches to rows of any number."""
        forks.claim()
        num_rows = max(1, len(arrays[0]))  # No rows are a batch too: it has the result's shape.
        batches = [
            function(*(tf.constant(array[first : first + MAX_BATCH]) for array in arrays)).numpy()
            for first in range(0, num_rows, MAX_BATCH)
        ]
        return np.concatenate(batches)


def _slerp(start: np.ndarray, end: np.ndarray, positions) -> np.ndarray:
    """Returns float32 [points, z_size] at positions from 0 at `start` to 1 at `end`.

    Each end is one point, [z_size], or one for each position.
    """
    return latent.slerp(tf.constant(start), tf.constant(end), np.asarray(positions)).numpy()


def _row_seeds(seed: int, num_rows: int) -> np.ndarray:
    """Returns a seed for each row, int64 [rows, 2]. Raises `ValueError` for one that is none."""
    validation.check_seed(seed)
    return np.stack([np.full(num_rows, seed), np.arange(num_rows)], axis=-1).astype(np.int64)
