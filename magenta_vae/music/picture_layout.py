"""Where everything stands in a picture of music: piano rolls, rows of them, lines, names.

A row of a picture shows some steps of all tracks. A system is rows of the same steps: of music that
was read, and of what a model made of it. They are interleaved, track by track.
"""

import itertools
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypedDict

from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.typing import ColorType
from note_seq.protobuf.music_pb2 import NoteSequence

from magenta_vae.music.note_sequences import num_whole_bars
from magenta_vae.music.piano_rolls import PianoRoll
from magenta_vae.music.songs import STEPS_PER_BAR, STEPS_PER_QUARTER


class Line(TypedDict):
    """How matplotlib draws lines."""

    color: str
    linewidth: float
    zorder: float
    label: str


# Inches. A long window grows wider than WIDTH.
WIDTH, MIN_STEP_WIDTH, MAX_STEP_WIDTH = 10.0, 0.022, 0.17
LEFT, LEFT_OF_DRUMS, RIGHT, LABEL_FROM_LEFT = 0.9, 1.6, 0.2, 0.3
TOP, BOTTOM, TITLE_LINE, LEGEND_LINE = 0.15, 0.55, 0.225, 0.4
ROLL_GAP, TRACK_GAP, SYSTEM_GAP = 0.1, 0.12, 0.5
MAX_BARS_PER_SYSTEM = 8  # A longer score continues below.

INK, ROW_COLOR, BLACK_KEY_COLOR = "#333333", "#D0D0D0", "#F3F3F3"
BEATS: Line = {"color": "#E2E2E2", "linewidth": 0.8, "zorder": 0.2, "label": "beats"}
BARS: Line = {"color": "#A0A0A0", "linewidth": 1.0, "zorder": 0.4, "label": "bars"}
WINDOWS: Line = {"color": "#555555", "linewidth": 1.6, "zorder": 0.5, "label": "windows"}
FONT_POINTS, TITLE_POINTS = 11, 13
LETTERS_PER_INCH = 10  # Of a title or the name of a track: what is longer is broken or cut.
FULL_VELOCITY, MIN_ALPHA = 80, 0.4  # Generated notes, all of velocity 80, are opaque.
NOTE_GAP, HIT_GAP = 0.22, 0.1  # Shares of a step and of a row left free, so that repeats show.


class System(NamedTuple):
    """Rows of a picture that show the same steps; of each track one below another.

    Attributes:
        steps: which.
        above: the steps of further rows above the last one, which has all of them.
    """

    steps: range
    above: tuple[range, ...] = ()


class Legend(NamedTuple):
    """What is written below a title: matplotlib's handles, a word for each, and what draws them."""

    handles: Sequence[Any]
    words: Sequence[str]
    handlers: Mapping[type, Any]


def num_steps(sequence: NoteSequence) -> int:
    """Returns the steps of whole bars, at least one, that hold a sequence."""
    return num_whole_bars(sequence) * STEPS_PER_BAR


def split_bars(num_steps: int) -> list[range]:
    """Returns the steps of each system of a score: 8 bars and what is left."""
    borders = [*range(0, num_steps, MAX_BARS_PER_SYSTEM * STEPS_PER_BAR), num_steps]
    return [range(*pair) for pair in itertools.pairwise(borders)]


def split_windows(borders: Sequence[int], max_bars: int) -> list[range]:
    """Returns the steps of each row of windows, from the borders of these, as equal as may be."""
    num_windows, longest = len(borders) - 1, max(b - a for a, b in itertools.pairwise(borders))
    most = max(max_bars * STEPS_PER_BAR // longest, 1)
    # As many windows a row as leave the least of the last row free.
    fitting = range(most // 2 + 1, most + 1)
    per_row = min(fitting, key=lambda count: (-num_windows % count, -count))
    starts = [*borders[:-1:per_row], borders[-1]]
    return [range(*pair) for pair in itertools.pairwise(starts)]


def count_fitting(rolls: Sequence[PianoRoll], systems: Sequence[System], inches: float) -> int:
    """Returns how many of the first systems, at least 1, a picture of so many inches holds."""
    heights = itertools.accumulate(_height(rolls, system) + SYSTEM_GAP for system in systems)
    return max(sum(height <= inches for height in heights), 1)


def lay_out(
    rolls: Sequence[PianoRoll],
    systems: Sequence[System],
    title: str | None,
    width_inches: float = WIDTH,
    legend: Legend | None = None,
) -> tuple[Figure, list[list[list[Axes]]]]:
    """Returns a `Figure` and its empty `Axes`, [systems][layers][rolls], placed to the inch.

    Args:
        rolls: the tracks.
        systems: from top to bottom.
        title: written above, if given; its lines are broken where they are too long.
        width_inches: of a row; more where its steps would be too narrow to see.
        legend: written below the title, if given.
    """
    most_steps = max(len(system.steps) for system in systems)
    step = max(min(width_inches / most_steps, MAX_STEP_WIDTH), MIN_STEP_WIDTH)
    left = LEFT_OF_DRUMS if any(roll.is_drum for roll in rolls) else LEFT
    width = left + most_steps * step + RIGHT
    letters = int((width - left) * LETTERS_PER_INCH)
    lines = [part for line in (title or "").splitlines() for part in textwrap.wrap(line, letters)]
    header = TOP + TITLE_LINE * len(lines) + (LEGEND_LINE if legend else 0)
    heights = [_height(rolls, system) for system in systems]
    height = header + sum(heights) + (len(systems) - 1) * SYSTEM_GAP + BOTTOM
    figure = Figure(figsize=(width, height), facecolor="white")
    style = {"fontsize": TITLE_POINTS, "color": INK, "parse_math": False, "va": "top"}
    figure.text(left / width, 1 - TOP / 2 / height, "\n".join(lines), style)
    if legend:
        _write_legend(figure, legend, left, TOP + TITLE_LINE * len(lines))
    placed: list[list[list[Axes]]] = []
    top = height - header
    for system, system_height in zip(systems, heights, strict=True):
        bottom = top
        layers = (*system.above, system.steps)
        placed.append([[] for _ in layers])
        for roll in rolls:
            for steps, row in zip(layers, placed[-1], strict=True):
                bottom -= roll.height_inches
                corner = left + (steps.start - system.steps.start) * step, bottom
                row.append(_add_axes(figure, roll, steps, step, corner, left))
                bottom -= ROLL_GAP
            bottom -= TRACK_GAP if system.above else 0
        top -= system_height + SYSTEM_GAP
    return figure, placed


def rule_bars(row: Sequence[Axes], steps: range, first_bar: int | None = 1) -> None:
    """Draws the bars and beats of a row, and numbers its bars below the last track.

    Args:
        row: the axes.
        steps: of the row.
        first_bar: the number of the bar at step 0; None for no numbers.
    """
    bars = range(0) if first_bar is None else steps[::STEPS_PER_BAR]
    labels = {
        step + STEPS_PER_BAR / 2: str(step // STEPS_PER_BAR + (first_bar or 0)) for step in bars
    }
    _rule_time(row, steps, labels)


def rule_windows(
    row: Sequence[Axes], borders: Sequence[int], steps: range, labels: Sequence[str]
) -> None:
    """Draws the bars and beats of a row of windows, separates these, and writes labels below.

    Args:
        row: the axes.
        borders: of all windows.
        steps: of the row.
        labels: of the row's windows; none for none.
    """
    middles = [(a + b) / 2 for a, b in itertools.pairwise(borders) if a in steps]
    _rule_time(row, steps, dict(zip(middles, labels, strict=False)))
    for axes in row:
        axes.vlines([step for step in borders if step in steps[1:]], *axes.get_ylim(), **WINDOWS)


def write_below(axes: Axes, text: str) -> None:
    """Writes what the numbers below a row are."""
    axes.set_xlabel(text, fontsize=FONT_POINTS, color=INK, parse_math=False)


def draw_notes(
    axes: Axes, roll: PianoRoll, sequence: NoteSequence, color: ColorType, offset_steps: int = 0
) -> None:
    """Draws one track's notes that sound within the axes, as rectangles around their rows.

    Args:
        axes: of the track, as `lay_out` made them.
        roll: the track.
        sequence: the music.
        color: of the notes; soft ones are paler.
        offset_steps: where the music begins.
    """
    first, last = axes.get_xlim()
    corners, colors = [], []
    row_gap = HIT_GAP if roll.is_drum else 0.0
    for (start, row), (end, velocity) in _notes_by_place(roll, sequence).items():
        start, end = start + offset_steps, end + offset_steps
        if start < last and end > first:
            low, high, right = row - 0.5 + row_gap, row + 0.5 - row_gap, end - NOTE_GAP
            corners.append([(start, low), (start, high), (right, high), (right, low)])
            alpha = min(MIN_ALPHA + (1 - MIN_ALPHA) * velocity / FULL_VELOCITY, 1.0)
            colors.append(to_rgba(color, alpha))
    # One artist: thousands of patches take seconds. Snapped to whole pixels, the gaps of a long
    # strip would close.
    rectangles = PolyCollection(corners, facecolors=colors, linewidths=0, snap=False)
    axes.add_collection(rectangles, autolim=False)


def _height(rolls: Sequence[PianoRoll], system: System) -> float:
    """Returns the inches of a system."""
    num_layers, gap = len(system.above) + 1, TRACK_GAP if system.above else 0.0
    tracks = [num_layers * (roll.height_inches + ROLL_GAP) + gap for roll in rolls]
    return sum(tracks) - ROLL_GAP - gap


def _write_legend(figure: Figure, legend: Legend, left: float, from_top: float) -> None:
    width, height = figure.get_size_inches()
    figure.legend(
        legend.handles,
        legend.words,
        handler_map=dict(legend.handlers),
        loc="upper left",
        bbox_to_anchor=(left / width, 1 - from_top / height),
        ncols=len(legend.words),
        fontsize=FONT_POINTS,
        labelcolor=INK,
        frameon=False,
        borderpad=0,
        borderaxespad=0,
        handlelength=1.6,
        columnspacing=1.6,
    )


def _add_axes(
    figure: Figure,
    roll: PianoRoll,
    steps: range,
    step: float,
    corner: tuple[float, float],
    margin: float,
) -> Axes:
    """Returns the ruled axes of a track.

    Args:
        figure, roll, steps: the picture, the track, and the steps shown.
        step: inches of a step.
        corner: where it stands, in inches from the left and from below.
        margin: inches on its left for names.
    """
    width, height = figure.get_size_inches()
    roll_width = len(steps) * step
    axes = figure.add_axes(
        (corner[0] / width, corner[1] / height, roll_width / width, roll.height_inches / height)
    )
    axes.set_xlim(steps.start, steps.stop)
    axes.set_ylim(roll.shown.start - 0.5, roll.shown.stop - 0.5)
    _rule_rows(axes, roll, label_x=(LABEL_FROM_LEFT - margin) / roll_width)
    return axes


def _rule_rows(axes: Axes, roll: PianoRoll, label_x: float) -> None:
    """Names the track and its rows, and draws a line at each octave or between kinds of hit."""
    letters = int(roll.height_inches * LETTERS_PER_INCH)
    name = roll.name if len(roll.name) <= letters else roll.name[: letters - 1] + "…"
    axes.set_ylabel(name, fontsize=FONT_POINTS, color=INK, parse_math=False)
    axes.yaxis.set_label_coords(label_x, 0.5)
    axes.set_yticks(list(roll.labels), list(roll.labels.values()))
    axes.set_xticks([])
    axes.tick_params(length=0, labelsize=FONT_POINTS, labelcolor=INK)
    rows: Line = {"color": ROW_COLOR, "linewidth": 0.8, "zorder": 0.3, "label": "rows"}
    axes.hlines(roll.lines, *axes.get_xlim(), **rows)
    points = roll.height_inches * 72 / len(roll.shown)
    keys: Line = {
        "color": BLACK_KEY_COLOR, "linewidth": points, "zorder": 0.1, "label": "black keys",
    }  # fmt: skip
    axes.hlines(roll.black_keys, *axes.get_xlim(), **keys)
    axes.spines[:].set_color(BARS["color"])


def _rule_time(row: Sequence[Axes], steps: range, labels: Mapping[float, str]) -> None:
    """Draws lines at beats and bars, and labels steps below the last track, if there are labels."""
    for axes in row:
        axes.vlines(steps[::STEPS_PER_QUARTER], *axes.get_ylim(), **BEATS)
        axes.vlines(steps[::STEPS_PER_BAR], *axes.get_ylim(), **BARS)
    if labels:
        row[-1].set_xticks(list(labels), list(labels.values()))


def _notes_by_place(
    roll: PianoRoll, sequence: NoteSequence
) -> dict[tuple[int, int], tuple[int, int]]:
    """Returns (start, row) -> (end, velocity) of a track: of notes in one place the greatest."""
    places: dict[tuple[int, int], tuple[int, int]] = {}
    for note in sequence.notes:
        if note.instrument == roll.instrument and note.pitch in roll.rows:
            start, end = note.quantized_start_step, note.quantized_end_step
            place = start, roll.rows[note.pitch]
            extent = start + 1 if roll.is_drum else max(end, start + 1), note.velocity
            places[place] = max(extent, places.get(place, extent))
    return places
