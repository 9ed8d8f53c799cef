"""Worker processes that a crash does not take the run with."""

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any

CHUNK = 16  # Tasks sent to a process at once: most take a millisecond.


class Workers:
    """A pool of processes, mapping a function over tasks in their order.

    A task that kills its process is run again alone; if that kills its process too, its result is
    what `crashed` returns.
    """

    def __init__(self, num_workers: int):
        self._num_workers = num_workers
        self._start()

    def map(
        self,
        function: Callable,
        tasks: Sequence[tuple],
        crashed: Callable | None = None,
    ) -> Iterator[Any]:
        """Yields `function(*task)` for each task, in order, a bounded number ahead of the caller.

        Args:
            function: a function of a module.
            tasks: the arguments of each call.
            crashed: given the arguments of a task whose process died, returns its result. Without
                it such a death is an error.
        """
        chunks = _batched(tasks, CHUNK)
        pending: deque[tuple[Sequence[tuple], Future]] = deque()

        def submit(chunk):
            try:
                future = self._pool.submit(_run, function, chunk)
            except (BrokenProcessPool, OSError) as error:
                # A process died since, and the pool may be closing its pipes; `result` will say so.
                future = Future()
                future.set_exception(BrokenProcessPool(str(error)))
            pending.append((chunk, future))

        for chunk in itertools.islice(chunks, 4 * self._num_workers):
            submit(chunk)
        while pending:
            chunk, future = pending.popleft()
            try:
                results = future.result()
            except BrokenProcessPool:
                if crashed is None:
                    raise
                later = [waiting for waiting, _ in pending]
                pending.clear()
                results = self._run_alone(function, chunk, crashed)
                for waiting in later:
                    submit(waiting)
            yield from results
            for chunk in itertools.islice(chunks, 1):
                submit(chunk)

    def _run_alone(self, function, chunk, crashed) -> list:
        results = []
        self._start()
        for task in chunk:
            try:
                results.append(self._pool.submit(function, *task).result())
            except BrokenProcessPool:
                results.append(crashed(*task))
                self._start()
        return results

    def _start(self) -> None:
        # Spawned, not forked: the parent may hold TensorFlow's threads.
        self._pool = ProcessPoolExecutor(self._num_workers, mp_context=get_context("spawn"))

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._pool.shutdown(cancel_futures=True)


def _batched(tasks: Iterable[tuple], size: int) -> Iterator[list[tuple]]:
    """`itertools.batched`, which Python 3.11 lacks."""
    tasks = iter(tasks)
    while chunk := list(itertools.islice(tasks, size)):
        yield chunk


def _run(function: Callable, chunk: Sequence[tuple]) -> list:
    return [function(*task) for task in chunk]
