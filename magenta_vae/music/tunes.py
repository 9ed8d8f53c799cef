"""ABC notation -> songs on the bar grid: the way folk tunes are shared.

Repeats are played. The bar lines of a tune are those of the song, as a score's are.
"""

import dataclasses
import itertools
import re

from magenta_vae.music import bars, placing, repeats, tune_bars, tune_fields, tune_text
from magenta_vae.music.songs import (
    STEPS_PER_BAR,
    Song,
    SongError,
    check_bars,
    check_num_notes,
)

_FIRST = re.compile(rb"(?:\A(?:\xef\xbb\xbf)?|[\r\n])X:[ \t]*\d")
_TUNE = re.compile(r"^(?=X:)", re.MULTILINE)
# `A:|` is a note before a bar line.
_FIELD = re.compile(r"([A-Za-z]):(?![|:])(.*)")
_MUSIC = ("K", "L", "M", "P", "Q")  # Fields that bear on notes.


def is_abc(data: bytes) -> bool:
    """Says whether bytes are ABC: text with tunes that begin with a number (X:), and a key (K:).

    Where it begins with the number, the key may have been forgotten.
    """
    is_text = data[:4] not in (b"MThd", b"RIFF") and b"\0" not in data[:1024]
    return is_text and bool(_FIRST.search(data) if b"K:" in data else _FIRST.match(data))


def split_tunes(data: bytes) -> list[bytes]:
    """Returns the tunes of a file, each with the fields that stand before the first of them."""
    text = _text(data)
    head, *tunes = _TUNE.split(text)
    return [(head + tune).encode() for tune in tunes] or [data]


def parse_abc(data: bytes) -> Song:
    """Parses one tune. Raises `SongError` with the reason where that fails."""
    tunes = split_tunes(data)
    if len(tunes) > 1:
        raise SongError("several songs", f"expected one tune, found {len(tunes)} (X: fields)")
    try:
        return _song(_text(tunes[0]))
    except SongError:
        raise
    except (ArithmeticError, ValueError, LookupError, AttributeError, TypeError) as error:
        raise SongError("damaged ABC", f"{type(error).__name__}: {error}") from error


def _text(data: bytes) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")  # What was used before; no note depends on it.
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _song(text: str) -> Song:
    voices, order = _voices(text)
    columns = [_sounding(voice.bars) for voice in voices]
    if order and len(voices) > 1:
        raise SongError("parts in an order", f"one for several voices is not read: P:{order}")
    orders = [repeats.played_by_parts(column, order) for column in columns]
    played = [[column[at] for at in order] for column, order in zip(columns, orders, strict=True)]
    check_num_notes(sum(len(bar.notes) for column in played for bar in column))
    measures = [
        _measure(together, orders, index)
        for index, together in enumerate(itertools.zip_longest(*played))
    ]
    starts = bars.lay_out(measures)
    contents = [[bar.contents for bar in column] for column in played]
    instruments = tuple(
        instrument
        for voice in contents
        for instrument in placing.instruments(_title(text), placing.place(voice, starts))
    )
    check_bars(0, max(int(instrument.ends.max()) for instrument in instruments) / STEPS_PER_BAR)
    bars.check_lengths(measures)
    tempos = placing.tempos(contents, starts)
    signatures = (metre for column in played for bar in column for metre in bar.signature)
    return Song(instruments, tuple(dict.fromkeys(signatures)), tempos)


def _title(text: str) -> str:
    match = re.search(r"^T:(.*)$", text, re.MULTILINE)
    return match.group(1).strip() if match else ""


def _sounding(column: list[repeats.Bar]) -> list[repeats.Bar]:
    """Returns the bars that hold something: the last one may be begun and nothing more."""
    return [bar for bar in column if bar.length > 0]


def _measure(together: tuple, orders: list[list[int]], index: int) -> bars.Measure:
    """Returns what the voices say of one bar."""
    present = [bar for bar in together if bar is not None]
    longest = max(bar.length for bar in present)
    metre = present[0].metre
    jumps = (0 < index < len(order) and order[index] != order[index - 1] + 1 for order in orders)
    return bars.Measure(
        metre=metre,
        content=longest if metre is None else min(longest, metre),
        # Lines often end without the bar line that they would have.
        agreed=longest if metre is not None and longest > metre else None,
        is_apart=present[0].is_apart or any(jumps),
    )


def _voices(text: str) -> tuple[list[tune_bars.VoiceReader], str]:
    """Reads the lines of a tune, each as what its voice plays; returns also the order of parts."""
    voices = _Voices()
    is_unit_given = is_in_body = False
    order = ""
    for line in tune_text.lines(text):
        field = _FIELD.match(line)
        letter, value = (field.group(1), field.group(2).strip()) if field else ("", line)
        if line.startswith("%%MIDI"):
            tune_fields.set_midi(voices.state_of_midi(), line.split())
        elif letter == "V":
            voices.turn_to(value)
        elif not is_in_body and letter:
            is_unit_given |= letter == "L"
            is_in_body = letter == "K"
            order = value if letter == "P" else order
            tune_fields.set_field(voices.state, letter, value, is_unit_given)
        elif not line and is_in_body:  # Words between tunes may follow.
            break
        elif letter in _MUSIC:
            voices.set_field(letter, value)
        elif not letter and is_in_body:
            voices.read(line)
    if not is_in_body:
        raise SongError("damaged ABC", "no K: field, with which the music begins")
    return list(voices.readers.values()), repeats.expand(order)


class _Voices:
    """The voices of a tune, each made when it is first needed.

    Attributes:
        state: what holds for those that are not made yet.
        readers: those that are made, by their names.
    """

    def __init__(self):
        self.state = tune_bars.State()
        self.readers: dict[str, tune_bars.VoiceReader] = {}
        self._shifts: dict[str, dict[str, int]] = {}
        self._name = ""

    def turn_to(self, value: str) -> None:
        """Makes the voice of a `V:` field the one that goes on, and takes what it says of it."""
        if not value.split():
            return
        self._name = value.split()[0]
        shifts = tune_fields.shifts(value)
        self._shifts[self._name] = self._shifts.get(self._name, {}) | shifts
        if self._name in self.readers:
            self.readers[self._name].state.shifts |= shifts

    def state_of_midi(self) -> tune_bars.State:
        """Returns what a `%%MIDI` line changes: one voice where one was named."""
        return self._reader().state if self._name or self.readers else self.state

    def set_field(self, letter: str, value: str) -> None:
        """Sets a field for the voice that goes on, or for those to come before it has music."""
        if self._name in self.readers:
            self.readers[self._name].set_field(letter, value)
        else:
            tune_fields.set_field(self.state, letter, value)

    def read(self, line: str) -> None:
        """Reads a line of music in the voices that it names."""
        for voice, music in tune_text.by_voice(line):
            if voice is not None:
                self.turn_to(voice)
            self._reader().read(music)

    def _reader(self) -> tune_bars.VoiceReader:
        if self._name not in self.readers:
            shifts = self.state.shifts | self._shifts.get(self._name, {})
            state = dataclasses.replace(self.state, shifts=shifts)
            self.readers[self._name] = tune_bars.VoiceReader(state, tune_fields.set_field)
        return self.readers[self._name]
