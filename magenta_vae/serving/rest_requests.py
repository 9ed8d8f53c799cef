"""Requests of TensorFlow Serving's REST API: bodies of JSON -> arrays.

TensorFlow Serving takes no decimal for an integer, and neither true, nor text, nor null for a
number. Shapes and values are left to the checks of the graph (`request_checks`).
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from magenta_vae.inference.fields import MAX_FLOAT
from magenta_vae.serving.json_bodies import RequestError, parse_object, show

DEFAULT_SIGNATURE = "serving_default"
ROWS, COLUMNS = FORMATS = ("instances", "inputs")
MAX_AXES = 32  # Of more numpy goes through no array; a model's inputs have three.

Dtypes = Mapping[str, np.dtype]


class Asked(NamedTuple):
    """What is asked of a model.

    Attributes:
        signature: its name.
        inputs: of each input its values, [rows, ...].
        in_rows: whether the answer has rows, too.
    """

    signature: str
    inputs: dict[str, np.ndarray]
    in_rows: bool


def read(body: bytes, signatures: Mapping[str, Dtypes]) -> Asked:
    """Reads the body of a request.

    Args:
        body: what was sent.
        signatures: the types of the inputs of each signature.

    Raises:
        RequestError: with the field, what was expected and what was received.
    """
    request = parse_object(body, takes_nan=True)  # As there; the graph refuses NaN.
    signature = request.get("signature_name", DEFAULT_SIGNATURE)
    if not isinstance(signature, str) or signature not in signatures:
        raise RequestError(
            f"signature_name must be one of: {', '.join(sorted(signatures))}. "
            f"Received: {show(signature)}."
        )
    given = [name for name in FORMATS if name in request]
    if len(given) != 1:
        raise RequestError(
            f"The body must have either {' or '.join(FORMATS)}. Received: {show(list(request))}."
        )
    dtypes = signatures[signature]
    in_rows = given == [ROWS]
    columns = (_columns_of_rows if in_rows else _columns)(request[given[0]], sorted(dtypes))
    inputs = {name: _as_array(name, columns[name], dtypes[name]) for name in dtypes}
    return Asked(signature, inputs, in_rows)


def _columns_of_rows(rows: Any, names: Sequence[str]) -> dict[str, Any]:
    if not isinstance(rows, list) or not rows:
        raise RequestError(f"{ROWS} must be a list of at least one row. Received: {show(rows)}.")
    each = [_columns(row, names, f"{ROWS}[{number}]") for number, row in enumerate(rows)]
    return {name: [columns[name] for columns in each] for name in names}


def _columns(given: Any, names: Sequence[str], what: str = COLUMNS) -> dict[str, Any]:
    """Returns the values of each input; of a single one they may come without its name."""
    if len(names) == 1 and not isinstance(given, dict):
        return {names[0]: given}
    if not isinstance(given, dict) or set(given) != set(names):
        received = list(given) if isinstance(given, dict) else given
        raise RequestError(
            f"{what} must be an object with {', '.join(names)}. Received: {show(received)}."
        )
    return given


def _as_array(name: str, value: Any, dtype: np.dtype) -> np.ndarray:
    """Returns nested lists of numbers as an array. Raises `RequestError` for what is none."""
    array = np.array(value, object)  # Of another type numpy makes 1 of 1.5, of true and of "1".
    if array.ndim > MAX_AXES:
        raise RequestError(f"{name} must have at most {MAX_AXES} axes. Received: more.")
    kinds, least, most, expected = _bounds(dtype)
    for place, number in np.ndenumerate(array):
        if type(number) in kinds and not number < least and not number > most:  # NaN is neither.
            continue
        where = name + "".join(f"[{index}]" for index in place)
        wanted = "have the shape of its neighbours" if isinstance(number, list) else expected
        raise RequestError(f"{where} must {wanted}. Received: {show(number)}.")
    return array.astype(dtype)


def _bounds(dtype: np.dtype) -> tuple[tuple[type, ...], float, float, str]:
    """Returns the types of an input's numbers in Python, the bounds, and both in words."""
    if dtype.kind == "i":
        limits = np.iinfo(dtype)
        return (int,), limits.min, limits.max, f"be a whole number of {limits.bits} bits"
    return (int, float), -MAX_FLOAT, MAX_FLOAT, f"be a number of at most {MAX_FLOAT:.2g} in size"
