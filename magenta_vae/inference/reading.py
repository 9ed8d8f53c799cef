"""NoteSequences and files of music -> the windows that a model encodes."""

import dataclasses
import os
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from note_seq.protobuf import music_pb2

from magenta_vae.inference import excerpts, validation
from magenta_vae.inference.excerpts import Excerpt, ReadTrack, ReadWindow
from magenta_vae.music import note_sequences, readers, songs, tokens, windows
from magenta_vae.music.songs import STEPS_PER_BAR, Instrument, Song, SongError
from magenta_vae.music.window_format import Playback, WindowFormat


@dataclasses.dataclass(frozen=True)
class Reading:
    """Windows that were read. Whatever takes music takes a reading as well.

    Args:
        tokens: int32 [windows, steps, tracks].
        windows: where each is from.
    """

    tokens: np.ndarray
    windows: tuple[ReadWindow, ...]

    @property
    def playbacks(self) -> list[Playback]:
        """The tempo and the programs of each window."""
        return [window.playback for window in self.windows]

    def __getitem__(self, which: slice) -> "Reading":
        """Returns some of the windows."""
        return Reading(self.tokens[which], self.windows[which])


# A NoteSequence; the path of a file that `readers` read: MIDI, RMI, MusicXML or ABC; a part of one
# of them; or what was read of it.
Music: TypeAlias = music_pb2.NoteSequence | str | os.PathLike | Excerpt | Reading

REFUSE, HIGHEST = POLYPHONY = ("refuse", "highest")
MAX_OVERLAP_STEPS = 1  # A played legato: more of a note under the next is a second voice.
MIN_QPM, MAX_QPM = 4.0, 1_000.0  # Beyond, a tempo is a slip of a file.

SILENCE = Instrument(0, False, "", *np.zeros([4, 0], np.int32))


class WindowReader:
    """Reads music as windows, or says which rule it breaks.

    Of several instruments that fit a track the first is taken, unless an `Excerpt` names another;
    of music longer than a window, every whole window from its first bar on, none of which overlap.

    Args:
        window_format: the tracks and the length of a window.
        polyphony: what to do where every instrument that fits a melody plays several notes at once:
            `refuse`, or `highest` to take the highest note of each step, as data sets are built.
        pad: whether missing bars at the end and missing tracks are filled with rests instead of
            being refused.
    """

    def __init__(self, window_format: WindowFormat, polyphony: str = REFUSE, pad: bool = False):
        if polyphony not in POLYPHONY:
            raise ValueError(
                f"polyphony must be one of {', '.join(POLYPHONY)}. Received: {polyphony!r}."
            )
        validation.check_flag("pad", pad)
        self._format = window_format
        self._polyphony = polyphony
        self._pad = pad

    def read(self, music: Music | Sequence[Music]) -> np.ndarray:
        """Returns the windows of NoteSequences or files: int32 [windows, steps, tracks].

        Raises:
            SongError: for music that does not fit, with the rule it breaks.
        """
        return self.read_windows(music).tokens

    def read_windows(self, music: Music | Sequence[Music]) -> Reading:
        """Returns the windows of music, and where each is from; raises as `read` does."""
        several: Sequence[Music] = [music]
        if isinstance(music, Sequence) and not isinstance(music, str | bytes):
            several = music
        if not several:
            raise ValueError("The music to read must be at least one piece. Received: none.")
        return join([self._read(one) for one in several])

    def _read(self, music: Music) -> Reading:
        if isinstance(music, Reading):
            return music
        excerpt = music if isinstance(music, Excerpt) else Excerpt(music)
        piece, source = excerpt.music, excerpt.source or ""
        if isinstance(piece, music_pb2.NoteSequence):
            if excerpt.is_whole and self._is_window(piece):
                tokens = self._format.tokenize(piece)[None].astype(np.int32)
                return Reading(tokens, (self._describe_window(piece, source),))
            return self._read_song(note_sequences.note_sequence_to_song(piece), excerpt, source)
        if not isinstance(piece, Song | str | os.PathLike):
            raise ValueError(
                "Music must be a NoteSequence or the path of a file. "
                f"Received: {type(piece).__name__}."
            )
        source = source or ("" if isinstance(piece, Song) else os.fspath(piece))
        try:
            song = piece if isinstance(piece, Song) else readers.read_music(piece)
            return self._read_song(song, excerpt, source)
        except SongError as error:
            if not source:
                raise
            raise SongError(f"{source}: {error.reason}", error.detail) from error

    def _is_window(self, sequence: music_pb2.NoteSequence) -> bool:
        """Says whether a sequence is such as a model generates: it may hold silent tracks."""
        names = tuple(info.name for info in sequence.instrument_infos)
        return (
            sequence.quantization_info.steps_per_quarter == songs.STEPS_PER_QUARTER
            and sequence.total_quantized_steps == self._format.num_steps
            and names == self._format.track_names
        )

    def _describe_window(self, sequence: music_pb2.NoteSequence, source: str) -> ReadWindow:
        """Returns where a window such as a model generates is from."""
        programs = {note.instrument: note.program for note in sequence.notes}
        tracks = [
            _read_track(track, index + 1, track.name, programs.get(index, track.output_program))
            for index, track in enumerate(self._format.tracks)
        ]
        qpm = sequence.tempos[0].qpm if sequence.tempos else songs.DEFAULT_QPM
        return self._window(source, 0, tracks, qpm)

    def _read_song(self, song: Song, excerpt: Excerpt, source: str) -> Reading:
        windows.check_metre(song)
        first, num_bars, expected = excerpt.start_bar - 1, song.num_bars, self._format.num_bars
        if self._pad and first < max(num_bars, 1):
            num_bars = first + max(1, -(-(num_bars - first) // expected)) * expected
        elif num_bars < first + expected:
            raise SongError("too short", _too_short(expected, first, num_bars))
        chosen = excerpts.choose(song, self._format.tracks, excerpt)
        last = first + excerpt.num_windows * expected if excerpt.num_windows else num_bars
        steps = range(first * STEPS_PER_BAR, last * STEPS_PER_BAR)
        columns, tracks = [], []
        for track, places in zip(self._format.tracks, chosen, strict=True):
            place = self._choose(song, track, places, steps)
            part = SILENCE if place is None else song.instruments[place]
            # The rests rule is for training: rests may be encoded.
            each_bar = windows.cut(part, track, num_bars, expected)
            columns.append(each_bar[first::expected][: excerpt.num_windows])
            if place is None:
                tracks.append(ReadTrack(track.name, None, "", None))
            else:
                tracks.append(_read_track(track, place + 1, part.name, part.program))
        read = [
            self._window(source, bar, tracks, song.qpm_at(bar * STEPS_PER_BAR))
            for bar in range(first, first + len(columns[0]) * expected, expected)
        ]
        return Reading(np.stack(columns, axis=-1).astype(np.int32), tuple(read))

    def _window(
        self, source: str, first_bar: int, tracks: Sequence[ReadTrack], qpm: float
    ) -> ReadWindow:
        """Returns where a window is from, its first bar counted from 0."""
        programs = tuple(
            track.output_program if each.program is None else each.program
            for track, each in zip(self._format.tracks, tracks, strict=True)
        )
        playback = Playback(min(max(qpm, MIN_QPM), MAX_QPM), programs)
        last_bar = first_bar + self._format.num_bars
        return ReadWindow(source, first_bar + 1, last_bar, tuple(tracks), playback)

    def _choose(
        self, song: Song, track: tokens.Vocabulary, chosen: Sequence[int] | None, steps: range
    ) -> int | None:
        """Returns the place of the first instrument that may be read as a track, None for rests.

        Args:
            song: the song.
            track: the track.
            chosen: the places to choose among; all that fit for None.
            steps: those that are read.
        """
        if chosen is None and self._pad and not any(map(track.accepts, song.instruments)):
            return None
        fitting = windows.accepted(song, track) if chosen is None else chosen
        if track.is_drum or self._polyphony == HIGHEST:
            return fitting[0]
        chords = []
        for place in fitting:
            step = chord_step(_begun_within(song.instruments[place], steps))
            if step is None:
                return place
            chords.append(step)
        raise SongError(
            "polyphony",
            f"expected one note at a time in the {track.name}, found several in bar "
            f"{chords[0] // STEPS_PER_BAR + 1} of track {fitting[0] + 1}; --polyphony=highest, in "
            "Python polyphony='highest', reads the highest of them",
        )


def join(readings: Sequence[Reading]) -> Reading:
    """Returns the windows of several readings, at least one."""
    tokens = np.concatenate([each.tokens for each in readings])
    return Reading(tokens, sum((each.windows for each in readings), ()))


def _begun_within(part: Instrument, steps: range) -> Instrument:
    """Returns an instrument with the notes alone that begin at some steps."""
    within = (part.starts >= steps.start) & (part.starts < steps.stop)
    names = ("starts", "ends", "pitches", "velocities")
    return part._replace(**{name: getattr(part, name)[within] for name in names})


def _read_track(track: tokens.Vocabulary, number: int, name: str, program: int) -> ReadTrack:
    return ReadTrack(track.name, number, name, None if track.is_drum else program)


def _too_short(expected: int, first: int, num_bars: int) -> str:
    if not first:
        return f"expected at least {expected} bars, found {num_bars}"
    return f"expected {expected} bars from bar {first + 1} on, found {num_bars} bars in all"


def chord_step(part: Instrument) -> int | None:
    """Returns the step of an instrument's first chord, None for a line of single notes.

    Notes that begin together are a chord, unless they are one pitch; so is one that sounds on for
    more than a sixteenth under the next.
    """
    order = np.lexsort((part.pitches, part.starts))
    starts, pitches = part.starts[order], part.pitches[order]
    ends = np.maximum.accumulate(part.ends[order])
    together = (np.diff(starts) == 0) & (np.diff(pitches) != 0)
    overlap = (np.diff(starts) > 0) & (ends[:-1] - starts[1:] > MAX_OVERLAP_STEPS)
    chords = np.flatnonzero(together | overlap)
    return int(starts[chords[0] + 1]) if len(chords) else None
