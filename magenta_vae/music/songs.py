"""MIDI bytes -> songs on the bar grid.

A `Song` is what the rest of the package reads: every note of a file on the grid of 16 steps a bar
(paper, Dataset). The grid is counted in MIDI ticks, so a tempo change moves no note on it.
"""

import os
from typing import NamedTuple

import numpy as np
import symusic

STEPS_PER_QUARTER = 4
STEPS_PER_BAR = 16  # paper, Dataset: "sixteen notes per bar"

# Bounds, checked before anything is sized from what a file claims. The longest of 2,700 real files
# tried has 1,600 bars; a single stray event can claim millions.
MAX_FILE_BYTES = 16 * 2**20
MAX_NOTES = 250_000
MAX_BARS = 8_192


class SongError(ValueError):
    """A file or NoteSequence that cannot be used.

    Attributes:
        reason: the rule it breaks, from a small fixed set: what the counts are keyed by.
        detail: what was expected and what was found.
    """

    def __init__(self, reason: str, detail: str = ""):
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail

    def __reduce__(self):  # Pickled whole on its way back from a worker process.
        return (SongError, (self.reason, self.detail))


class Instrument(NamedTuple):
    """One part of a song: the notes of one MIDI track that share a channel and a program.

    int32 [notes] each: `starts` and `ends` in steps, ends > starts; `pitches`; `velocities`.
    """

    program: int
    is_drum: bool
    name: str
    starts: np.ndarray
    ends: np.ndarray
    pitches: np.ndarray
    velocities: np.ndarray


class Song(NamedTuple):
    """The instruments of one file, its time signatures in order, and its tempo map.

    `tempos` holds (step, quarters per minute), a float step: a tempo may change off the grid.
    """

    instruments: tuple[Instrument, ...]
    time_signatures: tuple[tuple[int, int], ...]
    tempos: tuple[tuple[float, float], ...]

    @property
    def num_bars(self) -> int:
        """Bars from the start of the file to the one in which its last note ends."""
        last = max((int(part.ends.max()) for part in self.instruments), default=0)
        return -(-last // STEPS_PER_BAR)


def read_song(path: str | os.PathLike) -> Song:
    """Reads a MIDI file. Raises `SongError` with the reason where it cannot be read."""
    return parse_song(read_bytes(path))


def read_bytes(path: str | os.PathLike) -> bytes:
    """Reads a file of bounded size. Raises `SongError` with the reason where it cannot be read."""
    try:
        num_bytes = os.path.getsize(path)
        if num_bytes > MAX_FILE_BYTES:
            raise SongError(
                "file too large", f"at most {MAX_FILE_BYTES:,} bytes, found {num_bytes:,}"
            )
        with open(path, "rb") as file:
            return file.read(MAX_FILE_BYTES)
    except OSError as error:
        raise SongError("cannot be opened", error.strerror or str(error)) from error


def parse_song(midi: bytes) -> Song:
    """Parses the bytes of a MIDI file. Raises `SongError` with the reason where that fails."""
    midi = bare_midi(midi)
    try:
        score = symusic.Score.from_midi(midi)
    except Exception as error:  # symusic raises whatever its parser met, RuntimeError most of all.
        raise SongError("damaged MIDI", " ".join(str(error).split())) from error
    num_notes = sum(len(track.notes) for track in score.tracks)
    check_num_notes(num_notes)
    tracks = [(track, track.notes.numpy()) for track in score.tracks if len(track.notes)]
    # A tick beyond 32 bits comes back negative.
    first_tick = min(int(n["time"].min()) for _, n in tracks)
    last_tick = max(int((n["time"].astype(np.int64) + n["duration"]).max()) for _, n in tracks)
    check_bars(first_tick / score.tpq / 4, last_tick / score.tpq / 4)
    return Song(
        instruments=tuple(_instrument(track, notes, score.tpq) for track, notes in tracks),
        time_signatures=tuple((s.numerator, s.denominator) for s in score.time_signatures),
        tempos=tuple(
            (tempo.time / score.tpq * STEPS_PER_QUARTER, tempo.qpm)
            for tempo in score.tempos
            if 0 < tempo.qpm < float("inf")
        ),
    )


def bare_midi(midi: bytes) -> bytes:
    """Returns a MIDI file out of its RIFF container (RMI), where it is in one, its header checked.

    Raises `SongError` for what is not counted in beats, in words a musician understands.
    """
    if midi[:4] == b"RIFF" and midi[8:12] == b"RMID":
        midi = _riff_data(midi)
    _check_header(midi)
    return midi


def _riff_data(riff: bytes) -> bytes:
    """Returns the `data` chunk of a RIFF file: (name, 32-bit size, contents to an even length)."""
    at = 12
    while at + 8 <= len(riff):
        size = int.from_bytes(riff[at + 4 : at + 8], "little")
        if riff[at : at + 4] == b"data":
            return riff[at + 8 : at + 8 + size]
        at += 8 + size + size % 2
    raise SongError("not MIDI", "a RIFF container (RMI) without a data chunk")


def _check_header(midi: bytes) -> None:
    if not midi:
        raise SongError("empty file")
    if midi[:4] != b"MThd" or len(midi) < 14:
        raise SongError(
            "not MIDI", f"expected a 14-byte header that begins with MThd, found {midi[:4]!r}"
        )
    midi_format, num_tracks, division = (
        int.from_bytes(midi[at : at + 2], "big") for at in (8, 10, 12)
    )
    if division & 0x8000:
        raise SongError("no beats", "SMPTE time division: the file counts frames, not beats")
    if division == 0:
        raise SongError("no beats", "expected a time division above 0, found 0")
    if midi_format == 2 and num_tracks > 1:
        raise SongError("format 2", "independent songs in one file, without a common time line")


def check_num_notes(num_notes: int) -> None:
    """Raises `SongError` for a song without notes, or with more than any music has."""
    if num_notes == 0:
        raise SongError("no notes")
    if num_notes > MAX_NOTES:
        raise SongError("too many notes", f"at most {MAX_NOTES:,}, found {num_notes:,}")


def check_bars(first: float, last: float) -> None:
    """Raises `SongError` where the first or the last note is in a bar that no real song has."""
    if not first >= 0:
        raise SongError("before the start", f"found a note in bar {first:,.0f}")
    if not last <= MAX_BARS:
        raise SongError("too long", f"at most {MAX_BARS:,} bars, found a note in bar {last:,.0f}")


def _instrument(track, notes: dict[str, np.ndarray], ticks_per_quarter: int) -> Instrument:
    starts, ends = quantize(
        notes["time"], notes["time"].astype(np.int64) + notes["duration"], ticks_per_quarter
    )
    return Instrument(
        program=int(track.program),
        is_drum=bool(track.is_drum),
        name=track.name,
        starts=starts,
        ends=ends,
        pitches=notes["pitch"].astype(np.int32),
        velocities=notes["velocity"].astype(np.int32),
    )


def quantize(start_ticks, end_ticks, ticks_per_quarter: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the nearest steps, ties up, and at least one step a note: int32 [notes]."""

    def nearest(ticks):
        ticks = np.asarray(ticks, np.int64)
        return (2 * STEPS_PER_QUARTER * ticks + ticks_per_quarter) // (2 * ticks_per_quarter)

    starts = nearest(start_ticks)
    return starts.astype(np.int32), np.maximum(nearest(end_ticks), starts + 1).astype(np.int32)
