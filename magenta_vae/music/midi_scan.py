"""What symusic does not read rightly, found in the bytes of MIDI tracks at little cost.

Doubt is enough: what is doubtful is read event by event, slower and to the same end.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from magenta_vae.music.midi_channels import DRUM_CHANNEL, KIT_BANKS, NUM_CHANNELS, is_unusual

NOTE_ON, CONTROLLER, PROGRAM, SYSEX, ESCAPE, META = 0x90, 0xB0, 0xC0, 0xF0, 0xF7, 0xFF
# Controllers that go on in running status, until one of them chooses a bank of drum kits.
_RUNNING_BANK = re.compile(
    rb"[\xb0-\xbf](?:[\x00-\x7f]{2}[\x80-\xff]{0,3}[\x00-\x7f])*?\x00[\x78\x7f]"
)
# What a high byte is, by the one before it and the number of low bytes between the two: a part of
# a time, a status, or the same as the one before, or the other.
_TIME, _STATUS, _SAME, _OTHER = range(4)
_MANY = 240  # Low bytes: more count as so many, or up to five more. A multiple of six.


def _tell_high_bytes() -> np.ndarray:
    """Returns what a high byte is: [2 data bytes, 1 data byte or none, low bytes between].

    Two data bytes and a last byte of a time make a status of what follows a status; each further
    event in running status adds three. After a time one byte, its last, comes before a status.
    """
    two, one, none = ([_STATUS] * (_MANY + 6) for _ in range(3))
    for gap in range(_MANY + 6):
        two[gap] = (_SAME, _STATUS, _TIME)[gap % 3]
        none[gap] = (_TIME, _STATUS, _STATUS)[gap % 3]
        one[gap] = (_SAME, _OTHER, _SAME, _TIME, _STATUS, _TIME)[gap % 6]
    for each in (two, one, none):
        each[0] = _TIME  # It goes on.
    return np.array([two, one, none], np.uint8)


_TOLD = _tell_high_bytes().ravel()
_NUM_DATA_BYTES = np.array([2] * 0xC0 + [1] * 0x20 + [2] * 0x10 + [0] * 0x10, np.int32)
_ROW = np.array([0] * 0xC0 + [1] * 0x20 + [0] * 0x10 + [2] * 0x10, np.int32) * (_MANY + 6)
# The types of meta events that are written. Before another byte 0xFF begins a time.
META_TYPES = (*range(0x10), 0x20, 0x21, 0x2E, 0x2F, 0x4B, 0x51, 0x54, 0x58, 0x59, 0x7F)
_IS_META = np.isin(np.arange(256), META_TYPES)


class Scan(NamedTuple):
    """The statuses of tracks, but for those that run on.

    Attributes:
        tracks: the bytes of all tracks, one after another.
        at: where in them each status is: int [statuses].
        statuses: uint8 [statuses].
        track: the number of the track of each: int [statuses].
        seen: whether a track has a status: bool [tracks, 256].
        is_certain: whether they are sound: no data byte is above 127.
    """

    tracks: bytes
    at: np.ndarray
    statuses: np.ndarray
    track: np.ndarray
    seen: np.ndarray
    is_certain: bool

    def channels(self, kind: int) -> np.ndarray:
        """Says which channels have a kind of status in which track: bool [tracks, channels]."""
        return self.seen[:, kind : kind + NUM_CHANNELS]


def scan_tracks(tracks: list[bytes], times: Sequence[int] = ()) -> Scan:
    """Finds the statuses of tracks: those are taken for events, as sound ones are.

    Args:
        tracks: the bytes of each.
        times: the places, in all of them, where 0xFF is known to begin a time.
    """
    joined = b"".join(tracks)
    values = np.frombuffer(joined, np.uint8)
    high = np.flatnonzero(values >= 0x80).astype(np.int32)
    first = values.take(high)
    is_no_meta = first != META
    if times:
        is_no_meta |= np.isin(high, times)
    ends = _find_ends(joined, values, high, is_no_meta)
    # What lies in the data of a meta event is no part of the order of statuses and times.
    is_inside = high[1:] < ends[:-1]
    if is_inside.any():
        outside = np.append(True, high[1:] >= np.maximum.accumulate(ends)[:-1])
        high, first, ends = high[outside], first[outside], ends[outside]
    gaps = high.copy()
    gaps[1:] -= ends[:-1]
    is_time = _is_time(first, gaps)
    mistaken = high[is_time & (ends > high + 1)].tolist()
    if mistaken and not times:
        return scan_tracks(tracks, mistaken)
    # A status is followed by less data than it has.
    is_odd = mistaken or (~is_time[:-1] & (gaps[1:] < _NUM_DATA_BYTES.take(first[:-1]))).any()
    at, statuses = high[~is_time], first[~is_time]
    track_ends = np.searchsorted(at, np.cumsum([len(each) for each in tracks]))
    track = np.repeat(np.arange(len(tracks)), np.diff(track_ends, prepend=0))
    seen = np.zeros(len(tracks) << 8, bool)
    seen[track << 8 | statuses] = True
    return Scan(joined, at, statuses, track, seen.reshape(-1, 256), not is_odd)


def is_doubtful(scan: Scan) -> bool:
    """Says whether tracks may hold what symusic reads wrongly or does not tell.

    That is running status after a sysex or a message in real time; a sysex in packets, or an
    escape; rhythm parts off channel 10, by a sysex or by a bank of drum kits.
    """
    seen = np.any(scan.seen, axis=0, keepdims=True)[0]
    seen[CONTROLLER | DRUM_CHANNEL] = False
    return bool(
        not scan.is_certain
        or (seen[SYSEX:META].any() and _has_odd_system_event(scan))
        or (seen[CONTROLLER : CONTROLLER + NUM_CHANNELS].any() and _has_kit_bank(scan))
    )


def _has_kit_bank(scan: Scan) -> bool:
    is_controller = scan.statuses & 0xF0 == CONTROLLER
    is_controller &= scan.statuses != CONTROLLER | DRUM_CHANNEL
    values = np.frombuffer(scan.tracks + bytes(6), np.uint8)
    at = scan.at[is_controller]
    banks = values[at[values[at + 1] == 0] + 2]
    if any((banks == bank).any() for bank in KIT_BANKS):
        return True
    # Where a time and no status follow, the next event may be a controller too.
    running = at[values[at + 4 + (values[at + 3] >= 0x80)] < 0x80]
    return any(_RUNNING_BANK.match(scan.tracks, start) for start in running.tolist())


def _has_odd_system_event(scan: Scan) -> bool:
    which = (scan.statuses >= SYSEX) & (scan.statuses < META)
    end = 0
    for start in scan.at[which].tolist():
        if start < end:
            continue  # The end of a sysex.
        end = start + 1
        if scan.tracks[start] == ESCAPE:
            return True
        if scan.tracks[start] == SYSEX:
            size, body = read_quantity(scan.tracks, end)
            end = body + size
            sysex = scan.tracks[body:end]
            if not sysex.endswith(b"\xf7") or is_unusual(sysex):
                return True
        _, following = read_quantity(scan.tracks, end)
        if scan.tracks[following : following + 1] < b"\x80":
            return True  # Running status.
    return False


def _is_time(first: np.ndarray, gaps: np.ndarray) -> np.ndarray:
    """Says which high bytes of tracks begin or go on with a time: bool [high bytes].

    Args:
        first: the high bytes.
        gaps: the low bytes between each and what is before it, a meta event with its data.
    """
    if gaps.max(initial=0) >= _MANY:
        many = np.flatnonzero(gaps >= _MANY)
        gaps = gaps.copy()
        gaps[many] = _MANY + gaps[many] % 6
    told = np.empty(len(first), np.uint8)
    told[:1] = np.where(gaps[:1] > 0, _STATUS, _TIME)
    told[1:] = _TOLD.take(_ROW.take(first[:-1]) + gaps[1:])
    # What is told for certain last before a byte holds for it, but for the changes since.
    settled = np.flatnonzero(told < _SAME).astype(np.int32)
    certain = np.repeat(settled, np.diff(settled, append=len(told)))
    is_time = told.take(certain) == _TIME
    others = told == _OTHER
    if others.any():
        changes = np.cumsum(others)
        is_time ^= (changes - changes[certain]) % 2 == 1
    return is_time


def _find_ends(tracks: bytes, values: np.ndarray, high: np.ndarray, is_no_meta: np.ndarray):
    """Returns where each high byte ends, a meta event with its data: int [high bytes].

    Args:
        tracks, values: the bytes of tracks.
        high: the places of the high bytes.
        is_no_meta: those that begin no meta event: bool [high bytes].
    """
    ends = high + 1
    metas = np.flatnonzero(~is_no_meta)
    metas = metas[high[metas] + 2 < len(values)]
    at = high[metas]
    is_meta = _IS_META[values[at + 1]]
    metas, sizes = metas[is_meta], values[at[is_meta] + 2]
    ends[metas] += 2 + sizes
    for index in metas[sizes >= 0x80].tolist():
        size, start = read_quantity(tracks, int(high[index]) + 2)
        ends[index] = start + size
    return ends


def read_quantity(data: bytes | bytearray, at: int) -> tuple[int, int]:
    """Returns a variable-length quantity and where it ends; where it is none, where it begins."""
    value = 0
    for end, byte in enumerate(data[at : at + 4], at + 1):
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, end
    return value, at
