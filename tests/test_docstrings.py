"""The examples of docstrings run, on the model of melodies that comes with the package."""

import ast
import contextlib
import doctest
import shutil
from pathlib import Path

import numpy as np
import pytest

import magenta_vae
from magenta_vae.inference import latents
from magenta_vae.model import autoregressor
from magenta_vae.workflows import runs

ROOT = Path(__file__).parents[1]
SONGS = {"a.mid": 3, "b.mid": 11, "song.mid": 9}


def find_examples():
    """Yields the module and the name of each docstring with an example, and its statements."""
    for path in sorted((ROOT / "magenta_vae").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                examples = doctest.DocTestParser().get_examples(ast.get_docstring(node) or "")
                if examples:
                    name = f"{path.stem}.{getattr(node, 'name', '')}"
                    yield pytest.param("".join(each.source for each in examples), id=name)


@pytest.fixture(scope="module")
def names():
    """What examples take for granted."""
    model = magenta_vae.load("mel_2bar")
    # A client has the methods of a model; what it asks of a server, its own tests try.
    client = contextlib.contextmanager(lambda address, name: iter([model]))
    return {
        "magenta_vae": magenta_vae,
        "model": model,
        "vae": runs.open(str(ROOT / "magenta_vae/models/mel_2bar")).network,
        "tokens": np.zeros([1, 32, 1], np.int32),
        "autoregressor": autoregressor,
        "latents": latents,
        "Client": client,
        "Excerpt": magenta_vae.Excerpt,
    }


@pytest.mark.parametrize("program", find_examples())
def test_an_example_runs(program, names, data_dirs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, number in SONGS.items():
        shutil.copy(ROOT / "testdata" / f"song-{number:04d}.mid", tmp_path / name)
    if "data/mine" in program:
        shutil.copytree(data_dirs["mel_2bar"], tmp_path / "data/mine")
    before = set(names)
    found = dict(names)
    exec(program, found)  # noqa: S102
    assert all(found[name] is not None for name in set(found) - before - {"__builtins__"})
