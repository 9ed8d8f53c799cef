"""What the page is told of a run: its attributes, examples, and the windows of its map."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

from in_process import InProcess  # noqa: E402

from magenta_vae import configuration  # noqa: E402
from magenta_vae.data import workers  # noqa: E402
from magenta_vae.inference import attributes, latents  # noqa: E402
from magenta_vae.music.songs import SongError  # noqa: E402
from magenta_vae.serving import export as exporting  # noqa: E402
from magenta_vae.serving import runtimes  # noqa: E402
from magenta_vae.workflows import (  # noqa: E402
    datasets,
    explorer_server,
    exploring,
    exports,
    model_files,
    model_places,
    runs,
    training,
)

ROOT = Path(__file__).parents[2]
SONG = ROOT / "testdata" / "song-0000.mid"
QUIET = [
    *("media.Media.num_clips = 0", "media.Media.num_windows = 0"),
    *("media.Media.num_interpolation_steps = 0", "loop.train.show_every = 0"),
]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """A data set of six of the bundled songs."""
    folder = str(tmp_path_factory.mktemp("data") / "mel_2bar")
    files = sorted(map(str, SONG.parent.glob("*.mid")))[:6]
    bindings = ["builder.Settings.eval_fraction = 0.5"]
    experiment = configuration.parse(["mel_2bar.gin"], bindings).experiment
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workers, "Workers", InProcess)
        datasets.build_dataset(experiment, files, folder, num_workers=1)
    return folder


@pytest.fixture(scope="module")
def run_dir(data_dir, tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("runs") / "tiny")
    configured = configuration.parse(["mel_2bar.gin", "scale/tiny.gin"], QUIET)
    training.train(configured, folder, data_dir, 1)
    return folder


@pytest.fixture(scope="module")
def run(run_dir):
    return runs.open(run_dir)


@pytest.fixture
def moved(run_dir, tmp_path):
    """The run alone, whose data are nowhere."""
    folder = tmp_path / "moved"
    shutil.copytree(run_dir, folder)
    record = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**record, "data_dir": None}))
    return str(folder)


def test_a_map_shows_the_held_out_windows_of_the_run(run, data_dir):
    explored = exploring.explore(run)
    tokens = run.windows("eval")
    assert explored.what == f"{len(tokens)} held-out windows of {data_dir}"
    made = explored.make_map()
    assert made["what"] == explored.what
    assert len(made["windows"]) == len(tokens)
    assert all(window["song"].endswith(".mid") for window in made["windows"])
    assert re.fullmatch(r"bars \d+-\d+", made["windows"][0]["text"])
    known = run.provenance("eval", len(tokens))
    assert made["windows"][0]["song"] == known.paths[known.songs[0]]
    assert made["windows"][0]["text"].startswith(f"bars {known.bars[0] + 1}-")
    json.dumps(explored.facts, allow_nan=False)
    assert explored.make_map(lambda: True) == {}


def test_of_many_windows_some_are_shown_evenly(run, monkeypatch):
    monkeypatch.setattr(exploring, "NUM_ON_MAP", 5)
    tokens = run.windows("eval")
    explored = exploring.explore(run)
    assert explored.what.startswith(f"5 of {len(tokens):,} held-out windows of ")
    rows = np.linspace(0, len(tokens) - 1, 5).astype(int)
    np.testing.assert_array_equal(explored.windows.tokens, tokens[rows])


def test_a_map_shows_ones_own_music(run, tmp_path):
    lines = []
    shutil.copy(SONG, tmp_path)
    (tmp_path / "broken.mid").write_text("no music")
    explored = exploring.explore(run, music=[str(tmp_path)], report=lines.append)
    assert lines[0] == "left out 1 of 2 pieces:"
    songs = {window["song"] for window in explored.make_map()["windows"]}
    assert songs == {str(tmp_path / SONG.name)}
    assert f"windows of {tmp_path}" in explored.what
    (tmp_path / SONG.name).unlink()
    with pytest.raises(SongError, match="none of 1 pieces fits"):
        exploring.explore(run, music=[str(tmp_path)])
    with pytest.raises(FileNotFoundError, match="--input="):
        exploring.explore(run, music=["nowhere"])


def test_without_data_a_map_shows_samples(moved, data_dir):
    run = runs.open(moved)
    explored = exploring.explore(run)
    prior = explored.facts["priors"][0]
    assert explored.what.startswith(f"300 samples of --prior={prior}: --data_dir or --input shows")
    made = explored.make_map()
    assert made["windows"][7]["text"] == "sample 7 of seed 0"
    assert made["windows"][7]["song"] is None
    assert len(made["windows"]) == 300
    given = exploring.explore(run, data_dir)
    assert f"held-out windows of {data_dir}" in given.what
    with pytest.raises(FileNotFoundError):
        exploring.explore(run, "nowhere")


def test_too_few_windows_are_no_map(run, monkeypatch):
    few = latents.Windows(run.windows("eval")[:2])
    monkeypatch.setattr(runs.Run, "windows_of_songs", lambda *_: few)
    explored = exploring.explore(run)
    assert not explored.has_map
    assert explored.facts["can"] == {"encode": True, "map": False}
    why = explored.facts["why_not"]["map"]
    assert why.startswith("A map is of at least 3 windows. Received: 2 held-out windows of ")


def test_a_run_says_what_it_is(run):
    facts = exploring.explore(run).facts
    assert (facts["name"], facts["step"], facts["num_steps"]) == ("tiny", 1, 32)
    assert facts["attributes"] == [] and facts["max_points"] == 64
    assert [each["title"] for each in facts["examples"]][0] == "song-0000, bars 1-2"
    assert len(facts["examples"]) == exploring.NUM_EXAMPLES
    assert all(len(each["point"]) == 8 for each in facts["examples"])


def test_attribute_vectors_of_other_weights_are_left(run):
    learned = attributes.learn(run.model(), run.windows("train"), run_dir="x", step=1)
    effects = {name: attributes.Effect(1, 2, 1, 1) for name in ("note_density",)}
    learned = attributes.AttributeVectors(**{**vars(learned), "effects": effects})
    path = Path(run.folder) / model_files.VECTORS_FILE
    attributes.write(path, learned)
    told = {each["name"]: each for each in exploring.explore(run).facts["attributes"]}
    assert told["note_density"]["works"] is False
    assert told["pitch_range"]["works"] is True
    assert told["pitch_range"]["label"] == "pitch range"
    assert told["pitch_range"]["unit"] == "semitones"
    quartiles = learned.vectors["pitch_range"].quartiles
    assert told["pitch_range"]["spread"] == quartiles[3] - quartiles[1]
    np.testing.assert_array_equal(np.float32(told["pitch_range"]["vector"]), learned["pitch_range"])
    attributes.write(path, attributes.AttributeVectors(**{**vars(learned), "step": 2}))
    assert exploring.explore(run).facts["attributes"] == []
    path.unlink()


def test_a_published_model_shows_its_card():
    folder = model_places.find("drums_2bar")
    facts = exploring.explore(runs.open(folder)).facts
    card = model_files.read_card(folder)
    assert facts["name"] == "drums_2bar" and facts["description"] == card["description"]
    assert facts["licence"] == card["license"] and facts["attribution"] == card["attribution"]
    assert facts["priors"] == ["data", "standard"]
    assert len(facts["attributes"]) == 3
    assert facts["parameters"] == card["parameters"]


def test_a_baseline_has_nothing_to_explore():
    baseline = SimpleNamespace(network=SimpleNamespace(z_size=0))
    with pytest.raises(ValueError, match="Only a model with a latent space can be explored"):
        exploring.explore(baseline)


def test_a_page_without_a_server_is_told_the_same(run, tmp_path, monkeypatch):
    monkeypatch.setattr(exporting, "write_saved_model", lambda *_: None)
    monkeypatch.setattr(runtimes, "require_onnx", lambda: None)
    monkeypatch.setattr(runtimes, "convert_to_onnx", lambda *_: None)
    path = Path(exports.export(run, str(tmp_path), ["web"]))
    told = json.loads((path / "web" / "model" / "model.json").read_text())
    explored = exploring.explore(run)
    assert told.pop("can") == {"encode": False, "map": True}
    assert "`magenta_vae explore` opens the same page" in told.pop("why_not")["encode"]
    facts = json.loads(json.dumps(explored.facts))
    assert told == {name: facts[name] for name in told}
    assert json.loads((path / "web" / "model" / "map.json").read_text()) == explored.make_map()
    assert (path / "web" / "model" / "data_prior.json").is_file() == (explored.prior is not None)
    with pytest.raises(ValueError, match="The format web takes a site. Received: None."):
        exporting.write(run.network, run.settings.window_format, str(tmp_path), formats=["web"])


def test_an_address_that_is_taken_is_refused():
    with explorer_server.listen("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        assert explorer_server.address_of(listening) == f"http://127.0.0.1:{port}/"
        with pytest.raises(OSError, match=f"--host=127.0.0.1 --port={port} cannot be listened at"):
            explorer_server.listen("127.0.0.1", port)
    with pytest.raises(OSError, match="--host=no.such.host.invalid"):
        explorer_server.listen("no.such.host.invalid", 0)
    with explorer_server.listen("0.0.0.0", 0) as listening:
        assert explorer_server.address_of(listening).startswith("http://localhost:")


def test_missing_packages_are_asked_for(monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(ValueError, match=r"pip install 'magenta_vae\[explore\]'"):
        explorer_server.require_packages()


@pytest.mark.parametrize(
    "ending", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_the_command_serves_until_it_is_told_to_end(run_dir, ending):
    command = [sys.executable, ROOT / "scripts" / "explore", f"--run_dir={run_dir}", "--no-browser"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            line = next(line for line in process.stdout if "http://" in line)
            address = re.search(r"http://\S+", line)[0]
            with urllib.request.urlopen(address, timeout=30) as answer:
                assert b'id="setup"' in answer.read()
            with urllib.request.urlopen(f"{address}model", timeout=30) as answer:
                assert json.load(answer)["name"] == "tiny"
        finally:
            process.send_signal(ending)
            rest, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    assert rest.splitlines()[-1] == "the server has ended"
    assert "Traceback" not in errors
