#!/usr/bin/env python3
"""Shows how the hierarchical decoder differs from a flat one in studies of several lengths.

benchmarks/lengths.py --studies=bars2,bars8,bars16,bars32 --output=lengths.png

Each study is a folder of `table1` with the columns `scheduled` and `flat` of hierdec_mel_32bar. The
windows of a study have the length that its `num_bars` binds.
"""

import json
from pathlib import Path

from absl import flags

from magenta_vae import commands
from magenta_vae.training import table1
from magenta_vae.workflows import study_cells

STUDIES = flags.DEFINE_list("studies", None, "Folders that table1 made.", required=True)
OUTPUT = flags.DEFINE_string("output", None, "PNG of the differences.")

MODEL, COLUMNS = "hierdec_mel_32bar", (table1.SCHEDULED, study_cells.COLUMNS["flat"][0])
KEY = {"metric": "recon", "column": COLUMNS[0], "other_column": COLUMNS[1]}


def read(study: str) -> dict:
    """Returns the claim about `recon` as `table1.json` has it, with bars and the columns' figures.

    Raises:
        ValueError: where the study lacks one of the two columns.
    """
    path = Path(study, "table1.json")
    described = json.loads(path.read_text())
    claims = [
        one
        for one in described.get("claims", ())
        if one["model"] == MODEL and KEY.items() <= one.items()
    ]
    if not claims:
        raise ValueError(
            f"--studies must name studies of {MODEL} with the columns {' and '.join(COLUMNS)}. "
            f"{path} has no difference of the two."
        )
    runs = [run for run in described["runs"] if run["cell"][0] == MODEL]
    figures = {
        (row["column"], row["metric"]): row["mean"]
        for row in described["table"] + described["notes"]
        if row["model"] == MODEL
    }
    return claims[0] | {
        "bars": runs[0]["data"]["settings"]["num_bars"],
        "recon": [figures[column, "recon"] for column in COLUMNS],
        "f1": [figures[column, "notes F1"] for column in COLUMNS],
    }


def _draw(lengths: list[dict], path: str) -> None:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
    axes.axhline(0, color="black", linewidth=0.8)
    for one in lengths:
        if one["low"] is not None:
            ends = [one["low"], one["high"]]
            axes.vlines(one["bars"], *ends, color="C0", linewidth=5, alpha=0.4)
        axes.plot([one["bars"]] * len(one["values"]), one["values"], "_", color="C0", markersize=11)
    axes.plot(*zip(*((one["bars"], one["mean"]) for one in lengths), strict=True), "o", color="C0")
    axes.set_xscale("log", base=2)
    axes.set_xticks([one["bars"] for one in lengths], [one["bars"] for one in lengths])
    axes.set(xlabel="bars of a window", ylabel="recon: hierarchical - flat")
    axes.set_title("dot: mean, stroke: seed, bar: 95 % over songs, not over seeds", fontsize=8)
    axes.grid(axis="y", alpha=0.3)
    figure.savefig(path, dpi=150)


def format_row(one: dict) -> str:
    """Returns the row of a study, as `read` gives the study."""
    spread = "" if one["deviation"] is None else f" ± {one['deviation']:.3f}"
    interval = "-" if one["low"] is None else f"{one['low']:.3f} to {one['high']:.3f}"
    hierarchical, flat = one["recon"]
    f1, flat_f1 = one["f1"]
    return (
        f"| {one['bars']} | {hierarchical:.3f} | {flat:.3f} | {one['mean']:.3f}{spread} | "
        f"{interval} | {f1:.3f} and {flat_f1:.3f} |"
    )


def main(_):
    lengths = sorted(map(read, STUDIES.value), key=lambda one: one["bars"])
    commands.report(
        "| bars | hierarchical | flat | difference | interval over songs | F1 of notes |"
    )
    commands.report("|---|---|---|---|---|---|")
    for one in lengths:
        commands.report(format_row(one))
    if OUTPUT.value:
        _draw(lengths, OUTPUT.value)


if __name__ == "__main__":
    commands.run(main)
