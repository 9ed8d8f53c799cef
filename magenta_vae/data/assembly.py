"""Songs that were examined -> entries of a journal -> the shards of a data set.

What the local builder and one on many machines do alike: everything but who examines the songs and
who merges the ranges of hashes.
"""

import contextlib
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from magenta_vae import display
from magenta_vae.data import descriptions, provenance, records, shards, sources, splits, workers
from magenta_vae.data.examination import Outcome
from magenta_vae.data.journal import Journal, read_range
from magenta_vae.data.settings import Settings
from magenta_vae.data.shards import NUM_BUCKETS
from magenta_vae.data.sources import Source
from magenta_vae.data.splits import SPLITS, OwnSplits
from magenta_vae.files import DISK_FULL, require_new_folder

SONGS_PER_ENTRY = 512
ENTRY_BYTES = 2**25
MERGE_BYTES = 2**20  # Tokens of one task of the second pass; of a corpus's largest bucket more.


class Merged(NamedTuple):
    """What became of windows.

    Attributes:
        shards: the windows in each shard, by split and name.
        kept, elsewhere: see `provenance.write_songs`.
    """

    shards: dict[str, dict[str, int]]
    kept: np.ndarray
    elsewhere: np.ndarray


def read_songs(
    files: Sequence[str], own_splits: OwnSplits | None, seconds: float
) -> Iterator[Source]:
    """Yields the songs of files, with the splits that somebody chose for them, if any."""
    songs = sources.read_sources(files, seconds)
    return own_splits.assign(songs) if own_splits else songs


def write_entries(outcomes: Iterable[Outcome], journal: Journal) -> Iterator[Outcome]:
    """Passes outcomes on and writes them, with their rows, as entries."""
    pending: list[Outcome] = []
    num_bytes = 0
    for outcome in outcomes:
        pending.append(outcome)
        num_bytes += 0 if outcome.rows is None else outcome.rows.nbytes
        if len(pending) >= SONGS_PER_ENTRY or num_bytes >= ENTRY_BYTES:
            journal.write(pending)
            pending.clear()
            num_bytes = 0
        yield outcome._replace(rows=None, bars=None)
    if pending:
        journal.write(pending)


def outcomes_of(journal: Journal) -> Iterator[Outcome]:
    """Yields what became of each song that is done, without its windows."""
    return (Outcome(*verdict) for verdict in journal.read_outcomes())


def describe_job(
    settings: Settings,
    files: Sequence[str],
    compression: str | None,
    own_splits: OwnSplits | None,
    **own: int | float,
) -> dict:
    """Returns what the entries of a build depend on, beside the files themselves.

    Args:
        settings, files, compression, own_splits: see `builder.build`.
        own: what else, of one way to build.
    """
    return {
        "settings": settings.describe(),
        "files": len(files),
        **own,
        **({"compression": compression} if compression else {}),
        **({"splits": own_splits.digest} if own_splits else {}),
    }


def open_journal(output_dir: str, settings: Settings, job: dict) -> tuple[Journal, dict | None]:
    """Returns the journal of a build, and its data set's description where that is done already.

    Raises `FileExistsError` where `output_dir` holds something else.
    """
    journal = Journal(os.path.realpath(output_dir), settings.token_dtype, settings.row_size)
    if descriptions.is_data_set(journal.output_dir) and journal.is_of(job):
        journal.remove()  # It was all done but for this.
        return journal, descriptions.read(journal.output_dir)
    require_new_folder("--output_dir", journal.output_dir)
    return journal, None


def explained(
    outcomes: Iterable[Outcome], explain: Callable[[str], None] | None
) -> Iterator[Outcome]:
    """Passes outcomes on, and gives a line about each to whoever asked for them."""
    for outcome in outcomes:
        if explain is not None:
            explain(str(outcome))
        yield outcome


def merge(
    journal: Journal,
    settings: Settings,
    map_tasks: Callable[[Callable, Iterable[tuple]], Iterable],
    compression: str | None,
    num_songs: int,
) -> Merged:
    """Writes the unique windows of a journal as shards, and where they are from.

    Args:
        journal: in which every song is done.
        settings: what a window is.
        map_tasks: (function, tasks) -> its results, in the order of the tasks.
        compression: of the shards.
        num_songs: that are done.
    """
    journal.clear_data()
    ranges = _ranges(journal.bucket_sizes(), settings.row_size * settings.token_dtype.itemsize)
    tasks = ((journal.describe_range(*buckets), settings) for buckets in ranges)
    writers = {split: shards.ShardWriter(journal.data_dir, split, compression) for split in SPLITS}
    places = {split: provenance.PlacesWriter(journal.data_dir, split) for split in SPLITS}
    kept, elsewhere = np.zeros(num_songs, np.int64), np.zeros(num_songs, np.int64)
    merged = map_tasks(merge_range, tasks)
    for windows, songs_elsewhere in display.track(merged, "writing windows", len(ranges)):
        for split, (framed, found) in windows.items():
            writers[split].write(framed)
            places[split].write(found)
            np.add.at(kept, found[:, 0], 1)
        np.add.at(elsewhere, songs_elsewhere, 1)
    for writer in places.values():
        writer.close()
    return Merged({split: writer.close() for split, writer in writers.items()}, kept, elsewhere)


def finish(
    journal: Journal,
    files: Sequence[str],
    settings: Settings,
    counts: dict,
    merged: Merged,
    compression: str | None,
    own_splits: OwnSplits | None,
) -> dict:
    """Writes what a data set says of itself, which makes it one, and returns its description."""
    if own_splits:
        names = (outcome.name for outcome in outcomes_of(journal))
        if unused := splits.format_unused(own_splits, names):
            warnings.warn(unused, stacklevel=2)
    try:
        description = descriptions.describe(
            settings,
            counts,
            merged.shards,
            compression,
            own_splits.description if own_splits else None,
            int(merged.elsewhere.sum()),
        )
    except ValueError:
        journal.remove()  # There is nothing to go on with.
        raise
    provenance.write_songs(
        journal.data_dir,
        outcomes_of(journal),
        sources.folder_of(files),
        merged.kept,
        merged.elsewhere,
    )
    descriptions.write(journal.data_dir, description)
    os.replace(journal.data_dir, journal.output_dir)
    journal.remove()
    return description


def _ranges(bucket_sizes: np.ndarray, row_bytes: int) -> list[tuple[int, int]]:
    """Returns ranges of buckets, the first and one after the last, of about MERGE_BYTES each."""
    ranges, first, num_bytes = [], 0, 0
    for bucket, size in enumerate(bucket_sizes.tolist()):
        num_bytes += size * row_bytes
        if num_bytes >= MERGE_BYTES or bucket == NUM_BUCKETS - 1:
            ranges.append((first, bucket + 1))
            first, num_bytes = bucket + 1, 0
    return ranges


def merge_range(described: list, settings: Settings) -> tuple[dict, np.ndarray]:
    """Returns what a data set has of one range of hashes.

    Returns:
        For each split the framed records, and of each its song and bar, int [windows, 2]; and the
        songs of windows that an earlier split has too, int [windows].
    """
    read = read_range(described, settings.token_dtype, settings.row_size)
    rows, places = (np.concatenate(arrays) for arrays in zip(*read.values(), strict=True))
    of_split = np.repeat(np.arange(len(SPLITS)), [len(rows) for rows, _ in read.values()])
    kept, elsewhere = shards.first_of_splits(rows, of_split)
    serializer = records.WindowSerializer(settings.tracks, settings.num_steps)
    shape = settings.num_steps, len(settings.tracks)
    windows = {}
    for number, split in enumerate(SPLITS):
        chosen = kept[of_split[kept] == number]
        framed = map(records.frame, serializer(rows[chosen].reshape(-1, *shape)))
        windows[split] = list(framed), places[chosen]
    return windows, places[elsewhere, 0]


@contextlib.contextmanager
def explaining_how_to_go_on(directory: str, advice: str = "") -> Iterator[None]:
    """Adds to what a build ends with how it goes on.

    Args:
        directory: of the journal.
        advice: how to give the command again where processes died.
    """
    try:
        yield
    except workers.WorkerError as error:
        raise workers.WorkerError(
            f"{error}. What is done is kept in {directory}; give the same command again to go on"
            f"{', ' * bool(advice)}{advice}."
        ) from error
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        raise OSError(
            f"The disk is full: {error.strerror} in {directory}. What is done is kept there; make "
            "room and give the same command again to go on, or remove the folder."
        ) from error
