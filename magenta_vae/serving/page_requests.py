"""What the page asks for: bodies of bounded size -> points, temperatures and seeds.

Values are checked as those of a served model are (`inference.fields`), and each refusal names the
field, what was expected and what was received.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from starlette.requests import Request

from magenta_vae.inference import fields, interpolation
from magenta_vae.inference.validation import MAX_SEED, TEMPERATURE
from magenta_vae.serving import json_bodies
from magenta_vae.serving.json_bodies import RequestError, show
from magenta_vae.serving.seeds import ROWS_PER_REQUEST, SEED_BITS

MAX_POINTS = ROWS_PER_REQUEST
MAX_INDEX = 2 ** (63 - SEED_BITS) - 1  # Beside a seed, in the 63 bits of a row's seed.
JSON_BYTES_PER_NUMBER = 32  # More than a float of 64 bits has digits.


class Priors(Protocol):
    """What is asked of a model for points that are drawn."""

    def prior_rows(self, pairs: np.ndarray, prior: str) -> np.ndarray:
        """Returns float32 [points, z_size] of int64 [points, 2]; see `TrainedModel.prior_rows`."""


class Asked(NamedTuple):
    """What is to be decoded.

    Attributes:
        z: float32 [points, z_size].
        temperature: of the softmax.
        pairs: int64 [points, 2], the seeds that each point draws with.
    """

    z: np.ndarray
    temperature: float
    pairs: np.ndarray


class PageRequests:
    """Reads what the page asks of a model.

    Args:
        model: what draws points.
        z_size: dimensions of its latent space.
        priors: the names of those that it can draw from.
    """

    def __init__(self, model: Priors, z_size: int, priors: Sequence[str]):
        self._model = model
        self._point = fields.points(z_size)
        self._z_size = z_size
        self._priors = tuple(priors)

    @property
    def max_bytes(self) -> int:
        """The most bytes of a body: of as many points as may be asked for."""
        return MAX_POINTS * (self._z_size * JSON_BYTES_PER_NUMBER + 256) + 4096

    def decode(self, body: bytes) -> Asked:
        """Reads what `/decode` takes. Raises `RequestError`."""
        asked = _parse(body, ("points", "temperature", "seed"), ("points",))
        points = _as_list("points", asked["points"], range(1, MAX_POINTS + 1))
        seeds = asked.get("seed", 0)
        if isinstance(seeds, list) and len(seeds) != len(points):
            raise RequestError(
                "seed must be one number, or one for each of the points: "
                f"{len(points)}. Received: {len(seeds)}."
            )
        each = seeds if isinstance(seeds, list) else [seeds] * len(points)
        temperature = _as_temperature(asked.get("temperature", TEMPERATURE))
        pairs = np.array([_pair(_as_natural("seed", seed)) for seed in each], np.int64)
        return Asked(self._points(points), temperature, pairs)

    def path(self, body: bytes) -> Asked:
        """Reads what `/path` takes, and returns the points of the way. Raises `RequestError`."""
        asked = _parse(body, ("points", "steps", "temperature", "seed"), ("points", "steps"))
        ends = _as_list("points", asked["points"], (2, 4))
        most = MAX_POINTS if len(ends) == 2 else int(MAX_POINTS**0.5)
        steps = _as_natural("steps", asked["steps"], 2, most)
        temperature = _as_temperature(asked.get("temperature", TEMPERATURE))
        pair = _pair(_as_natural("seed", asked.get("seed", 0)))
        corners = self._points(ends)
        if len(corners) == 2:
            z = interpolation.slerp(corners[0], corners[1], np.linspace(0, 1, steps))
        else:
            z = interpolation.grid(list(corners), steps, steps)
        return Asked(z, temperature, np.tile(np.array(pair, np.int64), [len(z), 1]))

    def _points(self, points: Sequence[Any]) -> np.ndarray:
        """Returns float32 [points, z_size] of points that are given or to be drawn."""
        z = np.zeros([len(points), self._z_size], np.float32)
        drawn: dict[str, list[tuple[int, tuple[int, int]]]] = {}
        for row, point in enumerate(points):
            name = f"points[{row}]"
            if isinstance(point, dict):
                prior, pair = self._dice(name, point)
                drawn.setdefault(prior, []).append((row, pair))
            else:
                z[row] = self._given(name, point)
        for prior, dice in drawn.items():
            rows, pairs = zip(*dice, strict=True)
            z[list(rows)] = self._model.prior_rows(np.array(pairs, np.int64), prior)
        return z

    def _given(self, name: str, point: Any) -> np.ndarray:
        if not isinstance(point, list) or len(point) != self._z_size:
            received = f"{len(point)} values" if isinstance(point, list) else show(point)
            raise RequestError(
                f"{name} must be {self._z_size} numbers, or an object with prior and seed. "
                f"Received: {received}."
            )
        if not all(type(number) in (int, float) for number in point):
            wrong = next(number for number in point if type(number) not in (int, float))
            raise RequestError(f"{name} must be numbers. Received: {show(wrong)}.")
        try:
            return self._point.checked(name, np.array([point], np.float64))[0]
        except OverflowError as error:
            raise RequestError(f"{name} must be {self._point.expected}: {error}.") from error
        except ValueError as error:
            # Which row it is stands in the name.
            raise RequestError(str(error).removesuffix(" in row 0.") + ".") from error

    def _dice(self, name: str, point: Mapping[str, Any]) -> tuple[str, tuple[int, int]]:
        _check_names(name, point, ("prior", "seed", "index"), ("prior", "seed"))
        if point["prior"] not in self._priors:
            raise RequestError(
                f"{name}.prior must be one of: {', '.join(self._priors)}. "
                f"Received: {show(point['prior'])}."
            )
        seed = _as_natural(f"{name}.seed", point["seed"])
        index = _as_natural(f"{name}.index", point.get("index", 0), 0, MAX_INDEX)
        return point["prior"], (seed, index)


async def read_body(request: Request, most: int) -> bytes:
    """Returns a body of at most so many bytes; of a longer one the rest is not read."""
    declared = request.headers.get("content-length", "")
    chunks, size = [], int(declared) if declared.isdecimal() else 0
    if size <= most:
        size = 0
        async for chunk in request.stream():
            size += len(chunk)
            if size > most:
                break
            chunks.append(chunk)
    if size > most:
        raise RequestError(
            f"The body must have at most {most:,} bytes. Received: {size:,} or more.", 413
        )
    return b"".join(chunks)


def check_content_type(request: Request, expected: str) -> None:
    """Raises `RequestError` for a body that is said to be of another type."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != expected:
        raise RequestError(f"Content-Type must be {expected}. Received: {kind or 'none'}.", 415)


def _parse(body: bytes, known: Sequence[str], needed: Sequence[str]) -> dict[str, Any]:
    """Returns the object that a body of JSON is."""
    content = json_bodies.parse_object(body)
    _check_names("The body", content, known, needed)
    return content


def _check_names(
    what: str, content: Mapping[str, Any], known: Sequence[str], needed: Sequence[str]
) -> None:
    missing = [name for name in needed if name not in content]
    unknown = [name for name in content if name not in known]
    if missing:
        raise RequestError(f"{what} must have {missing[0]}. Received: {show(list(content))}.")
    if unknown:
        raise RequestError(f"{what} may have {', '.join(known)}. Received: {show(unknown[0])}.")


def _as_list(name: str, value: Any, lengths: Sequence[int]) -> list:
    if isinstance(value, list) and len(value) in lengths:
        return value
    spelled = (
        f"{lengths[0]} to {lengths[-1]}" if len(lengths) > 2 else " or ".join(map(str, lengths))
    )
    received = f"{len(value)}" if isinstance(value, list) else show(value)
    raise RequestError(f"{name} must be a list of {spelled} points. Received: {received}.")


def _as_natural(name: str, value: Any, least: int = 0, most: int = MAX_SEED) -> int:
    if type(value) is not int or not least <= value <= most:
        raise RequestError(
            f"{name} must be a whole number of {least} to {most}. Received: {show(value)}."
        )
    return value


def _as_temperature(value: Any) -> float:
    if type(value) not in (int, float):
        raise RequestError(f"temperature must be a number. Received: {show(value)}.")
    if not fields.MIN_FLOAT <= value <= fields.MAX_FLOAT:
        expected = fields.positive().expected
        raise RequestError(f"temperature must be {expected}. Received: {show(value)}.")
    return float(value)


def _pair(seed: int) -> tuple[int, int]:
    """Returns what a row of a seed draws from; see `seeds`."""
    return seed % 2**SEED_BITS, seed >> SEED_BITS
