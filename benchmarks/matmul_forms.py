#!/usr/bin/env python3
"""Prints the speed of each form of a recurrence's product, in GFLOP per second of CPU time.

benchmarks/matmul_forms.py

Rows are examples; CPU time, not the clock, so that other programs matter less. An operation has
half of the cores, as in training. Each form is measured with and without oneDNN, in processes of
their own: the best of some repetitions.
"""

import json
import os
import resource
import subprocess
import sys

from absl import flags

from magenta_vae import commands, threads

SERVE = flags.DEFINE_bool("serve", False, "Measure in this process (used by the command).")
SIZES = [(32, 512, 2048), (64, 1024, 1024), (512, 512, 512)]  # rows, width, gates
FORMS = {
    "states @ weights": (False, False),
    "states @ transposed.T": (False, True),
    "transposed @ states": (True, False),
    "weights.T @ states": (True, True),
}


def cpu_seconds():
    """Returns the CPU time of this process so far."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def measure(rows, width, gates, units_first, is_transposed):
    """Returns 10^9 operations per second of CPU time, of ten products in a row."""
    import tensorflow as tf

    state = tf.random.normal([width, rows] if units_first else [rows, width])
    matrix = tf.random.normal([gates, width] if units_first != is_transposed else [width, gates])

    @tf.function
    def repeat(state, matrix):
        for _ in range(10):
            if units_first:
                state = 1e-3 * tf.matmul(matrix, state, transpose_a=is_transposed)[:width]
            else:
                state = 1e-3 * tf.matmul(state, matrix, transpose_b=is_transposed)[:, :width]
        return state

    repeat(state, matrix)
    best = float("inf")
    for _ in range(8):
        start = cpu_seconds()
        repeat(state, matrix).numpy()
        best = min(best, cpu_seconds() - start)
    return 10 * 2 * rows * width * gates / best / 1e9


def serve():
    """Prints the speeds of this process as JSON."""
    threads.share_cores()
    print(json.dumps([[measure(*size, *form) for size in SIZES] for form in FORMS.values()]))


def main(_):
    if SERVE.value:
        return serve()
    commands.report(f"{'':<24}" + "".join(f"{f'{r} x {w} x {g}':>20}" for r, w, g in SIZES))
    commands.report(f"{'oneDNN':<24}" + f"{'off':>10}{'on':>10}" * len(SIZES))
    speeds = []
    for is_on in "01":
        environment = {**os.environ, "TF_ENABLE_ONEDNN_OPTS": is_on, "TF_CPP_MIN_LOG_LEVEL": "3"}
        command = [sys.executable, __file__, "--serve"]
        done = subprocess.run(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True
        )
        speeds.append(json.loads(done.stdout))
    for form, off, on in zip(FORMS, *speeds, strict=True):
        pairs = zip(off, on, strict=True)
        commands.report(f"{form:<24}" + "".join(f"{a:>10.0f}{b:>10.0f}" for a, b in pairs))
    return None


if __name__ == "__main__":
    commands.run(main)
