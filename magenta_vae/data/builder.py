"""Corpus -> unique windows -> TFRecords (paper, Dataset).

Two passes, so that memory is bounded by a share of the corpus. The first reads songs in worker
processes and writes the tokens of their windows into a journal, in the order of a hash of those
tokens. The second makes one range of hashes after another unique and serializes it. Nothing depends
on file names, their order or the number of workers: the same songs give the same bytes. Killed at
any moment and begun again, a build goes on from the journal's last entry.
"""

import contextlib
import errno
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from magenta_vae import display
from magenta_vae.data import descriptions, records, shards, sources, workers
from magenta_vae.data.examination import Outcome, count_outcomes, examine, failed
from magenta_vae.data.journal import Journal, read_range
from magenta_vae.data.settings import Settings, num_steps, settings_of
from magenta_vae.data.shards import NUM_BUCKETS, SPLITS
from magenta_vae.data.sources import SECONDS_PER_FILE, find_files
from magenta_vae.files import require_new_folder

__all__ = [
    "Settings", "build", "examine", "find_files", "num_steps", "settings_of",
]  # fmt: skip

MEMORY_MB_PER_FILE = 2048
SONGS_PER_ENTRY = 512
ENTRY_BYTES = 2**25
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
    compression: str | None = None,
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
            is dropped. So many seconds may pass until an archive gives its next song.
        prepare: what every worker process begins with; see `Workers`.
        compression: `records.GZIP` for compressed shards, None for plain ones.

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
        **({"compression": compression} if compression else {}),
    }
    output_dir = os.path.realpath(output_dir)
    journal = Journal(output_dir, settings.token_dtype, settings.row_size)
    if descriptions.is_data_set(output_dir) and journal.is_of(job):
        journal.remove()  # It was all done but for this.
        return descriptions.read(output_dir)
    require_new_folder("--output_dir", output_dir)
    options = seconds_per_file, memory_mb_per_file * 2**20, prepare
    with journal.locked(), _explaining_how_to_go_on(journal.directory):
        num_done = journal.begin(job, map(_stat, files))
        with workers.Workers(num_workers or _num_cores(), *options) as pool:
            songs = itertools.islice(sources.read_sources(files, seconds_per_file), num_done, None)
            counts = _examine_all(files, songs, journal, settings, pool, num_done, explain)
            counted_shards = _merge(journal, settings, pool, compression)
        try:
            description = descriptions.describe(settings, counts, counted_shards, compression)
        except ValueError:
            journal.remove()  # There is nothing to go on with.
            raise
        descriptions.write(journal.data_dir, description)
        os.replace(journal.data_dir, output_dir)
        journal.remove()
    return description


def _examine_all(files, songs, journal, settings: Settings, pool, num_done: int, explain) -> dict:
    """Writes the entries that are not done yet; returns the counts of all songs."""
    is_listed = not any(map(sources.has_several_songs, files))
    done = (Outcome(*fields) for fields in itertools.islice(journal.read_outcomes(), num_done))
    tasks = ((source, settings) for source in songs)
    examined = _written(pool.map(examine, tasks, failed), journal)
    progress = display.track(
        itertools.chain(done, examined), "reading files", len(files) if is_listed else None
    )

    def explained() -> Iterator[Outcome]:
        for outcome in progress:
            if explain is not None:
                explain(str(outcome))
            yield outcome

    return count_outcomes(explained())


def _written(outcomes: Iterable[Outcome], journal) -> Iterator[Outcome]:
    """Passes outcomes on and writes them, with their rows, as entries."""
    rows: dict[str, list[np.ndarray]] = {split: [] for split in SPLITS}
    pending: list[list] = []
    num_bytes = 0

    def write() -> None:
        nonlocal num_bytes
        journal.write(pending, rows)
        pending.clear()
        num_bytes = 0
        for arrays in rows.values():
            arrays.clear()

    for outcome in outcomes:
        pending.append(list(outcome[:-1]))
        if outcome.rows is not None:
            rows[outcome.split].append(outcome.rows)
            num_bytes += outcome.rows.nbytes
        if len(pending) >= SONGS_PER_ENTRY or num_bytes >= ENTRY_BYTES:
            write()
        yield outcome._replace(rows=None)
    if pending:
        write()


def _merge(journal, settings: Settings, pool, compression: str | None) -> dict:
    """Writes the unique windows as shards; returns the windows in each, by split and name."""
    journal.clear_data()
    ranges = _ranges(journal.bucket_sizes(), settings.row_size * settings.token_dtype.itemsize)
    tasks = ((journal.describe_range(*buckets), settings) for buckets in ranges)
    writers = {split: shards.ShardWriter(journal.data_dir, split, compression) for split in SPLITS}
    merged = pool.map(_merge_range, tasks, chunk=1)
    for framed in display.track(merged, "writing windows", len(ranges)):
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
    rows = read_range(described, settings.token_dtype, settings.row_size)
    serializer = records.WindowSerializer(settings.tracks, settings.num_steps)
    shape = settings.num_steps, len(settings.tracks)
    merged = shards.merge_rows(rows["train"], rows["eval"], serializer, shape)
    return {split: list(map(records.frame, windows)) for split, windows in merged.items()}


def _num_cores() -> int:
    """Returns how many cores this process may use, which a container may bound."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _stat(path: str) -> tuple[str, int | None, int | None]:
    try:
        status = os.stat(path)
    except OSError:
        return path, None, None
    return path, status.st_size, status.st_mtime_ns


@contextlib.contextmanager
def _explaining_how_to_go_on(directory: str) -> Iterator[None]:
    try:
        yield
    except workers.WorkerError as error:
        raise workers.WorkerError(
            f"{error}. What is done is kept in {directory}; give the same command again to go on, "
            "with a lower --num_workers where memory is short."
        ) from error
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        raise OSError(
            f"The disk is full: {error.strerror} in {directory}. What is done is kept there; make "
            "room and give the same command again to go on, or remove the folder."
        ) from error
