#!/usr/bin/env -S GLIBC_TUNABLES=glibc.malloc.hugetlb=1 python3
"""Prints the speed of the matrix products of a training step, those of each shape alone in a loop.

benchmarks/products.py

At a quarter of the paper's widths, in float32. The shapes are those of our step's own products, as
`operations.list_products` has them; two loops take them side by side, each on half of the cores,
with nothing between them: no activations, no look-ups, no copies. `train_step.py` prints their
total beside the step. Memory is kept as in training, the first line of this file included.
"""

from absl import flags
from operations import list_products, seconds_alone
from peers import widths

from magenta_vae import commands, configuration

MODELS = flags.DEFINE_list(
    "models", ["mel_2bar", "hierdec_mel_32bar", "hierdec_trio_16bar"], "Models to measure."
)
BATCH_SIZES = flags.DEFINE_list("batch_sizes", ["64", "32", "32"], "Batch of each model.")

MIN_SHARE = 0.01  # of the operations, for a line of its own


def report(name, batch_size):
    """Measures the products of a model's step and prints their rows."""
    products = sorted(products_of(name, batch_size), key=lambda each: -each.flops)
    seconds = [seconds_alone(each) for each in products]
    flops = [each.flops for each in products]
    num_shown = sum(each >= MIN_SHARE * sum(flops) for each in flops)
    commands.report(f"{name}, batch {batch_size}")
    commands.report(
        f"{'rows x inner x columns':<26}{'turned around':<16}{'a step':>8}"
        f"{'GFLOP/s':>9}{'GFLOP':>9}{'seconds':>9}"
    )
    for product, each in zip(products[:num_shown], seconds, strict=False):
        shape = f"{product.rows} x {product.inner} x {product.columns}"
        commands.report(row(shape, product.turned, product.count, product.flops, each))
    if products[num_shown:]:
        rest = sum(flops[num_shown:]), sum(seconds[num_shown:])
        commands.report(row("others, each under 1 %", "", "", *rest))
    commands.report(row("all", "", "", sum(flops), sum(seconds)) + "\n")


def products_of(name, batch_size):
    """Returns the products of a model's step, built without allocating its weights."""
    import tensorflow as tf

    from magenta_vae.music.tokens import num_classes
    from magenta_vae.training import devices

    devices.make_strategy()  # Which says how memory is kept.
    experiment = configuration.parse([f"{name}.gin"], widths(name)).experiment
    with tf.Graph().as_default():
        model = experiment.make_model()
        classes = num_classes(experiment.settings.tracks)
        return list_products(model, classes, experiment.settings.num_steps, batch_size)


def row(name, turned, count, flops, seconds):
    """Returns a line of the table."""
    return (
        f"{name:<26}{turned:<16}{count:>8}"
        f"{flops / seconds / 1e9:>9.0f}{flops / 1e9:>9.2f}{seconds:>9.3f}"
    )


def main(_):
    for name, batch_size in zip(MODELS.value, BATCH_SIZES.value, strict=True):
        report(name, int(batch_size))


if __name__ == "__main__":
    commands.run(main)
