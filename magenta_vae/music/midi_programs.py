"""Tracks of a MIDI file that have the programs of their channels themselves.

A program change holds for its channel in every track; symusic knows those of a track's own.
"""

from collections.abc import Collection, Sequence

from magenta_vae.music.midi_events import walk
from magenta_vae.music.midi_scan import NOTE_ON, PROGRAM, Scan, scan_track

PORT = b"\xff\x21\x01"


def own_programs(tracks: list[bytes], playing: Sequence[Collection[int]]) -> list[bytes] | None:
    """Returns tracks each of which sets the programs of the channels that it has notes on.

    None where a program is told in another track than the notes after the first tick, where tracks
    play through several ports, or where `scan_track` does not tell what one holds: these are for
    whoever reads event by event.

    Args:
        tracks: the bytes of each.
        playing: the channels that each may have notes on.
    """
    scans: dict[int, Scan] = {}
    changes: list[tuple[int, int, int]] = []  # Track, place, the program to be there.
    heads = [b""] * len(tracks)
    for channel in sorted(set().union(*playing)):
        ours = [index for index, channels in enumerate(playing) if channel in channels]
        told = [index for index, body in enumerate(tracks) if PROGRAM | channel in body]
        if not told or len({*ours, *told}) == 1:
            continue
        if not _scan(tracks, told, scans):
            return None
        programs = [
            (index, at)
            for index in told
            for at in scans[index].programs
            if tracks[index][at] == PROGRAM | channel
        ]
        if not _are_shared(tracks, channel, ours, programs):
            continue
        # Few tracks come so far: what they may play is told apart from what they do.
        if not _scan(tracks, ours, scans):
            return None
        ours = [index for index in ours if scans[index].has_status(NOTE_ON | channel)]
        if not _are_shared(tracks, channel, ours, programs):
            continue
        if any(PORT in body for body in tracks):
            return None
        last = _last_at_first_tick(tracks, channel, programs)
        if last is None:
            return None
        changes += [(index, at, last) for index, at in programs]
        for index in ours:
            heads[index] += bytes([0, PROGRAM | channel, last])
    if not any(heads):
        return tracks
    owning = list(map(bytearray, tracks))
    for index, at, program in changes:
        owning[index][at + 1] = program
    return [head + bytes(body) for head, body in zip(heads, owning, strict=True)]


def _scan(tracks: Sequence[bytes], indices: Collection[int], scans: dict[int, Scan]) -> bool:
    """Adds the scans of tracks to others; False where one of them cannot be told."""
    for index in indices:
        if index not in scans:
            if (scan := scan_track(tracks[index])) is None:
                return False
            scans[index] = scan
    return True


def _are_shared(
    tracks: Sequence[bytes],
    channel: int,
    playing: Collection[int],
    programs: Sequence[tuple[int, int]],
) -> bool:
    """Says whether the program of a channel may come from another track than its notes.

    Args:
        tracks: the bytes of each.
        channel: the channel.
        playing: the numbers of the tracks that have notes on it.
        programs: the (track, place) of each of its program changes, in the order of both.
    """
    firsts = dict(reversed(programs))
    if not playing or not firsts or len({*playing, *firsts}) == 1:
        return False
    values = {tracks[index][at + 1] for index, at in programs}
    return (
        len(values) > 1
        or any(_runs_on(tracks[index], at) for index, at in programs)
        or not all(
            index in firsts and _comes_first(tracks[index], firsts[index], NOTE_ON | channel)
            for index in playing
        )
    )


def _comes_first(body: bytes, at: int, status: int) -> bool:
    """Says whether an event stands before all others of a status."""
    # A byte that looks like the status may be one of a time: events tell.
    return body.find(status, 0, at) < 0 or not any(
        found == status for _, _, found, _ in walk(body[:at])
    )


def _last_at_first_tick(
    tracks: Sequence[bytes], channel: int, programs: Sequence[tuple[int, int]]
) -> int | None:
    """Returns the last program of a channel; None where one comes after the first tick.

    Args:
        tracks: the bytes of each.
        channel: the channel.
        programs: the (track, place) of each of its program changes.
    """
    if any(_runs_on(tracks[index], at) for index, at in programs):
        return None
    first = [program for body in tracks for c, program in _first_programs(body) if c == channel]
    return first[-1] if len(first) == len(programs) else None


def _runs_on(body: bytes, at: int) -> bool:
    """Says whether another program change may follow one in running status."""
    return body[at + 3 + (body[at + 2] >= 0x80)] < 0x80


def _first_programs(body: bytes) -> list[tuple[int, int]]:
    """Returns the (channel, program) of each program change at the first tick of a track."""
    changes = []
    for _, tick, status, data in walk(body):
        if tick:
            break
        if status & 0xF0 == PROGRAM:
            changes.append((status & 0x0F, data[0]))
    return changes
