"""The fields of an ABC tune -> what holds for the notes behind them."""

import re

from magenta_vae.music import placing
from magenta_vae.music.songs import SongError
from magenta_vae.music.tune_bars import State

_FIFTHS = {"F": -1, "C": 0, "G": 1, "D": 2, "A": 3, "E": 4, "B": 5}
_MODES = {
    "": 0, "maj": 0, "ion": 0, "m": -3, "min": -3, "aeo": -3, "mix": -1, "dor": -2, "phr": -4,
    "lyd": 1, "loc": -5,
}  # fmt: skip
_SHARPS = "FCGDAEB"
_CLEF = re.compile(
    r"(?:clef\s*=\s*\"?[A-Za-z]+|(?<![\w=])(?:treble|alto|tenor|bass))[1-5]?([+-]8)?(?![\w=])"
)
_PIPES = {"F": 1, "C": 1}  # Of the Highland bagpipe: K:HP, K:Hp.


def set_field(state: State, letter: str, value: str, is_unit_given: bool = True) -> None:
    """Changes what holds for a voice by a field's letter and its value.

    Args:
        state: is changed.
        letter: one of K, L, M, P and Q; others bear on no note.
        value: what stands behind the colon.
        is_unit_given: False where the metre says how long a note without a length is.
    """
    if letter == "L":
        numerator, _, denominator = value.partition("/")
        state.unit = 4 * int(numerator) / int(denominator or 1)
    elif letter == "M":
        state.signature = _signature(value)
        state.metre = sum(4 * n / d for n, d in state.signature) or None
        if not is_unit_given:
            state.unit = 0.25 if state.metre is not None and state.metre < 3 else 0.5
    elif letter == "K":
        _set_key(state, value)
    elif letter == "P":
        state.part = value
    elif letter == "Q":
        state.qpm = _qpm(value, state.unit)


def set_midi(state: State, words: list[str]) -> None:
    """Sets the program, the drums or the semitones that a `%%MIDI` line names."""
    if words[1:2] == ["program"] and words[-1].isdigit() and int(words[-1]) < 128:
        state.sound = placing.Sound(program=int(words[-1]))
    elif words[1:] == ["channel", "10"]:
        state.sound = placing.Sound(is_drum=True)
    elif words[1:2] == ["transpose"] and re.fullmatch(r"[+-]?\d{1,2}", words[-1]):
        state.shifts = state.shifts | {"MIDI": int(words[-1])}


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


def _set_key(state: State, value: str) -> None:
    """Takes the sharps and flats of `Bb`, `Ador`, `D mix`, `Hp` or `none`, and those added."""
    match = re.match(r"([A-G])([#b]?)\s*([A-Za-z]*)", value)
    if value.upper().startswith("HP"):
        state.key = dict(_PIPES) if value.startswith("Hp") else {}
    elif match:
        letter, sign, word = match.groups()
        fifths = _FIFTHS[letter] + {"#": 7, "b": -7, "": 0}[sign]
        short = word[:3].lower()
        fifths += _MODES.get(short, -3 if word == "m" else 0) if word[:4] != "clef" else 0
        letters = _SHARPS if fifths > 0 else _SHARPS[::-1]
        altered = (letters * 2)[: min(abs(fifths), 14)]
        sign_of_all = 1 if fifths > 0 else -1
        state.key = {name: sign_of_all * altered.count(name) for name in set(altered)}
    elif value.lower().startswith("none"):
        state.key = {}
    for signs, letter in re.findall(r"(?:^|\s)([\^_=]+)([A-Ga-g])(?=\s|$|[\^_=])", value):
        state.key[letter.upper()] = sum(
            {"^": 1, "_": -1, "=": 0}[accidental] for accidental in signs
        )
    state.shifts = state.shifts | shifts(value)


def shifts(value: str) -> dict[str, int]:
    """Returns the semitones by which `octave=-1`, `transpose=-2` and `treble-8` move notes."""
    moves = {}
    if octave := re.search(r"octave\s*=\s*([+-]?\d)", value):
        moves["octave"] = 12 * int(octave.group(1))
    if semitones := re.search(r"transpose\s*=\s*([+-]?\d\d?)", value):
        moves["transpose"] = int(semitones.group(1))
    if clef := _CLEF.search(value):
        moves["clef"] = {"+8": 12, "-8": -12}.get(clef.group(1) or "", 0)
    return moves


def _qpm(value: str, unit: float) -> float | None:
    """Returns quarters per minute of `1/4=120`, `3/8=60 "Jig"` or, of units, `120`."""
    match = re.search(r"((?:\d+/\d+\s*)*)=?\s*(\d+(?:\.\d+)?)", re.sub(r'"[^"]*"', "", value))
    if match is None:
        return None
    beats = re.findall(r"(\d+)/(\d+)", match.group(1))
    quarters = sum(4 * int(n) / int(d) for n, d in beats if int(d)) if beats else unit
    qpm = quarters * float(match.group(2))
    return qpm if 0 < qpm < float("inf") else None
