"""The tracks of a MIDI file, read event by event.

Many times slower than symusic, and for what that does not read rightly: running status after a
sysex, sysex in packets, data bytes above 127, programs and rhythm parts told in another track.
"""

import collections
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from magenta_vae.music import midi_channels
from magenta_vae.music.errors import SongError
from magenta_vae.music.midi_channels import DRUM_CHANNEL, Place
from magenta_vae.music.midi_chunks import Chunks, Notes, Part, Reading

META, SYSEX, ESCAPE = 0xFF, 0xF0, 0xF7
END_OF_TRACK, NAME, PORT, TEMPO, TIME_SIGNATURE = 0x2F, 0x03, 0x21, 0x51, 0x58
# Data bytes by the upper half of a status. Of system messages, which have no place in a file but
# are met: quarter frame, song position and song select have some.
NUM_DATA_BYTES = [0] * 8 + [2, 2, 2, 2, 1, 1, 2, 0]
NUM_SYSTEM_BYTES = {0xF1: 1, 0xF2: 2, 0xF3: 1}
MAX_QUANTITY_BYTES = 4


class _Track(NamedTuple):
    """What one track holds.

    Attributes:
        notes: (where its event ends, start, end, channel, pitch, velocity) of each: int64.
        changes: (place, status, data) of program changes, bank selects and sysex.
        name, port: as it says.
        time_signatures, tempos: as in `Reading`.
    """

    notes: np.ndarray
    changes: list[tuple[Place, int, bytes]]
    name: str
    port: int
    time_signatures: list[tuple[int, int, int]]
    tempos: list[tuple[int, float]]


def read_events(chunks: Chunks, max_notes: int, max_quarters: int) -> Reading:
    """Reads the tracks of a file.

    Notes end as symusic ends them: of a pitch that is struck twice the first is let go first. One
    that is never let go lasts to the last release of its pitch, else to the end of its track.

    Args:
        chunks: the tracks.
        max_notes: of the whole file.
        max_quarters: how far the end of a track may be for a note to last until then.

    Raises:
        SongError: where a track is damaged, or holds too many notes.
    """
    tracks, num_notes = [], 0
    for index, body in enumerate(chunks.tracks):
        notes = _Notes(max_notes - num_notes, max_quarters * chunks.ticks_per_quarter)
        tracks.append(_read_track(body, index, notes))
        num_notes += len(tracks[-1].notes)
    sounds = {
        port: midi_channels.follow_channels(
            change for track in tracks if track.port == port for change in track.changes
        )
        for port in {track.port for track in tracks}
    }
    parts = [
        part
        for index, track in enumerate(tracks)
        for part in _parts(track, index, sounds[track.port])
    ]
    num_rhythm_parts = sum(p.is_drum and channel != DRUM_CHANNEL for channel, p, _ in parts)
    rows = np.concatenate([np.empty((0, 6), np.int64), *(rows for *_, rows in parts)])
    _, starts, ends, _, pitches, velocities = rows.T
    signatures = [signature for track in tracks for signature in track.time_signatures]
    tempos = [tempo for track in tracks for tempo in track.tempos]
    return Reading(
        [part for _, part, _ in parts],
        Notes(starts, ends, pitches, np.minimum(velocities, 127)),
        _by_tick(signatures),
        _by_tick(tempos),
        num_rhythm_parts,
    )


def walk(body: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """Yields (where it ends, tick, status, data) of the events of a track that bear on notes.

    These are notes, program changes, bank selects, meta events, whose data begin with their type,
    and sysex, put together of their packets and without F0. What an escape sends is left out,
    unless it is a sysex. Running status outlives sysex, meta events and what is sent in real time,
    as programs write it.

    Raises:
        SongError: where the bytes are no events.
    """
    at = tick = running = num_data_bytes = 0
    packets: bytes | None = None
    while at < len(body):
        delta, at = (body[at], at + 1) if body[at] < 0x80 else _read_quantity(body, at)
        if at == len(body):
            return
        tick += delta
        status = body[at]
        if status < 0xF0:
            if status > 0x7F:
                running, num_data_bytes, at = status, NUM_DATA_BYTES[status >> 4], at + 1
            start, at = at, at + num_data_bytes
            if not running:
                raise SongError("damaged MIDI", f"data without a status at byte {at} of a track")
            if at > len(body):
                raise _cut_off(start)
            if running < 0xA0 or running >> 4 == 0xC or (running >> 4 == 0xB and not body[start]):
                yield at, tick, running, body[start:at]
            continue
        packets, at, data = _read_system_event(body, at, packets)
        if data is None:
            continue
        yield at, tick, status if status == META else SYSEX, data
        if status == META and data[0] == END_OF_TRACK:
            return


def _read_system_event(
    body: bytes, at: int, packets: bytes | None
) -> tuple[bytes | None, int, bytes | None]:
    """Reads a meta event, a packet of a sysex, an escape or what belongs in no file.

    Returns the packets of a sysex that is not at its end, where the event ends, and the data of a
    meta event or of a whole sysex.
    """
    status, at = body[at], at + 1
    if status not in (META, SYSEX, ESCAPE):
        return packets, at + NUM_SYSTEM_BYTES.get(status, 0), None
    size, start = _read_quantity(body, at + (status == META))
    end = start + size
    if end > len(body):
        raise _cut_off(at)
    if status == META:
        return packets, end, body[at : at + 1] + body[start:end]
    data = body[start:end]
    if status == SYSEX or (packets is None and data[:1] == b"\xf0"):
        packets = data.removeprefix(b"\xf0")
    elif packets is not None:
        packets += data
    if packets is not None and packets.endswith(b"\xf7"):
        return None, end, packets
    return packets, end, None


class _Notes:
    """The notes of a track, as they begin and end.

    Args:
        max_notes: that it may have.
        max_ticks: how far its end may be for a note to last until then.
    """

    def __init__(self, max_notes: int, max_ticks: int):
        self._max_notes, self._max_ticks = max_notes, max_ticks
        self._rows: list[int] = []  # Six numbers a note.
        self._sounding: dict[int, collections.deque[int]] = collections.defaultdict(
            collections.deque
        )
        self._released: dict[int, int] = {}
        self._last = 0

    def read(self, at: int, tick: int, status: int, data: bytes) -> None:
        """Takes in a note that begins or ends."""
        pitch, velocity = data
        if pitch > 127:
            raise SongError("damaged MIDI", f"a note of pitch {pitch}")
        key, self._last = (status & 0x0F) << 7 | pitch, tick
        if status >= 0x90 and velocity:
            self._sounding[key].append(len(self._rows))
            self._rows += at, tick, -1, status & 0x0F, pitch, velocity
            if len(self._rows) > 6 * self._max_notes:
                raise SongError("too many notes", f"more than {self._max_notes:,} in a track")
            return
        self._released[key] = tick
        if self._sounding[key]:
            self._rows[self._sounding[key].popleft() + 2] = tick

    def end(self, tick: int) -> np.ndarray:
        """Ends what still sounds at the end of the track; returns the rows of `_Track.notes`."""
        end = tick if tick <= self._max_ticks else self._last
        for key, rows in self._sounding.items():
            for row in rows:
                start, released = self._rows[row + 1], self._released.get(key, -1)
                self._rows[row + 2] = released if released > start else max(end, start)
        return np.array(self._rows, np.int64).reshape(-1, 6)


def _read_track(body: bytes, index: int, notes: _Notes) -> _Track:
    track = _Track(np.empty((0, 6)), [], "", 0, [], [])
    name, port, tick = "", 0, 0
    for at, tick, status, data in walk(body):
        if status < 0xA0:
            notes.read(at, tick, status, data)
        elif status != META:
            track.changes.append((Place(tick, index, at), status, data))
        elif data[0] == NAME:
            name = data[1:].decode("utf-8", "replace")
        elif data[0] == PORT and data[1:]:
            port = data[1]
        else:
            _read_meta(track, tick, data[0], data[1:])
    return track._replace(notes=notes.end(tick), name=name, port=port)


def _read_meta(track: _Track, tick: int, kind: int, data: bytes) -> None:
    if kind == TIME_SIGNATURE and len(data) >= 2:
        track.time_signatures.append((tick, data[0], 2 ** data[1] if data[1] < 8 else 0))
    elif kind == TEMPO and any(data[:3]):
        track.tempos.append((tick, 60e6 / int.from_bytes(data[:3], "big")))


def _parts(
    track: _Track, index: int, channels: dict[int, midi_channels.Channel]
) -> Iterator[tuple[int, Part, np.ndarray]]:
    """Yields a channel, a part that it plays with one sound, and the rows of its notes."""
    numbers, starts, _, in_channels, *_ = track.notes.T
    for channel in np.unique(in_channels).tolist():
        rows = np.flatnonzero(in_channels == channel)
        which, sounds = channels[channel].sounds_at(starts[rows], index, numbers[rows])
        for sound in sorted({sounds[place] for place in np.unique(which).tolist()}):
            is_of_sound = np.array([other == sound for other in sounds])[which]
            notes = track.notes[rows[is_of_sound]]
            yield channel, Part(sound.program, sound.is_drum, track.name, len(notes)), notes


def _by_tick(events: list) -> list:
    """Returns events in the order of ticks, those of one tick in the order of the tracks."""
    return sorted(events, key=lambda event: event[0])


def _read_quantity(body: bytes, at: int) -> tuple[int, int]:
    """Returns a variable-length quantity and where it ends."""
    value = 0
    for end, byte in enumerate(body[at : at + MAX_QUANTITY_BYTES], at + 1):
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, end
    raise SongError("damaged MIDI", f"expected a number of up to 4 bytes at byte {at} of a track")


def _cut_off(at: int) -> SongError:
    return SongError("damaged MIDI", f"an event at byte {at} of a track runs over its end")
