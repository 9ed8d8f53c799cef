"""Progress, for whoever watches: one live line in a terminal, a line now and then elsewhere.

What takes long says how far it is by `track` and `show`. In a program that uses the package nobody
sees that; a command, which has the terminal to itself, opens a `Display`.
"""

import contextlib
import io
import math
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import IO, TypeVar

from tqdm import tqdm

Item = TypeVar("Item")

DELAY_SECONDS = 0.5  # What is done sooner needs no line.
REDRAW_SECONDS = 0.1
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 10.0, 60.0  # From one plain line to the next.

_display: "Display | None" = None


def track(items: Iterable[Item], what: str, total: int | None = None) -> Iterable[Item]:
    """Returns the items as they are; where a display is open it shows how many are done.

    Args:
        items: what is worked on, one after another.
        what: what is done, as in `decoding`.
        total: how many items there are, where `len` does not say.
    """
    if _display is None:
        return items
    if total is None and isinstance(items, Sized):
        total = len(items)
    return _display.track(items, what, total)


def show(line: str) -> None:
    """Shows a line that the next one replaces, where a display is open."""
    if _display is not None:
        _display.show(line)


def write(line: str, stream: IO[str] | None = None) -> None:
    """Writes a line that stays, at once, also into a pipe; a live line goes on below it.

    Args:
        line: may hold several.
        stream: standard output by default.
    """
    stream = stream or sys.stdout
    with _display.away() if _display else contextlib.nullcontext():
        print(line, file=stream, flush=True)


@contextlib.contextmanager
def opened(stream: IO[str] | None = None) -> Iterator["Display"]:
    """Opens a display for the functions of this module.

    Args:
        stream: where it shows; standard error by default, which leaves standard output to results.
    """
    global _display
    before, _display = _display, Display(stream or sys.stderr or io.StringIO())
    try:
        yield _display
    finally:
        _display.clear()
        _display = before


@contextlib.contextmanager
def hidden() -> Iterator[None]:
    """Shows nothing within: what works in several threads at once has no one line to show."""
    global _display
    before, _display = _display, None
    try:
        yield
    finally:
        _display = before


class Display:
    """Shows progress on a stream.

    In a terminal the newest line stands alone at the bottom and is gone at the end. Elsewhere lines
    are written rarely, since all of them stay: after ten seconds, later once a minute.

    Args:
        stream: text.
        clock: seconds.
    """

    def __init__(self, stream: IO[str], clock: Callable[[], float] = time.monotonic):
        self._stream = stream
        self._clock = clock
        self._is_live = stream.isatty()
        self._bar: tqdm | None = None
        self._is_tracking = False
        self._begun = self._written = clock()

    def show(self, line: str) -> None:
        """Shows a line in the place of the last one."""
        if self._is_live:
            if self._bar is None:
                self._bar = self._open_bar(bar_format="{desc}", mininterval=0)
            self._bar.set_description_str(line[: self._num_columns() - 1])
        elif self._is_due(self._begun):
            print(line, file=self._stream, flush=True)

    def track(self, items: Iterable[Item], what: str, total: int | None) -> Iterator[Item]:
        """Yields the items, and shows how many are done and how long the rest takes.

        Of work within other work that is tracked nothing is shown.
        """
        if self._is_tracking:
            yield from items
            return
        self.clear()
        self._is_tracking = True
        try:
            yield from (self._track_live if self._is_live else self._track)(items, what, total)
        finally:
            self._is_tracking = False
            self.clear()

    def _track_live(self, items: Iterable[Item], what: str, total: int | None) -> Iterator[Item]:
        self._bar = bar = self._open_bar(
            desc=what, total=total, delay=DELAY_SECONDS, mininterval=REDRAW_SECONDS
        )
        for item in items:
            yield item
            bar.update()

    def _track(self, items: Iterable[Item], what: str, total: int | None) -> Iterator[Item]:
        begun = self._clock()
        for number, item in enumerate(items, start=1):
            yield item
            if number != total and self._is_due(begun):
                line = _describe(what, number, total, self._clock() - begun)
                print(line, file=self._stream, flush=True)

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        """Takes the live line off the terminal while something else is written there."""
        if not self._is_tracking:
            self.clear()  # What it said is old.
        is_there = self._bar is not None
        with tqdm.external_write_mode(self._stream) if is_there else contextlib.nullcontext():
            yield

    def clear(self) -> None:
        """Takes the live line off the terminal."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _open_bar(self, **options) -> tqdm:
        tqdm.monitor_interval = 0  # A thread that redraws what does not move.
        return tqdm(file=self._stream, leave=False, dynamic_ncols=True, **options)

    def _num_columns(self) -> int:
        """Returns the width of the terminal."""
        try:
            return os.get_terminal_size(self._stream.fileno()).columns or 80
        except (OSError, ValueError):
            return 80

    def _is_due(self, begun: float) -> bool:
        """Says whether it is time for a plain line about work that was begun then."""
        now = self._clock()
        pause = min(max(FIRST_PAUSE_SECONDS, (now - begun) / 30), LONGEST_PAUSE_SECONDS)
        if now - max(begun, self._written) < pause:
            return False
        self._written = now
        return True


def format_seconds(seconds: float) -> str:
    """Returns hours, minutes and seconds, as in 1:02:03 or 2:03."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def format_duration(seconds: float) -> str:
    """Returns a number in the unit that suits it, as in 1.8 hours or 42 seconds."""
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.2g} seconds" if seconds < 10 else f"{seconds:.0f} seconds"


def _describe(what: str, number: int, total: int | None, seconds: float) -> str:
    if total is None:
        return f"{what}: {number:,} done"
    left = math.ceil(seconds / number * (total - number))
    return f"{what}: {number:,} of {total:,}, {format_seconds(left)} left"
