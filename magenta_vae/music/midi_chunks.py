"""Bytes of a MIDI file -> its header and the bytes of its tracks."""

from typing import NamedTuple

import numpy as np

from magenta_vae.music.errors import SongError

HEADER, TRACK = b"MThd", b"MTrk"
HEADER_BYTES = 6  # Of a header's fields. A longer one is valid: what follows them is not read.


class Chunks(NamedTuple):
    """A MIDI file in its parts.

    Attributes:
        midi_format: 0, 1 or 2.
        ticks_per_quarter: the time division, above 0.
        tracks: the bytes of the events of each track, however many the header claims.
    """

    midi_format: int
    ticks_per_quarter: int
    tracks: list[bytes]


class Part(NamedTuple):
    """Notes of one track that share a channel and a program: so many of those of its `Reading`."""

    program: int
    is_drum: bool
    name: str
    num_notes: int


class Notes(NamedTuple):
    """Notes of all parts of a file, one part after another: integers [notes] each.

    `starts` and `ends` in ticks, ends >= starts; `pitches`; `velocities`.
    """

    starts: np.ndarray
    ends: np.ndarray
    pitches: np.ndarray
    velocities: np.ndarray


class Reading(NamedTuple):
    """What the tracks of a file hold, in ticks.

    Attributes:
        parts: in the order of the tracks, then of channels and programs.
        notes: of all parts.
        time_signatures: (tick, numerator, denominator), those of one tick in the file's order.
        tempos: (tick, quarters per minute).
        num_rhythm_parts: the parts that are drums off channel 10.
    """

    parts: list[Part]
    notes: Notes
    time_signatures: list[tuple[int, int, int]]
    tempos: list[tuple[int, float]]
    num_rhythm_parts: int = 0


def read_chunks(midi: bytes) -> Chunks:
    """Takes a MIDI file apart, also one in a RIFF container (RMI).

    Raises `SongError` for what is not counted in beats, in words a musician understands, and for a
    track that is cut off.
    """
    if midi[:4] == b"RIFF" and midi[8:12] == b"RMID":
        midi = _riff_data(midi)
    midi_format, division, at = _read_header(midi)
    return Chunks(midi_format, division, list(_read_tracks(midi, at)))


def join_chunks(chunks: Chunks) -> bytes:
    """Returns a MIDI file with a header of six bytes and no chunks but tracks."""
    fields = chunks.midi_format, len(chunks.tracks), chunks.ticks_per_quarter
    pieces = [
        HEADER,
        HEADER_BYTES.to_bytes(4, "big"),
        *(field.to_bytes(2, "big") for field in fields),
    ]
    for track in chunks.tracks:
        pieces += [TRACK, len(track).to_bytes(4, "big"), track]
    return b"".join(pieces)


def bare_midi(midi: bytes) -> bytes:
    """Returns a MIDI file out of its RIFF container, where it is in one, without what is no track.

    Raises `SongError` as `read_chunks` does.
    """
    return join_chunks(read_chunks(midi))


def _riff_data(riff: bytes) -> bytes:
    """Returns the `data` chunk of a RIFF file: (name, 32-bit size, contents to an even length)."""
    at = 12
    while at + 8 <= len(riff):
        size = int.from_bytes(riff[at + 4 : at + 8], "little")
        if riff[at : at + 4] == b"data":
            return riff[at + 8 : at + 8 + size]
        at += 8 + size + size % 2
    raise SongError("not MIDI", "a RIFF container (RMI) without a data chunk")


def _read_header(midi: bytes) -> tuple[int, int, int]:
    """Returns the format, the time division and where the header ends."""
    if not midi:
        raise SongError("empty file")
    if midi[:4] == HEADER and len(midi) < 14:
        raise SongError("not MIDI", f"expected a header of 14 bytes, found {len(midi)}")
    if midi[:4] != HEADER:
        raise SongError(
            "not MIDI", f"expected a 14-byte header that begins with MThd, found {midi[:4]!r}"
        )
    size = int.from_bytes(midi[4:8], "big")
    if not HEADER_BYTES <= size <= len(midi) - 8:
        raise SongError(
            "damaged MIDI", f"expected a header of at least {HEADER_BYTES} bytes, found {size:,}"
        )
    midi_format, num_tracks, division = (
        int.from_bytes(midi[at : at + 2], "big") for at in (8, 10, 12)
    )
    if division & 0x8000:
        raise SongError("no beats", "SMPTE time division: the file counts frames, not beats")
    if division == 0:
        raise SongError("no beats", "expected a time division above 0, found 0")
    if midi_format > 2:
        raise SongError("damaged MIDI", f"expected a format of 0, 1 or 2, found {midi_format}")
    if midi_format == 2 and num_tracks > 1:
        raise SongError("format 2", "independent songs in one file, without a common time line")
    return midi_format, division, 8 + size


def _read_tracks(midi: bytes, at: int):
    """Yields the bytes of each track. Other chunks are passed over, as the specification has it."""
    while at < len(midi):
        name, size = midi[at : at + 4], int.from_bytes(midi[at + 4 : at + 8], "big")
        start, at = at + 8, at + 8 + size
        if name == TRACK and at <= len(midi):
            yield midi[start:at]
        elif TRACK.startswith(name):  # Also where the file ends within the name.
            raise SongError(
                "damaged MIDI",
                f"a track of {size:,} bytes with {max(len(midi) - start, 0):,} in the file",
            )
