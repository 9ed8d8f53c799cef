"""What people measure of symbolic music, a number a window: entropy, range, density, repetition.

Each statistic is a function of one track: its tokens, int [windows, steps], and its vocabulary, in
the paper's classes, which those of any vocabulary are turned into by what it says of them. Of
tokens, not of `NoteSequence`s: they are what data sets hold and models give, and numpy measures ten
thousand windows of them at once. A hold with nothing to hold, as a model may sample it, is a rest,
as in `tokens.detokenize`. Where a window has no such value (the entropy of no notes), it is NaN.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from magenta_vae.contracts import Vocabulary
from magenta_vae.music.songs import STEPS_PER_BAR
from magenta_vae.music.tokens import NUM_PITCHES, in_paper_classes

SILENT = -1
NUM_PITCH_CLASSES = 12
NUM_RESAMPLES = 200  # Enough for two digits of a 95th percentile.


class Statistic(NamedTuple):
    """A statistic of one track.

    Attributes:
        measure: (tokens int [windows, steps], track) -> float [windows].
        unit: of its values.
        is_of_pitch: whether it makes sense for melodies only.
    """

    measure: Callable[[np.ndarray, Vocabulary], np.ndarray]
    unit: str
    is_of_pitch: bool = False


def measure(tokens: np.ndarray, tracks: Sequence[Vocabulary]) -> dict[str, dict[str, np.ndarray]]:
    """Returns track -> statistic -> float [windows], for each track those that make sense.

    Args:
        tokens: int [windows, steps, tracks], whole bars of steps.
        tracks: the vocabularies of the tokens.
    """
    tokens, tracks = in_paper_classes(np.asarray(tokens), tracks)
    return {
        track.name: {
            name: statistic.measure(tokens[..., index], track)
            for name, statistic in STATISTICS.items()
            if not (statistic.is_of_pitch and track.is_drum)
        }
        for index, track in enumerate(tracks)
    }


def heard(tokens: np.ndarray, track: Vocabulary) -> np.ndarray:
    """Returns what is heard at each step of one track: int32 [windows, steps].

    `SILENT`, or for drums the token of the hits, for a melody the pitch of a note that starts there
    and 128 + the pitch of one that sounds on.
    """
    tokens = np.asarray(tokens, np.int32)
    if track.is_drum:
        return np.where(tokens == track.rest, SILENT, tokens)
    steps = np.arange(tokens.shape[-1])
    holds = tokens == track.sustain
    last = np.maximum.accumulate(np.where(holds, 0, steps), axis=-1)
    held = np.take_along_axis(tokens, last, axis=-1)
    return np.where(held < NUM_PITCHES, held + NUM_PITCHES * holds, SILENT)


def onsets(tokens: np.ndarray, track: Vocabulary) -> np.ndarray:
    """Says at which steps of one track a note or hit starts: bool [windows, steps]."""
    tokens = np.asarray(tokens)
    return tokens != track.rest if track.is_drum else tokens < NUM_PITCHES


def pitch_class_entropy(tokens: np.ndarray, track: Vocabulary) -> np.ndarray:
    """Returns the entropy in bits of the pitch classes of a melody's notes, NaN without notes.

    0 where all are one class, log2 12 = 3.58 where all twelve are as frequent (Wu and Yang, 2020).
    """
    rows, steps = np.nonzero(onsets(tokens, track))
    classes = np.asarray(tokens, np.int64)[rows, steps] % NUM_PITCH_CLASSES
    size = len(tokens) * NUM_PITCH_CLASSES
    counted = np.bincount(rows * NUM_PITCH_CLASSES + classes, minlength=size)
    counts = counted.reshape(-1, NUM_PITCH_CLASSES)
    shares = counts / _nan_for_0(counts.sum(axis=-1))[:, None]
    # A class that does not occur adds nothing: x log x is 0 at 0.
    return np.sum(shares * np.log2(1 / np.where(counts == 0, 1, shares)), axis=-1)


def pitch_range(tokens: np.ndarray, track: Vocabulary) -> np.ndarray:
    """Returns the semitones from a melody's lowest note to its highest, NaN without notes."""
    is_onset = onsets(tokens, track)
    tokens = np.asarray(tokens, np.int32)
    highest = np.max(np.where(is_onset, tokens, 0), axis=-1)
    lowest = np.min(np.where(is_onset, tokens, NUM_PITCHES), axis=-1)
    return np.where(is_onset.any(axis=-1), highest - lowest, np.nan)


def note_density(tokens: np.ndarray, track: Vocabulary) -> np.ndarray:
    """Returns the notes a bar: of drums every hit, also those of one step."""
    tokens = np.asarray(tokens)
    counts = np.bitwise_count(tokens) if track.is_drum else onsets(tokens, track)
    by_bar = _bars(counts).sum(axis=2, dtype=np.int64)
    return by_bar.sum(axis=1) / _num_bars(tokens)


def repeated_bar_share(tokens: np.ndarray, track: Vocabulary) -> np.ndarray:
    """Returns the share of the bars after the first in which an earlier bar is heard again.

    Every step must be the same, up to the pitch that sounds on from the bar before. A silent bar
    repeats nothing. NaN where there is but one bar.
    """
    bars = _bars(heard(tokens, track))
    if bars.shape[1] < 2:
        return np.full(len(bars), np.nan)
    _, kinds = np.unique(bars.reshape(-1, STEPS_PER_BAR), axis=0, return_inverse=True)
    kinds = kinds.reshape(bars.shape[:2])
    is_earlier = np.tri(bars.shape[1], k=-1, dtype=bool)
    repeats = np.any((kinds[:, :, None] == kinds[:, None, :]) & is_earlier, axis=-1)
    repeats &= np.any(bars != SILENT, axis=-1)
    return np.mean(repeats[:, 1:], axis=-1)


def empty_bar_share(tokens: np.ndarray, track: Vocabulary) -> np.ndarray:
    """Returns the share of bars in which nothing sounds (Dong et al., 2018)."""
    return np.mean(np.all(_bars(heard(tokens, track)) == SILENT, axis=-1), axis=-1)


def groove_consistency(tokens: np.ndarray, track: Vocabulary) -> np.ndarray:
    """Returns how alike the rhythms of neighbouring bars are (Wu and Yang, 2020).

    The share of steps at which both bars have an onset or neither has, averaged over the pairs of
    neighbours: 1 for one rhythm throughout. NaN where there is but one bar.
    """
    bars = _bars(onsets(tokens, track))
    if bars.shape[1] < 2:
        return np.full(len(bars), np.nan)
    return np.mean(bars[:, 1:] == bars[:, :-1], axis=(1, 2))


STATISTICS = {
    "pitch_class_entropy": Statistic(pitch_class_entropy, "bits", is_of_pitch=True),
    "pitch_range": Statistic(pitch_range, "semitones", is_of_pitch=True),
    "note_density": Statistic(note_density, "notes a bar"),
    "repeated_bar_share": Statistic(repeated_bar_share, "share"),
    "empty_bar_share": Statistic(empty_bar_share, "share"),
    "groove_consistency": Statistic(groove_consistency, "share"),
}


def mean(values: np.ndarray) -> float:
    """Returns the mean of those that are not NaN; NaN where there is none."""
    values = values[~np.isnan(values)]
    return float(np.mean(values)) if len(values) else np.nan


def wasserstein_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Returns the 1-Wasserstein distance of two sets of values, in their unit.

    It is the area between their cumulative distributions: how far, on average, values must be moved
    to make one set of the other. 0 only where both are distributed alike. NaNs are left out; NaN
    where nothing is left of a set.
    """
    first, second = (np.sort(values[~np.isnan(values)]) for values in (first, second))
    if not len(first) or not len(second):
        return np.nan
    points = np.sort(np.concatenate([first, second]))
    below = [
        np.searchsorted(values, points[:-1], side="right") / len(values)
        for values in (first, second)
    ]
    return float(np.sum(np.abs(below[0] - below[1]) * np.diff(points)))


def chance_distance(values: np.ndarray, seed: int = 0) -> float:
    """Returns the distance below which two draws of as many such values lie 95 times of 100.

    By resampling the values with replacement: a distance from them that is no larger says nothing.
    """
    values = values[~np.isnan(values)]
    if not len(values):
        return np.nan
    draws = np.random.default_rng(seed).choice(values, (NUM_RESAMPLES, 2, len(values)))
    return float(np.percentile([wasserstein_distance(*pair) for pair in draws], 95))


def _num_bars(tokens: np.ndarray) -> int:
    return tokens.shape[-1] // STEPS_PER_BAR


def _bars(steps: np.ndarray) -> np.ndarray:
    """Returns [windows, bars, steps of a bar] of [windows, steps]."""
    if steps.shape[-1] % STEPS_PER_BAR:
        raise ValueError(
            f"A window must be whole bars of {STEPS_PER_BAR} steps. "
            f"Received: {steps.shape[-1]} steps."
        )
    return steps.reshape(len(steps), _num_bars(steps), STEPS_PER_BAR)


def _nan_for_0(counts: np.ndarray) -> np.ndarray:
    """Returns counts to divide by: what nothing was counted of has no share."""
    return np.where(counts == 0, np.nan, counts)
