"""A vocabulary as data, made of what any vocabulary says of itself.

Whoever has the data needs no class: data sets, exports and servers are read by it where the class
that wrote them is unknown.
"""

import dataclasses
from typing import NamedTuple

import numpy as np

from magenta_vae.contracts import Instrument, Notes, Vocabulary
from magenta_vae.music import classes, errors
from magenta_vae.music.classes import NUM_PITCHES, Onset
from magenta_vae.music.tokens import monophonic

NUM_PROGRAMS = 128


@dataclasses.dataclass(frozen=True)
class DescribedVocabulary:
    """A vocabulary made of what one says of itself; see `contracts.Vocabulary`.

    Notes are reduced as by the vocabularies of this package: to those that have a token, of a line
    the highest of each step.

    Args:
        vocabulary: the class that was described, for people.
        name, is_drum, num_classes, rest, sustain, release, output_program: what it said.
        starts: what can start at a step.
        programs: the General MIDI programs that a line is played by; hits are played by drums.
    """

    vocabulary: str
    name: str
    is_drum: bool
    num_classes: int
    rest: int
    sustain: int
    release: int
    output_program: int
    starts: tuple[Onset, ...]
    programs: tuple[int, ...] = ()

    @property
    def onsets(self) -> np.ndarray:
        """The token of each starting pitch, a rest's for what has none: int32 [128]."""
        onsets = np.full(NUM_PITCHES, self.rest, np.int32)
        for token, pitches in self.starts:
            onsets[list(pitches)] = token
        return onsets

    def accepts(self, instrument: Instrument) -> bool:
        """Says whether an instrument of a song can be this track."""
        if instrument.is_drum or self.is_drum:
            return instrument.is_drum and self.is_drum
        return instrument.program in self.programs

    def reduce(self, notes: Notes) -> Notes:
        """Returns the notes that have a token: of a line the highest, of hits each once a step."""
        tokens = self.onsets[notes.pitches]
        notes = Notes(*(column[tokens != self.rest] for column in notes))
        if not self.is_drum:
            return monophonic(notes)
        hits = np.unique(np.stack([notes.starts, self.onsets[notes.pitches]], axis=1), axis=0)
        return Notes(hits[:, 0], hits[:, 0] + 1, self._written[hits[:, 1]])

    def detokenize(self, tokens: np.ndarray) -> Notes:
        """Returns the notes of int [steps] tokens. What sustains nothing is a rest."""
        if self.is_drum:
            bits = np.array([token for token, _ in self.starts], np.int32)
            steps, kinds = np.nonzero(tokens[:, None] & bits)
            steps = steps.astype(np.int32)
            return Notes(steps, steps + 1, self._written[bits[kinds]])
        changes = np.flatnonzero(tokens != self.sustain)
        pitches = self._written[tokens[changes]]
        ends = np.append(changes[1:], len(tokens))[: len(changes)]
        is_onset = pitches != classes.NO_PITCH
        return Notes(
            *(np.asarray(column[is_onset], np.int32) for column in (changes, ends, pitches))
        )

    def is_silent(self, tokens: np.ndarray) -> np.ndarray:
        """Says at which steps of int [..., steps] tokens nothing sounds: bool [..., steps]."""
        if self.is_drum:
            return tokens == self.rest
        steps = np.arange(tokens.shape[-1])
        last = np.maximum.accumulate(np.where(tokens != self.sustain, steps, 0), axis=-1)
        # Before the first event the last one is the first token, which starts nothing either.
        events = np.take_along_axis(np.asarray(tokens), last, axis=-1)
        return self._written[events] == classes.NO_PITCH

    @property
    def _written(self) -> np.ndarray:
        """The pitch that each class of an onset writes: int32 [classes]."""
        written = np.full(self.num_classes, classes.NO_PITCH, np.int32)
        for token, pitches in self.starts:
            written[token] = pitches[0]
        return written


def describe(track: Vocabulary) -> DescribedVocabulary:
    """Returns a vocabulary that reads and writes the same tokens, made of data alone."""
    if isinstance(track, DescribedVocabulary):
        return track
    with errors.naming(track):
        programs = [
            program
            for program in range(0 if track.is_drum else NUM_PROGRAMS)
            if track.accepts(_Program(program))
        ]
    return DescribedVocabulary(
        vocabulary=f"{type(track).__module__}.{type(track).__qualname__}",
        name=track.name,
        is_drum=bool(track.is_drum),
        num_classes=int(track.num_classes),
        rest=int(track.rest),
        sustain=int(track.sustain),
        release=int(track.release),
        output_program=int(track.output_program),
        starts=tuple(classes.onsets(track)),
        programs=tuple(programs),
    )


class _Program(NamedTuple):
    """An instrument of which only this is known."""

    program: int
    is_drum: bool = False
