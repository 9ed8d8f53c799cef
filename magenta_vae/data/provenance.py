"""Which song each window of a data set is of, and at which of its bars it begins."""

import csv
import os
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

SONGS_FILE, FOLDER = "songs.csv", "windows"


class Provenance(NamedTuple):
    """Where the windows of a split are from.

    Attributes:
        songs: the row of each window's song in `songs.csv`, int32 [windows].
        bars: the bar of its song that each window begins at, from 0: int32 [windows].
        paths: of each row of `songs.csv` the song's path, or its place in an archive.
    """

    songs: np.ndarray
    bars: np.ndarray
    paths: Sequence[str]


def read(data_dir: str, split: str, num_windows: int) -> Provenance | None:
    """Returns where the windows of a split are from, None for a data set that does not say it.

    Args:
        data_dir: a data set.
        split: of its splits, which one.
        num_windows: of the split.
    """
    place = os.path.join(data_dir, FOLDER, f"{split}.npy")
    if not os.path.isfile(place):
        return None
    with open(os.path.join(data_dir, SONGS_FILE), encoding="utf-8", newline="") as file:
        paths = [row["path"] for row in csv.DictReader(file)]
    songs, bars = np.load(place).reshape(num_windows, 2).T
    return Provenance(songs, bars, paths)
