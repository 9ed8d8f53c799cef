"""Data sets of Magenta's vocabularies: the same tokens from TensorFlow, and transposed in range."""

import numpy as np
import pytest
import tensorflow as tf

from magenta_vae.data.input_pipeline import Transposition
from magenta_vae.data.records import WindowSerializer
from magenta_vae.data.tokenization import tokenize_records
from magenta_vae.magenta.vocabulary import NoteOffMelody
from magenta_vae.music import tokens
from magenta_vae.music.tokens import Drums, Melody

TRIO = (NoteOffMelody("lead", 0, 31), NoteOffMelody("bass", 32, 39), Drums())
SEED = tf.constant([3, 4], tf.int64)


def random_notes(rng, num_steps=32):
    """Returns a trio's tokens: every melody begins, changes, pauses and ends somewhere."""
    melodies = [rng.choice(90, num_steps, p=[0.5, 0.2, *[0.3 / 88] * 88]) for _ in range(2)]
    return np.stack([*melodies, rng.integers(512, size=num_steps)], axis=-1)


def test_tensorflow_tokenizes_as_numpy_does():
    rng = np.random.default_rng(0)
    windows = [tokens.detokenize(random_notes(rng), TRIO) for _ in range(50)]
    records = tf.constant([window.SerializeToString() for window in windows])
    expected = [tokens.tokenize(window, TRIO, 32) for window in windows]
    assert any((window[:, :2] == 1).any() for window in expected)  # note-offs among them
    np.testing.assert_array_equal(tokenize_records(records, TRIO, 32), expected)


def test_windows_are_serialized_each_for_itself():
    """Also where one begins in silence after one that ends in a note: both with the same token."""
    windows = np.stack([random_notes(np.random.default_rng(seed)) for seed in range(50)])
    assert ((windows[1:, 0, :2] == 0) & (windows[:-1, -1, :2] != 1)).any()
    expected = [tokens.detokenize(window, TRIO) for window in windows]
    found = WindowSerializer(TRIO, 32)(windows)
    assert found == [sequence.SerializeToString(deterministic=True) for sequence in expected]


@pytest.mark.parametrize("shift", [-5, 5])
def test_pitches_are_shifted_and_nothing_else(shift):
    augment = Transposition(TRIO, min(shift, 0), max(shift, 0))
    window = np.tile([[0, 2 + 39, 257], [1, 2 + 30, 3], [2 + 40, 0, 0]], (64, 1, 1))
    shifted = augment(tf.constant(window, tf.int32), SEED).numpy()
    difference = shifted - window
    np.testing.assert_array_equal(difference[:, :2, 0], 0)  # no event and note-off
    np.testing.assert_array_equal(difference[:, 2, 1], 0)
    np.testing.assert_array_equal(difference[..., 2], 0)  # drums
    np.testing.assert_array_equal(difference[:, 2, 0], difference[:, 0, 1])
    assert set(difference[:, 2, 0]) == set(range(min(shift, 0), max(shift, 0) + 1))


@pytest.mark.parametrize(("edge", "low", "high"), [(2, 0, 5), (89, -5, 0), (3, -1, 5), (88, -5, 1)])
def test_a_shift_stays_within_the_pianos_pitches(edge, low, high):
    augment = Transposition(TRIO[:1], -5, 5)
    window = np.full([200, 4, 1], edge, np.int32)
    window[:, 1:3] = [[0], [1]]
    shifts = augment(tf.constant(window), SEED).numpy()[:, 0, 0] - edge
    assert set(shifts) == set(range(low, high + 1))


def test_each_track_keeps_to_its_own_range():
    augment = Transposition([Melody(), NoteOffMelody()], -5, 5)
    window = np.tile([[60, 89]], (100, 2, 1))  # The second is at the top of a piano.
    shifted = augment(tf.constant(window, tf.int32), SEED).numpy()
    assert set(shifted[:, 0, 0] - 60) == set(range(-5, 1))
