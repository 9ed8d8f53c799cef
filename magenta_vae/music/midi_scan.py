"""Where the events of MIDI tracks are, told at little cost, and whether symusic reads them rightly.

A track is gone through from its beginning, the events of channels many at a time. What is not sound
or of any doubt is not told: it is read event by event, slower and to the same end.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from magenta_vae.music.midi_channels import DRUM_CHANNEL, KIT_BANKS, NUM_CHANNELS, is_unusual

NOTE_ON, CONTROLLER, PROGRAM, SYSEX, META = 0x90, 0xB0, 0xC0, 0xF0, 0xFF
END_OF_TRACK = b"\xff\x2f\x00"
# The types of meta events that are written.
META_TYPES = {*range(0x10), 0x20, 0x21, 0x2E, 0x2F, 0x4B, 0x51, 0x54, 0x58, 0x59, 0x7F}
CONTROLLERS = bytes(CONTROLLER | each for each in range(NUM_CHANNELS) if each != DRUM_CHANNEL)

_TIME_PATTERN = rb"[\x80-\xff]{0,3}+[\x00-\x7f]"
# The data of an event and the time after it. A bank of drum kits is none that symusic tells.
_TWO_DATA = rb"(?:[\x00-\x7f]{2}" + _TIME_PATTERN + rb")"
_CONTROL = rb"(?:(?!\x00[" + re.escape(bytes(KIT_BANKS)) + rb"])" + _TWO_DATA + rb")"
_ONE_DATA = rb"(?:[\x00-\x7f]" + _TIME_PATTERN + rb")"
_TIME, _RUNNING_TWO, _RUNNING_CONTROL = map(
    re.compile, (_TIME_PATTERN, _TWO_DATA + b"*+", _CONTROL + b"*+")
)
# A status and all events that share it.
_ONE_STATUS = b"|".join(
    (
        rb"[\x80-\xaf\xe0-\xef" + bytes([CONTROLLER | DRUM_CHANNEL]) + b"]" + _TWO_DATA + b"++",
        b"[" + CONTROLLERS + b"]" + _CONTROL + b"++",
        rb"[\xc0-\xdf]" + _ONE_DATA + b"++",
    )
)
_STATUS, _STATUSES = re.compile(_ONE_STATUS), re.compile(b"(?:" + _ONE_STATUS + b")*+")


class Scan(NamedTuple):
    """The statuses of the events of channels, but for those that run on.

    Attributes:
        tracks: the bytes of all tracks, one after another.
        at: where in them each status is: int [statuses].
        statuses: uint8 [statuses].
        track: the number of the track of each: int [statuses].
        seen: whether a track has a status: bool [tracks, 256].
    """

    tracks: bytes
    at: np.ndarray
    statuses: np.ndarray
    track: np.ndarray
    seen: np.ndarray

    def channels(self, kind: int) -> np.ndarray:
        """Says which channels have a kind of status in which track: bool [tracks, channels]."""
        return self.seen[:, kind : kind + NUM_CHANNELS]


def scan_tracks(tracks: Sequence[bytes]) -> Scan | None:
    """Finds the statuses of tracks; None where `find_statuses` does not tell those of one."""
    joined, places, start = b"".join(tracks), [], 0
    for body in tracks:
        found = find_statuses(body)
        if found is None:
            return None
        places.append(np.array(found, np.int64) + start)
        start += len(body)
    at = np.concatenate([np.empty(0, np.int64), *places])
    statuses = np.frombuffer(joined, np.uint8)[at]
    track = np.repeat(np.arange(len(tracks)), list(map(len, places)))
    seen = np.zeros((len(tracks), 256), bool)
    seen[track, statuses] = True
    return Scan(joined, at, statuses, track, seen)


def find_statuses(body: bytes) -> list[int] | None:
    """Returns where the statuses of the events of channels are; None where `find_runs` does."""
    runs = find_runs(body)
    if runs is None:
        return None
    return [each.start() for run in runs for each in _STATUS.finditer(body, *run)]


def find_runs(body: bytes) -> list[tuple[int, int]] | None:
    """Returns from where to where in a track events of channels follow one another.

    Each begins with a status: what runs on after a meta event is left out.

    None for a track that is not sound, or holds what symusic reads wrongly or does not tell: data
    bytes above 127; running status after a sysex; a sysex in packets, an escape, what is sent in
    real time; rhythm parts off channel 10, by a sysex or by a bank of drum kits.

    Args:
        body: the bytes of a track, which end with an end of track.
    """
    runs: list[tuple[int, int]] = []
    at, last, size = _end(_TIME, body, 0), 0, len(body) - len(END_OF_TRACK)
    while True:
        start, at = at, _end(_STATUSES, body, at)
        if at > start:
            runs.append((start, at))
        if at >= size:
            return runs if at == size else None
        is_meta = body[at] == META
        at = _skip_system_event(body, at)
        start, at = at, _end(_TIME, body, at)
        if at == start or at >= size + 1:
            return None
        if body[at] < 0x80:
            # Whole runs are gone through once more only for their last status.
            if runs and runs[-1][0] >= last:
                *_, found = _STATUS.finditer(body, *runs[-1])
                last = found.start()
            if not (is_meta and runs) or PROGRAM <= body[last] < 0xE0:
                return None
            running = _RUNNING_CONTROL if body[last] in CONTROLLERS else _RUNNING_TWO
            at = _end(running, body, at)


def _end(pattern: re.Pattern, body: bytes, at: int) -> int:
    """Returns where the bytes of a pattern end: where they begin if there are none."""
    found = pattern.match(body, at)
    return found.end() if found else at


def _skip_system_event(body: bytes, at: int) -> int:
    """Returns where a meta event or a sysex of no account ends; else the end of the track."""
    status, kind = body[at : at + 2]
    start = at + 1 + (status == META)
    size, begin = read_quantity(body, start)
    data = body[begin : begin + size]
    if begin > start and (
        (status == META and kind in META_TYPES)
        or (status == SYSEX and data.endswith(b"\xf7") and not is_unusual(data))
    ):
        return begin + size
    return len(body)


def read_quantity(data: bytes, at: int) -> tuple[int, int]:
    """Returns a variable-length quantity and where it ends; where it is none, where it begins."""
    value = 0
    for end, byte in enumerate(data[at : at + 4], at + 1):
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, end
    return value, at
