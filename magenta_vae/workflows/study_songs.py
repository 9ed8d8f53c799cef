"""The songs of a study's held-out windows: how far its columns differ on other songs."""

import json
import os
from collections.abc import Mapping, Sequence

import numpy as np

from magenta_vae import files
from magenta_vae.training import song_intervals
from magenta_vae.training.song_intervals import Interval
from magenta_vae.training.window_figures import Name

SONGS_FILE = "songs.json"
FIGURES = ("kl_nats", "next_accuracy", "reconstruction_accuracy")  # Table 1.


def write(run_dir: str, sums: Mapping[Name, np.ndarray]) -> None:
    """Writes the figures of Table 1 of each song, as sums over its windows.

    Args:
        run_dir: of the run.
        sums: as of `song_intervals.SongSums`: float [2, songs] each.
    """
    kept = {
        "/".join(name): np.round(each, 4).tolist()
        for name, each in sums.items()
        if name[-1] in FIGURES
    }
    files.write_text(os.path.join(run_dir, SONGS_FILE), json.dumps(kept) + "\n")


def read(run_dir: str) -> dict[Name, np.ndarray]:
    """Returns what `write` was given; nothing of a run whose songs were not kept."""
    path = os.path.join(run_dir, SONGS_FILE)
    if not os.path.exists(path):
        return {}
    return {tuple(name.split("/")): np.array(each) for name, each in files.read_json(path).items()}


def find_interval(
    name: Name,
    sums: Sequence[Mapping[Name, np.ndarray]],
    others: Sequence[Mapping[Name, np.ndarray]],
) -> Interval | None:
    """Returns the interval of a difference, a bootstrap over songs of the mean over seeds.

    Each draw of songs gives the figures of all runs, so that what makes a song hard for all of them
    is no part of the difference.

    Args:
        name: the figure.
        sums: what `read` returned of runs, of one seed each.
        others: of the runs of the same seeds that these are compared with.

    Returns:
        The interval of the figure minus that of the others; None where not all runs kept the
        figures of the same windows.
    """
    ours, theirs = (_add([run.get(name) for run in runs]) for runs in (sums, others))
    if ours is None or theirs is None or ours.shape[-1] < 2:
        return None
    if not np.array_equal(ours[1], theirs[1]):  # Of other windows.
        return None
    both = song_intervals.of_differences({name: theirs}, {name: ours}, is_paired=True)
    return both.get(name)


def _add(sums: Sequence[np.ndarray | None]) -> np.ndarray | None:
    """Returns the sums of runs together, None where one has other songs or none.

    All seeds have the same windows, so that the quotient of these sums is the mean over seeds.
    """
    known = [each for each in sums if each is not None]
    if len(known) < len(sums) or len({each.shape for each in known}) != 1:
        return None
    return np.sum(known, axis=0)
