"""Quantized NoteSequences -> pictures: piano rolls, drum grids, scores of both, interpolations.

Every picture is made of piano rolls, one a track, below one another: rows upwards and steps to the
right. What is long continues below, as the systems of a printed score do. Only matplotlib's objects
are used, never pyplot, which keeps every figure alive in one global list: threads may draw at the
same time, and no display is needed.
"""

import itertools
import os
import textwrap
import threading
from collections.abc import Mapping, Sequence
from typing import TypedDict

import matplotlib
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.typing import ColorType
from note_seq.protobuf.music_pb2 import NoteSequence

from magenta_vae import files
from magenta_vae.music.note_sequences import num_whole_bars
from magenta_vae.music.piano_rolls import PianoRoll, find_rolls
from magenta_vae.music.songs import STEPS_PER_BAR, STEPS_PER_QUARTER


class Line(TypedDict):
    """How matplotlib draws lines."""

    color: str
    linewidth: float
    zorder: float
    label: str


# A longer score continues below, and so does an interpolation, between two of its windows.
MAX_BARS_PER_SYSTEM, MAX_BARS_PER_STRIP = 8, 10

# Inches. A long window grows wider than WIDTH.
WIDTH, MIN_STEP_WIDTH, MAX_STEP_WIDTH = 10.0, 0.022, 0.17
LEFT, LEFT_OF_DRUMS, RIGHT, LABEL_FROM_LEFT = 0.9, 1.6, 0.2, 0.3
TOP, BOTTOM, TITLE_LINE = 0.15, 0.55, 0.28
ROLL_GAP, SYSTEM_GAP = 0.1, 0.5

# Okabe and Ito's colours, told apart by colour-blind eyes: blue, vermilion, green, purple, ...
TRACK_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
END_POINT_COLOR = "black"
RAMP = (matplotlib.colormaps["plasma"], 0.25, 0.76)  # Neither near black nor a yellow on white.
INK, ROW_COLOR, BLACK_KEY_COLOR = "#333333", "#D0D0D0", "#F3F3F3"
BEATS: Line = {"color": "#E2E2E2", "linewidth": 0.8, "zorder": 0.2, "label": "beats"}
BARS: Line = {"color": "#A0A0A0", "linewidth": 1.0, "zorder": 0.4, "label": "bars"}
WINDOWS: Line = {"color": "#555555", "linewidth": 1.6, "zorder": 0.5, "label": "windows"}
FONT_POINTS, TITLE_POINTS = 11, 13
LETTERS_PER_INCH = 10  # Of a title or the name of a track: what is longer is broken or cut.
SUFFIXES = (".png", ".pdf", ".svg")
UNDATED = {".pdf": {"CreationDate": None}, ".svg": {"Date": None}}
_settings_lock = threading.Lock()
FULL_VELOCITY, MIN_ALPHA = 80, 0.4  # Generated notes, all of velocity 80, are opaque.
NOTE_GAP, HIT_GAP = 0.22, 0.1  # Shares of a step and of a row left free, so that repeats show.


def draw_score(sequence: NoteSequence, title: str | None = None) -> Figure:
    """Draws a NoteSequence: a piano roll for each melody, a grid for drums, on one time axis.

    More than 8 bars continue below, as the systems of a printed score do.

    Args:
        sequence: quantized to 16 steps a bar; `note.instrument` is the track.
        title: written above, if given.

    Returns:
        The figure. Its axes are in reading order: those of a system from the first track to the
        last, then the next system's; x in steps, y in MIDI pitches or in kinds of hit.

    Raises:
        ValueError: if the sequence is not quantized to 4 steps a quarter.
    """
    rolls = find_rolls([sequence])
    systems = _systems(_num_steps(sequence))
    figure, rows_of_axes = _lay_out(rolls, systems, title)
    for steps, row in zip(systems, rows_of_axes, strict=True):
        _rule_bars(row, steps)
        for axes, roll, color in zip(row, rolls, itertools.cycle(TRACK_COLORS), strict=False):
            _draw_notes(axes, roll, sequence, color)
    row[-1].set_xlabel("bar", fontsize=FONT_POINTS, color=INK)
    return figure


def draw_interpolation(
    sequences: Sequence[NoteSequence], title: str | None = None, width_inches: float = WIDTH
) -> Figure:
    """Draws the steps of an interpolation one after another, the end points in black.

    More than 10 bars continue below, in rows as equal as may be.
    Source: paper, Supplemental Figures 2 and 3.

    Args:
        sequences: quantized to 16 steps a bar, from one end point to the other.
        title: written above, if given.
        width_inches: of a row; more where its steps would be too narrow to see.

    Returns:
        The figure. Its axes are in reading order, as those of `draw_score`: x in steps since the
        first sequence began, y in MIDI pitches or in kinds of hit.

    Raises:
        ValueError: if there is no sequence, or one is not quantized to 4 steps a quarter.
    """
    if not sequences:
        raise ValueError("An interpolation has at least one sequence. Received: none.")
    rolls = find_rolls(sequences)
    borders = [0, *itertools.accumulate(map(_num_steps, sequences))]
    strips = _strips(borders)
    figure, rows_of_axes = _lay_out(rolls, strips, title, width_inches)
    for steps, row in zip(strips, rows_of_axes, strict=True):
        _rule_windows(row, borders, steps)
        for index, sequence in enumerate(sequences):
            color = _interpolation_color(index, len(sequences))
            if steps.start <= borders[index] < steps.stop:
                for axes, roll in zip(row, rolls, strict=True):
                    _draw_notes(axes, roll, sequence, color, borders[index])
    row[-1].set_xlabel("step of the interpolation", fontsize=FONT_POINTS, color=INK)
    return figure


def draw_rows(
    rows: Mapping[str, Sequence[NoteSequence]],
    title: str | None = None,
    width_inches: float = WIDTH,
) -> Figure:
    """Draws rows of windows below one another, on the same pitches: the first of several in black.

    Args:
        rows: name -> windows quantized to 16 steps a bar; the rows are of as many and as long ones.
        title: written above, if given.
        width_inches: of a row; more where its steps would be too narrow to see.

    Returns:
        The figure. Its axes are in reading order: the tracks of the first row, then the next
        row's; x in steps since the row's first window began, y in MIDI pitches or in kinds of hit.

    Raises:
        ValueError: if the rows are not alike, or one is not quantized to 4 steps a quarter.
    """
    steps = {name: list(map(_num_steps, row)) for name, row in rows.items()}
    first = next(iter(steps.values()), None)
    if not first or any(row != first for row in steps.values()):
        raise ValueError(f"Rows must be of windows, all alike. Received windows of steps: {steps}.")
    rolls = find_rolls(list(itertools.chain(*rows.values())))
    borders = [0, *itertools.accumulate(first)]
    whole = range(borders[-1])
    figure, rows_of_axes = _lay_out(rolls, [whole] * len(rows), title, width_inches)
    colors = TRACK_COLORS if len(rows) == 1 else (END_POINT_COLOR, *TRACK_COLORS)
    for name, row, color in zip(rows, rows_of_axes, itertools.cycle(colors), strict=False):
        _rule_windows(row, borders, whole)
        for border, sequence in zip(borders, rows[name], strict=False):
            for axes, roll in zip(row, rolls, strict=True):
                _draw_notes(axes, roll, sequence, color, border)
        row[-1].set_xlabel(name, fontsize=FONT_POINTS, color=INK, parse_math=False)
    return figure


def write_picture(figure: Figure, path: str | os.PathLike, dots_per_inch: int = 150) -> None:
    """Writes a figure as a PNG, PDF or SVG file, by its suffix, whole or not at all.

    The same figure gives the same bytes. Raises `ValueError` for any other suffix.
    """
    suffix = os.path.splitext(path)[1].lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"A picture must end in {', '.join(SUFFIXES)}. Received: {path}.")
    metadata = UNDATED.get(suffix)
    with (
        files.replacing(path) as beside,
        open(beside, "wb") as file,
        _settings_lock,  # The settings are matplotlib's own, for all threads.
        # Text as text; fixed ids.
        matplotlib.rc_context({"pdf.fonttype": 42, "svg.hashsalt": "magenta_vae"}),
    ):
        figure.savefig(file, format=suffix[1:], dpi=dots_per_inch, metadata=metadata)


def _num_steps(sequence: NoteSequence) -> int:
    """Returns the steps of whole bars, at least one, that hold a sequence."""
    return num_whole_bars(sequence) * STEPS_PER_BAR


def _systems(num_steps: int) -> list[range]:
    """Returns the steps of each system."""
    borders = [*range(0, num_steps, MAX_BARS_PER_SYSTEM * STEPS_PER_BAR), num_steps]
    return [range(*pair) for pair in itertools.pairwise(borders)]


def _strips(borders: list[int]) -> list[range]:
    """Returns the steps of each row of an interpolation, from the borders of its windows."""
    num_windows, longest = len(borders) - 1, max(b - a for a, b in itertools.pairwise(borders))
    most = max(MAX_BARS_PER_STRIP * STEPS_PER_BAR // longest, 1)
    # As many windows a row as leave the least of the last row free.
    fitting = range(most // 2 + 1, most + 1)
    per_row = min(fitting, key=lambda count: (-num_windows % count, -count))
    starts = [*borders[:-1:per_row], borders[-1]]
    return [range(*pair) for pair in itertools.pairwise(starts)]


def _lay_out(
    rolls: list[PianoRoll], systems: list[range], title: str | None, width_inches: float = WIDTH
) -> tuple[Figure, list[list[Axes]]]:
    """Returns a `Figure` and its empty `Axes`, [systems][rolls], placed to the inch."""
    most_steps = max(map(len, systems))
    step = max(min(width_inches / most_steps, MAX_STEP_WIDTH), MIN_STEP_WIDTH)
    left = LEFT_OF_DRUMS if any(roll.is_drum for roll in rolls) else LEFT
    width = left + most_steps * step + RIGHT
    lines = textwrap.wrap(title or "", int((width - left) * LETTERS_PER_INCH))
    system_height = sum(roll.height_inches + ROLL_GAP for roll in rolls) - ROLL_GAP
    header = TOP + TITLE_LINE * len(lines)
    height = header + len(systems) * (system_height + SYSTEM_GAP) - SYSTEM_GAP + BOTTOM
    figure = Figure(figsize=(width, height), facecolor="white")
    style = {"fontsize": TITLE_POINTS, "color": INK, "parse_math": False, "va": "top"}
    figure.text(left / width, 1 - TOP / 2 / height, "\n".join(lines), style)
    rows: list[list[Axes]] = []
    bottom = height - header
    for steps in systems:
        rows.append([])
        for roll in rolls:
            bottom -= roll.height_inches
            roll_width, roll_height = len(steps) * step, roll.height_inches
            axes = figure.add_axes(
                (left / width, bottom / height, roll_width / width, roll_height / height)
            )
            axes.set_xlim(steps.start, steps.stop)
            axes.set_ylim(roll.shown.start - 0.5, roll.shown.stop - 0.5)
            _rule_rows(axes, roll, label_x=(LABEL_FROM_LEFT - left) / roll_width)
            rows[-1].append(axes)
            bottom -= ROLL_GAP
        bottom -= SYSTEM_GAP - ROLL_GAP
    return figure, rows


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


def _rule_bars(row: list[Axes], steps: range) -> None:
    """Draws the bars and beats of one system, and numbers its bars below the last track."""
    bars = steps[::STEPS_PER_BAR]
    labels = {step + STEPS_PER_BAR / 2: step // STEPS_PER_BAR + 1 for step in bars}
    _rule_time(row, steps, labels)


def _rule_windows(row: list[Axes], borders: list[int], steps: range) -> None:
    """Draws the bars and beats of a row of an interpolation, and separates and numbers windows."""
    windows = enumerate(itertools.pairwise(borders), 1)
    labels = {(a + b) / 2: number for number, (a, b) in windows if a in steps}
    _rule_time(row, steps, labels)
    for axes in row:
        axes.vlines([step for step in borders if step in steps[1:]], *axes.get_ylim(), **WINDOWS)


def _rule_time(row: list[Axes], steps: range, labels: dict[float, int]) -> None:
    """Draws lines at beats and bars, and labels steps below the last track."""
    for axes in row:
        axes.vlines(steps[::STEPS_PER_QUARTER], *axes.get_ylim(), **BEATS)
        axes.vlines(steps[::STEPS_PER_BAR], *axes.get_ylim(), **BARS)
    row[-1].set_xticks(list(labels), list(map(str, labels.values())))


def _interpolation_color(index: int, num_sequences: int) -> ColorType:
    """Returns black for an end point, else a colour of the ramp between them."""
    if index in (0, num_sequences - 1):
        return END_POINT_COLOR
    color_map, first, last = RAMP
    return color_map(first + (last - first) * (index - 1) / max(num_sequences - 3, 1))


def _draw_notes(
    axes: Axes, roll: PianoRoll, sequence: NoteSequence, color: ColorType, offset_steps: int = 0
) -> None:
    """Draws one track's notes that sound within the axes, as rectangles around their rows."""
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
