#!/usr/bin/env python3
"""Prints what the music of the demos is like: of each, trained with some seeds, 256 samples.

benchmarks/demo_samples.py
benchmarks/demo_samples.py --demo=demo_drums.gin --seeds=1 --runs_dir=/tmp/demos

Each demo is trained by `scripts/train`, as its user does, and samples as `scripts/sample` does by
default: N(0, I), temperature 0.5. A run that is whole is not trained again. Of every statistic
stands the mean of the samples, then their distance from held-out windows, the distance that chance
makes and that of training windows, in the statistic's unit; see `samples.compare`.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

from absl import flags

from magenta_vae import command_flags, commands, files

DEMOS = ["demo.gin", "demo_drums.gin"]
DEMO = flags.DEFINE_multi_string("demo", DEMOS, "A configuration. May be repeated.")
SEEDS = flags.DEFINE_integer("seeds", 3, "Trainings of each demo.", lower_bound=1)
NUM_SAMPLES = flags.DEFINE_integer("num_samples", 256, "Of each training.", lower_bound=1)
PRIOR = command_flags.define_prior_flag()
RUNS_DIR = flags.DEFINE_string("runs_dir", "runs/demo_samples", "Folder of the runs.")
GIN_PARAM = flags.DEFINE_multi_string("gin_param", [], "A binding. May be repeated.")

TRAIN = Path(__file__).parents[1] / "scripts" / "train"
STATISTICS = ("pitch_range", "note_density", "repeated_bar_share")


def train(demo, seed):
    """Trains a demo, if that is not done, and returns its run and the seconds that it took."""
    run_dir = os.path.join(RUNS_DIR.value, f"{Path(demo).stem}-seed{seed}")
    seconds_file = os.path.join(run_dir, "seconds.json")
    if not os.path.exists(seconds_file):
        params = [f"--gin_param={param}" for param in GIN_PARAM.value]
        start = time.monotonic()
        subprocess.run(
            [
                *(sys.executable, TRAIN, f"--gin_file={demo}", f"--run_dir={run_dir}", *params),
                f"--gin_param=configuration.Experiment.seed={seed}",
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        files.write_text(seconds_file, f"{time.monotonic() - start:.0f}\n")
    return run_dir, float(Path(seconds_file).read_text())


def measure(run_dir):
    """Returns the metrics of a run and how its samples compare."""
    from magenta_vae.workflows import runs, text_tables

    run = runs.open(run_dir)
    held_out, training = run.windows("eval"), run.windows("train")
    compared = text_tables.compare_samples(
        run,
        held_out,
        num_samples=NUM_SAMPLES.value,
        seed=run.experiment.seed,
        training=training,
        prior=PRIOR.value,
    )
    return run.metrics(held_out), compared


def lines(demo, seed, seconds, metrics, compared):
    """Yields what is printed of a run."""
    yield (
        f"{demo}, seed {seed}: {seconds:.0f} s; KL {metrics['kl_nats']:.1f} nats; training windows "
        f"{metrics['data_prior']['kl_to_standard_nats']:.1f} nats from N(0, I); of "
        f"{compared['num_samples']} samples {compared['unique']['samples']} differ, "
        f"{compared['copies']['samples']} are training windows "
        f"(held out {compared['copies']['held_out']})"
    )
    for name, track in metrics["tracks"].items():
        notes = track["notes"]["reconstruction"]["f1"]
        yield f"  {name}: recon {track['reconstruction_accuracy']:.3f}, notes right F1 {notes:.3f}"
        for what, shares in compared["oddities"][name].items():
            cells = (f"{kind.replace('_', ' ')} {shares[kind]:.1%}" for kind in WINDOWS)
            yield f"    {what:<34}{', '.join(cells)}"
        for statistic in STATISTICS:
            if row := compared["tracks"][name].get(statistic):
                distance = row["distance"]
                cells = (f"{kind} {distance[kind]:.3f}" for kind in ("chance", "training"))
                yield (
                    f"    {statistic.replace('_', ' '):<34}{row['mean']['samples']:.3f}, held out "
                    f"{row['mean']['held_out']:.3f}: {distance['samples']:.3f} apart "
                    f"({', '.join(cells)})"
                )


WINDOWS = ("samples", "held_out", "training")


def main(_):
    for demo in DEMO.value:
        for seed in range(SEEDS.value):
            run_dir, seconds = train(demo, seed)
            for line in lines(demo, seed, seconds, *measure(run_dir)):
                commands.report(line)


if __name__ == "__main__":
    commands.run(main)
