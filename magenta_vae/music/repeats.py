"""The bars of a voice as they are written -> the order in which they are played."""

import dataclasses
from collections.abc import Sequence

from magenta_vae.music.placing import Contents
from magenta_vae.music.songs import MAX_BARS, SongError


@dataclasses.dataclass
class Bar:
    """What stands between two bar lines, in quarters.

    Attributes:
        metre: the quarters of a bar by the signature in force, None for none.
        signature: that signature.
        notes, tempos: as `Contents` has them.
        length: of its notes and rests.
        begins_repeat, ends_repeat: whether `|:` stands before it, `:|` behind it.
        turns: at which turns of the repeat it is played, where an ending begins with it.
        is_apart, ends_section: whether more than a plain bar line stands before it, or behind it.
    """

    metre: float | None
    signature: tuple[tuple[int, int], ...]
    notes: list = dataclasses.field(default_factory=list)
    tempos: list = dataclasses.field(default_factory=list)
    length: float = 0.0
    begins_repeat: bool = False
    ends_repeat: bool = False
    turns: tuple[int, ...] = ()
    is_apart: bool = False
    ends_section: bool = False

    @property
    def contents(self) -> Contents:
        """What it holds, to be placed."""
        return Contents(self.notes, self.tempos, self.length, self.length)


def played(bars: Sequence[Bar]) -> list[int]:
    """Returns the places of bars in the order in which they are played, repeats and all."""
    order: list[int] = []
    start, turn, at = 0, 1, 0
    turns: tuple[int, ...] = ()
    over: int | None = None  # Where a later ending is: it is as long as the one before it.
    while at < len(bars):
        bar = bars[at]
        if (bar.begins_repeat and at > start) or at == over:
            start, turn, turns, over = at, 1, (), None
        if bar.turns and turn not in bar.turns:
            end = at + 1
            while end < len(bars) and not (bars[end].turns or bars[end - 1].ends_repeat):
                end += 1
            at, over = end, 2 * end - at
            continue
        turns = bar.turns or turns
        order.append(at)
        if len(order) > MAX_BARS:
            raise SongError("too long", f"at most {MAX_BARS:,} bars with its repeats")
        at += 1
        if bar.ends_repeat and turn < max(2, *turns, _next_turn(bars, at)):
            at, turn, turns, over = start, turn + 1, (), None
        elif bar.ends_repeat or (bar.ends_section and turns and turn > 1):
            start, turn, turns, over = at, 1, (), None
    return order


def _next_turn(bars: Sequence[Bar], at: int) -> int:
    """Returns the last turn of an ending that begins at a bar, 0 for none."""
    return max(bars[at].turns, default=0) if at < len(bars) else 0
