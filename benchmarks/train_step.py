#!/usr/bin/env python3
"""Prints seconds per training step beside two peers', and what ours makes of the CPU.

benchmarks/train_step.py --peer_python=PEER/bin/python --torch_python=TORCH/bin/python

The peers are Magenta 2.1.4's own step, and what most would write in PyTorch today. All are at a
quarter of the paper's widths, on a batch of random tokens, in processes that are measured in turns.
"Half sampled" says that half of the tokens that the decoder reads are its own samples; beside
PyTorch, where teacher forcing is one call of nn.LSTM, ours is measured teacher forced too. A ratio
is how many times as long as ours the peer before it takes. `peer/README.md` says how the peers are
installed; a peer whose Python is not given is left out.

The peak is the speed of large matrix products; "products alone" are the seconds that the step's
matrix products take without anything else (`products.py`). Ours keeps its memory in large pages, as
`scripts/train` does; the peers are run as they are, or with --large_pages as ours.
"""

import json
import sys
import time

from absl import flags
from operations import Product, list_products, seconds_alone
from peers import HERE, alternate, as_trained, large_pages, widths

from magenta_vae import commands, configuration

PEER_PYTHON = flags.DEFINE_string("peer_python", None, "Python with Magenta 2.1.4 installed.")
TORCH_PYTHON = flags.DEFINE_string("torch_python", None, "Python with PyTorch installed.")
MODELS = flags.DEFINE_list(
    "models", ["mel_2bar", "hierdec_mel_32bar", "hierdec_trio_16bar"], "Models to measure."
)
BATCH_SIZES = flags.DEFINE_list("batch_sizes", ["64", "32", "32"], "Batch of each model.")
ROUNDS = flags.DEFINE_integer("rounds", 3, "Turns of each side.")
STARTS = flags.DEFINE_integer("starts", 3, "Starts of each side, of which the median counts.")
STEPS = flags.DEFINE_integer("steps", 2, "Steps of a turn.")
LARGE_PAGES = flags.DEFINE_bool(
    "large_pages", False, "Whether the peers' memory is in large pages too, as ours is."
)
SERVE = flags.DEFINE_bool("serve", False, "Be the side that is measured (used by the command).")
TEACHER_FORCED = flags.DEFINE_bool(
    "teacher_forced", False, "Whether the side that is measured reads the true tokens alone."
)

NAMES = ["ours", "Magenta", "PyTorch", "ours, teacher forced", "PyTorch, teacher forced"]
HALF_STEP = 6908  # of the paper's schedule: each second step reads the model's own sample


def serve(model_name, batch_size):
    """Takes training steps on request, as `peer/train_step.py` does."""
    import numpy as np
    import tensorflow as tf

    from magenta_vae.music.tokens import num_classes
    from magenta_vae.training import devices, steps

    variants = ["variants/teacher_forcing.gin"] * TEACHER_FORCED.value
    gin_files = [f"{model_name}.gin", *variants]
    experiment = configuration.parse(gin_files, widths(model_name)).experiment
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
    products = list_products(model, classes, shape[2], batch_size)
    flops = sum(product.flops for product in products)
    print(json.dumps({"flops": flops, "parameters": model.count_params()}), flush=True)
    for line in sys.stdin:
        if line.startswith("cpu"):
            seconds = sum(seconds_alone(product) for product in products)
            answer = {"peak": matrix_product_peak(), "products": seconds}
            print(json.dumps(answer), flush=True)
        else:
            seconds = [step() for _ in range(int(line))]
            print(json.dumps({"seconds": seconds}), flush=True)


def matrix_product_peak():
    """Returns the speed of large products in operations a second."""
    product = Product(1536, 1536, 1536, "", count=1)
    return product.flops / seconds_alone(product)


def measure(model, batch_size):
    """Measures one model and returns the programs by their `NAMES`."""
    own = [__file__, "--serve", f"--models={model}", f"--batch_sizes={batch_size}"]
    by_name = {"ours": as_trained(*own)}
    as_run = large_pages() if LARGE_PAGES.value else []
    if PEER_PYTHON.value:
        magenta = [*as_run, PEER_PYTHON.value, HERE / "peer" / "train_step.py", model, batch_size]
        by_name["Magenta"] = magenta
    if TORCH_PYTHON.value:
        torch = [*as_run, TORCH_PYTHON.value, HERE / "peer" / "torch_step.py", model, batch_size]
        by_name["PyTorch"] = [*torch, "sampled"]
        by_name["ours, teacher forced"] = as_trained(*own, "--teacher_forced")
        by_name["PyTorch, teacher forced"] = [*torch, "teacher"]
    turns = ROUNDS.value, STEPS.value, STARTS.value
    programs = alternate(by_name.values(), *turns, last_request="cpu")
    programs = dict(zip(by_name, programs, strict=True))
    check_parameters({name: each.facts["parameters"] for name, each in programs.items()})
    return programs


def check_parameters(numbers):
    """Refuses to compare models of different sizes; Magenta's parts differ from the paper's."""
    others = {name: number for name, number in numbers.items() if name != "Magenta"}
    if len(set(others.values())) > 1:
        raise ValueError(f"All models must have as many parameters. Received: {others}.")


def row(name, batch_size, *groups, decimals=2):
    """Returns a line of a table: the first value of each group, the others with ratios to it."""
    cells = ""
    for first, *others in groups:
        cells += _cell(first, 9, decimals)
        for other in others:
            cells += _cell(other, 9, decimals) + _cell(other and other / first, 7, 2)
    return f"{name:<20}{batch_size:>6}{cells}"


def _cell(value, width, decimals):
    return f"{'-':>{width}}" if value is None else f"{value:>{width}.{decimals}f}"


def step_row(name, batch_size, programs):
    """Returns the line of a model's steps."""
    medians = [programs[one].median if one in programs else None for one in NAMES]
    return row(name, batch_size, medians[:3], medians[3:])


def start_row(name, batch_size, programs):
    """Returns the line of a model's starts."""
    starts = [programs[one].seconds_to_first if one in programs else None for one in NAMES[:3]]
    return row(name, batch_size, starts, decimals=1)


def cpu_row(name, batch_size, programs):
    """Returns the line of what our step makes of the CPU."""
    ours = programs["ours"]
    flops, peak, products = ours.facts["flops"], ours.answer["peak"], ours.answer["products"]
    return (
        f"{name:<20}{batch_size:>6}{ours.facts['parameters']:>13,}{flops / 1e9:>8.0f}"
        f"{peak / 1e9:>9.0f}{flops / ours.median / peak:>8.0%}"
        f"{products:>12.2f}{products / ours.median:>8.0%}"
    )


def main(_):
    if SERVE.value:
        return serve(MODELS.value[0], int(BATCH_SIZES.value[0]))
    three = f"{'ours':>9}{'Magenta':>9}{'ratio':>7}{'PyTorch':>9}{'ratio':>7}"
    model = f"{'model':<20}{'batch':>6}"
    commands.report(f"{'seconds a step':<26}{'half sampled':^41}{'teacher forced':^25}")
    commands.report(f"{model}{three}{'ours':>9}{'PyTorch':>9}{'ratio':>7}")
    measured = []
    for name, batch_size in zip(MODELS.value, BATCH_SIZES.value, strict=True):
        measured.append((name, batch_size, measure(name, batch_size)))
        commands.report(step_row(*measured[-1]))
    commands.report("\nseconds from the start of the process to the first step, half sampled")
    commands.report(model + three)
    for each in measured:
        commands.report(start_row(*each))
    commands.report("\nwhat our step makes of the CPU, half sampled")
    commands.report(f"{'':<39}{'GFLOP':>8}{'GFLOP/s':>9}{'of the':>8}{'products':>12}{'of the':>8}")
    commands.report(
        f"{model}{'parameters':>13}{'a step':>8}{'peak':>9}{'peak':>8}{'alone, s':>12}{'step':>8}"
    )
    for each in measured:
        commands.report(cpu_row(*each))
    return None


if __name__ == "__main__":
    commands.run(main)
