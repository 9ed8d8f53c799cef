"""Progress is one live line in a terminal, and few lines elsewhere."""

import io
import os
import pty
import subprocess
import sys

import pytest

from magenta_vae import display
from magenta_vae.display import Display


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def pipe():
    return io.StringIO()


def test_without_a_display_nothing_is_shown(capfd):
    assert list(display.track(range(3), "decoding")) == [0, 1, 2]
    display.show("step 1")
    assert capfd.readouterr() == ("", "")


def test_elsewhere_than_in_a_terminal_lines_are_rare(pipe, clock):
    shown = Display(pipe, clock)
    for step in range(400):
        clock.now = step
        shown.show(f"step {step}")
    steps = [int(line.split()[1]) for line in pipe.getvalue().splitlines()]
    pauses = [second - first for first, second in zip([0, *steps], steps, strict=False)]
    assert steps[0] == 10
    assert pauses == sorted(pauses) and 10 < pauses[-1] <= 60


def test_what_is_tracked_in_a_pipe_says_how_many_are_done_and_how_long_the_rest_takes(pipe, clock):
    shown = Display(pipe, clock)
    for _ in shown.track(range(40), "decoding", 40):
        clock.now += 1
    assert pipe.getvalue().splitlines()[0] == "decoding: 10 of 40, 0:30 left"
    assert len(pipe.getvalue().splitlines()) == 3  # No line says that all are done.


def test_short_work_after_long_work_needs_no_line(pipe, clock):
    shown = Display(pipe, clock)
    clock.now = 100.0
    list(shown.track(range(40), "decoding", 40))
    assert not pipe.getvalue()


def test_the_number_need_not_be_known(pipe, clock):
    shown = Display(pipe, clock)
    for _ in shown.track(iter(range(3)), "reading", None):
        clock.now += 12
    assert pipe.getvalue().splitlines()[0] == "reading: 1 done"


def test_in_a_terminal_a_line_takes_the_place_of_the_last_and_is_gone_at_the_end():
    terminal = Terminal()
    with display.opened(terminal):
        display.show("step 1")
        display.show("step 2")
    drawn = terminal.getvalue()
    assert "\n" not in drawn
    assert drawn.index("\rstep 1") < drawn.index("\rstep 2")
    assert drawn.endswith("\r") and not drawn.split("\r")[-2].strip()


def test_what_stays_is_written_where_the_live_line_was(capsys):
    terminal = Terminal()
    with display.opened(terminal):
        display.show("step 1")
        display.write("held out")
        cleared = terminal.getvalue()
        display.show("step 2")
    assert capsys.readouterr().out == "held out\n"
    assert cleared.endswith("\r")


def test_work_within_work_shows_nothing_of_its_own(monkeypatch):
    monkeypatch.setattr(display, "DELAY_SECONDS", 0)
    terminal = Terminal()
    with display.opened(terminal):
        for _ in display.track(range(2), "pieces"):
            assert list(display.track(range(3), "notes")) == [0, 1, 2]
    assert "pieces" in terminal.getvalue() and "notes" not in terminal.getvalue()


def test_work_that_breaks_off_leaves_no_line():
    terminal = Terminal()
    with display.opened(terminal), pytest.raises(ZeroDivisionError):
        for _ in display.track(range(3), "pieces"):
            raise ZeroDivisionError
    assert display._display is None


PROGRAM = """
import sys
from magenta_vae import commands, display
display.DELAY_SECONDS = 0
def main(_):
    for number in display.track(range(30), "composing"):
        if number == 15:
            commands.report("half of it")
    display.show("a line that is much wider than the terminal is " * 3)
    commands.warnings.warn("careful")
    commands.report("done")
commands.run(main)
"""


def test_in_a_terminal_of_forty_columns_no_line_is_wider():
    """A line that wraps would stay when it is cleared."""
    parent, child = pty.openpty()
    subprocess.run(["stty", "rows", "24", "columns", "40"], stdin=child, check=True)
    ran = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdin=child, stdout=child, stderr=child, close_fds=True
    )
    os.close(child)
    output = b""
    while True:
        try:
            output += os.read(parent, 65536)
        except OSError:
            break
    assert ran.wait() == 0
    drawn = output.decode()
    assert "composing:" in drawn and "a line that is much" in drawn
    lines = [part for line in drawn.split("\n") for part in line.rstrip("\r").split("\r")]
    assert max(map(len, lines)) <= 40
    left = [line.rstrip("\r").split("\r")[-1].strip() for line in drawn.split("\n")]
    assert [line for line in left if line] == ["half of it", "warning: careful", "done"]


def test_in_a_pipe_only_what_stays_is_written():
    ran = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert ran.stdout == "half of it\ndone\n"
    assert ran.stderr == "warning: careful\n"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0123, "0.012 seconds"), (42.4, "42 seconds"), (600, "10.0 minutes"), (5e5, "5.8 days")],
)
def test_times_have_units_for_people(seconds, text):
    assert display.format_duration(seconds) == text
