"""How far figures would vary with other songs: intervals by a bootstrap over songs.

Windows of one song are alike, and those that begin a bar apart share most of their notes: figures
of so many windows are known less well than by as many that had nothing to do with each other. What
is drawn anew are therefore songs, each with all its windows (the cluster bootstrap: Davison and
Hinkley, 1997, "Bootstrap Methods and their Application", 2.4; Field and Welsh, 2007,
"Bootstrapping clustered data"). As many songs as there are, drawn with replacement, give a figure;
the interval is from the 2.5th to the 97.5th percentile of 2,000 such figures (Efron and
Tibshirani, 1993, "An Introduction to the Bootstrap", 13). It is of other songs of the same kind,
for these weights: what another training would give is no part of it.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from magenta_vae.training.window_figures import Name, WindowFigures

LEVEL = 0.95
NUM_REPLICATES = 2_000
# Of fewer, intervals are too narrow: those of a mean by 9 % with 20 songs, by 18 % with 10, beside
# Student's. Of songs of different lengths as many count as would be as uncertain if all were alike.
FEW_SONGS = 20
UNKNOWN = "the data set does not say which song a window is of: build it again for intervals"
COLUMNS: dict[Name, str] = {  # Of the table.
    ("next_accuracy",): "next",
    ("reconstruction_accuracy",): "recon (own)",
    ("greedy_reconstruction_accuracy",): "recon (greedy)",
    ("notes", "reconstruction", "f1"): "F1 of notes (own)",
}
NATS = {"loss": "loss", "reconstruction_nats": "reconstruction", "kl_nats": "KL"}
NUMBERS_AT_ONCE = 2**22  # Of how often each song is drawn.


class Interval(NamedTuple):
    """Where a figure lies."""

    low: float
    high: float


class SongSums:
    """Adds up the figures of the windows of each song; a `window_figures.Listener`.

    Args:
        songs: of each window its song: int [windows].
    """

    def __init__(self, songs: np.ndarray):
        names, self._songs = np.unique(songs, return_inverse=True)
        self.num_songs = len(names)
        sizes = np.bincount(self._songs).astype(np.float64)
        # Kish (1965), "Survey Sampling": the sample of equal weights that has the same variance.
        self.num_even = float(sizes.sum() ** 2 / np.square(sizes).sum())
        self.sums: dict[Name, np.ndarray] = {}  # float64 [2, songs], over and under the line

    def __call__(self, figures: WindowFigures) -> None:
        """Adds the figures of some windows."""
        songs = self._songs[figures.first : figures.first + len(figures)]
        for name, *parts in figures.ratios():
            sums = self.sums.setdefault(name, np.zeros([2, self.num_songs]))
            for of_songs, of_windows in zip(sums, parts, strict=True):
                np.add.at(of_songs, songs, of_windows)


def figures_of(sums: Mapping[Name, np.ndarray]) -> dict[Name, float | None]:
    """Returns the figures of all songs together, None of what nothing was counted for."""
    totals = {name: each.sum(axis=1).tolist() for name, each in sums.items()}
    return {name: over / under if under else None for name, (over, under) in totals.items()}


def find(sums: Mapping[Name, np.ndarray], seed: int = 0) -> dict[Name, Interval]:
    """Returns the interval of each figure; none of those that nothing was counted for.

    Args:
        sums: as of `SongSums`, of at least two songs.
        seed: of the draws.
    """
    return _percentiles(list(sums), _replicates(sums, seed))


def of_differences(
    sums: Mapping[Name, np.ndarray],
    others: Mapping[Name, np.ndarray],
    is_paired: bool,
    seed: int = 0,
) -> dict[Name, Interval]:
    """Returns the intervals of the differences of the figures that both have: others minus sums.

    Args:
        sums, others: as of `SongSums`, of at least two songs each.
        is_paired: whether both are of the same songs in the same order. Each draw of songs then
            gives both figures, so that what makes a song hard for both is no part of the
            difference. Else each has draws of its own.
        seed: of the draws.
    """
    names = [name for name in sums if name in others]
    first, second = (
        _replicates({name: each[name] for name in names}, (seed, own))
        for each, own in ((sums, 0), (others, 0 if is_paired else 1))
    )
    return _percentiles(names, second - first)


def describe(songs: SongSums, seed: int = 0) -> dict:
    """Returns the intervals as JSON values, the figures under the names of the metrics."""
    figures: dict = {}
    for name, interval in find(songs.sums, seed).items() if songs.num_songs > 1 else ():
        *places, last = name
        inner = figures
        for place in places:
            inner = inner.setdefault(place, {})
        inner[last] = list(interval)
    return {
        "method": "percentiles of a bootstrap over songs",
        "level": LEVEL,
        "replicates": NUM_REPLICATES,
        "seed": seed,
        "songs": songs.num_songs,
        "even_songs": round(songs.num_even, 1),
        "figures": figures,
    }


def format_table(metrics: Mapping) -> str:
    """Returns the intervals of metrics as a table for people, or why there are none.

    Args:
        metrics: of an evaluation, with what `describe` returned as `intervals` where the songs of
            its windows are known.
    """
    if "intervals" not in metrics:
        return UNKNOWN
    described = metrics["intervals"]
    if described["songs"] < 2:
        return "no intervals: all windows are of one song"
    few = ""
    if described["even_songs"] < FEW_SONGS:
        few = ": so few, or so uneven, that they are too narrow"
    figures, level = described["figures"], described["level"]
    lines = [
        f"{level:.0%} intervals, by a bootstrap over {described['songs']:,} songs{few}",
        f"{'track':<10}" + "".join(f"{heading:>18}" for heading in COLUMNS.values()),
    ]
    for track, of_track in figures["tracks"].items():
        cells = [format_interval(look_up(of_track, name)) for name in COLUMNS]
        lines.append(f"{track:<10}" + "".join(f"{cell:>18}" for cell in cells))
    totals = [f"{label} {format_interval(figures[name], 2)} nats" for name, label in NATS.items()]
    return "\n".join([*lines, ", ".join(totals)])


def look_up(figures: Mapping, name: Name) -> Any:
    """Returns what stands under a name in nested figures, None for nothing."""
    found: Any = figures
    for place in name:
        found = found.get(place) if found is not None else None
    return found


def format_interval(interval: Sequence[float] | None, digits: int = 3) -> str:
    """Returns an interval in brackets."""
    if interval is None:
        return "-"
    low, high = (f"{bound:.{digits}f}" for bound in interval)
    return f"[{low}, {high}]"


def _replicates(sums: Mapping[Name, np.ndarray], seed: int | tuple[int, int]) -> np.ndarray:
    """Returns the figures of songs drawn with replacement: float64 [replicates, figures]."""
    parts = np.stack([*sums.values()], axis=1)  # [2, figures, songs]
    rng = np.random.default_rng(seed)
    found = [weights @ parts.swapaxes(1, 2) for weights in _weights(parts.shape[-1], rng)]
    over, under = np.concatenate(found, axis=1)
    return over / np.where(under == 0, np.nan, under)


def _weights(num_songs: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yields how often each song is drawn, float64 [replicates, songs], some draws at a time."""
    at_once = max(1, NUMBERS_AT_ONCE // num_songs)
    for first in range(0, NUM_REPLICATES, at_once):
        number = min(at_once, NUM_REPLICATES - first)
        shares = np.full(num_songs, 1 / num_songs)
        yield rng.multinomial(num_songs, shares, size=number).astype(np.float64)


def _percentiles(names: list[Name], replicates: np.ndarray) -> dict[Name, Interval]:
    """Returns the middle `LEVEL` of float [replicates, figures]; draws without a figure aside."""
    outside = 50 * (1 - LEVEL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # Of figures that nothing was counted for.
        bounds = np.nanpercentile(replicates, [outside, 100 - outside], axis=0).T.tolist()
    return {
        name: Interval(*each)
        for name, each in zip(names, bounds, strict=True)
        if np.isfinite(each).all()
    }
