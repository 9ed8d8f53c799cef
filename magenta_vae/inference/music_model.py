"""What a model in use does with music, wherever it runs: in this process or on a server."""

import abc
from collections.abc import Sequence

import numpy as np

from magenta_vae.inference import data_prior, interpolation, validation
from magenta_vae.inference.data_prior import STANDARD
from magenta_vae.inference.reading import Music, Reading, WindowReader
from magenta_vae.inference.validation import TEMPERATURE, NoteSequences
from magenta_vae.music.tokens import Vocabulary
from magenta_vae.music.window_format import BY_DEFAULT, Playback, WindowFormat


class MusicModel(abc.ABC):
    """Encodes, decodes, samples and interpolates music.

    Music is given as NoteSequences or paths of files (MIDI, RMI, MusicXML, ABC), as a part of one
    (`excerpts.Excerpt`), or as what `read` returns, and comes back as NoteSequences of the model's
    windows. What is made of music has its tempo and its programs. Every result is a function of its
    arguments and the weights alone: row i of a batch draws from (seed, i), whatever the size of the
    batch.

    All of it follows from what a subclass does: `_reader`, and on arrays that were checked
    `_posterior`, `_decode` and `_prior`.
    """

    @property
    @abc.abstractmethod
    def window_format(self) -> WindowFormat:
        """The tracks and the length of a window."""

    @property
    @abc.abstractmethod
    def z_size(self) -> int:
        """Dimensions of the latent space."""

    @property
    def num_bars(self) -> int:
        """Bars of a window."""
        return self.window_format.num_bars

    @property
    def tracks(self) -> Sequence[Vocabulary]:
        """The vocabularies of the tokens, in their order."""
        return self.window_format.tracks

    @property
    @abc.abstractmethod
    def _reader(self) -> WindowReader:
        """What reads music."""

    def tokenize(self, music: Music | Sequence[Music]) -> np.ndarray:
        """Returns the windows of music: int32 [windows, steps, tracks].

        Raises:
            SongError: for music that does not fit, with the rule it breaks.
        """
        return self.read(music).tokens

    def read(self, music: Music | Sequence[Music]) -> Reading:
        """Returns the windows of music, and of each which bars of which tracks it is.

        Raises:
            SongError: for music that does not fit, with the rule it breaks.
        """
        return self._reader.read_windows(music)

    @abc.abstractmethod
    def _posterior(self, tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns mu and sigma, float32 [windows, z_size], of int32 [windows, steps, tracks]."""

    @abc.abstractmethod
    def _decode(self, z: np.ndarray, temperature: float, seed: int) -> np.ndarray:
        """Returns int32 [points, steps, tracks] of float32 [points, z_size]; checks the seed."""

    @abc.abstractmethod
    def _prior(self, num_samples: int, seed: int) -> np.ndarray:
        """Returns points of the prior, float32 [samples, z_size]; checks the seed."""

    def _data_prior(self, num_samples: int, seed: int) -> np.ndarray:
        """Returns points of where the training windows lie, as `_prior` does."""
        del num_samples, seed
        raise ValueError("prior=data needs Gaussians of training windows, which this model lacks.")

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
        return self.posterior(tokens)[0]

    def posterior(self, tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns mu and sigma, float32 [windows, z_size], of int [windows, steps, tracks].

        Raises:
            ValueError: as `encode_tokens` does.
        """
        if not self.z_size:
            raise ValueError("Music cannot be encoded: the model is a baseline, without a z.")
        return self._posterior(validation.as_tokens(tokens, self.window_format))

    def decode(
        self,
        z: np.ndarray,
        temperature: float = TEMPERATURE,
        seed: int = 0,
        playbacks: Sequence[Playback] | None = None,
    ) -> NoteSequences:
        """Returns the music of each point, sampled at a temperature.

        Args:
            z: float [points, z_size].
            temperature: of the softmax; lower is safer.
            seed: of the draws.
            playbacks: the tempo and the programs of each window, as those of a `Reading`; 120
                quarters a minute and the programs of the vocabularies for None.
        """
        z = validation.as_points(z, self.z_size)
        validation.check_playbacks(playbacks, len(z))
        return self._detokenize(self.decode_tokens(z, temperature, seed), playbacks)

    def decode_tokens(
        self, z: np.ndarray, temperature: float = TEMPERATURE, seed: int = 0
    ) -> np.ndarray:
        """Returns int32 [points, steps, tracks] tokens of each point; see `decode`."""
        validation.check_temperature(temperature)
        return self._decode(validation.as_points(z, self.z_size), temperature, seed)

    def reconstruct(
        self, music: Music | Sequence[Music], temperature: float = TEMPERATURE, seed: int = 0
    ) -> NoteSequences:
        """Encodes and decodes music, one piece for each window; see `encode` and `decode`."""
        reading = self.read(music)
        z = self.encode_tokens(reading.tokens)
        return self.decode(z, temperature, seed, reading.playbacks)

    def sample_z(self, num_samples: int, seed: int = 0, prior: str = STANDARD) -> np.ndarray:
        """Returns points of a prior, float32 [samples, z_size]; see `sample`."""
        validation.check_count("num_samples", num_samples)
        data_prior.check(prior)
        draw = self._prior if prior == STANDARD else self._data_prior
        return draw(num_samples, seed)

    def sample(
        self,
        num_samples: int,
        temperature: float = TEMPERATURE,
        seed: int = 0,
        prior: str = STANDARD,
    ) -> NoteSequences:
        """Samples music from a prior; sample i does not depend on `num_samples`.

        Args:
            num_samples: how many pieces.
            temperature, seed: see `decode`.
            prior: `standard`, N(0, I) as in the paper, or `data`, a mixture of Gaussians of the
                training windows; see `data_prior`.

        Raises:
            ValueError: where the model does not know where its training windows lie.
        """
        return self.decode(self.sample_z(num_samples, seed, prior), temperature, seed)

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
        points = self.sample_z(num_samples, seed)
        first = self.read(music)[:1]
        mean = self.encode_tokens(first.tokens)[0]
        mixed = interpolation.slerp(points, mean, np.full(num_samples, similarity))
        return self.decode(mixed, temperature, seed, first.playbacks * num_samples)

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
        included. Of longer music the first window is taken. The tempo goes evenly from one to the
        other; each half has the programs of its end.
        """
        positions = validation.positions(num_steps)
        first, last = (self.read(music)[:1] for music in (start, end))
        mean, other = (self.encode_tokens(each.tokens)[0] for each in (first, last))
        points = interpolation.slerp(mean, other, positions)
        playbacks = _between(first.playbacks[0], last.playbacks[0], positions)
        return self.decode(points, temperature, seed, playbacks)

    def interpolate_grid(
        self,
        corners: Sequence[Music],
        num_rows: int,
        num_columns: int,
        temperature: float = TEMPERATURE,
        seed: int = 0,
    ) -> list[NoteSequences]:
        """Returns rows of music between four windows; see `interpolation.grid`.

        Args:
            corners: top left, top right, bottom left, bottom right; of longer music the first
                window is taken.
            num_rows, num_columns: of the grid, corners included.
            temperature, seed: as of `sample`.
        """
        validation.check_grid(corners, num_rows, num_columns)
        first = [self.read(corner)[:1] for corner in corners]
        means = [self.encode_tokens(each.tokens)[0] for each in first]
        points = interpolation.grid(means, num_rows, num_columns)
        playbacks = _on_grid([each.playbacks[0] for each in first], num_rows, num_columns)
        music = self.decode(points, temperature, seed, playbacks)
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
        vector = validation.as_vector(vector, self.z_size)
        validation.check_strength(strength, vector)
        reading = self.read(music)
        changed = self.encode_tokens(reading.tokens) + np.float32(strength) * vector
        return self.decode(changed, temperature, seed, reading.playbacks)

    def _detokenize(
        self, windows: np.ndarray, playbacks: Sequence[Playback] | None = None
    ) -> NoteSequences:
        """Returns the windows of int [windows, steps, tracks] tokens, each played in its way."""
        each = [BY_DEFAULT] * len(windows) if playbacks is None else playbacks
        pairs = zip(windows, each, strict=True)
        return [self.window_format.detokenize(window, playback) for window, playback in pairs]


def _between(start: Playback, end: Playback, positions: np.ndarray) -> list[Playback]:
    """Returns how each window between two is played, 0 at the start and 1 at the end."""
    return [
        (start if at < 0.5 else end)._replace(qpm=start.qpm + at * (end.qpm - start.qpm))
        for at in positions.tolist()
    ]


def _on_grid(corners: Sequence[Playback], num_rows: int, num_columns: int) -> list[Playback]:
    """Returns how the windows of a grid are played, one row after another."""
    top_left, top_right, bottom_left, bottom_right = corners
    down, across = np.linspace(0, 1, num_rows), np.linspace(0, 1, num_columns)
    sides = zip(
        _between(top_left, bottom_left, down), _between(top_right, bottom_right, down), strict=True
    )
    return [each for left, right in sides for each in _between(left, right, across)]
