"""Worker processes that a crash, a hang or a greedy task does not take the run with."""

import contextlib
import multiprocessing
import pickle
import signal
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from multiprocessing import connection
from typing import Any

CHUNK = 16  # Tasks sent to a process at once: most take a millisecond.
CHUNK_BYTES = 2**20  # Of tasks that carry data.
SMALL_BYTES = 2**14  # What a pipe takes while its reader is busy.
READY = -1  # The number of a process's first answer: its imports are done.
DIED = "its process died"


class WorkerError(ChildProcessError):
    """A task killed its process or took too long, and nobody expected that."""


class Workers:
    """A pool of processes, mapping a function over tasks in their order.

    A task that kills its process is run once more in a new one; if that dies too, its result is
    what `failed` returns. So is that of a task that takes too long, at once. Where tasks must not
    fail, they have no bounds.

    Args:
        num_workers: processes.
        seconds: how long one task may take, None for ever.
        memory_bytes: what a process may take beside what it has when it begins, in addresses.
            Beyond it a task meets a MemoryError, or dies. None for no bound.
        prepare: a function of a module that every process begins with, before other imports.
    """

    def __init__(
        self,
        num_workers: int,
        seconds: float | None = None,
        memory_bytes: int | None = None,
        prepare: Callable[[], None] | None = None,
    ):
        self._num_workers = num_workers
        self._bounds = seconds, memory_bytes
        self._prepare = prepare
        self._processes: list[_Process] = []

    def map(
        self,
        function: Callable,
        tasks: Iterable[tuple],
        failed: Callable[[tuple, str], Any] | None = None,
        chunk: int = CHUNK,
    ) -> Iterator[Any]:
        """Yields `function(*task)` for each task, in order, a bounded number ahead of the caller.

        Args:
            function: a function of a module.
            tasks: the arguments of each call; drawn as they are needed.
            failed: given a task and what befell it, returns its result. Without it tasks have no
                bounds, and a death is an error, as an exception of `function` is.
            chunk: tasks sent to a process at once.
        """
        queue = _Queue(tasks, chunk, 4 * chunk * self._num_workers)
        seconds, memory_bytes = (None, None) if failed is None else self._bounds
        deaths: Counter = Counter()

        def replace(process: _Process, reason: str, attempts: int) -> None:
            """Gives the tasks of a dead process to a new one, but for what killed it."""
            process.kill()
            if not process.is_ready:
                raise WorkerError("a worker process ended before it could begin")
            successor = _Process(self._prepare)
            self._processes[self._processes.index(process)] = successor
            successor.begin(function, memory_bytes)
            if process.sent:
                index, task, _ = process.sent[0]
                deaths[index] += 1
                if deaths[index] >= attempts:
                    if failed is None:
                        raise WorkerError(f"{reason}: {task!r:.200}")
                    queue.results[index] = failed(task, reason)
                    process.sent.popleft()
            queue.again.extendleft(reversed(process.sent))

        self._begin(function, memory_bytes)
        while True:
            for process in self._processes:
                process.feed(queue)
            if queue.following in queue.results:
                yield queue.pop()
                continue
            if not any(process.sent for process in self._processes) and queue.is_empty():
                return
            for process in self._wait():
                try:
                    process.receive(queue.results)
                except (EOFError, OSError):
                    replace(process, DIED, attempts=2)
            for process in list(self._processes):
                if seconds is not None and process.seconds_busy > seconds:
                    replace(process, f"took more than {seconds:g} seconds", attempts=1)

    def _wait(self) -> list["_Process"]:
        """Returns the processes that have something to say. Their clocks run only meanwhile."""
        begun = time.monotonic()
        ready = connection.wait([process.pipe for process in self._processes], timeout=0.5)
        waited = time.monotonic() - begun
        for process in self._processes:
            process.seconds_busy += waited if process.is_ready and process.sent else 0.0
        return [process for process in self._processes if process.pipe in ready]

    def _begin(self, function: Callable, memory_bytes: int | None) -> None:
        """Makes every process ready for a function: those there are, unless they are busy."""
        for process in self._processes:
            if process.sent or not process.is_ready:
                process.kill()
        idle = [process for process in self._processes if process.is_alive]
        missing = range(self._num_workers - len(idle))
        self._processes = idle + [_Process(self._prepare) for _ in missing]
        for process in self._processes:
            process.begin(function, memory_bytes)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        for process in self._processes:
            process.kill()
        self._processes = []


class _Queue:
    """The tasks that are still to be sent, and the results that are still to be yielded."""

    def __init__(self, tasks: Iterable[tuple], chunk: int, ahead: int):
        self._tasks = enumerate(tasks)
        self._drawn = 0
        self._chunk, self._ahead = chunk, ahead
        # What a process may have waiting: it shall not wait for the caller, nor others for it.
        self.enough = max(chunk // 2, 2)
        self.again: deque = deque()
        self.results: dict[int, Any] = {}
        self.following = 0  # The number of the next result.

    def next_chunk(self) -> list[tuple[int, tuple, bytes]]:
        """Returns the numbers, tasks and messages of the next tasks, none if it is too early."""
        chunk: list[tuple[int, tuple, bytes]] = []
        num_bytes = 0
        while len(chunk) < self._chunk and num_bytes < CHUNK_BYTES:
            if self.again:
                chunk.append(self.again.popleft())
            elif self._drawn < self.following + self._ahead and (task := next(self._tasks, None)):
                self._drawn += 1
                chunk.append((*task, pickle.dumps(task, pickle.HIGHEST_PROTOCOL)))
            else:
                break
            num_bytes += len(chunk[-1][2])
        return chunk

    def is_empty(self) -> bool:
        """Says whether nothing is left to send."""
        if not self.again and (task := next(self._tasks, None)):
            self._drawn += 1
            self.again.append((*task, pickle.dumps(task, pickle.HIGHEST_PROTOCOL)))
        return not self.again

    def pop(self) -> Any:
        """Returns the next result."""
        self.following += 1
        return self.results.pop(self.following - 1)


class _Process:
    """One process and what it was sent.

    Attributes:
        pipe: to it and from it.
        sent: (number, task, message) of each task that it has not answered.
        is_ready: whether it has done its imports.
        seconds_busy: how long it has had the first of `sent`.
    """

    def __init__(self, prepare: Callable[[], None] | None):
        # Spawned, not forked: the parent may hold TensorFlow's threads.
        spawn = multiprocessing.get_context("spawn")
        self.pipe, theirs = spawn.Pipe()
        self._process = spawn.Process(target=_serve, args=(theirs, prepare), daemon=True)
        # Ctrl-C is the parent's to answer, also while this process does its imports.
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self._process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        theirs.close()
        self.sent: deque = deque()
        self.is_ready = False
        self.seconds_busy = 0.0

    @property
    def is_alive(self) -> bool:
        return not self.pipe.closed and self._process.is_alive()

    def begin(self, function: Callable, memory_bytes: int | None) -> None:
        """Tells it what to do with tasks. Until it has the modules of that it is not ready."""
        self.is_ready = False
        with contextlib.suppress(OSError):
            self.pipe.send(pickle.dumps((function, memory_bytes)))

    def feed(self, queue: _Queue) -> None:
        """Sends it tasks where it has few left, so that it need not wait for the caller."""
        while self.is_ready and len(self.sent) < queue.enough:
            chunk = queue.next_chunk()
            if not chunk:
                return
            messages = [message for _, _, message in chunk]
            if self.sent and sum(map(len, messages)) > SMALL_BYTES:
                # While it is busy this would fill the pipe, and the caller would wait for it.
                queue.again.extendleft(reversed(chunk))
                return
            # What cannot be sent will be found missing when its pipe is read.
            with contextlib.suppress(OSError):
                self.pipe.send(messages)
            self.sent.extend(chunk)

    def receive(self, results: dict[int, Any]) -> None:
        """Reads one answer. Raises `EOFError` where the process is gone."""
        index, result, error = self.pipe.recv()
        self.seconds_busy = 0.0
        if index == READY:
            self.is_ready = True
            return
        self.sent.popleft()
        if error is not None:
            raise error
        results[index] = result

    def kill(self) -> None:
        """Ends it, whatever it is doing."""
        self._process.kill()
        self._process.join()
        self.pipe.close()


def _serve(pipe, prepare: Callable[[], None] | None) -> None:
    """Answers tasks until the pipe is closed: the life of a process."""
    if prepare is not None:
        prepare()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # As before: it was blocked by the parent.
    function: Callable  # The first message says which.
    with contextlib.suppress(EOFError, OSError):
        while True:
            messages = pipe.recv()
            if isinstance(messages, bytes):
                _limit_memory(None)  # Modules may take what they need.
                function, memory_bytes = pickle.loads(messages)
                _limit_memory(memory_bytes)
                pipe.send((READY, None, None))
                continue
            for message in messages:
                index, task = pickle.loads(message)
                result = error = None
                try:
                    result = function(*task)
                except Exception as caught:
                    error = caught
                pipe.send((index, result, error))


def _limit_memory(memory_bytes: int | None) -> None:
    """Bounds the addresses that this process may take from now on, where the system can."""
    try:
        import resource

        with open("/proc/self/statm") as file:
            taken = int(file.read().split()[0]) * resource.getpagesize()
        _, most = resource.getrlimit(resource.RLIMIT_AS)
        bound = most if memory_bytes is None else taken + memory_bytes
        resource.setrlimit(resource.RLIMIT_AS, (bound, most))
    except (ImportError, OSError, ValueError):
        return
