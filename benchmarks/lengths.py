#!/usr/bin/env python3
"""Shows how the hierarchical decoder differs from a flat one in studies of several lengths.

benchmarks/lengths.py --studies=bars2,bars8,bars16,bars32 --output=lengths.png

Each study is a folder of `table1` with the columns `scheduled` and `flat` of hierdec_mel_32bar. The
windows of a study have the length that its `num_bars` binds. The picture tells studies of one
length by their folders.
"""

import collections
import json
import statistics
from pathlib import Path

from absl import flags

from magenta_vae import commands
from magenta_vae.workflows import difference_pictures, study_cells

STUDIES = flags.DEFINE_list("studies", None, "Folders that table1 made.", required=True)
OUTPUT = flags.DEFINE_string("output", None, "PNG of the differences.")

MODEL, CELLS = "hierdec_mel_32bar", ("scheduled", "flat")
COLUMNS = tuple(study_cells.COLUMNS[cell][0] for cell in CELLS)
KEY = {"metric": "recon", "column": COLUMNS[0], "other_column": COLUMNS[1]}


def read(study: str) -> dict:
    """Returns the claim about `recon` as `table1.json` has it, with bars and the columns' figures.

    Raises:
        ValueError: where the study lacks one of the two columns.
    """
    path = Path(study, "table1.json")
    if not path.exists():
        raise FileNotFoundError(f"--studies must name folders of table1. There is no {path}.")
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
    losses = {
        cell: [run["figures"]["loss"] for run in runs if run["cell"][1] == cell] for cell in CELLS
    }
    return claims[0] | {
        "study": study,
        "bars": runs[0]["data"]["settings"]["num_bars"],
        "loss": [statistics.fmean(losses[cell]) for cell in CELLS],
        "recon": [figures[column, "recon"] for column in COLUMNS],
        "f1": [figures[column, "notes F1"] for column in COLUMNS],
    }


def _draw(lengths: list[dict], path: str) -> None:
    numbers = collections.Counter(one["bars"] for one in lengths)
    lines = [
        difference_pictures.Line(
            f"{one['bars']} bars" + f": {_name(one['study'])}" * (numbers[one["bars"]] > 1),
            one["values"],
            None if one["low"] is None else (one["low"], one["high"]),
        )
        for one in lengths
    ]
    difference_pictures.draw(lines, f"recon: {COLUMNS[0]} - {COLUMNS[1]}", path)


def _name(study: str) -> str:
    return Path(study).name.replace("_", " ")


def format_row(one: dict) -> str:
    """Returns the row of a study, as `read` gives the study."""
    spread = "" if one["deviation"] is None else f" ± {one['deviation']:.3f}"
    interval = "-" if one["low"] is None else f"{one['low']:.3f} to {one['high']:.3f}"
    hierarchical, flat = one["recon"]
    f1, flat_f1 = one["f1"]
    loss, flat_loss = one["loss"]
    return (
        f"| {one['bars']} | {hierarchical:.3f} | {flat:.3f} | {one['mean']:.3f}{spread} | "
        f"{interval} | {f1:.3f} and {flat_f1:.3f} | {loss:.0f} and {flat_loss:.0f} |"
    )


def main(_):
    if not STUDIES.value:
        raise ValueError("--studies must name at least one folder of table1. Received: none.")
    lengths = sorted(map(read, STUDIES.value), key=lambda one: one["bars"])
    commands.report(
        "| bars | hierarchical | flat | difference | interval over songs | F1 of notes | "
        "loss, nats |"
    )
    commands.report("|---|---|---|---|---|---|---|")
    for one in lengths:
        commands.report(format_row(one))
    if OUTPUT.value:
        _draw(lengths, OUTPUT.value)


if __name__ == "__main__":
    commands.run(main)
