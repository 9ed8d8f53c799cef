"""The figures of several runs side by side, and how far their differences can be told."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from magenta_vae.data import input_pipeline, shards
from magenta_vae.training import song_intervals
from magenta_vae.training.song_intervals import COLUMNS, NATS, Interval, SongSums, format_interval
from magenta_vae.training.window_figures import Name
from magenta_vae.workflows import columns
from magenta_vae.workflows.runs import Run

OUTSIDE = "*"  # Beside a difference whose interval does not hold 0.


@dataclasses.dataclass(frozen=True)
class Measured:
    """A run and its figures.

    Args:
        run: the run.
        data_dir: the data set whose windows were measured.
        num_windows: of its split.
        sums: of each song, of all windows together where songs are not known.
        is_known: whether they are.
        num_learnt: how many of the windows the run was trained on; None where its own training
            windows are not at hand.
    """

    run: Run
    data_dir: str
    num_windows: int
    sums: SongSums
    is_known: bool
    num_learnt: int | None

    @property
    def num_songs(self) -> int | None:
        """The number of songs, None where these are not known."""
        return self.sums.num_songs if self.is_known else None

    @property
    def has_intervals(self) -> bool:
        """Whether there are songs to draw."""
        return self.is_known and self.sums.num_songs > 1


@dataclasses.dataclass(frozen=True)
class Figure:
    """One figure of all runs.

    Args:
        name: where it stands in the metrics.
        values: of each run, None where it has no such figure.
        intervals: of each run.
        differences: each further run's minus the first's.
        of_differences: their intervals.
    """

    name: Name
    values: list[float | None]
    intervals: list[Interval | None]
    differences: list[float | None]
    of_differences: list[Interval | None]


def measure(
    runs: Sequence[Run],
    split: str = "eval",
    data_dir: str | None = None,
) -> list[Measured]:
    """Returns the figures of runs, all of the same windows where these are of one format.

    Args:
        runs: the runs.
        split: which windows.
        data_dir: the data set; for None that of the first run that has one, or, where the windows
            of the runs differ in tracks or length, each run's own.

    Raises:
        FileNotFoundError, ValueError: as `Run.windows` does.
    """
    places = _choose_data(runs, data_dir)
    measured = []
    for run, place in zip(runs, places, strict=True):
        tokens = input_pipeline.load_tokens(place, split, run.settings)
        known = run.provenance(split, len(tokens), place)
        songs = np.zeros(len(tokens), np.int32) if known is None else known.songs
        sums = SongSums(songs)
        run.evaluate(tokens, [sums])
        learnt = _count_learnt(run, tokens)
        measured.append(Measured(run, place, len(tokens), sums, known is not None, learnt))
    return measured


def compare(measured: Sequence[Measured]) -> list[Figure]:
    """Returns all figures, and the differences of the further runs from the first."""
    figures = [song_intervals.figures_of(each.sums.sums) for each in measured]
    intervals = [
        song_intervals.find(each.sums.sums) if each.has_intervals else {} for each in measured
    ]
    first, *others = measured
    of_differences = [
        song_intervals.of_differences(first.sums.sums, each.sums.sums, are_paired(first, each))
        if first.has_intervals and each.has_intervals
        else {}
        for each in others
    ]
    names = dict.fromkeys(name for each in figures for name in each)
    return [
        Figure(
            name,
            [each.get(name) for each in figures],
            [each.get(name) for each in intervals],
            [_minus(each.get(name), figures[0].get(name)) for each in figures[1:]],
            [each.get(name) for each in of_differences],
        )
        for name in names
    ]


def are_paired(first: Measured, other: Measured) -> bool:
    """Says whether two runs were measured on the same windows."""
    return first.data_dir == other.data_dir


def format_table(figures: Sequence[Figure], labels: Sequence[str]) -> str:
    """Returns the figures of Table 1 and the F1 of notes as a table for people."""
    headings = [*labels, *(f"{label} - {labels[0]}" for label in labels[1:])]
    rows = [["", *headings]]
    rows += [_row(label, figure, digits) for figure in figures for label, digits in _label(figure)]
    return columns.align(rows)


def format_notes(measured: Sequence[Measured], labels: Sequence[str], split: str) -> str:
    """Returns what the figures are of, and what is to be known of them, in lines."""
    first, *others = measured
    of_all = all(are_paired(first, each) for each in others)
    lines = []
    for label, each in zip(labels, measured, strict=True):
        songs = f" of {each.num_songs:,} songs" if each.num_songs else ""
        of = f"{each.num_windows:,} windows{songs}, {split} of {each.data_dir}"
        if not of_all or each is first:
            lines.append(f"figures of {of}" if of_all else f"figures of {label}: of {of}")
        if each.num_learnt:
            lines.append(
                f"{label} was trained on {each.num_learnt:,} of these windows: they are not held "
                "out of it"
            )
        elif each.num_learnt is None:
            lines.append(
                f"whether {label} was trained on some of these windows is not known: those it was "
                "trained on are not at hand"
            )
    if not all(each.is_known for each in measured):
        lines.append(f"no intervals: {song_intervals.UNKNOWN}")
    elif not all(each.has_intervals for each in measured):
        lines.append("no intervals: all windows of a run are of one song")
    else:
        how = "the same draws of songs for all runs" if of_all else "draws of each run's own songs"
        lines.append(
            f"in brackets {song_intervals.LEVEL:.0%} intervals by a bootstrap over songs, {how}; "
            f"{OUTSIDE} where that of a difference does not hold 0"
        )
        if min(each.sums.num_even for each in measured) < song_intervals.FEW_SONGS:
            lines.append("the songs are so few that intervals are too narrow")
    return "\n".join(lines)


def _choose_data(runs: Sequence[Run], data_dir: str | None) -> list[str]:
    """Returns the data set that each run is measured on."""
    formats = [run.settings.describe() for run in runs]
    different = [
        name
        for name in ("tracks", "num_bars")
        if any(each[name] != formats[0][name] for each in formats)
    ]
    if data_dir and different:
        raise ValueError(
            f"--data_dir={data_dir} cannot be for all: the windows of the runs differ in "
            f"{', '.join(different)}, which the table above has. Without it each is measured on "
            "its own data set."
        )
    places = [data_dir or _find_data(run) for run in runs]
    if different:
        if None in places:
            raise ValueError(
                f"The runs differ in {', '.join(different)}, so that each would be measured on its "
                f"own data set, and {runs[places.index(None)].folder} has none at hand. Compare it "
                "with runs of the same windows, on a data set that --data_dir names."
            )
        return [place for place in places if place]
    found = next((place for place in places if place), None)
    # Where there is none, the first run says what is wrong.
    return [found or runs[0].data_dir()] * len(runs)


def _find_data(run: Run) -> str | None:
    """Returns a run's own data set, None where it is elsewhere or none came with it."""
    try:
        return run.data_dir()
    except (OSError, ValueError):
        return None


def _count_learnt(run: Run, tokens: np.ndarray) -> int | None:
    """Returns how many windows a run was trained on, None where those it was are not at hand."""
    if run.is_own("eval", tokens):
        return 0
    try:
        training = run.windows("train")
    except (OSError, ValueError):
        return None
    ours, learnt = (
        shards.hash_rows(np.asarray(each).reshape(len(each), -1)) for each in (tokens, training)
    )
    return int(np.isin(ours, learnt).sum())


def _minus(value: float | None, other: float | None) -> float | None:
    return None if value is None or other is None else value - other


def _label(figure: Figure) -> list[tuple[str, int]]:
    """Returns what the row of a figure is called, and its digits; nothing of one that has none."""
    if figure.name[0] in NATS:
        return [(f"{NATS[figure.name[0]]} (nats)", 2)]
    _, track, *inner = figure.name
    column = COLUMNS.get(tuple(inner))
    return [(f"{track} {column}", 3)] if column else []


def _row(label: str, figure: Figure, digits: int) -> list[str]:
    cells = [
        _cell(f"{value:.{digits}f}", interval, digits) if value is not None else "-"
        for value, interval in zip(figure.values, figure.intervals, strict=True)
    ]
    for value, interval in zip(figure.differences, figure.of_differences, strict=True):
        if value is None:
            cells.append("-")
        else:
            is_outside = interval is not None and not interval.low <= 0 <= interval.high
            mark = f" {OUTSIDE}" if is_outside else ""
            cells.append(_cell(f"{value:+.{digits}f}", interval, digits) + mark)
    return [label, *cells]


def _cell(value: str, interval: Interval | None, digits: int) -> str:
    return f"{value} {format_interval(interval, digits)}" if interval else value
