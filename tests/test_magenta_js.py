"""Exports in @magenta/music itself, unmodified: in Node, and in a page of headless Chromium."""

import functools
import hashlib
import http.server
import json
import os
import queue
import re
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path

import javascript_models
import numpy as np
import pytest
import tensorflow as tf
from javascript_models import MODELS, Written

from magenta_vae import files
from magenta_vae.magenta.vocabulary import hit_rolls
from magenta_vae.model import autoregressor
from magenta_vae.music import tokens as music_tokens
from magenta_vae.serving import javascript
from magenta_vae.workflows import exports, model_places, runs

HERE = Path(__file__).parent
SOURCE = HERE / "javascript"
PAGE = HERE.parent / "docs" / "magenta_js.md"
SHIPPED = ("mel_2bar", "drums_2bar", "mel_16bar")
COMPARED = ("melody", "melody_of_90", "drums", "long_melody", "trio")
QUANTIZED = [f"{name}/{size}" for name in COMPARED for size in (1, 2)]
ALWAYS = ("melody", "drums", "long_melody")  # In any form; the others take minutes with these.
SHORT = SHIPPED[:2]
CASES = [*MODELS, *QUANTIZED, *SHIPPED]
QUICK = [name for name in CASES if name.partition("/")[0] in (*ALWAYS, *SHORT)]
THOROUGH = [name for name in CASES if name not in QUICK]
OFFLINE = re.compile(r"ENOTFOUND|EAI_AGAIN|ETIMEDOUT|ECONNREFUSED|ECONNRESET|ENETUNREACH|network")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)


@pytest.fixture(scope="session")
def node_modules():
    """A folder with @magenta/music, installed once: 260 MB that later sessions find again."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("There is no Node with npm.")
    package = SOURCE / "package.json"
    digest = hashlib.sha256(package.read_bytes()).hexdigest()[:12]
    folder = Path(tempfile.gettempdir()) / f"magenta_vae-node-{os.getuid()}-{digest}"
    if not folder.is_dir():
        with files.staging(tempfile.gettempdir()) as beside:
            shutil.copy(package, beside)
            command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts"]
            done = subprocess.run(command, cwd=beside, capture_output=True, text=True)
            if done.returncode and OFFLINE.search(done.stderr):
                pytest.skip(f"npm reaches no registry: {done.stderr[-200:]}")
            assert done.returncode == 0, done.stderr
            os.rename(beside, folder)
    return folder


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    """Name of a model that comes with the package -> the model, exported as `export` does."""

    @functools.cache
    def export(name):
        run = runs.open(model_places.find(name))
        folder = str(tmp_path_factory.mktemp("served") / name)
        path = exports.export(run, folder, ["magenta_js"])
        return Written(run.network, run.configured, f"{path}/magenta_js")

    return export


@pytest.fixture(scope="module")
def quick(node_modules, shipped, tmp_path_factory):
    return compute(QUICK, node_modules, shipped, tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def thorough(node_modules, shipped, tmp_path_factory):
    return compute(THOROUGH, node_modules, shipped, tmp_path_factory.mktemp("models"))


def compute(names, node_modules, shipped, folder):
    """Returns each model, what it was given, and what @magenta/music made: one run of Node."""
    cases, written = [], {}
    for name in names:
        if name in SHIPPED:
            one = shipped(name)
        else:
            kind, _, size = name.partition("/")
            place = str(folder / name.replace("/", "-"))
            one = javascript_models.write(kind, place, int(size or 0) or None)
        written[name] = one, case_of(one)
        cases.append(written[name][1])
    (folder / "cases.json").write_text(json.dumps(cases))
    command = ["node", SOURCE / "run_models.js", folder / "cases.json", folder / "results.json"]
    done = subprocess.run(command, cwd=node_modules, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    results = json.loads((folder / "results.json").read_text())
    pairs = zip(written.items(), results, strict=True)
    return {name: (*given, result) for (name, given), result in pairs}


@pytest.fixture(params=[*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in THOROUGH)])
def case(request):
    name = request.param
    return request.getfixturevalue("quick" if name in QUICK else "thorough")[name]


def case_of(written):
    """Returns what Node is given: z, tokens in its classes, and notes."""
    window_format = written.window_format
    z = np.random.default_rng(3).normal(size=(3, written.model.z_size)).astype(np.float32)
    tokens = javascript_models.draw_tokens(window_format)
    given = {
        "folder": written.folder,
        "z": z.tolist(),
        "tokens": written.theirs(tokens).tolist(),
        "depths": list(window_format.num_classes),
        "notes_of": (line := draw_line(window_format)).tolist(),
        "sequence": sequence_of(window_format, line),
    }
    if reads_hits(written):
        (roll,) = hit_rolls(window_format.tracks)
        given["rows"] = roll[tokens[..., 0]].tolist()
    return given


def draw_line(window_format):
    """Returns tokens with notes and rests that last, int [steps, tracks]."""
    tokens = javascript_models.draw_tokens(window_format)[0]
    kinds = np.random.default_rng(5).choice(3, size=tokens.shape, p=[0.3, 0.4, 0.3])
    for index, track in enumerate(window_format.tracks):
        column = tokens[:, index]
        column[kinds[:, index] == 1] = track.sustain
        column[kinds[:, index] == 2] = track.release
    return window_format.tokenize(window_format.detokenize(tokens))


def reads_hits(written):
    return written.model.encoder.get_config().get("features") is not None


def sequence_of(window_format, tokens):
    """Returns the notes of tokens as @magenta/music takes them."""
    notes = [
        {
            "pitch": note.pitch,
            "quantizedStartStep": note.quantized_start_step,
            "quantizedEndStep": note.quantized_end_step,
            "isDrum": note.is_drum,
            "program": note.program,
        }
        for note in window_format.detokenize(tokens).notes
    ]
    steps = window_format.num_steps
    return {
        "notes": notes,
        "totalQuantizedSteps": steps,
        "quantizationInfo": {"stepsPerQuarter": 4},
        "tempos": [{"qpm": 120}],
    }


def greedy(written, z):
    return written.model.sample(tf.constant(z, tf.float32), autoregressor.greedy).numpy()


def test_mu(case):
    written, given, result = case
    mu, _ = javascript_models.encode(written.model, written.ours(given["tokens"]))
    np.testing.assert_allclose(result["mu"], mu, atol=2e-5)


def test_greedy_tokens(case):
    written, given, result = case
    expected = greedy(written, given["z"])
    np.testing.assert_array_equal(written.ours(result["greedy"]), expected)
    assert len(np.unique(expected)) > 4


def test_interpolation_goes_straight_from_mu_to_mu(case):
    written, given, result = case
    (start, end), _ = javascript_models.encode(written.model, written.ours(given["tokens"]))
    between = greedy(written, [start, (start + end) / 2, end])
    np.testing.assert_array_equal(written.ours(result["interpolated"]), between)


def test_samples_of_the_prior(case):
    written, _, result = case
    expected = greedy(written, result["sampled_z"])
    np.testing.assert_array_equal(written.ours(result["sampled"]), expected)
    assert np.std(result["sampled_z"]) == pytest.approx(1, abs=0.6)


def test_samples_at_a_temperature_are_as_likely_as_they_should_be(case):
    """Their surprise is the entropy of each step, but for chance."""
    written, given, result = case
    tokens = written.ours(result["at_temperature"])
    logits = written.model.decode(
        tf.constant(given["z"], tf.float32), tf.constant(tokens, tf.int32)
    )
    excess = []
    for track, values in enumerate(logits):
        log_p = tf.nn.log_softmax(values).numpy()
        entropy = -np.sum(np.exp(log_p) * log_p, axis=-1)
        surprise = -np.take_along_axis(log_p, tokens[..., track, None], axis=-1)[..., 0]
        excess.append((surprise - entropy).ravel())
    excess = np.concatenate(excess)
    assert abs(excess.mean()) < 5 * excess.std() / np.sqrt(excess.size) + 1e-3


def test_decoded_notes(case):
    written, given, result = case
    for tokens, notes in zip(greedy(written, given["z"]), result["notes"], strict=True):
        expected = [
            [note.instrument, note.quantized_start_step, note.quantized_end_step, note.pitch]
            for note in written.window_format.detokenize(tokens).notes
        ]
        assert sorted(notes) == sorted(expected)


def test_encoded_notes_differ_where_the_card_says(case):
    written, given, result = case
    tokens, window_format = np.array(given["notes_of"]), written.window_format
    if reads_hits(written):
        (roll,) = hit_rolls(window_format.tracks)
        rows = roll[tokens[:, 0]]
        rows[:, -1] = np.append(rows[1:, -1], 0)  # one step early
        np.testing.assert_array_equal(result["encoded_notes"], rows)
        return
    found = written.ours(result["encoded_notes"])[0]
    for index, track in enumerate(window_format.tracks):
        differs = found[:, index] != tokens[:, index]
        assert set(tokens[differs, index]) <= {track.rest}
        assert set(found[differs, index]) <= {track.sustain}
        assert differs.any() == (not track.is_drum and track.rest != track.sustain)


class Visitor(http.server.SimpleHTTPRequestHandler):
    """Serves a folder, and puts into `told` what a page posts."""

    told: queue.Queue

    def do_POST(self):
        self.told.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


PROBE = """
<script>
  const tell = what => fetch('/told', {method: 'POST', body: JSON.stringify(what)});
  window.onerror = message => tell({error: message});
  window.onunhandledrejection = event => tell({error: String(event.reason)});
  player.callbackObject = {run: note => tell({pitch: note.pitch}), stop: () => tell({end: true})};
  document.querySelector('button').click();
</script>
"""


@pytest.mark.parametrize("name", [SHIPPED[0], pytest.param(SHIPPED[1], marks=pytest.mark.slow)])
def test_the_page_of_the_documentation_plays_in_chromium(name, node_modules, shipped, tmp_path):
    if CHROMIUM is None:
        pytest.skip("There is no Chromium.")
    (page,) = re.findall(r"```html\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(page.splitlines()) <= 10
    assert javascript.SCRIPT in page
    shutil.copytree(shipped(name).folder, tmp_path / "magenta_js")
    (tmp_path / "node").symlink_to(node_modules / "node_modules" / "@magenta" / "music")
    local = page.replace(javascript.SCRIPT, "node/dist/magentamusic.js")
    (tmp_path / "page.html").write_text(local + PROBE)
    handler = functools.partial(Visitor, directory=str(tmp_path))
    Visitor.told = queue.Queue()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser = subprocess.Popen(
            [
                *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--mute-audio"),
                *("--disable-background-networking", f"--user-data-dir={tmp_path / 'profile'}"),
                "--autoplay-policy=no-user-gesture-required",  # The click is no person's.
                f"http://127.0.0.1:{server.server_address[1]}/page.html",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            first = Visitor.told.get(timeout=120)
        finally:
            browser.kill()
            browser.wait()
            server.shutdown()
    assert "error" not in first, first
    kinds = {pitches[0] for pitches in music_tokens.Drums.hit_pitches}
    assert first["pitch"] in (kinds if "drums" in name else range(128))
