"""Most MIDI files hold nothing that symusic reads wrongly: few of their bytes tell so.

A byte above 127 is a status or a part of a time, unless it is in the data of a meta event. What it
is follows from the bytes before it, so only those are told that would matter. Where it is not known
what one is, the file is no plain one.
"""

import itertools
import re
from bisect import bisect
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
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
_KIT_BANKS = [bytes([0, bank]) for bank in KIT_BANKS]  # What chooses one, after its status.
_STRIPPED = b"\xff\xff"
# What comes after the status of an event of one data byte, if another follows in running status.
_RUNNING_ON = re.compile(
    rb"[\x00-\x7f](?:[\x80-\xff]{0,3}+[\x00-\x7f]\xff\xff)*+[\x80-\xff]{0,3}+[\x00-\x7f]{2}"
)
_TIME = re.compile(rb"[\x80-\xff]{0,3}[\x00-\x7f]")
_LOW = re.compile(rb"[\x00-\x7f]*")
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
        data: its bytes up to the end of track, with `_STRIPPED` for meta events on end.
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
    joined = b"".join(tracks)
    if (system := _present(_SYSTEM, joined)) and any(
        _may_hold(each, _present(system, each), _may_be_status) for each in tracks
    ):
        return False
    if not any(status in joined for status in _CONTROLLERS):
        return True
    values = np.frombuffer(joined, np.uint8)
    banks = np.flatnonzero((values[:-1] == 0) & (values[1:] | 7 == 0x7F)).tolist()
    ends = list(itertools.accumulate(map(len, tracks)))
    suspects = [tracks[index] for index in {bisect(ends, at) for at in banks}]
    return not any(_may_hold(each, _KIT_BANKS, _may_be_controller) for each in suspects)


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
                index
                for index in told
                if _may_hold(tracks[index], [PROGRAM | channel], _may_be_status)
            }
            if told and len(ours | told) > 1:
                return True
    return False


def _present(values: Iterable[int], data: bytes) -> list[int]:
    return [value for value in values if value in data]


def _may_hold(
    body: bytes, looked_for: Sequence[bytes | int], may_be: Callable[[_Track, int], bool]
) -> bool:
    """Says whether one of the places of some bytes in a track may be what is looked for."""
    if not looked_for:
        return False
    track = _strip(body)
    return track is None or any(may_be(track, at) for at in _places(looked_for, track.data))


def _places(looked_for: Sequence[bytes | int], data: bytes) -> Iterator[int]:
    for each in looked_for:
        at = data.find(each)
        while at >= 0:
            yield at
            at = data.find(each, at + 1)


def _strip(body: bytes) -> _Track | None:
    """Returns a track without its meta events; None where it is not sure what its bytes are."""
    kept, start, at, end = [], 0, body.find(META), len(body) - 3
    while 0 <= at < end and len(kept) <= MAX_TOLD:
        if body[at + 1] in META_TYPES and body[at - 1] < 0x80:
            if not (kept and _TIME.fullmatch(body, start, at)):
                kept.append(body[start:at])
            size, start = read_quantity(body, at + 2)
            start += size
        at = body.find(META, max(at + 1, start))
    data = _STRIPPED.join((*kept, body[start:end]))
    track = _Track(data, data[::-1])
    return track if len(kept) <= MAX_TOLD and _is_known(track) else None


def _is_known(track: _Track) -> bool:
    """Says whether what was taken for meta events are such, and all others hold two data bytes."""
    at = track.data.find(META)
    while at >= 0:
        is_meta = track.data.startswith(_STRIPPED, at)
        if _is_status(track, at) is not is_meta:
            return False
        at = track.data.find(META, at + 1 + is_meta)
    # What is before the first one is told rightly.
    return not any(
        _RUNNING_ON.match(track.data, at + 1) and _may_be_status(track, at)
        for at in _places(_present(_SINGLE_DATA, track.data), track.data)
    )


def _may_be_status(track: _Track, at: int) -> bool:
    return _is_status(track, at) is not False


def _may_be_controller(track: _Track, at: int) -> bool:
    """Says whether a byte below 128 may be the number of a controller, but on channel 10."""
    size = len(track.data)
    start, end = _LOW.match(track.backwards, size - at).span()
    after, before = (end - start) % 3, size - end - 1
    if before < 0 or after == 2:
        return before < 0
    if after == 0:
        return track.data[before] in _CONTROLLERS and _may_be_status(track, before)
    return not _is_status(track, before)  # In running status it comes after a time.


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
