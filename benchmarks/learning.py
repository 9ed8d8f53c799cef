#!/usr/bin/env python3
"""Prints the time until Magenta 2.1.4's held-out loss is reached, of ours and of Magenta's own.

benchmarks/learning.py --data_dir=data/mel_2bar --peer_python=PEER/bin/python --picture=curves.png
benchmarks/learning.py --data_dir=data/hierdec_mel_32bar --model=hierdec_mel_32bar ...

Both train models of 128 units on the same windows, with the same hyperparameters and without
augmentation, in turns; after each turn both are evaluated on the same held-out windows, teacher
forced from a z that is drawn from the posterior. The loss is that of training with the whole beta:
the cross-entropy, and beta times the KL beyond the free bits, in nats a window.

What is to be reached is Magenta's loss after its last step, and each side's time is that at which
its loss is first so low; between two evaluations the curves are taken to be straight. The seconds
are those of training steps alone.

To try it: --peer_steps=20 --rounds=2 --held_out_windows=64
"""

import contextlib
import itertools
import json
import os
import statistics
import sys
import tempfile
import time
from typing import NamedTuple

from absl import flags
from peers import HERE, Program, as_trained

from magenta_vae import commands, configuration

# The learning rate is the paper's: 1e-5 + (1e-3 - 1e-5) * 0.9999^step.
HYPERPARAMETERS = {
    "mel_2bar": {
        "batch_size": 64,
        "units": 128,
        "layers": 2,
        "z_size": 128,
        "free_bits": 48,
        "max_beta": 0.2,
        "beta_rate": 0.999,  # beta = max_beta * (1 - beta_rate^step)
        "sampling_rate": 600,
    },
    "hierdec_mel_32bar": {
        "batch_size": 32,
        "units": 128,
        "layers": 2,
        "z_size": 128,
        "free_bits": 256,
        "max_beta": 1.0,
        "beta_rate": 0.0,  # constant, as the paper's
        "sampling_rate": 600,
    },
}

MODEL = flags.DEFINE_enum("model", "mel_2bar", list(HYPERPARAMETERS), "The model that learns.")
DATA_DIR = flags.DEFINE_string("data_dir", None, "A data set of its windows.", required=True)
PEER_PYTHON = flags.DEFINE_string("peer_python", None, "Python with Magenta 2.1.4 installed.")
PEER_STEPS = flags.DEFINE_integer("peer_steps", 3000, "Steps of each side.", lower_bound=1)
ROUNDS = flags.DEFINE_integer("rounds", 30, "Turns of each side.", lower_bound=1)
SEEDS = flags.DEFINE_list("seeds", ["1"], "Of the weights, the order and the draws: a race each.")
HELD_OUT_WINDOWS = flags.DEFINE_integer("held_out_windows", 1024, "At most so many are held out.")
PICTURE = flags.DEFINE_string("picture", None, "A .png of the curves; without, none is drawn.")
STEPS_PER_CALL = 10  # of ours at most, as a training takes them
SERVE = flags.DEFINE_list("serve", None, "Be the side that is measured (used by the command).")


class Point(NamedTuple):
    """A side's state at an evaluation."""

    step: float
    seconds: float
    loss: float


def bindings(model_name, given):
    """Returns the bindings that give our models the hyperparameters."""
    max_beta, rises = given["max_beta"], given["beta_rate"] > 0
    if model_name.startswith("hierdec"):
        stacks = ["decoders.HierarchicalDecoder", "decoders.Conductor"]
        # The conductor's outputs themselves are embeddings, as Magenta's are.
        own = ["decoders.Conductor.embedding_size = None"]
    else:
        stacks, own = ["decoders.FlatDecoder"], []
    return [
        *own,
        *(f"{stack}.num_units = {given['units']}" for stack in stacks),
        *(f"{stack}.num_layers = {given['layers']}" for stack in stacks),
        f"encoders.BidirectionalLSTM.num_units = {given['units']}",
        f"z_size = {given['z_size']}",
        f"music_vae.MusicVAE.free_bits = {given['free_bits']}",
        "music_vae.MusicVAE.beta = @beta/schedules.ExponentialDecay()",
        f"beta/schedules.ExponentialDecay.initial = {0.0 if rises else max_beta}",
        f"beta/schedules.ExponentialDecay.final = {max_beta}",
        f"beta/schedules.ExponentialDecay.rate = {given['beta_rate'] if rises else 1.0}",
        f"schedules.InverseSigmoid.rate = {given['sampling_rate']}",
    ]


def serve(model_name, seed, training_file, held_out_file):
    """Trains and evaluates on request, as `peer/learn.py` does."""
    import keras
    import numpy as np

    from magenta_vae.data import input_pipeline
    from magenta_vae.training import devices, steps

    given, seed = HYPERPARAMETERS[model_name], int(seed)
    tokens, held_out = (np.load(file)[..., None] for file in (training_file, held_out_file))
    experiment = configuration.parse([f"{model_name}.gin"], bindings(model_name, given)).experiment
    strategy = devices.make_strategy()
    keras.utils.set_random_seed(seed)
    model, optimizer = experiment.make_model(), experiment.make_optimizer()
    batch_size = given["batch_size"]
    train_steps = steps.TrainingSteps(
        model, optimizer, strategy, batch_size, seed, experiment.clip_norm
    )
    chunks = [
        (step, min(STEPS_PER_CALL, last - step))
        for first, last in itertools.pairwise(turn_ends())
        for step in range(first, last, STEPS_PER_CALL)
    ]
    batches = input_pipeline.training_batches(tokens, batch_size, seed, chunks)
    variables = [*model.variables, *optimizer.variables]
    initial = [variable.numpy() for variable in variables]
    train_steps.take(next(iter(batches)))  # The first step makes the graph.
    for variable, value in zip(variables, initial, strict=True):
        variable.assign(value)
    evaluate = make_evaluation(model, held_out, batch_size, seed, given)
    evaluate()
    batches = iter(batches)
    print(json.dumps({"parameters": model.count_params()}), flush=True)
    for line in sys.stdin:
        request, *number = line.split()
        if request == "train":
            start = time.perf_counter()
            for _ in range(0, int(number[0]), STEPS_PER_CALL):
                metrics = train_steps.take(next(batches))
            metrics["loss"].numpy()
            answer = {"seconds": time.perf_counter() - start}
        else:
            answer = evaluate()
        print(json.dumps(answer), flush=True)


def turn_ends():
    """Returns the step at which each turn ends, and before them 0."""
    return [PEER_STEPS.value * turn // ROUNDS.value for turn in range(ROUNDS.value + 1)]


def make_evaluation(model, tokens, batch_size, seed, given):
    """Returns () -> the mean held-out terms, as `peer/learn.py` has them."""
    import numpy as np
    import tensorflow as tf

    from magenta_vae.model import losses
    from magenta_vae.model.noise import BatchNoise

    @tf.function(autograph=False)
    def terms_of(batch, first):
        mu, sigma = model.encode(batch)
        z = model.draw_z(mu, sigma, BatchNoise(tf.stack([seed, first]), batch_size))
        terms = model.loss_terms(batch, model.decode(z, batch), mu, sigma, 0)
        cost = losses.kl_cost(terms["kl"], given["max_beta"], given["free_bits"])
        loss = terms["reconstruction"] + cost
        return {"loss": loss, "reconstruction": terms["reconstruction"], "kl": terms["kl"]}

    def evaluate():
        found = [
            terms_of(tf.constant(tokens[first : first + batch_size], tf.int32), tf.constant(first))
            for first in range(0, len(tokens), batch_size)
        ]
        return {name: float(np.mean([each[name] for each in found])) for name in found[0]}

    return evaluate


def write_windows(model_name, data_dir, folder):
    """Writes the windows of both splits, int [windows, steps], and returns the files' names."""
    import numpy as np

    from magenta_vae.data import input_pipeline

    settings = configuration.parse([f"{model_name}.gin"]).experiment.settings
    batch_size = HYPERPARAMETERS[model_name]["batch_size"]
    splits = {
        split: input_pipeline.load_tokens(data_dir, split, settings)[..., 0]
        for split in ("train", "eval")
    }
    # Magenta's graph evaluates whole batches alone.
    num_held_out = min(HELD_OUT_WINDOWS.value, len(splits["eval"])) // batch_size * batch_size
    splits["eval"] = splits["eval"][:num_held_out]
    if not num_held_out or len(splits["train"]) < batch_size:
        raise ValueError(
            f"Each split must have a batch of {batch_size} windows; --held_out_windows too. "
            f"Received: {len(splits['train'])} to train and {num_held_out} held out of {data_dir}."
        )
    names = []
    for split, tokens in splits.items():
        names.append(os.path.join(folder, f"{split}.npy"))
        np.save(names[-1], tokens)
    commands.report(f"{len(splits['train']):,} windows to train, {num_held_out:,} held out")
    return names


def race(model_name, seed, files):
    """Trains the sides in turns and prints their rows; returns the curve of each, by its name."""
    own = __file__, f"--data_dir={DATA_DIR.value}", f"--peer_steps={PEER_STEPS.value}"
    own += (f"--rounds={ROUNDS.value}",)
    sides = {"ours": as_trained(*own, f"--serve={','.join([model_name, seed, *files])}")}
    if PEER_PYTHON.value:
        hyperparameters = json.dumps(HYPERPARAMETERS[model_name])
        peer = [PEER_PYTHON.value, HERE / "peer" / "learn.py", model_name, hyperparameters]
        sides["Magenta"] = [*peer, seed, *files]
    curves = {name: [] for name in sides}
    with contextlib.ExitStack() as stack:
        programs = {
            name: stack.enter_context(contextlib.closing(Program(command)))
            for name, command in sides.items()
        }
        for name, program in programs.items():
            commands.report(
                f"{name}: {program.facts['parameters']:,} parameters, "
                f"ready after {program.seconds_to_first:.0f} s"
            )
        commands.report(heading(sides))
        before = 0
        for step in turn_ends():
            more, before = step - before, step
            cells = ""
            for name, program in programs.items():
                seconds = curves[name][-1].seconds if curves[name] else 0.0
                seconds += program.ask(f"train {more}")["seconds"] if more else 0.0
                terms = program.ask("evaluate")
                curves[name].append(Point(step, seconds, terms["loss"]))
                cells += f"{seconds:>9.1f}{terms['loss']:>9.2f}"
                cells += f"{terms['reconstruction']:>9.2f}{terms['kl']:>9.2f}"
            commands.report(f"{seed:>6}{step:>8,}{cells}")
    return curves


def heading(sides):
    """Returns the two lines above the rows of a race."""
    above = "".join(f"{name + ', held out':^36}" for name in sides)
    columns = "".join(f"{name:>9}" for name in ("seconds", "loss", "recon", "KL"))
    return f"{'':<14}{above}\n{'seed':>6}{'step':>8}{columns * len(sides)}"


def first_at(curve, loss):
    """Returns the point where a curve first is at a loss or below, None where it never is."""
    if curve[0].loss <= loss:
        return curve[0]
    for before, after in itertools.pairwise(curve):
        if after.loss <= loss:
            share = (before.loss - loss) / (before.loss - after.loss)
            step = before.step + share * (after.step - before.step)
            return Point(step, before.seconds + share * (after.seconds - before.seconds), loss)
    return None


def median_step(curve):
    """Returns the seconds a step of the median turn: a turn that was disturbed counts little."""
    turns = [(b.seconds - a.seconds, b.step - a.step) for a, b in itertools.pairwise(curve)]
    return statistics.median(seconds / steps for seconds, steps in turns if steps)


def compare(seed, curves):
    """Prints when each side reached Magenta's last loss, and returns the ratio of the times.

    None where ours never did.
    """
    last = curves["Magenta"][-1]
    reached = {name: first_at(curve, last.loss) for name, curve in curves.items()}
    commands.report(
        f"seed {seed}: Magenta's held-out loss of step {last.step:,}, {last.loss:.2f} nats"
    )
    for name, point in reached.items():
        when = f"after {point.seconds:,.1f} s, {point.step:,.0f} steps" if point else "never"
        step = median_step(curves[name])
        commands.report(f"  reached by {name}: {when}; a step of the median turn took {step:.3f} s")
    if reached["ours"] is None or not reached["ours"].seconds:
        return None
    ratio = reached["Magenta"].seconds / reached["ours"].seconds
    commands.report(f"  Magenta's time / ours: {ratio:.2f}")
    return ratio


def draw(races, path):
    """Writes the curves of all races, by their seeds, as a picture."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

    from magenta_vae import files

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    styles = ["-", "--", ":", "-."]
    for index, (seed, curves) in enumerate(races.items()):
        for (name, curve), color in zip(curves.items(), ("tab:blue", "tab:orange"), strict=False):
            _, seconds, losses = zip(*curve, strict=True)
            style = styles[index % len(styles)]
            axes.plot(seconds, losses, style, color=color, label=f"{name}, seed {seed}", marker=".")
        if "Magenta" in curves:
            axes.axhline(curves["Magenta"][-1].loss, color="gray", linewidth=0.8)
    axes.set(
        title=f"{MODEL.value}, 128 units, {PEER_STEPS.value:,} steps; gray: Magenta's last loss",
        xlabel="seconds of training steps",
        ylabel="held-out loss, nats a window",
        yscale="log",
    )
    axes.yaxis.set_major_locator(LogLocator(subs=[1, 2, 3, 5]))
    axes.yaxis.set_major_formatter(ScalarFormatter())
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.grid(alpha=0.3)
    axes.legend()
    with files.replacing(path) as beside:
        figure.savefig(beside, format="png", dpi=120)


def main(_):
    if SERVE.value:
        return serve(*SERVE.value)
    races, ratios = {}, []
    with tempfile.TemporaryDirectory() as folder:
        written = write_windows(MODEL.value, DATA_DIR.value, folder)
        for seed in SEEDS.value:
            races[seed] = race(MODEL.value, seed, written)
            if PEER_PYTHON.value:
                ratios.append(compare(seed, races[seed]))
    if len(ratios) > 1 and None not in ratios:
        median = statistics.median(ratios)
        commands.report(f"Magenta's time / ours, median of {len(ratios)} seeds: {median:.2f}")
    if PICTURE.value:
        draw(races, PICTURE.value)
    return None


if __name__ == "__main__":
    commands.run(main)
