"""What the fields of a described vocabulary must be: a description may come from anywhere."""

from collections.abc import Mapping
from typing import Any

from magenta_vae.music.classes import MAX_CLASSES, NUM_PITCHES, Onset
from magenta_vae.music.described_vocabulary import NUM_PROGRAMS

MAX_NAME = 100
MAX_KINDS = 16  # Of hits: they give 2^16 classes.
_BOUNDS = {  # Both included.
    "num_classes": (2, MAX_CLASSES),
    **dict.fromkeys(("rest", "sustain", "release"), (0, MAX_CLASSES - 1)),
    **dict.fromkeys(("min_program", "max_program", "output_program"), (0, NUM_PROGRAMS - 1)),
}


def check(values: Mapping[str, Any], *fields: str) -> None:
    """Raises `ValueError` for fields that are missing or not what they must be, with their names.

    Args:
        values: JSON values by field.
        fields: which are checked, of those that vocabularies have.
    """
    for field in fields:
        value = values.get(field)
        if field in _BOUNDS:
            least, most = _BOUNDS[field]
            is_right = type(value) is int and least <= value <= most
            _require(is_right, field, f"a whole number from {least} to {most}", value)
        elif field in ("vocabulary", "name"):
            is_right = isinstance(value, str) and 0 < len(value) <= MAX_NAME
            _require(is_right, field, f"a text of 1 to {MAX_NAME} characters", value)
        elif field == "is_drum":
            _require(isinstance(value, bool), field, "true or false", value)
        elif field == "programs":
            _require(_are_runs(value), field, "the first and last of runs of MIDI programs", value)
        elif field == "hit_pitches":
            kinds = value if isinstance(value, list) else []
            is_right = 0 < len(kinds) <= MAX_KINDS and all(map(_are_pitches, kinds))
            _require(is_right, field, f"1 to {MAX_KINDS} lists of MIDI pitches", value)
        elif field == "onsets":
            _require(isinstance(value, Mapping), field, "lists of pitches by token", value)
        else:
            raise ValueError(f"No vocabulary has the field {field}.")


def onsets(values: Mapping[str, Any]) -> tuple[Onset, ...]:
    """Returns what a described vocabulary says that can start at a step.

    Args:
        values: JSON values by field, which were checked.
    """
    starts = tuple(_onset(*item) for item in values["onsets"].items())
    pitches = [pitch for onset in starts for pitch in onset.pitches]
    _require(len(set(pitches)) == len(pitches), "onsets", "of different pitches", pitches)
    for token, _ in starts:
        is_free = token not in (values["rest"], values["sustain"], values["release"])
        is_bit = token & (token - 1) == 0 and 2 * token <= values["num_classes"]
        _require(is_free, "onsets", "of no token of rest, sustain or release", token)
        _require(is_bit or not values["is_drum"], "onsets", "of powers of two, for hits", token)
        _require(
            token < values["num_classes"],
            "onsets",
            f"of tokens below num_classes={values['num_classes']}",
            token,
        )
    return starts


def _onset(token: str, pitches: Any) -> Onset:
    is_token = token.isascii() and token.isdecimal() and len(token) <= len(str(MAX_CLASSES))
    _require(is_token, "onsets", "of tokens", token)
    _require(_are_pitches(pitches), "onsets", "lists of MIDI pitches", pitches)
    return Onset(int(token), tuple(pitches))


def _are_pitches(values: Any) -> bool:
    return _are_below(values, NUM_PITCHES) and len(values) > 0


def _are_runs(values: Any) -> bool:
    """Says whether a JSON value is pairs of MIDI programs, ascending throughout."""
    if not isinstance(values, list) or not all(_are_below(run, NUM_PROGRAMS) for run in values):
        return False
    ends = [number for pair in values for number in pair]
    return all(len(pair) == 2 for pair in values) and ends == sorted(ends)


def _are_below(values: Any, bound: int) -> bool:
    """Says whether a JSON value is a list of whole numbers from 0 on, no more than there are."""
    return (
        isinstance(values, list)
        and len(values) <= bound
        and all(type(value) is int and 0 <= value < bound for value in values)
    )


def _require(is_right: bool, field: str, expected: str, received: Any) -> None:
    if not is_right:
        raise ValueError(
            f"A vocabulary's {field} must be {expected}. Received: {field}={received!r:.100}."
        )
