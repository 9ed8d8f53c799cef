"""Headless Chromium for tests of pages: real windows, clicks, files and sound."""

import shutil
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

SECONDS = 30
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
SWITCHES = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--autoplay-policy=no-user-gesture-required",
)


def find():
    """Returns the path of a browser, None where there is none."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


def start():
    """Yields a browser; skips the test where there is none."""
    program = find()
    if program is None:
        pytest.skip(f"no {', '.join(PROGRAMS)} on this machine")
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=SWITCHES)
        yield browser
        browser.close()


def until(page, expression, argument=None):
    """Waits until an expression is true. By asking: pages refuse to evaluate what waits in them."""
    end = time.monotonic() + SECONDS
    while not (answer := page.evaluate(expression, argument)):
        assert time.monotonic() < end, f"never true: {expression}\n{page.inner_text('body')[:500]}"
        page.wait_for_timeout(20)
    return answer


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and says nothing of it."""

    def log_message(self, *arguments):
        pass


def host(folder):
    """Yields the address of a static host of a folder."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
