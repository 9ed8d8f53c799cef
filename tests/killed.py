"""Runs a command again and again in children of one process, which it lets die.

Importing TensorFlow takes longer than all the steps of a tiny run: it is imported once, and the
children are forked before it has made a thread or a tensor.

    python killed.py SCRIPT FLAG... < points.json

The points are a list of [kind, number]; for each, a child runs SCRIPT until it is killed:
    ["start", s]   after s seconds of its processor time
    ["steps", s]   after s seconds of its processor time since its first steps
    ["writing", n] while it writes checkpoints, as soon as the n-th new file or folder is seen there
    ["never", 0]   not at all
Prints a JSON list of the children's ends: "killed" or "ended".
"""

import json
import os
import runpy
import signal
import sys
import threading
from pathlib import Path


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def die_of_time(seconds):
    # Nothing handles this timer's signal: it ends a process at any instruction, as SIGKILL does.
    signal.setitimer(signal.ITIMER_PROF, seconds)


def die_after_first_steps(seconds):
    from magenta_vae import commands, display

    def and_wait_for_death(function):
        def called(line):
            function(line)
            if line.startswith("step ") and not signal.getitimer(signal.ITIMER_PROF)[0]:
                die_of_time(seconds)

        return called

    commands.report = and_wait_for_death(commands.report)
    display.show = and_wait_for_death(display.show)


def die_of_writing(folder, number):
    def watch():
        known = set(folder.rglob("*")) if folder.is_dir() else set()
        seen = 0
        while True:
            try:
                new = set(folder.rglob("*")) - known
            except OSError:  # A folder that went while it was listed.
                continue
            seen += len(new)
            known |= new
            if seen >= number:
                die()

    threading.Thread(target=watch, daemon=True).start()


def run(script, flags, kind, number):
    run_dir = next(flag.partition("=")[2] for flag in flags if flag.startswith("--run_dir="))
    if kind == "start":
        die_of_time(number)
    elif kind == "steps":
        die_after_first_steps(number)
    elif kind == "writing":
        die_of_writing(Path(run_dir, "checkpoints"), number)
    sys.argv = [script, *flags]
    runpy.run_path(script, run_name="__main__")


def main():
    script, *flags = sys.argv[1:]
    points = json.load(sys.stdin)
    # What the command imports, none of it run.
    import keras  # noqa: F401
    import tensorflow  # noqa: F401

    from magenta_vae.data import input_pipeline  # noqa: F401
    from magenta_vae.model import music_vae  # noqa: F401
    from magenta_vae.training import loop  # noqa: F401

    ends = []
    for kind, number in points:
        child = os.fork()
        if child == 0:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            run(script, flags, kind, number)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGKILL, signal.SIGPROF):
            ends.append("killed")
        elif status == 0:
            ends.append("ended")
        else:
            sys.exit(f"{kind} {number}: status {status}")
    print(json.dumps(ends))


if __name__ == "__main__":
    main()
