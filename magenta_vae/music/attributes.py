"""Attributes of a window that a latent space may be asked for, a number each.

Those of the paper's successors (Roberts et al., 2018): note density, average interval, syncopation
on eighths and on sixteenths, and pitch range. As in `statistics`, each is a function of one track:
its tokens, int [windows, steps], and its vocabulary; where a window has no such value, it is NaN.
"""

from collections.abc import Sequence

import numpy as np

from magenta_vae.contracts import Vocabulary
from magenta_vae.music import statistics, tokens
from magenta_vae.music.songs import STEPS_PER_QUARTER
from magenta_vae.music.statistics import Statistic

EIGHTH = STEPS_PER_QUARTER // 2  # steps


def measure(
    windows: np.ndarray, tracks: Sequence[Vocabulary], track_name: str | None = None
) -> dict[str, np.ndarray]:
    """Returns the attributes of one track of each window: name -> float [windows].

    Args:
        windows: tokens, int [windows, steps, tracks].
        tracks: the vocabularies of the tokens.
        track_name: see `choose_track`.
    """
    index = choose_track(tracks, track_name)
    windows, tracks = tokens.in_paper_classes(np.asarray(windows), tracks)
    return {
        name: ATTRIBUTES[name].measure(windows[..., index], tracks[index])
        for name in names(tracks[index])
    }


def names(track: Vocabulary) -> list[str]:
    """Returns the attributes that make sense for a track: drums have no intervals and no range."""
    return [
        name
        for name, attribute in ATTRIBUTES.items()
        if not (attribute.is_of_pitch and track.is_drum)
    ]


def choose_track(tracks: Sequence[Vocabulary], name: str | None = None) -> int:
    """Returns the place of the track of that name; of the first melody, else the first, for None.

    Raises:
        ValueError: where no track has that name, with those there are.
    """
    if name is None:
        return next((index for index, track in enumerate(tracks) if not track.is_drum), 0)
    if name not in tokens.names(tracks):
        known = ", ".join(tokens.names(tracks))
        raise ValueError(f"The track must be one of: {known}. Received: {name}.")
    return tokens.names(tracks).index(name)


def average_interval(windows: np.ndarray, track: Vocabulary) -> np.ndarray:
    """Returns the mean interval between a melody's neighbouring notes in semitones, up or down.

    Rests between them do not matter. NaN for fewer than two notes.
    """
    is_onset = statistics.onsets(windows, track)
    pitches = np.asarray(windows, np.int32)
    steps = np.arange(pitches.shape[-1])
    latest = np.maximum.accumulate(np.where(is_onset, steps, -1), axis=-1)
    before = np.pad(latest[:, :-1], [(0, 0), (1, 0)], constant_values=-1)  # none at first
    has_interval = is_onset & (before >= 0)
    intervals = np.abs(pitches - np.take_along_axis(pitches, np.maximum(before, 0), axis=-1))
    return _share(np.where(has_interval, intervals, 0), has_interval)


def eighth_syncopation(windows: np.ndarray, track: Vocabulary) -> np.ndarray:
    """Returns the share of onsets that fall between two quarters, the first of them without one.

    An onset on an off-beat eighth (step % 4 == 2) is syncopated where nothing starts on the quarter
    before it, two steps earlier. NaN without onsets.
    """
    return _syncopation(windows, track, distance=EIGHTH, period=STEPS_PER_QUARTER)


def sixteenth_syncopation(windows: np.ndarray, track: Vocabulary) -> np.ndarray:
    """Returns the share of onsets that fall between two eighths, the first of them without one.

    An onset on an odd step is syncopated where nothing starts on the step before it. NaN without
    onsets.
    """
    return _syncopation(windows, track, distance=1, period=EIGHTH)


ATTRIBUTES = {
    "note_density": statistics.STATISTICS["note_density"],
    "average_interval": Statistic(average_interval, "semitones", is_of_pitch=True),
    "eighth_syncopation": Statistic(eighth_syncopation, "share"),
    "sixteenth_syncopation": Statistic(sixteenth_syncopation, "share"),
    "pitch_range": statistics.STATISTICS["pitch_range"],
}


def _syncopation(windows: np.ndarray, track: Vocabulary, distance: int, period: int) -> np.ndarray:
    """Returns the share of onsets at step % period == distance with none `distance` before."""
    is_onset = statistics.onsets(windows, track)
    off_beat = np.arange(is_onset.shape[-1]) % period == distance
    # The first steps of a window are on the beat: what rolls into them from its end is not used.
    return _share(is_onset & off_beat & ~np.roll(is_onset, distance, axis=-1), is_onset)


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Returns sum of part / sum of whole of each row, NaN where there is nothing to divide by."""
    totals = np.sum(whole, axis=-1)
    return np.sum(part, axis=-1) / np.where(totals == 0, np.nan, totals)
