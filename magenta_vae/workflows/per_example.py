"""The figures of each window as a table: `evaluate --per_example`."""

import contextlib
import csv
from collections.abc import Iterator

from magenta_vae import files
from magenta_vae.data.provenance import Provenance
from magenta_vae.training.window_figures import ACCURACIES, TOTALS, Listener, WindowFigures

ONSETS = ("onsets_right", "onsets_made", "onsets_true")  # Of the reconstruction.


@contextlib.contextmanager
def writing(path: str | None, known: Provenance | None) -> Iterator[list[Listener]]:
    """Gives listeners that write the figures of each window into a file, whole or not at all.

    The columns are `window`, its place in the split, from 0; `song`, its path, and `bar`, from 1 as
    `--start_bar` counts, both empty where they are not known; the nats of TOTALS; and of each track
    its ACCURACIES and ONSETS, as in `next_accuracy/lead`. Of the nats and accuracies the mean of a
    column is the figure of the split; of onsets precision is the sum of those right over that of
    those made, recall over that of the true ones.

    Args:
        path: of the CSV; no listener is given for None.
        known: the songs of the windows, where these are known.
    """
    if path is None:
        yield []
        return
    with (
        files.replacing(path) as beside,
        # The name of a file may hold bytes that are no text.
        open(beside, "w", encoding="utf-8", errors="surrogateescape", newline="") as file,
    ):
        writer = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")

        def write(figures: WindowFigures) -> None:
            columns = _columns(figures)
            if not figures.first:
                writer.writerow(["window", "song", "bar", *columns])
            for row, values in enumerate(zip(*columns.values(), strict=True), figures.first):
                place: tuple = (None, None)
                if known is not None:
                    place = known.paths[known.songs[row]], int(known.bars[row]) + 1
                writer.writerow([row, *place, *(float(f"{value:.7g}") for value in values)])

        yield [write]
        files.sync(file)


def _columns(figures: WindowFigures) -> dict:
    """Returns the figures by the names of their columns: [windows] each."""
    columns = {name: figures.terms[term] for term, name in TOTALS.items()}
    for index, track in enumerate(figures.track_names):
        columns |= {
            f"{name}/{track}": figures.terms[term][:, index] for term, name in ACCURACIES.items()
        }
        if figures.onsets:
            counts = figures.onsets["reconstructed"][index]
            of_kinds = zip(ONSETS, counts, strict=True)
            columns |= {f"{name}/{track}": each.sum(axis=1) for name, each in of_kinds}
    return columns
