"""The figures of single windows, of which those of many are quotients of sums."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeAlias

import numpy as np

from magenta_vae.music.notes_right import Counts

# Where a figure stands in the metrics of an evaluation, as in ("tracks", "lead", "next_accuracy").
Name: TypeAlias = tuple[str, ...]

# The names that metrics give what a model's `held_out_terms` are called.
TOTALS = {"loss": "loss", "reconstruction": "reconstruction_nats", "kl": "kl_nats"}
ACCURACIES = {
    "next": "next_accuracy",
    "reconstructed": "reconstruction_accuracy",
    "greedy": "greedy_reconstruction_accuracy",
}
# Of what the model says: what it is called in `notes` of the metrics, and in tables.
PREDICTIONS = {
    "next": ("next", "next"),
    "reconstructed": ("reconstruction", "recon (own)"),
    "greedy": ("greedy_reconstruction", "recon (greedy)"),
}


@dataclasses.dataclass(frozen=True)
class WindowFigures:
    """The figures of neighbouring windows.

    Args:
        first: the place of the first of them in the split.
        track_names: of the tracks.
        kinds: what the kinds of hit of each track are called; none of a line.
        terms: the model's `held_out_terms`, float [windows] or [windows, tracks].
        onsets: under the names of PREDICTIONS the onsets of each track, [windows, kinds]; empty
            where none were counted.
    """

    first: int
    track_names: Sequence[str]
    kinds: Sequence[Sequence[str]]
    terms: Mapping[str, np.ndarray]
    onsets: Mapping[str, Sequence[Counts]]

    def __len__(self) -> int:
        return len(self.terms["loss"])

    def ratios(self) -> Iterator[tuple[Name, np.ndarray, np.ndarray]]:
        """Yields the figures as numerators and denominators of each window: float [windows] each.

        The figure of many windows is the sum of the one over the sum of the other.
        """
        ones = np.ones(len(self))
        for term, name in TOTALS.items():
            yield (name,), self.terms[term], ones
        for index, track in enumerate(self.track_names):
            for term, name in ACCURACIES.items():
                yield ("tracks", track, name), self.terms[term][:, index], ones
            for given, (name, _) in PREDICTIONS.items():
                if given in self.onsets:
                    of_track = Counts(*(each.sum(axis=1) for each in self.onsets[given][index]))
                    yield from _scores(("tracks", track, "notes", name), of_track)
            if "reconstructed" in self.onsets:
                for kind, hit in enumerate(self.kinds[index]):
                    counts = self.onsets["reconstructed"][index]
                    of_kind = Counts(*(each[:, kind] for each in counts))
                    yield from _scores(("tracks", track, "hits", hit), of_kind)


# What is given the figures of all windows, a batch after another.
Listener: TypeAlias = Callable[[WindowFigures], None]


def _scores(place: Name, counts: Counts) -> Iterator[tuple[Name, np.ndarray, np.ndarray]]:
    """Yields precision, recall and F1 of onsets, int [windows]; see `notes_right.scores`."""
    right, made, true = counts
    yield (*place, "precision"), right, made
    yield (*place, "recall"), right, true
    yield (*place, "f1"), 2 * right, made + true
