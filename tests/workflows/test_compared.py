"""Runs beside one another: what they differ in, and their figures."""

import dataclasses
import json

import numpy as np
import pytest

from magenta_vae import configuration
from magenta_vae.configuration.hyperparameters import find_bindings
from magenta_vae.data import provenance
from magenta_vae.data.provenance import Provenance
from magenta_vae.training import song_intervals
from magenta_vae.workflows import compared, run_differences, run_figures, runs, training

NEXT = "tracks/melody/next_accuracy"


def train(data_dir, folder, files, *bindings):
    configured = configuration.parse([*files, "scale/tiny.gin"], bindings)
    training.train(configured, str(folder), data_dir, 1)
    return str(folder)


@pytest.fixture(scope="module")
def run_dirs(data_dirs, tmp_path_factory):
    """Two runs of the same data, and one of other windows."""
    folder = tmp_path_factory.mktemp("runs")
    data_dir = data_dirs["mel_2bar"]
    return (
        train(data_dir, folder / "a", ["mel_2bar.gin"]),
        train(data_dir, folder / "b", ["mel_2bar.gin"], "music_vae.MusicVAE.free_bits = 7"),
        train(data_dirs["drums_2bar"], folder / "drums", ["drums_2bar.gin"]),
    )


@pytest.fixture
def known(monkeypatch):
    """Five songs, of which the windows of any data set are in turn."""
    songs = [f"{number}.mid" for number in range(5)]

    def read(data_dir, split, num_windows):
        of_windows = np.arange(num_windows, dtype=np.int32) % len(songs)
        return Provenance(of_windows, of_windows, songs)

    monkeypatch.setattr(provenance, "read", read)


@pytest.fixture
def unknown(monkeypatch):
    monkeypatch.setattr(provenance, "read", lambda *_: None)


def test_bindings_are_compared_as_they_are_parsed():
    text = "z_size = %size\nsize = 8\na/B.c = %z_size\nB.d = 'x'\n"
    assert find_bindings(text) == {"z_size": "8", "size": "8", "B.d": "'x'"}


def test_only_what_differs_is_said(run_dirs):
    first, second, drums = (runs.open(folder) for folder in run_dirs)
    found = run_differences.find([first, second])
    assert found["configuration"] == {"music_vae.MusicVAE.free_bits": ["48", "7"]}
    assert found["data"] == found["versions"] == {}
    newer = {**second.record, "packages": {**second.record["packages"], "keras": "9.9"}}
    newer["data"] = None
    other = dataclasses.replace(second, record=newer)
    found = run_differences.find([first, other])
    assert found["versions"] == {"keras": [first.record["packages"]["keras"], "9.9"]}
    counts = first.record["data"]["counts"]
    assert found["data"]["counts.windows_cut"] == [counts["windows_cut"], None]
    table = run_differences.format_table(found, "AB").splitlines()
    assert table[0].split() == ["configuration", "A", "B"]
    (line,) = [line for line in table if line.startswith("counts.windows_cut")]
    assert line.split()[1:] == [f"{counts['windows_cut']:,}", "-"]
    found = run_differences.find([first, drums])
    assert found["data"]["settings.tracks"][0] != found["data"]["settings.tracks"][1]
    assert found["data"]["sha256.eval"][0] == first.record["data_digests"]["eval"]


def test_figures_stand_side_by_side_with_their_differences(run_dirs, known):
    lines = []
    found = compared.compare(run_dirs[:2], report=lines.append)
    metrics = [runs.open(folder) for folder in run_dirs[:2]]
    metrics = [run.metrics(run.windows("eval")) for run in metrics]
    accuracies = [each["tracks"]["melody"]["next_accuracy"] for each in metrics]
    figure = found["figures"][NEXT]
    assert figure["values"] == pytest.approx(accuracies)
    assert figure["differences"] == [pytest.approx(accuracies[1] - accuracies[0])]
    ((low, high),) = figure["intervals_of_differences"]
    assert low <= figure["differences"][0] <= high
    assert [run["songs"] for run in found["runs"]] == [5, 5]
    assert found["runs"][1]["paired_with_first"] and found["runs"][1]["trained_on"] == 0
    text = "\n".join(lines)
    assert "music_vae.MusicVAE.free_bits  48" in text and "data: the same" in text
    assert "B - A" in text and "the same draws of songs for all runs" in text
    json.dumps(found, allow_nan=False)


def test_a_run_does_not_differ_from_itself(run_dirs, known):
    found = compared.compare([run_dirs[0]] * 2, ["latest", "best"])
    for figure in found["figures"].values():
        if figure["values"][0] is not None:
            assert figure["differences"] == [0]
            assert figure["intervals_of_differences"] in ([(0, 0)], [None])
    assert found["differences"] == {"configuration": {}, "data": {}, "versions": {}}


def test_without_songs_there_are_no_intervals(run_dirs, unknown):
    lines = []
    found = compared.compare(run_dirs[:2], report=lines.append)
    assert found["figures"][NEXT]["intervals"] == [None, None]
    assert found["figures"][NEXT]["intervals_of_differences"] == [None]
    assert song_intervals.UNKNOWN in lines[-1] and "[" not in lines[-2]
    assert found["runs"][0]["songs"] is None


def test_runs_of_other_windows_are_each_measured_on_their_own(run_dirs, data_dirs, known):
    lines = []
    found = compared.compare([run_dirs[0], run_dirs[2]], report=lines.append)
    places = [data_dirs["mel_2bar"], data_dirs["drums_2bar"]]
    assert [run["data_dir"] for run in found["runs"]] == places
    assert not found["runs"][1]["paired_with_first"]
    assert found["figures"][NEXT]["differences"] == [None]
    assert found["figures"]["loss"]["intervals_of_differences"] != [None]
    assert "draws of each run's own songs" in lines[-1]
    with pytest.raises(
        ValueError, match="--data_dir=.* cannot be for all: the windows of the runs differ in tr"
    ):
        compared.compare([run_dirs[0], run_dirs[2]], data_dir=places[0])


def test_a_run_without_data_is_measured_on_another_runs(run_dirs, data_dirs, known):
    opened = [runs.open(folder) for folder in run_dirs]
    published = dataclasses.replace(opened[0], record={**opened[0].record, "data_dir": None})
    first, second = run_figures.measure([published, opened[1]])
    assert first.data_dir == second.data_dir == data_dirs["mel_2bar"]
    with pytest.raises(ValueError, match="a has none at hand"):
        run_figures.measure([published, opened[2]])


def test_windows_that_a_run_was_trained_on_are_counted(run_dirs, data_dirs, known):
    first, second = (runs.open(folder) for folder in run_dirs[:2])
    measured = run_figures.measure([first, second], split="train")
    assert [each.num_learnt for each in measured] == [len(first.windows("train"))] * 2
    notes = run_figures.format_notes(measured, "AB", "train")
    assert f"B was trained on {measured[1].num_learnt:,} of these windows" in notes


def test_checkpoints_are_one_for_all_or_one_each(run_dirs):
    with pytest.raises(ValueError, match="--checkpoint must be one for all runs, .* 3 for 2 runs"):
        compared.compare(run_dirs[:2], ["1", "2", "3"])
