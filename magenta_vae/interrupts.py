"""Ctrl-C in a command: one line and the status 130, whatever the command is doing."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator

STATUS = 130  # As a shell reports a process that Ctrl-C ended.


def take_over() -> None:
    """Has a KeyboardInterrupt that nothing catches end the process without a traceback."""
    show = sys.excepthook

    def show_all_others(kind, error, traceback):
        if issubclass(kind, KeyboardInterrupt):
            _end()
        show(kind, error, traceback)

    sys.excepthook = show_all_others


@contextlib.contextmanager
def at_once(before_end: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Has Ctrl-C end the process within, where nothing has been begun that wants an end of its own.

    An exception would not do while packages are imported: some catch it, and what C++ code makes of
    it is another error.

    Args:
        before_end: is called then.
    """
    before = signal.getsignal(signal.SIGINT)
    is_ours = before is signal.default_int_handler
    if not is_ours or threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(*_):
        before_end()
        _end()

    signal.signal(signal.SIGINT, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _end() -> None:
    with contextlib.suppress(Exception):
        sys.stdout.flush()
        sys.stderr.write("interrupted before anything was done\n")
        sys.stderr.flush()
    os._exit(STATUS)
