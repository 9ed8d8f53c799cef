"""Samples beside held-out music: each kind is measured, drawn by the seed, and shown."""

import json

import numpy as np
import pytest

from magenta_vae.inference import sample_words, samples
from magenta_vae.music import oddities, statistics, tokens

TRACKS = (tokens.Melody(), tokens.Drums())
SCALE = np.array([60, 62, 64, 65, 67, 69, 71, 72])


class Scripted:
    """A model whose reconstructions are exact and whose samples are one note, to check figures."""

    tracks = TRACKS
    z_size = 64

    def encode_tokens(self, windows):
        return windows.reshape(len(windows), -1)

    def sample_z(self, num_samples, seed, prior="standard"):
        window = np.tile([tokens.Melody.rest, 0], (32, 1))
        window[0, 0] = 60
        return np.tile(window.reshape(-1), (num_samples, 1))

    def decode_tokens(self, z, temperature, seed):
        return z.reshape(-1, 32, 2)


class Baseline(Scripted):
    z_size = 0


@pytest.fixture
def held_out():
    """Returns windows of one quarter note a beat in the melody, and no drums."""
    windows = np.tile([tokens.Melody.rest, 0], (40, 32, 1))
    windows[:, ::4, 0] = SCALE[np.arange(40)[:, None] % 4 + np.arange(8) % 4]
    return windows


def test_what_is_reconstructed_exactly_lies_at_distance_zero(held_out):
    rows = samples.compare(Scripted(), held_out, num_samples=25)["tracks"]["melody"]
    assert list(rows) == list(statistics.STATISTICS)
    for name, row in rows.items():
        assert row["distance"]["reconstructions"] == 0, name
        assert row["mean"]["reconstructions"] == row["mean"]["held_out"], name


def test_samples_lie_as_far_as_they_differ(held_out):
    comparison = samples.compare(Scripted(), held_out, num_samples=25)
    rows = comparison["tracks"]["melody"]
    assert comparison["num_windows"] == 25
    assert rows["note_density"] == {
        "unit": "notes a bar",
        "mean": {"held_out": 4.0, "reconstructions": 4.0, "samples": 0.5},
        "distance": {"reconstructions": 0.0, "samples": 3.5, "chance": 0.0},
    }
    assert rows["empty_bar_share"]["mean"]["samples"] == 0.5
    assert rows["pitch_range"]["distance"]["samples"] == rows["pitch_range"]["mean"]["held_out"]


def test_a_baseline_reconstructs_nothing(held_out):
    comparison = samples.compare(Baseline(), held_out)
    assert list(comparison["tracks"]["melody"]["note_density"]["mean"]) == ["held_out", "samples"]
    assert "recon" not in samples.format_table(comparison)
    assert comparison["num_windows"] == 40  # there are no more
    assert comparison["num_samples"] == samples.NUM_SAMPLES


def test_what_no_window_has_is_none_and_a_dash(held_out):
    silent = np.full_like(held_out, [tokens.Melody.rest, 0])
    comparison = samples.compare(Scripted(), silent)
    row = comparison["tracks"]["melody"]["pitch_range"]
    assert row["mean"]["held_out"] is None
    assert row["distance"] == {"reconstructions": None, "samples": None, "chance": None}
    json.dumps(comparison, allow_nan=False)
    (line,) = [line for line in samples.format_table(comparison).splitlines() if "range" in line]
    # held out, reconstructions, samples; distances of reconstructions, of samples, by chance
    assert line.split()[-6:] == ["-", "-", "0.000", "-", "-", "-"]


def test_the_table_has_a_line_for_each_statistic_of_each_track(held_out):
    lines = samples.format_table(samples.compare(Scripted(), held_out, 25)).splitlines()
    assert lines[0].startswith("25 held-out windows, their reconstructions and 25 samples")
    assert [line.split()[0] for line in lines[3:]] == ["melody"] * 6 + ["drums"] * 4
    (line,) = [line for line in lines if "melody" in line and "density" in line]
    assert line.split()[-6:] == ["4.000", "4.000", "0.500", "0.000", "3.500", "0.000"]


def test_windows_are_drawn_by_the_seed():
    windows = np.arange(100)
    first = samples.draw_windows(windows, 10, seed=1)
    assert len(set(first)) == 10
    np.testing.assert_array_equal(first, samples.draw_windows(windows, 10, seed=1))
    assert set(first) != set(samples.draw_windows(windows, 10, seed=2))
    np.testing.assert_array_equal(samples.draw_windows(windows, 1000), windows)
    with pytest.raises(ValueError, match="at least 1. Received: 0"):
        samples.draw_windows(windows, 0)


@pytest.fixture
def compared(held_out):
    """Returns the comparison with training windows of other songs, one of which is held out."""
    training = np.concatenate([held_out[:1], np.roll(held_out, 1, axis=1)])
    training[..., 0] = np.where(training[..., 0] < 128, training[..., 0] + 5, training[..., 0])
    return samples.compare(Scripted(), held_out, training=training)


def test_training_windows_are_compared_and_copies_are_found_in_any_key(compared, held_out):
    rows = compared["tracks"]["melody"]
    assert rows["note_density"]["mean"]["training"] == 4
    assert rows["note_density"]["distance"]["training"] == 0
    assert compared["unique"] == {
        **{"held_out": 4, "training": 5, "reconstructions": 4},
        "samples": 1,
    }
    # Ten windows of one kind, a fourth higher than that which was trained on.
    assert compared["copies"] == {"held_out": 10, "samples": 0}
    copied = samples.compare(
        Scripted(), held_out, training=Scripted().sample_z(3, 0).reshape(3, 32, 2)
    )
    assert copied["copies"] == {"held_out": 0, "samples": 256}
    assert "training" in samples.format_table(compared)


def test_oddities_are_shares_of_windows_and_of_beats(held_out):
    windows = held_out.copy()
    windows[:10, 4, 0], windows[:4, 4, 0] = 90, 20
    windows[:, :4, 1], windows[:20, 8, 1] = 0b1, 0b101
    found = oddities.measure(windows, TRACKS)
    assert found["melody"] == {oddities.WIDE: 0.25, oddities.OFF_PIANO: 0.1}
    drums = found["drums"]
    assert drums[oddities.SILENT_BEATS] == 1 - (40 + 20) / (40 * 8)
    assert drums["steps with a kick"] == (4 * 40 + 20) / (40 * 32)
    assert drums["steps with a closed hi-hat"] == 20 / (40 * 32)
    table = samples.format_oddities(samples.compare(Scripted(), windows, 40))
    assert len(table.splitlines()) == 1 + 2 + 10 + 1


def test_words_say_what_the_numbers_say(compared):
    melody, drums, all_of_them = sample_words.describe(compared)
    assert melody.startswith("melody: its samples span 0.0 semitones on average, the songs ")
    assert "have 0.5 notes a bar, the songs 4.0" in melody
    assert melody.endswith(
        "They lie farther from held-out songs than chance or other songs in pitch class entropy, "
        "pitch range, note density, repeated bars, empty bars and groove consistency."
    )
    assert "100.0% of their beats are silent, of the songs 100.0%" in drums
    assert drums.endswith("as others do in all 4 statistics.")
    assert all_of_them == (
        "Of 256 samples 1 differ, 0 of them copies of training windows (of 40 held-out windows 10)."
    )
    assert not sample_words.near(compared, "melody")["note_density"]
    assert sample_words.near(compared, "drums")["note_density"]
