"""The measures of one part of a score -> its notes, counted from the bar line before each."""

import collections
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator

from magenta_vae.music import voices
from magenta_vae.music.placing import Contents, Note, Sound
from magenta_vae.music.score_sounds import Sounds
from magenta_vae.music.songs import MAX_BARS, SongError

SEMITONES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
MAX_QUARTERS = 4.0 * MAX_BARS
SLASHES, CUES, UNPITCHED = "slashes", "silent cue notes", "unpitched notes that name no known drum"
BESIDE = "known drums beside those"  # Percussion of which a part is not told is refused whole.


# Time in which nothing sounds; a rest of a whole measure is as long as the measure.
_REST, _WHOLE_REST = object(), object()
_UNTIED = (False, False)


class Part:
    """Reads the measures of one part, in their order.

    Args:
        score_part: what the score says of it.
        measures: all of them.
        has_sounding_cues: whether what is marked as a cue is a small note that sounds.

    Attributes:
        name: what the score calls it.
        label: the same after its id.
        left_out: how many notes of which kind do not sound.
    """

    def __init__(
        self,
        score_part: ElementTree.Element,
        measures: list[ElementTree.Element],
        has_sounding_cues: bool = False,
    ):
        self.name = (score_part.findtext("part-name") or "").strip()
        self.label = f"{score_part.get('id')} {self.name}".rstrip()
        self.left_out: collections.Counter = collections.Counter()
        unpitched = (note for measure in measures for note in measure.iter("unpitched"))
        self._sounds = Sounds(score_part, {_position(note) or "" for note in unpitched})
        self._has_sounding_cues = has_sounding_cues
        self._divisions, self._staff_lines = 1.0, 5
        # Of each staff, None for all that have none of their own: semitones, and to a double.
        self._transpositions: dict[str | None, tuple[int, int]] = {}
        self._slashed: set[str | None] = set()  # Staves in slash notation, None for all.

    def read(self, measure: ElementTree.Element, metre: float | None) -> Contents:
        """Reads a measure whose bar lasts `metre` quarters, None where that is not known.

        Raises:
            SongError: for a duration or a pitch that cannot be.
            ValueError, LookupError, TypeError, AttributeError: for what is no MusicXML.
        """
        notes, tempos = [], []
        content = length = 0.0
        for voice, places in self._voices(measure, metre):
            length = max(length, places[-1])
            for index, value, quarters in voice.events:
                start = places[index]
                if isinstance(value, float):
                    tempos.append((start, value))
                    continue
                end = places[index + 1] if quarters is None else start + quarters
                if isinstance(value, Note):
                    notes.append((start, end, value))
                elif value is _WHOLE_REST:
                    continue
                if end > content:
                    content = end
        return Contents(notes, tempos, content, length)

    def _voices(
        self, measure: ElementTree.Element, metre: float | None
    ) -> Iterator[tuple[voices.Voice, list[float]]]:
        """Yields what stands between steps back, and the places of its durations."""
        known = {0: 0.0}
        voice = voices.Voice(0.0, 0.0)
        for element in measure:
            if element.tag != "backup":
                self._read(element, voice)
                continue
            places = voice.places(metre, self._divisions)
            yield voice, places
            known |= voice.written_places(places)
            written = max(voice.now - self._quarters(element.findtext("duration")), 0.0)
            voice = voices.Voice(written, known.get(voices.place_of(written), written))
        yield voice, voice.places(metre, self._divisions)

    def _read(self, element: ElementTree.Element, voice: voices.Voice) -> None:
        if element.tag == "note":
            self._read_note({child.tag: child for child in element}, element, voice)
        elif element.tag == "forward":
            voice.add(_REST)
            voice.advance(self._quarters(element.findtext("duration")))
        elif element.tag == "attributes":
            self._read_attributes(element)
        elif element.tag in ("direction", "sound"):
            sound = element if element.tag == "sound" else element.find("sound")
            qpm = _tempo(sound) if sound is not None else 0.0
            if 0 < qpm < float("inf"):
                voice.add(qpm)

    def _read_attributes(self, attributes: ElementTree.Element) -> None:
        divisions = float(attributes.findtext("divisions") or self._divisions)
        if not 0 < divisions < float("inf"):
            raise SongError("damaged MusicXML", f"{divisions} divisions of a quarter")
        self._divisions = divisions
        for transpose in attributes.iterfind("transpose"):
            octaves = int(transpose.findtext("octave-change") or 0)
            semitones = round(float(transpose.findtext("chromatic") or 0)) + 12 * octaves
            double = transpose.find("double")
            above = double is not None and double.get("above") == "yes"
            doubled = 0 if double is None else 12 if above else -12
            if (staff := transpose.get("number")) is None:
                self._transpositions.clear()
            self._transpositions[staff] = (semitones, doubled)
        for style in attributes.iterfind("measure-style"):
            if (slash := style.find("slash")) is not None:
                is_start = slash.get("type") == "start"
                change = self._slashed.add if is_start else self._slashed.discard
                change(style.get("number"))
        for clef in attributes.iterfind("clef"):
            if clef.findtext("sign") == "percussion":
                self._sounds.expect_percussion()
        self._staff_lines = int(
            attributes.findtext("staff-details/staff-lines") or self._staff_lines
        )

    def _read_note(self, fields: dict, note: ElementTree.Element, voice: voices.Voice) -> None:
        """Reads a note, given also as the last of its children of each kind."""
        if "grace" in fields:
            return
        quarters = self._quarters(_text(fields, "duration"))
        values = self._values(fields, note)
        if "chord" in fields and voice.durations:
            for value in values:
                voice.add_to_last(value, quarters)
            return
        for value in values:
            voice.add(value)
        exact = self._tuplet_quarters(fields, note, quarters)
        voice.advance(quarters, exact, _text(fields, "type"))

    def _values(self, fields: dict, note: ElementTree.Element) -> list:
        """Returns what a note is: a rest, a note, or one and its double."""
        if "rest" in fields:
            return [_WHOLE_REST if fields["rest"].get("measure") == "yes" else _REST]
        head, staff = _text(fields, "notehead"), _text(fields, "staff")
        if head == "slash" or self._slashed & {None, staff or "1"}:
            return self._leave_out(SLASHES)
        if "cue" in fields and not self._has_sounding_cues:
            return self._leave_out(CUES)
        named = fields["instrument"].get("id") if "instrument" in fields else None
        tied = _tied(note) if "tie" in fields else _UNTIED
        if "pitch" in fields:
            sound = self._sounds.of_pitched(named)
            return [Note(pitch, sound, *tied) for pitch in self._pitches(fields, staff, sound)]
        position = _position(fields["unpitched"]) if "unpitched" in fields else None
        drum = self._sounds.of_unpitched(named, position, head, self._staff_lines)
        if drum is None or drum.pitch is None:
            return self._leave_out(UNPITCHED)
        return [Note(drum.pitch, drum, *tied)]

    def _leave_out(self, kind: str) -> list:
        self.left_out[kind] += 1
        return [_REST]

    def _pitches(self, fields: dict, staff: str | None, sound: Sound) -> list[int]:
        """Returns the pitch of a note, and of its double an octave off where it has one."""
        if sound.pitch is not None:
            return [sound.pitch]
        written = fields["pitch"]
        pitch = 12 * (int(written.findtext("octave")) + 1) + SEMITONES[written.findtext("step")]
        pitch += round(float(written.findtext("alter") or 0))
        pitches = [pitch]
        if self._transpositions and not sound.is_drum:
            every = self._transpositions.get(None, (0, 0))
            semitones, doubled = self._transpositions.get(staff or "1", every)
            pitches = [pitch + semitones] + [pitch + semitones + doubled] * bool(doubled)
        if not (min(pitches) >= 0 and max(pitches) <= 127):
            raise SongError("not a pitch", f"expected 0-127, found {pitches[-1]}")
        return pitches

    def _tuplet_quarters(
        self, fields: dict, note: ElementTree.Element, quarters: float
    ) -> float | None:
        if "time-modification" not in fields:
            return None
        ratio = fields["time-modification"]
        return voices.tuplet_quarters(
            _text(fields, "type"),
            sum(child.tag == "dot" for child in note),
            float(ratio.findtext("actual-notes") or 1),
            float(ratio.findtext("normal-notes") or 1),
            quarters,
            self._divisions,
        )

    def _quarters(self, duration: str | None) -> float:
        quarters = float(duration or 0) / self._divisions
        if not 0 <= quarters < float("inf"):
            raise SongError(
                "damaged MusicXML", f"expected a duration of 0 or more, found {duration}"
            )
        if quarters > MAX_QUARTERS:
            raise SongError("too long", f"at most {MAX_BARS:,} bars, found a duration {duration}")
        return quarters


def _tied(note: ElementTree.Element) -> tuple[bool, bool]:
    ties = {tie.get("type") for tie in note.iterfind("tie")}
    return "stop" in ties, "start" in ties


def _text(fields: dict, tag: str) -> str | None:
    return fields[tag].text if tag in fields else None


def _position(unpitched: ElementTree.Element) -> str | None:
    """Returns where an unpitched note stands on its staff, as `C5`."""
    step, octave = unpitched.findtext("display-step"), unpitched.findtext("display-octave")
    return f"{step}{octave}" if step and octave else None


def _tempo(sound: ElementTree.Element) -> float:
    """Returns quarters per minute, 0 for what is no number: no note depends on it."""
    try:
        return float(sound.get("tempo", 0))
    except ValueError:
        return 0.0
