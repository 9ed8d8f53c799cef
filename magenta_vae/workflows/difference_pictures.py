"""Pictures of how runs differ: a line for each difference, with seeds, interval and the paper."""

import statistics
from collections.abc import Sequence
from typing import NamedTuple

from magenta_vae import files
from magenta_vae.training.song_intervals import Interval

LINEAR_NATS = 10  # Up to which the scale of nats is linear.
TICKS_OF_NATS = (-1000, -100, -30, -10, -5, -2, 0, 2, 5, 10, 30, 100, 300, 1000)


class Line(NamedTuple):
    """A difference of two runs, or of two columns of a study.

    Attributes:
        name: what stands beside the line.
        values: the difference of each seed.
        interval: over songs, of the mean over seeds; None where songs were not kept.
        paper: the paper's difference, None where the paper has none.
    """

    name: str
    values: Sequence[float]
    interval: Interval | None
    paper: float | None = None


def draw(lines: Sequence[Line], title: str, path: str, is_in_nats: bool = False) -> None:
    """Writes a PNG of differences, the first on top.

    Args:
        lines: at least one.
        title: what all lines are differences of.
        path: of the picture.
        is_in_nats: whether the differences are in nats, which span several magnitudes: their scale
            is logarithmic beyond `LINEAR_NATS`.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 1.1 + 0.4 * len(lines)), layout="constrained")
    axes = figure.subplots()
    axes.axvline(0, color="black", linewidth=0.8)
    for height, line in enumerate(lines):
        if line.interval:
            axes.hlines(height, *line.interval, color="C0", linewidth=5, alpha=0.4)
        axes.plot(line.values, [height] * len(line.values), "|", color="C0", markersize=11)
        axes.plot([statistics.fmean(line.values)], [height], "o", color="C0")
        if line.paper is not None:
            axes.plot([line.paper], [height], "D", color="C1", fillstyle="none")
    label = "dot: mean, stroke: seed, bar: 95 % over songs"
    if any(line.paper is not None for line in lines):
        label += ", diamond: paper"
    if is_in_nats:
        axes.set_xscale("symlog", linthresh=LINEAR_NATS)
        low, high = axes.get_xlim()
        axes.set_xticks([tick for tick in TICKS_OF_NATS if low <= tick <= high])
        axes.xaxis.set_major_formatter("{x:g}")
        label += f"\nnats; the scale is logarithmic beyond {LINEAR_NATS}"
    else:
        axes.locator_params(axis="x", nbins=6)
    axes.set_yticks(range(len(lines)), [line.name for line in lines])
    axes.set_ylim(len(lines) - 0.5, -0.5)
    axes.set_xlabel(label, fontsize=8)
    axes.grid(axis="x", alpha=0.3)
    figure.suptitle(title, fontsize=10)
    with files.replacing(path) as beside:
        figure.savefig(beside, format="png", dpi=150)
