"""The vocabularies of the models that Magenta released, where they are not the paper's."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from magenta_vae.contracts import Notes, Vocabulary
from magenta_vae.music import classes
from magenta_vae.music.tokens import Melody


@dataclasses.dataclass(frozen=True)
class NoteOffMelody(Melody):
    """A monophonic line in 90 classes: no event, a note-off, and a piano's pitches.

    No event goes on with what is: it holds a note, and is silence after a note-off or before the
    first note. Pitches that a piano does not have are left out of a line before it is made
    monophonic. Arguments are those of `tokens.Melody`.
    """

    first_pitch = 21
    pitch_tokens = range(2, 90)  # 21-108
    sustain = 0
    rest = 0
    release = 1
    num_classes = 90

    def reduce(self, notes: Notes) -> Notes:
        """Returns the monophonic line of the pitches that have a token."""
        is_known = self.onsets[notes.pitches] != self.rest
        return super().reduce(Notes(*(column[is_known] for column in notes)))

    def is_silent(self, tokens: np.ndarray) -> np.ndarray:
        """Says at which steps of int [..., steps] tokens nothing sounds: bool [..., steps]."""
        steps = np.arange(tokens.shape[-1])
        last_event = np.maximum.accumulate(np.where(tokens != self.sustain, steps, -1), axis=-1)
        events = np.take_along_axis(tokens, np.maximum(last_event, 0), axis=-1)
        return (last_event < 0) | (events == self.release)


def hit_rolls(tracks: Sequence[Vocabulary]) -> tuple[np.ndarray, ...]:
    """Returns what an encoder is fed for each class of drums: float32 [classes, kinds + 1] a track.

    A one for each kind of hit that the class combines, kick first; the last is for none.

    Raises:
        ValueError: for a track that is not drums.
    """
    if wrong := [track.name for track in tracks if not track.is_drum]:
        raise ValueError(f"Only drums are read as hits. Received: tracks named {wrong}.")
    return tuple(_hit_roll(track) for track in tracks)


def _hit_roll(track: Vocabulary) -> np.ndarray:
    hits = classes.hits(track)
    return np.concatenate([hits, ~hits.any(axis=-1, keepdims=True)], axis=-1).astype(np.float32)
