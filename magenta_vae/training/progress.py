"""Where a run stands, how fast it goes, and how long it will take."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping

from magenta_vae.display import format_seconds


def count_steps(first: int, last: int) -> float:
    """Returns how much work the steps from one to another are, where all are alike."""
    return last - first


class Progress:
    """Times a run between updates.

    Args:
        step: where the run begins.
        max_steps: where it ends.
        work: how much work the steps from one to another are, where steps are not all alike.
    """

    def __init__(
        self,
        step: int,
        max_steps: int,
        work: Callable[[int, int], float] = count_steps,
    ):
        self._step = step
        self._max_steps = max_steps
        self._work = work
        self._seconds_per_work: float | None = None
        self.restart()

    def restart(self) -> None:
        """Forgets the time since the last update, which went into something else than steps."""
        self._since = time.perf_counter()
        self._waited = 0.0

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Counts what runs within as waiting for input."""
        start = time.perf_counter()
        yield
        self._waited += time.perf_counter() - start

    def update(self, step: int) -> dict[str, float]:
        """Returns the rates since the last update: steps a second, share of time spent waiting."""
        seconds = time.perf_counter() - self._since
        rates = {
            "steps_per_second": (step - self._step) / seconds,
            "input_wait_share": self._waited / seconds,
        }
        latest = seconds / self._work(self._step, step)
        if self._seconds_per_work is None or latest < self._seconds_per_work / 4:
            # The first call traces the graph: it says nothing about the others.
            self._seconds_per_work = latest
        self._seconds_per_work += 0.2 * (latest - self._seconds_per_work)
        self._step = step
        self.restart()
        return rates

    def line(self, scalars: Mapping[str, float]) -> str:
        """Returns one line for people: step, loss, KL, accuracy, speed, time left."""
        accuracies = [value for name, value in scalars.items() if name.startswith("accuracy/")]
        accuracy = f"  accuracy {sum(accuracies) / len(accuracies):.3f}" if accuracies else ""
        left = self._work(self._step, self._max_steps) * (self._seconds_per_work or 0.0)
        return (
            f"step {self._step:,}/{self._max_steps:,}"
            f"  loss {scalars['loss']:.2f}"
            f"  kl {scalars['kl']:.2f}"
            f"{accuracy}  {scalars['steps_per_second']:.2f} steps/s"
            f"  {format_seconds(left)} left"
        )
