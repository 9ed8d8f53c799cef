"""A data set that is built by many processes, of one machine or several, which share a disk.

A task reads some files and writes their windows as entries of the journal, or merges one range of
hashes and writes what the data set has of it; the process that asked for them puts both together,
as the local builder does: the data set has the same bytes. Whatever runs the tasks moves no
windows, and may run a task again or twice at once: files are renamed when they are whole. A build
that was killed goes on from the tasks that are done.
"""

import functools
import os
import platform
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from magenta_vae.data import assembly, splits
from magenta_vae.data.examination import count_outcomes, examine
from magenta_vae.data.journal import Journal
from magenta_vae.data.settings import Settings
from magenta_vae.data.sources import SECONDS_PER_FILE
from magenta_vae.data.splits import SPLITS, OwnSplits
from magenta_vae.files import replacing, write_text

FILES_PER_PART = 128
SPLITS_FILE = "splits.json"
SHARED = "all processes must see the inputs and the output on one disk, under the same paths."
# (function, arguments of each call, what is done): returns when all calls have returned.
RunTasks = Callable[[Callable[..., None], Sequence[tuple], str], None]


def build(
    files: Sequence[str],
    output_dir: str,
    settings: Settings,
    run_tasks: RunTasks,
    explain: Callable[[str], None] | None = None,
    compression: str | None = None,
    own_splits: OwnSplits | None = None,
    files_per_part: int = FILES_PER_PART,
) -> dict:
    """Builds a data set as `builder.build` does and returns its description.

    Args:
        files: paths that every process can read, on a disk that all share.
        output_dir: a folder that does not exist or is empty, on that disk.
        settings: what a window is.
        run_tasks: what calls a function of a module, of values that can be pickled, in the
            processes.
        explain, compression, own_splits: see `builder.build`.
        files_per_part: how many files a task reads.

    Raises:
        As `builder.build`, and what `run_tasks` raises.
    """
    job = assembly.describe_job(
        settings, files, compression, own_splits, files_per_part=files_per_part
    )
    journal, done = assembly.open_journal(output_dir, settings, job)
    if done is not None:
        return done
    output_dir = journal.output_dir  # Its real path.
    with journal.locked(), assembly.explaining_how_to_go_on(journal.directory):
        journal.begin(job, files)
        if own_splits:
            splits.write(os.path.join(journal.directory, SPLITS_FILE), own_splits)
        firsts = range(0, len(files), files_per_part)
        parts = [files[first : first + files_per_part] for first in firsts]
        tasks = [
            (output_dir, number, part, settings, own_splits is not None)
            for number, part in enumerate(parts)
            if not os.path.exists(_done_path(journal, number))
        ]
        run_tasks(examine_part, tasks, "reading parts")
        _require(_done_path(journal, number) for number in range(len(parts)))
        for number in range(len(parts)):
            part_journal = _journal_of(output_dir, number, settings)
            part_journal.read_entries()
            journal.adopt(part_journal)
        outcomes = assembly.outcomes_of(journal)
        counts = count_outcomes(assembly.explained(outcomes, explain))
        map_tasks = functools.partial(_map_to_files, run_tasks, journal.directory)
        merged = assembly.merge(journal, settings, map_tasks, compression, counts["files_read"])
        return assembly.finish(journal, files, settings, counts, merged, compression, own_splits)


def examine_part(
    output_dir: str, number: int, files: Sequence[str], settings: Settings, has_splits: bool
) -> None:
    """Reads some files of a build and writes what became of their songs as entries.

    Args:
        output_dir: where the data set is to be.
        number: of the part.
        files: of the part.
        settings: what a window is.
        has_splits: whether the journal holds splits that somebody chose.
    """
    journal = _journal_of(output_dir, number, settings)
    if not journal.is_begun:
        raise FileNotFoundError(
            f"{journal.directory} is not seen by a process on {platform.node()} that is to write "
            f"there: {SHARED}"
        )
    path = os.path.join(journal.directory, SPLITS_FILE)
    own_splits = splits.read(path) if has_splits else None
    songs = assembly.read_songs(files, own_splits, SECONDS_PER_FILE)
    outcomes = (examine(song, settings) for song in songs)
    for _ in assembly.write_entries(outcomes, journal):
        pass
    write_text(_done_path(journal, number), "")


def write_range(described: list, settings: Settings, path: str) -> None:
    """Writes what `assembly.merge_range` returns as arrays, whole or not at all."""
    windows, elsewhere = assembly.merge_range(described, settings)
    arrays = {"elsewhere": elsewhere}
    for split, (framed, places) in windows.items():
        arrays[f"records_{split}"] = np.frombuffer(b"".join(framed), np.uint8)
        arrays[f"ends_{split}"] = np.cumsum(list(map(len, framed)), dtype=np.int64)
        arrays[f"places_{split}"] = places
    with replacing(path) as beside, open(beside, "wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def read_range(path: str) -> tuple[dict, np.ndarray]:
    """Reads what `write_range` wrote."""
    with np.load(path, allow_pickle=False) as arrays:
        windows = {}
        for split in SPLITS:
            data = arrays[f"records_{split}"].tobytes()
            ends = arrays[f"ends_{split}"].tolist()
            framed = [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]
            windows[split] = framed, arrays[f"places_{split}"]
        return windows, arrays["elsewhere"]


def _map_to_files(
    run_tasks: RunTasks, directory: str, function: Callable, tasks: Iterable[tuple]
) -> Iterator[tuple[dict, np.ndarray]]:
    """Yields the results of `assembly.merge_range`, each of which a task writes into a file."""
    numbered = [
        (*task, os.path.join(directory, f"range-{number:05d}.npz"))
        for number, task in enumerate(tasks)
    ]
    missing = [task for task in numbered if not os.path.exists(task[-1])]
    run_tasks(write_range, missing, "merging windows")
    _require(path for *_, path in numbered)
    for *_, path in numbered:
        yield read_range(path)


def _require(paths: Iterable[str]) -> None:
    """Raises `FileNotFoundError` unless there is everything that tasks have written."""
    missing = [path for path in paths if not os.path.exists(path)]
    if missing:
        raise FileNotFoundError(
            f"{len(missing):,} files that tasks have written are not seen here, the first of them "
            f"{missing[0]}: {SHARED}"
        )


def _journal_of(output_dir: str, number: int, settings: Settings) -> Journal:
    prefix = f"part-{number:05d}-"
    return Journal(output_dir, settings.token_dtype, settings.row_size, prefix)


def _done_path(journal: Journal, number: int) -> str:
    return os.path.join(journal.directory, f"part-{number:05d}.done")
