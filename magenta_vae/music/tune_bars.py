"""The music of one voice of an ABC tune -> its bars.

The notation is abcnotation.com's standard 2.1; grace notes, words and decorations are passed over.
"""

import dataclasses
import re
from collections.abc import Callable, Sequence

from magenta_vae.music import tune_text
from magenta_vae.music.placing import Note, Sound
from magenta_vae.music.repeats import Bar
from magenta_vae.music.songs import MAX_BARS, SongError

_TOKENS = re.compile(
    r"""
    (?P<grace> \{[^}]*\} )
  | \[(?P<field>[A-Za-z]):(?P<value>[^\]]*)\]
  | (?P<bar> :*\|[|\]:]* | \[\| [|\]:]* | ::+ ) (?: (?:\s*\[)? (?P<turns>[1-9][0-9,\-]*) )?
  | \[(?P<ending>[1-9][0-9,\-]*)
  | \((?P<tuplet>[2-9](?::[0-9]*){0,2})
  | \[(?P<chord>[^\]|]*)\](?P<chord_length>[0-9]*/*[0-9]*)
  | (?P<note>[\^_=]*[A-Ga-g][,']*)(?P<length>[0-9]*/*[0-9]*)
  | (?P<rest>[zxZX])(?P<rest_length>[0-9]*/*[0-9]*)
  | (?P<tie>-)
  | (?P<broken>>+|<+)
  | (?P<overlay>&+)
    """,
    re.VERBOSE,
)
_CHORD_NOTES = re.compile(r"([\^_=]*[A-Ga-g][,']*)([0-9]*/*[0-9]*)(-?)")
_SEMITONES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_ACCIDENTALS = {"^": 1, "_": -1, "=": 0}
MAX_TURNS = 16  # Of a repeat: more are a slip of the pen, or made to harm.
# (p: so many notes in the time of so many; of others it is 3 where beats are of three, else 2.
_TIME_OF = {2: 3, 3: 2, 4: 3, 6: 2, 8: 3}


@dataclasses.dataclass
class State:
    """What the fields of a tune say, and a voice's own may change.

    Attributes:
        unit: quarters of a note without a length.
        metre, signature: as in `Bar`.
        key: semitones by which each letter is altered.
        shifts: semitones by which all sounds, by what says so.
        part: the name that P: gave to what follows.
        qpm: a tempo that is not in any bar yet.
    """

    unit: float = 0.5
    metre: float | None = None
    signature: tuple[tuple[int, int], ...] = ()
    key: dict[str, int] = dataclasses.field(default_factory=dict)
    shifts: dict[str, int] = dataclasses.field(default_factory=dict)
    part: str = ""
    qpm: float | None = None
    sound: Sound = Sound()


class VoiceReader:
    """Reads the music of one voice, line after line.

    Args:
        state: what holds for it; `set_field` changes it.
        set_field: is given the state, the letter of a field within the music and its value.

    Attributes:
        bars: those read, the last of them perhaps not ended.
    """

    def __init__(self, state: State, set_field: Callable[[State, str, str], None]):
        self.state = state
        self._set_field = set_field
        self.bars = [Bar(**self._holds())]
        self._now = 0.0
        self._altered: dict[str, int] = {}  # In this bar, in all octaves.
        self._tied: dict[str, int] = {}  # Notes that a tie waits for, as written, to their pitch.
        self._last: list[tuple[int, str]] = []  # The places of the last notes in their bar.
        self._last_start = 0.0
        self._broken = 1.0
        self._tuplet: tuple[float, int] = (1.0, 0)

    def read(self, line: str) -> None:
        """Reads a line of music."""
        for token in _TOKENS.finditer(tune_text.without_words(line)):
            if token["bar"]:
                self._end_bar(token["bar"], token["turns"])
            elif token["field"]:
                self.set_field(token["field"], token["value"])
            elif token["ending"]:
                self._begin_ending(token["ending"])
            elif token["tuplet"]:
                self._begin_tuplet(token["tuplet"])
            elif token["chord"]:
                self._read_chord(token["chord"], token["chord_length"])
            elif token["note"]:
                self._add([(token["note"], 1.0)], _quarters(token["length"]))
            elif token["rest"]:
                self._rest(token["rest"], token["rest_length"])
            elif token["tie"]:
                self._tie()
            elif token["broken"]:
                self._break(token["broken"])
            elif token["overlay"]:
                self._now = 0.0

    def set_field(self, letter: str, value: str) -> None:
        """Changes what holds from here on; a part begins a bar of its own."""
        self._set_field(self.state, letter, value.strip())
        if letter == "P" and self.bars[-1].length:
            self._end_bar("|", None)
        if not self.bars[-1].length:
            self.bars[-1] = dataclasses.replace(self.bars[-1], **self._holds())

    def _holds(self) -> dict:
        """Returns what holds for a bar that begins."""
        state = self.state
        return {"metre": state.metre, "signature": state.signature, "part": state.part}

    def _end_bar(self, line: str, turns: str | None) -> None:
        """Ends a bar, unless there is nothing in it, and begins another."""
        is_special = len(line.strip("|")) > 0 or len(line) > 1
        bar = self.bars[-1]
        if bar.length:
            bar.ends_repeat = line.startswith(":")
            bar.ends_section = is_special
            self.bars.append(Bar(**self._holds()))
        elif line.startswith(":") and len(self.bars) > 1:
            self.bars[-2].ends_repeat = True
        if len(self.bars) > 4 * MAX_BARS:
            raise SongError("too long", f"at most {MAX_BARS:,} bars")
        self.bars[-1].begins_repeat |= line.endswith(":")
        self.bars[-1].is_apart |= is_special
        self._now = 0.0
        self._altered, self._last = {}, []
        if turns:
            self._begin_ending(turns)

    def _begin_ending(self, turns: str) -> None:
        if self.bars[-1].length:
            self._end_bar("|", None)
        self.bars[-1].turns = _turns(turns)

    def _begin_tuplet(self, text: str) -> None:
        number, time_of, count = [*(int(each or 0) for each in text.split(":")), 0, 0][:3]
        beats = self.state.signature[0] if self.state.signature else (4, 4)
        in_threes = beats[1] == 8 and beats[0] % 3 == 0
        time_of = time_of or _TIME_OF.get(number, 3 if in_threes else 2)
        self._tuplet = time_of / number, count or number

    def _read_chord(self, text: str, length: str) -> None:
        matches = _CHORD_NOTES.findall(text)
        if matches:
            first = _quarters(matches[0][1])
            notes = [(name, _quarters(value) / (first or 1.0)) for name, value, _ in matches]
            self._add(notes, first * _quarters(length))
            if any(tie for *_, tie in matches):
                self._tie()

    def _rest(self, kind: str, length: str) -> None:
        if kind in "zx":
            self._advance(_quarters(length) * self._factor())
            return
        number = int(_quarters(length))
        if number > MAX_BARS:
            raise SongError("too long", f"at most {MAX_BARS:,} bars, found a rest of {number:,}")
        for index in range(number):
            if index:
                self._end_bar("|", None)
            self._advance((self.state.metre or 4.0) / self.state.unit)

    def _add(self, names: Sequence[tuple[str, float]], length: float) -> None:
        """Adds the notes of a chord, each as long as so many times its length in units."""
        length *= self._factor()
        self._last_start, self._last = self._now, []
        tied, self._tied = self._tied, {}
        for name, share in names:
            end = self._now + share * length * self.state.unit
            place = re.sub(r"[\^_=]", "", name)
            pitch = self._pitch(name, tied)
            self._last.append((len(self.bars[-1].notes), place))
            note = Note(pitch, self.state.sound, ends_tie=place in tied)
            self.bars[-1].notes.append((self._now, end, note))
        self._advance(length)

    def _pitch(self, name: str, tied: dict[str, int]) -> int:
        place = name.lstrip("^_=")
        signs, letter, octaves = name.removesuffix(place), place[0], place[1:]
        if signs:
            self._altered[letter.upper()] = sum(_ACCIDENTALS[sign] for sign in signs)
        elif place in tied:  # An accidental goes on with a tie.
            return tied[place]
        altered = self._altered.get(letter.upper(), self.state.key.get(letter.upper(), 0))
        octave = 5 + letter.islower() + octaves.count("'") - octaves.count(",")
        pitch = 12 * octave + _SEMITONES[letter.upper()] + altered + sum(self.state.shifts.values())
        if not 0 <= pitch <= 127:
            raise SongError("not a pitch", f"expected 0-127, found {pitch} for {name}")
        return pitch

    def _factor(self) -> float:
        """Returns by how much the next note is longer than it is written."""
        ratio, left = self._tuplet
        self._tuplet = (ratio, left - 1) if left > 1 else (1.0, 0)
        broken, self._broken = self._broken, 1.0
        return broken * (ratio if left else 1.0)

    def _advance(self, length: float) -> None:
        bar = self.bars[-1]
        if self.state.qpm is not None:
            bar.tempos.append((self._now, self.state.qpm))
            self.state.qpm = None
        self._now += length * self.state.unit
        if self._now > 4.0 * MAX_BARS:
            raise SongError("too long", f"at most {MAX_BARS:,} bars")
        bar.length = max(bar.length, self._now)

    def _tie(self) -> None:
        for index, place in self._last:
            start, end, note = self.bars[-1].notes[index]
            self.bars[-1].notes[index] = start, end, note._replace(begins_tie=True)
            self._tied[place] = note.pitch

    def _break(self, signs: str) -> None:
        """Lengthens the last note at the cost of the next, or the other way about."""
        if not self._last:
            return
        short = 0.5 ** len(signs)
        factor, self._broken = (2 - short, short) if signs[0] == ">" else (short, 2 - short)
        bar = self.bars[-1]
        is_longest = bar.length <= self._now
        for index, _ in self._last:
            start, end, note = bar.notes[index]
            bar.notes[index] = start, start + (end - start) * factor, note
        self._now = self._last_start + (self._now - self._last_start) * factor
        bar.length = self._now if is_longest else max(bar.length, self._now)


def _quarters(text: str) -> float:
    """Returns a length in units: nothing, `3`, `3/2`, `/4`, `/`, `//`."""
    number, _, rest = text.partition("/")
    length, num_slashes = float(number or 1), text.count("/")
    if 0 < num_slashes < 16:
        length /= float(rest.lstrip("/") or 2) * 2.0 ** (num_slashes - 1)
    return length


def _turns(text: str) -> tuple[int, ...]:
    """Returns the numbers of an ending: `1`, `1,3`, `1-3`."""
    turns: list[int] = []
    for turn_or_range in filter(None, text.split(",")):
        first, _, last = turn_or_range.partition("-")
        if first:
            turns.extend(range(int(first), min(int(last or first), MAX_TURNS) + 1))
    return tuple(turns)
