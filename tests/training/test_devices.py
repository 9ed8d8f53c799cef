"""Which replicas and which rows are whose."""

import json
import subprocess
import sys
from types import SimpleNamespace

import pytest
import tensorflow as tf

from magenta_vae.training import devices


def set_config(monkeypatch, cluster, kind="worker", index=0):
    task = {"type": kind, "index": index}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": task}))


def test_without_tf_config_there_is_one_process(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert devices.count_workers() == 1
    strategy = devices.make_strategy()
    assert strategy is tf.distribute.get_strategy()
    assert devices.is_chief(strategy)
    assert devices.gather(strategy, 7) == [7]
    devices.require_agreement(strategy, 7, "number")


def test_what_a_step_frees_is_kept_for_the_next():
    program = (
        "import tensorflow as tf; from magenta_vae.training import devices\n"
        "devices.make_strategy(); size = tf.zeros([1000, 1000]).numpy().nbytes\n"
        "assert tf.config.experimental.get_memory_info('CPU:0')['peak'] >= size"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr  # Of the system's own allocator nothing is known.


def test_workers_are_counted(monkeypatch):
    set_config(monkeypatch, {"worker": ["a:1", "b:1", "c:1"]}, index=2)
    assert devices.count_workers() == 3
    set_config(monkeypatch, {"chief": ["a:1"], "worker": ["b:1"]}, "chief")
    assert devices.count_workers() == 2
    set_config(monkeypatch, {"worker": ["a:1"]})
    assert devices.count_workers() == 1


@pytest.mark.parametrize(
    "text",
    [
        "not JSON",
        "[]",
        '{"cluster": {"worker": ["a:1", "b:1"]}}',
        '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 2}}',
        '{"cluster": {"worker": ["a:1"], "ps": ["b:1"]}, "task": {"type": "ps", "index": 0}}',
    ],
)
def test_another_tf_config_is_refused_with_an_example(monkeypatch, text):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(ValueError, match="TF_CONFIG must name workers.*first:2222") as caught:
        devices.make_strategy()
    assert text in str(caught.value)


def test_replicas_on_the_cpu_are_for_one_machine(monkeypatch):
    set_config(monkeypatch, {"worker": ["a:1", "b:1"]})
    with pytest.raises(ValueError, match="is for one machine"):
        devices.make_strategy(num_virtual_devices=2)


def test_a_configuration_leaves_the_devices_to_be_settled():
    """Replicas on the CPU, and what TensorFlow does with memory, come before any tensor."""
    program = (
        "from magenta_vae import configuration; from magenta_vae.training import devices;"
        "configuration.parse(['demo.gin']).experiment;"
        "print(devices.make_strategy(2).num_replicas_in_sync)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.stdout.strip() == "2", ran.stderr


@pytest.mark.parametrize(("worker", "first"), [(0, 0), (1, 4), (2, 8)])
def test_each_machine_gets_the_rows_of_its_replicas(worker, first):
    rows = [slice(start, start + 2) for start in range(0, 12, 2)]
    context = SimpleNamespace(num_input_pipelines=3, input_pipeline_id=worker)
    own = devices.local_rows(rows, context)
    assert own == [slice(first, first + 2), slice(first + 2, first + 4)]
