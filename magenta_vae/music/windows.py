"""Songs -> windows of tokens, by the paper's rules (paper, Dataset)."""

import functools
import itertools
import math
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from magenta_vae.contracts import Notes, Vocabulary
from magenta_vae.music import errors, metres, songs
from magenta_vae.music.songs import STEPS_PER_BAR, Instrument, Song, SongError
from magenta_vae.music.tokens import tokenize_notes
from magenta_vae.music.window_format import WindowFormat

# Bounds the cross product of a file's instruments before it is made: of 1,500 real songs tried none
# gives more than 4 million, but tracks cost a hostile file nothing.
MAX_TOKENS = 2**27
TOKENS_AT_ONCE = 2**17  # Of several instruments: more are in no cache.


class Windows(NamedTuple):
    """What one combination of a song's instruments gives.

    Attributes:
        tokens: int32 [windows, steps, tracks], those that pass the rests rule.
        bars: the bar of the song each begins at, int [windows], counted from 0.
        instruments: the instruments' places in the song, one a track.
        num_cut: windows before the rests rule.
    """

    tokens: np.ndarray
    bars: np.ndarray
    instruments: tuple[int, ...]
    num_cut: int


def song_windows(
    song: Song, window_format: WindowFormat, max_rest_steps: int = STEPS_PER_BAR
) -> Iterator[Windows]:
    """Yields the windows of every combination of instruments, one bar apart.

    Args:
        song: a song in 4/4.
        window_format: the tracks and the length of a window.
        max_rest_steps: the longest run of rests allowed in any track.

    Raises:
        SongError: where the song can give no window, with the rule that forbids it.
    """
    tracks, num_bars = window_format.tracks, window_format.num_bars
    check_metre(song)
    if song.num_bars < num_bars:
        raise SongError("too short", f"expected at least {num_bars} bars, found {song.num_bars}")
    candidates = [accepted(song, track) for track in tracks]
    _check_combinations(candidates, song.num_bars, num_bars)
    lines = [
        list(_lines(song, indices, track, num_bars, max_rest_steps))
        for track, indices in zip(tracks, candidates, strict=True)
    ]
    for combination in itertools.product(*lines):
        passes = functools.reduce(np.logical_and, [line.passes for line in combination])
        yield Windows(
            tokens=np.stack([line.tokens[passes[line.passes]] for line in combination], axis=-1),
            bars=np.flatnonzero(passes),
            instruments=tuple(line.instrument for line in combination),
            num_cut=len(passes),
        )


class _Line(NamedTuple):
    """The windows of one instrument as one track.

    Attributes:
        instrument: its place in the song.
        passes: bool [windows], which of them pass the rests rule.
        tokens: int32 [windows that pass, steps].
    """

    instrument: int
    passes: np.ndarray
    tokens: np.ndarray


def check_metre(song: Song) -> None:
    """Raises `SongError` for a song with any time signature but 4/4."""
    for metre in song.time_signatures:
        if metre != metres.COMMON_TIME:
            raise SongError("not 4/4", f"found a {metres.name(metre)} time signature")


def in_common_time(song: Song, taken: Collection[metres.Metre] = ()) -> Song:
    """Returns a song in 4/4: itself, or one whose other metres are among those taken as 4/4.

    What comes before the first of its longest bars is put at the end of a whole bar.

    Raises:
        SongError: for a metre that is not taken as 4/4, and where bars begin off the bar lines.
    """
    accepted = {metres.COMMON_TIME, *taken}
    if not taken or set(song.time_signatures) <= {metres.COMMON_TIME}:
        check_metre(song)
        return song
    song = songs.settle_metre(song, accepted)
    others = [metre for metre in song.time_signatures if metre not in accepted]
    if others:
        raise SongError("not 4/4", f"found a {metres.name(others[0])} time signature")
    if song.signatures is None:
        raise SongError("not 4/4", "it is not known where its time signatures stand")
    try:
        song = songs.move_song(song, metres.align(song.signatures))
    except ValueError as error:
        raise SongError("not 4/4", str(error)) from error
    return song._replace(time_signatures=(metres.COMMON_TIME,), signature_steps=(0,))


def has_run(mask: np.ndarray, length: int) -> np.ndarray:
    """Says whether as many neighbours along the last axis are True: bool [..., steps] -> [...].

    Each round has True where a run that is up to twice as long begins.
    """
    covered = 1
    while covered < length:
        more = min(covered, length - covered)
        mask = mask[..., :-more] & mask[..., more:]
        covered += more
    return np.any(mask, axis=-1)


def accepted(song: Song, track: Vocabulary) -> list[int]:
    """Returns the places of the instruments that can be a track. Raises `SongError` for none."""
    with errors.naming(track):
        indices = [
            index for index, instrument in enumerate(song.instruments) if track.accepts(instrument)
        ]
    if not indices:
        raise SongError(f"no {track.name} track", f"found {_describe(song.instruments)}")
    return indices


def cut(instrument: Instrument, track: Vocabulary, song_bars: int, num_bars: int) -> np.ndarray:
    """Returns every window of one instrument in a song of so many bars: int32 [windows, steps]."""
    return _cut_all([instrument], track, song_bars, num_bars)[0]


def _cut_all(
    instruments: Sequence[Instrument], track: Vocabulary, song_bars: int, num_bars: int
) -> np.ndarray:
    """Returns the windows of instruments, as `cut` does: int32 [instruments, windows, steps].

    They are cut from one line, one instrument behind another, which takes no longer than one alone.
    """
    song_steps, num_steps = song_bars * STEPS_PER_BAR, num_bars * STEPS_PER_BAR
    # What ends with the song is released behind it, before the next one.
    offsets = np.arange(len(instruments)) * (song_steps + 1)
    notes = _in_line(instruments, offsets)
    with errors.naming(track):
        tokens = tokenize_notes(track, track.reduce(notes), offsets[-1] + song_steps)
    in_song = np.arange(0, song_steps - num_steps + 1, STEPS_PER_BAR)
    starts = offsets[:, np.newaxis] + in_song
    windows = tokens.take(starts[..., np.newaxis] + np.arange(num_steps))
    if track.sustain == track.release:
        return windows
    # What sounds into a window from before it is a rest there: no window begins with a hold.
    begins = np.flatnonzero((tokens != track.sustain) & (tokens != track.release))
    first = np.append(begins, len(tokens))[np.searchsorted(begins, starts)] - starts
    carried = np.arange(num_steps) < first[..., np.newaxis]
    return np.where(carried, np.int32(track.rest), windows)


def _in_line(instruments: Sequence[Instrument], offsets: np.ndarray) -> Notes:
    """Returns the notes of instruments, each so many steps later."""
    num_notes = [len(instrument.starts) for instrument in instruments]
    later = np.repeat(offsets.astype(np.int32), num_notes)
    starts, ends, pitches = (
        np.concatenate([getattr(instrument, name) for instrument in instruments])
        for name in ("starts", "ends", "pitches")
    )
    return Notes(starts + later, ends + later, pitches)


def _check_combinations(candidates: list[list[int]], song_bars: int, num_bars: int) -> None:
    num_combinations = math.prod(map(len, candidates))
    num_tokens = num_combinations * (song_bars - num_bars + 1) * num_bars * STEPS_PER_BAR
    if num_tokens * len(candidates) > MAX_TOKENS:
        raise SongError(
            "too many combinations",
            f"{num_combinations:,} of its instruments, in a song of {song_bars:,} bars",
        )


def _describe(instruments: Sequence[Instrument]) -> str:
    programs = sorted({each.program for each in instruments if not each.is_drum})
    drums = sum(instrument.is_drum for instrument in instruments)
    return f"{drums} drum tracks and the programs {programs}"


def _lines(
    song: Song, indices: Sequence[int], track: Vocabulary, num_bars: int, max_rest_steps: int
) -> Iterator[_Line]:
    """Yields the windows of instruments as one track, of a few instruments at a time."""
    song_bars = song.num_bars
    at_once = max(1, TOKENS_AT_ONCE // (song_bars * num_bars * STEPS_PER_BAR))
    for first in range(0, len(indices), at_once):
        places = indices[first : first + at_once]
        instruments = [song.instruments[index] for index in places]
        windows = _cut_all(instruments, track, song_bars, num_bars)
        with errors.naming(track):
            passing = ~has_run(track.is_silent(windows), max_rest_steps + 1)
        for index, passes, tokens in zip(places, passing, windows, strict=True):
            yield _Line(index, passes, tokens[passes])
