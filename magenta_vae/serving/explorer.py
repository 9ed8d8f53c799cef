"""A page in the browser that plays a model's latent space, and the routes that it asks.

`GET /model`, `POST /encode`, `POST /decode`, `POST /path` and `GET /map` answer JSON; everything
else is a file of the page. A request that is refused has the status 4xx and `{"error": "..."}`.
"""

import asyncio
import contextlib
import json
import mimetypes
import os
import threading
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from magenta_vae.inference import excerpts, reading
from magenta_vae.inference.excerpts import Excerpt
from magenta_vae.inference.reading import WindowReader
from magenta_vae.music import readers
from magenta_vae.music.songs import SongError
from magenta_vae.music.window_format import WindowFormat
from magenta_vae.serving import page_answers, page_requests
from magenta_vae.serving.browser_guard import BrowserGuard
from magenta_vae.serving.json_bodies import RequestError
from magenta_vae.serving.page_requests import Asked, PageRequests

MAX_FILE_BYTES = 5_000_000
MAX_WINDOWS = 16  # Of a file.
MAX_DIGITS = 6  # Of a bar: no file has so many.
# What runs at a time: a grid of points that is decoded leaves room for the point that is played.
NUM_DECODING, NUM_READING = 2, 1
FORMS = ("application/json", "application/x-www-form-urlencoded", "multipart/form-data")
FAILED = "The server failed at this request; its terminal shows how."
# Some systems know these endings as something else, which a browser then does not run.
TYPES = {".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm"}

# Given a function that says whether to give up: returns the map, or anything where it gave up.
MapMaker = Callable[[Callable[[], bool]], Mapping[str, Any]]


class ExploredModel(Protocol):
    """What is asked of a model; `generation.TrainedModel` offers it. Threads use it at a time."""

    @property
    def window_format(self) -> WindowFormat:
        """The tracks and the length of a window."""

    @property
    def z_size(self) -> int:
        """Dimensions of the latent space."""

    def encode_tokens(self, tokens: np.ndarray) -> np.ndarray:
        """Returns float32 [windows, z_size] of int [windows, steps, tracks]."""

    def decode_rows(self, z: np.ndarray, temperature: float, pairs: np.ndarray) -> np.ndarray:
        """Returns int32 [points, steps, tracks] of [points, z_size] and int64 [points, 2]."""

    def prior_rows(self, pairs: np.ndarray, prior: str) -> np.ndarray:
        """Returns float32 [points, z_size] of int64 [points, 2]."""


def make_app(
    model: ExploredModel,
    facts: Mapping[str, Any],
    page: str | os.PathLike,
    host: str = "127.0.0.1",
    names: Collection[str] = (),
    make_map: MapMaker | None = None,
) -> Starlette:
    """Returns the server of a model.

    Args:
        model: with a latent space.
        facts: what `/model` answers: `priors` are the names of those that can be drawn from, and
            `why_not` says of `map` why there is none.
        page: the folder of the page; `index.html` in it is what `/` answers.
        host, names: see `BrowserGuard`.
        make_map: returns what `/map` answers; it is called once, in a thread, when the server
            starts.
    """
    for ending, kind in TYPES.items():
        mimetypes.add_type(kind, ending)
    explorer = _Explorer(model, facts, make_map)
    routes = [
        Route("/model", explorer.describe),
        Route("/map", explorer.map),
        Route("/encode", explorer.encode, methods=["POST"]),
        Route("/decode", explorer.decode, methods=["POST"]),
        Route("/path", explorer.path, methods=["POST"]),
        Mount("/", StaticFiles(directory=page, html=True)),
    ]
    return Starlette(
        routes=routes,
        middleware=[Middleware(BrowserGuard, host=host, names=names)],
        exception_handlers={
            RequestError: _refuse,
            HTTPException: _refuse_address,
            Exception: lambda request, error: _answer(_dump({"error": FAILED}), 500),
            ClientDisconnect: lambda request, error: Response(status_code=400),
        },
        lifespan=explorer.run,
    )


class _Explorer:
    """The routes of one model."""

    def __init__(self, model: ExploredModel, facts: Mapping[str, Any], make_map: MapMaker | None):
        self._model = model
        self._facts = facts
        self._requests = PageRequests(model, model.z_size, facts["priors"])
        self._decoding = asyncio.Semaphore(NUM_DECODING)
        self._reading = asyncio.Semaphore(NUM_READING)
        self._make_map = make_map
        self._map: asyncio.Future[bytes] | None = None

    @contextlib.asynccontextmanager
    async def run(self, app: Starlette) -> AsyncIterator[None]:
        """Makes the map beside the requests, and gives it up when the server ends."""
        del app
        if self._make_map is None:
            yield
            return
        make_map, ending = self._make_map, threading.Event()
        self._map = asyncio.ensure_future(run_in_threadpool(lambda: _dump(make_map(ending.is_set))))
        try:
            yield
        finally:
            ending.set()
            await asyncio.wait([self._map])
            self._map.exception()  # Who asked for it was told; nobody else need be.

    async def describe(self, request: Request) -> Response:
        """`GET /model`."""
        del request
        return _answer(_dump(self._facts))

    async def map(self, request: Request) -> Response:
        """`GET /map`, once it is made."""
        del request
        if self._map is None:
            why = self._facts.get("why_not", {}).get("map", "The server was started without one.")
            raise RequestError(f"There is no map. {why}", 404)
        try:
            return _answer(await asyncio.shield(self._map))
        except (OSError, ValueError, ArithmeticError) as error:
            raise RequestError(f"The map could not be made: {error}", 404) from error

    async def decode(self, request: Request) -> Response:
        """`POST /decode`."""
        return await self._decode(request, self._requests.decode)

    async def path(self, request: Request) -> Response:
        """`POST /path`."""
        return await self._decode(request, self._requests.path)

    async def encode(self, request: Request) -> Response:
        """`POST /encode?name=song.mid&track=2&bar=5`."""
        choice = _Choice(request)
        body = await page_requests.read_body(request, MAX_FILE_BYTES)
        return await _work(request, self._reading, lambda: self._encoded(body, choice))

    async def _decode(self, request: Request, read: Callable[[bytes], Asked]) -> Response:
        page_requests.check_content_type(request, "application/json")
        body = await page_requests.read_body(request, self._requests.max_bytes)
        return await _work(request, self._decoding, lambda: self._decoded(read(body)))

    def _decoded(self, asked: Asked) -> bytes:
        windows = self._model.decode_rows(*asked)
        tracks = self._model.window_format.tracks
        described = page_answers.describe_windows(windows, tracks)
        return _dump({"windows": described, "points": asked.z.tolist()})

    def _encoded(self, data: bytes, choice: "_Choice") -> bytes:
        parts: list[dict[str, Any]] = []
        try:
            song = readers.parse_music(data)
            parts = page_answers.describe_parts(song)
            excerpt = Excerpt(song, choice.tracks, None, choice.bar, MAX_WINDOWS, choice.name)
            reader = WindowReader(self._model.window_format, choice.polyphony)
            read = reader.read_windows(excerpt)
        except SongError as error:
            reason = error.reason.removeprefix(f"{choice.name}: ")
            message = str(SongError(f"{choice.name}: {reason}", error.detail))
            raise RequestError(message, 422, {"rule": reason, "tracks": parts}) from error
        except ValueError as error:
            raise RequestError(str(error)) from error
        z = self._model.encode_tokens(read.tokens)
        windows = page_answers.describe_windows(read.tokens, self._model.window_format.tracks)
        for window, point, place in zip(windows, z.tolist(), read.windows, strict=True):
            window |= {
                "point": point,
                "text": excerpts.describe([place], with_tempo=False),
                "qpm": round(place.playback.qpm, 3),
                "bar": place.first_bar,
            }
        return _dump({"windows": windows, "tracks": parts})


class _Choice:
    """Which part of a file is to be read, as the query of `/encode` says."""

    def __init__(self, request: Request):
        query = request.query_params
        if unknown := sorted(set(query) - {"name", "track", "bar", "polyphony"}):
            raise RequestError(
                f"/encode takes name, track, bar, polyphony. Received: {unknown[0]}."
            )
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind in FORMS:
            raise RequestError(f"The body must be the bytes of a file. Received: {kind}.", 415)
        # For messages alone: nothing is written under it.
        self.name = os.path.basename(query.get("name", "").replace("\\", "/"))[:100] or "the file"
        self.tracks: Sequence[str] | None = query.getlist("track") or None
        self.bar = _as_bar(query.get("bar", "1"))
        self.polyphony = query.get("polyphony", reading.REFUSE)


def _as_bar(text: str) -> int:
    if text.isascii() and text.isdecimal() and len(text) <= MAX_DIGITS and int(text):
        return int(text)
    raise RequestError(f"bar must be a whole number from 1. Received: {text[:20]!r}.")


async def _work(
    request: Request, places: asyncio.Semaphore, answer: Callable[[], bytes]
) -> Response:
    """Answers in a thread, so that nothing else waits; some at a time, the others in their turn."""
    async with places:
        if await request.is_disconnected():  # Nobody waits any more: the page has moved on.
            raise ClientDisconnect
        return _answer(await run_in_threadpool(answer))


def _answer(body: bytes, status: int = 200) -> Response:
    return Response(body, status, media_type="application/json")


def _dump(content: Mapping[str, Any]) -> bytes:
    text = json.dumps(content, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "replace")  # Names of files may hold what is no text.


async def _refuse(request: Request, error: Exception) -> Response:
    del request
    assert isinstance(error, RequestError)
    answer = _answer(_dump({"error": str(error), **error.facts}), error.status)
    if error.status == 413:
        answer.headers["Connection"] = "close"  # The rest of the body will not be read.
    return answer


async def _refuse_address(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message = f"{request.method} {request.url.path}: {error.detail}."
    return Response(
        _dump({"error": message}),
        error.status_code,
        headers=error.headers,
        media_type="application/json",
    )
