"""Vocabularies <-> JSON values, for whoever must know a model's tokens without its gin files.

Those of this package are written by their names and arguments, as version 0.1.0 did; any other by
what it says of itself, so that its class is not needed to read what it wrote.
"""

import contextlib
import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

from magenta_vae.contracts import Vocabulary
from magenta_vae.data import vocabulary_fields
from magenta_vae.magenta.vocabulary import NoteOffMelody
from magenta_vae.music import classes, described_vocabulary
from magenta_vae.music.described_vocabulary import DescribedVocabulary
from magenta_vae.music.tokens import Drums, Melody

KINDS = {kind.__name__: kind for kind in (Melody, Drums, NoteOffMelody)}
MAX_TRACKS = 64
_FIELDS = (
    *("vocabulary", "name", "is_drum", "num_classes", "rest", "sustain", "release"),
    "output_program",
)


def describe(tracks: Sequence[Vocabulary]) -> list[dict]:
    """Returns tracks as JSON values; `from_description` is the inverse."""
    return json.loads(json.dumps([_describe(track) for track in tracks]))


def describe_fully(track: Vocabulary) -> dict:
    """Returns a track as JSON values with all that its tokens mean, for readers of any make."""
    # A class of this package keeps its short name and its arguments.
    return {**_data(track), **describe([track])[0], "tokens": describe_tokens(track)}


def from_description(tracks: Sequence[Mapping]) -> tuple[Vocabulary, ...]:
    """Returns the tracks of `describe`, whatever else is said of them.

    Raises:
        ValueError: for what describes no vocabulary, with the field that is wrong.
    """
    if not isinstance(tracks, list | tuple) or len(tracks) > MAX_TRACKS:
        raise ValueError(
            f"tracks must be a list of at most {MAX_TRACKS} vocabularies. "
            f"Received: {tracks!r:.100}."
        )
    return tuple(map(_track, tracks))


def describe_tokens(track: Vocabulary) -> dict[str, str]:
    """Returns what the tokens of a track mean, in words."""
    if track.is_drum:
        return {"0": "no hit", "bit i": "the hit of the token 2^i in onsets, among others"}
    which, pitch = "those of onsets", "the first of the token in onsets"
    with contextlib.suppress(ValueError):  # Where they do not stand together.
        tokens = classes.pitch_tokens(track)
        distance = classes.pitches(track)[tokens.start] - tokens.start
        which, pitch = f"{tokens[0]} to {tokens[-1]}", f"the token {distance:+d}"
    silence = ", and so does silence" if track.rest == track.sustain else ""
    meanings = {
        which: f"a note begins: the MIDI pitch is {pitch}",
        str(track.sustain): f"the note that sounds goes on{silence}",
        str(track.release): "nothing sounds any more",
    }
    if track.rest != track.sustain:
        meanings[str(track.rest)] = "nothing sounds"
    return meanings


def _describe(track: Vocabulary) -> dict[str, Any]:
    kind = KINDS.get(type(track).__name__)
    # By its module too: a class of one's own may have a name that one of this package has.
    if kind is None or kind.__module__ != type(track).__module__:
        return _data(track)
    fields = [field.name for field in dataclasses.fields(kind)]
    return {"vocabulary": kind.__name__, **{field: getattr(track, field) for field in fields}}


def _data(track: Vocabulary) -> dict[str, Any]:
    """Returns what a vocabulary says of itself as JSON values."""
    said = described_vocabulary.describe(track)
    onsets = {str(token): list(pitches) for token, pitches in said.starts}
    values = {field: getattr(said, field) for field in _FIELDS}
    return {**values, "programs": _runs(said.programs), "onsets": onsets}


def _runs(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Returns the first and the last of each run of neighbours among ascending numbers."""
    firsts = [number for number in numbers if number - 1 not in numbers]
    lasts = [number for number in numbers if number + 1 not in numbers]
    return list(zip(firsts, lasts, strict=True))


def _track(values: Mapping) -> Vocabulary:
    if not isinstance(values, Mapping):
        raise ValueError(f"This describes no vocabulary: {values!r:.100}.")
    vocabulary_fields.check(values, "vocabulary")
    track: Vocabulary
    kind = KINDS.get(values["vocabulary"])
    if kind is None:
        vocabulary_fields.check(values, *_FIELDS, "programs", "onsets")
        track = DescribedVocabulary(
            **{field: values[field] for field in _FIELDS},
            starts=vocabulary_fields.onsets(values),
            programs=tuple(n for first, last in values["programs"] for n in range(first, last + 1)),
        )
    else:
        names = [field.name for field in dataclasses.fields(kind)]
        vocabulary_fields.check(values, *names)
        track = kind(**{name: _tuples(values[name]) for name in names})
    classes.check(track)
    return track


def _tuples(value):
    """Returns a JSON value with its lists as tuples."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
