"""The figures of each window as a table, and the intervals that its songs give."""

import csv
import json

import numpy as np
import pytest

from magenta_vae import configuration
from magenta_vae.data.provenance import Provenance
from magenta_vae.training import song_intervals
from magenta_vae.workflows import per_example, runs, text_tables, training

SONGS = ["first.mid", "a folder/songs.zip/second, too.mid", "third\udcff.mid"]


@pytest.fixture(scope="module")
def run(data_dirs, tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("runs") / "tiny")
    configured = configuration.parse(["hierdec_trio_16bar.gin", "scale/tiny.gin"])
    training.train(configured, folder, data_dirs["hierdec_trio_16bar"], 1)
    return runs.open(folder)


@pytest.fixture(scope="module")
def windows(run):
    return run.windows("train")[:10]


@pytest.fixture(scope="module")
def known(windows):
    songs = np.arange(len(windows), dtype=np.int32) % len(SONGS)
    return Provenance(songs, 3 * songs, SONGS)


@pytest.fixture(scope="module")
def measured(run, windows, known, tmp_path_factory):
    """The metrics of the windows, and the rows of their table."""
    path = tmp_path_factory.mktemp("tables") / "results.csv"
    with per_example.writing(str(path), known) as listeners:
        metrics = run.metrics(windows, known, listeners)
    with open(path, newline="", encoding="utf-8", errors="surrogateescape") as file:
        return metrics, list(csv.DictReader(file, quoting=csv.QUOTE_NONNUMERIC))


def test_each_window_has_its_song_and_bar(measured, known):
    _, rows = measured
    assert [row["window"] for row in rows] == list(range(10))  # Numbers are without quotes.
    assert [row["song"] for row in rows] == [SONGS[song] for song in known.songs]
    assert [int(row["bar"]) for row in rows] == [bar + 1 for bar in known.bars]


def test_the_rows_make_the_figures(measured):
    metrics, rows = measured

    def values(name):
        return [float(row[name]) for row in rows]

    for name in ("loss", "reconstruction_nats", "kl_nats"):
        assert np.mean(values(name)) == pytest.approx(metrics[name], rel=1e-5)
    for track, figures in metrics["tracks"].items():
        for name in ("next", "reconstruction", "greedy_reconstruction"):
            column = f"{name}_accuracy/{track}"
            assert np.mean(values(column)) == pytest.approx(figures[f"{name}_accuracy"], rel=1e-5)
        right, made, true = (
            sum(values(f"onsets_{kind}/{track}")) for kind in ("right", "made", "true")
        )
        scores = figures["notes"]["reconstruction"]
        assert scores["precision"] == (right / made if made else None)
        assert scores["recall"] == (right / true if true else None)


def test_metrics_are_the_same_with_and_without_songs(measured, run, windows):
    metrics, _ = measured
    intervals = metrics["intervals"]
    assert run.metrics(windows) == {
        name: value for name, value in metrics.items() if name != "intervals"
    }
    assert intervals["songs"] == len(SONGS)
    for name in ("loss", "kl_nats"):
        low, high = intervals["figures"][name]
        assert low <= metrics[name] <= high
    json.dumps(metrics, allow_nan=False)


def test_tables_have_the_intervals(measured, run):
    metrics, _ = measured
    table = text_tables.format_metrics(metrics, run.experiment)
    assert "10 windows of 3 songs" in table
    assert "95% intervals, by a bootstrap over 3 songs" in table


def test_without_songs_their_columns_are_empty(run, windows, tmp_path):
    path = tmp_path / "new" / "results.csv"
    with per_example.writing(str(path), None) as listeners:
        metrics = run.metrics(windows[:2], None, listeners)
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert [(row["song"], row["bar"]) for row in rows] == [("", "")] * 2
    assert "intervals" not in metrics
    assert song_intervals.UNKNOWN not in text_tables.format_metrics(metrics, run.experiment)


def test_what_is_broken_off_leaves_no_table(tmp_path):
    path = tmp_path / "results.csv"
    with pytest.raises(OSError), per_example.writing(str(path), None):
        raise OSError("no room")
    assert list(tmp_path.iterdir()) == []
