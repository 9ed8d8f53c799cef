#!/usr/bin/env python3
"""Fits held-out loss against parameters and windows seen, and says what it would be elsewhere.

benchmarks/scaling.py --runs=study/runs/RUN,... --parameters=128e6 --windows=51.2e6

Of each run the folder needs `config.gin` and `result.json`.

loss = E + A / parameters^a + B / windows^b (Hoffmann et al., 2022, "Training Compute-Optimal Large
Language Models", 3.3), by least squares of log loss with weights of Huber. A run has the loss of
its last step. So the runs should have several numbers of steps, with schedules in proportion to
them. Intervals are of 95 %, by a bootstrap over the runs of each size. The intervals know nothing
of what the formula leaves out; beyond the runs the formula itself is a guess.
"""

import dataclasses
import itertools
import json
from pathlib import Path

import numpy as np
from absl import flags
from scipy import optimize, special

from magenta_vae import commands

RUNS = flags.DEFINE_list("runs", None, "Folders of runs that table1 made.", required=True)
PARAMETERS = flags.DEFINE_float("parameters", 128e6, "Parameters to estimate the loss of.")
WINDOWS = flags.DEFINE_float("windows", 51.2e6, "Windows seen, of the estimate.")
REPLICATES = flags.DEFINE_integer("replicates", 200, "Of the bootstrap.", lower_bound=1)
PICTURE = flags.DEFINE_string("picture", None, "PNG of the runs and the fit.")

NUM_NUMBERS, FEWEST_RUNS = 5, 9  # Of the formula; with fewer runs the bootstrap draws too few.
HUBER = 1e-3  # Of log loss, as Hoffmann et al. have it.
STARTS = [  # Log floor, log A, log B, a, b.
    (floor, scale, scale, power, power)
    for floor, scale, power in itertools.product((-1.0, 2.0), (3.0, 7.0), (0.3, 0.7))
]


@dataclasses.dataclass(frozen=True)
class Law:
    """The fitted formula."""

    floor: float
    of_parameters: float
    parameters_power: float
    of_windows: float
    windows_power: float

    def loss(self, parameters, windows):
        """Returns the loss in nats a window."""
        return (
            self.floor
            + self.of_parameters / np.power(parameters, self.parameters_power)
            + self.of_windows / np.power(windows, self.windows_power)
        )


def fit(parameters, windows, losses) -> Law:
    """Returns the formula nearest to some losses, each float [runs]."""
    log_parameters, log_windows, log_losses = map(np.log, (parameters, windows, losses))

    def log_terms(guess):
        log_floor, log_a, log_b, power_a, power_b = guess
        terms = log_floor + 0 * log_losses, log_a - power_a * log_parameters
        return np.array([*terms, log_b - power_b * log_windows])

    def residuals(guess):
        return np.logaddexp.reduce(log_terms(guess)) - log_losses

    def derivatives(guess):
        floor, of_a, of_b = special.softmax(log_terms(guess), axis=0)
        return np.stack([floor, of_a, of_b, -of_a * log_parameters, -of_b * log_windows], axis=1)

    options = {"jac": derivatives, "loss": "huber", "f_scale": HUBER}
    tried = [optimize.least_squares(residuals, start, **options) for start in STARTS]
    best = min(tried, key=lambda one: one.cost)
    log_floor, log_a, log_b, power_a, power_b = best.x
    return Law(np.exp(log_floor), np.exp(log_a), power_a, np.exp(log_b), power_b)


def bootstrap(parameters, windows, losses, replicates, seed=0):
    """Yields the formula of runs drawn anew, with replacement, as many of each size as there are.

    A draw without a size would leave the term of the parameters free. One of fewer runs than the
    formula has numbers is drawn again.
    """
    rng = np.random.default_rng(seed)
    sizes = [np.flatnonzero(parameters == size) for size in np.unique(parameters)]
    for _ in range(replicates):
        drawn: np.ndarray = np.empty(0)
        while len(set(drawn)) <= NUM_NUMBERS:
            drawn = np.concatenate([rng.choice(runs, size=len(runs)) for runs in sizes])
        yield fit(parameters[drawn], windows[drawn], losses[drawn])


def read(run_dir):
    """Returns parameters, windows seen and held-out loss of a run."""
    from magenta_vae import configuration
    from magenta_vae.training import weights

    config, result = (Path(run_dir, name) for name in (configuration.CONFIG_FILE, "result.json"))
    for path in (config, result):
        if not path.exists():
            raise FileNotFoundError(f"--runs must name runs that table1 made. There is no {path}.")
    experiment = configuration.parse([str(config)]).experiment
    figures = json.loads(result.read_text())["figures"]
    parameters = weights.make_empty(experiment.make_model).count_params()
    return parameters, figures["step"] * experiment.batch_size, figures["loss"]


def read_all(run_dirs):
    """Returns parameters, windows seen and held-out losses, float [3, runs]."""
    table = np.array([read(run_dir) for run_dir in run_dirs], float).reshape(-1, 3).T
    num_sizes, num_windows = (len(set(row)) for row in table[:2])
    if len(run_dirs) < FEWEST_RUNS or min(num_sizes, num_windows) < 2:
        raise ValueError(
            f"--runs must name at least {FEWEST_RUNS} runs, of several numbers of parameters "
            f"and of steps. Received: {len(run_dirs)}, of {num_sizes} and {num_windows}."
        )
    return table


def format_law(law: Law) -> str:
    """Returns the formula with its numbers."""
    of_parameters, of_windows = (
        np.format_float_positional(number, precision=4, fractional=False, trim="-")
        for number in (law.of_parameters, law.of_windows)
    )
    return (
        f"loss = {law.floor:.2f} + {of_parameters} / parameters^{law.parameters_power:.4f}"
        f" + {of_windows} / windows^{law.windows_power:.4f}"
    )


def _draw(table, law, path):
    import matplotlib.pyplot as plt

    parameters, windows, losses = table
    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    grid = np.geomspace(windows.min() / 1.5, windows.max() * 1.5, 50)
    sizes = sorted(set(parameters))
    for size, color in zip(sizes, plt.cm.viridis(np.linspace(0, 0.8, len(sizes))), strict=True):
        own = parameters == size
        axes.plot(windows[own], losses[own], "o", color=color, label=f"{size / 1e6:.1f} M")
        axes.plot(grid, law.loss(size, grid), color=color, linewidth=1)
    axes.set(xscale="log", yscale="log", xlabel="windows seen", ylabel="held-out loss, nats")
    seen = sorted(set(windows))
    axes.set_xticks(seen, [f"{each:,.0f}" for each in seen])
    axes.xaxis.set_minor_formatter("")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("{x:g}")
    axes.legend(title="parameters")
    figure.savefig(path, dpi=120)


def main(_):
    table = read_all(dict.fromkeys(RUNS.value))
    law = fit(*table)
    commands.report(f"{'parameters':>12}{'windows':>14}{'loss':>9}{'fitted':>9}")
    for parameters, windows, loss in sorted(table.T.tolist()):
        fitted = law.loss(parameters, windows)
        commands.report(f"{parameters:>12,.0f}{windows:>14,.0f}{loss:>9.2f}{fitted:>9.2f}")
    commands.report(format_law(law))
    where = PARAMETERS.value, WINDOWS.value
    drawn = [one.loss(*where) for one in bootstrap(*table, REPLICATES.value)]
    low, high = np.percentile(drawn, [2.5, 97.5])
    commands.report(
        f"{where[0]:,.0f} parameters after {where[1]:,.0f} windows, an estimate: "
        f"{law.loss(*where):.2f} nats [{low:.2f}, {high:.2f}]"
    )
    if PICTURE.value:
        _draw(table, law, PICTURE.value)


if __name__ == "__main__":
    commands.run(main)
