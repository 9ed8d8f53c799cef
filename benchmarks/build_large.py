#!/usr/bin/env python3
"""Builds a data set of 20,000 files and prints memory and time by the number of workers.

benchmarks/build_large.py --input=MIDI_FOLDER --num_files=20000 --num_workers=1,2

The files are the given ones under new names, each repetition in another key and with other bytes at
its end. The peak is that of the building process and of the largest of its workers, as the system
counts them.
"""

import contextlib
import os
import resource
import subprocess
import sys
import tempfile
import time

from absl import flags

from magenta_vae import commands

INPUT = flags.DEFINE_multi_string("input", ["testdata"], "MIDI files to repeat.")
NUM_FILES = flags.DEFINE_integer("num_files", 20_000, "Files to make.")
NUM_WORKERS = flags.DEFINE_list("num_workers", ["1", "2"], "Processes of each build.")
GIN_FILE = flags.DEFINE_string("gin_file", "mel_2bar.gin", "What is built.")

# Runs a build and prints its peak and its children's.
PROGRAM = """
import resource, sys
from magenta_vae import configuration, import_stand_ins
from magenta_vae.workflows import datasets
if __name__ == "__main__":
    import_stand_ins.install()  # As commands do.
    experiment = configuration.parse([sys.argv[3]]).experiment
    number = int(sys.argv[4])
    built = datasets.build_dataset(experiment, [sys.argv[1]], sys.argv[2], num_workers=number)
    counts = built["counts"]
    kept = counts["windows_kept_train"] + counts["windows_kept_eval"]
    peaks = [resource.getrusage(who).ru_maxrss / 1024
             for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    print("result", counts["files_read"], kept, *peaks)
"""


def edited(data, index):
    """Returns a MIDI file with its notes transposed, and bytes after its end that differ."""
    import symusic

    with contextlib.suppress(Exception):  # Damaged, or a pitch would leave 0-127: as it is.
        data = symusic.Score.from_midi(data).shift_pitch(index % 12 - 5).dumps_midi()
    return data + b"%08d" % index


def make_files(folder):
    from magenta_vae.data import sources

    files = sources.find_files(INPUT.value)
    for index in range(NUM_FILES.value):
        with open(files[index % len(files)], "rb") as file:
            data = file.read()
        target = os.path.join(folder, f"{index // 1000:03d}")
        os.makedirs(target, exist_ok=True)
        with open(os.path.join(target, f"{index:06d}.mid"), "wb") as file:
            file.write(edited(data, index // len(files)))
    commands.report(f"made {NUM_FILES.value:,} files of {len(files):,}")


def main(_):
    with tempfile.TemporaryDirectory() as folder:
        songs = os.path.join(folder, "songs")
        make_files(songs)
        program = os.path.join(folder, "program.py")
        with open(program, "w") as file:
            file.write(PROGRAM)
        for number in NUM_WORKERS.value:
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            begun = time.monotonic()
            out = os.path.join(folder, f"out-{number}")
            done = subprocess.run(
                [sys.executable, program, songs, out, GIN_FILE.value, number],
                capture_output=True, text=True,
            )  # fmt: skip
            if done.returncode:
                raise ValueError(f"The build failed:\n{done.stderr[-2000:]}")
            seconds = time.monotonic() - begun
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            read, kept, parent, worker = done.stdout.rpartition("result ")[2].split()
            commands.report(
                f"{number} workers: {int(read):,} files, {int(kept):,} windows, {seconds:.0f} s, "
                f"{cpu:.0f} s of CPU time; peak {float(parent):.0f} MB, largest worker "
                f"{float(worker):.0f} MB"
            )


if __name__ == "__main__":
    commands.run(main)
