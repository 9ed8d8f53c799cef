#!/usr/bin/env python3
"""Prints the time from a file to its unique windows, ours and the peer's, per core.

benchmarks/build_dataset.py --input=MIDI_FOLDER --kind=melody --peer_python=PEER/bin/python

Ours: reading, cutting and making unique; the records of what is left, which the peer has no
counterpart of, are timed apart. The peer is Magenta 2.1.4:
note_seq's reading and the converter of its configuration (`OneHotMelodyConverter` for 2-bar
melodies, `TrioConverter` for 16-bar trios), its windows made unique as bytes. It needs a Python of
its own. Both take turns, one process each, on the same files; the figure is CPU time a file,
modules not counted, so that what else the machine does matters little.
"""

import json
import os
import subprocess
import sys
import tempfile
import warnings

from absl import flags

from magenta_vae import commands

INPUT = flags.DEFINE_multi_string("input", None, "MIDI files.", required=True)
KIND = flags.DEFINE_enum("kind", "melody", ["melody", "trio"], "2-bar melodies or 16-bar trios.")
PEER_PYTHON = flags.DEFINE_string("peer_python", None, "The Python that Magenta 2.1.4 is in.")
TURNS = flags.DEFINE_integer("turns", 3, "Turns of each.")
FILES = flags.DEFINE_integer("files", 60, "Files, evenly out of the input.")

OURS = """
import gc, json, os, sys, time, warnings
warnings.simplefilter("ignore")
import numpy as np
from magenta_vae.data import builder, records, shards
from magenta_vae.data.splits import SPLITS
from magenta_vae.music import tokens
paths, kind = json.load(open(sys.argv[1])), sys.argv[2]
trio = (tokens.Melody("lead", 0, 31), tokens.Melody("bass", 32, 39, 32), tokens.Drums())
settings = builder.Settings(*{"melody": ((tokens.Melody(),), 2), "trio": (trio, 16)}[kind])
gc.collect()  # What the imports left is not a file's.
begun = time.process_time()
rows = {split: [] for split in SPLITS}
for path in paths:
    outcome = builder.examine(path, settings)
    if outcome.rows is not None:
        rows[outcome.split].append(outcome.rows)
empty = np.empty((0, settings.row_size), settings.token_dtype)
both = [np.concatenate([empty, *rows[split]]) for split in SPLITS]
rows = np.concatenate(both)
unique = rows[shards.first_of_equals(rows)[0]]
seconds = time.process_time() - begun
serialize = records.WindowSerializer(settings.tracks, settings.num_steps)
windows = unique.reshape(-1, settings.num_steps, len(settings.tracks))
framed = [records.frame(record) for record in serialize(windows)]
print("result", json.dumps([seconds, len(framed), time.process_time() - begun - seconds]))
"""
PEER = """
import gc, json, sys, time, warnings
warnings.simplefilter("ignore")
import note_seq
from magenta.models.music_vae import configs, data
paths, kind = json.load(open(sys.argv[1])), sys.argv[2]
if kind == "melody":
    converter = data.OneHotMelodyConverter(
        valid_programs=data.MEL_PROGRAMS, skip_polyphony=False, slice_bars=2, gap_bars=1,
        steps_per_quarter=4,
    )
else:
    converter = data.TrioConverter(steps_per_quarter=4, slice_bars=16, gap_bars=2)
gc.collect()
begun, unique = time.process_time(), set()
for path in paths:
    try:
        sequence = note_seq.midi_file_to_note_sequence(path)
        unique.update(tensor.tobytes() for tensor in converter.to_tensors(sequence).outputs)
    except Exception as error:
        sys.stderr.write("%s: %r\\n" % (path, error))
print("result", json.dumps([time.process_time() - begun, len(unique)]))
"""


def run(python, program, listing):
    """Returns CPU seconds, unique windows, and of ours the seconds of their records."""
    # TensorFlow's threads would count as well.
    env = {**os.environ, "OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1"}
    if python != sys.executable:
        env.pop("PYTHONPATH", None)
    done = subprocess.run(
        [python, "-c", program, listing, KIND.value], capture_output=True, text=True, env=env
    )
    if done.returncode:
        raise ValueError(f"{python} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.rpartition("result ")[2])


def main(_):
    from magenta_vae.data import sources

    warnings.simplefilter("ignore")
    files = sources.find_files(INPUT.value)
    files = files[:: max(len(files) // FILES.value, 1)][: FILES.value]
    with tempfile.NamedTemporaryFile("w", suffix=".json") as listing:
        json.dump([os.path.abspath(path) for path in files], listing)
        listing.flush()
        pythons = {"ours": (sys.executable, OURS), "the peer's": (PEER_PYTHON.value, PEER)}
        best = {}
        for _ in range(TURNS.value):
            for name, (python, program) in pythons.items():
                if python:
                    result = run(python, program, listing.name)
                    best[name] = min(best.get(name, result), result)
    for name, (seconds, windows, *more) in best.items():
        commands.report(
            f"{name:<12}{1000 * seconds / len(files):>10.2f} ms of CPU a file, {windows:,} unique "
            f"windows of {len(files)} files, best of {TURNS.value}"
            + "".join(f"; {1000 * each / len(files):.2f} ms for their records" for each in more)
        )
    if PEER_PYTHON.value:
        ratio = best["the peer's"][0] / best["ours"][0]
        commands.report(f"{'ratio':<12}{ratio:>10.1f}")


if __name__ == "__main__":
    commands.run(main)
