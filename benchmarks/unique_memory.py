#!/usr/bin/env python3
"""Prints the memory and the disk that making a corpus unique takes, by its number of windows.

benchmarks/unique_memory.py --num_windows=1000000,2000000,4000000

Random 2-bar melodies, a tenth of them twice, take the builder's own way: a journal on the disk,
then one range of hashes after another. Each number of windows runs in a process of its own. The
last line is the arithmetic for the paper's 28 million.
"""

import multiprocessing
import resource
import sys
import tempfile

from absl import flags

from magenta_vae import commands

NUM_WINDOWS = flags.DEFINE_list("num_windows", ["1000000", "2000000", "4000000"], "Windows.")
PAPER = 28_000_000  # Dataset: "28 million unique 2-bar melodies"
ROWS_PER_ENTRY = 2**20  # assembly.ENTRY_BYTES of rows of 32 bytes.


def peak_bytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Kilobytes on Linux.


def measure(num_windows, pipe):
    """Puts (bytes before, peak bytes, bytes on disk, unique windows, entries)."""
    import os

    import numpy as np

    from magenta_vae.data import assembly, builder, journal, shards
    from magenta_vae.data.examination import Outcome
    from magenta_vae.music.tokens import Melody

    settings = builder.Settings((Melody(),), 2)
    rng = np.random.default_rng(0)
    before, unique = peak_bytes(), 0
    with tempfile.TemporaryDirectory() as folder:
        work = journal.Journal(os.path.join(folder, "out"), settings.token_dtype, settings.row_size)
        os.makedirs(work.directory)
        work.begin({}, [])
        written = 0
        while written < num_windows:
            number = min(ROWS_PER_ENTRY, num_windows - written)
            rows = rng.integers(128, size=(number, settings.row_size), dtype=np.uint8)
            rows[: number // 10] = rows[number // 10 : 2 * (number // 10)]
            bars = np.zeros(number, np.int32)
            work.write([Outcome("", "", "", "train", number, 0, rows=rows, bars=bars)])
            written += number
        files = [os.path.join(work.directory, name) for name in os.listdir(work.directory)]
        on_disk = sum(map(os.path.getsize, files))
        for first, last in assembly._ranges(work.bucket_sizes(), settings.row_size):
            described = work.describe_range(first, last)
            rows = journal.read_range(described, settings.token_dtype, settings.row_size)["train"]
            unique += len(shards.first_of_equals(rows[0])[0])
        pipe.send((before, peak_bytes(), on_disk, unique, len(work._entries)))


def main(_):
    spawn = multiprocessing.get_context("spawn")
    header = ("windows", "unique", "entries", "memory MB", "of it modules", "disk bytes a window")
    commands.report("".join(f"{name:>21}" for name in header))
    for number in map(int, NUM_WINDOWS.value):
        pipe, theirs = spawn.Pipe()
        process = spawn.Process(target=measure, args=(number, theirs))
        process.start()
        theirs.close()
        try:
            before, peak, on_disk, unique, num_entries = pipe.recv()
        except EOFError:
            sys.exit(f"{number:,} windows did not end well: memory may have run out")
        process.join()
        row = (f"{number:,}", f"{unique:,}", num_entries, f"{peak / 2**20:.0f}",
               f"{before / 2**20:.0f}", f"{on_disk / number:.1f}")  # fmt: skip
        commands.report("".join(f"{value:>21}" for value in row))
    from magenta_vae.data import assembly, shards
    from magenta_vae.data.splits import SPLITS

    table = len(SPLITS) * (shards.NUM_BUCKETS + 1) * 8
    in_range = max(assembly.MERGE_BYTES, PAPER // shards.NUM_BUCKETS * 32)
    num_songs = 1_500_000
    num_entries = num_songs // assembly.SONGS_PER_ENTRY
    commands.report(
        f"At {PAPER:,} windows: {PAPER * 40 / 2**20:,.0f} MB on the disk. In memory one "
        f"range of hashes, {in_range / 2**20:.1f} MB of tokens a process, twice that if every "
        f"window came twice; one entry while it is written, {assembly.ENTRY_BYTES / 2**20:.0f} MB "
        f"of tokens; and the tables of {num_entries:,} entries, "
        f"{num_entries * table / 2**20:.0f} MB: {num_entries * table / PAPER:.1f} bytes a window; "
        f"and what became of {num_songs:,} songs, {num_songs * 16 / 2**20:.0f} MB."
    )


if __name__ == "__main__":
    commands.run(main)
