"""Published models: written whole, opened like runs, their files vouched for, found and fetched."""

import base64
import functools
import json
import os
import shutil
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from unittest.mock import Mock
from urllib.error import URLError

import numpy as np
import pytest
from safetensors.numpy import load_file, save

import magenta_vae
from magenta_vae import configuration
from magenta_vae.training import published_weights
from magenta_vae.workflows import (
    attributes,
    datasets,
    exploring,
    model_files,
    model_places,
    next_steps,
    publishing,
    run_files,
    runs,
    training,
)

BINDINGS = ["configuration.Experiment.eval_examples = 16", "loop.train.checkpoint_every = 1"]
SOURCES = ["Songs that were composed for tests, Apache-2.0"]


@pytest.fixture(scope="module")
def trained(data_dirs, tmp_path_factory):
    """The folder of a run of two steps."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    configured = configuration.parse(["mel_2bar.gin", "scale/tiny.gin"], BINDINGS)
    training.train(configured, str(folder), data_dirs["mel_2bar"], 2)
    return folder


@pytest.fixture(scope="module")
def as_published(trained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("published") / "tiny"
    run = runs.open(str(trained))
    publishing.publish(run, str(folder), "tiny", "Songs of tests", "CC0-1.0", SOURCES)
    return folder


@pytest.fixture
def published(as_published, tmp_path):
    return Path(shutil.copytree(as_published, tmp_path / "tiny"))


@pytest.fixture
def shipped(published, monkeypatch):
    """Has `tiny` be the model that comes with the package."""
    monkeypatch.setattr(model_places, "bundled", lambda name: published.parent)
    return published


def test_the_weights_are_the_nearest_of_float16(trained, published):
    of_run, of_model = runs.open(str(trained)), runs.open(str(published))
    arrays = load_file(published / published_weights.FILE)
    assert len(arrays) == len(of_run.network.variables)
    for ours, theirs in zip(of_run.network.variables, of_model.network.variables, strict=True):
        rounded = np.asarray(ours).astype(np.float16)
        assert arrays[ours.path].dtype == np.float16
        np.testing.assert_array_equal(arrays[ours.path], rounded)
        np.testing.assert_array_equal(np.asarray(theirs), rounded.astype(np.float32))
    assert of_model.step == of_run.step == 2


def test_its_figures_are_printed_again(published, data_dirs):
    run = runs.open(str(published))
    card = model_files.read_card(str(published))
    windows = run.windows("eval", data_dirs["mel_2bar"])
    again = run.metrics(windows)
    assert again["tracks"] == card["figures"]["tracks"] == run.kept_figures()["tracks"]
    assert len(run.training_windows(data_dirs["mel_2bar"])) == again["data_prior"]["num_windows"]
    assert card["figures"]["samples"]["prior"] == "standard"
    assert card["figures"]["samples_of_data_prior"]["prior"] == "data"
    (stage,) = card["stages"]
    assert (stage["config"], stage["step"]) == ("config.gin", 2) and stage["seconds"] > 0
    assert (card["license"], card["attribution"]) == ("CC0-1.0", SOURCES)


def test_the_stages_of_its_training_are_told(trained, data_dirs, tmp_path):
    configured = configuration.parse([str(trained / "config.gin")], ["batch_size = 8"])
    second, third = (str(tmp_path / name) for name in ("second", "third"))
    for folder, before in ((second, trained), (third, second)):
        origin = run_files.Origin(str(before))
        training.train(configured, folder, data_dirs["mel_2bar"], 1, origin=origin)
    card = publishing.publish(runs.open(third), str(tmp_path / "model"), "staged", "Songs")
    assert card["figures"]["data_prior"]["num_gaussians"] > 1
    stages = [(stage["config"], stage["step"]) for stage in card["stages"]]
    assert stages == [("stage-1.gin", 2), ("stage-2.gin", 1), ("config.gin", 1)]
    for name, folder in (("stage-1.gin", trained), ("stage-2.gin", Path(second))):
        written = (tmp_path / "model" / name).read_bytes()
        assert written == (folder / "config.gin").read_bytes()
    text = (tmp_path / "model" / "README.md").read_text()
    assert "--gin_file=stage-2.gin --data_dir=DATA2 --run_dir=RUN2 --init_from=RUN1" in text
    assert runs.open(str(tmp_path / "model")).step == 1
    # A later model of the same name goes on from this one, and takes only some of its weights.
    origin = run_files.Origin(str(tmp_path / "model"), partial=True)
    later = str(tmp_path / "later")
    training.train(configured, later, data_dirs["mel_2bar"], 2, origin=origin)
    again = str(tmp_path / "again")
    card = publishing.publish(runs.open(later), again, "staged", "Songs", num_gaussians=1)
    assert card["figures"]["data_prior"]["num_gaussians"] == 1
    told = [(stage["config"], stage["step"], "partial" in stage) for stage in card["stages"]]
    names = ["stage-1.gin", "stage-2.gin", "stage-3.gin", "config.gin"]
    assert told == [*zip(names, [2, 1, 1, 2], [False, False, False, True], strict=True)]
    written = (tmp_path / "again" / "stage-3.gin").read_bytes()
    assert written == Path(third, "config.gin").read_bytes()
    text = (tmp_path / "again" / "README.md").read_text()
    assert "--run_dir=RUN4 --init_from=RUN3 --init_partial --max_steps=2" in text


def test_it_makes_music_with_all_that_lies_beside(published):
    model = magenta_vae.load(str(published))
    assert len(model.sample(2, prior="data")) == 2
    run, lines = runs.open(str(published)), []
    vectors = attributes.shipped_with(run)
    name = next(iter(json.loads(Path(vectors).read_text())["vectors"]))
    music = model.sample(1, temperature=1.0)
    changed = attributes.apply(run, vectors, name, music, report=lines.append, pad=True)
    assert len(changed) == 1 and not any(line.startswith("note: ") for line in lines)


def test_the_page_maps_its_held_out_songs_without_the_data(published):
    explored = exploring.explore(runs.open(str(published)))
    made = explored.make_map()
    assert explored.has_map and made["what"].endswith("of the music that it was trained on")
    assert all(window["song"].startswith("song-") for window in made["windows"])
    z = np.frombuffer(base64.b64decode(made["points"]), "<f4").reshape(len(made["windows"]), -1)
    assert z.shape[1] == explored.model.z_size and 3 <= len(z) <= exploring.NUM_KEPT


def test_its_card_is_for_people_and_for_the_hub(published):
    text = (published / model_files.README_FILE).read_text()
    assert text.startswith('---\nlicense: "cc0-1.0"\n')
    for part in ("# tiny", "Songs of tests", f"- {SOURCES[0]}", "## Limits", "notes right"):
        assert part in text
    assert "`--prior=data`: " in text


def test_nothing_is_said_of_the_machine(trained, published):
    for path in published.iterdir():
        assert str(trained.parent).encode() not in path.read_bytes(), path.name


@pytest.mark.parametrize("name", [published_weights.FILE, "config.gin", "data_prior.json"])
def test_a_changed_file_is_named(published, name):
    path = published / name
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(ValueError, match=f"{path} is damaged or was changed: its SHA-256 is"):
        runs.open(str(published))
    path.unlink()
    with pytest.raises(FileNotFoundError, match=f"{path} is missing: card.json beside it names it"):
        magenta_vae.load(str(published))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "is of format 2; this version reads 1"),
        ({"files": {"../evil": "0"}}, r"It names \.\./evil"),
        ({"figures": []}, "figures must be dict"),
        ({"figures": {}}, r"card\.json: figures is damaged, it holds no tracks"),
        (
            {"figures": {"tracks": {"melody": {}}}},
            "melody is damaged, it holds no reconst",
        ),
        ({"attribution_of_origin": [3]}, "its attribution and the SHA-256 must be texts"),
    ],
)
def test_a_card_that_is_none_is_refused(published, change, message):
    path = published / model_files.CARD_FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ValueError, match=message):
        runs.open(str(published))


def test_a_damaged_card_leaves_the_other_models_in_the_table(shipped):
    shutil.copytree(shipped, shipped.parent / "worse")
    (shipped.parent / "worse" / "card.json").write_text('{"format": 1}')
    table = model_places.format_shipped().splitlines()
    assert "Songs of tests" in table[1] and "card.json is damaged, it holds no name" in table[2]


def test_a_file_that_the_card_does_not_name_is_not_read(published):
    card = json.loads((published / model_files.CARD_FILE).read_text())
    del card["files"]["data_prior.json"]
    (published / model_files.CARD_FILE).write_text(json.dumps(card))
    with pytest.raises(ValueError, match=r"data_prior\.json is no file of the model"):
        runs.open(str(published))


def test_weights_without_a_card_are_refused(published, data_dirs, tmp_path):
    (published / model_files.CARD_FILE).unlink()
    with pytest.raises(FileNotFoundError, match=r"card\.json is missing: it says what the files"):
        runs.open(str(published))


def test_a_run_does_not_start_from_damaged_weights(published, data_dirs, tmp_path):
    path = published / published_weights.FILE
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    configured = configuration.parse([str(published / "config.gin")])
    folder, origin = str(tmp_path / "run"), run_files.Origin(str(published))
    with pytest.raises(ValueError, match=r"weights\.safetensors is damaged or was changed"):
        training.train(configured, folder, data_dirs["mel_2bar"], 1, origin=origin)


@pytest.mark.parametrize("number", [np.float16(np.nan), np.float32(0)])
def test_numbers_that_are_no_weights_are_named(number, tmp_path):
    path = tmp_path / published_weights.FILE
    path.write_bytes(save({"kernel": np.full([2], number)}, {"format": "1", "step": "2"}))
    with pytest.raises(ValueError, match="kernel must be finite numbers in float16"):
        published_weights.read(str(path))


def test_weights_that_are_none_are_named(published, tmp_path):
    path = tmp_path / published_weights.FILE
    for content in (b"", b"\xff" * 64, (published / path.name).read_bytes()[:-100]):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=f"{path} is damaged"):
            published_weights.read_step(path)
            published_weights.read(str(path))


def test_a_weight_beyond_float16_is_named(trained, tmp_path):
    network = runs.open(str(trained)).network
    network.variables[0].assign(np.full(network.variables[0].shape, 1e5))
    with pytest.raises(ValueError, match="encoder/forward/kernel holds 100000, which float16 does"):
        published_weights.write(str(tmp_path / "w"), network, 1)
    assert not os.listdir(tmp_path)


def test_one_checkpoint_is_there(published):
    assert runs.open(str(published), "best").step == runs.open(str(published), "2").step == 2
    with pytest.raises(FileNotFoundError, match="must be latest, best or 2: .* Received: 1"):
        runs.open(str(published), "1").step  # noqa: B018


def test_without_data_the_way_to_some_is_told(published):
    with pytest.raises(ValueError, match=f"--data_dir is needed: {published} comes without data"):
        runs.open(str(published)).windows("eval")


def test_what_is_there_is_never_overwritten(trained, published):
    before = sorted(os.listdir(published))
    with pytest.raises(FileExistsError, match="is not an empty folder"):
        publishing.publish(runs.open(str(trained)), str(published), "tiny", "Songs")
    assert sorted(os.listdir(published)) == before


def test_a_training_leaves_it_alone(published, data_dirs):
    before = {path: path.read_bytes() for path in published.iterdir()}
    with pytest.raises(ValueError, match="holds a published model.*--init_from"):
        training.train(runs.open(str(published)).configured, str(published), data_dirs["mel_2bar"])
    assert {path: path.read_bytes() for path in published.iterdir()} == before


def test_the_working_directory_and_empty_words_are_refused(trained, tmp_path, monkeypatch):
    run = runs.open(str(trained))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(ValueError, match="--output_dir is the working directory"):
        publishing.publish(run, ".", "tiny", "Songs")
    with pytest.raises(ValueError, match="temperature must be finite and above 0"):
        publishing.publish(run, "there", "tiny", "Songs", temperature=0)
    with pytest.raises(ValueError, match="spread must be above 0 and at most 1. Received: 2"):
        publishing.publish(run, "there", "tiny", "Songs", spread=2)
    with pytest.raises(ValueError, match="--description must say something. Received: ' '"):
        publishing.publish(run, "there", "tiny", " ")
    assert Path.cwd().is_dir() and not os.listdir()


def test_other_data_than_the_runs_own_are_refused(trained, data_dirs, tmp_path):
    other = str(tmp_path / "other")
    settings = configuration.parse(["mel_2bar.gin"]).experiment
    songs = str(configuration.bundled("testdata"))
    datasets.build_dataset(settings, [f"{songs}/song-00[0-2]*.mid"], other, num_workers=1)
    with pytest.raises(ValueError, match=f"--data_dir={other} is not the data set that the run"):
        publishing.publish(
            runs.open(str(trained)), str(tmp_path / "m"), "m", "Songs", None, (), other
        )
    assert not (tmp_path / "m").exists()


@pytest.mark.slow
def test_what_goes_on_from_a_model_carries_its_license(published, data_dirs, tmp_path):
    configured = configuration.parse([str(published / "config.gin"), "variants/fine_tuning.gin"])
    folder, data_dir = str(tmp_path / "tuned"), data_dirs["mel_2bar"]
    training.train(configured, folder, data_dir, 1, origin=run_files.Origin(str(published)))
    sources = {1: (["More"], SOURCES), 2: ([*SOURCES, "More"], None)}  # Tuned, the model itself.
    for run in (runs.open(folder), runs.open(str(published))):
        target = str(tmp_path / f"again-{run.step}")
        card = publishing.publish(run, target, "again", "Songs", None, ["More"], data_dir)
        found = card["attribution"], card.get("attribution_of_origin")
        assert card["license"] == "CC0-1.0" and found == sources[run.step]
    tuned = model_files.read_card(str(tmp_path / "again-1"))
    text = (tmp_path / "again-1" / "README.md").read_text()
    assert text.index("- More") < text.index("had learnt from") < text.index(f"- {SOURCES[0]}")
    facts = exploring.explore(runs.open(str(tmp_path / "again-1")), data_dir).facts
    assert facts["attribution"] == ["More", *SOURCES]
    assert [stage.get("model") for stage in tuned["stages"]] == ["tiny", None]
    assert "--init_from=tiny" in (tmp_path / "again-1" / "README.md").read_text()


def test_a_name_goes_where_a_run_goes(shipped, data_dirs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path / "..")
    assert list(model_places.shipped()) == ["tiny"]
    by_name, by_folder = (
        [each.SerializeToString() for each in magenta_vae.load(place).sample(2, seed=3)]
        for place in ("tiny", str(shipped))
    )
    assert by_name == by_folder
    table = model_places.format_shipped()
    assert "tiny" in table and "CC0-1.0" in table and "Songs of tests" in table
    assert "sample --model=tiny" in next_steps.after_models(["tiny"])
    with pytest.raises(FileNotFoundError, match=r"are tiny\. The nearest is tiny\."):
        magenta_vae.load("tinny")


def test_a_run_in_a_folder_of_a_models_name_is_nearer(shipped, trained, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert model_places.find("tiny") == str(shipped) and model_places.is_name("tiny")
    shutil.copytree(trained, "tiny")
    assert model_places.find("tiny") == "tiny" and not model_places.is_name("tiny")


def test_a_run_starts_from_a_name_and_goes_on(shipped, data_dirs, tmp_path):
    configured = configuration.parse([str(shipped / "config.gin")])
    lines: list[str] = []
    folder, origin = str(tmp_path / "tuned"), run_files.Origin("tiny")
    training.train(configured, folder, data_dirs["mel_2bar"], 1, report=lines.append, origin=origin)
    assert any("18 of 18 weights are those of" in line for line in lines)
    recorded = run_files.read_record(folder)["origin"]
    assert recorded["run_dir"] == "tiny" and recorded["step"] == 2
    training.train(configured, folder, data_dirs["mel_2bar"], 2, origin=origin)
    assert runs.open(folder).step == 2


@pytest.fixture
def served(published):
    """The address of a server of the published model."""
    handler = functools.partial(SimpleHTTPRequestHandler, directory=published.parent)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/tiny"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_model_is_fetched_once(served, published, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = model_places.find(served)
    assert folder.startswith(str(tmp_path / "cache")) and runs.open(folder).step == 2
    assert model_places.label(served) == "tiny"
    for name in (*model_files.REQUIRED, *model_files.OPTIONAL):  # The card alone is asked for.
        (published / name).unlink(missing_ok=True)
    assert model_places.find(served) == folder


def test_what_is_kept_damaged_is_fetched_again(served, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = Path(model_places.find(served))
    (folder / "config.gin").write_text("nothing")
    assert runs.open(model_places.find(served)).step == 2


def test_a_model_that_was_fetched_opens_without_a_network(
    served, published, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    first = model_places.find(served)
    described = (published / "card.json").read_text()
    (published / "card.json").write_text(described + "\n")
    second = model_places.find(served)
    (published / "card.json").write_text(described)
    assert first != second and model_places.find(served) == first
    with monkeypatch.context() as context:
        context.setattr(model_places.urllib.request, "urlopen", Mock(side_effect=URLError("off")))
        assert model_places.find(served) == first
        with pytest.raises(OSError, match=r"none/card\.json cannot be fetched: .*off"):
            model_places.find(f"{served}/none")
        (Path(first) / "config.gin").write_text("nothing")
        with pytest.raises(ValueError, match=r"config\.gin is damaged or was changed"):
            model_places.find(served)
    assert "off>. The model is the one that was fetched before." in capsys.readouterr().err
    (published / "card.json").unlink()
    with pytest.raises(OSError, match="HTTP Error 404"):  # The server says that it is gone.
        model_places.find(served)


def test_another_process_may_fetch_the_same_model(served, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    rename, fetched = os.replace, []

    def later(source, target):
        """Renames after somebody else has done the same."""
        fetched.append(target)
        shutil.copytree(source, target)
        rename(source, target)

    monkeypatch.setattr(model_places.os, "replace", later)
    assert runs.open(model_places.find(served)).step == 2
    assert len(fetched) == 1 and os.listdir(os.path.dirname(fetched[0])) == [
        os.path.basename(fetched[0])
    ]


def test_what_is_fetched_damaged_is_not_kept(served, published, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with open(published / published_weights.FILE, "ab") as file:
        file.write(b"more")
    with pytest.raises(ValueError, match=r"weights\.safetensors is damaged or was changed"):
        model_places.find(served)
    assert not (tmp_path / "cache").exists()
    with pytest.raises(OSError, match="/none/card.json cannot be fetched: HTTP Error 404"):
        model_places.find(f"{served}/none")


def test_addresses_that_are_none_are_refused():
    for address in ("ftp://x", "https:///x"):
        with pytest.raises(ValueError, match=rf"or https://HOST/FOLDER\. Received: {address}"):
            model_places.find(address)
    with pytest.raises(ValueError, match=r"hf://OWNER/REPOSITORY\[/FOLDER\]"):
        model_places.find("hf://owner")


def test_a_model_of_the_hub(as_published, tmp_path, monkeypatch):
    import huggingface_hub

    asked = {}

    def snapshot(repository, revision, allow_patterns):
        asked.update(repository=repository, revision=revision, patterns=allow_patterns)
        shutil.copytree(as_published, tmp_path / "kept" / "sub" / "tiny")
        return str(tmp_path / "kept")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    folder = model_places.find("hf://me/music/sub/tiny@v1")
    assert folder == str(tmp_path / "kept" / "sub" / "tiny") and runs.open(folder).step == 2
    assert (asked["repository"], asked["revision"]) == ("me/music", "v1")
    assert "sub/tiny/weights.safetensors" in asked["patterns"]
    assert model_places.label("hf://me/music/sub/tiny@v1") == "tiny"


@pytest.mark.parametrize("z_size, expected", [(32, 64), (128, 64), (256, 16), (512, 4), (4096, 1)])
def test_large_latent_spaces_have_fewer_gaussians(z_size, expected):
    assert publishing._count_gaussians(z_size) == expected
