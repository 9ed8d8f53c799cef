"""What a training would be is said, and nothing is written."""

import functools
import json
import os
import shutil
import sys

import pytest

from magenta_vae import configuration
from magenta_vae.workflows import (
    datasets,
    dry_run,
    next_steps,
    run_files,
    step_trials,
    training,
)
from magenta_vae.workflows.micro_batches import Plan

FILES = ["mel_2bar.gin", "scale/tiny.gin"]


@pytest.fixture(autouse=True)
def one_step(monkeypatch):
    monkeypatch.setattr(
        step_trials, "try_steps", functools.partial(step_trials.try_steps, seconds=0)
    )


@pytest.fixture
def data_dir(data_dirs, tmp_path):
    """A data set beside whose records no tokens are kept yet."""
    ignore = shutil.ignore_patterns("tokens")
    return str(shutil.copytree(data_dirs["mel_2bar"], tmp_path / "data", ignore=ignore))


def describe(run_dir, data_dir, params=(), files=(), **options):
    """Returns the rows by their names; those without one belong to the last."""
    lines = []
    configured = configuration.parse([*FILES, *files], params)
    dry_run.describe(configured, str(run_dir), data_dir, report=lines.append, **options)
    assert lines.pop(0) == "Nothing is written. What this training would be:"
    rows, name = {}, ""
    for line in lines:
        name = line[2:12].strip() or name
        rows[name] = [*rows.get(name, []), line[13:]]
    return {name: " ".join(texts) for name, texts in rows.items()}


def train(run_dir, data_dir, **options):
    training.train(configuration.parse(FILES), str(run_dir), data_dir, **options)


def everything_below(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_a_new_run_is_described_and_nothing_is_written(data_dir, tmp_path):
    before = everything_below(tmp_path)
    run_dir = tmp_path / "run"
    rows = describe(run_dir, data_dir)
    assert everything_below(tmp_path) == before
    assert list(rows) == ["model", "data", "a step", "tried", "time", "it writes"]
    assert rows["model"].endswith(" parameters, on a CPU")
    counts = json.loads((tmp_path / "data" / "dataset.json").read_text())["counts"]
    assert f"{counts['windows_kept_train']:,} windows to train" in rows["data"]
    assert rows["a step"].startswith("8 windows take ")
    assert rows["tried"].startswith("a step of 8 windows: ")
    assert rows["tried"].endswith(" by formula")
    assert "for the 4 steps, by these, without evaluations" in rows["time"]
    assert os.path.join(run_dir, "") in rows["it writes"] and "config.gin" in rows["it writes"]
    assert rows["it writes"].endswith(f"{data_dir}/tokens/: the tokens of its records")


@pytest.mark.slow
def test_what_training_writes_is_what_was_said(data_dir, tmp_path):
    run_dir = tmp_path / "run"
    said = describe(run_dir, data_dir)["it writes"]
    training.train(configuration.parse(FILES), str(run_dir), data_dir)
    names = {path.name for path in run_dir.iterdir()} - {"lock"}
    assert names == {name for name in names if name in said}
    size = sum(path.stat().st_size for path in (run_dir / "checkpoints").rglob("*.data*"))
    assert size > 0
    assert "tokens" not in describe(run_dir, data_dir, max_steps=9)["it writes"]


def test_of_a_run_that_goes_on_the_steps_that_are_left_are_told(data_dir, tmp_path, monkeypatch):
    run_dir = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(Plan, "fit", lambda self: 2)
        training.train(configuration.parse(FILES), str(run_dir), data_dir, max_steps=2)
    before = everything_below(tmp_path)
    rows = describe(run_dir, data_dir, max_steps=10)
    assert everything_below(tmp_path) == before
    assert "for the 8 steps that are left" in rows["time"]
    assert "so the batch is cut: 2 windows at a time take " in rows["a step"]
    assert rows["tried"].startswith("a step of 4 windows, 2 at a time: ")
    with pytest.raises(ValueError, match="holds a run of another configuration"):
        describe(run_dir, data_dir, ["z_size=9"])


def test_few_windows_are_tried_of_a_large_step(data_dir, tmp_path, monkeypatch):
    monkeypatch.setattr(dry_run, "TRIED_BYTES", 4e5)
    rows = describe(tmp_path / "run", data_dir)
    assert rows["tried"].startswith("a step of 2 windows: ")


def test_a_data_set_that_would_be_built_is_told(tmp_path):
    before = everything_below(tmp_path)
    configured = configuration.parse(["demo.gin", "scale/tiny.gin"])
    run_dir, lines = str(tmp_path / "run"), []
    place = datasets.place_data(configured.experiment, None, run_dir, ["demo.gin"])
    dry_run.describe(configured, run_dir, *place, report=lines.append)
    assert everything_below(tmp_path) == before
    (line,) = (line for line in lines if "a data set is built first" in line)
    assert line.endswith("testdata")
    assert lines[-1].strip() == f"{run_dir}/data/: the data set"


@pytest.mark.parametrize("describe_or_train", [describe, train])
def test_weights_that_do_not_fit_are_refused_and_no_folder_is_made(
    describe_or_train, data_dir, tmp_path
):
    for name, message in (
        ("mel_2bar", "weights.safetensors does not fit this configuration"),
        ("mel_2ba", "There is no model mel_2ba.*The nearest is mel_2bar"),
    ):
        with pytest.raises((ValueError, FileNotFoundError), match=message):
            describe_or_train(tmp_path / "run", data_dir, origin=run_files.Origin(name))
        assert not (tmp_path / "run").exists()


GROWING = "variants/growing_windows.gin"


def test_what_training_refuses_is_refused(data_dir, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="fewer than one batch of 100000"):
        describe(tmp_path / "run", data_dir, ["batch_size=100000"])
    with pytest.raises(ValueError, match="of a batch, 8. Received: micro_batch_size=3"):
        describe(tmp_path / "run", data_dir, ["configuration.Experiment.micro_batch_size=3"])
    with pytest.raises(ValueError, match="expects num_bars=4"):
        describe(tmp_path / "run", data_dir, ["num_bars=4"])
    with pytest.raises(ValueError, match="Pieces must be shorter than the windows.*2 bars"):
        describe(tmp_path / "run", data_dir, files=[GROWING])
    cluster = {"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(cluster))
    with pytest.raises(ValueError, match="--dry_run is for one process"):
        describe(tmp_path / "run", data_dir)


def test_steps_on_pieces_take_less_time(data_dir, tmp_path, monkeypatch):
    monkeypatch.setattr(step_trials, "try_steps", lambda *_: step_trials.Trial(1, 8.0, 10**9))
    stages = [("num_bars", "(1,)"), ("until", "(2,)")]
    params = [f"curriculum.GrowingWindows.{name} = {value}" for name, value in stages]
    rows = describe(tmp_path / "run", data_dir, params, [GROWING])
    assert rows["windows"] == "grow: 1 bar to step 2, then whole"
    assert rows["time"].startswith("about 8 seconds a step, 24 seconds for the 4 steps")


def test_what_is_next_is_the_same_command_without_the_flag(monkeypatch):
    given = ["scripts/train", "--gin_file=demo.gin", "--dry_run", "--max_steps=3", "--dry_run=true"]
    monkeypatch.setattr(sys, "argv", given)
    assert (
        next_steps.after_dry_run()
        .splitlines()[-1]
        .endswith("train --gin_file=demo.gin --max_steps=3")
    )
