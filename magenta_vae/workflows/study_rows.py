"""The numbers of a study: those of Table 1 and the notes right, with their spread over seeds."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from magenta_vae.training import evaluation, song_intervals, table1
from magenta_vae.training.window_figures import Name
from magenta_vae.workflows.study import Study
from magenta_vae.workflows.study_cells import COLUMNS, MODELS

METRICS = {"next": "next_accuracy", "recon": "reconstruction_accuracy", "KL": "kl_nats"}
# Of onsets, in the reconstruction; the paper has none. Those of a kind of hit also have its name.
NOTE_METRICS = {"notes precision": "precision", "notes recall": "recall", "notes F1": "f1"}


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


def name_of(metric: str, track: str) -> Name:
    """Returns where a number of Table 1 stands in the metrics of an evaluation."""
    key = METRICS[metric]
    return (key,) if metric == "KL" else ("tracks", track, key)


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


def _results(study: Study) -> list[tuple[tuple[str, str], dict[int, dict]]]:
    """Returns ((model, column), seed -> result), in the order of the table."""
    results: dict[tuple[str, str], dict[int, dict]] = {}
    for cell in study.done():
        of_seeds = results.setdefault((cell.model, cell.column), {})
        of_seeds[cell.seed] = study.result(cell)
    columns = list(COLUMNS)
    return sorted(
        results.items(), key=lambda item: (MODELS.index(item[0][0]), columns.index(item[0][1]))
    )


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
            bounds = _bounds(metrics, name_of(metric, track))
            yield Row(model, track, name, metric, values, paper, seeds, *bounds)


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
