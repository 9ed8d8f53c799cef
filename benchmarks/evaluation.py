#!/usr/bin/env python3
"""Prints the windows a second of an evaluation beside those of a training step.

benchmarks/evaluation.py

At a quarter of the paper's widths, on random tokens, in processes that are measured in turns. The
evaluation is that of training and of `scripts/evaluate` (`training.evaluation`), notes counted too:
it encodes, predicts teacher forced, decodes twice on its own tokens, and predicts what it drew. The
step is `train_step.py`'s, half sampled. The goal is an evaluation in a third of the step's time for
each window.
"""

import json
import sys
import time

from absl import flags
from peers import HERE, alternate, as_trained, widths

from magenta_vae import commands, configuration

MODELS = flags.DEFINE_list(
    "models", ["mel_2bar", "hierdec_mel_32bar", "hierdec_trio_16bar"], "Models to measure."
)
BATCH_SIZES = flags.DEFINE_list("batch_sizes", ["64", "32", "32"], "Batch of each model's step.")
EVAL_BATCH_SIZE = flags.DEFINE_integer(
    "eval_batch_size", 256, "Windows at a time of an evaluation: by default what training takes."
)
ROUNDS = flags.DEFINE_integer("rounds", 3, "Turns of each side.")
REPETITIONS = flags.DEFINE_integer("repetitions", 2, "Steps, and evaluations, of a turn.")
SERVE = flags.DEFINE_string("serve", None, "Evaluate this model (used by the command).")


def serve(model_name, batch_size):
    """Evaluates a batch on request, as `train_step.py` takes steps."""
    import numpy as np

    from magenta_vae.music.tokens import num_classes
    from magenta_vae.training import devices, evaluation

    experiment = configuration.parse([f"{model_name}.gin"], widths(model_name)).experiment
    devices.make_strategy()
    model, settings = experiment.make_model(), experiment.settings
    rng = np.random.default_rng(0)
    shape = [batch_size, settings.num_steps]
    classes = num_classes(settings.tracks)
    tokens = np.stack([rng.integers(0, size, shape) for size in classes], axis=-1)
    tracks = settings.window_format.tracks
    evaluate = evaluation.Evaluation(model, tokens, batch_size, tracks=tracks)

    def seconds_of_one():
        start = time.perf_counter()
        evaluate(0)
        return time.perf_counter() - start

    seconds_of_one()
    print(json.dumps({}), flush=True)
    for line in sys.stdin:
        print(json.dumps({"seconds": [seconds_of_one() for _ in range(int(line))]}), flush=True)


def compare(model, batch_size):
    """Measures one model and prints its row."""
    eval_batch_size = EVAL_BATCH_SIZE.value
    step = [HERE / "train_step.py", "--serve", f"--models={model}", f"--batch_sizes={batch_size}"]
    own = [__file__, f"--serve={model}", f"--eval_batch_size={eval_batch_size}"]
    programs = as_trained(*step), as_trained(*own)
    step, evaluation = alternate(programs, ROUNDS.value, REPETITIONS.value)
    step_speed, speed = batch_size / step.median, eval_batch_size / evaluation.median
    commands.report(
        f"{model:<20}{batch_size:>8}{step_speed:>13.1f}{eval_batch_size:>12}{speed:>13.1f}"
        f"{step_speed / speed:>20.2f}"
    )


def main(_):
    if SERVE.value:
        return serve(SERVE.value, EVAL_BATCH_SIZE.value)
    commands.report(
        f"{'':<20}{'a training step':^21}{'an evaluation':^25}{'time for a window:':>20}"
    )
    commands.report(
        f"{'model':<20}{'batch':>8}{'windows/s':>13}{'batch':>12}{'windows/s':>13}"
        f"{'evaluation / step':>20}"
    )
    for model, batch_size in zip(MODELS.value, BATCH_SIZES.value, strict=True):
        compare(model, int(batch_size))
    return None


if __name__ == "__main__":
    commands.run(main)
