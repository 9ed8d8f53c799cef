"""How batches are cut where they do not fit into memory, and that a run keeps to it."""

import json

import numpy as np
import pytest
import tensorflow as tf

from magenta_vae import configuration
from magenta_vae.training import device_memory
from magenta_vae.workflows import micro_batches, run_files, runs, training
from magenta_vae.workflows.micro_batches import GB, Plan
from magenta_vae.workflows.step_memory import StepMemory

FILES = ["mel_2bar.gin", "scale/tiny.gin"]  # Batches of 8 windows.
MEMORY = StepMemory(weights=5e9, sums=3e9, window=1e8, graph=1e8)


def make_plan(limit, memory=MEMORY, num_rows=12, num_replicas=1, on_gpu=False):
    return Plan(None, num_rows, num_replicas, on_gpu, 0 if on_gpu else int(5e8), limit, memory)


def test_the_largest_part_that_fits_is_taken():
    assert make_plan(1.15 * 6.81e9).fit() == 12  # 5 + 0.5 + 0.1 + 1.2
    assert make_plan(1.15 * 9.3e9, num_rows=100).fit() == 5  # Parts add up their gradients.
    assert make_plan(1.15 * 9.1e9, num_rows=100).fit() == 5
    assert make_plan(1.15 * 9.01e9, num_rows=100).fit() == 4
    assert make_plan(1.15 * 8.71e9, num_rows=100).fit() == 1
    assert make_plan(1.15 * 8.69e9, num_rows=100).fit() == 0
    assert make_plan(1.15 * 8.21e9, num_rows=100, on_gpu=True).fit() == 2
    assert make_plan(1.15 * 17.1e9, num_rows=100, num_replicas=2).fit() == 2


def test_a_small_step_is_never_cut():
    small = StepMemory(weights=1e6, sums=1e6, window=1e7, graph=1e8)
    assert make_plan(0, small).fit() == 12


def plan_of(files, monkeypatch, limit, params=(), **options):
    monkeypatch.setattr(device_memory, "find_limit", lambda on_gpu: int(limit))
    monkeypatch.setattr(device_memory, "find_beginning", lambda: int(0.5 * GB))
    experiment = configuration.parse(files, params).experiment
    with tf.Graph().as_default():
        model = experiment.make_model()
    return micro_batches.plan(experiment, model, tf.distribute.get_strategy(), **options)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("mel_2bar", None),
        ("drums_2bar", None),
        ("hierdec_mel_32bar", 128),
        ("hierdec_trio_16bar", 128),
    ],
)
def test_the_papers_batches_fit_into_24_gb(name, size, monkeypatch):
    found = plan_of([f"{name}.gin"], monkeypatch, 24 * GB)
    assert found.size == size
    assert found.bytes_of(size or 512, in_parts=bool(size)) < 24 * GB


def test_a_line_says_how_a_batch_is_cut_and_why(monkeypatch):
    line = plan_of(["hierdec_mel_32bar.gin"], monkeypatch, 24 * GB).describe()
    assert line.startswith("512 windows take 66.") and "128 windows at a time take 18." in line
    assert "at a time" not in plan_of(FILES, monkeypatch, 0).describe()


def test_what_the_configuration_says_is_not_questioned(monkeypatch):
    binding = "configuration.Experiment.micro_batch_size=256"
    assert plan_of(["mel_2bar.gin"], monkeypatch, 1, [binding]).size == 256
    assert plan_of(["mel_2bar.gin"], monkeypatch, 1, is_settled=True).size is None


def test_where_not_one_window_fits_it_is_said_what_takes_less(monkeypatch):
    with pytest.raises(MemoryError) as caught:
        plan_of(["hierdec_mel_32bar.gin"], monkeypatch, 2 * GB)
    text = str(caught.value)
    assert text.startswith(
        "One window at a time takes 2.8 GB by formula, within 15%; 2.0 GB are free. "
    )
    assert "recompute=True it would be 2." in text and "scale/small.gin" in text
    assert "--gin_param=configuration.Experiment.micro_batch_size=1 tries it" in text


@pytest.mark.parametrize(("replicas", "size"), [(1, 6), (2, 6), (4, 3), (12, 1)])
def test_on_other_replicas_a_run_takes_parts_that_divide_their_shares(replicas, size):
    experiment = configuration.parse(FILES, ["batch_size=12"]).experiment
    record = {"micro_batch_size": 6}
    assert micro_batches.settle(experiment, record, replicas).micro_batch_size == size
    assert micro_batches.settle(experiment, {}, replicas) is experiment


def train(run_dir, data_dir, max_steps, params=()):
    """Trains and returns what was reported, and the weights."""
    lines = []
    configured = configuration.parse(FILES, params)
    training.train(configured, str(run_dir), data_dir, max_steps, report=lines.append)
    return lines, runs.open(str(run_dir)).network.get_weights()


def assert_equal(one, other):
    for found, expected in zip(one, other, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_a_run_keeps_to_the_parts_that_it_began_with(data_dirs, tmp_path, monkeypatch):
    data_dir, run_dir = data_dirs["mel_2bar"], tmp_path / "run"
    bound = ["configuration.Experiment.micro_batch_size=4"]
    _, expected = train(tmp_path / "bound", data_dir, 4, bound)
    with monkeypatch.context() as patch:
        patch.setattr(Plan, "fit", lambda self: 4)
        lines, _ = train(run_dir, data_dir, 2)
    (line,) = (line for line in lines if "at a time" in line)
    assert line.endswith("; the run keeps to it")
    assert json.loads((run_dir / "run.json").read_text())["micro_batch_size"] == 4
    lines, found = train(run_dir, data_dir, 4)  # On a machine with more memory.
    assert "8 windows take" not in "".join(lines)
    assert_equal(found, expected)
    assert run_files.read_record(str(run_dir))["micro_batch_size"] == 4


@pytest.mark.slow
def test_a_run_that_began_whole_stays_whole_where_less_would_fit(data_dirs, tmp_path, monkeypatch):
    """Those of older versions, whose record says nothing of it, too."""
    data_dir, run_dir = data_dirs["mel_2bar"], tmp_path / "run"
    _, expected = train(tmp_path / "whole", data_dir, 4)
    train(run_dir, data_dir, 2)
    record = json.loads((run_dir / "run.json").read_text())
    assert record.pop("micro_batch_size") is None
    (run_dir / "run.json").write_text(json.dumps(record))
    monkeypatch.setattr(Plan, "fit", lambda self: 4)
    lines, found = train(run_dir, data_dir, 4)
    assert not any("at a time" in line for line in lines)
    assert_equal(found, expected)


def test_a_run_without_steps_is_cut_anew(data_dirs, tmp_path, monkeypatch):
    data_dir, run_dir = data_dirs["mel_2bar"], str(tmp_path / "run")
    configured = configuration.parse(FILES)
    assert run_files.start(configured, run_dir, data_dir, micro_batch_size=2)
    assert not run_files.has_steps(run_dir)
    record = run_files.start(configured, run_dir, data_dir, micro_batch_size=4)
    assert record["micro_batch_size"] == 4
