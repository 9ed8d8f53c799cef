"""What `docs/extending.md` says: its files and commands, in a folder outside the package."""

import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from magenta_vae.data import descriptions, vocabularies
from magenta_vae.data.settings import settings_of
from magenta_vae.music import tokens
from magenta_vae.music.described_vocabulary import DescribedVocabulary
from magenta_vae.serving.client import Client
from magenta_vae.serving.stand_in import serving

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "extending.md").read_text()
SONGS = sorted((ROOT / "testdata").glob("*.mid"))[:8]
# What makes the commands of the page small.
TINY = ["--gin_file=scale/tiny.gin", "--gin_param=my_parts.GRUDecoder.num_units=16"]
SMALL = {
    "build_dataset": ["--num_workers=1", "--gin_param=builder.Settings.eval_fraction=0.3"],
    "train": [*TINY, "--gin_param=builder.Settings.eval_fraction=0.3"],
    "sample": ["--num_samples=2"],
    "evaluate": ["--num_samples=8", "--json=figures.json"],
    "inspect_dataset": ["--json=inspected.json"],
}


def file_of_the_page(name):
    return re.search(rf"`{name}`:\n\n```\w*\n(.*?)```", PAGE, re.DOTALL)[1]


def commands_of_the_page():
    lines = re.search(r"```bash\n(.*?)```", PAGE, re.DOTALL)[1]
    lines = lines.replace("MIDI_FOLDER", "midi").replace("--max_steps=20000", "--max_steps=6")
    commands = [shlex.split(line) for line in lines.splitlines()]
    assert {first for first, *_ in commands} == {"magenta_vae"}
    return [[name, *flags, *SMALL.get(name, [])] for _, name, *flags in commands]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder of the page's files, after its commands; what they printed is `out.txt`."""
    folder = tmp_path_factory.mktemp("mine")
    for name in ("my_parts.py", "folded.gin"):
        (folder / name).write_text(file_of_the_page(name))
    (folder / "midi").mkdir()
    for song in SONGS:
        shutil.copy(song, folder / "midi")
    done = subprocess.run(
        [sys.executable, ROOT / "tests" / "command_lines.py", json.dumps(commands_of_the_page())],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (folder / "out.txt").write_text(done.stdout)
    return folder


@pytest.fixture(scope="module")
def own(folder):
    """The vocabulary of the page, as its gin file has it."""
    spec = importlib.util.spec_from_file_location("parts_of_the_page", folder / "my_parts.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # For its dataclass.
    spec.loader.exec_module(module)
    yield module.FoldedMelody(first_pitch=48, num_octaves=3)
    sys.modules.pop(spec.name)


@pytest.fixture(scope="module")
def client(folder):
    with (
        serving(str(folder / "served" / "folded"), "folded") as (rest, _),
        Client(rest, "folded", polyphony="highest") as client,
    ):
        yield client


def test_the_run_went_on_and_is_evaluated_as_it_was_trained(folder):
    out = (folder / "out.txt").read_text()
    assert "resumed at step 4 from runs/folded/checkpoints/step-4" in out
    figures = json.loads((folder / "figures.json").read_text())
    # The weights that were saved are those that were read, of the list of layers too.
    trained, evaluated = re.findall(r"step 6, .*?(loss .*? nats)", out, re.DOTALL)
    assert trained == evaluated
    assert 0 < figures["samples"]["tracks"]["melody"]["note_density"]["mean"]["held_out"] < 10


def test_the_commands_made_music(folder):
    assert len(list((folder / "out").glob("*.mid"))) == 2
    vectors = json.loads((folder / "attributes.json").read_text())
    assert "average_interval" in json.dumps(vectors)


def test_the_data_set_is_inspected_by_what_it_says(folder, own):
    settings = settings_of(descriptions.read(str(folder / "data" / "folded"))["settings"])
    (track,) = settings.tracks
    assert type(track) is DescribedVocabulary and track.vocabulary == "my_parts.FoldedMelody"
    inspected = json.loads((folder / "inspected.json").read_text())["train"]["tracks"]["melody"]
    assert len(inspected["tokens_per_class"]) == own.num_classes == 38
    assert 48 <= inspected["lowest_pitch"] < inspected["highest_pitch"] < 48 + 36
    assert inspected["notes_per_pitch"][48:84] == inspected["tokens_per_class"][:36]
    assert {path.suffix for path in (folder / "look").iterdir()} == {".png"}


def test_the_client_needs_no_class(client, own):
    assert "my_parts" not in sys.modules
    (track,) = client.tracks
    assert type(track) is DescribedVocabulary and track.num_classes == 38
    assert client.description["tracks"][0]["tokens"] == {
        "0 to 35": "a note begins: the MIDI pitch is the token +48",
        "36": "the note that sounds goes on",
        "37": "nothing sounds",
    }
    (music,) = client.sample(1)
    assert all(48 <= note.pitch < 84 for note in music.notes)
    np.testing.assert_array_equal(client.tokenize(music), tokens.tokenize(music, [own], 32)[None])
    assert client.encode(str(SONGS[0])).shape[1] == client.z_size


def test_the_description_reads_music_as_the_class_does(client, own):
    described = client.tracks[0]
    assert vocabularies.from_description(vocabularies.describe([own]))[0].onsets.tolist() == (
        own.onsets.tolist()
    )
    rng = np.random.default_rng(0)
    starts = np.sort(rng.integers(0, 60, 40)).astype(np.int32)
    lengths = rng.integers(1, 9, 40).astype(np.int32)
    notes = tokens.Notes(starts, starts + lengths, rng.integers(0, 128, 40).astype(np.int32))
    lines = [tokens.tokenize_notes(each, each.reduce(notes), 70) for each in (own, described)]
    np.testing.assert_array_equal(*lines)
    for mine, theirs in zip(own.detokenize(lines[0]), described.detokenize(lines[0]), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    np.testing.assert_array_equal(*(each.is_silent(lines[0]) for each in (own, described)))


def test_a_run_in_the_working_folder_brings_no_module_along(folder):
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "train", "--gin_file=runs/folded/config.gin"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "import my_parts is refused" in done.stderr
    assert "allow it by --allow_module=my_parts" in done.stderr
