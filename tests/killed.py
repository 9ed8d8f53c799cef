"""Runs a command again and again in children of one process, which it lets die of SIGKILL.

Importing TensorFlow takes longer than all the steps of a tiny run: it is imported once, and the
children are forked before it has made a thread or a tensor.

    python killed.py SCRIPT FLAG... < points.json

The points are a list of [kind, number]; for each, a child runs SCRIPT until it is killed:
    ["calls", n]   when it enters its n-th function of the package
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


def die_of_calls(number):
    package = str(Path(__file__).parents[1] / "magenta_vae")
    left = [number]

    def count(frame, event, _):
        if event == "call" and frame.f_code.co_filename.startswith(package):
            left[0] -= 1
            if left[0] == 0:
                die()

    sys.setprofile(count)


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
    if kind == "calls":
        die_of_calls(number)
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
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
            ends.append("killed")
        elif status == 0:
            ends.append("ended")
        else:
            sys.exit(f"{kind} {number}: status {status}")
    print(json.dumps(ends))


if __name__ == "__main__":
    main()
