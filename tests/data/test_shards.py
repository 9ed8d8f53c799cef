"""Rows are made unique exactly, whatever their hashes."""

import numpy as np
import pytest

from magenta_vae.data import assembly, shards


def random_rows(number, seed=0, highest=3):
    return np.random.default_rng(seed).integers(highest, size=(number, 6)).astype(np.uint8)


@pytest.fixture(params=["hashes", "few hashes", "one hash"])
def hashing(request, monkeypatch):
    if request.param != "hashes":
        divisor = np.uint64(2**64 // 3 if request.param == "few hashes" else 2**63)
        original = shards.hash_rows

        def hash_rows(rows):
            return original(rows) // divisor

        monkeypatch.setattr(shards, "hash_rows", hash_rows)


@pytest.mark.parametrize("number", [0, 1, 2, 50, 3000])
def test_rows_are_unique_and_their_order_is_their_own(hashing, number):
    rows = random_rows(number)
    first, hashes = shards.first_of_equals(rows)
    unique, hashes = rows[first], hashes[first]
    assert sorted(map(bytes, unique)) == sorted(set(map(bytes, rows)))
    assert (hashes[1:] >= hashes[:-1]).all()
    shuffled = np.random.default_rng(1).permutation(rows)
    np.testing.assert_array_equal(shuffled[shards.first_of_equals(shuffled)[0]], unique)


def test_a_window_is_in_the_first_of_its_splits(hashing):
    rows, splits = random_rows(900), np.repeat([0, 1, 2], [200, 300, 400])
    kept, elsewhere = shards.first_of_splits(rows, splits)
    first, others = {}, {}
    for place, (row, split) in enumerate(zip(map(bytes, rows), splits, strict=True)):
        if first.setdefault(row, (place, split))[1] != split:
            others.setdefault((row, split), place)
    assert sorted(kept) == sorted(place for place, _ in first.values())
    assert sorted(elsewhere) == sorted(others.values()) and len(others) > 100
    np.testing.assert_array_equal(rows[kept], rows[shards.first_of_equals(rows)[0]])


def test_hashes_spread():
    rows = np.unique(random_rows(20_000, highest=130), axis=0)
    hashes = shards.hash_rows(rows)
    assert len(np.unique(hashes)) == len(rows)
    sizes = np.bincount(shards.buckets_of(hashes), minlength=shards.NUM_BUCKETS)
    # Poisson of mean 19.5: the chance that one of 1024 exceeds 48 is 1 in 10 million.
    assert len(sizes) == shards.NUM_BUCKETS and sizes.max() < 48
    assert shards.buckets_of(np.array([0, 2**64 - 1], np.uint64)).tolist() == [0, 1023]


def test_ranges_cover_every_bucket_once():
    sizes = np.random.default_rng(0).integers(0, 5000, shards.NUM_BUCKETS)
    ranges = assembly._ranges(sizes, 32)
    assert ranges[0][0] == 0 and ranges[-1][1] == shards.NUM_BUCKETS
    assert all(before[1] == after[0] for before, after in zip(ranges, ranges[1:], strict=False))
    assert len(assembly._ranges(sizes * 0, 32)) == 1
    largest = max(sizes[first:last].sum() for first, last in ranges) * 32
    assert assembly.MERGE_BYTES / 2 < largest < assembly.MERGE_BYTES + 5000 * 32
