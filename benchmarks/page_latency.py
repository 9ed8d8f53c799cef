#!/usr/bin/env python3
"""Times the page of `explore` in headless Chromium: from a drag to sound.

benchmarks/page_latency.py --models=mel_2bar,drums_2bar
benchmarks/page_latency.py --models=runs/mine --web=FOLDER    # that `export --formats=web` wrote

Prints for each model, in milliseconds: from the opening of the page to sound; from the press of the
pointer, where nothing plays, to sound; and from a move of the pointer, while music plays, until the
music of that very place is in the player, which sounds it from the next bar on. Medians and maxima.
"""

import functools
import http.server
import random
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

from absl import flags

from magenta_vae import commands

MODELS = flags.DEFINE_list("models", ["mel_2bar", "drums_2bar"], "Names or folders of models.")
WEB = flags.DEFINE_string("web", None, "A folder that `export --formats=web` wrote.")
BROWSER = flags.DEFINE_string("browser", None, "Chromium; the one on the path for none.")
NUM_DRAGS = flags.DEFINE_integer("num_drags", 20, "Presses and moves to time.", lower_bound=1)

SWITCHES = [
    *("--no-sandbox", "--disable-gpu", "--autoplay-policy=no-user-gesture-required"),
    "--disable-background-networking",
]
EXPLORE = Path(__file__).parents[1] / "scripts" / "explore"
SILENT, LOUD = -90, -50  # Decibels: what is taken for silence, and for sound.
TO_SOUND = """(LOUD) => new Promise((resolve) => {
    SEND
    const start = performance.now();
    const ask = () => (explorer.player.level() > LOUD ? resolve(performance.now() - start)
        : setTimeout(ask, 1));
    document.getElementById('pad').addEventListener('pointerdown', ask, { once: true });
    send('pointerdown', 0, 0);
    send('pointerup', 0, 0);
})"""
TO_MUSIC = """([x, y]) => new Promise((resolve) => {
    SEND
    const { decoding } = explorer;
    const show = decoding.onMusic;
    const start = performance.now();
    decoding.onMusic = (notes, where, tokens) => {
        show(notes, where, tokens);
        const now = explorer.state.where;
        if (!tokens || where.x !== now.x || where.y !== now.y) return;
        decoding.onMusic = show;
        resolve(performance.now() - start);
    };
    send('pointermove', x, y);
})"""
# A pointer at a place of the square, by events of the page: no browser is waited for.
SEND = """const send = (kind, x, y) => {
    const pad = document.getElementById('pad');
    const box = pad.getBoundingClientRect();
    const at = { clientX: box.left + (0.07 + 0.86 * x) * box.width,
        clientY: box.top + (0.07 + 0.86 * y) * box.height };
    pad.dispatchEvent(new PointerEvent(kind, { ...at, pointerId: 1, bubbles: true }));
};
"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files and says nothing of it."""

    def log_message(self, *arguments):
        pass


def main(_):
    program = BROWSER.value or shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        raise ValueError("--browser must name a Chromium: none is on the path.")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=SWITCHES)
        for model in MODELS.value:
            flag = "--run_dir" if "/" in model else "--model"
            server = subprocess.Popen(
                [sys.executable, str(EXPLORE), f"{flag}={model}", "--nobrowser"],
                stdout=subprocess.PIPE,
                text=True,
            )
            address = next(word for line in server.stdout for word in line.split() if "://" in word)
            report(model, measure(browser, address))
            server.terminate()
            server.wait()
        if WEB.value:
            handler = functools.partial(Quiet, directory=WEB.value)
            host = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
            threading.Thread(target=host.serve_forever, daemon=True).start()
            report(WEB.value, measure(browser, f"http://127.0.0.1:{host.server_port}/"))
            host.shutdown()
        browser.close()


def measure(browser, address):
    """Returns what was timed -> milliseconds of a page."""
    draws = random.Random(0)
    page = browser.new_page()
    start = time.perf_counter()
    page.goto(address)
    while not page.evaluate(f"globalThis.explorer && explorer.player.level() > {LOUD}"):
        page.wait_for_timeout(5)
    opened = 1000 * (time.perf_counter() - start)
    while not page.evaluate("explorer.pad.cells.every(Boolean)"):
        page.wait_for_timeout(20)
    pressed, moved = [], []
    page.evaluate("() => { document.getElementById('pad').setPointerCapture = () => {}; }")
    for _ in range(NUM_DRAGS.value):
        page.evaluate("explorer.player.isPlaying && explorer.toggle()")
        while page.evaluate(f"explorer.player.level() > {SILENT}"):
            page.wait_for_timeout(20)
        pressed.append(page.evaluate(TO_SOUND.replace("SEND", SEND), LOUD))
    page.evaluate(f"() => {{ {SEND} send('pointerdown', 0.5, 0.5); }}")
    for _ in range(NUM_DRAGS.value):
        page.wait_for_timeout(300)
        place = [0.1 + 0.8 * draws.random(), 0.1 + 0.8 * draws.random()]
        moved.append(page.evaluate(TO_MUSIC.replace("SEND", SEND), place))
    page.close()
    return {"opened, sound": [opened], "pressed, sound": pressed, "moved, music": moved}


def report(name, timed):
    """Prints the times of a page."""
    for what, milliseconds in timed.items():
        ordered = sorted(milliseconds)
        median, most = ordered[len(ordered) // 2], ordered[-1]
        print(f"{name:<24} {what:<18}median {median:6.0f} ms   max {most:6.0f} ms", flush=True)


if __name__ == "__main__":
    commands.run(main)
