"""What a model in use is given, here or on a server: defaults, and checks of what is no music."""

import numbers
import operator
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from note_seq.protobuf import music_pb2

from magenta_vae.inference import fields
from magenta_vae.music.window_format import Playback, WindowFormat

TEMPERATURE = 0.5  # paper, Sampling Details
MAX_SEED = 2**63 - 1  # It is an int64 in TensorFlow.
MAX_COUNT = 2**31 - 1  # Of rows: beside a seed, in the 63 bits of a served row's seed.

NoteSequences = list[music_pb2.NoteSequence]


def as_points(z, z_size: int) -> np.ndarray:
    """Returns points of the latent space, float32 [points, z_size], or raises `ValueError`."""
    z = np.asarray(z)
    if z.ndim != 2 or z.shape[1] != z_size:
        raise ValueError(f"z must be [points, {z_size}]. Received: shape {z.shape}.")
    if z.dtype.kind == "f" and not np.isfinite(z).all():
        raise ValueError(f"z must be finite. Received: {np.sum(~np.isfinite(z))} that are not.")
    return fields.points(z_size).checked("z", z)


def as_tokens(tokens, window_format: WindowFormat) -> np.ndarray:
    """Returns windows of tokens, int32 [windows, steps, tracks], or raises `ValueError`."""
    return fields.windows(window_format).checked("tokens", tokens)


def as_vector(vector, z_size: int) -> np.ndarray:
    """Returns a way in the latent space, float32 [z_size], or raises `ValueError`."""
    vector = np.asarray(vector)
    if vector.shape != (z_size,):
        raise ValueError(
            f"The vector must be of this model: [{z_size}]. "
            f"Received: {vector.shape} of {vector.dtype.name}."
        )
    return fields.points(z_size).checked("vector", vector[None])[0]


def check_strength(strength: float, vector: np.ndarray) -> None:
    """Raises `ValueError` for a number whose product with a vector no point can be changed by."""
    check_finite("strength", strength)
    size = float(np.abs(vector).max(initial=0))
    if abs(float(strength)) * size > fields.MAX_SIZE_OF_Z:
        raise ValueError(
            f"strength times the vector must be at most {fields.MAX_SIZE_OF_Z:g} in size. "
            f"Received: strength={strength} and a vector of {size:g}."
        )


def check_playbacks(playbacks: Sequence[Playback] | None, num_points: int) -> None:
    """Raises `ValueError` for what is neither None nor a list of a `Playback` for each point."""
    if playbacks is None:
        return
    expected = f"playbacks must be None or a list of a Playback for each of {num_points} points"
    if not is_list(playbacks):
        raise ValueError(f"{expected}. Received: {type(playbacks).__name__}.")
    if len(playbacks) != num_points:
        raise ValueError(f"{expected}. Received: {len(playbacks)}.")
    if wrong := [each for each in playbacks if not isinstance(each, Playback)]:
        raise ValueError(f"{expected}. Received: {wrong[0]!r} among them.")


def check_flag(name: str, value: bool) -> None:
    """Raises `ValueError` for what is neither True nor False: Python takes "no" for true."""
    if not isinstance(value, bool | np.bool_):
        raise ValueError(f"{name} must be True or False. Received: {name}={value!r}.")


def check_temperature(temperature: float) -> None:
    """Raises `ValueError` for a temperature that a softmax cannot have."""
    if not _is_number(temperature) or not 0 < temperature < np.inf:
        raise ValueError(
            f"temperature must be finite and above 0. Received: temperature={temperature}."
        )


def check_seed(seed: int, last: int = MAX_SEED, name_of_last: str = "2^63 - 1") -> None:
    """Raises `ValueError` for a seed that is no whole number from 0 to the last one."""
    if not is_whole(seed) or not 0 <= seed <= last:
        raise ValueError(f"seed must be in 0 to {name_of_last}. Received: seed={seed!r}.")


def check_share(name: str, value: float) -> None:
    """Raises `ValueError` for a number that is not from 0 to 1."""
    if not _is_number(value) or not 0 <= value <= 1:
        raise ValueError(f"{name} must be in 0-1. Received: {name}={value}.")


def check_finite(name: str, value: float) -> None:
    """Raises `ValueError` for what is no finite number of 32 bits."""
    if not _is_number(value) or not abs(value) <= fields.MAX_FLOAT:
        raise ValueError(f"{name} must be a finite number. Received: {name}={value}.")


def check_count(name: str, number: int, least: int = 1) -> None:
    """Raises `ValueError` for what is no whole number of at least `least`, or beyond any memory."""
    if not is_whole(number) or number < least:
        whole = "" if is_whole(number) else "a whole number and "
        raise ValueError(f"{name} must be {whole}at least {least}. Received: {name}={number!r}.")
    if number > MAX_COUNT:
        raise ValueError(f"{name} must be at most {MAX_COUNT:,}. Received: {name}={number}.")


def check_grid(corners: Collection, num_rows: int, num_columns: int) -> None:
    """Raises `ValueError` for what are not the corners and the sides of a grid."""
    if not is_list(corners):
        received = type(corners).__name__
        raise ValueError(f"corners must be a list of four pieces of music. Received: {received}.")
    if len(corners) != 4:
        raise ValueError(f"A grid has four corners. Received: {len(corners)}.")
    for name, number in (("num_rows", num_rows), ("num_columns", num_columns)):
        check_count(name, number)
    if min(num_rows, num_columns) < 2:
        raise ValueError(
            "num_rows and num_columns must be at least 2. "
            f"Received: num_rows={num_rows}, num_columns={num_columns}."
        )
    check_count("num_rows * num_columns", int(num_rows) * int(num_columns))


def positions(num_steps: int) -> np.ndarray:
    """Returns equal intervals from 0 to 1, both included: float64 [num_steps]."""
    check_count("num_steps", num_steps, 2)
    return np.linspace(0, 1, num_steps)


def is_list(value: Any) -> bool:
    """Says whether a value holds several others, as a list does; a text does not."""
    return isinstance(value, Collection) and not isinstance(value, str | bytes)


def is_whole(value: Any) -> bool:
    """Says whether a value is a whole number, of Python or of numpy; True and False are none."""
    try:
        operator.index(value)
    except TypeError:
        return False
    return not isinstance(value, bool | np.ndarray)


def _is_number(value) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)
