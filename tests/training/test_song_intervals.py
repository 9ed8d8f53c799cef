"""Intervals by a bootstrap over songs, beside one that draws lists of songs and counts again."""

import numpy as np
import pytest

from magenta_vae.music.notes_right import Counts
from magenta_vae.training import song_intervals
from magenta_vae.training.song_intervals import Interval, SongSums
from magenta_vae.training.window_figures import WindowFigures

NUM_SONGS, NUM_WINDOWS = 7, 40
NEXT = ("tracks", "drums", "next_accuracy")
F1 = ("tracks", "drums", "notes", "reconstruction", "f1")
RECALL_OF_SNARES = ("tracks", "drums", "hits", "snare", "recall")


def make_windows(seed=0, num_windows=NUM_WINDOWS):
    """Figures of windows in two batches, which are those of a model that is right now and then."""
    rng = np.random.default_rng(seed)
    nats = {name: rng.gamma(9, size=num_windows) for name in ("loss", "reconstruction", "kl")}
    accuracies = {
        name: rng.uniform(size=(num_windows, 1)) for name in ("next", "reconstructed", "greedy")
    }
    true, made = rng.integers(1, 9, [2, num_windows, 2])
    counts = Counts(np.minimum(true, made), made, true)
    terms = nats | accuracies
    return [
        WindowFigures(
            rows.start,
            ["drums"],
            [["kick", "snare"]],
            {name: values[rows] for name, values in terms.items()},
            {"reconstructed": [Counts(*(each[rows] for each in counts))]},
        )
        for rows in (slice(0, 25), slice(25, num_windows))
    ]


def songs_of(num_windows=NUM_WINDOWS, seed=1):
    """Songs of very different lengths, called by numbers that are no places."""
    drawn = np.random.default_rng(seed).integers(NUM_SONGS, size=num_windows) ** 2 // NUM_SONGS
    return 100 - 10 * drawn.astype(np.int32)


def sum_up(batches, songs):
    sums = SongSums(songs)
    for batch in batches:
        sums(batch)
    return sums


def draw_songs(num_songs, seed):
    """Yields lists of songs as they are drawn, each as often as it is in it."""
    rng = np.random.default_rng(seed)
    for _ in range(song_intervals.NUM_REPLICATES):
        times = rng.multinomial(num_songs, np.full(num_songs, 1 / num_songs))
        yield [song for song, number in enumerate(times) for _ in range(number)]


def figures_of(batches, rows):
    """The three figures of windows, some of them several times, straight from each of them."""
    whole = {
        "next": np.concatenate([batch.terms["next"][:, 0] for batch in batches]),
        **{
            name: np.concatenate(
                [getattr(batch.onsets["reconstructed"][0], name) for batch in batches]
            )
            for name in ("right", "made", "true")
        },
    }
    drawn = {name: values[rows] for name, values in whole.items()}
    notes = drawn["made"].sum() + drawn["true"].sum()
    return [
        drawn["next"].mean(),
        2 * drawn["right"].sum() / notes,
        drawn["right"][:, 1].sum() / drawn["true"][:, 1].sum(),
    ]


def slowly(batches, songs, seed):
    """The same intervals from lists of songs, whose windows are put together and counted."""
    names = np.unique(songs)
    windows_of = [np.flatnonzero(songs == name) for name in names]
    figures = [
        figures_of(batches, np.concatenate([windows_of[song] for song in drawn]))
        for drawn in draw_songs(len(names), seed)
    ]
    return np.array(figures)


def test_intervals_are_those_of_songs_that_are_drawn_one_by_one():
    batches, songs = make_windows(), songs_of()
    found = song_intervals.find(sum_up(batches, songs).sums, seed=5)
    expected = np.percentile(slowly(batches, songs, seed=5), [2.5, 97.5], axis=0).T
    np.testing.assert_allclose([found[name] for name in (NEXT, F1, RECALL_OF_SNARES)], expected)


def test_draws_are_the_same_however_many_are_made_at_once(monkeypatch):
    sums = sum_up(make_windows(), songs_of()).sums
    whole = song_intervals.find(sums)
    monkeypatch.setattr(song_intervals, "NUMBERS_AT_ONCE", 50)
    found = song_intervals.find(sums)
    for name, interval in whole.items():
        assert found[name] == pytest.approx(interval)


def test_windows_of_one_song_do_not_make_an_interval_narrower():
    batches, songs = make_windows(num_windows=30), np.arange(30)
    once = song_intervals.find(sum_up(batches, songs).sums)
    copies = [
        WindowFigures(
            4 * batch.first,
            batch.track_names,
            batch.kinds,
            {name: np.repeat(values, 4, axis=0) for name, values in batch.terms.items()},
            {},
        )
        for batch in batches
    ]
    again = song_intervals.find(sum_up(copies, np.repeat(songs, 4)).sums)
    assert again[NEXT] == pytest.approx(once[NEXT])
    as_if_all_differed = song_intervals.find(sum_up(copies, np.arange(120)).sums)
    low, high = as_if_all_differed[NEXT]
    assert (high - low) < 0.7 * (once[NEXT].high - once[NEXT].low)


def test_a_pair_of_models_is_compared_on_the_same_draws_of_songs():
    songs = songs_of()
    first, second = make_windows(0), make_windows(2)
    sums = [sum_up(each, songs).sums for each in (first, second)]
    paired = song_intervals.of_differences(*sums, is_paired=True, seed=3)
    differences = slowly(second, songs, (3, 0)) - slowly(first, songs, (3, 0))
    expected = np.percentile(differences, [2.5, 97.5], axis=0).T
    np.testing.assert_allclose([paired[name] for name in (NEXT, F1, RECALL_OF_SNARES)], expected)
    same = song_intervals.of_differences(sums[0], sums[0], is_paired=True)
    assert set(same.values()) == {Interval(0.0, 0.0)}
    apart = song_intervals.of_differences(sums[0], sums[0], is_paired=False)
    assert apart[NEXT].low < 0 < apart[NEXT].high


def test_what_nothing_was_counted_of_has_no_interval():
    batches = make_windows()
    for batch in batches:
        for each in batch.onsets["reconstructed"][0]:
            each[:, 1] = 0  # no snare at all
    found = song_intervals.find(sum_up(batches, songs_of()).sums)
    assert RECALL_OF_SNARES not in found and F1 in found


def described(songs):
    return {"intervals": song_intervals.describe(sum_up(make_windows(), songs))}


def test_intervals_stand_under_the_names_of_the_metrics():
    metrics = described(songs_of())
    figures = metrics["intervals"]["figures"]
    low, high = figures["tracks"]["drums"]["notes"]["reconstruction"]["f1"]
    assert 0 < low < high < 1
    assert metrics["intervals"]["songs"] == len(np.unique(songs_of()))
    assert song_intervals.look_up(figures, NEXT) == figures["tracks"]["drums"]["next_accuracy"]
    assert song_intervals.look_up(figures, ("tracks", "bass", "next_accuracy")) is None
    heading, columns, drums, nats = song_intervals.format_table(metrics).splitlines()
    assert heading.startswith("95% intervals, by a bootstrap over 5 songs: so few")
    assert columns.split()[:3] == ["track", "next", "recon"]
    assert drums.count("[") == 4 and nats.count("nats") == 3


def test_without_songs_there_is_a_reason_instead():
    assert "build it again" in song_intervals.format_table({})
    only = described(np.full(NUM_WINDOWS, 3))
    assert only["intervals"]["figures"] == {}
    assert song_intervals.format_table(only) == "no intervals: all windows are of one song"
