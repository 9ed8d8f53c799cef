#!/usr/bin/env python3
"""Prints what pictures and sound cost beside the evaluation that they belong to.

benchmarks/media_cost.py --gin_file=mel_2bar.gin --gin_file=scale/small.gin --data_dir=data/mel_2bar
benchmarks/media_cost.py --run_dir=runs/mel_2bar

Evaluations and shows take turns; the first of each makes graphs. In seconds of the processor, which
other programs disturb less, and in kilobytes of the files that TensorBoard reads. New weights play
anything anywhere, a trained run's play music: the former is dearer to draw.
"""

import os
import tempfile
import time

from absl import flags

from magenta_vae import command_flags, commands
from magenta_vae.workflows import runs, training

GIN = command_flags.define_gin_flags()
RUN_DIR = flags.DEFINE_string("run_dir", None, "A run whose weights are shown, instead.")
DATA_DIR = flags.DEFINE_string("data_dir", None, "A data set; the run's own by default.")
ROUNDS = flags.DEFINE_integer("rounds", 3, "Evaluations and shows.", lower_bound=1)


def seconds_of(function):
    start = time.process_time()
    function()
    return time.process_time() - start


def main(_):
    from magenta_vae.data import input_pipeline
    from magenta_vae.training import evaluation, summaries

    if RUN_DIR.value:
        run = runs.open(RUN_DIR.value)
        configured, model = run.configured, run.network
        data_dir = DATA_DIR.value or run.data_dir()
    else:
        configured = GIN.configure()
        data_dir, model = DATA_DIR.value, configured.experiment.make_model()
    experiment = configured.experiment
    tokens = input_pipeline.load_tokens(data_dir, "eval", experiment.settings)
    tokens = tokens[: experiment.eval_examples]
    evaluate = evaluation.Evaluation(model, tokens, experiment.eval_batch_size)
    show = training.make_show(configured, model, tokens)
    commands.report(f"{len(tokens):,} held-out windows")
    commands.report(f"{'evaluation':>12}{'show':>8}{'kilobytes':>12}")
    with tempfile.TemporaryDirectory() as folder:
        written = summaries.Summaries(folder)
        (path,) = os.scandir(os.path.join(folder, "eval"))
        for step in range(ROUNDS.value):
            before = os.path.getsize(path)
            evaluation_seconds = seconds_of(lambda: evaluate(1))
            with written.writing("eval", step):
                show_seconds = seconds_of(show)
            kilobytes = (os.path.getsize(path) - before) / 1000
            commands.report(f"{evaluation_seconds:>12.2f}{show_seconds:>8.2f}{kilobytes:>12,.0f}")


if __name__ == "__main__":
    commands.run(main)
