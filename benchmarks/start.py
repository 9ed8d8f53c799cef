#!/usr/bin/env python3
"""Prints what a training takes until its first batch: seconds, peak memory, and the disk.

benchmarks/start.py --data_dir=data/hierdec_trio_16bar --gin_file=hierdec_trio_16bar.gin --times=30

A start is a process of its own, from its first import to its first batches, without a model: it
loads both splits, as `scripts/train` does, and takes their digests. One after another stand starts

- of a folder in which no tokens can be kept, as where it is read-only: all records are read;
- of one in which none are kept yet: they are read and kept;
- of that one again: tokens are mapped. All these give the same digests and the same first batches;
- of a data set that holds the same shards --times as often, whose tokens are kept already.

Peak memory counts the pages of mapped files, TensorFlow's library among them, which the system can
take back; own memory, taken at the end, does not. The folders hold links to the shards. With --cold
the system has forgotten what it has read of the files.
"""

import functools
import hashlib
import multiprocessing
import os
import resource
import sys
import tempfile
import time
import warnings

from absl import flags

from magenta_vae import command_flags, commands, configuration

GIN = command_flags.define_gin_flags()
DATA_DIR = flags.DEFINE_string("data_dir", None, "A data set of the configuration.", required=True)
WORK_DIR = flags.DEFINE_string("work_dir", None, "Where the folders are made; temporary ones.")
TIMES = flags.DEFINE_integer("times", 0, "How often the last one holds the shards; 0 for none.")
COLD = flags.DEFINE_bool("cold", False, "Have the files read from the disk.")
SPLITS = ("train", "eval")
STEPS = 10  # Batches that a training asks for at once.


def start(pipe, gin_files, gin_params, data_dir, begun):
    """Sends the windows, the seconds since `begun` and of CPU time, memory in GB, what was read."""
    warnings.simplefilter("ignore")  # Where no tokens can be kept, as they are meant to be.
    from magenta_vae.data import input_pipeline
    from magenta_vae.training import devices

    devices.make_strategy()  # Which also says how memory is kept, as in training.
    experiment = configuration.parse(gin_files, gin_params).experiment
    tokens = {
        split: input_pipeline.load_tokens(data_dir, split, experiment.settings) for split in SPLITS
    }
    read = [input_pipeline.digest_of(each) for each in tokens.values()]
    for batch in input_pipeline.training_batches(
        tokens["train"],
        experiment.batch_size,
        experiment.seed,
        [(0, STEPS)],
        augment=experiment.augment,
    ):
        read.append(hashlib.sha256(batch.numpy().data).hexdigest())
    seconds = time.time() - begun, time.process_time()
    # Of this process alone: ru_maxrss is in kilobytes on Linux.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    pipe.send((sum(map(len, tokens.values())), seconds, (peak, own_memory()), read))


def own_memory():
    """Returns the GB of this process that are no pages of files, which the system can take back."""
    with open("/proc/self/status") as file:
        (line,) = (line for line in file if line.startswith("RssAnon"))
    return int(line.split()[1]) * 1024 / 1e9


def keep(pipe, gin_files, gin_params, kept_dir, data_dir):
    """Keeps the tokens of a data set that holds the shards of another `--times` as often."""
    from magenta_vae.data import descriptions, input_pipeline, token_files

    settings = configuration.parse(gin_files, gin_params).experiment.settings
    shards = descriptions.read(data_dir)["shards"]
    hash_once = functools.cache(token_files._sha256_of)  # Not each link to the same shard.
    token_files._sha256_of = lambda path: hash_once(os.path.realpath(path))
    for split in SPLITS:
        tokens = input_pipeline.load_tokens(kept_dir, split, settings)
        times = sum(shards[split].values()) // len(tokens)
        rows = [*range(0, len(tokens), 4096)] * times
        batches = (tokens[row : row + 4096] for row in rows)
        token_files.TokenFiles(data_dir, split, shards[split], settings).write(batches)
    pipe.send(None)


def in_process(work, *arguments):
    """Returns what a function sends from a process of its own."""
    spawn = multiprocessing.get_context("spawn")
    pipe, theirs = spawn.Pipe()
    given = theirs, GIN.gin_file.value, GIN.gin_param.value, *arguments
    process = spawn.Process(target=work, args=given)
    process.start()
    theirs.close()
    try:
        return pipe.recv()
    except EOFError:
        sys.exit("a start did not end well: memory may have run out")
    finally:
        process.join()


def link(folder, times=1):
    """Makes a data set of links to the shards, each so many times; returns its folder."""
    from magenta_vae.data import descriptions

    os.makedirs(folder)
    description = descriptions.read(DATA_DIR.value)
    for split, shards in description["shards"].items():
        total, linked = times * len(shards), {}
        for index, (name, num_windows) in enumerate([*shards.items()] * times):
            new_name = f"{split}-{index:05d}-of-{total:05d}.tfrecord"
            path = os.path.realpath(os.path.join(DATA_DIR.value, name))
            os.symlink(path, os.path.join(folder, new_name))
            linked[new_name] = num_windows
        description["shards"][split] = linked
    descriptions.write(folder, description)
    return folder


def files_in(folder):
    """Returns the paths of the files of a data set, at any depth."""
    return [os.path.join(place, name) for place, _, names in os.walk(folder) for name in names]


def forget(folder):
    """Has the system forget what it has read of the files of a data set."""
    for path in files_in(folder):
        with open(path, "rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def report(what, folder):
    """Reports a start; returns what it read."""
    if COLD.value:
        forget(folder)
    num_windows, seconds, memory, read = in_process(start, folder, time.time())
    sizes = {"records": 0, "tokens": 0}
    for path in files_in(folder):
        is_record = path.endswith(".tfrecord")
        sizes["records" if is_record else "tokens"] += os.stat(path).st_size / 1e9
    commands.report(
        f"{what:<34}{num_windows:>12,}{seconds[0]:>9.1f}{seconds[1]:>9.1f}"
        f"{memory[0]:>9.2f}{memory[1]:>8.2f}{sizes['records']:>12.2f}{sizes['tokens']:>11.2f}"
    )
    return read


def main(_):
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    configuration.require_gin_file(GIN.gin_file.value)
    with tempfile.TemporaryDirectory(dir=WORK_DIR.value) as work_dir:
        bare, kept = (link(os.path.join(work_dir, name)) for name in ("bare", "kept"))
        open(os.path.join(bare, "tokens"), "w").close()  # In the place of the folder.
        commands.report(
            f"{'start':<34}{'windows':>12}{'seconds':>9}{'of CPU':>9}{'peak GB':>9}{'own GB':>8}"
            f"{'records GB':>12}{'tokens GB':>11}"
        )
        read = [
            report("records read, no tokens kept", bare),
            report("records read, tokens kept", kept),
            report("tokens mapped", kept),
        ]
        if read[1:] != read[:-1]:
            raise ValueError(f"The starts did not read the same: {read}.")
        if TIMES.value:
            large = link(os.path.join(work_dir, "large"), TIMES.value)
            in_process(keep, kept, large)
            report(f"tokens mapped, {TIMES.value} times as many", large)


if __name__ == "__main__":
    commands.run(main)
