"""Tracks of NoteSequences -> piano rolls of a picture: what is drawn, and on which row."""

from collections.abc import Sequence
from typing import NamedTuple

from note_seq.protobuf.music_pb2 import NoteSequence

from magenta_vae.music.names import hit_names
from magenta_vae.music.tokens import NUM_PITCHES, Drums

DRUM_NAMES = tuple(hit_names(Drums()))
PITCH_HEIGHT, DRUM_HEIGHT, MAX_ROLL_HEIGHT = 0.085, 0.2, 2.4  # Inches, of a row and of a roll.
MIN_PITCHES, PITCH_MARGIN = 15, 2  # Rows of a piano roll; those above and below what sounds.
MAX_PITCHES_WITH_G = 48  # Names of higher rolls would touch: only C is written.
BLACK_KEYS = (1, 3, 6, 8, 10)  # Semitones above C.


class PianoRoll(NamedTuple):
    """One track's place in a picture: what is drawn, and on which row.

    Attributes:
        instrument: the number of the track in its NoteSequences.
        name: written beside it.
        is_drum: hits, each one step long; else notes.
        rows: MIDI pitch -> row. A pitch without a row is not drawn.
        shown: the rows of the picture, upwards.
        labels: row -> what is written beside it.
        lines: heights of the lines across, in rows.
        black_keys: the rows of a piano's black keys.
    """

    instrument: int
    name: str
    is_drum: bool
    rows: dict[int, int]
    shown: range
    labels: dict[int, str]
    lines: Sequence[float]
    black_keys: list[int]

    @property
    def height_inches(self) -> float:
        """The height of the roll in a picture."""
        row_inches = DRUM_HEIGHT if self.is_drum else PITCH_HEIGHT
        return min(len(self.shown) * row_inches, MAX_ROLL_HEIGHT)


def find_rolls(sequences: Sequence[NoteSequence]) -> list[PianoRoll]:
    """Returns a roll for every track that is named or that sounds, in order of their numbers."""
    names: dict[int, str] = {}
    notes: dict[int, list[NoteSequence.Note]] = {}
    rolls = []
    for sequence in sequences:
        for info in sequence.instrument_infos:
            names.setdefault(info.instrument, info.name)
        for note in sequence.notes:
            notes.setdefault(note.instrument, []).append(note)
    for number in sorted(names.keys() | notes.keys()) or [0]:
        name, played = names.get(number, ""), notes.get(number, [])
        # Nothing but its name tells what a silent track is.
        is_drum = any(note.is_drum for note in played) or (not played and name == Drums().name)
        rolls.append((_drum_roll if is_drum else _melody_roll)(number, name, played))
    return rolls


def _drum_roll(instrument: int, name: str, _notes: list) -> PianoRoll:
    kinds = Drums().hit_pitches
    rows = {pitch: kind for kind, pitches in enumerate(kinds) for pitch in pitches}
    shown = range(len(kinds))
    lines = [row - 0.5 for row in shown[1:]]
    return PianoRoll(instrument, name, True, rows, shown, dict(enumerate(DRUM_NAMES)), lines, [])


def _melody_roll(instrument: int, name: str, notes: list) -> PianoRoll:
    pitches = [note.pitch for note in notes] or [60]
    low, high = min(pitches) - PITCH_MARGIN, max(pitches) + PITCH_MARGIN
    missing = max(MIN_PITCHES - (high - low + 1), 0)
    shown = range(low - missing // 2, high + (missing + 1) // 2 + 1)
    letters = {0: "C"} if len(shown) > MAX_PITCHES_WITH_G else {0: "C", 7: "G"}
    rows = {pitch: pitch for pitch in range(NUM_PITCHES)}
    named = [row for row in shown if row in rows and row % 12 in letters]
    labels = {row: f"{letters[row % 12]}{row // 12 - 1}" for row in named}
    octaves = [row for row in named if row % 12 == 0]
    black_keys = [row for row in shown if row in rows and row % 12 in BLACK_KEYS]
    return PianoRoll(instrument, name, False, rows, shown, labels, octaves, black_keys)
