"""ABC notation -> songs on the bar grid: the way folk tunes are shared.

Repeats are played. The bar lines of a tune are those of the song, as a score's are.
"""

import dataclasses
import itertools
import re
from collections.abc import Iterator

from magenta_vae.music import bars, placing, repeats, tune_bars
from magenta_vae.music.songs import (
    STEPS_PER_BAR,
    STEPS_PER_QUARTER,
    Song,
    SongError,
    check_bars,
    check_num_notes,
)

_FIRST = re.compile(rb"(?:\A(?:\xef\xbb\xbf)?|[\r\n])X:[ \t]*\d")
_TUNE = re.compile(r"^(?=X:)", re.MULTILINE)
# `A:|` is a note before a bar line.
_FIELD = re.compile(r"([A-Za-z]):(?![|:])(.*)")
_MUSIC = ("K", "L", "M", "Q")  # Fields that bear on notes.
_FIFTHS = {"F": -1, "C": 0, "G": 1, "D": 2, "A": 3, "E": 4, "B": 5}
_MODES = {
    "": 0, "maj": 0, "ion": 0, "m": -3, "min": -3, "aeo": -3, "mix": -1, "dor": -2, "phr": -4,
    "lyd": 1, "loc": -5,
}  # fmt: skip
_SHARPS = "FCGDAEB"
_PIPES = {"F": 1, "C": 1}  # Of the Highland bagpipe: K:HP, K:Hp.


def is_abc(data: bytes) -> bool:
    """Says whether bytes are ABC: text in which tunes begin with a number (X:) and have a key."""
    is_text = data[:4] not in (b"MThd", b"RIFF") and b"\0" not in data[:1024]
    return is_text and b"K:" in data and bool(_FIRST.search(data))


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
    voices = _voices(text)
    columns = [_sounding(voice.bars) for voice in voices]
    orders = [repeats.played(column) for column in columns]
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
        for each in contents
        for instrument in placing.instruments(_title(text), placing.place(each, starts))
    )
    check_bars(0, max(int(each.ends.max()) for each in instruments) / STEPS_PER_BAR)
    bars.check_lengths(measures)
    tempos = {
        ((start + quarter) * STEPS_PER_QUARTER, qpm)
        for each in contents
        for start, bar in zip(starts, each, strict=False)
        for quarter, qpm in bar.tempos
    }
    signatures = (each for column in played for bar in column for each in bar.signature)
    return Song(instruments, tuple(dict.fromkeys(signatures)), tuple(sorted(tempos)))


def _title(text: str) -> str:
    found = re.search(r"^T:(.*)$", text, re.MULTILINE)
    return found.group(1).strip() if found else ""


def _sounding(column: list[repeats.Bar]) -> list[repeats.Bar]:
    """Returns the bars that hold something: the last one may be begun and nothing more."""
    return [bar for bar in column if bar.length > 0]


def _measure(together: tuple, orders: list[list[int]], index: int) -> bars.Measure:
    """Returns what the voices say of one bar."""
    found = [bar for bar in together if bar is not None]
    longest = max(bar.length for bar in found)
    metre = found[0].metre
    jumps = (0 < index < len(order) and order[index] != order[index - 1] + 1 for order in orders)
    return bars.Measure(
        metre=metre,
        content=longest if metre is None else min(longest, metre),
        # Lines often end without the bar line that they would have.
        agreed=longest if metre is not None and longest > metre else None,
        is_apart=found[0].is_apart or any(jumps),
    )


def _voices(text: str) -> list[tune_bars.VoiceReader]:
    """Reads the lines of a tune, each as what its voice plays."""
    state = tune_bars.State()
    is_unit_given = is_in_body = False
    voices: dict[str, tune_bars.VoiceReader] = {}
    name = ""
    for line in _lines(text):
        field = _FIELD.match(line)
        letter, value = (field.group(1), field.group(2).strip()) if field else ("", line)
        if line.startswith("%%MIDI"):
            _set_midi(voices[name].state if name in voices else state, line.split())
        elif not is_in_body and letter:
            is_unit_given |= letter == "L"
            is_in_body = letter == "K"
            set_field(state, letter, value, is_unit_given)
        elif not line and is_in_body:  # Words between tunes may follow.
            break
        elif letter == "V" and value.split():
            name = value.split()[0]
        elif letter in _MUSIC and name in voices:
            set_field(voices[name].state, letter, value)
            voices[name].refresh()
        elif letter:
            set_field(state, letter, value)
        elif is_in_body:
            name = _read_music(line, name, voices, state)
    return list(voices.values())


def _lines(text: str) -> Iterator[str]:
    """Yields the lines of a tune without comments and what continues words."""
    for line in text.split("\n"):
        if line.startswith("%%MIDI"):
            yield line
            continue
        bare = re.split(r"(?<!\\)%", line, maxsplit=1)[0].strip()
        if not bare.startswith("+:") and (bare or not line.strip()):
            yield bare


def _read_music(
    line: str, name: str, voices: dict[str, tune_bars.VoiceReader], state: tune_bars.State
) -> str:
    """Reads a line of music in the voices that it names, and returns the last of them."""
    for named, music in _by_voice(line):
        name = named if named is not None else name
        if name not in voices:
            voices[name] = tune_bars.VoiceReader(dataclasses.replace(state), set_field)
        voices[name].read(music)
    return name


def _by_voice(line: str) -> list[tuple[str | None, str]]:
    """Returns the pieces of a line that [V:...] parts, each with its voice, None for the last's."""
    head, *others = re.split(r"\[V:\s*([^\]\s]+)[^\]]*\]", line)
    pairs = zip(others[::2], others[1::2], strict=True)
    return [(None, head)] * bool(head.strip()) + list(pairs)


def set_field(state: tune_bars.State, letter: str, value: str, is_unit_given: bool = True) -> None:
    """Changes what holds for a voice by a field's letter and its value.

    Args:
        state: is changed.
        letter: one of K, L, M and Q; others bear on no note.
        value: what stands behind the colon.
        is_unit_given: False where the metre says how long a note without a length is.
    """
    if letter == "L":
        numerator, denominator = value.split("/")
        state.unit = 4 * int(numerator) / int(denominator)
    elif letter == "M":
        state.signature = _signature(value)
        state.metre = sum(4 * n / d for n, d in state.signature) or None
        if not is_unit_given:
            state.unit = 0.25 if state.metre is not None and state.metre < 3 else 0.5
    elif letter == "K":
        _set_key(state, value)
    elif letter == "Q":
        state.qpm = _qpm(value, state.unit)


def _set_midi(state: tune_bars.State, words: list[str]) -> None:
    """Sets the program, or the drums, that `%%MIDI program` and `%%MIDI channel` name."""
    if words[1:2] == ["program"] and words[-1].isdigit() and int(words[-1]) < 128:
        state.sound = placing.Sound(program=int(words[-1]))
    elif words[1:] == ["channel", "10"]:
        state.sound = placing.Sound(is_drum=True)


def _signature(value: str) -> tuple[tuple[int, int], ...]:
    """Returns (numerator, denominator) of a metre, nothing for a free one."""
    value = value.replace(" ", "")
    if value in ("C", "c"):
        return ((4, 4),)
    if value in ("C|", "c|"):
        return ((2, 2),)
    if value.lower() == "none" or not value:
        return ()
    beats, _, kind = value.replace("(", "").replace(")", "").partition("/")
    numerator, denominator = sum(map(int, beats.split("+"))), int(kind)
    if numerator < 1 or denominator < 1:
        raise SongError("damaged ABC", f"a {value} time signature")
    return ((numerator, denominator),)


def _set_key(state: tune_bars.State, value: str) -> None:
    """Takes the sharps and flats of `Bb`, `Ador`, `D mix`, `Hp` or `none`, and those added."""
    found = re.match(r"([A-G])([#b]?)\s*([A-Za-z]*)", value)
    if value.upper().startswith("HP"):
        state.key = dict(_PIPES) if value.startswith("Hp") else {}
    elif found:
        letter, sign, word = found.groups()
        fifths = _FIFTHS[letter] + {"#": 7, "b": -7, "": 0}[sign]
        short = word[:3].lower()
        fifths += _MODES.get(short, -3 if word == "m" else 0) if word[:4] != "clef" else 0
        letters = _SHARPS if fifths > 0 else _SHARPS[::-1]
        altered = (letters * 2)[: min(abs(fifths), 14)]
        sign_of_all = 1 if fifths > 0 else -1
        state.key = {each: sign_of_all * altered.count(each) for each in set(altered)}
    elif value.lower().startswith("none"):
        state.key = {}
    for signs, letter in re.findall(r"(?:^|\s)([\^_=]+)([A-Ga-g])(?=\s|$|[\^_=])", value):
        state.key[letter.upper()] = sum({"^": 1, "_": -1, "=": 0}[each] for each in signs)
    octave = re.search(r"octave\s*=\s*(-?\d)", value)
    semitones = re.search(r"transpose\s*=\s*(-?\d\d?)", value)
    if octave or semitones:
        octaves = int(octave.group(1)) if octave else 0
        state.semitones = 12 * octaves + (int(semitones.group(1)) if semitones else 0)


def _qpm(value: str, unit: float) -> float | None:
    """Returns quarters per minute of `1/4=120`, `3/8=60 "Jig"` or, of units, `120`."""
    found = re.search(r"((?:\d+/\d+\s*)*)=?\s*(\d+(?:\.\d+)?)", re.sub(r'"[^"]*"', "", value))
    if found is None:
        return None
    beats = re.findall(r"(\d+)/(\d+)", found.group(1))
    quarters = sum(4 * int(n) / int(d) for n, d in beats if int(d)) if beats else unit
    qpm = quarters * float(found.group(2))
    return qpm if 0 < qpm < float("inf") else None
