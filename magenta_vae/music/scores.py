"""MusicXML -> songs on the bar grid, compressed (.mxl) or not.

A score is read as it is written: repeats are not played. A pick-up is put at the end of a whole
bar, so that the bars of the song are the bars of the score.
"""

import io
import itertools
import math
import xml.etree.ElementTree as ElementTree
import zipfile
from typing import NamedTuple

import numpy as np

from magenta_vae.music.songs import (
    MAX_FILE_BYTES,
    STEPS_PER_QUARTER,
    Instrument,
    Song,
    SongError,
    check_bars,
    check_num_notes,
    quantize,
)

SEMITONES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
TICKS_PER_QUARTER = 960_000  # Whole ticks before steps: sums of durations carry rounding errors.
DRUM_CHANNEL = 10
VELOCITY = 80
CONTAINER = "META-INF/container.xml"
COMMON_TIME = (4, 4)


class _Sound(NamedTuple):
    """What plays a note: a General MIDI program, or drums and the pitch of an unpitched note."""

    program: int = 0
    is_drum: bool = False
    pitch: int | None = None


class _Note(NamedTuple):
    """A note in quarters since the start of its part."""

    start: float
    end: float
    pitch: int
    sound: _Sound


def is_musicxml(data: bytes) -> bool:
    """Says whether bytes are XML in any encoding, or a ZIP archive as .mxl files are."""
    start = data[:64].removeprefix(b"\xef\xbb\xbf").lstrip()
    return start[:1] == b"<" or data[:2] in (b"\xff\xfe", b"\xfe\xff", b"PK")


def parse_musicxml(data: bytes) -> Song:
    """Parses a score. Raises `SongError` with the reason where that fails."""
    try:
        root = ElementTree.fromstring(_score_text(data))
        if root.tag not in ("score-partwise", "score-timewise"):
            raise SongError("not MusicXML", f"expected a score, found <{root.tag}>")
        return _song(root)
    except SongError:
        raise
    except (ElementTree.ParseError, zipfile.BadZipFile, ArithmeticError, EOFError) as error:
        raise SongError("damaged MusicXML", str(error)) from error
    # An attribute, child or number that is not there, or is no number; an unknown encoding.
    except (ValueError, LookupError, AttributeError, TypeError) as error:
        raise SongError("damaged MusicXML", f"{type(error).__name__}: {error}") from error


def _score_text(data: bytes) -> bytes:
    if data[:2] == b"PK":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if CONTAINER not in archive.namelist():
                raise SongError("not MusicXML", f"an archive without {CONTAINER}")
            container = ElementTree.fromstring(_member(archive, CONTAINER))
            data = _member(archive, container.find(".//{*}rootfile").attrib["full-path"])
    if b"<!ENTITY" in data:  # No score has one; those that expand to gigabytes do.
        raise SongError("not MusicXML", "it declares entities of its own")
    return data


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    try:
        with archive.open(name) as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except MemoryError:
        raise
    except Exception as error:  # Each way of packing has errors of its own.
        raise SongError("damaged MusicXML", f"{name}: {error}") from error
    if len(data) > MAX_FILE_BYTES:
        raise SongError("file too large", f"at most {MAX_FILE_BYTES:,} bytes in {name}")
    return data


def _song(root: ElementTree.Element) -> Song:
    scored = list(_parts(root))
    parts = [_Part(score_part) for score_part, _ in scored]
    pick_up = _read_measures(parts, [measures for _, measures in scored])
    notes = [note for part in parts for note in part.notes]
    check_num_notes(len(notes))
    signatures = [signature for part in parts for signature in part.time_signatures]
    # A pick-up is shorter than its bar: what is missing goes before it.
    shift = 4 - pick_up if 0 < pick_up < 4 and set(signatures) <= {COMMON_TIME} else 0
    last = max(note.end for note in notes) + shift
    if not math.isfinite(last):
        raise SongError("damaged MusicXML", "a duration that is not a number")
    check_bars((min(note.start for note in notes) + shift) / 4, last / 4)
    tempos = sorted({tempo for part in parts for tempo in part.tempos})
    return Song(
        instruments=tuple(each for part in parts for each in _instruments(part, shift)),
        time_signatures=tuple(dict.fromkeys(signatures)),
        tempos=tuple(((quarter + shift) * STEPS_PER_QUARTER, qpm) for quarter, qpm in tempos),
    )


def _read_measures(parts: list["_Part"], measures: list[list[ElementTree.Element]]) -> float:
    """Reads the measures of parts side by side; returns the length of the first in quarters.

    Each begins where the longest of those before it ends: a part may leave a measure empty, or not
    fill it.
    """
    now = first = 0.0
    for index, together in enumerate(itertools.zip_longest(*measures)):
        for part, measure in zip(parts, together, strict=True):
            if measure is not None:
                part.read(measure, now)
        now = max(part.end for part in parts)
        first = now if index == 0 else first
    return first


def _parts(root: ElementTree.Element):
    """Yields the sounds and measures of each part, however the file is arranged."""
    names = {part.attrib["id"]: part for part in root.iterfind("part-list/score-part")}
    measures: dict[str, list] = {}
    if root.tag == "score-partwise":
        for part in root.iterfind("part"):
            measures.setdefault(part.attrib["id"], []).extend(part.iterfind("measure"))
    else:
        for measure in root.iterfind("measure"):
            for part in measure.iterfind("part"):
                measures.setdefault(part.attrib["id"], []).append(part)
    for name, of_part in measures.items():
        yield names.get(name, ElementTree.Element("score-part")), of_part


class _Part:
    """What the measures of one part hold.

    Attributes:
        name: what the score calls it.
        notes: its notes, tied ones joined.
        time_signatures: (numerator, denominator) of each.
        tempos: (quarter, quarters per minute) of each.
        end: where what it has read ends, in quarters.
    """

    def __init__(self, score_part: ElementTree.Element):
        self.name = (score_part.findtext("part-name") or "").strip()
        self.notes: list[_Note] = []
        self.time_signatures: list[tuple[int, int]] = []
        self.tempos: list[tuple[float, float]] = []
        self._sounds = _read_sounds(score_part)
        self._divisions, self._transposition = 1.0, 0
        self._tied: dict[tuple, int] = {}  # What a tie began: its sound and pitch -> its note.
        self._now = self._chord_start = self.end = 0.0

    def read(self, measure: ElementTree.Element, start: float) -> None:
        """Reads a measure that begins at a quarter."""
        self._now = self.end = start
        for element in measure:
            self._read(element)

    def _read(self, element: ElementTree.Element) -> None:
        if element.tag == "note":
            self._read_note(element)
        elif element.tag == "backup":
            self._now = max(self._now - self._duration(element), 0.0)
        elif element.tag == "forward":
            self._advance(self._duration(element))
        elif element.tag == "attributes":
            self._read_attributes(element)
        for sound in element.iter("sound"):
            qpm = float(sound.get("tempo", 0))
            if 0 < qpm < math.inf:
                self.tempos.append((self._now, qpm))

    def _read_attributes(self, attributes: ElementTree.Element) -> None:
        divisions = float(attributes.findtext("divisions") or self._divisions)
        if not 0 < divisions < math.inf:
            raise SongError("damaged MusicXML", f"{divisions} divisions of a quarter")
        self._divisions = divisions
        for time in attributes.iterfind("time"):
            for beats, kind in zip(time.iterfind("beats"), time.iterfind("beat-type"), strict=True):
                numerator = sum(map(int, beats.text.split("+")))
                self.time_signatures.append((numerator, int(kind.text)))
        for transpose in attributes.iterfind("transpose"):
            octaves = int(transpose.findtext("octave-change") or 0)
            chromatic = float(transpose.findtext("chromatic") or 0)
            self._transposition = round(chromatic) + 12 * octaves

    def _read_note(self, note: ElementTree.Element) -> None:
        if note.find("grace") is not None:
            return
        duration = self._duration(note)
        if note.find("chord") is None:
            self._chord_start = self._now
            self._advance(duration)
        if note.find("rest") is None and note.find("cue") is None:
            self._add(note, self._chord_start, self._chord_start + duration)

    def _add(self, note: ElementTree.Element, start: float, end: float) -> None:
        instrument = note.find("instrument")
        sound = self._sounds.get(instrument.get("id") if instrument is not None else None)
        sound = sound or self._sounds[None]
        pitch = self._pitch(note, sound)
        if pitch is None:
            return
        ties = {tie.get("type") for tie in note.iterfind("tie")}
        index = self._tied.pop((sound, pitch), None) if "stop" in ties else None
        if index is None or abs(self.notes[index].end - start) * TICKS_PER_QUARTER > 1:
            index = len(self.notes)
            self.notes.append(_Note(start, end, pitch, sound))
        else:
            self.notes[index] = self.notes[index]._replace(end=end)
        if "start" in ties:
            self._tied[sound, pitch] = index

    def _pitch(self, note: ElementTree.Element, sound: _Sound) -> int | None:
        written = note.find("pitch")
        if written is None:
            return sound.pitch
        pitch = 12 * (int(written.findtext("octave")) + 1) + SEMITONES[written.findtext("step")]
        pitch += round(float(written.findtext("alter") or 0)) + self._transposition
        if not 0 <= pitch <= 127:
            raise SongError("not a pitch", f"expected 0-127, found {pitch}")
        return pitch

    def _duration(self, element: ElementTree.Element) -> float:
        return max(float(element.findtext("duration") or 0), 0.0) / self._divisions

    def _advance(self, quarters: float) -> None:
        self._now += quarters
        self.end = max(self.end, self._now)


def _read_sounds(score_part: ElementTree.Element) -> dict[str | None, _Sound]:
    """Returns the sound of each instrument of a part, of the first one also by None."""
    sounds: dict[str | None, _Sound] = {}
    for midi in score_part.iterfind("midi-instrument"):
        unpitched = midi.findtext("midi-unpitched")
        is_drum = int(midi.findtext("midi-channel") or 1) == DRUM_CHANNEL or unpitched is not None
        # Counted from 1; some programs write 0 for the first.
        program = 0 if is_drum else max(int(midi.findtext("midi-program") or 1), 1) - 1
        pitch = int(unpitched) - 1 if unpitched is not None else None
        if not (0 <= program <= 127 and 0 <= (pitch or 0) <= 127):
            raise SongError("damaged MusicXML", f"program {program + 1}, unpitched {unpitched}")
        sounds[midi.get("id")] = _Sound(program, is_drum, pitch)
    sounds[None] = next(iter(sounds.values()), _Sound())
    return sounds


def _instruments(part: _Part, shift: float):
    """Yields an instrument for each program that a part uses."""
    groups: dict[tuple[int, bool], list[_Note]] = {}
    for note in part.notes:
        groups.setdefault((note.sound.program, note.sound.is_drum), []).append(note)
    for (program, is_drum), notes in groups.items():
        quarters = np.array([(note.start, note.end) for note in notes]) + shift
        ticks = np.rint(quarters * TICKS_PER_QUARTER).astype(np.int64)
        starts, ends = quantize(ticks[:, 0], ticks[:, 1], TICKS_PER_QUARTER)
        pitches = np.array([note.pitch for note in notes], np.int32)
        velocities = np.full(len(notes), VELOCITY, np.int32)
        yield Instrument(program, is_drum, part.name, starts, ends, pitches, velocities)
