"""Pieces of windows: where they are cut, what they begin with, and when they grow."""

import numpy as np
import pytest
import tensorflow as tf
from musical import DRUMS, MELODY, TRIO

from magenta_vae.data.curriculum import GrowingWindows, Piece
from magenta_vae.data.input_pipeline import Transposition, training_batches

HOLD, REST = 128, 129
NUM_ROWS = 4000


def pieces_of(tokens, tracks, num_bars, num_rows=NUM_ROWS, seed=(0, 0), first_row=0):
    piece = Piece(tracks, num_bars)
    tokens, seed = tf.constant(tokens, tf.int32), tf.constant(seed)
    return piece.of_rows(tokens, seed, num_rows, first_row).numpy()


def test_pieces_begin_at_every_bar_that_leaves_room():
    window = np.arange(4 * 16)[:, np.newaxis]
    found = pieces_of(np.tile(window, (NUM_ROWS, 1, 1)), MELODY, 2)
    assert found.shape == (NUM_ROWS, 32, 1)
    starts, counts = np.unique(found[:, 0, 0], return_counts=True)
    assert starts.tolist() == [0, 16, 32]
    assert abs(counts - NUM_ROWS / 3).max() < 5 * 30  # The deviation is sqrt(4000 / 3 * 2 / 3).
    np.testing.assert_array_equal(found[:, :, 0], found[:, :1, 0] + np.arange(32))


def test_what_sounds_into_a_piece_is_a_rest():
    window = np.array([60] + [HOLD] * 17 + [REST, HOLD, 62] + [HOLD] * 11)[:, np.newaxis]
    found = pieces_of(np.tile(window, (NUM_ROWS, 1, 1)), MELODY, 1)[:, :, 0]
    first, second = (found[found[:, 0] == token][0].tolist() for token in (60, REST))
    assert first == [60] + [HOLD] * 15
    assert second == [REST] * 4 + [62] + [HOLD] * 11
    assert {tuple(row) for row in found} == {tuple(first), tuple(second)}


def test_hits_are_left_as_they_are():
    window = np.array([0, 3, 0, 0] * 8)[:, np.newaxis]
    found = pieces_of(np.tile(window, (8, 1, 1)), DRUMS, 1, num_rows=8)
    np.testing.assert_array_equal(found, np.tile(window[:16], (8, 1, 1)))


def test_the_tracks_of_a_piece_are_of_one_place():
    window = np.stack([np.arange(64), np.arange(64), np.arange(1, 65)], axis=-1)
    found = pieces_of(np.tile(window, (50, 1, 1)), TRIO, 2, num_rows=50)
    np.testing.assert_array_equal(found[..., 0], found[..., 1])
    np.testing.assert_array_equal(found[..., 0] + 1, found[..., 2])


def test_batches_of_pieces_are_the_same_for_any_replicas_and_after_a_stop():
    tokens = np.random.default_rng(0).integers(48, 84, (40, 64, 1)).astype(np.uint8)
    common = {"augment": Transposition(MELODY), "piece": Piece(MELODY, 2)}
    (whole,) = training_batches(tokens, 8, 3, [(0, 12)], **common)
    assert whole.shape == (12, 8, 32, 1)
    halves = training_batches(tokens, 8, 3, [(5, 7)], [slice(0, 4), slice(4, 8)], **common)
    np.testing.assert_array_equal(np.concatenate(list(halves), axis=1), whole[5:])
    # Each visit of a window is cut anew.
    (epochs,) = training_batches(tokens[:8], 8, 3, [(0, 20)], piece=Piece(MELODY, 2))
    assert len({tuple(row) for row in epochs.numpy().reshape(160, 32)}) == 8 * 3


def test_stages_end_at_their_steps():
    growing = GrowingWindows(MELODY, (2, 8), (3000, 6000))
    found = [growing.piece_at(step) for step in (0, 2999, 3000, 5999, 6000)]
    assert [piece and piece.num_steps for piece in found] == [32, 32, 128, 128, None]
    assert growing.stages(16) == [32, 128]
    assert growing.describe(9000) == "2 bars to step 3,000, 8 bars to step 6,000, then whole"
    early = growing.describe(6000)
    assert early.endswith("6,000; the run ends at step 6,000 and sees no window whole")


@pytest.mark.parametrize(
    "first, last, expected",
    [
        (0, 10_000, 3000 / 16 + 3000 / 4 + 4000),
        (0, 3000, 187.5),
        (5000, 6100, 350),
        (7000, 7005, 5),
    ],
)
def test_steps_on_pieces_count_by_their_bars(first, last, expected):
    growing = GrowingWindows(MELODY, (2, 8), (3000, 6000))
    assert growing.count_whole(32, first, last) == expected


@pytest.mark.parametrize(
    "num_bars, until, message",
    [
        ((8, 2), (1, 2), "num_bars must be a tuple of.*that grow.*Received: num_bars=\\(8, 2\\)"),
        (2, (1,), "num_bars must be a tuple.*as in \\(2,\\). Received: num_bars=2"),
        ((2,), None, "until must be a tuple.*as in \\(3000,\\). Received: until=None"),
        ((True, 8), (1, 2), "num_bars must be a tuple"),
        ((0,), (1,), "num_bars must be"),
        ((2, 8), (5, 5), "until must be a tuple of whole numbers.*Received: until=\\(5, 5\\)"),
        ((2.5,), (1,), "num_bars must be"),
        ((2, 8), (5,), "one number a stage. Received: num_bars=\\(2, 8\\), until=\\(5,\\)"),
        ((), (), "one number a stage"),
    ],
)
def test_stages_that_cannot_be_are_refused(num_bars, until, message):
    with pytest.raises(ValueError, match=message):
        GrowingWindows(MELODY, num_bars, until)


def test_pieces_that_are_no_shorter_than_windows_are_refused():
    with pytest.raises(ValueError, match="have 8 bars. Received: GrowingWindows.num_bars=\\(2, 8"):
        GrowingWindows(MELODY, (2, 8), (3, 6)).stages(8)
