"""The tracks of a MIDI file, read event by event.

A hundred times as slow as symusic, and for what that does not read rightly: running status after a
sysex, sysex in packets, data bytes above 127, programs and rhythm parts told in another track.
"""

import collections
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from magenta_vae.music import midi_channels
from magenta_vae.music.errors import SongError
from magenta_vae.music.midi_channels import DRUM_CHANNEL, Place
from magenta_vae.music.midi_chunks import Chunks, Part, Reading

META, SYSEX, ESCAPE = 0xFF, 0xF0, 0xF7
END_OF_TRACK, NAME, PORT, TEMPO, TIME_SIGNATURE = 0x2F, 0x03, 0x21, 0x51, 0x58
# Data bytes by the upper half of a status. Of system messages, which have no place in a file but
# are met: song position, quarter frame and song select have some.
NUM_DATA_BYTES = {8: 2, 9: 2, 0xA: 2, 0xB: 2, 0xC: 1, 0xD: 1, 0xE: 2}
NUM_SYSTEM_BYTES = {0xF1: 1, 0xF2: 2, 0xF3: 1}
MAX_QUANTITY_BYTES = 4


class _Track(NamedTuple):
    """What one track holds.

    Attributes:
        notes: [number of the event, start, end, channel, pitch, velocity] of each.
        changes: (place, status, data) of program changes, bank selects and sysex.
        name, port: as it says.
        time_signatures, tempos: as in `Reading`.
    """

    notes: list[list[int]]
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
    tracks, left = [], max_notes
    for index, body in enumerate(chunks.tracks):
        tracks.append(_read_track(body, index, left, max_quarters * chunks.ticks_per_quarter))
        left -= len(tracks[-1].notes)
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
    num_rhythm_parts = sum(part.is_drum and channel != DRUM_CHANNEL for channel, part in parts)
    signatures = [each for track in tracks for each in track.time_signatures]
    tempos = [each for track in tracks for each in track.tempos]
    return Reading(
        [part for _, part in parts], _by_tick(signatures), _by_tick(tempos), num_rhythm_parts
    )


def walk(body: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yields (tick, status, data) of each event of a track, to its end.

    The data of a meta event begin with its type; a sysex is put together of its packets, without
    F0. What an escape sends is left out, unless it is a sysex. Running status outlives sysex, meta
    events and what is sent in real time, as programs write it.

    Raises:
        SongError: where the bytes are no events.
    """
    at = tick = running = 0
    packets: bytes | None = None
    while at < len(body):
        delta, at = (body[at], at + 1) if body[at] < 0x80 else _read_quantity(body, at)
        if at == len(body):
            return
        tick += delta
        status = body[at]
        at += status > 0x7F
        if status < 0xF0:
            running = status if status > 0x7F else running
            if not running:
                raise SongError("damaged MIDI", f"data without a status at byte {at} of a track")
            end = at + NUM_DATA_BYTES[running >> 4]
            data = body[at:end]
            if end > len(body):
                raise _cut_off(at)
            yield tick, running, data
        elif status == META:
            size, start = _read_quantity(body, at + 1)
            end = start + size
            data = _slice(body, at, at + 1) + _slice(body, start, end)
            yield tick, META, data
            if data[0] == END_OF_TRACK:
                return
        elif status in (SYSEX, ESCAPE):
            size, start = _read_quantity(body, at)
            end = start + size
            data = _slice(body, start, end)
            if status == SYSEX or (packets is None and data[:1] == b"\xf0"):
                packets = data.removeprefix(b"\xf0")
            elif packets is not None:
                packets += data
            if packets is not None and packets.endswith(b"\xf7"):
                yield tick, SYSEX, packets
                packets = None
        else:
            end = at + NUM_SYSTEM_BYTES.get(status, 0)
        at = end


def _read_track(body: bytes, index: int, max_notes: int, max_ticks: int) -> _Track:
    """Reads one track, the ends of its notes settled."""
    track = _Track([], [], "", 0, [], [])
    sounding = collections.defaultdict(collections.deque)
    released: dict[tuple[int, int], int] = {}
    name, port, last, tick = "", 0, 0, 0
    for number, (tick, status, data) in enumerate(walk(body)):
        if status < 0xA0:
            key, last = (status & 0x0F, data[0]), tick
            if key[1] > 127:
                raise SongError("damaged MIDI", f"a note of pitch {key[1]}")
            if status >= 0x90 and data[1]:
                note = [number, tick, -1, *key, min(data[1], 127)]
                track.notes.append(note)
                sounding[key].append(note)
                if len(track.notes) > max_notes:
                    raise SongError("too many notes", f"more than {max_notes:,} are left to it")
            else:
                released[key] = tick
                if sounding[key]:
                    sounding[key].popleft()[2] = tick
        elif status >> 4 == 0xC or (status >> 4 == 0xB and data[0] == 0) or status == SYSEX:
            track.changes.append((Place(tick, index, number), status, data))
        elif status == META:
            name, port = _read_meta(track, tick, data, name, port)
    end = tick if tick <= max_ticks else last
    for key, notes in sounding.items():
        for note in notes:
            note[2] = released[key] if released.get(key, -1) > note[1] else max(end, note[1])
    return track._replace(name=name, port=port)


def _read_meta(track: _Track, tick: int, data: bytes, name: str, port: int) -> tuple[str, int]:
    """Takes in a meta event; returns the name and port of the track from then on."""
    kind, data = data[0], data[1:]
    if kind == TIME_SIGNATURE and len(data) >= 2:
        track.time_signatures.append((tick, data[0], 2 ** data[1] if data[1] < 8 else 0))
    elif kind == TEMPO and any(data):
        track.tempos.append((tick, 60e6 / int.from_bytes(data[:3], "big")))
    elif kind == NAME:
        name = data.decode("utf-8", "replace")
    elif kind == PORT and data:
        port = data[0]
    return name, port


def _parts(track: _Track, index: int, channels: dict) -> Iterator[tuple[int, Part]]:
    """Yields a channel and the notes of a track that it plays with one sound."""
    groups: dict[tuple, list[list[int]]] = {}
    for note in track.notes:
        number, start, _, channel, *_ = note
        sound = channels[channel].sound_at(Place(start, index, number))
        groups.setdefault((channel, sound), []).append(note)
    for (channel, sound), notes in sorted(groups.items(), key=lambda group: group[0]):
        _, starts, ends, _, pitches, velocities = np.array(notes, np.int64).T
        yield channel, Part(*sound, track.name, starts, ends, pitches, velocities)


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


def _slice(body: bytes, start: int, end: int) -> bytes:
    if end > len(body):
        raise _cut_off(start)
    return body[start:end]


def _cut_off(at: int) -> SongError:
    return SongError("damaged MIDI", f"an event at byte {at} of a track runs over its end")
