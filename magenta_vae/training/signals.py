"""Asked to stop: SIGTERM and Ctrl-C end a run at a step that it saves."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator

NUMBERS = (signal.SIGTERM, signal.SIGINT)


class BrokenOff(BaseException):
    """Ends work that may be left undone: no `except Exception` on the way may take it."""


class TrainingStopped(Exception):
    """A run was asked to stop and did.

    Args:
        step: the step it stands at.
        checkpoint: the path of its newest checkpoint, None before the first step.
        number: the signal that asked, None where it came to another machine.
    """

    def __init__(self, step: int, checkpoint: str | None, number: int | None):
        number = number or signal.SIGTERM
        where = f"saved as {checkpoint}" if checkpoint else "before anything was learned"
        super().__init__(
            f"stopped by {signal.Signals(number).name} at step {step:,}, {where}. "
            "The same command goes on from there."
        )
        self.step = step
        self.exit_status = 128 + number  # As a shell reports a process that a signal ended.


class StopRequest:
    """Notes, while entered, SIGTERM and Ctrl-C instead of ending the process.

    A Ctrl-C after either interrupts at once. Python lets only the main thread take signals: entered
    in another one, this changes nothing. A signal that the process ignores stays ignored.

    Args:
        report: is told what happens now.
        may_break_off: whether `breaking_off` does so; of several machines none may stop alone.
    """

    def __init__(self, report: Callable[[str], None] = lambda line: None, may_break_off=True):
        self.number: int | None = None
        self._report = report
        self._may_break_off = may_break_off
        self._is_breaking_off = False
        self._before: dict = {}

    def __enter__(self) -> "StopRequest":
        if threading.current_thread() is threading.main_thread():
            for number in NUMBERS:
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *exception) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextlib.contextmanager
    def breaking_off(self) -> Iterator[None]:
        """Ends what runs within by `BrokenOff` as soon as a signal comes."""
        self._is_breaking_off = self._may_break_off
        try:
            if self._is_breaking_off and self.number is not None:
                raise BrokenOff
            yield
        finally:
            self._is_breaking_off = False

    def _note(self, number: int, frame) -> None:
        if self.number is not None:
            if number == signal.SIGINT:
                raise KeyboardInterrupt
            return
        self.number = number
        line = (
            f"{signal.Signals(number).name}: stopping after this call into TensorFlow; "
            "Ctrl-C stops at once, and loses the steps since the last checkpoint"
        )
        # On a thread: the main one may be in the middle of a print, which cannot be entered twice.
        threading.Thread(target=self._report, args=(line,)).start()
        if self._is_breaking_off:
            raise BrokenOff
