"""Time signatures -> bars of 4/4: which of them bars stand under, and where the bars begin."""

import itertools
from collections.abc import Collection, Sequence
from typing import NamedTuple

STEPS_PER_WHOLE = 16  # paper, Dataset: "sixteen notes per bar", of 4/4
COMMON_TIME = (4, 4)

Metre = tuple[int, int]  # Numerator, denominator.


class Signature(NamedTuple):
    """A time signature and the step that it stands at."""

    step: int
    metre: Metre

    @property
    def bar_steps(self) -> float:
        """The length of its bar in steps, 0 where it says nothing."""
        numerator, denominator = self.metre
        return STEPS_PER_WHOLE * numerator / denominator if denominator else 0.0


def settle(
    signatures: Sequence[Signature], last_step: int, metres: Collection[Metre] = (COMMON_TIME,)
) -> tuple[list[Signature], int]:
    """Leaves out the signatures that no bar stands under, and those of a pick-up.

    No bar stands under one that is replaced at its own step, or that follows the last note. A
    pick-up is a short bar at the start, under a signature of its own, before one of `metres`; the
    last bar may be what is missing of it.

    Args:
        signatures: of a song from its start on, in any order but for those of one step.
        last_step: where its last note ends.
        metres: what a pick-up may stand before.

    Returns:
        The signatures that are left, and the steps to move everything by, so that the pick-up is at
        the end of a whole bar. The signatures are moved already.
    """
    ordered = sorted(signatures, key=lambda signature: signature.step)
    standing = [
        signature
        for signature, following in itertools.pairwise(
            [*ordered, Signature(last_step, COMMON_TIME)]
        )
        if signature.step < min(following.step, last_step)
    ]
    if not _begins_with_pick_up(standing, metres):
        return standing, 0
    up_steps, bar_steps = standing[1].step, standing[1].bar_steps
    shift = int(bar_steps - up_steps)
    standing = move(standing[1:], shift)
    last = standing[-1]
    is_rest_of_bar = last.bar_steps == shift and last_step + shift <= last.step + shift
    if is_rest_of_bar and last.step % bar_steps == 0:
        standing.pop()
    return standing, shift


def move(signatures: Sequence[Signature], steps: int) -> list[Signature]:
    """Returns signatures so many steps later."""
    return [signature._replace(step=signature.step + steps) for signature in signatures]


def align(signatures: Sequence[Signature]) -> int:
    """Returns the steps to move everything by, so that every bar begins where bars of 4/4 may.

    Bars of 1/4 or 2/4 are parts of bars of 4/4. What comes before the first signature of the
    longest bars goes to the end of a whole bar, as a pick-up does.

    Raises:
        ValueError: where that cannot be, with the first signature that is off.
    """
    longest = max((signature.bar_steps for signature in signatures), default=STEPS_PER_WHOLE)
    first = next((signature.step for signature in signatures if signature.bar_steps == longest), 0)
    shift = int(-first % longest)
    for signature in signatures:
        off = (signature.step + shift) % signature.bar_steps
        if off:
            raise ValueError(f"{name(signature.metre)} begins {off:g} sixteenths after a bar line")
    return shift


def name(metre: Metre) -> str:
    """Returns how a metre is written, as in 3/4."""
    return f"{metre[0]}/{metre[1]}"


def parse_name(text: str) -> Metre:
    """Returns the metre of a name.

    Raises `ValueError` for one whose bars make no bar of 4/4, one, two, four or more together.
    """
    numerator, _, denominator = text.partition("/")
    if numerator.isdecimal() and denominator.isdecimal() and int(numerator) * int(denominator):
        bar_steps = Signature(0, (int(numerator), int(denominator))).bar_steps
        if bar_steps >= 1 and STEPS_PER_WHOLE % bar_steps == 0:
            return int(numerator), int(denominator)
    raise ValueError(
        f"expected a metre whose bars make up a bar of 4/4, such as 1/4, 2/4 or 2/2. "
        f"Received: {text!r}."
    )


def _begins_with_pick_up(signatures: Sequence[Signature], metres: Collection[Metre]) -> bool:
    if len(signatures) < 2:
        return False
    first, second = signatures[:2]
    return (
        first.step == 0
        and first.metre not in metres
        and second.metre in metres
        and second.step <= first.bar_steps
        and second.step < second.bar_steps
    )
