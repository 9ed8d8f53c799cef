"""What is done of a build: entries, each whole or absent, that a killed build goes on from.

An entry is what became of some hundred songs, in the order of the inputs: `part-00007.rows` holds
the tokens of their windows in the order of hashes, `part-00007.places` the song of each, counted
from the first of the entry, and its bar. `part-00007.json`, written after both and renamed, says
what became of each song (its "verdicts") and where each range of hashes begins.
"""

import contextlib
import itertools
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO, NamedTuple

import numpy as np

from magenta_vae import files
from magenta_vae.data import shards
from magenta_vae.data.examination import Outcome
from magenta_vae.data.shards import NUM_BUCKETS
from magenta_vae.data.splits import SPLITS

FORMAT = 2  # Of entries. The first had no places, and no test.
PLACE = np.dtype("<i4")
JOB, INPUTS, LOCK, DATA = "job.json", "inputs.jsonl", "lock", "data"


class Entry(NamedTuple):
    """What is done of a build.

    Attributes:
        path: of its files, without their endings.
        offsets: where each range of hashes begins among the rows of each split.
        num_songs: how many songs.
    """

    path: str
    offsets: dict[str, np.ndarray]
    num_songs: int


class Journal:
    """The journal of a build, a folder beside its output.

    Args:
        output_dir: where the data set is to be.
        dtype, row_size: of the rows of tokens.
        prefix: of the names of its entries: those of one part of a build that is done in parts.
    """

    def __init__(self, output_dir: str, dtype: np.dtype, row_size: int, prefix: str = "part-"):
        self.output_dir = output_dir
        self.directory = output_dir.rstrip(os.sep) + ".incomplete"
        self.data_dir = os.path.join(self.directory, DATA)
        self._dtype, self._row_size = dtype, row_size
        self._prefix = prefix
        self._entries: list[Entry] = []

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps other builds out of the folder, which it makes."""
        busy = f"Another build is at work in {self.directory}: wait for it or end it."
        with files.locked(os.path.join(self.directory, LOCK), busy):
            yield

    def begin(self, job: dict, inputs: Iterable[str]) -> int:
        """Returns the number of songs that are done: none in a new folder.

        Args:
            job: what the entries depend on beside the inputs.
            inputs: the files that are read: their sizes and times of change must stay too.

        Raises:
            ValueError: where the folder was begun with another job or other inputs.
        """
        lines = (json.dumps(_stat(path)) + "\n" for path in inputs)
        job = {"format": FORMAT, **job}
        path = os.path.join(self.directory, JOB)
        if self.is_begun:
            self._check_job(path, job)
            self._check_inputs(lines)
            return self.read_entries()
        files.write_lines(os.path.join(self.directory, INPUTS), lines)
        files.write_text(path, json.dumps(job, indent=2))
        return 0

    def read_entries(self) -> int:
        """Reads which entries there are, in their order, and returns the number of songs."""
        while os.path.exists(self._path(len(self._entries)) + ".json"):
            path = self._path(len(self._entries))
            entry = _read_entry(path)
            offsets = {split: np.array(starts) for split, starts in entry["offsets"].items()}
            self._entries.append(Entry(path, offsets, len(entry["verdicts"])))
        return sum(entry.num_songs for entry in self._entries)

    def read_outcomes(self) -> Iterator[list]:
        """Yields what became of each song that is done."""
        for entry in self._entries:
            yield from _read_entry(entry.path)["verdicts"]

    def is_of(self, job: dict) -> bool:
        """Says whether the folder was begun with this job."""
        try:
            begun = files.read_json(os.path.join(self.directory, JOB))
            return begun == {"format": FORMAT, **job}
        except (OSError, ValueError):
            return False

    def write(self, outcomes: Sequence[Outcome]) -> None:
        """Adds an entry: what became of songs, with their windows."""
        path, offsets = self._path(len(self._entries)), {}
        with (
            files.replacing(path + ".rows") as rows_path,
            files.replacing(path + ".places") as places_path,
            open(rows_path, "wb") as rows_file,
            open(places_path, "wb") as places_file,
        ):
            for split in SPLITS:
                rows, places = self._collect(outcomes, split)
                first, hashes = shards.first_of_equals(rows)
                counts = np.bincount(shards.buckets_of(hashes[first]), minlength=NUM_BUCKETS)
                offsets[split] = np.concatenate([[0], np.cumsum(counts)])
                rows_file.write(rows[first].tobytes())
                places_file.write(places[first].tobytes())
            files.sync(rows_file)
            files.sync(places_file)
        described = {split: starts.tolist() for split, starts in offsets.items()}
        verdicts = [outcome.verdict for outcome in outcomes]
        files.write_text(path + ".json", json.dumps({"offsets": described, "verdicts": verdicts}))
        self._entries.append(Entry(path, offsets, len(outcomes)))

    def adopt(self, part: "Journal") -> None:
        """Adds the entries of a part of the build behind those there are."""
        self._entries += part._entries

    def _collect(self, outcomes: Sequence[Outcome], split: str) -> tuple[np.ndarray, np.ndarray]:
        """Returns the rows of one split, int [rows, row_size], and their songs and bars."""
        songs, rows, bars = [], [np.empty((0, self._row_size), self._dtype)], [np.empty(0, PLACE)]
        for song, outcome in enumerate(outcomes):
            if outcome.rows is not None and outcome.bars is not None and outcome.split == split:
                songs.append(song)
                rows.append(outcome.rows)
                bars.append(outcome.bars)
        of_song = np.repeat(np.array(songs, PLACE), [len(each) for each in rows[1:]])
        return np.concatenate(rows), np.stack([of_song, np.concatenate(bars)], axis=1)

    def bucket_sizes(self) -> np.ndarray:
        """Returns the rows in each range of hashes, those of each entry counted apart."""
        sizes = np.zeros(NUM_BUCKETS, np.int64)
        for entry in self._entries:
            sizes += sum(np.diff(starts) for starts in entry.offsets.values())
        return sizes

    def describe_range(self, first: int, last: int) -> list[tuple[str, int, dict]]:
        """Returns, for `read_range`, of each entry its files, first song, and rows in buckets."""
        described = []
        first_song = 0
        for path, offsets, num_songs in self._entries:
            start, spans = 0, {}
            for split in SPLITS:
                starts = offsets[split]
                spans[split] = int(start + starts[first]), int(starts[last] - starts[first])
                start += starts[-1]
            described.append((path, first_song, spans))
            first_song += num_songs
        return described

    @property
    def is_begun(self) -> bool:
        """Whether the folder holds what `begin` writes."""
        return os.path.exists(os.path.join(self.directory, JOB))

    def clear_data(self) -> None:
        """Makes `data_dir` an empty folder, whatever a build that was killed left in it."""
        shutil.rmtree(self.data_dir, ignore_errors=True)
        os.makedirs(self.data_dir)

    def remove(self) -> None:
        """Removes the folder."""
        shutil.rmtree(self.directory, ignore_errors=True)

    def _path(self, index: int) -> str:
        return os.path.join(self.directory, f"{self._prefix}{index:05d}")

    def _check_job(self, path: str, job: dict) -> None:
        begun = files.read_json(path)
        if begun.get("format") != FORMAT:
            raise ValueError(
                f"{self.directory} was begun by another version of this package. Remove it to "
                "begin anew."
            )
        if begun != job:
            differing = [
                f"{name}={begun.get(name)}, now {job.get(name)}"
                for name in {**begun, **job}
                if begun.get(name) != job.get(name)
            ]
            raise ValueError(
                f"{self.directory} was begun with {'; '.join(differing)}. {self._how_to_go_on()}"
            )

    def _check_inputs(self, lines: Iterable[str]) -> None:
        with open(os.path.join(self.directory, INPUTS)) as file:
            pairs = itertools.zip_longest(file, lines)
            differing = [pair for pair in pairs if pair[0] != pair[1]]
        if not differing:
            return
        then, now = (
            {json.loads(line)[0]: line for line in lines if line is not None}
            for lines in zip(*differing, strict=True)
        )
        groups = {
            "new": now.keys() - then.keys(),
            "gone": then.keys() - now.keys(),
            "changed": {path for path in then.keys() & now.keys() if then[path] != now[path]},
        }
        changes = ", ".join(
            f"{len(paths):,} {what} ({min(paths)})" for what, paths in groups.items() if paths
        )
        raise ValueError(
            f"The inputs are not those that {self.directory} was begun with: {changes}. "
            f"{self._how_to_go_on()}"
        )

    def _how_to_go_on(self) -> str:
        return f"Give the same ones to go on, or remove {self.directory} to begin anew."


def _stat(path: str) -> tuple[str, int | None, int | None]:
    try:
        status = os.stat(path)
    except OSError:
        return path, None, None
    return path, status.st_size, status.st_mtime_ns


def _read_entry(path: str) -> dict:
    return files.read_json(path + ".json", ("offsets", "verdicts"))


def read_range(
    described: list[tuple[str, int, dict]], dtype: np.dtype, row_size: int
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Returns what `Journal.describe_range` named.

    Returns:
        Of each split the rows, int [rows, row_size], and of each row its song, counted from the
        first of all, and bar, int [rows, 2].
    """
    read: dict[str, tuple[list, list]] = {split: ([], []) for split in SPLITS}
    for path, first_song, spans in described:
        if not any(count for _, count in spans.values()):
            continue
        with open(path + ".rows", "rb") as rows_file, open(path + ".places", "rb") as places_file:
            for split, (start, count) in spans.items():
                if count:
                    rows, places = read[split]
                    rows.append(_read(rows_file, dtype, start, count, row_size))
                    places.append(
                        _read(places_file, PLACE, start, count, 2) + np.array([first_song, 0])
                    )
    empty = np.empty((0, row_size), dtype), np.empty((0, 2), np.int64)
    return {
        split: (np.concatenate([empty[0], *rows]), np.concatenate([empty[1], *places]))
        for split, (rows, places) in read.items()
    }


def _read(file: BinaryIO, dtype: np.dtype, start: int, count: int, row_size: int) -> np.ndarray:
    file.seek(start * row_size * dtype.itemsize)
    return np.fromfile(file, dtype, count * row_size).reshape(count, row_size)
