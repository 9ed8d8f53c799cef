"""What the classes of any vocabulary mean, by what the vocabulary itself says of them.

What a class starts is asked of `detokenize`, so that it is what music is written by. Nothing here
knows which vocabularies there are.
"""

from typing import NamedTuple

import numpy as np

from magenta_vae.contracts import Vocabulary
from magenta_vae.music import errors

NUM_PITCHES = 128
NO_PITCH = -1
MAX_CLASSES = 2**16  # Of 16 kinds of hits. Tables of all classes are made.
_MEMBERS = [member for member in vars(Vocabulary) if not member.startswith("_")]


class Onset(NamedTuple):
    """What can start at a step.

    Attributes:
        token: its class; of hits a power of two, which others are added to.
        pitches: the MIDI pitches that are read as it. The first is what is written.
    """

    token: int
    pitches: tuple[int, ...]


def onsets(track: Vocabulary) -> list[Onset]:
    """Returns what can start at a step of a track, in the order of the tokens."""
    classes, written = _starts(track)
    first = {token: int(written[classes == token][0]) for token in _onset_tokens(track)}
    read = {token: np.flatnonzero(track.onsets == token).tolist() for token in first}
    return [
        Onset(token, (pitch, *(other for other in read[token] if other != pitch)))
        for token, pitch in first.items()
    ]


def pitches(track: Vocabulary) -> np.ndarray:
    """Returns the pitch that each class of a line starts, `NO_PITCH` for none: int16 [classes]."""
    table = np.full(track.num_classes, NO_PITCH, np.int16)
    if not track.is_drum:
        classes, written = _starts(track)
        table[classes] = written
    return table


def pitch_tokens(track: Vocabulary) -> range:
    """Returns the classes of a line's pitches, which stand together in semitones; none of hits.

    Raises:
        ValueError: where they do not, so that no number added to a token transposes it.
    """
    if track.is_drum:
        return range(0)
    table = pitches(track)
    tokens = np.flatnonzero(table != NO_PITCH)
    if np.any(np.diff(tokens) != 1) or np.any(np.diff(table[tokens]) != 1):
        raise ValueError(
            f"Only a vocabulary whose classes of pitches are a semitone apart can be transposed. "
            f"Received: {type(track).__name__}, whose tokens {tokens.tolist()} are the pitches "
            f"{table[tokens].tolist()}. Leave it out by Experiment.augment = None."
        )
    return range(int(tokens[0]), int(tokens[-1]) + 1)


def hits(track: Vocabulary) -> np.ndarray:
    """Returns which kinds of hit each class combines: 0 or 1, int [classes, kinds]."""
    tokens = [onset.token for onset in onsets(track)]
    return (np.arange(track.num_classes)[:, None] & np.array(tokens, int) > 0).astype(int)


def num_started(track: Vocabulary) -> np.ndarray:
    """Returns how many notes each class starts: int64 [classes]."""
    return np.bincount(_starts(track)[0], minlength=track.num_classes)


def check(track: Vocabulary) -> None:
    """Raises `ValueError` for what is no vocabulary, or says one thing read and another written.

    An error that the vocabulary raises itself is a `VocabularyError`.
    """
    what = f"{type(track).__name__} cannot be the vocabulary of a track:"
    with errors.naming(track):
        missing = [member for member in _MEMBERS if not hasattr(track, member)]
    if missing:
        raise ValueError(f"{what} it has no {', '.join(missing)}; see `contracts.Vocabulary`.")
    if not 2 <= track.num_classes <= MAX_CLASSES:
        raise ValueError(
            f"{what} num_classes must be of 2 to {MAX_CLASSES}. Received: {track.num_classes}."
        )
    read = np.asarray(track.onsets)
    if read.shape != (NUM_PITCHES,) or read.dtype.kind not in "iu":
        raise ValueError(
            f"{what} onsets must be int [{NUM_PITCHES}], a token of each pitch. "
            f"Received: {read.dtype} {list(read.shape)}."
        )
    tokens = {field: int(getattr(track, field)) for field in ("rest", "sustain", "release")}
    ranges = {field: (token, token) for field, token in tokens.items()}
    ranges["onsets"] = int(read.min()), int(read.max())
    for field, (lowest, highest) in ranges.items():
        if lowest < 0 or highest >= track.num_classes:
            raise ValueError(
                f"{what} {field} must be below num_classes={track.num_classes}. "
                f"Received: {lowest if lowest < 0 else highest}."
            )
    if track.is_drum and any(tokens.values()):
        raise ValueError(f"{what} those of hits must be 0. Received: {tokens}.")
    _check_notes(track, read, what)


def _check_notes(track: Vocabulary, read: np.ndarray, what: str) -> None:
    classes, written = (column.tolist() for column in _starts(track))
    if not classes:
        raise ValueError(f"{what} no class starts a note.")
    if not track.is_drum and len(set(classes)) < len(classes):
        raise ValueError(f"{what} a class of a line must start one note, not several.")
    for token, pitch in zip(classes, written, strict=True):
        read_as = int(read[pitch]) if 0 <= pitch < NUM_PITCHES else track.rest
        is_same = read_as & token == read_as if track.is_drum else read_as == token
        if read_as == track.rest or not is_same:
            raise ValueError(
                f"{what} the token {token} writes the pitch {pitch}, which must be read as it. "
                f"Received: the pitch read as {read_as}."
            )
    if silent := set(_onset_tokens(track)) - set(classes):
        raise ValueError(f"{what} every onset must write a note. Received: none of {silent}.")


def _starts(track: Vocabulary) -> tuple[np.ndarray, np.ndarray]:
    """Returns the notes that classes start: of each its class and its pitch, int [notes]."""
    # A line of every class once: what starts at step t is what the class t starts.
    with errors.naming(track):
        notes = track.detokenize(np.arange(track.num_classes, dtype=np.int32))
    return notes.starts, notes.pitches


def _onset_tokens(track: Vocabulary) -> list[int]:
    return [token for token in np.unique(track.onsets).tolist() if token != track.rest]
