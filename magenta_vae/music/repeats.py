"""The bars of a voice as they are written -> the order in which they are played."""

import dataclasses
import itertools
import re
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
        part: the name that P: gave to it and others.
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
    part: str = ""
    is_apart: bool = False
    ends_section: bool = False

    @property
    def contents(self) -> Contents:
        """What it holds, to be placed."""
        return Contents(self.notes, self.tempos, self.length, self.length)


def expand(order: str) -> str:
    """Returns the parts that the order of a tune names one by one: `(AB)2C` is `ABABC`.

    Nothing where it names but one, or none: words that stand there are no order.
    """
    order = re.sub(r"[\s.,]", "", order)
    while match := re.search(r"\(([^()]*)\)(\d*)|([A-Za-z])(\d+)", order):
        names, number = match[1] or match[3] or "", int(match[2] or match[4] or 1)
        if len(names) * number > MAX_BARS:
            raise SongError("too long", f"at most {MAX_BARS:,} parts, found P:{order[:20]}")
        order = order[: match.start()] + names * number + order[match.end() :]
    return order if re.fullmatch("[A-Z]{2,}|[a-z]{2,}", order) else ""


def played_by_parts(bars: Sequence[Bar], order: str) -> list[int]:
    """Returns the places of bars as they are played, parts in their order where there is one.

    What stands before the first part is played once.
    """
    if not order:
        return played(bars)
    places: dict[str, list[int]] = {}
    for name, group in itertools.groupby(range(len(bars)), lambda at: bars[at].part):
        if name in places:
            raise SongError("parts in an order", f"part {name} stands in the tune twice")
        places[name] = list(group)
    missing = [name for name in order if name not in places]
    if missing:
        raise SongError("parts in an order", f"no part {missing[0]} is in the tune: P:{order[:20]}")
    indices = []
    for name in [""] * ("" in places) + list(order):
        section = places[name]
        indices += [section[at] for at in played(bars[section[0] : section[-1] + 1])]
        if len(indices) > MAX_BARS:
            raise SongError("too long", f"at most {MAX_BARS:,} bars with its repeats")
    return indices


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
        # An ending with nothing before it, as `:|2` without a `|1`, is played.
        if bar.turns and turn not in bar.turns and (at > start or turn > 1):
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
