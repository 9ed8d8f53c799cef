"""What a run does on its held-out split: evaluate, write the curves, keep the best weights."""

from collections.abc import Callable

from magenta_vae.training.checkpoints import BestCheckpoint
from magenta_vae.training.signals import StopRequest
from magenta_vae.training.summaries import Summaries


class HeldOut:
    """The evaluations of a run.

    Args:
        evaluate: (step) -> scalars, `loss` among them.
        summaries: where the scalars go.
        best: where the weights of the lowest loss go.
        stop: a signal breaks an evaluation off; the process that goes on makes it.
        every: steps from one evaluation to the next.
        last_step: is evaluated too.
        show: writes more with `tf.summary`.
        show_every: evaluations from one show to the next, the last shows too; 0 for none.
    """

    def __init__(
        self,
        evaluate: Callable[[int], dict[str, float]],
        summaries: Summaries,
        best: BestCheckpoint,
        stop: StopRequest,
        every: int,
        last_step: int,
        show: Callable[[], None] = lambda: None,
        show_every: int = 0,
    ):
        self._evaluate = evaluate
        self._summaries = summaries
        self._best = best
        self._stop = stop
        self._every = every
        self._last_step = last_step
        self._show = show
        self._show_every = show_every

    def is_due(self, step: int) -> bool:
        """Says whether a step is evaluated."""
        return step > 0 and (step % self._every == 0 or step == self._last_step)

    def look(self, step: int) -> None:
        """Evaluates the current weights if that is due.

        Raises:
            BrokenOff: where a signal came.
        """
        if self.is_due(step):
            with self._stop.breaking_off():
                scalars = self._evaluate(step)
                self._summaries.write("eval", step, scalars)
                if self._is_shown(step):
                    with self._summaries.writing("eval", step):
                        self._show()
            self._best.offer(step, scalars["loss"])

    def _is_shown(self, step: int) -> bool:
        if not self._show_every:
            return False
        return step % (self._every * self._show_every) == 0 or step == self._last_step
