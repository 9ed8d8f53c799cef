#!/usr/bin/env python3
"""Prints seconds to decode beside Magenta 2.1.4's TrainedModel, and to the first music.

benchmarks/sample.py --peer_python=PEER/bin/python

Both at a quarter of the paper's widths, with random weights, through what their users call, in
processes that are measured in turns. `peer/README.md` says how the peer is installed; without
--peer_python ours is measured alone. Ours is there twice: as it is, and compiled by XLA
(`magenta_vae.load(run_dir, jit_compile=True)`). The first music is a batch of samples, counted from
the start of the process.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

from absl import flags
from peers import alternate, widths

from magenta_vae import commands, configuration
from magenta_vae.workflows import run_files

PEER_PYTHON = flags.DEFINE_string("peer_python", None, "Python with Magenta 2.1.4 installed.")
MODELS = flags.DEFINE_list("models", ["mel_2bar", "hierdec_trio_16bar"], "Models to measure.")
BATCH_SIZES = flags.DEFINE_list("batch_sizes", ["64", "1"], "Points decoded at a time.")
ROUNDS = flags.DEFINE_integer("rounds", 4, "Turns of each side.")
STARTS = flags.DEFINE_integer("starts", 3, "Starts of each side, of which the median counts.")
BATCHES = flags.DEFINE_integer("batches", 5, "Batches of a turn.")
JIT_COMPILE = flags.DEFINE_bool("jit_compile", False, "Whether the side measured is compiled.")
SERVE = flags.DEFINE_string(
    "serve", None, "Be the side measured, of this run (used by the command)."
)

PEER = Path(__file__).parent / "peer" / "sample.py"
PEER_NAMES = {"mel_2bar": "cat-mel_2bar_big", "hierdec_trio_16bar": "hierdec-trio_16bar"}


def serve(run_dir, batch_size):
    """Decodes on request, as `peer/sample.py` does."""
    import magenta_vae

    model = magenta_vae.load(run_dir, jit_compile=JIT_COMPILE.value)
    model.sample(batch_size, temperature=0.5)
    print(json.dumps({}), flush=True)
    for index, line in enumerate(sys.stdin):
        seconds = []
        for repetition in range(int(line)):
            z = model.sample_z(batch_size, seed=100 * index + repetition)
            start = time.perf_counter()
            model.decode_tokens(z, temperature=0.5)
            seconds.append(time.perf_counter() - start)
        print(json.dumps({"seconds": seconds}), flush=True)


def make_run(model, run_dir):
    """Writes a run whose model was never trained."""
    from magenta_vae.training.checkpoints import Checkpoints

    configured = configuration.parse([f"{model}.gin"], widths(model))
    experiment = configured.experiment
    network, optimizer = experiment.make_model(), experiment.make_optimizer()
    optimizer.build(network.trainable_variables)
    Checkpoints(run_dir, network, optimizer).save()
    run_files.start_imported(configured, run_dir, {})


def compare(model, batch_size, run_dir, peer_dir):
    """Measures one model at one batch size and prints its row."""
    own = [sys.executable, __file__, f"--serve={run_dir}", f"--batch_sizes={batch_size}"]
    programs = [own, [*own, "--jit_compile"]]
    if PEER_PYTHON.value:
        programs.append([PEER_PYTHON.value, PEER, PEER_NAMES[model], batch_size, peer_dir])
    measured = alternate(programs, ROUNDS.value, BATCHES.value, STARTS.value)
    row = f"{model:<20}{batch_size:>6}"
    for attribute in ("median", "seconds_to_first"):
        ours, compiled, *peers = (getattr(side, attribute) for side in measured)
        row += f"{ours:>8.3f}{compiled:>10.3f}"
        row += "".join(f"{peer:>8.3f}{peer / ours:>7.2f}{peer / compiled:>10.2f}" for peer in peers)
        row += "" if peers else f"{'-':>25}"
    commands.report(row)


def main(_):
    if SERVE.value:
        return serve(SERVE.value, int(BATCH_SIZES.value[0]))
    commands.report(f"{'':<26}{'seconds a batch':^43}{'start to first music':^43}")
    each = f"{'ours':>8}{'compiled':>10}{'peer':>8}{'ratio':>7}{'compiled':>10}"
    commands.report(f"{'model':<20}{'batch':>6}{each}{each}")
    for model in MODELS.value:
        with tempfile.TemporaryDirectory() as run_dir, tempfile.TemporaryDirectory() as peer_dir:
            make_run(model, run_dir)
            if PEER_PYTHON.value:
                import subprocess

                write = [PEER_PYTHON.value, str(PEER), PEER_NAMES[model], "1", peer_dir]
                subprocess.run(write, check=True, capture_output=True)
            for batch_size in BATCH_SIZES.value:
                compare(model, int(batch_size), run_dir, peer_dir)
    return None


if __name__ == "__main__":
    commands.run(main)
