"""The notes of a measure one after another -> where each begins, in quarters.

What goes wrong in durations is put right here: tuplets that a file's divisions cannot hold.
"""

import math
import operator
from collections.abc import Callable
from typing import Any, NamedTuple

from magenta_vae.music.bars import TOLERANCE

STEP_QUARTERS = 0.25
_PLACES = 1_000_000  # Of a quarter: what is closer is one place.


class Event(NamedTuple):
    """What begins after so many of a voice's durations.

    Attributes:
        num_passed: how many of them.
        value: a note, a tempo.
        quarters: how long it lasts, None for as long as the duration that begins there.
    """

    num_passed: int
    value: Any
    quarters: float | None = None


class Voice:
    """What a measure holds from one step back to the next.

    Attributes:
        written: where it begins, in quarters as they are written.
        durations: quarters of its notes and rests, one after another.
        events: what begins at them.
    """

    def __init__(self, written: float, start: float):
        self.written = written
        self.durations: list[float] = []
        self.events: list[Event] = []
        self._passed = [written]  # As written: a step back is counted from there.
        self._start = start
        self._kinds: list[str | None] = []
        self._is_known: list[bool] = []

    @property
    def now(self) -> float:
        """Quarters that have passed since the start of the measure, as written."""
        return self._passed[-1]

    def add(self, value: Any, quarters: float | None = None) -> None:
        """Adds what begins now."""
        self.events.append(Event(len(self.durations), value, quarters))

    def add_to_last(self, value: Any, quarters: float) -> None:
        """Adds what begins with the last duration, as the notes of a chord do."""
        written = self._passed[-1] - self._passed[-2]
        same = abs(written - quarters) < TOLERANCE
        self.events.append(Event(len(self.durations) - 1, value, None if same else quarters))

    def advance(self, written: float, exact: float | None = None, kind: str | None = None) -> None:
        """Lets a duration pass.

        Args:
            written: quarters as they are written.
            exact: quarters as they are meant, where that is known for sure.
            kind: the written value, as `eighth`, where there is one.
        """
        self._passed.append(self._passed[-1] + written)
        self.durations.append(written if exact is None else exact)
        self._is_known.append(exact is not None)
        self._kinds.append(kind)

    def places(self, metre: float | None, divisions: float) -> list[float]:
        """Returns the quarter at which each duration begins, and the last one ends.

        Args:
            metre: the quarters of its bar, None where that is not known.
            divisions: of a quarter, to which durations were rounded.
        """
        durations = self.durations
        if metre is not None and abs(self._start + sum(durations) - metre) > TOLERANCE:
            is_sure = map(operator.or_, self._is_known, map(_is_value, self._kinds, durations))
            durations = _meant(durations, list(is_sure), metre - self._start, divisions)
        places = [self._start]
        for quarters in durations:
            places.append(places[-1] + quarters)
        return places

    def written_places(self, places: list[float]) -> dict[int, float]:
        """Returns places by the quarters as written, in units of `place_of`."""
        return dict(zip(map(place_of, self._passed), places, strict=True))


def place_of(quarters: float) -> int:
    """Returns a key for quarters that differ by rounding errors alone."""
    return round(quarters * _PLACES)


def tuplet_quarters(
    kind: str | None, num_dots: int, actual: float, normal: float, quarters: float, divisions: float
) -> float:
    """Returns the quarters of a tuplet's note, exact where its duration was rounded.

    Args:
        kind: its written value, as `eighth`.
        num_dots: the dots behind it.
        actual, normal: so many of these in the time of so many.
        quarters: its duration.
        divisions: of a quarter, to which durations were rounded.
    """
    if kind not in _KINDS or not (actual > 0 and normal > 0):
        return quarters
    exact = _KINDS[kind] * (2 - 0.5**num_dots) * normal / actual
    return exact if abs(exact - quarters) < 1 / divisions else quarters


_KINDS = {
    "breve": 8.0, "whole": 4.0, "half": 2.0, "quarter": 1.0, "eighth": 1 / 2, "16th": 1 / 4,
    "32nd": 1 / 8, "64th": 1 / 16, "128th": 1 / 32, "256th": 1 / 64,
}  # fmt: skip


def _is_value(kind: str | None, quarters: float) -> bool:
    """Says whether a duration is what its written value, with up to two dots, says."""
    dotted = (_KINDS.get(kind or "", 0.0) * dots for dots in (1, 1.5, 1.75))
    return any(abs(written - quarters) < TOLERANCE for written in dotted)


def _meant(
    durations: list[float], is_sure: list[bool], quarters: float, divisions: float
) -> list[float]:
    """Returns durations that fill so many quarters, where rounded ones miss them by a little."""
    for nearest in (math.floor, math.ceil):  # Three of 2 divisions may stand for 4 or for 8.
        thirds = _with_exact_thirds(durations, is_sure, divisions, nearest)
        if abs(sum(thirds) - quarters) < TOLERANCE:
            return thirds
    total = sum(durations)
    # Less than a step too much is no note too much.
    if not all(is_sure) and 0 < quarters < total < quarters + STEP_QUARTERS - TOLERANCE:
        return [duration * quarters / total for duration in durations]
    return durations


def _with_exact_thirds(
    durations: list[float], is_sure: list[bool], divisions: float, nearest: Callable[[float], int]
) -> list[float]:
    """Returns durations with each three that are a triplet in whole divisions made exact."""
    exact = list(durations)
    index = 0
    while index + 2 < len(exact):
        three = slice(index, index + 3)
        third = exact[index]
        if third > 0 and exact[three] == [third] * 3 and not any(is_sure[three]):
            whole = 2.0 ** nearest(math.log2(3 * third))
            if 0 < abs(third - whole / 3) < 1 / divisions:
                exact[three] = [whole / 3] * 3
                index += 2
        index += 1
    return exact
