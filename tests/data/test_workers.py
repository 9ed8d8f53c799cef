"""A process that dies, hangs or takes too much costs one task."""

import os
import signal
import sys
import time

import numpy as np
import pytest

from magenta_vae.data import workers
from magenta_vae.data.workers import CHUNK, WorkerError, Workers

NUM_TASKS = 20 * CHUNK  # More than are sent ahead for two processes.


def double(number):
    return 2 * number


def double_or_die(number, deadly):
    if number in deadly:
        if number % 2:
            os._exit(1)
        os.kill(os.getpid(), signal.SIGKILL)
    return 2 * number


def die_once(number, folder):
    """Dies of some numbers, but only the first time: as of another program's greed for memory."""
    path = os.path.join(folder, str(number))
    if number % 7 == 0 and not os.path.exists(path):
        open(path, "w").close()
        os._exit(9)
    return 2 * number


def sleep(number, slow):
    if number in slow:
        time.sleep(600)
    return 2 * number


def pause(seconds):
    time.sleep(seconds)
    return seconds


def take(num_bytes):
    try:
        return len(np.ones(num_bytes, np.uint8))
    except MemoryError:
        return "too much"


def refuse(number):
    raise ValueError(f"no {number}")


def count(data):
    return len(data)


def failed(task, reason):
    return reason, task[0]


@pytest.fixture(scope="module")
def pool():
    with Workers(2) as pool:
        yield pool


def test_results_are_in_order(pool):
    tasks = [(number,) for number in range(NUM_TASKS)]
    assert list(pool.map(double, tasks)) == [2 * number for number in range(NUM_TASKS)]
    assert list(pool.map(double, tasks[:5], chunk=1)) == [0, 2, 4, 6, 8]


def test_no_tasks(pool):
    assert list(pool.map(double, [])) == []


def test_an_error_is_raised_here(pool):
    with pytest.raises(ValueError, match="no 3"):
        list(pool.map(refuse, [(3,)]))
    assert list(pool.map(double, [(4,)])) == [8]


def test_tasks_are_drawn_as_they_are_needed(pool):
    drawn = []

    def tasks():
        for number in range(NUM_TASKS * 5):
            drawn.append(number)
            yield (number,)

    results = pool.map(double, tasks())
    assert [next(results) for _ in range(3)] == [0, 2, 4]
    assert len(drawn) <= 3 + 4 * CHUNK * 2
    assert list(results) == [2 * number for number in range(3, NUM_TASKS * 5)]


def test_tasks_larger_than_a_pipe(pool):
    sizes = [10, 300_000, 5, 2_000_000, 70_000, 70_001] * 6
    assert list(pool.map(count, [(bytes(size),) for size in sizes])) == sizes


def test_each_death_costs_one_task(pool):
    # Two in one chunk, one later, and the very last task.
    deadly = (20, 21, 7 * CHUNK, NUM_TASKS - 1)
    tasks = [(number, deadly) for number in range(NUM_TASKS)]
    expected = [(workers.DIED, n) if n in deadly else 2 * n for n in range(NUM_TASKS)]
    assert list(pool.map(double_or_die, tasks, failed)) == expected
    assert list(pool.map(double, [(4,)])) == [8]


def test_a_task_that_was_not_to_blame_is_run_again(pool, tmp_path):
    tasks = [(number, str(tmp_path)) for number in range(15)]
    assert list(pool.map(die_once, tasks, failed)) == [2 * number for number in range(15)]
    assert sorted(os.listdir(tmp_path)) == ["0", "14", "7"]


def test_a_death_while_the_caller_is_busy(pool):
    """The process is gone by the time the next tasks are sent."""
    tasks = [(number, (CHUNK,)) for number in range(NUM_TASKS)]
    results = pool.map(double_or_die, tasks, failed)
    first = [next(results)]
    time.sleep(0.5)
    expected = [(workers.DIED, n) if n == CHUNK else 2 * n for n in range(NUM_TASKS)]
    assert first + list(results) == expected


def test_a_death_that_nobody_expects_is_an_error():
    with Workers(1) as pool, pytest.raises(WorkerError, match="its process died: .1, .1,"):
        list(pool.map(double_or_die, [(1, (1,))]))


def test_a_hang_costs_one_task():
    with Workers(2, seconds=1.0) as pool:
        found = list(pool.map(sleep, [(number, (3, 20)) for number in range(40)], failed))
    late = "took more than 1 seconds"
    assert found == [(late, n) if n in (3, 20) else 2 * n for n in range(40)]


def test_the_time_of_a_caller_is_not_the_tasks():
    with Workers(1, seconds=0.5) as pool:
        results = pool.map(double, [(number,) for number in range(NUM_TASKS)], failed)
        first = [next(results)]
        time.sleep(1.0)
        assert first + list(results) == [2 * number for number in range(NUM_TASKS)]


def test_memory_is_bounded():
    with Workers(1, memory_bytes=2**28) as pool:
        sizes = [(2**20,), (2**29,), (2**27,)]
        assert list(pool.map(take, sizes, failed)) == [2**20, "too much", 2**27]


def test_what_must_not_fail_has_no_bounds():
    with Workers(1, seconds=0.5, memory_bytes=2**26) as pool:
        assert list(pool.map(take, [(2**29,)], failed)) == ["too much"]
        assert list(pool.map(take, [(2**29,)])) == [2**29]
        assert list(pool.map(pause, [(1.5,)])) == [1.5]


def test_no_process_is_left():
    with Workers(2) as pool:
        next(pool.map(double, [(number,) for number in range(NUM_TASKS)]))
        left = [process._process for process in pool._processes]
    assert len(left) == 2 and not any(process.is_alive() for process in left)


def prepared():
    sys.was_prepared = True


def was_prepared():
    return getattr(sys, "was_prepared", False)


@pytest.mark.parametrize("prepare", [None, prepared])
def test_every_process_begins_with_what_prepares_it(prepare):
    with Workers(2, prepare=prepare) as pool:
        assert list(pool.map(was_prepared, [()] * 8)) == [prepare is not None] * 8
