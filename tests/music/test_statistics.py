"""Statistics of symbolic music: by hand, by their properties, and against muspy."""

import numpy as np
import pytest
from musical import DRUMS, MELODY, TRIO, part, sequence

from magenta_vae.music import statistics, synthetic, tokens, windows
from magenta_vae.music.note_sequences import note_sequence_to_song
from magenta_vae.music.window_format import WindowFormat

HOLD, REST = 128, 129
CHROMATIC = "C4 C#4 D4 D#4 E4 F4 F#4 G4 G#4 A4 A#4 B4"


def window(text, tracks=MELODY):
    """Returns one window of one track: [1, steps], as long as its bars."""
    steps = -(-sum(int((word.split("*") + ["1"])[1]) for word in text.split()) // 16) * 16
    return tokens.tokenize(sequence(part(text)), tracks, steps).T


def measure(name, text, tracks=MELODY):
    return statistics.STATISTICS[name].measure(window(text, tracks), tracks[0]).tolist()


def song_tokens(track, num_bars=4):
    """Returns windows of composed songs as one track: [windows, steps]."""
    found = []
    for seed in range(4):
        song = note_sequence_to_song(synthetic.synthesize_song(seed, num_bars=16))
        found += [
            each.tokens[..., 0]
            for each in windows.song_windows(song, WindowFormat([track], num_bars))
        ]
    return np.concatenate(found)


@pytest.mark.parametrize(
    ("text", "bits"),
    [
        ("C4 . C5 - C6 .*11", 0.0),  # one class in three octaves
        ("C4 D4 E4 F4 .*12", 2.0),  # four as frequent: log2 4
        (CHROMATIC + " .*4", np.log2(12)),
        # 1/2, 1/4, 1/4: 1/2 * 1 + 2 * 1/4 * 2 = 1.5; how long a note is does not matter
        ("C4 -*8 D4 C4 E4 .*4", 1.5),
    ],
)
def test_pitch_class_entropy(text, bits):
    assert measure("pitch_class_entropy", text) == pytest.approx([bits], abs=1e-12)


def test_pitch_range():
    assert measure("pitch_range", "C4 E4 G3 -*12 .") == [9]  # G3 to E4
    assert measure("pitch_range", "C4 .*15") == [0]
    assert measure("pitch_range", "C-1 G9 .*14") == [127]


def test_note_density():
    assert measure("note_density", "C4 -*3 D4 .*11 E4 .*15") == [1.5]  # three notes in two bars
    assert measure("note_density", "K+S+H .*7 K .*7", DRUMS) == [4.0]  # every hit of a step counts
    assert measure("note_density", ".*16") == [0.0]


def test_repeated_bar_share():
    bar = "C4 -*7 E4 .*7 "
    assert measure("repeated_bar_share", bar * 2) == [1.0]
    # of the second, third and fourth bar only the fourth is heard before: as the second
    assert measure("repeated_bar_share", bar + "D4 .*15 E4 .*15 D4 .*15") == [1 / 3]
    assert measure("repeated_bar_share", "K .*15 S .*15 K .*15", DRUMS) == [0.5]
    assert measure("repeated_bar_share", ".*48") == [0.0]  # silence repeats nothing
    # Both second bars only hold, but other notes.
    assert measure("repeated_bar_share", "C4 -*31 D4 -*31") == [0.0]
    assert measure("repeated_bar_share", "C4 -*31 C4 -*31") == [2 / 3]


def test_empty_bar_share():
    assert measure("empty_bar_share", "C4 .*15 .*16 .*15 C4 .*16") == [0.5]
    assert measure("empty_bar_share", "C4 -*16 .*15 .*16") == [1 / 3]  # it sounds into the second
    assert measure("empty_bar_share", "K .*31", DRUMS) == [0.5]


def test_groove_consistency():
    assert measure("groove_consistency", "C4 .*15 D4 -*15") == [1.0]  # rhythm, not pitch
    # one step of sixteen differs in the first pair of bars, two in the second: 1 - 3 / 32
    text = "C4 .*15 C4 .*7 C4 .*7 .*8 C4 .*3 C4 .*3"
    assert measure("groove_consistency", text) == [1 - (1 + 2) / 32]
    assert measure("groove_consistency", "K .*15 S .*15", DRUMS) == [1.0]


@pytest.mark.parametrize("name", ["repeated_bar_share", "groove_consistency"])
def test_one_bar_has_no_neighbour(name):
    assert np.isnan(measure(name, "C4 .*15"))


@pytest.mark.parametrize("name", ["pitch_class_entropy", "pitch_range"])
def test_no_notes_have_no_pitch(name):
    assert np.isnan(measure(name, ".*16"))


def test_a_hold_with_nothing_to_hold_is_a_rest():
    sampled = np.full((1, 32), REST)
    sampled[0, [0, 1, 17, 18]] = HOLD
    silent = np.full((1, 32), REST)
    for statistic in statistics.STATISTICS.values():
        np.testing.assert_array_equal(
            statistic.measure(sampled, MELODY[0]), statistic.measure(silent, MELODY[0])
        )


@pytest.mark.parametrize("dtype", [np.uint8, np.int32])
def test_windows_are_measured_alone_and_as_any_integer(dtype):
    music = song_tokens(MELODY[0]).astype(dtype)
    together = statistics.measure(music[..., None], MELODY)["melody"]
    assert len(music) > 10
    for row in (0, 7):
        alone = statistics.measure(music[row : row + 1, :, None], MELODY)["melody"]
        assert {name: values[0] for name, values in alone.items()} == pytest.approx(
            {name: values[row] for name, values in together.items()}, nan_ok=True
        )


def test_drums_have_no_pitch():
    music = np.tile([[[60, 40, 5]], [[REST, REST, 0]]], (1, 32, 1))
    measured = statistics.measure(music, TRIO)
    assert list(measured["lead"]) == list(measured["bass"]) == list(statistics.STATISTICS)
    assert list(measured["drums"]) == [
        "note_density", "repeated_bar_share", "empty_bar_share", "groove_consistency",
    ]  # fmt: skip
    assert measured["drums"]["note_density"].tolist() == [32.0, 0.0]  # 5 is two hits


def test_half_a_bar_is_refused():
    with pytest.raises(ValueError, match=r"whole bars of 16 steps. Received: 24 steps"):
        statistics.note_density(np.zeros((1, 24), int), DRUMS[0])


def test_the_wasserstein_distance_of_known_distributions():
    distance = statistics.wasserstein_distance
    values = np.array([3.0, 1.0, 2.0])
    assert distance(values, values[::-1]) == 0.0
    assert distance(values, values + 5) == pytest.approx(5.0)  # all must go as far
    # Of 0, 0, 0, 1 and of 0, 1: a quarter of the mass goes from 0 to 1.
    assert distance(np.array([0.0, 0, 0, 1]), np.array([0.0, 1])) == pytest.approx(0.25)
    assert distance(np.array([0.0, np.nan]), np.array([2.0])) == 2.0
    assert np.isnan(distance(np.array([np.nan]), values))


def test_the_wasserstein_distance_is_scipys():
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(0)
    for size in (1, 10, 37):
        first, second = rng.normal(size=20), rng.integers(4, size=size).astype(float)
        expected = stats.wasserstein_distance(first, second)
        assert statistics.wasserstein_distance(first, second) == pytest.approx(expected)


def test_chance_is_what_other_draws_stay_below():
    is_below = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        values = rng.normal(size=200)
        chance = statistics.chance_distance(values)
        pairs = rng.normal(size=(50, 2, 200))
        is_below += [statistics.wasserstein_distance(*pair) < chance for pair in pairs]
    assert 0.9 < np.mean(is_below) < 0.99  # 0.95, give or take
    assert statistics.wasserstein_distance(values, values + 0.5) > chance
    assert statistics.chance_distance(np.full(9, 3.0)) == 0.0
    assert np.isnan(statistics.chance_distance(np.array([np.nan])))


def muspy_music(row, track):
    """Returns one window as muspy's Music.

    A note ends one step early: muspy counts the bar in which a note ends as sounding, also where it
    ends on the bar line.
    """
    muspy = pytest.importorskip("muspy")
    notes = [
        muspy.Note(time=int(start), pitch=int(pitch), duration=int(end - start - 1))
        for start, end, pitch in zip(*track.detokenize(row), strict=True)
    ]
    return muspy.Music(resolution=4, tracks=[muspy.Track(is_drum=track.is_drum, notes=notes)])


@pytest.mark.parametrize("track", [MELODY[0], DRUMS[0]], ids=["melody", "drums"])
def test_the_values_are_muspys(track):
    muspy = pytest.importorskip("muspy")
    music = song_tokens(track)
    rng = np.random.default_rng(0)
    music = np.where(rng.random(music.shape) < 0.3, track.rest, music)  # some of it is missing
    music[:, 16:32] = np.where(rng.random((len(music), 1)) < 0.5, track.rest, music[:, 16:32])
    # muspy's song ends with its last note: compared are those that end in the last bar.
    music = music[np.any(statistics.heard(music, track)[:, -16:] != statistics.SILENT, axis=-1)]
    assert len(music) > 10
    measured = statistics.measure(music[..., None], [track])[track.name]
    scores = [muspy_music(row, track) for row in music]
    expected = {
        "empty_bar_share": [muspy.empty_measure_rate(score, 16) for score in scores],
        "groove_consistency": [muspy.groove_consistency(score, 16) for score in scores],
    }
    if not track.is_drum:
        expected["pitch_class_entropy"] = [muspy.pitch_class_entropy(score) for score in scores]
        expected["pitch_range"] = [muspy.pitch_range(score) for score in scores]
    for name, values in expected.items():
        assert len(np.unique(values)) > 1, name
        np.testing.assert_allclose(measured[name], values, atol=1e-12, err_msg=name)
