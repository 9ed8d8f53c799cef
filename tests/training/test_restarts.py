"""Curves of a run that was killed and went on: one value a step, those of the run that stayed."""

import collections
import time

import pytest
import tensorflow as tf
from tensorboard.backend.event_processing import plugin_event_accumulator
from toy import run


class Killed(Exception):
    """Stands for the end of a process."""


def curve(folder, name):
    """Returns what TensorBoard shows of a scalar: [(step, value)]."""
    everything = {"tensors": 0}
    events = plugin_event_accumulator.EventAccumulator(str(folder), everything).Reload()
    return [
        (event.step, float(tf.make_ndarray(event.tensor_proto))) for event in events.Tensors(name)
    ]


def evaluate(step):
    return {"loss": 1.0 / step}


def dying_at(step):
    def report(line):
        if line.startswith(f"step {step}/"):
            raise Killed

    return report


def test_the_curves_of_a_killed_run_are_those_of_one_that_was_not(tmp_path):
    options = {"evaluate": evaluate, "max_steps": 12, "checkpoint_every": 6}
    run(tmp_path / "whole", **options)
    for step in (4, 9, 9):  # The checkpoint of step 6 is the only one on the way.
        with pytest.raises(Killed):
            run(tmp_path / "killed", report=dying_at(step), **options)
        time.sleep(1.1)  # Files are read in the order of their names, which hold the second.
    run(tmp_path / "killed", **options)
    for split, name in [("train", "loss"), ("train", "gradient_norm"), ("eval", "loss")]:
        expected = curve(tmp_path / "whole" / split, name)
        assert curve(tmp_path / "killed" / split, name) == expected
        assert [step for step, _ in expected] == sorted({step for step, _ in expected})
    # The files do hold steps twice, which TensorBoard is told to forget.
    steps = collections.Counter(
        event.step
        for file in (tmp_path / "killed" / "train").iterdir()
        for event in tf.compat.v1.train.summary_iterator(str(file))
        for value in event.summary.value
        if value.tag == "loss"
    )
    assert (steps[3], steps[9], steps[12]) == (2, 3, 1)
