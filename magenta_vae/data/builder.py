"""Corpus -> unique windows -> TFRecords (paper, Dataset).

Two passes, so that memory is bounded by a share of the corpus. The first reads songs in worker
processes and writes the tokens of their windows into a journal, in the order of a hash of those
tokens. The second makes one range of hashes after another unique and serializes it. Nothing depends
on file names, their order or the number of workers: the same songs give the same bytes. Killed at
any moment and begun again, a build goes on from the journal's last entry.
"""

import functools
import itertools
import os
from collections.abc import Callable, Sequence

from magenta_vae import display
from magenta_vae.data import assembly, sources, workers
from magenta_vae.data.examination import count_outcomes, examine, failed
from magenta_vae.data.settings import Settings, num_steps, settings_of
from magenta_vae.data.sources import SECONDS_PER_FILE, find_files
from magenta_vae.data.splits import OwnSplits

__all__ = [
    "Settings", "build", "examine", "find_files", "num_steps", "settings_of",
]  # fmt: skip

MEMORY_MB_PER_FILE = 2048


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
    own_splits: OwnSplits | None = None,
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
        own_splits: which split each song is in; by the hash of its bytes for None.

    Raises:
        FileExistsError: where `output_dir` holds something already, or another build is at work.
        OSError: where the disk is full; the same call goes on.
        ValueError: where no window is left, or the files, settings or limits are not those of the
            call it goes on from.
    """
    job = assembly.describe_job(
        settings,
        files,
        compression,
        own_splits,
        seconds_per_file=seconds_per_file,
        memory_mb_per_file=memory_mb_per_file,
    )
    journal, done = assembly.open_journal(output_dir, settings, job)
    if done is not None:
        return done
    options = seconds_per_file, memory_mb_per_file * 2**20, prepare
    fewer = "with a lower --num_workers where memory is short"
    with journal.locked(), assembly.explaining_how_to_go_on(journal.directory, fewer):
        num_done = journal.begin(job, files)
        with workers.Workers(num_workers or _num_cores(), *options) as pool:
            songs = itertools.islice(
                assembly.read_songs(files, own_splits, seconds_per_file), num_done, None
            )
            counts = _examine_all(files, songs, journal, settings, pool, num_done, explain)
            map_tasks = functools.partial(pool.map, chunk=1)
            merged = assembly.merge(journal, settings, map_tasks, compression, counts["files_read"])
        return assembly.finish(journal, files, settings, counts, merged, compression, own_splits)


def _examine_all(files, songs, journal, settings: Settings, pool, num_done: int, explain) -> dict:
    """Writes the entries that are not done yet; returns the counts of all songs."""
    is_listed = not any(map(sources.has_several_songs, files))
    done = itertools.islice(assembly.outcomes_of(journal), num_done)
    tasks = ((source, settings) for source in songs)
    examined = assembly.write_entries(pool.map(examine, tasks, failed), journal)
    progress = display.track(
        itertools.chain(done, examined), "reading files", len(files) if is_listed else None
    )
    return count_outcomes(assembly.explained(progress, explain))


def _num_cores() -> int:
    """Returns how many cores this process may use, which a container may bound."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
