"""Notes <-> tokens: the vocabularies of a melody and of drums, one token per sixteenth note.

A vocabulary (`contracts.Vocabulary`, which says what none can hold) is data: the token of a silent
step, the token of a step that only sustains, that of a step at which silence begins, and the token
of each pitch that starts. From these every vocabulary is tokenized by one formula
(`tokenize_windows`),

    token[t] = rest + sum over notes of (onset[pitch] - rest) where t = start
                                      + (sustain - rest)      where start < t < end
                                      + (release - rest)      where t = end and no note starts,

which is exact once a vocabulary has reduced the notes: those of a melody do not overlap, and those
of one drum step are different hits. The way back is each vocabulary's own; `detokenize_windows`
takes it for many windows at once.
"""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from note_seq.drums_encoder_decoder import DEFAULT_DRUM_TYPE_PITCHES
from note_seq.protobuf import music_pb2

from magenta_vae.contracts import Instrument, Notes, Vocabulary
from magenta_vae.music import classes, errors, note_sequences
from magenta_vae.music.classes import NUM_PITCHES


class WindowNotes(NamedTuple):
    """Notes of many windows: int [notes] each, the steps counted from where their window begins.

    One number serves for `windows` and `tracks` that are the same for all.
    """

    windows: np.ndarray | int
    tracks: np.ndarray | int
    starts: np.ndarray
    ends: np.ndarray
    pitches: np.ndarray


@dataclasses.dataclass(frozen=True)
class Melody:
    """A monophonic line in 130 classes (paper, 2.1): 128 note-on pitches, a hold, a rest.

    Args:
        name: what the track is called in tables and files.
        min_program, max_program: the General MIDI programs it may be played by, both included.
        output_program: the program that generated notes are given.
    """

    name: str = "melody"
    min_program: int = 0
    max_program: int = 127
    output_program: int = 0

    is_drum = False
    first_pitch = 0
    pitch_tokens = range(NUM_PITCHES)  # Those of the pitches from `first_pitch`, in semitones.
    sustain = NUM_PITCHES
    rest = NUM_PITCHES + 1
    release = rest
    num_classes = NUM_PITCHES + 2

    @property
    def onsets(self) -> np.ndarray:
        """The token of each starting pitch, a rest's for what has none: int32 [128]."""
        onsets = np.full(NUM_PITCHES, self.rest, np.int32)
        onsets[self.first_pitch : self.first_pitch + len(self.pitch_tokens)] = self.pitch_tokens
        return onsets

    def accepts(self, instrument: Instrument) -> bool:
        """Says whether an instrument of a song can be this track."""
        return not instrument.is_drum and self.min_program <= instrument.program <= self.max_program

    def reduce(self, notes: Notes) -> Notes:
        """Returns the monophonic line of an instrument's notes; see `monophonic`."""
        return monophonic(notes)

    def detokenize(self, tokens: np.ndarray) -> Notes:
        """Returns the notes of int [steps] tokens. A hold with nothing to hold is a rest."""
        changes = np.flatnonzero(tokens != self.sustain)
        pitches = tokens[changes] - self.pitch_tokens.start + self.first_pitch
        is_onset = np.isin(tokens[changes], self.pitch_tokens)
        ends = np.append(changes[1:], len(tokens))[: len(changes)]
        return Notes(
            *(np.asarray(column[is_onset], np.int32) for column in (changes, ends, pitches))
        )

    def is_silent(self, tokens: np.ndarray) -> np.ndarray:
        """Says at which steps of int [..., steps] tokens nothing sounds: bool [..., steps]."""
        return tokens == self.rest


@dataclasses.dataclass(frozen=True)
class Drums:
    """Hits of nine kinds in 512 classes, one bit a kind (paper, 2.1).

    Args:
        name: what the track is called in tables and files.
        hit_pitches: the MIDI pitches of each kind, kick first; the first of each is what generated
            notes are given. A pitch that is in none is not a hit.
    """

    name: str = "drums"
    hit_pitches: Sequence[Sequence[int]] = tuple(map(tuple, DEFAULT_DRUM_TYPE_PITCHES))

    is_drum = True
    pitch_tokens = range(0)
    sustain = 0
    rest = 0
    release = 0
    output_program = 0

    @property
    def num_classes(self) -> int:
        """2 to the number of kinds: every combination of hits."""
        return 2 ** len(self.hit_pitches)

    @property
    def onsets(self) -> np.ndarray:
        """The token of each starting pitch, 0 for what is not a hit: int32 [128]."""
        onsets = np.zeros(NUM_PITCHES, np.int32)
        for kind, pitches in enumerate(self.hit_pitches):
            onsets[list(pitches)] = 2**kind
        return onsets

    def accepts(self, instrument: Instrument) -> bool:
        """Says whether an instrument of a song can be this track: channel 10 of the file."""
        return instrument.is_drum

    def reduce(self, notes: Notes) -> Notes:
        """Returns each kind of hit at most once a step, one step long, at its first pitch."""
        bits = self.onsets[notes.pitches]
        hits = np.unique(np.stack([notes.starts, bits], axis=1)[bits > 0], axis=0)
        kinds = np.log2(np.maximum(hits[:, 1], 1)).astype(int)
        return Notes(hits[:, 0], hits[:, 0] + 1, self._first_pitches[kinds])

    def hits(self, tokens: np.ndarray) -> np.ndarray:
        """Returns which kinds of hit tokens combine: [...] -> 0 or 1 [..., kinds]."""
        return tokens[..., None] >> np.arange(len(self.hit_pitches)) & 1

    def detokenize(self, tokens: np.ndarray) -> Notes:
        """Returns the hits of int [steps] tokens."""
        steps, kinds = np.nonzero(self.hits(tokens))
        steps = steps.astype(np.int32)
        return Notes(steps, steps + 1, self._first_pitches[kinds])

    def is_silent(self, tokens: np.ndarray) -> np.ndarray:
        """Says at which steps of int [..., steps] tokens nothing sounds: bool [..., steps]."""
        return tokens == self.rest

    @property
    def _first_pitches(self) -> np.ndarray:
        return np.array([pitches[0] for pitches in self.hit_pitches], np.int32)


def num_classes(tracks: Sequence[Vocabulary]) -> tuple[int, ...]:
    """Returns the number of classes of each track: what a model needs to know of them."""
    return tuple(track.num_classes for track in tracks)


def names(tracks: Sequence[Vocabulary]) -> tuple[str, ...]:
    """Returns the names of the tracks."""
    return tuple(track.name for track in tracks)


def in_paper_classes(
    tokens: np.ndarray, tracks: Sequence[Vocabulary]
) -> tuple[np.ndarray, tuple[Vocabulary, ...]]:
    """Returns windows, int [windows, steps, tracks], in the paper's classes, and their tracks.

    Those of a line are `Melody`'s, whatever its vocabulary; hits stay in their own.
    """
    columns = [_in_paper_classes(tokens[..., index], track) for index, track in enumerate(tracks)]
    converted = np.stack([column for column, _ in columns], axis=-1)
    return converted, tuple(track for _, track in columns)


def tokenize_windows(
    notes: WindowNotes, tracks: Sequence[Vocabulary], num_windows: int, num_steps: int
) -> np.ndarray:
    """Returns int32 [num_windows, num_steps, tracks] tokens of reduced notes within the steps."""
    onsets = np.array([track.onsets for track in tracks])  # [K, 128]
    others = np.array([(track.rest, track.sustain, track.release) for track in tracks], np.int32)
    rest, sustain, release = others.T  # [K]
    # Places in tokens laid end to end, with a step more than a window has: notes end there.
    num_tracks = len(tracks)
    shape = (num_windows, num_steps + 1, num_tracks)
    first = notes.windows * ((num_steps + 1) * num_tracks) + notes.tracks
    start, end = first + notes.starts * num_tracks, first + notes.ends * num_tracks

    tokens = np.zeros(shape, np.int32)
    flat = tokens.reshape(-1)
    ones = np.ones(len(start), np.int32)  # Of numbers alone `add.at` is slow.
    np.add.at(flat, start + num_tracks, ones)
    np.add.at(flat, end, -ones)
    np.add.accumulate(tokens, axis=1, out=tokens)  # how many notes go on
    tokens *= sustain - rest
    tokens += rest
    np.add.at(flat, start, (onsets - rest[:, None])[notes.tracks, notes.pitches])
    if (release != rest).any():
        is_free = np.ones(len(flat), bool)
        is_free[start] = False
        np.add.at(flat, end, (release - rest)[notes.tracks] * is_free[end])
    return tokens[:, :num_steps]


def detokenize_windows(tokens: np.ndarray, tracks: Sequence[Vocabulary]) -> WindowNotes:
    """Returns the notes of int [windows, steps, tracks] tokens, by track, window, start, pitch."""
    num_steps = tokens.shape[1]
    by_track = []
    for index, track in enumerate(tracks):
        # One long line, whose notes are cut where the next window begins: some vocabularies have
        # one token for silence that goes on and for a note that does.
        with errors.naming(track):
            notes = track.detokenize(tokens[:, :, index].reshape(-1).astype(np.int32))
        windows, starts = np.divmod(notes.starts.astype(np.int64), num_steps)
        ends = np.minimum(starts + (notes.ends - notes.starts), num_steps)
        by_track.append((windows, np.full(len(windows), index), starts, ends, notes.pitches))
    return WindowNotes(*(np.concatenate(column) for column in zip(*by_track, strict=True)))


def monophonic(notes: Notes) -> Notes:
    """Returns the line of the highest note of each step, each ended by the next onset.

    Of equal notes the longest is kept, so that the order of a file's notes does not matter.
    """
    order = np.lexsort((notes.ends, notes.pitches, notes.starts))
    starts = notes.starts[order]
    highest = np.append(np.diff(starts) > 0, True)[: len(starts)]
    line = order[highest]
    starts, ends = notes.starts[line], notes.ends[line].copy()
    ends[:-1] = np.minimum(ends[:-1], starts[1:])
    return Notes(starts, ends, notes.pitches[line])


def tokenize_notes(track: Vocabulary, notes: Notes, num_steps: int) -> np.ndarray:
    """Returns int32 [num_steps] tokens of reduced notes that lie within the steps."""
    return tokenize_windows(WindowNotes(0, 0, *notes), (track,), 1, num_steps).reshape(-1)


def tokenize(
    sequence: music_pb2.NoteSequence, tracks: Sequence[Vocabulary], num_steps: int
) -> np.ndarray:
    """Returns int32 [num_steps, tracks] tokens of a window whose instruments are its tracks."""
    columns = []
    for index, track in enumerate(tracks):
        rows = [
            (note.quantized_start_step, note.quantized_end_step, note.pitch)
            for note in sequence.notes
            if note.instrument == index
        ]
        notes = Notes(*np.array(rows, np.int32).reshape(-1, 3).T)
        columns.append(tokenize_notes(track, track.reduce(notes), num_steps))
    return np.stack(columns, axis=-1)


def detokenize(
    tokens: np.ndarray,
    tracks: Sequence[Vocabulary],
    qpm: float = note_sequences.DEFAULT_QPM,
    programs: Sequence[int] | None = None,
) -> music_pb2.NoteSequence:
    """Returns the window of int [steps, tracks] tokens, at a tempo in quarters per minute.

    The tracks are played by their vocabularies' programs where no others are given.

    `tokenize` is its exact inverse for the tokens of any window. For other tokens, as a model may
    sample them, the round trip turns a hold that has nothing to hold into a rest.
    """
    tokens = np.asarray(tokens)
    sequence = note_sequences.empty_note_sequence(qpm, num_steps=len(tokens))
    notes = detokenize_windows(tokens[None], tracks)
    for index, track in enumerate(tracks):
        sequence.instrument_infos.add(instrument=index, name=track.name)
        is_here = notes.tracks == index
        starts, ends, pitches = (each[is_here] for each in notes[2:])
        program = None if programs is None else programs[index]
        add_track(sequence, tracks, index, starts, ends, pitches, program)
    return sequence


def add_track(
    sequence: music_pb2.NoteSequence,
    tracks: Sequence[Vocabulary],
    index: int,
    starts: np.ndarray,
    ends: np.ndarray,
    pitches: np.ndarray,
    program: int | None = None,
) -> None:
    """Appends notes of a track to a window, int [notes], in steps, by its own program for None."""
    track = tracks[index]
    note_sequences.add_notes(
        sequence,
        starts,
        ends,
        pitches,
        instrument=index,
        program=track.output_program if program is None else program,
        is_drum=track.is_drum,
    )


def _in_paper_classes(tokens: np.ndarray, track: Vocabulary) -> tuple[np.ndarray, Vocabulary]:
    if track.is_drum:
        return tokens, track
    pitches = classes.pitches(track)[tokens]
    held = np.where(track.is_silent(tokens), np.int16(Melody.rest), np.int16(Melody.sustain))
    paper = Melody(name=track.name, output_program=track.output_program)
    return np.where(pitches == classes.NO_PITCH, held, pitches), paper
