#!/usr/bin/env python3
"""Prints what the paper's four trainings would take on GPUs: arithmetic, not a measurement.

benchmarks/plan.py --teraflops=20

Operations are counted by formula (`operations.py`); the speed that a GPU reaches on them is the
reader's to give.
"""

from absl import flags
from operations import count_flops

from magenta_vae import commands, configuration

TERAFLOPS = flags.DEFINE_float(
    "teraflops", 20.0, "What one GPU reaches, in 10^12 operations a second: an assumption."
)
EIGHT = flags.DEFINE_float("eight", 0.85, "Share of eight GPUs' speed that eight reach together.")
MODELS = ["drums_2bar", "mel_2bar", "hierdec_mel_32bar", "hierdec_trio_16bar"]


def plan(name):
    """Prints the row of one of the paper's models, built without allocating its weights."""
    import tensorflow as tf

    from magenta_vae.music.tokens import num_classes

    experiment = configuration.parse([f"{name}.gin"]).experiment
    with tf.Graph().as_default():
        classes = num_classes(experiment.settings.tracks)
        model = experiment.make_model()
        num_steps = experiment.settings.num_steps
        operations = count_flops(model, classes, num_steps, experiment.batch_size)
    total = operations * experiment.max_steps
    days = total / (TERAFLOPS.value * 1e12) / 86400
    commands.report(
        f"{name:<20}{operations / 1e12:>10.1f}{experiment.max_steps:>10,}{total / 1e18:>10.2f}"
        f"{days:>12.1f}{days / 8 / EIGHT.value:>12.2f}"
    )


def main(_):
    commands.report(f"{'':<20}{'TFLOP':>10}{'':>10}{'10^18':>10}{'days on':>12}{'days on':>12}")
    commands.report(
        f"{'model':<20}{'a step':>10}{'steps':>10}{'FLOP':>10}{'1 GPU':>12}{'8 GPUs':>12}"
    )
    for name in MODELS:
        plan(name)


if __name__ == "__main__":
    commands.run(main)
