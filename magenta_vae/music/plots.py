"""Quantized NoteSequences -> pictures: piano rolls, drum grids, scores of both, interpolations.

Every picture is made of piano rolls, one a track, below one another: rows upwards and steps to the
right. What is long continues below, as the systems of a printed score do. `sheets` has those that
compare. Only matplotlib's objects are used, never pyplot, which keeps every figure alive in one
global list: threads may draw at the same time, and no display is needed.
"""

import itertools
import os
import threading
from collections.abc import Mapping, Sequence

import matplotlib
from matplotlib.figure import Figure
from matplotlib.typing import ColorType
from note_seq.protobuf.music_pb2 import NoteSequence

from magenta_vae import files
from magenta_vae.music import picture_layout as layout
from magenta_vae.music import sheets
from magenta_vae.music.piano_rolls import find_rolls
from magenta_vae.music.picture_layout import WIDTH, System
from magenta_vae.music.sheets import TRUE, Kind, Window

# Okabe and Ito's colours, told apart by colour-blind eyes: blue, vermilion, green, purple, ...
TRACK_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
SUFFIXES = (".png", ".pdf", ".svg")
UNDATED = {".pdf": {"CreationDate": None}, ".svg": {"Date": None}}
_settings_lock = threading.Lock()


def draw_score(
    sequence: NoteSequence, title: str | None = None, kind: Kind | None = None
) -> Figure:
    """Draws a NoteSequence: a piano roll for each melody, a grid for drums, on one time axis.

    More than 8 bars continue below, as the systems of a printed score do.

    Args:
        sequence: quantized to 16 steps a bar; `note.instrument` is the track.
        title: written above, if given.
        kind: what it is, for the colour and the legend; a colour for each track for None.

    Returns:
        The figure. Its axes are in reading order: those of a system from the first track to the
        last, then the next system's; x in steps, y in MIDI pitches or in kinds of hit.

    Raises:
        ValueError: if the sequence is not quantized to 4 steps a quarter.
    """
    if kind is not None:
        return sheets.draw_comparison(Window(sequence, kind), title)
    rolls = find_rolls([sequence])
    spans = layout.split_bars(layout.num_steps(sequence))
    figure, systems = layout.lay_out(rolls, [System(span) for span in spans], title)
    for steps, (row,) in zip(spans, systems, strict=True):
        layout.rule_bars(row, steps)
        for axes, roll, color in zip(row, rolls, itertools.cycle(TRACK_COLORS), strict=False):
            layout.draw_notes(axes, roll, sequence, color)
    layout.write_below(row[-1], "bar")
    return figure


def draw_interpolation(
    sequences: Sequence[NoteSequence], title: str | None = None, width_inches: float = WIDTH
) -> Figure:
    """Draws two examples and what is generated on the way between them, one after another.

    The examples are black, as whatever is true in `sheets`. More than 10 bars continue below, in
    rows as equal as may be. Source: paper, Supplemental Figures 2 and 3.

    Args:
        sequences: quantized to 16 steps a bar, from one example to the other.
        title: written above, if given.
        width_inches: of a row; more where its steps would be too narrow to see.

    Returns:
        The figure, as of `sheets.draw_sheet`.

    Raises:
        ValueError: if there is no sequence, or one is not quantized to 4 steps a quarter.
    """
    if not sequences:
        raise ValueError("An interpolation has at least one sequence. Received: none.")
    windows = sheets.on_the_way(sequences, TRUE)
    axis, bars_per_row = "step of the interpolation", sheets.BARS_PER_ROW
    return sheets.draw_sheet(windows, title, axis, width_inches, bars_per_row)


def draw_rows(
    rows: Mapping[str, Sequence[NoteSequence]],
    title: str | None = None,
    width_inches: float = WIDTH,
    kinds: Sequence[Kind] | None = None,
) -> Figure:
    """Draws rows of windows below one another, on the same pitches.

    Args:
        rows: name -> windows quantized to 16 steps a bar; the rows are of as many and as long ones.
        title: written above, if given.
        width_inches: of a row; more where its steps would be too narrow to see.
        kinds: what each row is, for the colours and the legend; for None the first of several is
            black, and there is no legend.

    Returns:
        The figure. Its axes are in reading order: the tracks of the first row, then the next
        row's; x in steps since the row's first window began, y in MIDI pitches or in kinds of hit.

    Raises:
        ValueError: if the rows are not alike, or one is not quantized to 4 steps a quarter.
    """
    steps = {name: list(map(layout.num_steps, row)) for name, row in rows.items()}
    first = next(iter(steps.values()), None)
    if not first or any(row != first for row in steps.values()):
        raise ValueError(f"Rows must be of windows, all alike. Received windows of steps: {steps}.")
    rolls = find_rolls(list(itertools.chain(*rows.values())))
    borders = [0, *itertools.accumulate(first)]
    whole = range(borders[-1])
    legend = sheets.legend_of(kinds) if kinds else None
    figure, systems = layout.lay_out(
        rolls, [System(whole)] * len(rows), title, width_inches, legend
    )
    colors: Sequence[ColorType] = TRACK_COLORS if len(rows) == 1 else (TRUE.color, *TRACK_COLORS)
    if kinds:
        colors = [kind.color for kind in kinds]
    numbers = [str(number) for number in range(1, len(borders))]
    for name, (row,), color in zip(rows, systems, itertools.cycle(colors), strict=False):
        layout.rule_windows(row, borders, whole, numbers)
        for border, sequence in zip(borders, rows[name], strict=False):
            for axes, roll in zip(row, rolls, strict=True):
                layout.draw_notes(axes, roll, sequence, color, border)
        layout.write_below(row[-1], name)
    return figure


def write_picture(figure: Figure, path: str | os.PathLike, dots_per_inch: int = 150) -> None:
    """Writes a figure as a PNG, PDF or SVG file, by its suffix, whole or not at all.

    The same figure gives the same bytes. Raises `ValueError` for any other suffix.
    """
    suffix = check_suffix(path)
    metadata = UNDATED.get(suffix)
    with (
        files.replacing(path) as beside,
        open(beside, "wb") as file,
        _settings_lock,  # The settings are matplotlib's own, for all threads.
        # Text as text; fixed ids.
        matplotlib.rc_context({"pdf.fonttype": 42, "svg.hashsalt": "magenta_vae"}),
    ):
        figure.savefig(file, format=suffix[1:], dpi=dots_per_inch, metadata=metadata)


def check_suffix(path: str | os.PathLike) -> str:
    """Returns the suffix of a picture's path. Raises `ValueError` for what is none."""
    suffix = os.path.splitext(path)[1].lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"A picture must end in {', '.join(SUFFIXES)}. Received: {path}.")
    return suffix
