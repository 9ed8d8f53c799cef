"""Rows of tokens -> unique rows -> shards of records.

Rows are ordered by a 64-bit hash of their tokens. Equal rows have equal hashes, so a corpus is made
unique a range of hashes at a time: what is held in memory is one range, whatever the corpus.
"""

import functools
import gzip
import os
from collections.abc import Iterable
from typing import BinaryIO

import numpy as np

from magenta_vae import files
from magenta_vae.data import records

NUM_BUCKETS = 1024  # Ranges of hashes. 28 million windows (paper, Dataset) are 27,000 a range.
WINDOWS_PER_SHARD = 2**17
# Of zlib's levels, on trios: 3.98 times smaller at 150 MB/s (1), 5.4 at 110 (4), 6.6 at 51 (6).
GZIP_LEVEL = 4


def hash_rows(rows: np.ndarray) -> np.ndarray:
    """Returns a 64-bit hash of each row of tokens: uint64 [rows]."""
    multipliers = _multipliers(rows.shape[1])
    hashes = np.zeros(len(rows), np.uint64)
    for start in range(0, len(rows), 4096):  # Each is widened to eight bytes a token.
        block = rows[start : start + 4096].astype(np.uint64) + np.uint64(1)
        hashes[start : start + 4096] = block @ multipliers
    hashes ^= hashes >> np.uint64(31)
    hashes *= np.uint64(0x9E3779B97F4A7C15)
    hashes ^= hashes >> np.uint64(29)
    return hashes << np.uint64(58) | hashes >> np.uint64(6)


def buckets_of(hashes: np.ndarray) -> np.ndarray:
    """Returns the range that each hash is in: int [hashes]."""
    return (hashes // np.uint64(2**64 // NUM_BUCKETS)).astype(np.int64)


def first_of_equals(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the first places of equal rows, by hash, then by content, and the hashes of all."""
    hashes = hash_rows(rows)
    order, begins = _sort(rows, hashes)
    return order[begins], hashes


def first_of_splits(rows: np.ndarray, splits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the places of the rows that a data set keeps, and of those that another split has.

    Args:
        rows: int [rows, row_size] tokens.
        splits: the number of each row's split, int [rows], ascending.

    Returns:
        The first of each set of equal rows, by hash, then by content; the first in each other
        split that holds such a row too.
    """
    order, begins = _sort(rows, hash_rows(rows))
    of_split = splits[order]
    # Equal rows stand in the order of their splits.
    is_other = ~begins & np.append(True, of_split[1:] != of_split[:-1])[: len(order)]
    return order[begins], order[is_other]


def _sort(rows: np.ndarray, hashes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the places of rows by hash, then by content, and which of them begin equal ones."""
    order = np.argsort(hashes, kind="stable")
    same_hash = hashes[order[1:]] == hashes[order[:-1]]
    is_equal = same_hash.copy()
    is_equal[same_hash] = (rows[order[1:][same_hash]] == rows[order[:-1][same_hash]]).all(axis=1)
    if (is_equal != same_hash).any():  # Different rows of one hash: content decides.
        order = np.lexsort((*rows.T[::-1], hashes))
        is_equal = (rows[order[1:]] == rows[order[:-1]]).all(axis=1)
    return order, np.append(True, ~is_equal)[: len(order)]


class ShardWriter:
    """Writes a split's records into shards of bounded size, named when their number is known.

    Args:
        directory, split: where the shards go and what they are of.
        compression: `records.GZIP`, or None for none. The same records give the same bytes.
    """

    def __init__(self, directory: str, split: str, compression: str | None = None):
        self._directory = directory
        self._split = split
        self._compression = compression
        self._counts: list[int] = []
        self._file: BinaryIO | None = None
        self._writer: BinaryIO | gzip.GzipFile | None = None  # The file, or what compresses for it.

    def write(self, framed: Iterable[bytes]) -> None:
        """Appends records, framed as they stand in a file."""
        for record in framed:
            writer = self._writer or self._begin()
            writer.write(record)
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

    def _begin(self) -> BinaryIO | gzip.GzipFile:
        self._file = self._writer = open(self._path(len(self._counts)), "wb")  # noqa: SIM115
        self._counts.append(0)
        if self._compression == records.GZIP:
            # Without a name and a time, which would make its bytes others each time.
            self._writer = gzip.GzipFile("", "wb", GZIP_LEVEL, self._file, mtime=0)
        return self._writer

    def _finish(self) -> None:
        if self._file is not None and self._writer is not None:
            if self._writer is not self._file:
                self._writer.close()  # It leaves the file open.
            files.sync(self._file)
            self._file.close()
            self._file = self._writer = None

    def _path(self, index: int) -> str:
        return os.path.join(self._directory, f"{self._split}-{index:05d}.partial")


@functools.cache
def _multipliers(num_columns: int) -> np.ndarray:
    drawn = np.random.default_rng(0).integers(2**63, size=num_columns, dtype=np.uint64)
    return drawn | np.uint64(1)
