"""Most MIDI files hold nothing that symusic reads wrongly: few of their bytes tell so.

A byte above 127 is a status or a part of a time, unless it is in the data of a meta event. What it
is follows from the bytes before it, so only those are told that would matter. Where it is not known
what one is, the file is no plain one.
"""

import functools
import itertools
import re
from bisect import bisect
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from magenta_vae.music.midi_channels import DRUM_CHANNEL, KIT_BANKS, NUM_CHANNELS
from magenta_vae.music.midi_scan import (
    CONTROLLER,
    META,
    META_TYPES,
    NOTE_ON,
    PROGRAM,
    SYSEX,
    read_quantity,
)

MAX_TOLD = 256  # To tell more bytes of a track takes longer than to look at all of them.
_SYSTEM = range(SYSEX, META)
_CONTROLLERS = [CONTROLLER | each for each in range(NUM_CHANNELS) if each != DRUM_CHANNEL]
_SINGLE_DATA = range(PROGRAM, 0xE0)  # Statuses of events with one data byte.
END_OF_TRACK = b"\xff\x2f\x00"
_BLANK, MIN_META_BYTES = b"\xff", 3
# What comes after the status of an event of one data byte, if another follows in running status.
_RUNNING_ON = re.compile(
    rb"[\x00-\x7f](?:[\x80-\xff]{0,3}+[\x00-\x7f]\xff{3,}+)*+[\x80-\xff]{0,3}+[\x00-\x7f]{2}"
)
_BLANKS, _LOW = re.compile(b"\xff*"), re.compile(rb"[\x00-\x7f]*")
_TIME = re.compile(rb"[\x80-\xff]{0,3}[\x00-\x7f]")
# What is before a byte above 127, backwards: three low bytes make it what the one before them is,
# if that may have two data bytes. The data of a status make it a time, one more byte a status.
_BEFORE = re.compile(
    rb"(?:[\x00-\x7f]{3}[\x80-\xbf\xe0-\xef]?){0,2000}+(?:"
    rb"(?P<time>[\x80-\xff]|[\x00-\x7f]{2}[\x80-\xbf\xe0-\xef])|"
    rb"(?P<status>[\x00-\x7f](?:[\x80-\xbf\xe0-\xff]|\Z)|[\x00-\x7f]{2}[\xc0-\xdf])|"
    rb"(?P<other>[\x00-\x7f][\xc0-\xdf]))"
)


class _Track(NamedTuple):
    """A track of which bytes can be told.

    Attributes:
        data: its bytes up to the end of track, those of meta events `_BLANK`.
        backwards: the same from the last to the first.
    """

    data: bytes
    backwards: bytes


def find_channels(tracks: Sequence[bytes]) -> list[list[int]]:
    """Returns the channels that each track may have notes on: those it has, perhaps more."""
    return [[each for each in range(NUM_CHANNELS) if NOTE_ON | each in track] for track in tracks]


def are_plain(tracks: Sequence[bytes]) -> bool:
    """Says whether tracks surely hold no sysex nor other system event, and no bank of drum kits.

    Args:
        tracks: the bytes of each, which end with an end of track.
    """
    tell, joined = functools.cache(_tell), b"".join(tracks)
    if system := _present(_SYSTEM, joined):
        for track in tracks:
            found = _present(system, track)
            if found and _may_be_any(tell(track), found):
                return False
    if not any(status in joined for status in _CONTROLLERS):
        return True
    values = np.frombuffer(joined, np.uint8)
    is_kit = (values[1:] == KIT_BANKS[0]) | (values[1:] == KIT_BANKS[1])
    banks = np.flatnonzero(is_kit & (values[:-1] == 0)).tolist()
    ends = list(itertools.accumulate(map(len, tracks)))
    for at in banks:
        index = bisect(ends, at)
        if _may_be_controller(tell(tracks[index]), at - ends[index]):
            return False
    return True


def may_share_programs(tracks: Sequence[bytes], playing: Sequence[Collection[int]]) -> bool:
    """Says whether the program of a channel may be told in another track than its notes.

    Args:
        tracks: the bytes of each, plain ones.
        playing: the channels that each has notes on.
    """
    for channel in set().union(*playing):
        ours = {index for index, each in enumerate(playing) if channel in each}
        told = {index for index, track in enumerate(tracks) if PROGRAM | channel in track}
        if told and len(ours | told) > 1:
            told = {
                index for index in told if _may_be_any(_tell(tracks[index]), [PROGRAM | channel])
            }
            if told and len(ours | told) > 1:
                return True
    return False


def _present(values: Iterable[int], data: bytes) -> list[int]:
    return [value for value in values if value in data]


def _may_be_any(track: _Track | None, statuses: Iterable[int]) -> bool:
    """Says whether one of some bytes above 127 may be a status in a track."""
    if track is None:
        return True
    found = list(itertools.islice(_places(track.data, statuses), MAX_TOLD + 1))
    return len(found) > MAX_TOLD or any(_is_status(track, at) is not False for at in found)


def _places(data: bytes, values: Iterable[int]) -> Iterator[int]:
    for value in values:
        at = data.find(value)
        while at >= 0:
            yield at
            at = data.find(value, at + 1)


def _tell(body: bytes) -> _Track | None:
    """Returns a track without its meta events; None where it is not sure what its bytes are."""
    data = bytearray(body[: -len(END_OF_TRACK)])
    at, last = data.find(META), 0
    for _ in range(MAX_TOLD):
        if not 0 <= at < len(data) - 2:
            track = _Track(bytes(data), bytes(data[::-1]))
            return track if _is_known(track) else None
        if data[at + 1] in META_TYPES and data[at - 1] < 0x80:
            size, end = read_quantity(data, at + 2)
            # A time between two of them is theirs.
            start, last = last if last and _TIME.fullmatch(data, last, at) else at, end + size
            data[start:last] = _BLANK * (min(last, len(data)) - start)
        at = data.find(META, max(at + 1, last))
    return None


def _is_known(track: _Track) -> bool:
    """Says whether what was taken for meta events are such, and all that runs on has two bytes."""
    at = track.data.find(META)
    for _ in range(MAX_TOLD):
        if at < 0:
            break
        end = _end_of_run(track.data, _BLANKS, at)
        if _is_status(track, at) is not (end - at >= MIN_META_BYTES):
            return False
        at = track.data.find(META, end)
    if at >= 0:
        return False
    # What is before the first one is told rightly.
    return not any(
        _RUNNING_ON.match(track.data, at + 1) and _is_status(track, at) is not False
        for at in _places(track.data, _present(_SINGLE_DATA, track.data))
    )


def _end_of_run(data: bytes, pattern: re.Pattern, at: int) -> int:
    """Returns where the bytes of a pattern end, which may be none."""
    found = pattern.match(data, at)
    return found.end() if found else at


def _may_be_controller(track: _Track | None, at: int) -> bool:
    """Says whether a byte may be the number 0 of a controller, but on channel 10.

    Args:
        track: the track.
        at: where it is, from the end of the track: below 0.
    """
    if track is None:
        return True
    size = len(track.data)
    at += size + len(END_OF_TRACK)
    if track.data[at : at + 1] != b"\0":
        return False  # In a meta event.
    end = _end_of_run(track.backwards, _LOW, size - at)
    after, before = (end - size + at) % 3, size - end - 1
    if before < 0 or after == 2:
        return before < 0
    is_status = _is_status(track, before)
    if after == 0:
        return track.data[before] in _CONTROLLERS and is_status is not False
    return not is_status  # In running status it comes after a time.


def _is_status(track: _Track, at: int) -> bool | None:
    """Says whether a byte above 127 is a status, not a part of a time; None where it is unknown.

    No event of one data byte goes on in running status before it.
    """
    size = len(track.data)
    is_turned = False
    for _ in range(MAX_TOLD):
        found = _BEFORE.match(track.backwards, size - at)
        if found is None:
            return None
        if found.lastgroup != "other":
            return (found.lastgroup == "status") is not is_turned
        at, is_turned = size - found.end(), not is_turned
    return None
