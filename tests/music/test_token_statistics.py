"""What windows hold, counted by hand."""

import numpy as np
from musical import DRUMS, MELODY, TRIO, song

from magenta_vae.music import histograms, plots, token_statistics
from magenta_vae.music.window_format import WindowFormat
from magenta_vae.music.windows import song_windows


def tokens_of(text, tracks=MELODY, num_bars=1):
    (found,) = song_windows(song(text), WindowFormat(tracks, num_bars))
    return found.tokens[:, :, 0]


def test_a_melody():
    found = token_statistics.describe_track(
        tokens_of("C4 -*3 E4*2 .*9 C4 E4 -*11 D5 -*3"), MELODY[0]
    )
    counts = np.array(found["tokens_per_class"])
    assert counts.sum() == 32 and len(counts) == 130 and found["classes_used"] == 5
    assert counts[[60, 64, 74, 128, 129]].tolist() == [2, 3, 1, 17, 9]
    assert (found["lowest_pitch"], found["highest_pitch"]) == (60, 74)
    assert found["rest_share"] == 9 / 32 and found["hold_share"] == 17 / 32
    assert found["onsets_per_window"] == 3.0  # Six onsets in two windows.
    assert found["onsets_per_step"] == [2, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 1]


def test_drums():
    found = token_statistics.describe_track(
        tokens_of("K+H . H . S+H . H . K .*6 C", DRUMS), DRUMS[0]
    )
    assert found["hits_per_kind"] == [2, 1, 4, 0, 0, 0, 0, 1, 0]
    assert found["rest_share"] == 10 / 16 and found["hold_share"] == 0
    assert found["onsets_per_window"] == 6.0 and found["classes_used"] == 6
    frequent = token_statistics.most_frequent(found, DRUMS[0], 2)
    assert frequent == "drums: rest 62.5%, closed hi-hat 12.5%"
    hits = token_statistics.format_hits(found, DRUMS[0]).splitlines()
    assert len(hits) == 10 and hits[1].endswith("pitches 36, 35")
    assert [int(line.split()[-3 - line.count(",")]) for line in hits[1:]] == found["hits_per_kind"]
    assert [line[2:16].strip() for line in hits[1:4]] == ["kick", "snare", "closed hi-hat"]


def test_a_silent_track_has_no_pitches():
    found = token_statistics.describe_track(np.full((2, 16), 129), MELODY[0])
    assert found["lowest_pitch"] is None and found["rest_share"] == 1
    assert "None-None" not in token_statistics.format_tracks({"melody": found}, MELODY)
    histograms.draw_histograms({"melody": found}, MELODY, "silence")


def test_a_table_and_a_picture_of_every_track(tmp_path):
    rng = np.random.default_rng(0)
    described = {
        track.name: token_statistics.describe_track(
            rng.integers(track.num_classes, size=(9, 32)), track
        )
        for track in TRIO
    }
    table = token_statistics.format_tracks(described, TRIO).splitlines()
    assert [line.split()[0] for line in table] == ["track", "lead", "bass", "drums"]
    figure = histograms.draw_histograms(described, TRIO, "nine windows")
    assert len(figure.axes) == 6
    assert [axes.get_title(loc="left") for axes in figure.axes][:2] == [
        "lead: notes of each pitch", "lead: onsets on each step",
    ]  # fmt: skip
    heights = [bar.get_height() for bar in figure.axes[1].patches]
    assert heights == described["lead"]["onsets_per_step"]
    plots.write_picture(figure, tmp_path / "trio.png", dots_per_inch=20)
    assert (tmp_path / "trio.png").stat().st_size > 1000
