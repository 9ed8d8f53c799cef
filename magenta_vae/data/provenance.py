"""Which song each window of a data set is of, and what became of each song.

Beside `dataset.json` lie `songs.csv`, a line a song in the order of the inputs, and for each split
`windows/<split>.npy`: int32 [windows, 2], in the order of its records, the line of the window's
song in `songs.csv`, counted from 0, and the bar of that song at which it begins. A window that
several songs hold is of the first of them, at its first bar there. `songs.csv` holds names of
files, on which nothing else of a data set depends.
"""

import csv
import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from magenta_vae import files
from magenta_vae.data import descriptions
from magenta_vae.data.examination import Outcome
from magenta_vae.data.journal import PLACE

SONGS_FILE, FOLDER = "songs.csv", "windows"
COLUMNS = (
    "path",  # Of the song, from the deepest folder that holds all songs.
    "sha256",  # Of its bytes, unpacked; empty of a song that was not read.
    "verdict",  # `used`, or the rule that dropped it.
    "detail",
    "split",
    "windows_cut",
    "windows_dropped_rests",
    "windows_duplicate",  # In the song before, or in another song of the split.
    "windows_in_earlier_split",
    "windows_kept",
)
USED = "used"


class Provenance(NamedTuple):
    """Where the windows of a split are from.

    Attributes:
        songs: the line of each window's song in `songs.csv`, from 0: int32 [windows].
        bars: the bar at which it begins, from 0: int32 [windows].
        paths: the path of each line of `songs.csv`.
    """

    songs: np.ndarray
    bars: np.ndarray
    paths: Sequence[str]

    def first(self, num_windows: int | None) -> "Provenance":
        """Returns where the first windows of the split are from, all of them for None."""
        return self._replace(songs=self.songs[:num_windows], bars=self.bars[:num_windows])


class PlacesWriter:
    """Writes `windows/<split>.npy`, of as many windows as there turn out to be.

    Args:
        data_dir: the folder of the data set.
        split: of the windows.
    """

    def __init__(self, data_dir: str, split: str):
        self._path = os.path.join(data_dir, FOLDER, f"{split}.npy")
        self._size = 0
        self._file: BinaryIO | None = None

    def write(self, places: np.ndarray) -> None:
        """Appends the songs and bars of windows, int [windows, 2]."""
        if not len(places):
            return
        if self._file is None:
            files.make_folder_of(self._path)
            self._file = open(self._partial, "wb")  # noqa: SIM115
        self._file.write(np.ascontiguousarray(places, PLACE).data)
        self._size += len(places)

    def close(self) -> None:
        """Ends the file; of a split without windows there is none."""
        if self._file is None:
            return
        self._file.close()
        with open(self._path, "wb") as file, open(self._partial, "rb") as written:
            files.write_array_header(file, PLACE, (self._size, 2))
            shutil.copyfileobj(written, file)
            files.sync(file)
        os.unlink(self._partial)

    @property
    def _partial(self) -> str:
        return f"{self._path}.partial"


def write_songs(
    data_dir: str, outcomes: Iterable[Outcome], root: str, kept: np.ndarray, elsewhere: np.ndarray
) -> None:
    """Writes `songs.csv`.

    Args:
        data_dir: the folder of the data set.
        outcomes: what became of each song, in their order.
        root: the folder that their paths are counted from.
        kept, elsewhere: of each song the windows that the data set has from it, and those that are
            not among them because an earlier split has them: int [songs].
    """
    path = os.path.join(data_dir, SONGS_FILE)
    with (
        files.replacing(path) as beside,
        open(beside, "w", encoding="utf-8", errors="surrogateescape", newline="") as file,
    ):
        # Minimal quoting leaves a carriage return bare, which readers take for the end of a line.
        writer = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
        writer.writerow(COLUMNS)
        for outcome, *numbers in zip(outcomes, kept.tolist(), elsewhere.tolist(), strict=True):
            writer.writerow(_line(outcome, root, *numbers))
        files.sync(file)


def read(data_dir: str | os.PathLike, split: str, num_windows: int) -> Provenance | None:
    """Returns where the windows of a split are from, None for a data set that does not say.

    Those that version 0.1.0 built, and those made by other means, do not.

    Raises:
        ValueError: where the files are damaged or of other windows, with the name.
    """
    path = Path(data_dir) / FOLDER / f"{split}.npy"
    songs_path = Path(data_dir) / SONGS_FILE
    if not (path.exists() and songs_path.exists()):
        return None
    try:
        places = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{path} is damaged: it is no array of NumPy's.") from error
    if places.dtype != PLACE or places.shape != (num_windows, 2):
        raise ValueError(
            f"{path} is not of the {num_windows:,} windows of {split}: expected int32 "
            f"[{num_windows}, 2]. Received: {places.dtype} {list(places.shape)}."
        )
    paths = read_paths(songs_path)
    num_songs = descriptions.read(os.fspath(data_dir))["counts"]["files_read"]
    if len(paths) != num_songs:
        raise ValueError(
            f"{songs_path} is damaged: the data set is of {num_songs:,} songs, and the file has "
            f"{len(paths):,}."
        )
    if num_windows and not 0 <= places[:, 0].min() <= places[:, 0].max() < len(paths):
        raise ValueError(f"{path} is damaged: it names songs that {songs_path} does not have.")
    return Provenance(places[:, 0], places[:, 1], paths)


def read_paths(path: str | os.PathLike) -> list[str]:
    """Returns the paths of `songs.csv`, in their order."""
    with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
        lines = csv.reader(file)
        if tuple(next(lines, ())) != COLUMNS:
            raise ValueError(f"{path} is damaged: its columns must be {', '.join(COLUMNS)}.")
        return [line[0] for line in lines if line]


def _line(outcome: Outcome, root: str, kept: int, elsewhere: int) -> list:
    unique = 0 if outcome.reason else kept + elsewhere
    used = outcome.num_cut - outcome.num_dropped_rests
    inside = os.path.join(root, "")
    is_inside = outcome.name.startswith(inside)  # So are most, for which `relpath` is slow.
    return [
        outcome.name[len(inside) :] if is_inside else os.path.relpath(outcome.name, root),
        outcome.sha256,
        outcome.reason or USED,
        outcome.detail,
        outcome.split,
        outcome.num_cut,
        outcome.num_dropped_rests,
        used - unique,
        elsewhere,
        kept,
    ]
