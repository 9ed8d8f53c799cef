"""A shard of records -> tokens, a batch at a time."""

import os
import re
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from magenta_vae.data import records
from magenta_vae.data.settings import Settings
from magenta_vae.data.tokenization import tokenize_records
from magenta_vae.music.songs import SongError

RECORDS_PER_READ, BYTES_PER_READ = 1024, 2**20
# Of so many reads the records are in memory at a time.
PARALLEL_CALLS = min(os.cpu_count() or 1, 8)


class DamagedShard(ValueError):
    """A shard holds a record that is not what was written."""


def read_shard(
    path: str, settings: Settings, compression: str | None = None
) -> Iterator[np.ndarray]:
    """Yields the windows of a shard in their order: unsigned int [windows, steps, tracks].

    Args:
        path: of the shard.
        settings: what its windows are.
        compression: `records.GZIP`, None for a plain file.

    Raises:
        DamagedShard: where a record is damaged or cut off, or the file is not compressed as said.
        ValueError: where a record is something else than such a window.
        OSError: where the file cannot be read.
    """
    is_compressed = records.is_compressed(path)
    if is_compressed != (compression == records.GZIP):
        found = "is compressed" if is_compressed else "is damaged at its beginning, or is plain"
        expected = f"compressed with {compression}" if compression else "plain"
        raise DamagedShard(f"{path} {found}: expected records that are {expected}.")
    dataset = tf.data.TFRecordDataset(path, compression or "", BYTES_PER_READ)
    try:
        yield from _tokenize(dataset, path, settings)
    except tf.errors.DataLossError as error:
        refuse_damage(path, _plain(error))


def untuned() -> tf.data.Options:
    """Returns the options of a dataset that TensorFlow does not tune.

    What tunes is a thread that sleeps for up to a minute, for which the dataset's end may wait.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return options


def refuse_damage(path: str, says: str = "") -> None:
    """Raises `DamagedShard` with the first record of a shard that is not what was written.

    Args:
        path: of the shard.
        says: what is wrong in any case; "" where there may be no damage. TensorFlow says nothing of
            a compressed file that is cut off.
    """
    if damage := _first_damage(path) or says:
        raise DamagedShard(
            f"{path} holds a damaged record: {damage}. --skip_corrupt goes on without."
        )


def read_sound(path: str, settings: Settings) -> Iterator[np.ndarray]:
    """Yields the windows of a shard as `read_shard` does, without those that are damaged."""
    sound = records.read_sound_records(path)
    if not sound:
        return
    try:
        yield from _tokenize(tf.data.Dataset.from_tensor_slices(sound), path, settings)
    except tf.errors.DataLossError as error:  # Of what is no NoteSequence, whole as it is.
        raise _something_else(path, error) from error


def _tokenize(dataset: tf.data.Dataset, path: str, settings: Settings) -> Iterator[np.ndarray]:
    """Yields the tokens of a dataset of records; leaves a `DataLossError` as it is."""

    def tokenize(rows):
        tokens = tokenize_records(rows, settings.tracks, settings.num_steps)
        return tf.cast(tokens, settings.token_dtype)

    batches = (
        dataset.batch(RECORDS_PER_READ)
        .prefetch(2)  # Records are read, one after another, while others are decoded.
        .map(tokenize, num_parallel_calls=PARALLEL_CALLS)
        .prefetch(2)
        .with_options(untuned())
    )
    try:
        yield from batches.as_numpy_iterator()
    except tf.errors.DataLossError:
        raise
    except tf.errors.InvalidArgumentError as error:
        raise _something_else(path, error) from error
    except tf.errors.OpError as error:
        raise OSError(f"{path} could not be read: {error.message}") from error


def _something_else(path: str, error: tf.errors.OpError) -> ValueError:
    return ValueError(
        f"{path} holds a record of something else: expected windows as build_dataset writes "
        f"them, serialized NoteSequences. Received what cannot be read so: {_plain(error)}."
    )


def _first_damage(path: str) -> str:
    """Returns which record of a file is not what was written, "" where each one is."""
    try:
        for _ in records.read_records(path):
            pass
    except SongError as error:
        return error.detail
    return ""


def _plain(error: tf.errors.OpError) -> str:
    """Returns what TensorFlow says of a record, without where in its graph that was."""
    text = re.sub(r"\{\{.*?\}\}|\[\[.*?\]\]|\[Op:.*?\]", "", error.message)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(error).__name__
