"""Corpus -> unique windows -> TFRecords (paper, Dataset).

Two passes, so that memory is bounded by a part of the corpus. The first reads songs in worker
processes and writes the tokens of their windows as parts, in the order of a hash of those tokens.
The second makes one range of hashes after another unique and serializes it. Nothing depends on file
names, their order or the number of workers: the same songs give the same bytes. Killed at any
moment and begun again, a build goes on from its last part.
"""

import contextlib
import errno
import itertools
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from tqdm import tqdm

from magenta_vae.data import parts, records, shards, sources, workers
from magenta_vae.data.settings import Settings, num_steps, settings_of
from magenta_vae.data.shards import NUM_BUCKETS, SPLITS
from magenta_vae.data.sources import find_files
from magenta_vae.data.verdicts import Verdict, count_verdicts, examine, failed
from magenta_vae.music.files import read_json, write_text

__all__ = [
    "Settings", "build", "examine", "find_files", "format_counts", "num_steps", "settings_of",
]  # fmt: skip

SECONDS_PER_FILE = 60.0  # Of 1,500 real songs tried none takes one.
MEMORY_MB_PER_FILE = 2048
SONGS_PER_PART = 512
PART_BYTES = 2**25
MERGE_BYTES = 2**20  # Tokens of one task of the second pass; of a corpus's largest bucket more.
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def build(
    files: Sequence[str],
    output_dir: str,
    settings: Settings,
    num_workers: int | None = None,
    explain: Callable[[str], None] | None = None,
    seconds_per_file: float = SECONDS_PER_FILE,
    memory_mb_per_file: int = MEMORY_MB_PER_FILE,
    prepare: Callable[[], None] | None = None,
) -> dict:
    """Builds a data set from files of music and returns its description, as in `dataset.json`.

    It works in `<output_dir>.incomplete`, and goes on from what an earlier call left there.

    Args:
        files: paths as `find_files` gives them. One that cannot be used is counted with its reason.
        output_dir: a folder that does not exist or is empty; it is complete or absent.
        settings: what a window is.
        num_workers: processes, by default one a core.
        explain: is given a line for every song, in the order of `files`.
        seconds_per_file, memory_mb_per_file: what one song may take to read; beyond it the song
            is dropped.
        prepare: what every worker process begins with; see `Workers`.

    Raises:
        FileExistsError: where `output_dir` holds something already, or another build is at work.
        OSError: where the disk is full; the same call goes on.
        ValueError: where no window is left, or the files, settings or limits are not those of the
            call it goes on from.
    """
    job = {
        "settings": settings.describe(),
        "files": len(files),
        "seconds_per_file": seconds_per_file,
        "memory_mb_per_file": memory_mb_per_file,
    }
    work = parts.Work(output_dir, settings.token_dtype, settings.row_size)
    if os.path.isfile(output_dir) or (os.path.isdir(output_dir) and os.listdir(output_dir)):
        if os.path.isfile(os.path.join(output_dir, "dataset.json")) and work.is_of(job):
            work.remove()  # It was all done but for this.
            return _read_description(output_dir)
        raise FileExistsError(
            f"--output_dir={output_dir} is not an empty folder: a data set is never overwritten. "
            "Remove it or choose another folder."
        )
    options = seconds_per_file, memory_mb_per_file * 2**20, prepare
    with work.locked(), _explaining_a_full_disk(work.directory):
        num_done = work.begin(job, map(_stat, files))
        with workers.Workers(num_workers or os.cpu_count(), *options) as pool:
            counts = _examine_all(files, work, settings, pool, num_done, explain)
            counted_shards = _merge(work, settings, pool)
        kept = [sum(counted_shards[split].values()) for split in SPLITS]
        cut, dropped = counts["windows_cut"], counts["windows_dropped_rests"]
        counts["windows_duplicate"] = cut - dropped - sum(kept)
        counts |= {f"windows_kept_{split}": each for split, each in zip(SPLITS, kept, strict=True)}
        if not sum(kept):
            work.remove()
            raise ValueError(f"No window is left of {len(files)} files.\n{format_counts(counts)}")
        description = {"settings": settings.describe(), "counts": counts, "shards": counted_shards}
        write_description(work.data_dir, description)
        os.replace(work.data_dir, output_dir)
        work.remove()
    return description


def format_counts(counts: dict) -> str:
    """Returns the counts of a data set as a table for people."""
    rows = [("files read", counts["files_read"])]
    for reason, number in counts["files_dropped"].items():
        rows.append((f"  dropped: {reason}", number))
    rows += [
        ("windows cut", counts["windows_cut"]),
        ("  dropped by the rests rule", counts["windows_dropped_rests"]),
        ("  duplicates", counts["windows_duplicate"]),
        ("  kept for train", counts["windows_kept_train"]),
        ("  kept for eval", counts["windows_kept_eval"]),
    ]
    return "\n".join(f"{name:<36}{number:>12,}" for name, number in rows)


def write_description(data_dir: str, description: dict) -> None:
    """Writes `dataset.json`, the last of a data set's files: without it there is none."""
    write_text(os.path.join(data_dir, "dataset.json"), json.dumps(description, indent=2) + "\n")


def _examine_all(files, work, settings: Settings, pool, num_done: int, explain) -> dict:
    """Writes the parts that are not done yet; returns the counts of all songs."""
    is_listed = not any(map(sources.has_several_songs, files))
    remaining = itertools.islice(sources.read_sources(files), num_done, None)
    done = (Verdict(*each) for each in itertools.islice(work.read_verdicts(), num_done))
    tasks = ((source, settings) for source in remaining)
    examined = _written(pool.map(examine, tasks, failed), work)
    progress = tqdm(
        itertools.chain(done, examined),
        "files",
        len(files) if is_listed else None,
        unit="file",
    )

    def explained() -> Iterator[Verdict]:
        for verdict in progress:
            if explain is not None:
                explain(str(verdict))
            yield verdict

    return count_verdicts(explained())


def _written(verdicts: Iterable[Verdict], work) -> Iterator[Verdict]:
    """Passes verdicts on and writes them, with their rows, as parts."""
    rows: dict[str, list[np.ndarray]] = {split: [] for split in SPLITS}
    pending: list[list] = []
    num_bytes = 0

    def write() -> None:
        nonlocal num_bytes
        work.write(pending, rows)
        pending.clear()
        num_bytes = 0
        for each in rows.values():
            each.clear()

    for verdict in verdicts:
        pending.append(list(verdict[:-1]))
        if verdict.rows is not None:
            rows[verdict.split].append(verdict.rows)
            num_bytes += verdict.rows.nbytes
        if len(pending) >= SONGS_PER_PART or num_bytes >= PART_BYTES:
            write()
        yield verdict._replace(rows=None)
    if pending:
        write()


def _merge(work, settings: Settings, pool) -> dict:
    """Writes the unique windows as shards; returns the windows in each, by split and name."""
    os.makedirs(work.data_dir, exist_ok=True)
    for name in os.listdir(work.data_dir):  # Of a build that was killed here.
        os.unlink(os.path.join(work.data_dir, name))
    ranges = _ranges(work.bucket_sizes(), settings.row_size * settings.token_dtype.itemsize)
    tasks = ((work.describe_range(*each), settings) for each in ranges)
    writers = {split: shards.ShardWriter(work.data_dir, split) for split in SPLITS}
    merged = pool.map(_merge_range, tasks, chunk=1)
    for framed in tqdm(merged, "windows", len(ranges), unit="part"):
        for split in SPLITS:
            writers[split].write(framed[split])
    return {split: writer.close() for split, writer in writers.items()}


def _ranges(bucket_sizes: np.ndarray, row_bytes: int) -> list[tuple[int, int]]:
    """Returns ranges of buckets, the first and one after the last, of about MERGE_BYTES each."""
    ranges, first, num_bytes = [], 0, 0
    for bucket, size in enumerate(bucket_sizes.tolist()):
        num_bytes += size * row_bytes
        if num_bytes >= MERGE_BYTES or bucket == NUM_BUCKETS - 1:
            ranges.append((first, bucket + 1))
            first, num_bytes = bucket + 1, 0
    return ranges


def _merge_range(described: list, settings: Settings) -> dict[str, list[bytes]]:
    """Returns the records of one range of hashes, framed, by split."""
    rows = parts.read_range(described, settings.token_dtype, settings.row_size)
    serializer = records.WindowSerializer(settings.tracks, settings.num_steps)
    shape = settings.num_steps, len(settings.tracks)
    merged = shards.merge_rows(*(rows[split] for split in SPLITS), serializer, shape)
    return {split: list(map(records.frame, each)) for split, each in merged.items()}


def _stat(path: str) -> tuple[str, int | None, int | None]:
    try:
        found = os.stat(path)
    except OSError:
        return path, None, None
    return path, found.st_size, found.st_mtime_ns


def _read_description(data_dir: str) -> dict:
    return read_json(os.path.join(data_dir, "dataset.json"))


@contextlib.contextmanager
def _explaining_a_full_disk(directory: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        raise OSError(
            f"The disk is full: {error.strerror} in {directory}. What is done is kept there; make "
            "room and give the same command again to go on, or remove the folder."
        ) from error
