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
    """Onsets counted: int64 [kinds] each; a line has one kind, drums each kind of hit.

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
    """Returns the counts of each track, of int [windows, steps, tracks] tokens."""
    return [_count(made[..., index], true[..., index], track) for index, track in enumerate(tracks)]


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
        # By pairs of classes, for there are far fewer of these than steps.
        pairs, times = np.unique(
            np.stack([made, true], axis=-1).reshape(-1, 2), axis=0, return_counts=True
        )
        both = hits[pairs[:, 0]], hits[pairs[:, 1]]
        return Counts(*(times @ each.astype(np.int64) for each in (both[0] & both[1], *both)))
    pitches = classes.pitches(track)
    both = pitches[made], pitches[true]
    starts = [each != classes.NO_PITCH for each in both]
    right = starts[1] & (both[0] == both[1])
    return Counts(*(np.array([each.sum()], np.int64) for each in (right, *starts)))
