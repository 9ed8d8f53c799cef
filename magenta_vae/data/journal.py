"""What is done of a build: entries, each whole or absent, that a killed build goes on from.

An entry is what became of some hundred songs, in the order of the inputs: `part-00007.rows` holds
the tokens of their windows in the order of hashes, `part-00007.json`, written after it and renamed,
says what became of each song (its "verdicts") and where each range of hashes begins. The names are
those of the first version, whose builds can be gone on with.
"""

import contextlib
import itertools
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from magenta_vae import files
from magenta_vae.data import shards
from magenta_vae.data.shards import NUM_BUCKETS, SPLITS

JOB, INPUTS, LOCK, DATA = "job.json", "inputs.jsonl", "lock", "data"


class Journal:
    """The journal of a build, a folder beside its output.

    Args:
        output_dir: where the data set is to be.
        dtype, row_size: of the rows of tokens.
    """

    def __init__(self, output_dir: str, dtype: np.dtype, row_size: int):
        self.directory = output_dir.rstrip(os.sep) + ".incomplete"
        self.data_dir = os.path.join(self.directory, DATA)
        self._dtype, self._row_size = dtype, row_size
        self._offsets: list[dict[str, np.ndarray]] = []

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps other builds out of the folder, which it makes."""
        busy = f"Another build is at work in {self.directory}: wait for it or end it."
        with files.locked(os.path.join(self.directory, LOCK), busy):
            yield

    def begin(self, job: dict, inputs: Iterable[tuple]) -> int:
        """Returns the number of songs that are done: none in a new folder.

        Args:
            job: what the entries depend on beside the inputs.
            inputs: (path, bytes, time of change) of each input.

        Raises:
            ValueError: where the folder was begun with another job or other inputs.
        """
        lines = (json.dumps(file) + "\n" for file in inputs)
        path = os.path.join(self.directory, JOB)
        if self.is_begun:
            self._check_job(path, job)
            self._check_inputs(lines)
            return self._read_entries()
        files.write_lines(os.path.join(self.directory, INPUTS), lines)
        files.write_text(path, json.dumps(job, indent=2))
        return 0

    def read_outcomes(self) -> Iterator[list]:
        """Yields what became of each song that was done when the folder was opened."""
        for index in range(len(self._offsets)):
            yield from self._read_entry(index)["verdicts"]

    def is_of(self, job: dict) -> bool:
        """Says whether the folder was begun with this job."""
        try:
            return files.read_json(os.path.join(self.directory, JOB)) == job
        except (OSError, ValueError):
            return False

    def write(self, outcomes: Sequence[list], rows: dict[str, list[np.ndarray]]) -> None:
        """Adds an entry.

        Args:
            outcomes: what became of each song, as JSON values.
            rows: int [windows, row_size] tokens of each split, in any number of arrays.
        """
        path, offsets = self._path(len(self._offsets)), {}
        with open(path + ".rows", "wb") as file:
            for split in SPLITS:
                empty = np.empty((0, self._row_size), self._dtype)
                unique, hashes = shards.unique_rows(np.concatenate([empty, *rows[split]]))
                counts = np.bincount(shards.buckets_of(hashes), minlength=NUM_BUCKETS)
                offsets[split] = np.concatenate([[0], np.cumsum(counts)])
                file.write(unique.tobytes())
            files.sync(file)
        described = {split: starts.tolist() for split, starts in offsets.items()}
        files.write_text(
            path + ".json", json.dumps({"offsets": described, "verdicts": list(outcomes)})
        )
        self._offsets.append(offsets)

    def bucket_sizes(self) -> np.ndarray:
        """Returns the rows in each range of hashes, those of each entry counted apart."""
        sizes = np.zeros(NUM_BUCKETS, np.int64)
        for offsets in self._offsets:
            sizes += sum(np.diff(starts) for starts in offsets.values())
        return sizes

    def describe_range(self, first: int, last: int) -> list[tuple[str, dict]]:
        """Returns, for `read_range`, each entry's file and its rows of each split in buckets."""
        described = []
        for index, offsets in enumerate(self._offsets):
            start, spans = 0, {}
            for split in SPLITS:
                starts = offsets[split]
                spans[split] = int(start + starts[first]), int(starts[last] - starts[first])
                start += starts[-1]
            described.append((self._path(index) + ".rows", spans))
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
        return os.path.join(self.directory, f"part-{index:05d}")

    def _read_entries(self) -> int:
        num_songs = 0
        while os.path.exists(self._path(len(self._offsets)) + ".json"):
            entry = self._read_entry(len(self._offsets))
            self._offsets.append(
                {split: np.array(starts) for split, starts in entry["offsets"].items()}
            )
            num_songs += len(entry["verdicts"])
        return num_songs

    def _read_entry(self, index: int) -> dict:
        return files.read_json(self._path(index) + ".json", ("offsets", "verdicts"))

    def _check_job(self, path: str, job: dict) -> None:
        begun = files.read_json(path)
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


def read_range(described: list[tuple[str, dict]], dtype: np.dtype, row_size: int) -> dict:
    """Returns the rows of each split that `Journal.describe_range` named: int [rows, row_size]."""
    rows: dict[str, list[np.ndarray]] = {split: [] for split in SPLITS}
    for path, spans in described:
        with open(path, "rb") as file:
            for split, (start, count) in spans.items():
                if count:
                    file.seek(start * row_size * dtype.itemsize)
                    rows[split].append(np.fromfile(file, dtype, count * row_size))
    empty = np.empty(0, dtype)
    return {
        split: np.concatenate([empty, *arrays]).reshape(-1, row_size)
        for split, arrays in rows.items()
    }
