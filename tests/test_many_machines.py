"""Two processes that take the steps of one, as on two machines, and what becomes of one alone."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from magenta_vae.training import checkpoint_files

ROOT = Path(__file__).parent.parent
FLAGS = [
    "--gin_file=mel_2bar.gin", "--gin_file=scale/tiny.gin",
    "--gin_param=configuration.Experiment.eval_examples=32",
]  # fmt: skip
BOUND = 600  # seconds; a loaded machine takes minutes to import TensorFlow twice

pytestmark = pytest.mark.slow


def free_ports(number):
    sockets = [socket.socket() for _ in range(number)]
    for each in sockets:
        each.bind(("localhost", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def start(run_dir, data_dir, *flags, config=None, log):
    """Starts `scripts/train`, with a `TF_CONFIG` where one is given."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    environment |= {"TF_CONFIG": json.dumps(config)} if config else {}
    with open(log, "w") as file:
        return subprocess.Popen(
            [sys.executable, ROOT / "scripts" / "train", *FLAGS, *flags,
             f"--run_dir={run_dir}", f"--data_dir={data_dir}"],
            env=environment, stdout=file, stderr=subprocess.STDOUT,
        )  # fmt: skip


def start_two(run_dir, data_dir, *flags, logs):
    cluster = {"worker": [f"localhost:{port}" for port in free_ports(2)]}
    configs = [{"cluster": cluster, "task": {"type": "worker", "index": i}} for i in (0, 1)]
    return [
        start(run_dir, data_dir, *flags, config=config, log=log)
        for config, log in zip(configs, logs, strict=True)
    ]


def end(processes, logs):
    """Waits for the ends of processes and returns their exit statuses."""
    try:
        return [process.wait(BOUND) for process in processes]
    finally:
        for process in processes:
            process.kill()
        for log in logs:
            print(log.read_text()[-3000:])


def wait_for(text, log):
    until = time.time() + BOUND
    while text not in log.read_text():
        assert time.time() < until, log.read_text()
        time.sleep(0.2)


def weights_of(run_dir):
    folder = checkpoint_files.folder_of(run_dir)
    path = checkpoint_files.path_of(folder, checkpoint_files.list_steps(folder)[-1])
    reader = tf.train.load_checkpoint(path)
    names = [name for name in reader.get_variable_to_shape_map() if "OBJECT_GRAPH" not in name]
    return {name: np.asarray(reader.get_tensor(name)) for name in names}


@pytest.fixture
def logs(tmp_path):
    return [tmp_path / "0.log", tmp_path / "1.log"]


def test_two_workers_take_the_steps_of_one_process(data_dirs, tmp_path, logs):
    data_dir = data_dirs["mel_2bar"]
    one = start(tmp_path / "one", data_dir, "--max_steps=10", log=tmp_path / "one.log")
    assert end([one], [tmp_path / "one.log"]) == [0]
    two = start_two(tmp_path / "two", data_dir, "--max_steps=10", logs=logs)
    assert end(two, logs) == [0, 0]
    expected, found = weights_of(tmp_path / "one"), weights_of(tmp_path / "two")
    assert expected.keys() == found.keys()
    for name in expected:
        # Ten steps of Adam at 1e-3: sums over halves of the batch round differently.
        np.testing.assert_allclose(found[name], expected[name], atol=2e-6, err_msg=name)
    # Only the first one speaks and writes.
    assert "2 replicas" in logs[0].read_text()
    assert "step 10/10" in logs[0].read_text()
    assert "step " not in logs[1].read_text()
    for split in ("train", "eval"):
        writers = {
            re.search(r"\.(\d+)\.\d+\.v2$", path.name).group(1)  # the process
            for path in (tmp_path / "two" / split).iterdir()
        }
        assert len(writers) == 1


@pytest.mark.parametrize("dead", [0, 1])
def test_a_worker_alone_ends_with_an_error_and_both_go_on(dead, data_dirs, tmp_path, logs):
    data_dir, run_dir = data_dirs["mel_2bar"], tmp_path / "run"
    processes = start_two(run_dir, data_dir, "--max_steps=100000", logs=logs)
    wait_for("step 20/", logs[0])
    processes[dead].kill()
    statuses = end(processes, logs)
    assert statuses[dead] == -signal.SIGKILL
    assert statuses[1 - dead] == 1
    message = logs[1 - dead].read_text()
    assert "error: another worker is gone or cannot be reached" in message
    assert "Traceback" not in message
    folder = checkpoint_files.folder_of(run_dir)
    step = checkpoint_files.newest_readable(folder, print)
    assert step >= 18
    processes = start_two(run_dir, data_dir, f"--max_steps={step + 4}", logs=logs)
    assert end(processes, logs) == [0, 0]
    assert f"resumed at step {step:,} from" in logs[0].read_text()
    assert checkpoint_files.newest_readable(folder, print) == step + 4


@pytest.mark.parametrize("told", [0, 1])
def test_both_stop_at_the_same_step_when_one_is_told(told, data_dirs, tmp_path, logs):
    run_dir = tmp_path / "run"
    processes = start_two(run_dir, data_dirs["mel_2bar"], "--max_steps=100000", logs=logs)
    wait_for("step 10/", logs[0])
    processes[told].terminate()
    assert end(processes, logs) == [143, 143]
    steps = [log.read_text().split("SIGTERM at step ")[1].split(",")[0] for log in logs]
    assert steps[0] == steps[1]
    newest = checkpoint_files.list_steps(checkpoint_files.folder_of(run_dir))[-1]
    assert newest == int(steps[0].replace(",", ""))


def test_workers_with_other_settings_are_refused(data_dirs, tmp_path, logs):
    cluster = {"worker": [f"localhost:{port}" for port in free_ports(2)]}
    processes = [
        start(tmp_path / f"run{i}", data_dirs["mel_2bar"], f"--gin_param=batch_size={8 + 8 * i}",
              config={"cluster": cluster, "task": {"type": "worker", "index": i}}, log=logs[i])
        for i in (0, 1)
    ]  # fmt: skip
    assert end(processes, logs) == [1, 1]
    for log in logs:
        assert "error: All workers must have the same configuration, data and origin" in (
            log.read_text()
        )
