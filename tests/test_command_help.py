"""`--help` of every command: how it is called, an example that is right, each flag in a group."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from magenta_vae import command_help
from magenta_vae.configuration import bundled

ROOT = Path(__file__).parent.parent
COMMANDS = sorted(path.name for path in bundled("scripts").iterdir() if path.is_file())
KNOWN = {flag for names in command_help.GROUPS.values() for flag in names}
FLAG = re.compile(r"  --(?:\[no\])?(\w+)")


def help_of(name, width=80):
    done = subprocess.run(
        [sys.executable, f"scripts/{name}", "--help"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "COLUMNS": str(width)},
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def groups_of(text):
    """Returns the flags that stand below each heading."""
    groups, title = {}, None
    for line in text.splitlines():
        if re.fullmatch(r"\w.*:", line):
            title = line[:-1]
        elif found := FLAG.match(line):
            groups.setdefault(title, []).append(found[1])
    return groups


@pytest.mark.parametrize("name", COMMANDS)
def test_help_begins_with_how_a_command_is_called_and_has_each_flag_in_a_group(name):
    text = help_of(name)
    groups = groups_of(text)
    usage = text.splitlines()[0].split()[2:-2]
    required = [word.split("=")[0][2:] for word in usage if word.startswith("--")]
    assert text.startswith(f"usage: scripts/{name} ")
    assert groups.get(command_help.REQUIRED, []) == required
    titles = [title for title in command_help.GROUPS if title in groups]
    assert list(groups) == titles
    flags = [flag for found in groups.values() for flag in found]
    assert len(flags) == len(set(flags)) > 1
    assert set(flags) <= KNOWN, "name the group of a new flag in command_help.GROUPS"
    assert "logtostderr" not in text and "flagfile" not in text  # absl's own
    example = re.search(rf"Examples?:\n((?:  .*\n)*?  scripts/{name} .*(?:\\\n.*)*\n)", text)
    typed = re.findall(r"--(\w+)", example[1])
    assert set(typed) <= set(flags), "an example has a flag that there is not"


@pytest.mark.parametrize("width", [44, 60, 80, 200])
def test_help_fits_the_terminal(width):
    text = help_of("attributes", width)
    begin = text.index("Input:")
    assert max(map(len, text[begin:].splitlines())) <= min(width, command_help.WIDE)


def test_what_must_be_given_is_asked_for_by_what_it_is():
    command = [sys.executable, ROOT / "scripts" / "sample", "--output_dir=x"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "error: --model=NAME, as `magenta_vae models` lists them, or --run_dir=FOLDER is needed, "
        "one of the two",
        f"{shlex.quote(str(ROOT / 'scripts' / 'sample'))} --help says which flags there are.",
    ]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--run_dirr=x"], "Unknown command line flag 'run_dirr'. Did you mean: run_dir ?"),
        (
            ["--run_dir=x", "--output_dir=y", "song.mid"],
            "flags are given as --name=value. Received: song.mid",
        ),
        (["--run_dir=x", "--output_dir=y", "--seed=-1"], "--seed=-1: -1 is not an integer in"),
    ],
)
def test_what_is_wrong_with_flags_is_said_in_a_line(flags, message):
    command = [sys.executable, ROOT / "scripts" / "sample", *flags]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    first, second = done.stderr.splitlines()
    assert first.startswith("error: ") and message in first
    assert second.endswith("--help says which flags there are.")


@pytest.mark.parametrize("flag", ["--help", "-h", "-help", "--helpshort"])
def test_every_spelling_of_help_helps(flag):
    command = [sys.executable, ROOT / "scripts" / "sample", "--run_dir=x", flag]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: ")


def test_the_flags_of_absl_are_in_the_full_help():
    command = [sys.executable, ROOT / "scripts" / "sample", "--helpfull"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0
    assert "--[no]logtostderr" in done.stdout and "--run_dir" in done.stdout


def test_help_that_is_not_read_to_its_end_is_no_error():
    for command in ("scripts/sample --help", "-m magenta_vae --help"):
        line = f"{shlex.quote(sys.executable)} {command} | head -c 1 >/dev/null"
        done = subprocess.run(line, shell=True, capture_output=True, text=True, cwd=ROOT)
        assert done.stderr == ""
