"""Tracks of a MIDI file that have the programs of their channels themselves.

A program change holds for its channel in every track; symusic knows those of a track's own.
"""

import itertools

import numpy as np

from magenta_vae.music.midi_events import walk
from magenta_vae.music.midi_scan import NOTE_ON, PROGRAM, Scan

PORT = b"\xff\x21\x01"


def own_programs(tracks: list[bytes], scan: Scan) -> list[bytes] | None:
    """Returns tracks each of which sets the programs of the channels that it has notes on.

    None where a program is told in another track than the notes after the first tick, or where
    tracks play through several ports: these are for whoever reads event by event.
    """
    shared = _find_shared_channels(scan)
    if not shared:
        return tracks
    if any(PORT in body for body in tracks):
        return None
    changes = [_read_first_programs(body) for body in tracks]
    values = np.frombuffer(scan.tracks + bytes(4), np.uint8)
    joined, heads = bytearray(scan.tracks), [b""] * len(tracks)
    for channel in shared:
        which = scan.statuses == PROGRAM | channel
        if _runs_on(values, scan.at[which]).any():
            return None
        told = [[program for c, program in each if c == channel] for each in changes]
        if np.bincount(scan.track[which], minlength=len(tracks)).tolist() != list(map(len, told)):
            return None
        last = sum(told, [])[-1]
        for at in scan.at[which].tolist():
            joined[at + 1] = last
        for index in np.flatnonzero(scan.channels(NOTE_ON)[:, channel]).tolist():
            heads[index] += bytes([0, PROGRAM | channel, last])
    ends = itertools.accumulate(map(len, tracks), initial=0)
    return [
        head + joined[start:end]
        for head, (start, end) in zip(heads, itertools.pairwise(ends), strict=True)
    ]


def _find_shared_channels(scan: Scan) -> list[int]:
    """Returns the channels whose program may come from another track than their notes."""
    if len(scan.seen) == 1:
        return []
    playing, changing = scan.channels(NOTE_ON), scan.channels(PROGRAM)
    in_several = (playing | changing).sum(axis=0) > 1
    shared = np.flatnonzero(in_several & playing.any(axis=0) & changing.any(axis=0))
    return [channel for channel in shared.tolist() if not _is_one_program(scan, channel)]


def _is_one_program(scan: Scan, channel: int) -> bool:
    """Says whether all tracks of a channel begin it with one and the same program."""
    values = np.frombuffer(scan.tracks + bytes(4), np.uint8)
    changes = np.flatnonzero(scan.statuses == PROGRAM | channel)
    at = scan.at[changes]
    if _runs_on(values, at).any() or (values[at + 1] != values[at[0] + 1]).any():
        return False
    notes = np.flatnonzero(scan.statuses == NOTE_ON | channel)
    tracks, first = np.unique(scan.track[notes], return_index=True)
    changing, change = np.unique(scan.track[changes], return_index=True)
    if not np.isin(tracks, changing).all():
        return False
    before = changes[change[np.searchsorted(changing, tracks)]]
    return bool((before < notes[first]).all())


def _runs_on(values: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Says after which program changes another may follow in running status."""
    return values[at + 3 + (values[at + 2] >= 0x80)] < 0x80


def _read_first_programs(body: bytes) -> list[tuple[int, int]]:
    """Returns the (channel, program) of each program change at the first tick of a track."""
    changes = []
    for _, tick, status, data in walk(body):
        if tick:
            break
        if status & 0xF0 == PROGRAM:
            changes.append((status & 0x0F, data[0]))
    return changes
