"""What a study found, as files: Table 1 with its spread over seeds, notes, differences, curves."""

import json
import os
import shutil
from collections.abc import Sequence

from magenta_vae import files
from magenta_vae.configuration import CONFIG_FILE
from magenta_vae.workflows import study_claims, study_curves, text_tables
from magenta_vae.workflows.study import Study
from magenta_vae.workflows.study_rows import METRICS, NOTE_METRICS, Row, collect, collect_notes

OF_INTERVALS = (
    "95 % intervals, by a bootstrap over the held-out songs of each run; the mean of those of the "
    "seeds."
)


def write(study: Study) -> str:
    """Writes `table1.md`, `.csv`, `.json`, `notes.csv`, configurations, curves and claims.

    Returns:
        The table, with the differences of columns.
    """
    output_dir = study.output_dir
    rows, notes, cells = collect(study), collect_notes(study), list(study.done())
    claims = list(study_claims.find(rows, study))
    tables = format_table(rows), format_intervals(rows), study_claims.format_table(claims)
    text = "\n\n".join(filter(None, tables))
    runs = [{**study.result(cell), "run_dir": study.run_dir(cell)} for cell in cells]
    page = "\n\n".join(filter(None, (text, format_notes(notes), _describe_data(runs))))
    files.write_text(os.path.join(output_dir, "table1.md"), page + "\n")
    summary = ("mean", "deviation", "low", "high")
    table, of_notes = (
        [row._asdict() | {name: getattr(row, name) for name in summary} for row in each]
        for each in (rows, notes)
    )
    parts = {"table": table, "notes": of_notes, "claims": [claim.described() for claim in claims]}
    described = json.dumps(parts | {"runs": runs}, indent=2)
    files.write_text(os.path.join(output_dir, "table1.json"), described + "\n")
    for name, each in (("table1", table), ("notes", of_notes)):
        path = os.path.join(output_dir, f"{name}.csv")
        files.write_text(path, text_tables.format_csv(each, [*Row._fields, *summary]))
    for cell in cells:
        path = os.path.join(output_dir, "configs", f"{cell}.gin")
        with files.replacing(path) as beside:
            shutil.copyfile(os.path.join(study.run_dir(cell), CONFIG_FILE), beside)
    study_curves.write(study)
    study_claims.draw(claims, output_dir)
    return text


def format_table(rows: Sequence[Row]) -> str:
    """Returns the numbers as a Markdown table, the paper's in brackets."""
    lines = [
        "| model | track | column | seeds | next | recon | KL (nats) |",
        "|---|---|---|---|---|---|---|",
    ]
    places = dict.fromkeys((row.model, row.track, row.column) for row in rows)
    for place in places:
        row_of = {row.metric: row for row in rows if row[:3] == place}
        shown = [str(row_of.get(metric, "-")) for metric in METRICS]
        seeds = len(row_of["next"].values)
        lines.append(f"| {' | '.join([*place, str(seeds), *shown])} |")
    return "\n".join(lines)


def format_intervals(rows: Sequence[Row]) -> str:
    """Returns the intervals over songs as a Markdown table; the text is empty without any."""
    if not any(row.lows for row in rows):
        return ""
    lines = [OF_INTERVALS, "", "| model | track | column | next | recon | KL (nats) |"]
    lines.append("|---|---|---|---|---|---|")
    for place in dict.fromkeys(row[:3] for row in rows if row.lows):
        row_of = {row.metric: row for row in rows if row[:3] == place and row.lows}
        shown = [row_of[metric].range if metric in row_of else "-" for metric in METRICS]
        lines.append(f"| {' | '.join([*place, *shown])} |")
    return "\n".join(lines)


def format_notes(rows: Sequence[Row]) -> str:
    """Returns the notes right as a Markdown table; without a row of them the text is empty."""
    of_notes: dict[tuple[str, str, str, str], dict[str, Row]] = {}
    for row in rows:
        metric, _, kind = row.metric.partition(", ")
        if metric in NOTE_METRICS:
            place = (row.model, row.track, row.column, kind or "all")
            of_notes.setdefault(place, {})[metric] = row
    if not of_notes:
        return ""
    lines = [
        "Notes right in the reconstruction: share of onsets whose pitch (of drums: hit) and step "
        "are right.",
        "",
        "| model | track | column | onsets | precision | recall | F1 |",
        "|---|---|---|---|---|---|---|",
    ]
    for place, row_of in of_notes.items():
        shown = [str(row_of.get(metric, "-")) for metric in NOTE_METRICS]
        lines.append(f"| {' | '.join([*place, *shown])} |")
    return "\n".join(lines)


def _describe_data(runs: list[dict]) -> str:
    """Returns how much data each model had, and how long its runs took."""
    lines = []
    for model in dict.fromkeys(run["cell"][0] for run in runs):
        runs_of_model = [run for run in runs if run["cell"][0] == model]
        counts = runs_of_model[0]["data"]["counts"]
        steps = sorted({run["figures"]["step"] for run in runs_of_model})
        hours = sum(run["seconds"] for run in runs_of_model) / 3600
        lines.append(
            f"- {model}: {counts['windows_kept_train']:,} windows to train on, "
            f"{counts['windows_kept_eval']:,} held out; {len(runs_of_model)} runs of "
            f"{' or '.join(f'{step:,}' for step in steps)} steps, {hours:.1f} hours in all."
        )
    return "\n".join(lines)
