"""Modules of one's own that gin files import: where they are found, and why they are not."""

import os
import sys

import pytest

from magenta_vae import configuration

OWN = f"own_parts_{os.getpid()}"
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
