"""Measures as they are written -> where each begins on the bar grid.

A bar line never moves: a measure begins where its bar does, however its notes and rests add up.
"""

from collections.abc import Sequence
from typing import NamedTuple

from magenta_vae.music.songs import SongError

QUARTERS_PER_BAR = 4.0
TOLERANCE = 1e-3  # Quarters: sums of durations carry rounding errors.
# Of measures without a time signature, those that may have another length than a bar of 4/4: a
# rest that was forgotten is no change of metre.
MAX_ODD_SHARE = 0.1


class Measure(NamedTuple):
    """What is known of one measure's length, in quarters.

    Attributes:
        metre: what its time signature says, None where there is none.
        content: where its last note or rest ends, in any part; 0 for an empty one.
        agreed: the length that each of several parts fills, None where they differ.
        is_implicit: whether it is not counted, as pick-ups and second halves are.
        is_apart: whether more than a plain bar line stands before it, a repeat or a double bar.
    """

    metre: float | None
    content: float
    agreed: float | None = None
    is_implicit: bool = False
    is_apart: bool = False

    @property
    def nominal(self) -> float:
        """The length of its bar by the time signature, or of a bar of 4/4."""
        return QUARTERS_PER_BAR if self.metre is None else self.metre

    @property
    def is_short(self) -> bool:
        """Whether something is in it, and less than its bar holds."""
        return 0 < self.content < self.nominal - TOLERANCE


def lay_out(measures: Sequence[Measure]) -> list[float]:
    """Returns where measures begin, in quarters since the start of the first bar.

    - A measure takes its bar: what it lacks is rest, what is too much sounds into the next bar.
    - Measures that a repeat, a double bar or the like divides, and that are one bar together, share
      that bar.
    - A pick-up ends where its bar does: the first measure, and a later one that is not counted or
      begins after a repeat or a double bar.
    - A measure that several parts all fill beyond its bar takes as many whole bars as it needs.
    """
    starts: list[float] = []
    bar = 0.0
    while len(starts) < len(measures):
        index = len(starts)
        sharing = _sharing(measures, index)
        first = measures[index]
        at = bar + (_missing(measures, index) if len(sharing) == 1 else 0.0)
        for measure in sharing:
            starts.append(at)
            at += measure.content
        bar += _num_bars(first) * first.nominal
    return starts


def check_lengths(measures: Sequence[Measure]) -> None:
    """Raises `SongError` where measures without a time signature are not bars of 4/4."""
    lengths = []
    index = 0
    while index < len(measures):
        sharing = _sharing(measures, index)
        if measures[index].metre is None and measures[index].content > 0:
            lengths.append((index, sum(measure.content for measure in sharing)))
        index += len(sharing)
    # A pick-up and what completes it at the end say nothing of the bars between them.
    ends = {0, len(measures) - 1}
    told = [
        length for at, length in lengths if at not in ends or length > QUARTERS_PER_BAR - TOLERANCE
    ]
    odd = [length for length in told if abs(length - QUARTERS_PER_BAR) > 0.25]
    is_told = len(told) > len(odd) or any(measure.metre is not None for measure in measures)
    if is_told and len(odd) <= MAX_ODD_SHARE * len(told):
        return
    length = (odd or [length for _, length in lengths] or [0.0])[0]
    raise SongError(
        "not 4/4",
        f"no time signature, and expected measures of 4 quarters, found one of {length:g}",
    )


def _sharing(measures: Sequence[Measure], index: int) -> Sequence[Measure]:
    """Returns the measures from one on that are a bar together, or that one alone."""
    nominal, total = measures[index].nominal, measures[index].content
    for end in range(index + 1, len(measures)):
        before, measure = measures[end - 1 : end + 1]
        is_divided = before.is_implicit or measure.is_implicit or measure.is_apart
        if not (before.is_short and measure.is_short and is_divided):
            break
        total += measure.content
        if total > nominal - TOLERANCE:
            if total < nominal + TOLERANCE:
                return measures[index : end + 1]
            break
    return measures[index : index + 1]


def _missing(measures: Sequence[Measure], index: int) -> float:
    """Returns the quarters of a bar that go before a measure: none, unless it is a pick-up."""
    measure = measures[index]
    is_last = index == len(measures) - 1
    is_pick_up = index == 0 or ((measure.is_implicit or measure.is_apart) and not is_last)
    return measure.nominal - measure.content if is_pick_up and measure.is_short else 0.0


def _num_bars(measure: Measure) -> int:
    if measure.agreed is None:
        return 1
    return max(1, int(-(-(measure.agreed - TOLERANCE) // measure.nominal)))
