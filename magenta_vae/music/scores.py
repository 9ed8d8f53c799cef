"""MusicXML -> songs on the bar grid, compressed (.mxl) or not.

A score is read as it is written: repeats are not played. Its bar lines are the bars of the song: a
pick-up is put at the end of a whole bar, and no measure is longer or shorter than its bar.
"""

import collections
import contextlib
import gc
import itertools
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from magenta_vae.music import bars, placing, score_files
from magenta_vae.music.placing import Contents, Placed
from magenta_vae.music.score_files import is_musicxml
from magenta_vae.music.score_parts import BESIDE, UNPITCHED, Part
from magenta_vae.music.songs import (
    STEPS_PER_BAR,
    Instrument,
    Song,
    SongError,
    check_bars,
    check_num_notes,
)

__all__ = ["is_musicxml", "parse_musicxml"]

PLAIN_BARS = (None, "", "regular")
# MuseScore wrote every small note as a cue, which is silent, until 3.5 (its pull request 5821).
SOUNDING_CUES = re.compile(r"\s*MuseScore ([0-2]|3\.[0-4])\b")


def parse_musicxml(data: bytes) -> Song:
    """Parses a score. Raises `SongError` with the reason where that fails."""
    try:
        with _without_collector():
            return _song(score_files.parse_score(data))
    except SongError:
        raise
    # An attribute, child or number that is not there, or is no number.
    except (ArithmeticError, ValueError, LookupError, AttributeError, TypeError) as error:
        raise SongError("damaged MusicXML", f"{type(error).__name__}: {error}") from error


@contextlib.contextmanager
def _without_collector() -> Iterator[None]:
    """Keeps the garbage collector away from a tree of many small elements: half of the time.

    No element refers to another that refers to it, so nothing is left for the collector.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _song(root: ElementTree.Element) -> Song:
    columns = list(_columns(root))
    software = (element.text or "" for element in root.iterfind("identification/encoding/software"))
    has_sounding_cues = any(map(SOUNDING_CUES.match, software))
    parts = [Part(column.score_part, column.measures, has_sounding_cues) for column in columns]
    metres = _Metres()
    measures, contents = _read_measures(columns, parts, metres)
    starts = bars.lay_out(measures)
    instruments = tuple(
        instrument
        for part, contents_of_part in zip(parts, contents, strict=True)
        for instrument in placing.instruments(part.name, _placed(part, contents_of_part, starts))
    )
    _check_notes(parts, instruments)
    bars.check_lengths(measures)
    tempos = placing.tempos(contents, starts)
    left_out = (f"{part.label}: {_counted(part.left_out)}" for part in parts if part.left_out)
    return Song(instruments, metres.signatures, tempos, left_out=tuple(left_out))


class _Column(NamedTuple):
    """A part of a score: what the score says of it, its measures, and what numbers each of them."""

    score_part: ElementTree.Element
    measures: list[ElementTree.Element]
    frames: list[ElementTree.Element]


def _columns(root: ElementTree.Element) -> Iterator[_Column]:
    """Yields the parts of a score, however the file is arranged."""
    named = {part.attrib["id"]: part for part in root.iterfind("part-list/score-part")}
    columns: dict[str, _Column] = {}
    outer, inner = "part", "measure"
    if root.tag == "score-timewise":
        outer, inner = inner, outer
    for above in root.iterfind(outer):
        for below in above.iterfind(inner):
            part, frame = (above, below) if outer == "part" else (below, above)
            name = part.attrib["id"]
            if name not in columns:
                score_part = named.get(name, ElementTree.Element("score-part", id=name))
                columns[name] = _Column(score_part, [], [])
            columns[name].measures.append(below)
            columns[name].frames.append(frame)
    yield from columns.values()


class _Metres:
    """What the time signatures of a score say, measure by measure.

    Attributes:
        metre: the quarters of a bar, None where no signature is in force.
    """

    def __init__(self):
        self.metre: float | None = None
        self._next: float | None = None
        self._found: dict[tuple, list[tuple[int, int]]] = {}
        self._num_measures = 0

    @property
    def signatures(self) -> tuple[tuple[int, int], ...]:
        """(numerator, denominator) of all under which a measure stands, each once."""
        signatures = sorted(self._found.items(), key=lambda item: item[0][0])
        stood = (signature for (index, *_), signature in signatures if index < self._num_measures)
        return tuple(dict.fromkeys(itertools.chain.from_iterable(stood)))

    def read(self, together: Sequence[ElementTree.Element | None]) -> None:
        """Reads the signatures of one measure of all parts."""
        index = self._num_measures
        self._num_measures += 1
        self.metre = self._next
        for part, measure in enumerate(together):
            if measure is None or measure.find("attributes/time") is None:
                continue
            for time, is_before in _times(measure):
                signature = _signature(time)
                # Of two at one place the later holds; one at the end is the next measure's.
                self._found[index + (not is_before), part, time.get("number")] = signature
                self._next = sum(4 * n / d for n, d in signature) or None
                self.metre = self._next if is_before else self.metre


def _times(measure: ElementTree.Element) -> Iterator[tuple[ElementTree.Element, bool]]:
    """Yields the time signatures of a measure and whether each stands before its notes."""
    is_before = True
    for element in measure:
        if element.tag in ("note", "forward"):
            is_before = False
        for time in element.iterfind("time") if element.tag == "attributes" else ():
            yield time, is_before


def _signature(time: ElementTree.Element) -> list[tuple[int, int]]:
    """Returns (numerator, denominator) of a time signature's parts, none where it is free."""
    if time.find("senza-misura") is not None:
        return []
    signature = [
        (sum(int(number) for number in (beats.text or "").split("+")), int(kind.text or ""))
        for beats, kind in zip(time.iterfind("beats"), time.iterfind("beat-type"), strict=True)
    ]
    for numerator, denominator in signature:
        if numerator < 1 or denominator < 1:
            raise SongError("damaged MusicXML", f"a {numerator}/{denominator} time signature")
    return signature


def _read_measures(
    columns: list[_Column], parts: list[Part], metres: _Metres
) -> tuple[list[bars.Measure], list[list[Contents]]]:
    """Reads the measures of all parts side by side."""
    contents: list[list[Contents]] = [[] for _ in parts]
    measures: list[bars.Measure] = []
    before = None
    pairs = (zip(column.measures, column.frames, strict=True) for column in columns)
    for together in itertools.zip_longest(*pairs):
        present = [pair for pair in together if pair is not None]
        metres.read([pair and pair[0] for pair in together])
        for part, pair, of_part in zip(parts, together, contents, strict=True):
            if pair is not None:
                of_part.append(part.read(pair[0], metres.metre))
        read = [of_part[len(measures)] for of_part in contents if len(of_part) > len(measures)]
        measure, frame = present[0]
        is_implicit = frame.get("implicit") == "yes"
        length = max(each.length for each in read)
        content = max(each.content for each in read) or (length if is_implicit else 0.0)
        measures.append(
            bars.Measure(
                metre=metres.metre,
                content=content if metres.metre is None else min(content, metres.metre),
                agreed=_agreed(read, metres.metre) if len(present) == len(parts) > 1 else None,
                is_implicit=is_implicit,
                is_apart=before is not None and _is_apart(before, measure),
            )
        )
        before = measure
    return measures, contents


def _agreed(read: list[Contents], metre: float | None) -> float | None:
    """Returns the length beyond its bar that all parts fill, where notes begin beyond it."""
    shortest, longest = (extreme(contents.length for contents in read) for extreme in (min, max))
    last = max((note[0] for contents in read for note in contents.notes), default=0.0)
    is_agreed = longest - shortest < bars.TOLERANCE and last > (metre or longest) - bars.TOLERANCE
    return longest if is_agreed else None


def _is_apart(before: ElementTree.Element, measure: ElementTree.Element) -> bool:
    """Says whether more than a plain bar line stands between two measures, and no ending begins."""
    lines = [
        line for line in before.iterfind("barline") if line.get("location", "right") == "right"
    ]
    begun = [line for line in measure.iterfind("barline") if line.get("location") == "left"]
    if any(line.find("ending") is not None for line in begun):
        return False
    return any(
        line.findtext("bar-style") not in PLAIN_BARS or line.find("repeat") is not None
        for line in lines + begun
    )


def _placed(part: Part, contents: list[Contents], starts: list[float]) -> list[Placed]:
    """Returns the notes of a part; percussion of which a part is not told is refused whole."""
    notes = placing.place(contents, starts)
    if UNPITCHED not in part.left_out:
        return notes
    sounding = [note for note in notes if not note.sound.is_drum]
    if len(sounding) < len(notes):
        part.left_out[BESIDE] = len(notes) - len(sounding)
    return sounding


def _check_notes(parts: list[Part], instruments: tuple[Instrument, ...]) -> None:
    """Raises `SongError` for no notes, too many, or one beyond what a song may last."""
    left_out = sum((part.left_out for part in parts), collections.Counter())
    if not instruments and left_out:
        raise SongError("no pitches", f"found {_counted(left_out)}")
    check_num_notes(sum(len(instrument.starts) for instrument in instruments))
    check_bars(0, max(int(instrument.ends.max()) for instrument in instruments) / STEPS_PER_BAR)


def _counted(left_out: collections.Counter) -> str:
    return ", ".join(f"{number:,} {kind}" for kind, number in left_out.items())
