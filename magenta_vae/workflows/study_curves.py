"""The curves of a study's runs: held-out figures by step, as a table and as pictures."""

import os
import statistics
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import tensorflow as tf
from tensorboard.backend.event_processing import event_accumulator

from magenta_vae import files
from magenta_vae.workflows import text_tables
from magenta_vae.workflows.study import Study
from magenta_vae.workflows.study_cells import COLUMNS, Cell

if TYPE_CHECKING:  # matplotlib is imported when there is something to draw.
    from matplotlib.axes import Axes

CURVES = {  # As TensorBoard names them, for each track where there are several, and titles.
    "next_accuracy": "next-step accuracy",
    "reconstruction_accuracy": "reconstruction accuracy",
    "kl": "KL (nats)",
}
HIGHEST = 3.0  # Of a panel, in medians of its values: the KL may be far above while beta is low.


class Point(NamedTuple):
    """The held-out metrics of a run after some of its steps.

    Attributes:
        model, column, seed: the run.
        step: after which.
        next_accuracy, reconstruction_accuracy: means over tracks.
        kl: in nats, None of a baseline, which has no z. All are None where they were not written.
    """

    model: str
    column: str
    seed: int
    step: int
    next_accuracy: float | None
    reconstruction_accuracy: float | None
    kl: float | None


def write(study: Study) -> None:
    """Writes each run's held-out accuracies and KL by step: `curves.csv`, `curves-<model>.png`."""
    runs = [list(_read_points(study, cell)) for cell in study.done()]
    points = [point._asdict() for run in runs for point in run]
    text = text_tables.format_csv(points, list(Point._fields))
    files.write_text(os.path.join(study.output_dir, "curves.csv"), text)
    for model in dict.fromkeys(point["model"] for point in points):
        runs_of_model = [run for run in runs if run and run[0].model == model]
        _draw_curves(runs_of_model, os.path.join(study.output_dir, f"curves-{model}.png"))


def read(run_dir: str) -> dict[str, list[tuple[int, float]]]:
    """Returns (step, value) of each scalar of the held-out split, from TensorBoard's files.

    Of a run that was copied without these files it returns nothing.
    """
    events_dir = os.path.join(run_dir, "eval")
    if not os.path.isdir(events_dir):
        return {}
    accumulator = event_accumulator.EventAccumulator(
        events_dir, size_guidance={event_accumulator.TENSORS: 0}
    )
    accumulator.Reload()
    curves = {}
    for name in accumulator.Tags()["tensors"]:
        events = accumulator.Tensors(name)
        values = [(event.step, tf.make_ndarray(event.tensor_proto)) for event in events]
        if all(value.size == 1 and value.dtype.kind == "f" for _, value in values):
            curves[name] = [(step, float(value)) for step, value in values]
    return curves


def leave_out_peaks(axes: "Axes") -> None:
    """Ends a panel above its usual values, and says in it how high the curves go."""
    values = [np.asarray(line.get_ydata(), float) for line in axes.lines]
    drawn = [value for each in values for value in each[np.isfinite(each)].tolist()]
    shown = [value for value in drawn if value <= HIGHEST * statistics.median(drawn)]
    if len(shown) == len(drawn):
        return
    margin = 0.05 * (max(shown) - min(shown))
    axes.set_ylim(min(shown) - margin, max(shown) + margin)
    label = f"highest value, above: {max(drawn):,.0f}"
    axes.text(0.97, 0.97, label, transform=axes.transAxes, ha="right", va="top", fontsize=9)


def _read_points(study: Study, cell: Cell) -> Iterator[Point]:
    curves = read(study.run_dir(cell))
    of_steps = [dict(_mean_curve(curves, name)) for name in CURVES]
    for step in sorted(of_steps[0]):
        values = [of_step.get(step) for of_step in of_steps]
        if cell.column == "baseline":
            values[-1] = None
        yield Point(*cell, step, *values)


def _draw_curves(runs: list[list[Point]], path: str) -> None:
    from matplotlib.figure import Figure

    colors = {column: f"C{index}" for index, column in enumerate(COLUMNS)}
    figure = Figure(figsize=(12, 3.5), layout="constrained")
    panels = figure.subplots(1, len(CURVES))
    for axes, (name, title) in zip(panels, CURVES.items(), strict=True):
        for run in runs:
            column = run[0].column
            steps = [point.step for point in run]
            values = [getattr(point, name) for point in run]
            if values[0] is not None:
                axes.plot(steps, values, color=colors[column], label=column)
        axes.set(title=title, xlabel="step")
        leave_out_peaks(axes)
        axes.grid(alpha=0.3)
    handles, labels = panels[0].get_legend_handles_labels()
    by_label = dict(zip(labels, handles, strict=True))  # One of each column's.
    panels[0].legend(by_label.values(), by_label.keys())
    figure.suptitle(f"{runs[0][0].model}, held-out split, one line a run")
    with files.replacing(path) as beside:
        figure.savefig(beside, format="png", dpi=150)


def _mean_curve(curves: dict, prefix: str) -> list[tuple[int, float]]:
    """Returns the mean over tracks of the curves `prefix` or `prefix/<track>`."""
    curves_of_tracks = [curve for name, curve in curves.items() if name.split("/")[0] == prefix]
    return [
        (points[0][0], statistics.fmean(value for _, value in points))
        for points in zip(*curves_of_tracks, strict=False)
    ]
