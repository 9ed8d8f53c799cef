"""The data set of `hierdec_trio_16bar.gin`: every combination of tracks, and the rests rule."""

import numpy as np
import pytest
from corpora import SONGS
from musical import midi, play, track

from magenta_vae import configuration
from magenta_vae.data import builder, input_pipeline
from magenta_vae.music import songs, windows

BARS = 17  # Two windows of 16 bars.
LEADS = {0: "C5 D5 " * 8 * BARS, 31: "E5*16 " * BARS}
BASSES = {32: "C2*16 " * BARS, 39: "G2 .*15 " * BARS}
KITS = ["K . S . " * 4 * BARS, "K*16 " * BARS]


@pytest.fixture
def settings():
    return configuration.parse(["hierdec_trio_16bar.gin"]).experiment.settings


def band(leads=LEADS, basses=BASSES, kits=KITS, others=()):
    lines = [*leads.items(), *basses.items(), *others]
    melodic = [
        track(play(text, channel=channel, program=program))
        for channel, (program, text) in enumerate(lines)
    ]
    return midi(*melodic, *(track(play(text)) for text in kits))


def build(data, tmp_path, settings):
    path = tmp_path / "band.mid"
    path.write_bytes(data)
    counts = builder.build([str(path)], str(tmp_path / "data"), settings)["counts"]
    found = [
        input_pipeline.load_tokens(str(tmp_path / "data"), split, settings)
        for split in ("train", "eval")
        if counts[f"windows_kept_{split}"]
    ]
    return counts, np.concatenate(found)


def test_every_lead_with_every_bass_and_every_kit(tmp_path, settings, in_process):
    counts, found = build(band(others=[(40, "C4*16 " * BARS)]), tmp_path, settings)
    assert counts["windows_cut"] == 2 * 2 * 2 * 2  # windows, leads, basses, kits
    assert counts["windows_dropped_rests"] == 0
    assert counts["windows_duplicate"] == 8  # All bars are alike.
    assert found.shape == (8, 256, 3)
    # The first two steps of a window tell who plays.
    players = sorted(tuple(window[:2].reshape(-1)) for window in found)
    expected = [
        (lead[0], bass[0], kit[0], lead[1], bass[1], kit[1])
        for lead in [(72, 74), (76, 76)]
        for bass in [(36, 36), (43, 129)]
        for kit in [(1, 0), (1, 1)]
    ]
    assert players == sorted(expected)


@pytest.mark.parametrize("silent", range(3))
@pytest.mark.parametrize(("rests", "kept"), [(16, True), (17, False)])
def test_the_rests_rule_in_each_track(tmp_path, settings, in_process, silent, rests, kept):
    lines = ["C5*272", "C2*272", "K*272"]
    sound = lines[silent].partition("*")[0]
    # The rests lie in the second window only.
    lines[silent] = f"{sound}*{272 - rests - 1} .*{rests} {sound}"
    lead, bass, kit = lines
    counts, found = build(band({5: lead}, {33: bass}, [kit]), tmp_path, settings)
    assert counts["windows_cut"] == 2
    assert counts["windows_dropped_rests"] == (0 if kept else 1)
    assert len(found) == (2 if kept else 1)


def test_the_bundled_songs_hold_trios_and_long_melodies(settings):
    trios = [
        each
        for path in SONGS[:8]
        for each in windows.song_windows(songs.read_song(path), settings.window_format)
    ]
    assert len(trios) == 8  # Each has one lead, one bass, one kit, and perhaps a pad above.
    assert all(len(each.tokens) for each in trios)
    melody = configuration.parse(["hierdec_mel_32bar.gin"]).experiment.settings
    found = windows.song_windows(songs.read_song(SONGS[0]), melody.window_format)
    assert sum(len(each.tokens) for each in found) > 0
