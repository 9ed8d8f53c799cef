"""Trainings that go wrong: losses that are no numbers, and numbers that say nothing."""

import warnings
from collections.abc import Mapping

import numpy as np

# Nats an example. 32 bars of melody are 512 tokens of ln 130 nats, 2,492 in all, a trio of 16 bars
# is 4,090: a posterior that tells hundreds of times as much has run away. The paper, whose KL ends
# at 76 to 1,050 nats, bounds neither mu nor sigma.
MAX_KL = 1e6


class TrainingDiverged(ArithmeticError):
    """A loss or gradient is no longer a number, or the KL is nonsense."""


def check(
    metrics: Mapping[str, np.ndarray], first_step: int, last_good: str | None, run_dir: str
) -> None:
    """Raises `TrainingDiverged` where steps went wrong, with what to try.

    Args:
        metrics: of the steps, float [steps] each.
        first_step: before the first of them.
        last_good: the path of the newest checkpoint, None where there is none.
        run_dir: the run's folder.
    """
    for name in ("loss", "gradient_norm"):
        is_bad = ~np.isfinite(metrics[name])
        if name == "gradient_norm" and "loss_scale" in metrics:
            is_bad &= metrics["loss_scale"] <= 1  # Above, the scale may be to blame; it is halved.
        _stop(is_bad, name, metrics[name], first_step, last_good, run_dir)
    if "kl" in metrics:
        name = "KL, in nats an example,"
        _stop(metrics["kl"] > MAX_KL, name, metrics["kl"], first_step, last_good, run_dir)


def warn_of_nonsense(kl: float) -> None:
    """Warns of a KL, in nats an example, that no window can need."""
    if not kl <= MAX_KL:
        warnings.warn(
            f"The KL is {kl:.3g} nats an example, more than any window holds: the weights have run "
            "away or are damaged, and the figures say nothing.",
            stacklevel=2,
        )


def _stop(is_bad: np.ndarray, name: str, values: np.ndarray, first_step, last_good, run_dir):
    bad = np.flatnonzero(is_bad)
    if not len(bad):
        return
    advice = "Try a lower learning rate, a smaller clip_norm or a longer annealing of beta"
    raise TrainingDiverged(
        f"The {name} of step {first_step + bad[0] + 1:,} is {values[bad[0]]}. "
        + (
            f"The last good checkpoint is {last_good}. {advice}, in a run of its own: with "
            f"another --run_dir, and --init_from={run_dir} to start from those weights."
            if last_good
            else f"No step was saved yet. {advice}."
        )
    )
