"""What a study found: Table 1 with its spread over seeds."""

import json
import os
import shutil
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from magenta_vae import files
from magenta_vae.configuration import CONFIG_FILE
from magenta_vae.training import evaluation, song_intervals, table1
from magenta_vae.training.window_figures import Name
from magenta_vae.workflows import study_curves, text_tables
from magenta_vae.workflows.study import Study
from magenta_vae.workflows.study_cells import COLUMNS

# (metric, column, column that it is compared with): what the paper says of Table 1, and its
# hierarchical decoder beside a flat one.
CLAIMS = (
    ("recon", table1.SCHEDULED, table1.VAE),
    ("next", table1.SCHEDULED, table1.VAE),
    ("KL", table1.SCHEDULED, table1.VAE),
    ("recon", table1.VAE, table1.BASELINE),
    ("next", table1.VAE, table1.BASELINE),
    ("recon", table1.SCHEDULED, COLUMNS["flat"][0]),
    ("next", table1.SCHEDULED, COLUMNS["flat"][0]),
)
METRICS = {"next": "next_accuracy", "recon": "reconstruction_accuracy", "KL": "kl_nats"}
# Of onsets, in the reconstruction; the paper has none. Those of a kind of hit also have its name.
NOTE_METRICS = {"notes precision": "precision", "notes recall": "recall", "notes F1": "f1"}

OF_INTERVALS = (
    "95 % intervals, by a bootstrap over the held-out songs of each run; the mean of those of the "
    "seeds."
)


class Row(NamedTuple):
    """One number of Table 1.

    Attributes:
        model, track, column: where it stands.
        metric: a key of METRICS; the KL, in nats, is of all tracks together. Or one of
            NOTE_METRICS, for drums also followed by a kind of hit, as in `notes F1, kick`.
        values: of each seed.
        paper: the paper's, None where it has none.
        seeds: those of the values.
        lows, highs: the interval of each value over songs; empty where songs are not known.
    """

    model: str
    track: str
    column: str
    metric: str
    values: list[float]
    paper: float | None
    seeds: list[int]
    lows: Sequence[float] = ()
    highs: Sequence[float] = ()

    @property
    def mean(self) -> float:
        """The mean over seeds."""
        return statistics.fmean(self.values)

    @property
    def deviation(self) -> float | None:
        """The sample standard deviation over seeds, None of a single one."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None

    @property
    def low(self) -> float | None:
        """The mean of the lower bounds, None where songs are not known.

        Where songs are drawn anew, seeds do not all vary alike, and their mean less than each: of
        the mean over seeds the interval is rather too wide.
        """
        return statistics.fmean(self.lows) if self.lows else None

    @property
    def high(self) -> float | None:
        """The mean of the upper bounds, None where songs are not known."""
        return statistics.fmean(self.highs) if self.highs else None

    @property
    def range(self) -> str:
        """The interval in words; empty where songs are not known."""
        bounds = [self.format(bound) for bound in (self.low, self.high) if bound is not None]
        return " to ".join(bounds)

    def __str__(self) -> str:
        spread = "" if self.deviation is None else f" ± {self.format(self.deviation)}"
        paper = "" if self.paper is None else f" ({self.format(self.paper)})"
        return f"{self.format(self.mean)}{spread}{paper}"

    def format(self, value: float) -> str:
        """Returns a value with the digits that the metric is given with."""
        return f"{value:.{1 if self.metric == 'KL' else 3}f}"

    def minus(self, other: "Row") -> "Row | None":
        """Returns the difference of the seeds that both have, None where there are none."""
        common = [seed for seed in self.seeds if seed in other.seeds]
        if not common:
            return None
        values = [
            self.values[self.seeds.index(seed)] - other.values[other.seeds.index(seed)]
            for seed in common
        ]
        paper = None
        if self.paper is not None and other.paper is not None:
            paper = self.paper - other.paper
        return self._replace(values=values, paper=paper, seeds=common, lows=(), highs=())


def collect(study: Study) -> list[Row]:
    """Returns all numbers of the runs that are done."""
    return [
        row
        for (model, column), of_seeds in _results(study)
        for row in _rows(model, column, of_seeds)
    ]


def collect_notes(study: Study) -> list[Row]:
    """Returns the notes right of the runs that are done; of those of older versions none."""
    return [
        row
        for (model, column), of_seeds in _results(study)
        for row in _note_rows(model, column, of_seeds)
    ]


def write(study: Study) -> str:
    """Writes `table1.md`, `.csv`, `.json`, `notes.csv`, configurations and curves.

    Returns:
        The table, with the differences of columns.
    """
    output_dir = study.output_dir
    rows, notes, cells = collect(study), collect_notes(study), list(study.done())
    tables = format_table(rows), format_intervals(rows), format_claims(rows)
    text = "\n\n".join(filter(None, tables))
    runs = [{**study.result(cell), "run_dir": study.run_dir(cell)} for cell in cells]
    page = "\n\n".join(filter(None, (text, format_notes(notes), _describe_data(runs))))
    files.write_text(os.path.join(output_dir, "table1.md"), page + "\n")
    summary = ("mean", "deviation", "low", "high")
    table, of_notes = (
        [row._asdict() | {name: getattr(row, name) for name in summary} for row in each]
        for each in (rows, notes)
    )
    described = json.dumps({"table": table, "notes": of_notes, "runs": runs}, indent=2)
    files.write_text(os.path.join(output_dir, "table1.json"), described + "\n")
    for name, each in (("table1", table), ("notes", of_notes)):
        path = os.path.join(output_dir, f"{name}.csv")
        files.write_text(path, text_tables.format_csv(each, [*Row._fields, *summary]))
    for cell in cells:
        path = os.path.join(output_dir, "configs", f"{cell}.gin")
        with files.replacing(path) as beside:
            shutil.copyfile(os.path.join(study.run_dir(cell), CONFIG_FILE), beside)
    study_curves.write(study)
    return text


def format_table(rows: list[Row]) -> str:
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


def format_intervals(rows: list[Row]) -> str:
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


def format_claims(rows: list[Row]) -> str:
    """Returns how columns differ, the mean and spread over seeds, as a Markdown table.

    The difference is taken seed by seed; the paper's stands in brackets. Without a row the text is
    empty.
    """
    heading = ["| model | track | difference | seeds | |", "|---|---|---|---|---|"]
    lines = []
    for metric, column, other_column in CLAIMS:
        for row in (row for row in rows if (row.metric, row.column) == (metric, column)):
            others = [
                row_of_other
                for row_of_other in rows
                if row_of_other[:4] == (*row[:2], other_column, metric)
            ]
            difference = row.minus(others[0]) if others else None
            if difference is not None:
                name = f"{metric}: {column} - {other_column}"
                seeds = len(difference.seeds)
                lines.append(f"| {row.model} | {row.track} | {name} | {seeds} | {difference} |")
    return "\n".join(heading + lines) if lines else ""


def format_notes(rows: list[Row]) -> str:
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


def _results(study: Study) -> list[tuple[tuple[str, str], dict[int, dict]]]:
    """Returns ((model, column), seed -> result), in the order of the table."""
    results: dict[tuple[str, str], dict[int, dict]] = {}
    for cell in study.done():
        of_seeds = results.setdefault((cell.model, cell.column), {})
        of_seeds[cell.seed] = study.result(cell)
    order = list(COLUMNS)
    return sorted(results.items(), key=lambda item: (item[0][0], order.index(item[0][1])))


def _rows(model: str, column: str, of_seeds: dict[int, dict]) -> Iterator[Row]:
    name = COLUMNS[column][0]
    seeds, results = list(of_seeds), list(of_seeds.values())
    metrics = [result["figures"] for result in results]
    tracks = metrics[0]["tracks"]
    num_bars = results[0]["data"]["settings"]["num_bars"]  # A binding may have changed them.
    for index, track in enumerate(tracks):
        cells = table1.PAPER.get((track, len(tracks), num_bars), {}).get(name, (None, None, None))
        for (metric, key), paper in zip(METRICS.items(), cells, strict=True):
            if metric != "KL":
                values = [each["tracks"][track][key] for each in metrics]
            elif index or column == "baseline":  # Of all tracks; without z there is none.
                continue
            else:
                values = [each[key] for each in metrics]
            place: Name = (key,) if metric == "KL" else ("tracks", track, key)
            yield Row(model, track, name, metric, values, paper, seeds, *_bounds(metrics, place))


def _note_rows(model: str, column: str, of_seeds: dict[int, dict]) -> Iterator[Row]:
    name = COLUMNS[column][0]
    tracks = {seed: result["figures"]["tracks"] for seed, result in of_seeds.items()}
    for track in next(iter(tracks.values())):
        scores = {
            seed: {
                "": each[track]["notes"][evaluation.RECONSTRUCTION],
                **each[track].get("hits", {}),
            }
            for seed, each in tracks.items()
            if "notes" in each[track]
        }
        for kind in next(iter(scores.values()), ()):
            for metric, key in NOTE_METRICS.items():
                values = {seed: each[kind][key] for seed, each in scores.items()}
                known = {seed: value for seed, value in values.items() if value is not None}
                label = f"{metric}, {kind}" if kind else metric
                inner = ("hits", kind) if kind else ("notes", evaluation.RECONSTRUCTION)
                bounds = _bounds(
                    [of_seeds[seed]["figures"] for seed in known], ("tracks", track, *inner, key)
                )
                if known:
                    found = [*known.values()], None, [*known], *bounds
                    yield Row(model, track, name, label, *found)


def _bounds(metrics: Sequence[Mapping], name: Name) -> tuple[list[float], list[float]]:
    """Returns the lower and the upper bounds of a figure; none unless each of the metrics has."""
    found = [
        song_intervals.look_up(each.get("intervals", {}).get("figures", {}), name)
        for each in metrics
    ]
    if not found or None in found:
        return [], []
    lows, highs = zip(*found, strict=True)
    return [*lows], [*highs]


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
