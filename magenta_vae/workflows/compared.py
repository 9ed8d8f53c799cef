"""Runs beside one another: what `compare` says of them."""

import string
from collections.abc import Callable, Collection, Sequence

from magenta_vae.workflows import model_places, run_differences, run_figures, runs
from magenta_vae.workflows.run_figures import Figure
from magenta_vae.workflows.runs import Run

MAX_RUNS = len(string.ascii_uppercase)


def compare(
    places: Sequence[str],
    checkpoints: Sequence[str] = ("latest",),
    modules: Collection[str] = (),
    split: str = "eval",
    data_dir: str | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> dict:
    """Says what runs differ in, measures them, and returns what was found as JSON values.

    Args:
        places: folders of runs, or names or addresses of models: see `model_places.find`.
        checkpoints: which weights, of all or of each; see `runs.open`.
        modules: see `runs.open`.
        split, data_dir: of the windows; see `run_figures.measure`.
        report: is given the tables.

    Raises:
        FileNotFoundError: where there is no such run or data set.
        ValueError: for checkpoints that are neither one nor as many as the runs, and as
            `run_figures.measure` does.
    """
    if len(checkpoints) not in (1, len(places)) or len(places) > MAX_RUNS:
        raise ValueError(
            f"--checkpoint must be one for all runs, or one for each of at most {MAX_RUNS}. "
            f"Received: {len(checkpoints)} for {len(places)} runs."
        )
    each_checkpoint = list(checkpoints) * (len(places) if len(checkpoints) == 1 else 1)
    opened = [
        runs.open(model_places.find(place), checkpoint, modules)
        for place, checkpoint in zip(places, each_checkpoint, strict=True)
    ]
    labels = string.ascii_uppercase[: len(places)]
    described = list(map(_describe, opened, places, each_checkpoint))
    for label, one in zip(labels, described, strict=True):
        report(f"{label}  {one['run']}, step {one['step']:,}, {one['parameters']:,} parameters")
    differences = run_differences.find(opened)
    report("\n" + run_differences.format_table(differences, labels) + "\n")
    measured = run_figures.measure(opened, split, data_dir)
    figures = run_figures.compare(measured)
    report(run_figures.format_table(figures, labels))
    report("\n" + run_figures.format_notes(measured, labels, split))
    for one, each in zip(described, measured, strict=True):
        one |= {
            "data_dir": each.data_dir,
            "split": split,
            "windows": each.num_windows,
            "songs": each.num_songs,
            "trained_on": each.num_learnt,
            "paired_with_first": run_figures.are_paired(measured[0], each),
        }
    return {
        "runs": described,
        "differences": differences,
        "figures": {"/".join(figure.name): _as_json(figure) for figure in figures},
    }


def _describe(run: Run, place: str, checkpoint: str) -> dict:
    return {
        "run": place,
        "checkpoint": checkpoint,
        "step": run.step,
        "parameters": run.network.count_params(),
    }


def _as_json(figure: Figure) -> dict:
    return {
        "values": figure.values,
        "intervals": figure.intervals,
        "differences": figure.differences,
        "intervals_of_differences": figure.of_differences,
    }
