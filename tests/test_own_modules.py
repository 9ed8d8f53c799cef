"""Modules of one's own that gin files import: where they are found, and why they are not."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from magenta_vae import configuration

OWN = f"own_parts_{os.getpid()}"
ROOT = Path(__file__).parents[1]
LOADING = """
import os, sys
sys.path.append(sys.argv[1])
assert not {"", os.getcwd()} & set(sys.path)
import magenta_vae
model = magenta_vae.load("run", modules=["my_parts"])
assert model.decode_tokens(model.sample_z(1)).shape == (1, 32, 1)
print(sys.modules["my_parts"].__file__)
"""
FILE = f"include 'mel_2bar.gin'\n\nfrom __gin__ import dynamic_registration\n\nimport {OWN}\n"


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """Returns a function that writes a module and a gin file that imports it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(text=None):
        (tmp_path / "mine.gin").write_text(FILE)
        if text is not None:
            (tmp_path / f"{OWN}.py").write_text(text)
        return ["mine.gin"]

    yield make
    sys.modules.pop(OWN, None)


def test_a_module_that_is_found_nowhere_is_named_with_its_line(mine, tmp_path):
    with pytest.raises(ValueError) as caught:
        configuration.parse(mine())
    assert str(caught.value) == (
        f"mine.gin, line 5: `import {OWN}` failed: ModuleNotFoundError: No module named '{OWN}'. "
        f"It must lie in the working folder, {tmp_path}, or be installed."
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import nothing_of_that_name", "ModuleNotFoundError: No module named 'nothing_of_that_"),
        ("\n1 / 0", "ZeroDivisionError: division by zero"),
        ("def (:", "SyntaxError: invalid syntax"),
        ("from os import nothing", "ImportError: cannot import name 'nothing' from 'os'"),
    ],
)
def test_a_module_that_fails_says_why_and_where(mine, text, reason):
    with pytest.raises(ValueError) as caught:
        configuration.parse(mine(text))
    assert str(caught.value).startswith(f"mine.gin, line 5: `import {OWN}` failed: {reason}")
    assert f"{OWN}.py, line {1 + text.count(chr(10))})" in str(caught.value)
    assert "working folder" not in str(caught.value)  # It was found.


def test_a_binding_may_import_too():
    with pytest.raises(ValueError, match=r"^--gin_param='import no_parts': `import no_parts` fail"):
        configuration.parse(["mel_2bar.gin"], ["import no_parts"])


def test_what_the_owner_imports_is_known_and_what_a_run_does_is_not(mine, tmp_path):
    assert [each.source.module for each in configuration.own_imports(mine())] == [OWN]
    assert configuration.own_imports(["mel_2bar.gin"], ["batch_size = 3"]) == []
    (tmp_path / "config.gin").write_text(FILE)
    assert configuration.own_imports(["config.gin"]) == []


def test_python_finds_them_in_the_working_folder_too(tmp_path):
    shutil.copytree(ROOT / "tests/fixtures/runs_of_0.1.0/mel_2bar/run", tmp_path / "run")
    parts = "from magenta_vae.model import schedules\n\nclass Beta(schedules.Constant): pass\n"
    (tmp_path / "my_parts.py").write_text(parts)
    with open(tmp_path / "run" / "config.gin", "a") as file:
        file.write("\nimport my_parts\nmusic_vae.MusicVAE.beta = @my_parts.Beta()\n")
        file.write("my_parts.Beta.value = 0.5\n")
    # Isolated, Python searches the working folder for nothing.
    command = [sys.executable, "-I", "-c", LOADING, str(ROOT)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.strip() == str(tmp_path / "my_parts.py"), done.stderr


@pytest.mark.parametrize(
    ("module", "file", "what"),
    [
        ("random", "random.py", "the file"),
        ("json", "json/__init__.py", "the folder"),
        ("email.my_parts", "email/__init__.py", "the folder"),
    ],
)
def test_a_module_that_python_hides_is_refused(mine, tmp_path, module, file, what):
    name = module.split(".")[0]
    files = mine()
    Path("mine.gin").write_text(FILE.replace(OWN, module))
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text("")
    with pytest.raises(ValueError) as caught:
        configuration.parse(files)
    assert str(caught.value) == (
        f"mine.gin, line 5: `import {module}` failed: {name} is a module of Python itself, which "
        f"is imported in the place of {tmp_path / file}. Give {what} another name."
    )


def test_modules_of_python_may_be_imported():
    assert configuration.parse(["mel_2bar.gin"], ["import statistics"])
