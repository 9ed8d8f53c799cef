"""What a run does on its held-out split: evaluate, write the curves, keep the best weights."""

import dataclasses
from collections.abc import Callable

from magenta_vae.training.checkpoints import BestCheckpoint
from magenta_vae.training.signals import StopRequest
from magenta_vae.training.summaries import Summaries


@dataclasses.dataclass(frozen=True)
class HeldOut:
    """What is asked of the held-out split.

    Args:
        evaluate: (step) -> scalars, `loss` among them.
        show: writes more with `tf.summary`.
    """

    evaluate: Callable[[int], dict[str, float]]
    show: Callable[[], None] = lambda: None


class Evaluations:
    """The evaluations of a run.

    Args:
        held_out: what is asked; None where nothing is held out.
        summaries: where the scalars go.
        best: where the weights of the lowest loss go.
        stop: a signal breaks an evaluation off; the process that goes on makes it.
        every: steps from one evaluation to the next.
        last_step: is evaluated too.
        show_every: evaluations from one show to the next, the last shows too; 0 for none.
    """

    def __init__(
        self,
        held_out: HeldOut | None,
        summaries: Summaries,
        best: BestCheckpoint,
        stop: StopRequest,
        every: int,
        last_step: int,
        show_every: int = 0,
    ):
        self._held_out = held_out
        self._summaries = summaries
        self._best = best
        self._stop = stop
        self._every = every
        self._last_step = last_step
        self._show_every = show_every

    def is_due(self, step: int) -> bool:
        """Says whether a step is evaluated."""
        if self._held_out is None:
            return False
        return step > 0 and (step % self._every == 0 or step == self._last_step)

    def look(self, step: int) -> None:
        """Evaluates the current weights if that is due.

        Raises:
            BrokenOff: where a signal came.
        """
        if self._held_out is not None and self.is_due(step):
            with self._stop.breaking_off():
                scalars = self._held_out.evaluate(step)
                self._summaries.write("eval", step, scalars)
                if self._is_shown(step):
                    with self._summaries.writing("eval", step):
                        self._held_out.show()
            self._best.offer(step, scalars["loss"])

    def _is_shown(self, step: int) -> bool:
        if not self._show_every:
            return False
        return step % (self._every * self._show_every) == 0 or step == self._last_step
