"""Training as the command does it: from another run's weights, and on from there."""

import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

from magenta_vae import configuration
from magenta_vae.data import input_pipeline, token_files
from magenta_vae.training import checkpoint_files
from magenta_vae.workflows import datasets, run_files, runs, training

FILES = ["mel_2bar.gin", "scale/tiny.gin"]


def values_of(run_dir, checkpoint):
    """Returns the weights of a run."""
    return [variable.numpy() for variable in runs.open(run_dir, checkpoint).network.variables]


def evaluate(run_dir, checkpoint):
    run = runs.open(run_dir, checkpoint)
    return run.metrics(run.windows("eval"))


def test_a_run_starts_from_another_and_goes_on_when_that_is_gone(data_dirs, tmp_path):
    first, second = str(tmp_path / "first"), str(tmp_path / "second")
    configured = configuration.parse(FILES, ["configuration.Experiment.eval_examples = 16"])
    training.train(configured, first, data_dirs["mel_2bar"], max_steps=2)
    expected = values_of(first, "latest")

    # With a learning rate of 0 the weights stay those that the run started from.
    still = [
        "configuration.Experiment.eval_examples = 16",
        "learning_rate/schedules.ExponentialDecay.initial = 0.0",
        "learning_rate/schedules.ExponentialDecay.final = 0.0",
    ]
    configured = configuration.parse(FILES, still)
    lines = []
    data_dir, options = data_dirs["mel_2bar"], {"report": lines.append}
    options["origin"] = run_files.Origin(first)
    training.train(configured, second, data_dir, 2, **options)
    assert f"18 of 18 weights are those of {first}/checkpoints/step-2" in lines
    assert any(line.startswith("step 2/2") for line in lines)  # The steps begin anew.
    for found, value in zip(values_of(second, "latest"), expected, strict=True):
        np.testing.assert_array_equal(found, value)

    shutil.rmtree(first)
    lines.clear()
    figures = training.train(configured, second, data_dir, 4, **options)
    assert any("resumed at step 2" in line for line in lines)
    assert not any("weights are those of" in line for line in lines)
    assert figures["step"] == 4
    assert evaluate(second, "2")["step"] == 2
    best = evaluate(second, "best")["step"]
    assert checkpoint_files.list_steps(f"{second}/checkpoints/best") == [best]


def test_a_run_that_another_process_trains_is_refused_and_left_alone(data_dirs, tmp_path):
    configured = configuration.parse(FILES)
    run_dir = tmp_path / "run"
    with run_files.locked(str(run_dir)):
        with pytest.raises(FileExistsError, match=f"Another process trains the run in {run_dir}"):
            training.train(configured, str(run_dir), data_dirs["mel_2bar"], max_steps=2)
        assert [path.name for path in run_dir.iterdir()] == [run_files.LOCK_FILE]


@pytest.mark.parametrize("is_chief", [True, False])
def test_the_first_worker_checks_the_tokens_for_those_who_share_them(
    is_chief, data_dirs, tmp_path, monkeypatch
):
    """Each joins once for a split: the others before they map the file, the first one after."""
    data_dir = shutil.copytree(data_dirs["mel_2bar"], tmp_path / "data")
    settings = configuration.parse(FILES).experiment.settings
    kept = input_pipeline.load_tokens(str(data_dir), "eval", settings)
    happened = []

    def gather(_, value):
        happened.append(("gather", value))
        return [value, 0] if is_chief else [kept.file_id, value]

    read_digest = token_files.TokenFiles._read_digest

    def read(*arguments):
        happened.append("read")
        return read_digest(*arguments)

    monkeypatch.setattr(training.devices, "is_chief", lambda _: is_chief)
    monkeypatch.setattr(training.devices, "gather", gather)
    monkeypatch.setattr(token_files.TokenFiles, "_read_digest", read)
    found = training._load_tokens(None, str(data_dir), "eval", settings, False)
    np.testing.assert_array_equal(found, kept)
    assert happened == (["read", ("gather", kept.file_id)] if is_chief else [("gather", 0)])
    happened.clear()
    (data_dir / "dataset.json").unlink()
    with pytest.raises(FileNotFoundError):  # Each finds out for itself; nobody waits for long.
        training._load_tokens(None, str(data_dir), "eval", settings, False)
    assert happened == [("gather", 0)]


def test_workers_that_differ_have_different_digests():
    configured = configuration.parse(FILES)
    record = {"data": {"counts": 1}, "origin": None, "data_dir": "/here"}
    splits = {"train": [1, 2, 3], "eval": [1]}
    digest = training._digest(configured, record, splits)
    assert training._digest(configured, {**record, "data_dir": "/there"}, splits) == digest
    assert training._digest(configured, {**record, "origin": {"step": 3}}, splits) != digest
    assert training._digest(configured, record, {"train": [1, 2], "eval": [1]}) != digest
    assert training._digest(configured, {**record, "data_digests": {"eval": "1"}}, splits) != digest
    other = configuration.parse(FILES, ["batch_size = 3"])
    assert training._digest(other, record, splits) != digest


def test_an_error_of_a_lost_worker_is_told_from_others(monkeypatch):
    from magenta_vae.training import devices

    lost = tf.errors.UnavailableError(
        None, None, "Graph execution error:\n\nCollective ops is aborted by: Socket closed\nmore"
    )
    with pytest.raises(tf.errors.UnavailableError), devices.watching_workers():
        raise lost
    cluster = {"worker": ["a:1", "b:1"]}
    task = {"type": "worker", "index": 0}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": task}))
    with (
        pytest.raises(ConnectionError, match="another worker is gone.*aborted by: Socket closed$"),
        devices.watching_workers(),
    ):
        raise lost


def test_without_held_out_windows_it_trains_without_evaluations(tmp_path):
    configured = configuration.parse(FILES, ["builder.Settings.eval_fraction = 0.0"])
    data_dir, run_dir = str(tmp_path / "data"), str(tmp_path / "run")
    songs = str(configuration.bundled("testdata"))
    datasets.build_dataset(configured.experiment, [songs], data_dir, num_workers=1)
    lines = []
    made = training.train(configured, run_dir, data_dir, 2, report=lines.append)
    assert made == {"step": 2}
    assert lines[0] == f"{data_dir} holds no window out: the run is trained without evaluations"
    assert not any("held out" in line for line in lines[1:])
    assert training.train(configured, run_dir, data_dir, 3, report=lines.append) == {"step": 3}
    run = runs.open(run_dir)
    assert run.step == 3 and run.kept_figures() is None and run.kept_data_prior() is not None
    with pytest.raises(ValueError, match="The eval split of .* is empty"):
        run.windows("eval")


LONG = ["hierdec_mel_32bar.gin", "scale/tiny.gin", "variants/growing_windows.gin"]
GROWING = "curriculum.GrowingWindows"


@pytest.mark.parametrize(
    "variant", [(), pytest.param(("variants/flat_decoder.gin",), marks=pytest.mark.slow)]
)
def test_windows_grow_while_a_run_goes_on_and_after_it_was_stopped(variant, data_dirs, tmp_path):
    params = [f"{GROWING}.num_bars = (2,)", f"{GROWING}.until = (2,)"]
    params.append("configuration.Experiment.eval_examples = 16")
    configured = configuration.parse([*LONG, *variant], params)
    data_dir, lines = data_dirs["hierdec_mel_32bar"], []
    training.train(configured, str(tmp_path / "whole"), data_dir, 3, report=lines.append)
    assert "windows grow: 2 bars to step 2, then whole" in lines
    for step in (2, 3):
        training.train(configured, str(tmp_path / "stopped"), data_dir, step)
    weights = (values_of(str(tmp_path / name), "latest") for name in ("whole", "stopped"))
    for expected, found in zip(*weights, strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    "num_bars, message",
    [((3,), "num_bars asks for 3, which.*whole segments of 32"), ((32,), "be shorter")],
)
def test_pieces_that_do_not_fit_are_refused_before_a_run_begins(
    num_bars, message, data_dirs, tmp_path
):
    params = [f"{GROWING}.num_bars = {num_bars}", f"{GROWING}.until = (2,)"]
    configured = configuration.parse(LONG, params)
    with pytest.raises(ValueError, match=message):
        training.train(configured, str(tmp_path / "run"), data_dirs["hierdec_mel_32bar"], 2)
    assert not (tmp_path / "run").exists()
