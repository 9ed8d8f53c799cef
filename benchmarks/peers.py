"""Programs measured in turns: ours, and the peers' in a Python of their own."""

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent

WIDTHS = {  # a quarter of the paper's
    "mel_2bar": [
        "encoders.BidirectionalLSTM.num_units=512",
        "decoders.FlatDecoder.num_units=512",
    ],
    "hierdec": [
        "encoders.BidirectionalLSTM.num_units=512",
        "decoders.HierarchicalDecoder.num_units=256",
        "decoders.Conductor.num_units=256",
    ],
}


def widths(model_name):
    """Returns the bindings that make a quarter of a model's widths."""
    return WIDTHS["hierdec" if model_name.startswith("hierdec") else model_name]


def large_pages():
    """Returns what goes before a command to keep its memory in large pages, as `scripts/train`."""
    first_line = (HERE.parent / "scripts" / "train").read_text().splitlines()[0]
    return first_line.removeprefix("#!").split()[:-1]  # Without the interpreter.


def as_trained(script, *arguments):
    """Returns the command of one of our programs, its memory kept as in training."""
    return [*large_pages(), sys.executable, script, *arguments]


class Program:
    """A program that prints a line of JSON when it is ready, and one for each number it is given.

    Args:
        command: its arguments, the interpreter first.
    """

    def __init__(self, command):
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - `close` closes it
        start = time.perf_counter()
        self._process = subprocess.Popen(
            [str(argument) for argument in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=environment,
            text=True,
        )
        self.facts = self._read()
        self.starts = [time.perf_counter() - start]
        self.seconds = []
        self.answer = None

    def measure(self, repetitions):
        """Takes some more measurements."""
        self.seconds += self.ask(repetitions)["seconds"]

    def ask(self, request):
        """Returns the program's answer to a line."""
        self._process.stdin.write(f"{request}\n")
        self._process.stdin.flush()
        return self._read()

    @property
    def median(self):
        """The median of all measurements, in seconds."""
        return statistics.median(self.seconds)

    @property
    def seconds_to_first(self):
        """The median time from a start to the first line."""
        return statistics.median(self.starts)

    def close(self):
        """Ends the program."""
        self._process.stdin.close()
        self._process.wait()
        self._errors.close()

    def _read(self):
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            self._errors.seek(0)
            said = "".join(self._errors.readlines()[-8:])
            raise RuntimeError(f"{' '.join(map(str, self._process.args))} ended:\n{said}")
        return json.loads(line)


def alternate(commands, rounds, repetitions, starts=1, last_request=None):
    """Starts a program for each command, one after another, and measures them in turns.

    Returns the programs, closed; the first is asked something more in the end, its `answer`. With
    several starts all but the last are for nothing but their time.
    """
    earlier = [[] for _ in commands]
    for _ in range(starts - 1):
        for command, seconds in zip(commands, earlier, strict=True):
            with contextlib.closing(Program(command)) as program:
                seconds += program.starts
    with contextlib.ExitStack() as stack:
        programs = [
            stack.enter_context(contextlib.closing(Program(command))) for command in commands
        ]
        for program, seconds in zip(programs, earlier, strict=True):
            program.starts += seconds
        for _ in range(rounds):
            for program in programs:
                program.measure(repetitions)
        if last_request:
            programs[0].answer = programs[0].ask(last_request)
    return programs
