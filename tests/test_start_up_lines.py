"""What native libraries write while a command starts is held back, and never lost."""

import os
import subprocess
import sys

import pytest

from magenta_vae.start_up_lines import LEVEL, SWITCH

BEGIN = """
import os, signal, sys, types, warnings
from magenta_vae import start_up_lines
start_up_lines.hold_back()
def speak(line):
    os.write(2, (line + "\\n").encode())
"""
HOLD = BEGIN + "with start_up_lines.held():\n    speak('E0000 no CUDA')\n    "


def run(program, **environment):
    return subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env={**os.environ, LEVEL: "3", SWITCH: "", **environment},
    )


def test_the_lines_of_a_start_that_succeeds_are_not_shown_and_later_ones_are():
    ran = run(HOLD + "pass\nspeak('E0000 later')")
    assert (ran.returncode, ran.stderr) == (0, "E0000 later\n")


@pytest.mark.parametrize("environment", [{SWITCH: "1"}, {LEVEL: "0"}], ids=str)
def test_the_environment_can_ask_for_them(environment):
    assert run(HOLD + "pass", **environment).stderr == "E0000 no CUDA\n"


def test_a_program_that_is_no_command_holds_nothing_back():
    assert run(HOLD.replace("start_up_lines.hold_back()", "") + "pass").stderr == "E0000 no CUDA\n"


def test_they_are_shown_where_the_import_fails():
    ran = run(HOLD + "raise ImportError('libcudart.so')")
    assert ran.stderr.startswith("E0000 no CUDA\nTraceback")
    assert ran.stderr.endswith("ImportError: libcudart.so\n")


@pytest.mark.parametrize("death", ["os.abort()", "os.kill(os.getpid(), signal.SIGKILL)"])
def test_they_are_shown_where_the_process_dies(death):
    ran = run(HOLD + death)
    assert ran.returncode < 0
    assert "E0000 no CUDA\n" in ran.stderr


def test_what_python_says_meanwhile_is_seen_at_once():
    speaking = "warnings.warn('old'); print('seen', file=sys.stderr)"
    stderr = run(HOLD + speaking).stderr
    assert "UserWarning: old" in stderr and stderr.endswith("seen\n")
    assert "CUDA" not in stderr


def test_a_logger_made_meanwhile_goes_on_speaking():
    program = HOLD + "handler = __import__('logging').StreamHandler()\n"
    program += "import logging; handler.emit(logging.makeLogRecord({'msg': 'later'}))"
    assert run(program).stderr == "later\n"


def test_holds_within_holds_end_with_the_outermost():
    program = HOLD + "with start_up_lines.held():\n        pass\n    speak('still held')"
    assert run(program).stderr == ""


def test_a_process_without_standard_error_starts_too():
    command = f'exec "{sys.executable}" -c "$0" 2>&-'
    program = HOLD.replace("speak('E0000 no CUDA')", "pass") + "print('fine')"
    ran = subprocess.run(["sh", "-c", command, program], capture_output=True, text=True)
    assert ran.stdout == "fine\n"


@pytest.mark.parametrize(("found", "shown"), [([], "E0000 no CUDA\n"), (["GPU:0"], "")])
def test_a_gpu_that_is_not_found_has_its_reason_shown(found, shown):
    program = f"""start_up_lines._has_gpu = lambda: True
    config = types.SimpleNamespace(list_physical_devices=lambda kind: {found})
    start_up_lines.look_for_devices(types.SimpleNamespace(config=config))"""
    assert run(HOLD + program).stderr == shown


def test_a_child_inherits_nothing_of_the_hold():
    program = HOLD + "pass\nimport subprocess; subprocess.run(['sh', '-c', 'echo child >&2'])"
    assert run(program).stderr == "child\n"


KERAS = "import os, signal, time\nos.write(2, b'E0000 no CUDA\\n')\n"


@pytest.mark.parametrize(
    ("package", "status", "stderr"),
    [
        (KERAS, 0, ""),
        (
            KERAS + "os.kill(os.getpid(), signal.SIGINT)\ntime.sleep(60)",
            130,
            "interrupted before anything was done\n",
        ),
    ],
    ids=["whole", "interrupted"],
)
def test_a_command_that_imports_keras_says_nothing_of_it(package, status, stderr, tmp_path):
    (tmp_path / "keras.py").write_text(package)
    program = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from magenta_vae import commands\n"
        "def main(_):\n"
        "    import keras\n"
        "commands.run(main)"
    )
    ran = run(program)
    assert (ran.returncode, ran.stderr) == (status, stderr)
