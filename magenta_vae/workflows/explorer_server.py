"""The server of the page that plays a latent space, from its start until it is told to end."""

import contextlib
import ipaddress
import os
import signal
import socket
import sys
import threading
import webbrowser
from collections.abc import Callable, Iterator

import numpy as np

from magenta_vae import display
from magenta_vae.inference.generation import TrainedModel
from magenta_vae.inference.validation import TEMPERATURE
from magenta_vae.workflows import exploring
from magenta_vae.workflows.exploring import Explored

GRID = 49  # Points of the page's pad, 7 x 7, beside the one that is played.
SECONDS_TO_END = 5  # For answers that are under way when the server is to end.
MISSING = (
    "The page in the browser takes packages that are missing ({}): "
    "pip install 'magenta_vae[explore]'."
)


def require_packages() -> None:
    """Raises `ValueError` where the packages of the extra `explore` are not installed."""
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise ValueError(MISSING.format(error)) from error


def listen(host: str, port: int) -> socket.socket:
    """Returns a socket that listens at an address, a free port for 0; raises `OSError`."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        listening = socket.socket(family, kind, protocol)
        try:
            if os.name == "posix":
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            listening.listen()
        except OSError:
            listening.close()
            raise
    except (OSError, OverflowError, UnicodeError) as error:
        raise OSError(f"--host={host} --port={port} cannot be listened at: {error}") from error
    return listening


def serve(
    explored: Explored,
    listening: socket.socket,
    host: str,
    when_ready: Callable[[str], None],
    page: str | None = None,
) -> None:
    """Serves the page until the process is told to end, by Ctrl-C or SIGTERM.

    Args:
        explored: what it plays.
        listening: as `listen` returns it.
        host: the name or address that was asked for.
        when_ready: is given the address of the page, when it can be opened.
        page: the folder of the page; that of the package for None.
    """
    import uvicorn

    from magenta_vae.serving import explorer

    warm_up(explored.model)
    address = _address(listening)
    names = [str(address), *([socket.gethostname()] if address.is_unspecified else [])]
    app = explorer.make_app(
        explored.model,
        explored.facts,
        page or exploring.page_folder(),
        host,
        names,
        explored.make_map if explored.has_map else None,
    )
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
        timeout_graceful_shutdown=SECONDS_TO_END,
    )
    when_ready(address_of(listening))  # Whoever asks meanwhile waits for the server to accept.
    with display.hidden(), _signals_end_the_server():
        uvicorn.Server(config).run(sockets=[listening])


def address_of(listening: socket.socket) -> str:
    """Returns the address of the page, for a browser on this machine."""
    address, port = _address(listening), listening.getsockname()[1]
    if address.is_unspecified:
        return f"http://localhost:{port}/"
    return f"http://[{address}]:{port}/" if address.version == 6 else f"http://{address}:{port}/"


def is_alone(listening: socket.socket) -> bool:
    """Says whether nothing but this machine can ask what listens there."""
    return _address(listening).is_loopback


def open_browser(address: str) -> None:
    """Opens the page, where there is a browser; a slow one is not waited for."""
    names = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    if sys.platform.startswith("linux") and not any(map(os.environ.get, names)):
        return  # What is found then is a browser of text, which would take the terminal.
    threading.Thread(target=webbrowser.open, args=[address], daemon=True).start()


def warm_up(model: TrainedModel) -> None:
    """Builds the graphs of the first request: of a point, of the points of a grid, of music."""
    display.show("making the decoder ready")
    for num_points in (1, GRID):
        z, pairs = np.zeros([num_points, model.z_size]), np.zeros([num_points, 2], np.int64)
        tokens = model.decode_rows(z.astype(np.float32), TEMPERATURE, pairs)
    model.encode_tokens(tokens[:1])


def _address(listening: socket.socket) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Returns the address that a socket listens at."""
    return ipaddress.ip_address(listening.getsockname()[0].partition("%")[0])


@contextlib.contextmanager
def _signals_end_the_server() -> Iterator[None]:
    """Has Ctrl-C and SIGTERM end the server and nothing else.

    uvicorn ends at them, and raises them again at its end for whatever handled them before.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    kinds = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(kind, lambda *_: None) for kind in kinds]
    try:
        yield
    finally:
        for kind, handler in zip(kinds, before, strict=True):
            signal.signal(kind, handler)
