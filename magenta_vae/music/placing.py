"""Notes counted from their bar lines, and where those are -> the instruments of a song."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from magenta_vae.music import bars
from magenta_vae.music.songs import STEPS_PER_QUARTER, Instrument, quantize

TICKS_PER_QUARTER = 960_000  # Whole ticks before steps: sums of durations carry rounding errors.
VELOCITY = 80
# A tie goes on where its second note begins: rounded durations leave a gap, or reach into it.
MAX_TIE_GAP = 0.25


class Sound(NamedTuple):
    """What plays a note: a General MIDI program, or drums and the pitch of an unpitched note."""

    program: int = 0
    is_drum: bool = False
    pitch: int | None = None


class Note(NamedTuple):
    """What sounds, and whether a tie ends or begins at it."""

    pitch: int
    sound: Sound
    ends_tie: bool = False
    begins_tie: bool = False


class Contents(NamedTuple):
    """What a part has in one measure, in quarters since its bar line.

    Attributes:
        notes: (start, end) of each and what it is.
        tempos: (quarter, quarters per minute) of each.
        content: where its last note or rest ends; a rest of the whole measure is none.
        length: the same with such rests, as long as they are written.
    """

    notes: list[tuple[float, float, Note]]
    tempos: list[tuple[float, float]]
    content: float
    length: float


class Placed(NamedTuple):
    """A note in quarters since the start of the song's first bar."""

    start: float
    end: float
    pitch: int
    sound: Sound


def place(contents: Sequence[Contents], starts: Sequence[float]) -> list[Placed]:
    """Returns the notes of a part at their places in the song, tied ones joined.

    Args:
        contents: of the part's measures; there may be fewer than those of other parts.
        starts: where measures begin, in quarters since the start of the song.
    """
    notes: list[Placed] = []
    tied: dict[
        tuple, list[tuple[int, float]]
    ] = {}  # Notes, and where what they are tied to begins.
    for start, following, measure in zip(starts, [*starts[1:], None], contents, strict=False):
        for begin, end, note in measure.notes:
            placed = Placed(start + begin, start + end, note.pitch, note.sound)
            at = _tied_to(placed, tied, notes) if note.ends_tie else None
            if at is None:
                at = len(notes)
                notes.append(placed)
            else:
                notes[at] = notes[at]._replace(end=max(notes[at].end, placed.end))
            if note.begins_tie:
                # A measure may be too short: the tie goes over its bar line all the same.
                wanted = placed.end
                if following is not None and end > measure.content - bars.TOLERANCE:
                    wanted = following
                tied.setdefault((note.sound, note.pitch), []).append((at, wanted))
    return notes


def instruments(name: str, notes: list[Placed]) -> Iterator[Instrument]:
    """Yields an instrument for each program that a part uses."""
    groups: dict[tuple[int, bool], list[Placed]] = {}
    for note in notes:
        groups.setdefault((note.sound.program, note.sound.is_drum), []).append(note)
    for (program, is_drum), group in groups.items():
        quarters = np.array([(note.start, note.end) for note in group])
        ticks = np.rint(quarters * TICKS_PER_QUARTER).astype(np.int64)
        starts, ends = quantize(ticks[:, 0], ticks[:, 1], TICKS_PER_QUARTER)
        pitches = np.array([note.pitch for note in group], np.int32)
        velocities = np.full(len(group), VELOCITY, np.int32)
        yield Instrument(program, is_drum, name, starts, ends, pitches, velocities)


def tempos(
    columns: Sequence[Sequence[Contents]], starts: Sequence[float]
) -> tuple[tuple[float, float], ...]:
    """Returns (step, quarters per minute) of the tempos of all parts, each once and in order.

    Args:
        columns: the measures of each part.
        starts: where each measure begins, in quarters.
    """
    tempos_of_parts = {
        ((start + quarter) * STEPS_PER_QUARTER, qpm)
        for contents in columns
        for start, measure in zip(starts, contents, strict=False)
        for quarter, qpm in measure.tempos
    }
    return tuple(sorted(tempos_of_parts))


def _tied_to(
    note: Placed, tied: dict[tuple, list[tuple[int, float]]], notes: list[Placed]
) -> int | None:
    """Returns the note that a tie joins to another, taking it from those begun; None for none."""
    begun = tied.get((note.sound, note.pitch), [])
    gaps = [
        (abs(note.start - wanted), index, wanted)
        for index, wanted in begun
        if notes[index].start < note.start
    ]
    if not gaps or min(gaps)[0] > MAX_TIE_GAP + bars.TOLERANCE:
        return None
    _, index, wanted = min(gaps)
    begun.remove((index, wanted))
    return index
