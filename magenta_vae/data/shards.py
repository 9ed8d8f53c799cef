"""The files of a data set while it is built: spilled tokens, then shards of records."""

import os

import numpy as np

NUM_PARTITIONS = 64  # 28 million windows (paper, Dataset) are 440,000 a partition.
WINDOWS_PER_SHARD = 2**17
SPLITS = ("train", "eval")


def hash_rows(rows: np.ndarray) -> np.ndarray:
    """Returns a 64-bit hash of each row of tokens: uint64 [rows]."""
    multipliers = np.random.default_rng(0).integers(2**63, size=rows.shape[1], dtype=np.uint64) | 1
    hashes = np.zeros(len(rows), np.uint64)
    for column, multiplier in zip(rows.T, multipliers.astype(np.uint64), strict=True):
        hashes += (column.astype(np.uint64) + np.uint64(1)) * multiplier
    hashes ^= hashes >> np.uint64(31)
    hashes *= np.uint64(0x9E3779B97F4A7C15)
    return hashes ^ hashes >> np.uint64(29)


class SpillFiles:
    """One open file for each split and partition."""

    def __init__(self, directory: str):
        self._files = {
            (split, partition): open(_spill_path(directory, split, partition), "wb")  # noqa: SIM115
            for split in SPLITS
            for partition in range(NUM_PARTITIONS)
        }

    def append(self, split: str, rows: np.ndarray) -> None:
        """Adds int [windows, steps * tracks] tokens, each row to the partition of its hash."""
        partitions = (hash_rows(rows) % np.uint64(NUM_PARTITIONS)).astype(int)
        for partition in np.unique(partitions):
            self._files[split, partition].write(rows[partitions == partition].tobytes())

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        for file in self._files.values():
            file.close()


def read_spill(directory: str, split: str, partition: int, dtype: np.dtype) -> np.ndarray:
    """Returns the flat tokens of one spill file, and removes it."""
    path = _spill_path(directory, split, partition)
    values = np.fromfile(path, dtype)
    os.unlink(path)
    return values


class ShardWriter:
    """Writes a split's records into shards of bounded size, named when their number is known."""

    def __init__(self, directory: str, split: str):
        self._directory = directory
        self._split = split
        self._counts: list[int] = []
        self._writer = None

    def write(self, records: list[bytes]) -> None:
        """Appends serialized windows."""
        import tensorflow as tf  # Late: worker processes import this module and need none of it.

        for record in records:
            if self._writer is None:
                self._writer = tf.io.TFRecordWriter(self._path(len(self._counts)))
                self._counts.append(0)
            self._writer.write(record)
            self._counts[-1] += 1
            if self._counts[-1] == WINDOWS_PER_SHARD:
                self._finish()

    def close(self) -> dict[str, int]:
        """Returns the number of windows in each shard, by file name."""
        self._finish()
        total = len(self._counts)
        names = [f"{self._split}-{index:05d}-of-{total:05d}.tfrecord" for index in range(total)]
        for index, name in enumerate(names):
            os.replace(self._path(index), os.path.join(self._directory, name))
        return dict(zip(names, self._counts, strict=True))

    def _finish(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _path(self, index: int) -> str:
        return os.path.join(self._directory, f"{self._split}-{index:05d}.partial")


def _spill_path(directory: str, split: str, partition: int) -> str:
    return os.path.join(directory, f"{split}-{partition:03d}.spill")
