#!/usr/bin/env python3
"""Prints the windows a second that reach training, and the peer's on the same windows.

benchmarks/input_pipeline.py --data_dir=data/mel_2bar --gin_file=mel_2bar.gin \\
    --peer_python=PEER/bin/python

Ours are two stages: `load_tokens`, once a data set, from records to tokens that are kept beside
them, of a shard in which the data set stands as often as fills a shard of a large one;
`training_batches`, every step, from tokens to shuffled and transposed batches. The peer is Magenta
2.1.4: its `data.get_dataset` with its augmentation; it needs a Python of its own. Both take turns
on the same machine; each figure is the best of the turns, the first of which warms up. What our
pipeline gives is compared with the tokens that numpy makes of every record.
"""

import glob
import os
import shutil
import subprocess
import tempfile
import time

from absl import flags

from magenta_vae import command_flags, commands

GIN = command_flags.define_gin_flags()
DATA_DIR = flags.DEFINE_string("data_dir", None, "A data set of 2-bar melodies.", required=True)
PEER_PYTHON = flags.DEFINE_string("peer_python", None, "The Python that Magenta 2.1.4 is in.")
TURNS = flags.DEFINE_integer("turns", 4, "Turns of each.")
BATCH_SIZE = flags.DEFINE_integer("batch_size", 512, "Windows of a batch.")
STEPS = flags.DEFINE_integer("steps", 2000, "Batches of a turn.")
PEER_WINDOWS = flags.DEFINE_integer("peer_windows", 4096, "Windows of a turn of the peer's.")

# What the peer runs: prints the windows a second of its second half, the first warms up.
PEER = """
import sys, time, warnings
warnings.simplefilter("ignore")
import tensorflow.compat.v1 as tf
tf.disable_v2_behavior()
tf.logging.set_verbosity("ERROR")
from magenta.models.music_vae import configs, data
path, num_windows, batch_size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
config = configs.CONFIG_MAP["cat-mel_2bar_big"]
config.hparams.batch_size = batch_size
config = configs.update_config(config, {"train_examples_path": path})
dataset = data.get_dataset(config, is_training=True, cache_dataset=False)
batch = tf.data.make_one_shot_iterator(dataset).get_next()
with tf.Session() as session:
    steps = max(num_windows // batch_size, 2)
    for step in range(2 * steps):
        if step == steps:
            begun = time.perf_counter()
        session.run(batch)
    print("windows a second", steps * batch_size / (time.perf_counter() - begun))
"""


def check_tokens(settings):
    """Raises where a window differs from what numpy makes of its record."""
    import numpy as np
    from note_seq.protobuf import music_pb2

    from magenta_vae.data import input_pipeline, records
    from magenta_vae.music.tokens import tokenize

    tokens = input_pipeline.load_tokens(DATA_DIR.value, "train", settings)
    found = iter(tokens)
    for path in sorted(glob.glob(os.path.join(DATA_DIR.value, "train-*.tfrecord"))):
        for record in records.read_records(path):
            sequence = music_pb2.NoteSequence.FromString(record)
            expected = tokenize(sequence, settings.tracks, settings.num_steps)
            np.testing.assert_array_equal(next(found), expected)
    commands.report(f"all {len(tokens):,} windows are the tokens that numpy makes of them")


def write_large(data_dir):
    """Writes the data set with its train split in one shard, as often as fills it."""
    from magenta_vae.data import descriptions, shards

    description = descriptions.read(DATA_DIR.value)
    train = description["shards"]["train"]
    times = max(shards.WINDOWS_PER_SHARD // sum(train.values()), 1)
    shard_name = "train-00000-of-00001.tfrecord"
    with open(os.path.join(data_dir, shard_name), "wb") as file:
        for name in sorted(train) * times:
            with open(os.path.join(DATA_DIR.value, name), "rb") as shard:
                file.write(shard.read())
    description["shards"]["train"] = {shard_name: times * sum(train.values())}
    descriptions.write(data_dir, description)


def load(data_dir, settings):
    """Returns the tokens, made anew, and the windows a second and a second of CPU time."""
    from magenta_vae.data import input_pipeline, token_files

    shutil.rmtree(os.path.join(data_dir, token_files.FOLDER), ignore_errors=True)
    begun = time.perf_counter(), time.process_time()
    tokens = input_pipeline.load_tokens(data_dir, "train", settings)
    seconds = time.perf_counter() - begun[0], time.process_time() - begun[1]
    return tokens, len(tokens) / seconds[0], len(tokens) / seconds[1]


def batches(tokens, augment):
    """Returns windows a second of the second half of a turn's batches."""
    from magenta_vae.data import input_pipeline

    chunks = [(start, 10) for start in range(0, STEPS.value, 10)]
    dataset = input_pipeline.training_batches(tokens, BATCH_SIZE.value, 0, chunks, augment=augment)
    for index, _ in enumerate(dataset):
        if index == len(chunks) // 2:
            begun = time.perf_counter()
    return (
        (len(chunks) - len(chunks) // 2 - 1) * 10 * BATCH_SIZE.value / (time.perf_counter() - begun)
    )


def write_for_peer(path):
    """Writes the windows in seconds, which the peer quantizes: its augmentation refuses steps."""
    from note_seq.protobuf import music_pb2

    from magenta_vae.data import records

    with open(path, "wb") as file:
        for shard in sorted(glob.glob(os.path.join(DATA_DIR.value, "train-*.tfrecord"))):
            for record in records.read_records(shard):
                sequence = music_pb2.NoteSequence.FromString(record)
                sequence.ClearField("quantization_info")
                file.write(records.frame(sequence.SerializeToString()))


def peer(path):
    arguments = [path, str(PEER_WINDOWS.value), str(min(BATCH_SIZE.value, 512))]
    done = subprocess.run(
        [PEER_PYTHON.value, "-c", PEER, *arguments],
        capture_output=True,
        text=True,
        env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
    )
    if done.returncode:
        raise ValueError(f"--peer_python={PEER_PYTHON.value} failed:\n{done.stderr[-2000:]}")
    return float(done.stdout.rpartition("windows a second")[2])


def main(_):
    experiment = GIN.configure().experiment
    folder = tempfile.TemporaryDirectory()
    for_peer = os.path.join(folder.name, "windows.tfrecord")
    write_for_peer(for_peer)
    write_large(folder.name)
    figures = {"records to tokens": [], "tokens to batches": [], "the peer's get_dataset": []}
    cpu = []
    for turn in range(TURNS.value):
        tokens, rate, cpu_rate = load(folder.name, experiment.settings)
        cpu.append(cpu_rate)
        figures["records to tokens"].append(rate)
        figures["tokens to batches"].append(batches(tokens, experiment.augment))
        if PEER_PYTHON.value:
            figures["the peer's get_dataset"].append(peer(for_peer))
        if turn == 0:
            check_tokens(experiment.settings)
    for name, rates in figures.items():
        if rates:
            commands.report(f"{name:<24}{max(rates):>14,.0f} windows/s, best of {len(rates)}")
    commands.report(f"{'records to tokens':<24}{max(cpu):>14,.0f} windows a second of CPU time")
    if PEER_PYTHON.value:
        theirs = max(figures.pop("the peer's get_dataset"))
        for name, rates in figures.items():
            commands.report(f"{name:<24}{max(rates) / theirs:>14,.1f} times the peer's")


if __name__ == "__main__":
    commands.run(main)
