"""MIDI bytes -> songs on the bar grid.

A `Song` is what the rest of the package reads: every note of a file on the grid of 16 steps a bar
(paper, Dataset). The grid is counted in MIDI ticks, so a tempo change moves no note on it.
"""

import os
import stat
from collections.abc import Collection
from typing import NamedTuple

import numpy as np

from magenta_vae.music import metres
from magenta_vae.music.errors import SongError
from magenta_vae.music.midi_chunks import Reading, read_chunks
from magenta_vae.music.midi_events import read_events
from magenta_vae.music.midi_symusic import read_with_symusic

STEPS_PER_QUARTER = 4
STEPS_PER_BAR = metres.STEPS_PER_WHOLE
DEFAULT_QPM = 120.0  # Quarters a minute, where a file says nothing: as MIDI has it.

# Bounds, checked before anything is sized from what a file claims. The longest of 2,700 real files
# tried has 1,600 bars; a single stray event can claim millions.
MAX_FILE_BYTES = 16 * 2**20
MAX_NOTES = 250_000
MAX_BARS = 8_192


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
    `signature_steps` holds the step of each time signature, nothing where that is not known.
    `num_rhythm_parts` counts the drums that are not on channel 10 of a MIDI file.
    `left_out` says of each part of a score that has notes which do not sound which part, and what.
    """

    instruments: tuple[Instrument, ...]
    time_signatures: tuple[metres.Metre, ...]
    tempos: tuple[tuple[float, float], ...]
    signature_steps: tuple[int, ...] = ()
    num_rhythm_parts: int = 0
    left_out: tuple[str, ...] = ()

    @property
    def signatures(self) -> list[metres.Signature] | None:
        """The time signatures with their steps, None where these are not known."""
        if len(self.signature_steps) != len(self.time_signatures):
            return None
        return list(map(metres.Signature, self.signature_steps, self.time_signatures))

    @property
    def num_steps(self) -> int:
        """Steps from the start of the file to where its last note ends."""
        return max((int(instrument.ends.max()) for instrument in self.instruments), default=0)

    @property
    def num_bars(self) -> int:
        """Bars from the start of the file to the one in which its last note ends."""
        return -(-self.num_steps // STEPS_PER_BAR)

    def qpm_at(self, step: int) -> float:
        """Returns the tempo at a step, in quarters a minute."""
        # What is told within half a step is meant for it.
        told = [(at, qpm) for at, qpm in self.tempos if at <= step + 0.5]
        return sorted(told, key=lambda tempo: tempo[0])[-1][1] if told else DEFAULT_QPM


def read_song(path: str | os.PathLike) -> Song:
    """Reads a MIDI file. Raises `SongError` with the reason where it cannot be read."""
    return parse_song(read_bytes(path))


def read_bytes(path: str | os.PathLike) -> bytes:
    """Reads a file of bounded size. Raises `SongError` with the reason where it cannot be read."""
    try:
        num_bytes = check_file(path)
        if num_bytes > MAX_FILE_BYTES:
            raise SongError(
                "file too large", f"at most {MAX_FILE_BYTES:,} bytes, found {num_bytes:,}"
            )
        # Room is made for as much as is asked for. Some files say that they have no bytes.
        with open(path, "rb") as file:
            return file.read(num_bytes or MAX_FILE_BYTES)
    except OSError as error:
        raise SongError("cannot be opened", error.strerror or str(error)) from error


def check_file(path: str | os.PathLike) -> int:
    """Returns the bytes of a file.

    Raises `SongError` for a pipe or a device, whose reading may never end, and `OSError` where
    nothing is there.
    """
    status = os.stat(path)
    mode = status.st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):  # A folder says so when it is opened.
        kinds = {stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket"}
        raise SongError("not a file", f"found {kinds.get(stat.S_IFMT(mode), 'a device')}")
    return status.st_size


def parse_song(midi: bytes) -> Song:
    """Parses the bytes of a MIDI file. Raises `SongError` with the reason where that fails."""
    chunks = read_chunks(midi)
    max_quarters = MAX_BARS * STEPS_PER_BAR // STEPS_PER_QUARTER
    reading = read_with_symusic(chunks)
    if reading is None:
        reading = read_events(chunks, MAX_NOTES, max_quarters)
    check_num_notes(len(reading.notes.starts))
    division = chunks.ticks_per_quarter
    first_tick, last_tick = int(reading.notes.starts.min()), int(reading.notes.ends.max())
    check_bars(first_tick / division / 4, last_tick / division / 4)
    song = Song(
        instruments=_instruments(reading, division),
        time_signatures=tuple((n, d) for _, n, d in reading.time_signatures),
        tempos=tuple(
            (tick / division * STEPS_PER_QUARTER, qpm)
            for tick, qpm in reading.tempos
            if 0 < qpm < float("inf")
        ),
        signature_steps=tuple(
            nearest_steps([tick for tick, *_ in reading.time_signatures], division).tolist()
        ),
        num_rhythm_parts=reading.num_rhythm_parts,
    )
    return settle_metre(song)


def settle_metre(song: Song, accepted: Collection[metres.Metre] = (metres.COMMON_TIME,)) -> Song:
    """Returns a song without the time signatures that no bar stands under.

    A pick-up that is written as a short bar before one of the accepted metres is put at the end of
    a whole bar. Where it is not known where the signatures stand, the song is left as it is.
    """
    told = song.signatures
    if told is None or set(song.time_signatures) <= {metres.COMMON_TIME}:
        return song
    signatures, shift = metres.settle(told, song.num_steps, accepted)
    if not shift and len(signatures) == len(song.time_signatures):
        return song
    moved = move_song(song, shift)
    return moved._replace(
        time_signatures=tuple(signature.metre for signature in signatures),
        signature_steps=tuple(signature.step for signature in signatures),
    )


def move_song(song: Song, steps: int) -> Song:
    """Returns a song so many steps later."""
    if not steps:
        return song
    return song._replace(
        instruments=tuple(
            instrument._replace(starts=instrument.starts + steps, ends=instrument.ends + steps)
            for instrument in song.instruments
        ),
        tempos=tuple((step + steps if step else step, qpm) for step, qpm in song.tempos),
        signature_steps=tuple(step + steps for step in song.signature_steps),
    )


def check_num_notes(num_notes: int) -> None:
    """Raises `SongError` for a song without notes, or with more than any music has."""
    if num_notes == 0:
        raise SongError("no notes")
    if num_notes > MAX_NOTES:
        raise SongError("too many notes", f"at most {MAX_NOTES:,}, found {num_notes:,}")


def check_bars(first: float, last: float) -> None:
    """Raises `SongError` where the first or the last note is in a bar that no real song has."""
    if not first >= 0:
        raise SongError("before the start", f"found a note {-first:,.2g} bars before it")
    if not last <= MAX_BARS:
        raise SongError("too long", f"at most {MAX_BARS:,} bars, found a note in bar {last:,.0f}")


def quantize(start_ticks, end_ticks, ticks_per_quarter: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the nearest steps, ties up, and at least one step a note: int32 [notes]."""
    starts = nearest_steps(start_ticks, ticks_per_quarter)
    ends = np.maximum(nearest_steps(end_ticks, ticks_per_quarter), starts + 1)
    return starts.astype(np.int32), ends.astype(np.int32)


def nearest_steps(ticks, ticks_per_quarter: int) -> np.ndarray:
    """Returns the nearest steps, ties up: int64, as `ticks`."""
    ticks = np.asarray(ticks, np.int64)
    return (2 * STEPS_PER_QUARTER * ticks + ticks_per_quarter) // (2 * ticks_per_quarter)


def _instruments(reading: Reading, ticks_per_quarter: int) -> tuple[Instrument, ...]:
    starts, ends, pitches, velocities = reading.notes
    columns = (
        *quantize(starts, ends, ticks_per_quarter),
        pitches.astype(np.int32),
        velocities.astype(np.int32),
    )
    instruments, first = [], 0
    for part in reading.parts:
        last = first + part.num_notes
        notes = (column[first:last] for column in columns)
        instruments.append(Instrument(part.program, part.is_drum, part.name, *notes))
        first = last
    return tuple(instruments)
