"""The tracks of a MIDI file, read by symusic, and what shows that it read them whole and rightly.

symusic drops notes that are never let go, and knows only the programs of a track's own. So each
track gets an end of our own, far behind everything, that lets go all pitches of each of its
channels and has a note of its own: what is still sounding there was never let go, and where the
note is missing the track was not read to its end.
"""

from typing import Any

import numpy as np
import symusic

from magenta_vae.music import midi_plain
from magenta_vae.music.midi_channels import NUM_CHANNELS
from magenta_vae.music.midi_chunks import Chunks, Notes, Part, Reading, join_chunks
from magenta_vae.music.midi_programs import own_programs
from magenta_vae.music.midi_scan import END_OF_TRACK

MAX_TRACKS = 1024  # More are made to harm: the ends of their own would take gigabytes.
MAX_SIGNATURES = 16  # symusic's order of those at one tick is the file's where there are so few.
# Four of the longest times, behind nothings. No song that is read has a tick so far: 8,192 bars of
# the finest division there is end before.
_FAR = 4 * 0x0FFFFFFF
_NOTHING, _LONGEST = b"\xff\x7f\x00", b"\xff\xff\xff\x7f"
_JUMP = (_NOTHING + _LONGEST) * 4


def _end(channel: int) -> bytes:
    """Returns events that let go every pitch of a channel, then a note, then a time of 0."""
    released = b"\0".join(bytes([pitch, 0]) for pitch in range(128))
    return bytes([0x80 | channel]) + released + bytes([0, 0x90 | channel, 0, 1, 1, 0, 0, 0])


_ENDS = [_end(channel) for channel in range(NUM_CHANNELS)]


def read_with_symusic(chunks: Chunks) -> Reading | None:
    """Reads the tracks of a file; None for one that symusic cannot be trusted with."""
    tracks = chunks.tracks
    if len(tracks) > MAX_TRACKS or not all(body.endswith(END_OF_TRACK) for body in tracks):
        return None
    if not midi_plain.are_plain(tracks):
        return None
    reading, playing = _read(chunks, midi_plain.find_channels(tracks))
    if reading is None:
        return None
    owning = own_programs(tracks, playing)
    if owning is None or owning is tracks:
        return reading if owning is tracks else None
    return _read(chunks._replace(tracks=owning), midi_plain.find_channels(owning))[0]


def _read(chunks: Chunks, channels: list[list[int]]) -> tuple[Reading | None, list[set[int]]]:
    """Reads tracks; returns also the channels that each has notes on, or few more.

    Args:
        chunks: the tracks.
        channels: those that each may have notes on, in order.
    """
    marked = [
        b"".join((body[:-3], _JUMP, *(_ENDS[channel] for channel in each), END_OF_TRACK))
        for body, each in zip(chunks.tracks, channels, strict=True)
    ]
    score: Any  # Its stubs know neither time signatures nor tempos.
    try:
        score = symusic.Score.from_midi(join_chunks(chunks._replace(tracks=marked)))
    except Exception:  # symusic raises whatever its parser met, RuntimeError most of all.
        return None, []
    parts, notes, is_playing = _read_parts(score)
    signatures = [(each.time, each.numerator, each.denominator) for each in score.time_signatures]
    if len(is_playing) != sum(map(len, channels)) or _are_in_doubt(signatures):
        return None, []
    if notes.ends.max(initial=0) >= _FAR:
        return None, []  # Of the notes of a pitch that are never let go all but one are missing.
    tempos = [(tempo.time, tempo.qpm) for tempo in score.tempos]
    told = iter(is_playing)
    playing = [{channel for channel in each if next(told)} for each in channels]
    return Reading(parts, notes, signatures, tempos), playing


def _are_in_doubt(signatures: list[tuple[int, int, int]]) -> bool:
    """Says whether of two signatures at one tick it is not known which is the later one."""
    at = dict(signatures_at := [(tick, (n, d)) for tick, n, d in signatures])
    return len(signatures) > MAX_SIGNATURES and any(at[t] != each for t, each in signatures_at)


def _read_parts(score) -> tuple[list[Part], Notes, list[bool]]:
    """Returns the parts of a score, their notes, and of each end of our own whether its channel has
    notes, or may have them.
    """
    parts: list[Part] = []
    columns: tuple[list[np.ndarray], ...] = ([], [], [], [])
    is_playing: list[bool] = []
    is_of_either = False  # What has no end of our own is of the channel before or the next one.
    for track in score.tracks:
        if len(track.notes) == 1 and track.notes[0].time >= _FAR:
            is_playing.append(is_of_either)
            is_of_either = False
            continue
        notes = track.notes.numpy()
        found = notes["time"], notes["duration"], notes["pitch"], notes["velocity"]
        has_end = bool(len(found[0]) and found[0][-1] >= _FAR)
        count = len(found[0]) - has_end
        if has_end:
            is_playing.append(count > 0 or is_of_either)
            is_of_either = False
        elif count:
            is_playing[-1:] = [True] * len(is_playing[-1:])
            is_of_either = True
        if count:
            parts.append(Part(int(track.program), bool(track.is_drum), track.name, count))
            for column, values in zip(columns, found, strict=True):
                column.append(values[:count])
    if not parts:
        return parts, Notes(*np.zeros((4, 0), np.int32)), is_playing
    starts, durations, pitches, velocities = map(np.concatenate, columns)
    return parts, Notes(starts, starts + durations, pitches, velocities), is_playing
