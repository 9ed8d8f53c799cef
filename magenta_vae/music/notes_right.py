"""Which notes of some tokens another's tokens have too: precision, recall and F1 of onsets.

A step of a held note or of a rest is easy to get right, and most steps are one or the other. These
figures count only what starts: a note of a line is right where the same pitch starts at the same
step, a hit where the same kind is struck. What starts is asked of the vocabularies.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from magenta_vae.contracts import Vocabulary
from magenta_vae.music import classes


class Counts(NamedTuple):
    """Onsets counted: int64 [..., kinds] each; a line has one kind, drums each kind of hit.

    Attributes:
        right: that are in both.
        made: in the tokens that are judged.
        true: in the true tokens.
    """

    right: np.ndarray
    made: np.ndarray
    true: np.ndarray

    def __add__(self, other: "Counts") -> "Counts":  # type: ignore[override]
        return Counts(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


def count(made: np.ndarray, true: np.ndarray, tracks: Sequence[Vocabulary]) -> list[Counts]:
    """Returns the counts of each track, of int [windows, steps, tracks] tokens: [kinds] each."""
    return list(map(total, count_each(made, true, tracks)))


def count_each(made: np.ndarray, true: np.ndarray, tracks: Sequence[Vocabulary]) -> list[Counts]:
    """Returns the counts of each window of each track, as `count` does: [windows, kinds] each."""
    return [_count(made[..., index], true[..., index], track) for index, track in enumerate(tracks)]


def total(counts: Counts) -> Counts:
    """Returns the sums over windows, [kinds], of counts of each, [windows, kinds]."""
    return Counts(*(each.sum(axis=0) for each in counts))


def scores(counts: Counts) -> dict[str, float | None]:
    """Returns `precision`, `recall` and `f1` of all kinds together.

    Precision is the share of what was made that is right, recall the share of what is true that was
    made, F1 their harmonic mean. None where there is nothing to take a share of.
    """
    right, made, true = (int(each.sum()) for each in counts)
    return {
        "precision": right / made if made else None,
        "recall": right / true if true else None,
        "f1": 2 * right / (made + true) if made + true else None,
    }


def scores_by_kind(counts: Counts) -> list[dict[str, float | None]]:
    """Returns the `scores` of each kind."""
    return [scores(Counts(*(each[[kind]] for each in counts))) for kind in range(len(counts.true))]


def _count(made: np.ndarray, true: np.ndarray, track: Vocabulary) -> Counts:
    if track.is_drum:
        hits = classes.hits(track).astype(bool)
        starts = hits[made], hits[true]  # [B, T, kinds]
        right = starts[0] & starts[1]
    else:
        pitches = classes.pitches(track)
        both = pitches[made][..., None], pitches[true][..., None]
        starts = both[0] != classes.NO_PITCH, both[1] != classes.NO_PITCH
        right = starts[1] & (both[0] == both[1])
    return Counts(*(each.sum(axis=1, dtype=np.int64) for each in (right, *starts)))
