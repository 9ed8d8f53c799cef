#!/usr/bin/env python3
"""Mutates the bytes of files and reads them: no crash, no hang, no file without an outcome.

benchmarks/fuzz_readers.py --input=MIDI_FOLDER --num_files=20000

Each mutated file is examined as the data set builder does it, in worker processes with its limits.
The exit status is 1 where one crashed its process or the reader, or took more than two seconds of
CPU time.
"""

import collections
import random
import sys
import time

from absl import flags

from magenta_vae import commands

# Here, not in `examine`: what a worker imports before it begins is not a file's time.
from magenta_vae.data import builder, examination, sources, workers
from magenta_vae.music import tokens

INPUT = flags.DEFINE_multi_string("input", ["testdata"], "Files to mutate.")
NUM_FILES = flags.DEFINE_integer("num_files", 20_000, "Mutated files.")
NUM_WORKERS = flags.DEFINE_integer("num_workers", 2, "Processes.")
SEED = flags.DEFINE_integer("seed", 0, "The same seed gives the same files.")
MAX_SECONDS = 2.0
HANG_SECONDS = 30.0  # Of the clock: other programs may be at work.


def mutate(data, seed):
    """Returns bytes with a few changes: flipped, overwritten, cut out, doubled, cut off."""
    rng = random.Random(seed)
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        at = rng.randrange(len(data) or 1)
        size = rng.choice((1, 1, 2, 4, 64))
        kind = rng.randrange(6)
        if kind == 0 and data:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data[at : at + size] = rng.randbytes(size)
        elif kind == 2:
            data[at : at + size] = rng.choice((b"\x00", b"\x7f", b"\x80", b"\xff")) * size
        elif kind == 3:
            del data[at : at + size]
        elif kind == 4:
            data[at:at] = data[at : at + size]
        elif rng.random() < 0.2:
            del data[at:]
    return bytes(data)


def examine(path, seed):
    """Returns the outcome of a mutated file and the CPU seconds it took."""
    with open(path, "rb") as file:
        data = mutate(file.read(), seed)
    trio = (tokens.Melody("lead", 0, 31), tokens.Melody("bass", 32, 39), tokens.Drums())
    kinds = (((tokens.Melody(),), 2), ((tokens.Drums(),), 2), (trio, 16))
    settings = builder.Settings(*kinds[seed % 3])
    begun = time.process_time()
    outcome = builder.examine(sources.Source(f"{path}, seed {seed}", data), settings)
    return outcome._replace(rows=None), time.process_time() - begun


def failed(task, reason):
    name = f"{task[0]}, seed {task[1]}"
    return examination.Outcome(name, examination.CRASHED, reason, "", 0, 0), 0.0


def main(_):
    files = sources.find_files(INPUT.value)
    tasks = [
        (files[index % len(files)], SEED.value * 1_000_003 + index)
        for index in range(NUM_FILES.value)
    ]
    reasons, bad, slowest = collections.Counter(), 0, 0.0
    with workers.Workers(NUM_WORKERS.value, HANG_SECONDS, 2**31) as pool:
        for outcome, seconds in pool.map(examine, tasks, failed):
            reasons[outcome.reason or "used"] += 1
            slowest = max(slowest, seconds)
            if outcome.reason == examination.CRASHED or seconds > MAX_SECONDS:
                bad += 1
                commands.report(f"{outcome} ({seconds:.1f} s)")
            if (done := sum(reasons.values())) % 2000 == 0:
                commands.report(f"{done:,} files, {bad} bad")
    for reason, number in reasons.most_common():
        commands.report(f"{number:>8,}  {reason}")
    commands.report(
        f"{sum(reasons.values()):,} outcomes of {len(tasks):,} mutated files of {len(files):,}; "
        f"the slowest took {slowest:.2f} s of CPU time; {bad} bad"
    )
    sys.exit(bad > 0)


if __name__ == "__main__":
    commands.run(main)
