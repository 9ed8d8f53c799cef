#!/usr/bin/env python3
"""Prints the peak memory of one training step of a configuration at several batch sizes.

benchmarks/step_memory.py --gin_file=hierdec_mel_32bar.gin --batch_sizes=4,8,16
benchmarks/step_memory.py --gin_file=hierdec_mel_32bar.gin --batch_sizes=16,32,64 --evaluate

Each batch size runs in a process of its own, on random tokens, on the CPU: the weights, Adam's
moments and the gradients are in the figure, and so is TensorFlow itself. With --evaluate it is an
evaluation of so many windows at a time, without Adam.
"""

import multiprocessing
import resource
import sys
import time

from absl import flags

from magenta_vae import commands, configuration

GIN = commands.define_gin_flags()
BATCH_SIZES = flags.DEFINE_list("batch_sizes", ["4", "8", "16"], "Examples of the step.")
EVALUATE = flags.DEFINE_bool("evaluate", False, "Measure evaluations instead.")


def measure(gin_files, gin_params, batch_size, is_evaluation, pipe):
    """Sends the peak memory in GB and the seconds of the second step, or evaluation."""
    import numpy as np

    from magenta_vae.music.tokens import num_classes
    from magenta_vae.training import devices, precision

    strategy = devices.make_strategy()  # Which also says how memory is kept, as in training.
    experiment = configuration.parse(gin_files, gin_params).experiment
    with precision.dtype_policy(experiment.dtype_policy):
        model = experiment.make_model()
    shape = [batch_size, experiment.settings.num_steps]
    rng = np.random.default_rng(0)
    classes = num_classes(experiment.settings.tracks)
    tokens = np.stack([rng.integers(0, size, shape) for size in classes], axis=-1)
    make = make_evaluation if is_evaluation else make_step
    work = make(experiment, model, strategy, tokens)
    work()
    start = time.perf_counter()
    work()
    seconds = time.perf_counter() - start
    # Of this process alone: ru_maxrss is in kilobytes on Linux.
    pipe.send((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, seconds))


def make_step(experiment, model, strategy, tokens):
    """Returns a function that takes a training step."""
    import tensorflow as tf

    from magenta_vae.training import precision, steps

    optimizer = precision.scale_losses(experiment.make_optimizer(), experiment.dtype_policy)
    train_steps = steps.TrainingSteps(
        model,
        optimizer,
        strategy,
        len(tokens),
        seed=0,
        clip_norm=experiment.clip_norm,
        micro_batch_size=experiment.micro_batch_size,
        jit_compile=experiment.jit_compile,
    )
    chunk = tf.constant(tokens[None], tf.int32)
    return lambda: train_steps.take(chunk)


def make_evaluation(experiment, model, strategy, tokens):
    """Returns a function that evaluates the tokens at once."""
    from magenta_vae.training import evaluation

    del experiment, strategy
    evaluate = evaluation.Evaluation(model, tokens, len(tokens))
    return lambda: evaluate(0)


def main(_):
    configuration.require_gin_file(GIN.gin_file.value)
    spawn = multiprocessing.get_context("spawn")
    seconds_of = "seconds" if EVALUATE.value else "seconds a step"
    commands.report(f"{'batch':>6}{'peak GB':>10}{'GB an example more':>20}{seconds_of:>16}")
    previous = None
    for batch_size in map(int, BATCH_SIZES.value):
        pipe, theirs = spawn.Pipe()
        arguments = GIN.gin_file.value, GIN.gin_param.value, batch_size, EVALUATE.value, theirs
        process = spawn.Process(target=measure, args=arguments)
        process.start()
        theirs.close()
        try:
            peak, seconds = pipe.recv()
        except EOFError:
            sys.exit(f"a batch of {batch_size} did not end well: memory may have run out")
        process.join()
        more = ""
        if previous:
            more = f"{(peak - previous[1]) / (batch_size - previous[0]):.3f}"
        commands.report(f"{batch_size:>6}{peak:>10.2f}{more:>20}{seconds:>16.1f}")
        previous = (batch_size, peak)


if __name__ == "__main__":
    commands.run(main)
