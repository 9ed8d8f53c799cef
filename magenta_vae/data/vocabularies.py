"""Vocabularies <-> JSON values, for whoever must know a model's tokens without its gin files."""

import dataclasses
import json
from collections.abc import Mapping, Sequence

from magenta_vae.magenta.vocabulary import NoteOffMelody
from magenta_vae.music.tokens import Drums, Melody, Vocabulary

KINDS = {kind.__name__: kind for kind in (Melody, Drums, NoteOffMelody)}


def describe(tracks: Sequence[Vocabulary]) -> list[dict]:
    """Returns tracks as JSON values; `from_description` is the inverse."""
    described = [
        {"vocabulary": type(track).__name__, **dataclasses.asdict(track)} for track in tracks
    ]
    return json.loads(json.dumps(described))


def from_description(described: Sequence[dict]) -> tuple[Vocabulary, ...]:
    """Returns the tracks of `describe`, whatever else is said of them.

    Raises:
        ValueError: for a vocabulary that is not known, and for what describes none.
    """
    return tuple(map(_track, described))


def _track(values: Mapping) -> Vocabulary:
    try:
        kind = KINDS.get(values["vocabulary"])
        if kind is None:
            raise ValueError(
                f"vocabulary must be one of {', '.join(KINDS)}. Received: {values['vocabulary']!r}."
            )
        names = [field.name for field in dataclasses.fields(kind)]
        return kind(**{name: _tuples(values[name]) for name in names})
    except (KeyError, TypeError) as error:
        raise ValueError(f"This describes no vocabulary: {values}: {error!r}.") from error


def describe_tokens(track: Vocabulary) -> dict[str, str]:
    """Returns what the tokens of a track mean, in words."""
    if track.is_drum:
        return {"0": "no hit", "bit i": "the hit i of hit_pitches, among others"}
    pitches = track.pitch_tokens
    meanings = {
        f"{pitches[0]} to {pitches[-1]}": "a note begins: the MIDI pitch is the token "
        f"{track.first_pitch - pitches[0]:+d}",
        str(track.sustain): "what is goes on",
        str(track.release): "nothing sounds any more",
    }
    if track.rest not in (track.sustain, track.release):
        meanings[str(track.rest)] = "rest"
    return meanings


def _tuples(value):
    """Returns a JSON value with its lists as tuples."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
