#!/usr/bin/env python3
"""Prints seconds per training step beside Magenta 2.1.4's own step, and what ours makes of the CPU.

benchmarks/train_step.py --peer_python=PEER/bin/python

Both at a quarter of the paper's widths, on a batch of random tokens, half of the steps reading the
model's own samples, in processes that are measured in turns. `peer/README.md` says how the peer is
installed; without --peer_python ours is measured alone.
"""

import json
import sys
import time
from pathlib import Path

from absl import flags
from operations import count_flops
from peers import alternate, widths

from magenta_vae import commands, configuration

PEER_PYTHON = flags.DEFINE_string("peer_python", None, "Python with Magenta 2.1.4 installed.")
MODELS = flags.DEFINE_list(
    "models", ["mel_2bar", "hierdec_mel_32bar", "hierdec_trio_16bar"], "Models to measure."
)
BATCH_SIZES = flags.DEFINE_list("batch_sizes", ["64", "32", "32"], "Batch of each model.")
ROUNDS = flags.DEFINE_integer("rounds", 3, "Turns of each side.")
STARTS = flags.DEFINE_integer("starts", 3, "Starts of each side, of which the median counts.")
STEPS = flags.DEFINE_integer("steps", 2, "Steps of a turn.")
SERVE = flags.DEFINE_bool("serve", False, "Be the side that is measured (used by the command).")

HERE = Path(__file__).parent
HALF_STEP = 6908  # of the paper's schedule: each second step reads the model's own sample


def serve(model_name, batch_size):
    """Takes training steps on request, as `peer/train_step.py` does."""
    import numpy as np
    import tensorflow as tf

    from magenta_vae.music.tokens import num_classes
    from magenta_vae.training import devices, steps

    experiment = configuration.parse([f"{model_name}.gin"], widths(model_name)).experiment
    strategy = devices.make_strategy()
    model, optimizer = experiment.make_model(), experiment.make_optimizer()
    clip_norm = experiment.clip_norm
    train_steps = steps.TrainingSteps(model, optimizer, strategy, batch_size, 0, clip_norm)
    optimizer.iterations.assign(HALF_STEP)
    shape = [1, batch_size, experiment.settings.num_steps]
    rng = np.random.default_rng(0)
    classes = num_classes(experiment.settings.tracks)
    tokens = np.stack([rng.integers(0, size, shape) for size in classes], axis=-1)
    tokens = tf.constant(tokens, tf.int32)

    def step():
        start = time.perf_counter()
        train_steps.take(tokens)["loss"].numpy()
        return time.perf_counter() - start

    step()
    sizes = {"classes": classes, "num_steps": shape[2], "batch_size": batch_size}
    print(json.dumps({"flops": count_flops(model, **sizes)}), flush=True)
    for line in sys.stdin:
        if line.startswith("peak"):
            print(json.dumps({"peak": matrix_product_peak(tf)}), flush=True)
        else:
            seconds = [step() for _ in range(int(line))]
            print(json.dumps({"seconds": seconds}), flush=True)


def matrix_product_peak(tf):
    """Returns the best speed of a large product in operations a second."""
    size = 1536
    matrix = tf.random.normal([size, size])
    best = 0.0
    for _ in range(8):
        start = time.perf_counter()
        tf.matmul(matrix, matrix).numpy()
        best = max(best, 2 * size**3 / (time.perf_counter() - start))
    return best


def compare(model, batch_size):
    """Measures one model and prints its row."""
    serve_flags = ["--serve", f"--models={model}", f"--batch_sizes={batch_size}"]
    first_line = (HERE.parent / "scripts" / "train").read_text().splitlines()[0]
    as_trained = first_line.removeprefix("#!").split()[:-1]  # Memory in large pages; no Python yet.
    programs = [[*as_trained, sys.executable, __file__, *serve_flags]]
    if PEER_PYTHON.value:
        programs.append([PEER_PYTHON.value, HERE / "peer" / "train_step.py", model, batch_size])
    ours, *theirs = alternate(
        programs, ROUNDS.value, STEPS.value, STARTS.value, last_request="peak"
    )
    flops, peak = ours.facts["flops"], ours.answer["peak"]
    row = f"{model:<20}{batch_size:>6}{ours.median:>9.2f}"
    row += (
        f"{theirs[0].median:>9.2f}{theirs[0].median / ours.median:>7.2f}"
        if theirs
        else f"{'-':>9}{'-':>7}"
    )
    row += f"{ours.seconds_to_first:>11.1f}"
    if theirs:
        first = theirs[0].seconds_to_first
        row += f"{first:>9.1f}{first / ours.seconds_to_first:>7.1f}"
    else:
        row += f"{'-':>9}{'-':>7}"
    share = flops / ours.median / peak
    commands.report(row + f"{flops / 1e9:>9.0f}{peak / 1e9:>9.0f}{share:>8.0%}")


def main(_):
    if SERVE.value:
        return serve(MODELS.value[0], int(BATCH_SIZES.value[0]))
    commands.report(
        f"{'':<26}{'seconds a step':^25}{'start to first step':^27}"
        f"{'GFLOP':>9}{'GFLOP/s':>9}{'of the':>8}"
    )
    commands.report(
        f"{'model':<20}{'batch':>6}{'ours':>9}{'peer':>9}{'ratio':>7}"
        f"{'ours':>11}{'peer':>9}{'ratio':>7}{'a step':>9}{'peak':>9}{'peak':>8}"
    )
    for model, batch_size in zip(MODELS.value, BATCH_SIZES.value, strict=True):
        compare(model, int(batch_size))
    return None


if __name__ == "__main__":
    commands.run(main)
