#!/usr/bin/env python3
"""Prints the peak memory of one training step of a configuration, measured and by formula.

benchmarks/step_memory.py --gin_file=hierdec_mel_32bar.gin --batch_sizes=4,8,16
benchmarks/step_memory.py --gin_file=hierdec_mel_32bar.gin --batch_sizes=16,32,64 --evaluate

Each batch size runs in a process of its own, on random tokens, on the CPU: the weights, Adam's
moments and the gradients are in the figure, and so are the process and TensorFlow itself. With
--evaluate it is an evaluation of so many windows at a time, without Adam, of which there is no
formula.
"""

import dataclasses
import multiprocessing
import sys
import time

from absl import flags

from magenta_vae import command_flags, commands, configuration, import_stand_ins

GB = 2**30
GIN = command_flags.define_gin_flags()
BATCH_SIZES = flags.DEFINE_list("batch_sizes", ["4", "8", "16"], "Examples of the step.")
EVALUATE = flags.DEFINE_bool("evaluate", False, "Measure evaluations instead.")


def measure(gin_files, gin_params, batch_size, is_evaluation, pipe):
    """Sends the peak memory in GB, that by formula, and the seconds of a step, or evaluation."""
    import_stand_ins.install()  # As `train` does.
    from magenta_vae.training import devices

    strategy = devices.make_strategy()  # Which also says how memory is kept, as in training.
    experiment = configuration.parse(gin_files, gin_params).experiment
    experiment = dataclasses.replace(experiment, batch_size=batch_size)
    pipe.send((measure_evaluation if is_evaluation else measure_step)(experiment, strategy))


def measure_step(experiment, strategy):
    import tensorflow as tf

    from magenta_vae.training import precision
    from magenta_vae.workflows import micro_batches, step_trials

    with tf.Graph().as_default(), precision.dtype_policy(experiment.dtype_policy):
        model = experiment.make_model()
    plan = micro_batches.plan(experiment, model, strategy, is_settled=True)
    size = plan.size or plan.num_rows
    expected = plan.memory and plan.bytes_of(size, in_parts=size < plan.num_rows) / GB
    trial = step_trials.try_steps(experiment, strategy, seconds=0)
    return trial.peak / GB, expected, trial.seconds


def measure_evaluation(experiment, strategy):
    from magenta_vae.training import device_memory, evaluation, precision
    from magenta_vae.workflows import step_trials

    with precision.dtype_policy(experiment.dtype_policy):
        model = experiment.make_model()
    tokens = step_trials.random_tokens(experiment, experiment.batch_size)
    evaluate = evaluation.Evaluation(model, tokens, len(tokens))
    evaluate(0)
    start = time.perf_counter()
    evaluate(0)
    return device_memory.find_peak(on_gpu=False) / GB, None, time.perf_counter() - start


def main(_):
    configuration.require_gin_file(GIN.gin_file.value)
    spawn = multiprocessing.get_context("spawn")
    seconds_of = "seconds" if EVALUATE.value else "seconds a step"
    commands.report(
        f"{'batch':>6}{'peak GB':>10}{'formula':>10}{'GB an example more':>20}{seconds_of:>16}"
    )
    previous = None
    for batch_size in map(int, BATCH_SIZES.value):
        pipe, theirs = spawn.Pipe()
        arguments = GIN.gin_file.value, GIN.gin_param.value, batch_size, EVALUATE.value, theirs
        process = spawn.Process(target=measure, args=arguments)
        process.start()
        theirs.close()
        try:
            peak, expected, seconds = pipe.recv()
        except EOFError:
            sys.exit(f"a batch of {batch_size} did not end well: memory may have run out")
        process.join()
        more = ""
        if previous:
            more = f"{(peak - previous[1]) / (batch_size - previous[0]):.3f}"
        formula = f"{expected:.2f}" if expected else ""
        commands.report(f"{batch_size:>6}{peak:>10.2f}{formula:>10}{more:>20}{seconds:>16.1f}")
        previous = (batch_size, peak)


if __name__ == "__main__":
    commands.run(main)
