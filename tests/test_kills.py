"""A run killed at ten moments and begun again each time is the run that never was."""

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing import plugin_event_accumulator

from magenta_vae.training import checkpoint_files

ROOT = Path(__file__).parent.parent
FLAGS = [
    "--gin_file=mel_2bar.gin", "--gin_file=scale/tiny.gin",
    "--gin_param=configuration.Experiment.eval_examples=32",
]  # fmt: skip
MAX_STEPS = 600
BOUND = 3000  # seconds

pytestmark = pytest.mark.slow


def train(run_dir, data_dir, points):
    """Trains in a process for each of the points, at which it is killed; see `killed.py`."""
    done = subprocess.run(
        [sys.executable, ROOT / "tests" / "killed.py", ROOT / "scripts" / "train", *FLAGS,
         f"--gin_param=configuration.Experiment.max_steps={MAX_STEPS}",
         f"--run_dir={run_dir}", f"--data_dir={data_dir}"],
        input=json.dumps(points), capture_output=True, text=True, timeout=BOUND,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def values_of(path):
    reader = tf.train.load_checkpoint(path)
    names = [name for name in reader.get_variable_to_shape_map() if "OBJECT_GRAPH" not in name]
    return {name: np.asarray(reader.get_tensor(name)) for name in names}


def curves_of(run_dir):
    """Returns the numbers that TensorBoard shows, but for times: {tag: [(step, value)]}."""
    curves = {}
    for split in ("train", "eval"):
        folder = str(run_dir / split)
        events = plugin_event_accumulator.EventAccumulator(folder, {"tensors": 0}).Reload()
        for tag in events.Tags()["tensors"]:
            values = [
                (event.step, tf.make_ndarray(event.tensor_proto)) for event in events.Tensors(tag)
            ]
            is_number = all(value.dtype.kind == "f" and value.size == 1 for _, value in values)
            if is_number and tag not in ("steps_per_second", "input_wait_share"):
                curves[f"{split}/{tag}"] = [(step, float(value)) for step, value in values]
    assert {"train/loss", "eval/loss"} <= curves.keys()
    return curves


def assert_same_run(found, expected):
    for kind in (checkpoint_files.LATEST, checkpoint_files.BEST):
        folders = [checkpoint_files.folder_of(str(run_dir), kind) for run_dir in (found, expected)]
        steps = [checkpoint_files.list_steps(folder) for folder in folders]
        assert steps[0] == steps[1]
        for step in steps[0]:
            first, second = (values_of(checkpoint_files.path_of(each, step)) for each in folders)
            assert first.keys() == second.keys()
            for name in first:
                np.testing.assert_array_equal(first[name], second[name], err_msg=name)
    assert curves_of(found) == curves_of(expected)


@pytest.fixture(scope="module")
def whole(data_dirs, tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("runs") / "whole"
    assert train(run_dir, data_dirs["mel_2bar"], [["never", 0]]) == ["ended"]
    return run_dir


def test_ten_kills_at_random_moments_leave_the_same_bits(whole, data_dirs, tmp_path):
    draw = random.Random(0)
    # From its first steps to its end a run takes some 20 seconds of a processor, one of them for
    # the graph of the evaluation at step 4; it writes 150 checkpoints, of 5 files or folders each.
    kills = [["start", draw.uniform(0, 10)] for _ in range(2)]
    kills += [["steps", draw.uniform(0, 5)] for _ in range(4)]
    kills += [["writing", draw.randint(1, 15)] for _ in range(4)]
    draw.shuffle(kills)
    ends = train(tmp_path / "run", data_dirs["mel_2bar"], [*kills, ["never", 0]])
    assert ends.count("killed") >= 5, ends  # On a fast machine some end before.
    assert_same_run(tmp_path / "run", whole)


def test_a_run_told_to_stop_exits_with_143_and_goes_on_to_the_same_bits(whole, data_dirs, tmp_path):
    log = tmp_path / "log"
    with open(log, "w") as file:
        process = subprocess.Popen(
            [sys.executable, ROOT / "scripts" / "train", *FLAGS,
             f"--gin_param=configuration.Experiment.max_steps={MAX_STEPS}",
             f"--run_dir={tmp_path / 'run'}", f"--data_dir={data_dirs['mel_2bar']}"],
            stdout=file, stderr=subprocess.STDOUT,
        )  # fmt: skip
    while f"step 2/{MAX_STEPS}" not in log.read_text():
        assert process.poll() is None, log.read_text()
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    status = process.wait(BOUND)
    text = log.read_text()
    assert "Traceback" not in text
    if status == 0:  # It was at its last step already.
        assert f"step {MAX_STEPS}/{MAX_STEPS}" in text
    else:
        assert status == 143
        assert "stopped by SIGTERM at step" in text
        assert "In call to" not in text  # gin's word to its own users
    train(tmp_path / "run", data_dirs["mel_2bar"], [["never", 0]])
    newest = tf.train.latest_checkpoint(checkpoint_files.folder_of(str(tmp_path / "run")))
    expected = tf.train.latest_checkpoint(checkpoint_files.folder_of(str(whole)))
    assert newest.endswith(f"step-{MAX_STEPS}")
    for name, value in values_of(expected).items():
        np.testing.assert_array_equal(values_of(newest)[name], value, err_msg=name)
    assert curves_of(tmp_path / "run") == curves_of(whole)
