"""Where a model puts many windows: their posteriors, a batch after another."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from magenta_vae import display

NUM_AT_ONCE = 1_024  # Windows whose posteriors are in memory together.


class Windows(NamedTuple):
    """Windows, and where they are from.

    Attributes:
        tokens: int [windows, steps, tracks], which may be mapped into memory.
        songs: of each window the place of its song in `paths`, int [windows]; None where it is not
            known.
        bars: the bar of its song that each begins at, from 1: int [windows]; None as `songs`.
        paths: of the songs.
    """

    tokens: np.ndarray
    songs: np.ndarray | None = None
    bars: np.ndarray | None = None
    paths: Sequence[str] = ()


class Latents(NamedTuple):
    """The posteriors of some windows.

    Attributes:
        mu, sigma: float32 [windows, z_size].
        tokens: the windows, int [windows, steps, tracks].
        songs: the path of each window's song; None where it is not known.
        bars: the bar of its song that each begins at, from 1: int32 [windows]; None as `songs`.
    """

    mu: np.ndarray
    sigma: np.ndarray
    tokens: np.ndarray
    songs: Sequence[str] | None
    bars: np.ndarray | None


class Posteriors(Protocol):
    """What is asked of a model; every `music_model.MusicModel` offers it."""

    def posterior(self, tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns mu and sigma, float32 [windows, z_size], of int [windows, steps, tracks]."""


def encode(model: Posteriors, windows: Windows) -> Iterator[Latents]:
    """Yields the posteriors of windows in their order, `NUM_AT_ONCE` at a time.

    Raises:
        ValueError: for a model without a latent space, or windows that are not of it.
    """
    release = getattr(windows.tokens, "release", lambda: None)  # Of those that are mapped.
    for first in display.track(range(0, len(windows.tokens), NUM_AT_ONCE), "encoding batches"):
        rows = slice(first, first + NUM_AT_ONCE)
        tokens = np.array(windows.tokens[rows])
        release()
        songs = bars = None
        if windows.songs is not None and windows.bars is not None:
            songs = [windows.paths[song] for song in windows.songs[rows].tolist()]
            bars = windows.bars[rows].astype(np.int32)
        yield Latents(*model.posterior(tokens), tokens, songs, bars)


def join(batches: Iterable[Latents]) -> Latents:
    """Returns several batches, at least one, as one. Either all know their songs, or none."""
    mu, sigma, tokens, songs, bars = zip(*batches, strict=True)
    known = None not in songs
    return Latents(
        np.concatenate(mu),
        np.concatenate(sigma),
        np.concatenate(tokens),
        [path for each in songs for path in each] if known else None,
        np.concatenate(bars) if known else None,
    )
