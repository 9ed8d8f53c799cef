"""Where MIDI tracks have programs and notes, told at little cost, and whether symusic reads them.

A track is gone through from its beginning, the events of channels many at a time. What is not sound
or of any doubt is not told: it is read event by event, slower and to the same end.
"""

import re
from typing import NamedTuple

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
_PROGRAMS = re.compile(rb"[\xc0-\xcf]" + _ONE_DATA + b"++")
_ONE_STATUS = b"|".join(
    (
        rb"[\x80-\xaf\xe0-\xef" + bytes([CONTROLLER | DRUM_CHANNEL]) + b"]" + _TWO_DATA + b"++",
        b"[" + CONTROLLERS + b"]" + _CONTROL + b"++",
        rb"[\xd0-\xdf]" + _ONE_DATA + b"++",
    )
)
_STATUS, _STATUSES = re.compile(_ONE_STATUS), re.compile(b"(?:" + _ONE_STATUS + b")*+")


class Scan(NamedTuple):
    """Where a track has the events of its channels.

    Attributes:
        body: the bytes of the track, which end with an end of track.
        programs: where its program changes are, without those in running status.
        runs: from where to where other events follow one another. Each begins with a status: what
            runs on after a meta event is left out.
    """

    body: bytes
    programs: list[int]
    runs: list[tuple[int, int]]

    def has_status(self, status: int) -> bool:
        """Says whether an event of channels has a status; not for those of program changes."""
        matches = (match for run in self.runs for match in _STATUS.finditer(self.body, *run))
        return any(self.body[match.start()] == status for match in matches)


def scan_track(body: bytes) -> Scan | None:
    """Finds the events of the channels of a track.

    None for a track that is not sound, or holds what symusic reads wrongly or does not tell: data
    bytes above 127; running status after a sysex; a sysex in packets, an escape, what is sent in
    real time; rhythm parts off channel 10, by a sysex or by a bank of drum kits.

    Args:
        body: the bytes of a track, which end with an end of track.
    """
    scan = Scan(body, [], [])
    at, size = _end(_TIME, body, 0), len(body) - len(END_OF_TRACK)
    running: int | None = None  # The status of the last events, told when it is needed.
    while True:
        start, at = at, _end(_STATUSES, body, at)
        if at > start:
            scan.runs.append((start, at))
            running = None
        if at >= size:
            return scan if at == size else None
        if body[at] & 0xF0 == PROGRAM:
            scan.programs.append(at)
            start, at = at, _end(_PROGRAMS, body, at)
            if at == start:
                return None
            running = PROGRAM
            continue
        is_meta = body[at] == META
        at = _skip_system_event(body, at)
        start, at = at, _end(_TIME, body, at)
        if at == start or at >= size + 1:
            return None
        if body[at] < 0x80:
            if running is None and scan.runs:
                *_, last = _STATUS.finditer(body, *scan.runs[-1])
                running = body[last.start()]
            if not is_meta or running is None or PROGRAM <= running < 0xE0:
                return None
            at = _end(_RUNNING_CONTROL if running in CONTROLLERS else _RUNNING_TWO, body, at)


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
