"""A process that dies costs one task."""

import os
import signal
import time
from concurrent.futures.process import BrokenProcessPool

import pytest

from magenta_vae.data.workers import CHUNK, Workers

NUM_TASKS = 20 * CHUNK  # More than are sent ahead for two processes.


def double(number):
    return 2 * number


def double_or_die(number, deadly):
    if number in deadly:
        if number % 2:
            os._exit(1)
        os.kill(os.getpid(), signal.SIGKILL)
    return 2 * number


def refuse(number):
    raise ValueError(f"no {number}")


def died(number, *_):
    return ("died", number)


@pytest.fixture(scope="module")
def pool():
    with Workers(2) as pool:
        yield pool


def test_results_are_in_order(pool):
    tasks = [(number,) for number in range(NUM_TASKS)]
    assert list(pool.map(double, tasks)) == [2 * number for number in range(NUM_TASKS)]


def test_no_tasks(pool):
    assert list(pool.map(double, [])) == []


def test_an_error_is_raised_here(pool):
    with pytest.raises(ValueError, match="no 3"):
        list(pool.map(refuse, [(3,)]))
    assert list(pool.map(double, [(4,)])) == [8]


def test_each_death_costs_one_task(pool):
    # Two in one chunk, one later, and the very last task.
    deadly = (20, 21, 7 * CHUNK, NUM_TASKS - 1)
    tasks = [(number, deadly) for number in range(NUM_TASKS)]
    expected = [died(n) if n in deadly else 2 * n for n in range(NUM_TASKS)]
    assert list(pool.map(double_or_die, tasks, died)) == expected
    assert list(pool.map(double, [(4,)])) == [8]


def test_a_death_while_the_caller_is_busy(pool):
    """The pool is broken by the time the next tasks are sent."""
    tasks = [(number, (CHUNK,)) for number in range(NUM_TASKS)]
    results = pool.map(double_or_die, tasks, died)
    first = [next(results)]
    deadline = time.monotonic() + 30
    while not pool._pool._broken and time.monotonic() < deadline:
        time.sleep(0.02)
    expected = [died(n) if n == CHUNK else 2 * n for n in range(NUM_TASKS)]
    assert first + list(results) == expected


def test_a_death_that_nobody_expects_is_an_error():
    with Workers(1) as pool, pytest.raises(BrokenProcessPool):
        list(pool.map(double_or_die, [(1, (1,))]))
