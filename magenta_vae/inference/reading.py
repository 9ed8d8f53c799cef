"""NoteSequences and files of music -> the windows that a model encodes."""

import os
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from note_seq.protobuf import music_pb2

from magenta_vae.music import note_sequences, readers, songs, tokens, windows
from magenta_vae.music.songs import STEPS_PER_BAR, Instrument, Song, SongError
from magenta_vae.music.window_format import WindowFormat

# A NoteSequence, or the path of a file that `readers` read: MIDI, RMI or MusicXML.
Music: TypeAlias = music_pb2.NoteSequence | str | os.PathLike

REFUSE, HIGHEST = POLYPHONY = ("refuse", "highest")
MAX_OVERLAP_STEPS = 1  # A played legato: more of a note under the next is a second voice.

SILENCE = Instrument(0, False, "", *np.zeros([4, 0], np.int32))


class WindowReader:
    """Reads music as windows, or says which rule it breaks.

    Of several instruments that fit a track the first is taken; of music longer than a window, every
    whole window from its first bar on, none of which overlap.

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
        self._format = window_format
        self._polyphony = polyphony
        self._pad = pad

    def read(self, music: Music | Sequence[Music]) -> np.ndarray:
        """Returns the windows of NoteSequences or files: int32 [windows, steps, tracks].

        Raises:
            SongError: for music that does not fit, with the rule it breaks.
        """
        several: Sequence[Music] = [music]
        if isinstance(music, Sequence) and not isinstance(music, str | bytes):
            several = music
        if not several:
            raise ValueError("The music to read must be at least one piece. Received: none.")
        return np.concatenate([self._read(one) for one in several]).astype(np.int32)

    def _read(self, music: Music) -> np.ndarray:
        if isinstance(music, music_pb2.NoteSequence):
            if self._is_window(music):
                return self._format.tokenize(music)[None]
            return self._tokenize(note_sequences.note_sequence_to_song(music))
        if not isinstance(music, Music):
            raise ValueError(
                "Music must be a NoteSequence or the path of a file. "
                f"Received: {type(music).__name__}."
            )
        try:
            return self._tokenize(readers.read_music(music))
        except SongError as error:
            raise SongError(f"{music}: {error.reason}", error.detail) from error

    def _is_window(self, sequence: music_pb2.NoteSequence) -> bool:
        """Says whether a sequence is such as a model generates: it may hold silent tracks."""
        names = tuple(info.name for info in sequence.instrument_infos)
        return (
            sequence.quantization_info.steps_per_quarter == songs.STEPS_PER_QUARTER
            and sequence.total_quantized_steps == self._format.num_steps
            and names == self._format.track_names
        )

    def _tokenize(self, song: Song) -> np.ndarray:
        windows.check_metre(song)
        num_bars, expected = song.num_bars, self._format.num_bars
        if self._pad:
            num_bars = max(1, -(-num_bars // expected)) * expected
        elif num_bars < expected:
            raise SongError("too short", f"expected at least {expected} bars, found {num_bars}")
        columns = []
        for track in self._format.tracks:
            # The rests rule is for training: rests may be encoded.
            each_bar = windows.cut(self._choose(song, track), track, num_bars, expected)
            columns.append(each_bar[::expected])
        return np.stack(columns, axis=-1)

    def _choose(self, song: Song, track: tokens.Vocabulary) -> Instrument:
        """Returns the first instrument of a song that may be read as a track."""
        if self._pad and not any(map(track.accepts, song.instruments)):
            return SILENCE
        fitting = windows.accepted(song, track)
        if track.is_drum or self._polyphony == HIGHEST:
            return song.instruments[fitting[0]]
        chords = []
        for index in fitting:
            step = chord_step(song.instruments[index])
            if step is None:
                return song.instruments[index]
            chords.append(step)
        raise SongError(
            "polyphony",
            f"expected one note at a time in the {track.name}, found several in bar "
            f"{chords[0] // STEPS_PER_BAR + 1}; polyphony=highest reads the highest of them",
        )


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
