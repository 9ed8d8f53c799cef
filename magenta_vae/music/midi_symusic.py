"""The tracks of a MIDI file, read by symusic, and what shows that it read them whole and rightly.

symusic drops notes that are never let go, and knows only the programs of a track's own. So each
track gets an end of our own, far behind everything, that lets go all pitches of each of its
channels and has a note of its own: what is still sounding there was never let go, and where the
note is missing the track was not read to its end.
"""

import numpy as np
import symusic

from magenta_vae.music import midi_scan
from magenta_vae.music.midi_channels import NUM_CHANNELS
from magenta_vae.music.midi_chunks import Chunks, Part, Reading, join_chunks
from magenta_vae.music.midi_scan import NOTE_ON, PROGRAM, Scan

END_OF_TRACK = b"\xff\x2f\x00"
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


def read_with_symusic(chunks: Chunks, max_quarters: int) -> Reading | None:
    """Reads the tracks of a file; None for one that symusic cannot be trusted with.

    A note that is never let go lasts to the last release of its pitch, else to the end of its
    track, where that is within `max_quarters`.
    """
    tracks = chunks.tracks
    if len(tracks) > MAX_TRACKS or not all(body.endswith(END_OF_TRACK) for body in tracks):
        return None
    scan = midi_scan.scan_tracks(tracks)
    playing = scan.channels(NOTE_ON, len(tracks))
    if midi_scan.is_doubtful(scan) or _are_programs_elsewhere(scan, playing):
        return None
    marked = [
        body[:-3] + _JUMP + b"".join(_ENDS[c] for c in np.flatnonzero(row)) + END_OF_TRACK
        for body, row in zip(tracks, playing, strict=True)
    ]
    try:
        score = symusic.Score.from_midi(join_chunks(chunks._replace(tracks=marked)))
    except Exception:  # symusic raises whatever its parser met, RuntimeError most of all.
        return None
    found = [_read_part(track, max_quarters * chunks.ticks_per_quarter) for track in score.tracks]
    signatures = [(each.time, each.numerator, each.denominator) for each in score.time_signatures]
    if sum(is_marked for _, is_marked in found) != playing.sum():
        return None
    if None in (part for part, _ in found) or len(signatures) > MAX_SIGNATURES:
        return None
    return Reading(
        [part for part, _ in found if len(part.starts)],
        signatures,
        [(tempo.time, tempo.qpm) for tempo in score.tempos],
    )


def _are_programs_elsewhere(scan: Scan, playing: np.ndarray) -> bool:
    """Says whether a channel's program may come from another track than its notes.

    Args:
        scan: the statuses of the tracks.
        playing: whether a track has notes on a channel, bool [tracks, channels].
    """
    changing = scan.channels(PROGRAM, len(playing))
    in_several = (playing | changing).sum(axis=0) > 1
    shared = np.flatnonzero(in_several & playing.any(axis=0) & changing.any(axis=0))
    return not all(_is_one_program(scan, channel) for channel in shared.tolist())


def _is_one_program(scan: Scan, channel: int) -> bool:
    """Says whether all tracks of a channel begin it with one and the same program."""
    values = np.frombuffer(scan.tracks + bytes(4), np.uint8)
    changes = np.flatnonzero(scan.statuses == PROGRAM | channel)
    at = scan.at[changes]
    runs_on = values[at + 3 + (values[at + 2] >= 0x80)] < 0x80
    if runs_on.any() or (values[at + 1] != values[at[0] + 1]).any():
        return False
    notes = np.flatnonzero(scan.statuses == NOTE_ON | channel)
    tracks, first = np.unique(scan.track[notes], return_index=True)
    changing, change = np.unique(scan.track[changes], return_index=True)
    if not np.isin(tracks, changing).all():
        return False
    before = changes[change[np.searchsorted(changing, tracks)]]
    return bool((before < notes[first]).all())


def _read_part(track, max_ticks: int) -> tuple[Part | None, bool]:
    """Returns the notes of a track that symusic made, and whether they had a note of our end.

    None where one of them is never let go, and where the track ends is not known or too far.
    """
    notes = track.notes.numpy()
    starts = notes["time"].astype(np.int64)
    ends, pitches = starts + notes["duration"], notes["pitch"]
    end = int(starts[-1]) - _FAR if len(starts) else -1
    count = len(starts) - (end >= 0)
    for index in np.flatnonzero(ends[:count] >= _FAR).tolist():
        releases = ends[:count][(pitches[:count] == pitches[index]) & (ends[:count] < _FAR)]
        last = max(releases.tolist(), default=-1)
        if last <= starts[index]:
            if not 0 <= end <= max_ticks:
                return None, end >= 0
            last = end
        ends[index] = last
    columns = (each[:count] for each in (starts, ends, pitches, notes["velocity"]))
    return Part(int(track.program), bool(track.is_drum), track.name, *columns), end >= 0
