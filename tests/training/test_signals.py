"""SIGTERM and Ctrl-C: what is saved, what is said, and that the run goes on as if nothing were."""

import os
import signal
import threading
import time

import numpy as np
import pytest
from toy import run

from magenta_vae.training import checkpoint_files, signals


@pytest.fixture(autouse=True)
def ctrl_c_is_heard():
    """A shell has the programs that it starts in the background ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def wait_for_notice(lines):
    """The notice is given by a thread."""
    for _ in range(1000):
        if any("stopping after" in line for line in lines):
            return
        time.sleep(0.01)


@pytest.mark.parametrize("number", signals.NUMBERS)
def test_a_stopped_run_saves_its_step_and_goes_on_to_the_same_bits(number, tmp_path):
    whole, _, _ = run(tmp_path / "whole", max_steps=8)
    lines = []

    def report(line):
        lines.append(line)
        if line.startswith("step 3/8"):
            os.kill(os.getpid(), number)

    before = [signal.getsignal(each) for each in signals.NUMBERS]
    with pytest.raises(signals.TrainingStopped) as caught:
        run(tmp_path / "parts", max_steps=8, report=report, checkpoint_every=100)
    assert [signal.getsignal(each) for each in signals.NUMBERS] == before
    assert caught.value.exit_status == 128 + number
    assert caught.value.step == 3
    message = f"stopped by {signal.Signals(number).name} at step 3, saved as .*checkpoints/step-3"
    assert caught.match(message + r"\. The same command goes on from there\.")
    wait_for_notice(lines)
    assert checkpoint_files.list_steps(tmp_path / "parts" / "checkpoints") == [3]
    resumed, lines, _ = run(tmp_path / "parts", max_steps=8, checkpoint_every=100)
    assert "resumed at step 3" in lines[0]
    np.testing.assert_array_equal(resumed.weight.numpy(), whole.weight.numpy())


def test_a_signal_breaks_off_an_evaluation_and_the_next_process_makes_it(tmp_path):
    def stopped(step):
        os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError("an evaluation must not go on")

    with pytest.raises(signals.TrainingStopped, match="at step 4, saved as"):
        run(tmp_path, max_steps=8, evaluate=stopped)
    _, _, evaluated = run(tmp_path, max_steps=8)
    assert evaluated == [4, 8]


def test_a_stop_before_the_first_step_says_so(tmp_path, monkeypatch):
    enter = signals.StopRequest.__enter__

    def enter_and_be_signalled(stop):
        enter(stop)
        os.kill(os.getpid(), signal.SIGTERM)
        return stop

    monkeypatch.setattr(signals.StopRequest, "__enter__", enter_and_be_signalled)
    with pytest.raises(signals.TrainingStopped, match="at step 0, before anything was learned"):
        run(tmp_path, max_steps=8)
    assert not checkpoint_files.list_steps(tmp_path / "checkpoints")


def test_a_second_ctrl_c_interrupts_at_once():
    stop = signals.StopRequest()
    with stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.number == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)


def test_a_second_sigterm_changes_nothing():
    with signals.StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.number == signal.SIGTERM


def test_of_several_machines_none_breaks_off_alone():
    with signals.StopRequest(may_break_off=False) as stop, stop.breaking_off():
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.number == signal.SIGTERM


def test_work_begun_after_the_signal_is_broken_off_too():
    with signals.StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(signals.BrokenOff), stop.breaking_off():
            raise AssertionError("must not begin")


def test_an_ignored_signal_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with signals.StopRequest() as stop:
            os.kill(os.getpid(), signal.SIGINT)
            assert stop.number is None
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_thread_leaves_signals_alone():
    handlers = []

    def enter():
        with signals.StopRequest():
            handlers.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert handlers == [signal.getsignal(signal.SIGTERM)]
