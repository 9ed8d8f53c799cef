"""Pictures that compare: music that was read above what a model made of it, in one legend.

What is true is black, what is reconstructed blue, what is generated orange, in every picture; the
legend says so in words. Between two pieces the orange goes from dark to light.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend_handler import HandlerTuple
from matplotlib.patches import Patch
from matplotlib.typing import ColorType
from note_seq.protobuf.music_pb2 import NoteSequence

from magenta_vae.music import picture_layout as layout
from magenta_vae.music.piano_rolls import PianoRoll, find_rolls
from magenta_vae.music.picture_layout import Legend, System
from magenta_vae.music.songs import STEPS_PER_BAR


class Kind(NamedTuple):
    """What a window in a picture is.

    Attributes:
        word: as the legend says it.
        color: of its notes, told from the others' by colour-blind eyes (Okabe and Ito).
    """

    word: str
    color: ColorType


TRUE = Kind("true", "#000000")
RECONSTRUCTED = Kind("reconstructed", "#0072B2")
GENERATED = Kind("generated", "#D55E00")
KINDS = (TRUE, RECONSTRUCTED, GENERATED)
BY_WORD = {kind.word: kind for kind in KINDS}
RAMP = (matplotlib.colormaps["Oranges"], 0.95, 0.5)  # Of what is on the way between two windows.
SHADES_IN_LEGEND = 4


class Window(NamedTuple):
    """A window of a sheet, with what it was made of above it.

    Attributes:
        sequence: the music.
        kind: what it is.
        label: written below it.
        source: the music that was read, which is true; None where there is none.
        way: how far it is on the way between two windows, 0 to 1; None where it is on none.
        first_bar: the number of its first bar.
    """

    sequence: NoteSequence
    kind: Kind
    label: str = ""
    source: NoteSequence | None = None
    way: float | None = None
    first_bar: int = 1

    @property
    def num_steps(self) -> int:
        """Steps of whole bars that hold it and its source."""
        both = [self.sequence] if self.source is None else [self.source, self.sequence]
        return max(map(layout.num_steps, both))

    @property
    def color(self) -> ColorType:
        """The colour of its notes."""
        return self.kind.color if self.way is None else ramp_color(self.way)


# A longer row would have steps too narrow to see; a sheet of many windows has wider rows.
BARS_PER_ROW, BARS_PER_WIDE_ROW, MANY_BARS = 10, 20, 60
MAX_SHEET_INCHES = 120.0  # 18,000 pixels. What is beyond is left out, and the title says so.


def draw_comparison(window: Window, title: str | None = None) -> Figure:
    """Draws a window below what it was made of, bar by bar.

    More than 8 bars continue below, as the systems of a printed score do.

    Args:
        window: what is drawn; its label is not.
        title: written above, if given.

    Returns:
        The figure. Its axes are in reading order: of a system the tracks of the source, then those
        of the window; x in steps, y in MIDI pitches or in kinds of hit, the same for both.
    """
    rows = [(window.sequence, window.color)]
    if window.source is not None:
        rows.insert(0, (window.source, TRUE.color))
    rolls = find_rolls([sequence for sequence, _ in rows])
    spans = layout.split_bars(window.num_steps)
    systems = [System(span, (span,) * (len(rows) - 1)) for span in spans]
    figure, axes_of_systems = layout.lay_out(rolls, systems, title, legend=_legend([window]))
    for span, layers in zip(spans, axes_of_systems, strict=True):
        for row, (sequence, color) in zip(layers, rows, strict=True):
            layout.rule_bars(row, span, window.first_bar if row is layers[-1] else None)
            _draw(row, rolls, sequence, color)
    layout.write_below(axes_of_systems[-1][-1][-1], "bar")
    return figure


def draw_sheet(
    windows: Sequence[Window],
    title: str | None = None,
    axis: str = "",
    width_inches: float = layout.WIDTH,
    bars_per_row: int | None = None,
) -> Figure:
    """Draws windows one after another in rows, each below what it was made of.

    All have the same y axes. What would make the picture higher than 120 inches is left out, and
    the title says how many are shown.

    Args:
        windows: what is drawn, in order.
        title: written above, if given.
        axis: what the labels below the windows say.
        width_inches: of a row; more where its steps would be too narrow to see.
        bars_per_row: at most; 10, or 20 of many, for None.

    Returns:
        The figure. Its axes are in reading order: of a row the tracks of the sources, where one of
        them has any, then those of the windows; x in steps since the first window began, y in MIDI
        pitches or in kinds of hit.

    Raises:
        ValueError: if there is no window, or one is not quantized to 4 steps a quarter.
    """
    if not windows:
        raise ValueError("A sheet has at least one window. Received: none.")
    borders = [0, *itertools.accumulate(window.num_steps for window in windows)]
    if bars_per_row is None:
        num_bars = borders[-1] // STEPS_PER_BAR
        bars_per_row = BARS_PER_WIDE_ROW if num_bars > MANY_BARS else BARS_PER_ROW
    every = [*(each.sequence for each in windows), *(each.source for each in windows)]
    rolls = find_rolls([each for each in every if each is not None])
    spans = layout.split_windows(borders, bars_per_row)
    rows = [_in_span(windows, borders, span) for span in spans]
    systems = [
        System(span, _span_of_sources(row, span)) for span, row in zip(spans, rows, strict=True)
    ]
    fitting = layout.count_fitting(rolls, systems, MAX_SHEET_INCHES)
    if fitting < len(systems):
        shown = sum(map(len, rows[:fitting]))
        said = f"the first {shown:,} of {len(windows):,} windows"
        title = f"{title}\n{said}" if title else said
        rows, systems = rows[:fitting], systems[:fitting]
    legend = _legend([window for row in rows for window in row])
    figure, axes_of_systems = layout.lay_out(rolls, systems, title, width_inches, legend)
    for row, (span, above), layers in zip(rows, systems, axes_of_systems, strict=True):
        for steps, axes in zip(above, layers, strict=False):
            layout.rule_windows(axes, borders, steps, [])
        layout.rule_windows(layers[-1], borders, span, [window.label for window in row])
        starts = [border for border in borders[:-1] if border in span]
        for start, window in zip(starts, row, strict=True):
            if window.source is not None:
                _draw(layers[0], rolls, window.source, TRUE.color, start)
            _draw(layers[-1], rolls, window.sequence, window.color, start)
    if axis:
        layout.write_below(axes_of_systems[-1][-1][-1], axis)
    return figure


def ramp_color(position: float) -> ColorType:
    """Returns the colour of what is so far on the way from one window to another, 0 to 1."""
    color_map, first, last = RAMP
    return color_map(first + (last - first) * position)


def legend_of(kinds: Sequence[Kind], has_ways: bool = False) -> Legend:
    """Returns what says in words what the colours of kinds are, in the order of `KINDS`."""
    handles, words = [], []
    for kind in (each for each in KINDS if each in kinds):
        colors = [kind.color]
        if has_ways and kind == GENERATED:
            steps = range(SHADES_IN_LEGEND)
            colors = [ramp_color(step / (SHADES_IN_LEGEND - 1)) for step in steps]
        handles.append(tuple(Patch(facecolor=color, linewidth=0) for color in colors))
        words.append(kind.word)
    return Legend(handles, words, {tuple: HandlerTuple(ndivide=None, pad=0)})


def on_the_way(sequences: Sequence[NoteSequence], ends: Kind) -> list[Window]:
    """Returns the windows of an interpolation, numbered, the ends being of another kind."""
    last = len(sequences) - 1
    return [
        Window(sequence, ends, str(index + 1))
        if index in (0, last)
        else Window(sequence, GENERATED, str(index + 1), way=(index - 1) / max(last - 2, 1))
        for index, sequence in enumerate(sequences)
    ]


def _legend(windows: Sequence[Window]) -> Legend:
    kinds = [window.kind for window in windows]
    if any(window.source is not None for window in windows):
        kinds.append(TRUE)
    return legend_of(kinds, has_ways=any(window.way is not None for window in windows))


def _span_of_sources(row: Sequence[Window], span: range) -> tuple[range, ...]:
    """Returns the steps from the first window of a row with a source to the last; none for none."""
    borders = list(itertools.accumulate((each.num_steps for each in row), initial=span.start))
    having = [index for index, window in enumerate(row) if window.source is not None]
    return (range(borders[having[0]], borders[having[-1] + 1]),) if having else ()


def _in_span(windows: Sequence[Window], borders: Sequence[int], span: range) -> list[Window]:
    return [window for window, border in zip(windows, borders, strict=False) if border in span]


def _draw(
    row: Sequence[Axes],
    rolls: Sequence[PianoRoll],
    sequence: NoteSequence,
    color: ColorType,
    offset_steps: int = 0,
) -> None:
    for axes, roll in zip(row, rolls, strict=True):
        layout.draw_notes(axes, roll, sequence, color, offset_steps)
