"""Quantized NoteSequences -> pictures: piano rolls, drum grids, scores of both, interpolations.

Every picture is made of lanes, one a track, below one another: rows upwards (pitches, or kinds of
hit) and steps to the right. Only matplotlib's objects are used, never pyplot, which keeps every
figure alive in one global list: threads may draw at the same time, and no display is needed.
"""

import itertools
import os
import textwrap
from collections.abc import Sequence
from typing import NamedTuple

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from note_seq.protobuf.music_pb2 import NoteSequence

from magenta_vae.music import files
from magenta_vae.music.songs import STEPS_PER_BAR, STEPS_PER_QUARTER
from magenta_vae.music.tokens import NUM_PITCHES, Drums

DRUM_NAMES = (
    *("kick", "snare", "closed hi-hat", "open hi-hat"),
    *("low tom", "mid tom", "high tom", "crash", "ride"),
)
MAX_BARS_PER_SYSTEM = 8  # A longer score continues below.

# Inches. A long strip grows wider than STRIP_WIDTH, a high lane no higher than MAX_LANE_HEIGHT.
SCORE_WIDTH, STRIP_WIDTH = 10.0, 11.5
MIN_STEP_WIDTH, MAX_STEP_WIDTH = 0.022, 0.17
PITCH_HEIGHT, DRUM_HEIGHT, MAX_LANE_HEIGHT = 0.075, 0.2, 3.0
LEFT, LEFT_OF_DRUMS, RIGHT, LABEL_FROM_LEFT = 0.9, 1.6, 0.2, 0.3
TOP, BOTTOM, TITLE_LINE = 0.15, 0.55, 0.28
LANE_GAP, SYSTEM_GAP = 0.1, 0.5
MIN_PITCHES, PITCH_MARGIN = 15, 2  # Rows of a piano roll; those above and below what sounds.
MAX_PITCHES_WITH_G = 48  # Names of higher rolls would touch: only C is written.

# Okabe and Ito's colours, told apart by colour-blind eyes: blue, vermilion, green, purple, ...
TRACK_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
END_POINT_COLOR = "black"
RAMP = (matplotlib.colormaps["plasma"], 0.25, 0.76)  # Neither near black nor a yellow on white.
INK, BAR_COLOR, BEAT_COLOR, ROW_COLOR = "#333333", "#B0B0B0", "#ECECEC", "#DEDEDE"
FONT_POINTS, TITLE_POINTS = 11, 13
LETTERS_PER_INCH = 10  # Of a title or the name of a track: what is longer is broken or cut.
FULL_VELOCITY, MIN_ALPHA = 80, 0.4  # Generated notes, all of velocity 80, are opaque.
NOTE_GAP, HIT_GAP = 0.22, 0.1  # Shares of a step and of a row left free, so that repeats show.


class _Lane(NamedTuple):
    """One track's place in a picture: what is drawn, and on which row.

    Attributes:
        instrument: the number of the track in its NoteSequences.
        name: written beside it.
        is_drum: hits, each one step long; else notes.
        rows: MIDI pitch -> row. A pitch without a row is not drawn.
        shown: the rows of the picture, upwards.
        labels: row -> what is written beside it.
        lines: heights of the lines across, in rows.
    """

    instrument: int
    name: str
    is_drum: bool
    rows: dict[int, int]
    shown: range
    labels: dict[int, str]
    lines: list[float]

    @property
    def height_inches(self) -> float:
        row_inches = DRUM_HEIGHT if self.is_drum else PITCH_HEIGHT
        return min(len(self.shown) * row_inches, MAX_LANE_HEIGHT)


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
    lanes = _lanes([sequence])
    systems = _systems(_num_steps(sequence))
    figure, rows_of_axes = _lay_out(lanes, systems, SCORE_WIDTH, title)
    for steps, row in zip(systems, rows_of_axes, strict=True):
        _rule_bars(row, steps)
        for axes, lane, color in zip(row, lanes, itertools.cycle(TRACK_COLORS), strict=False):
            _draw_notes(axes, lane, sequence, color)
    row[-1].set_xlabel("bar", fontsize=FONT_POINTS, color=INK)
    return figure


def draw_interpolation(sequences: Sequence[NoteSequence], title: str | None = None) -> Figure:
    """Draws the steps of an interpolation one after another, the end points in black.

    Source: paper, Supplemental Figures 2 and 3.

    Args:
        sequences: quantized to 16 steps a bar, from one end point to the other.
        title: written above, if given.

    Returns:
        The figure, with one axes a track: x in steps since the first sequence began, y in MIDI
        pitches or in kinds of hit.

    Raises:
        ValueError: if there is no sequence, or one is not quantized to 4 steps a quarter.
    """
    if not sequences:
        raise ValueError("An interpolation has at least one sequence. Received: none.")
    lanes = _lanes(sequences)
    borders = [0, *itertools.accumulate(map(_num_steps, sequences))]
    figure, (row,) = _lay_out(lanes, [range(borders[-1])], STRIP_WIDTH, title)
    _rule_windows(row, borders)
    for index, sequence in enumerate(sequences):
        color = _interpolation_color(index, len(sequences))
        for axes, lane in zip(row, lanes, strict=True):
            _draw_notes(axes, lane, sequence, color, borders[index])
    row[-1].set_xlabel("step of the interpolation", fontsize=FONT_POINTS, color=INK)
    return figure


def write_png(figure: Figure, path: str | os.PathLike, dots_per_inch: int = 150) -> None:
    """Writes a figure as a PNG file, whole or not at all."""
    with files.replacing(path) as beside, open(beside, "wb") as file:
        figure.savefig(file, format="png", dpi=dots_per_inch)


def _num_steps(sequence: NoteSequence) -> int:
    """Returns the steps of whole bars, at least one, that hold a sequence."""
    steps_per_quarter = sequence.quantization_info.steps_per_quarter
    if steps_per_quarter != STEPS_PER_QUARTER:
        raise ValueError(
            f"Expected a NoteSequence quantized to {STEPS_PER_QUARTER} steps a quarter. "
            f"Received: steps_per_quarter={steps_per_quarter}."
        )
    ends = [note.quantized_end_step for note in sequence.notes]
    last = max(1, sequence.total_quantized_steps, *ends)
    return -(-last // STEPS_PER_BAR) * STEPS_PER_BAR


def _lanes(sequences: Sequence[NoteSequence]) -> list[_Lane]:
    """Returns a lane for every track that is named or that sounds, in order of their numbers."""
    names, notes, lanes = {}, {}, []
    for sequence in sequences:
        for info in sequence.instrument_infos:
            names.setdefault(info.instrument, info.name)
        for note in sequence.notes:
            notes.setdefault(note.instrument, []).append(note)
    for number in sorted(names.keys() | notes.keys()) or [0]:
        name, played = names.get(number, ""), notes.get(number, [])
        # Nothing but its name tells what a silent track is.
        is_drum = any(note.is_drum for note in played) or (not played and name == Drums().name)
        lanes.append((_drum_lane if is_drum else _melody_lane)(number, name, played))
    return lanes


def _drum_lane(instrument: int, name: str, _notes: list) -> _Lane:
    kinds = Drums().hit_pitches
    rows = {pitch: kind for kind, pitches in enumerate(kinds) for pitch in pitches}
    shown = range(len(kinds))
    lines = [row - 0.5 for row in shown[1:]]
    return _Lane(instrument, name, True, rows, shown, dict(enumerate(DRUM_NAMES)), lines)


def _melody_lane(instrument: int, name: str, notes: list) -> _Lane:
    pitches = [note.pitch for note in notes] or [60]
    low, high = min(pitches) - PITCH_MARGIN, max(pitches) + PITCH_MARGIN
    missing = max(MIN_PITCHES - (high - low + 1), 0)
    shown = range(low - missing // 2, high + (missing + 1) // 2 + 1)
    letters = {0: "C"} if len(shown) > MAX_PITCHES_WITH_G else {0: "C", 7: "G"}
    rows = {pitch: pitch for pitch in range(NUM_PITCHES)}
    named = [row for row in shown if row in rows and row % 12 in letters]
    labels = {row: f"{letters[row % 12]}{row // 12 - 1}" for row in named}
    octaves = [row for row in named if row % 12 == 0]
    return _Lane(instrument, name, False, rows, shown, labels, octaves)


def _systems(num_steps: int) -> list[range]:
    """Returns the steps of each system."""
    borders = [*range(0, num_steps, MAX_BARS_PER_SYSTEM * STEPS_PER_BAR), num_steps]
    return [range(*pair) for pair in itertools.pairwise(borders)]


def _lay_out(lanes: list[_Lane], systems: list[range], width_inches: float, title: str | None):
    """Returns a `Figure` and its empty `Axes`, [systems][lanes], placed to the inch."""
    most_steps = max(map(len, systems))
    step = max(min(width_inches / most_steps, MAX_STEP_WIDTH), MIN_STEP_WIDTH)
    left = LEFT_OF_DRUMS if any(lane.is_drum for lane in lanes) else LEFT
    width = left + most_steps * step + RIGHT
    lines = textwrap.wrap(title or "", int((width - left) * LETTERS_PER_INCH))
    system_height = sum(lane.height_inches + LANE_GAP for lane in lanes) - LANE_GAP
    header = TOP + TITLE_LINE * len(lines)
    height = header + len(systems) * (system_height + SYSTEM_GAP) - SYSTEM_GAP + BOTTOM
    figure = Figure(figsize=(width, height), facecolor="white")
    style = {"fontsize": TITLE_POINTS, "color": INK, "parse_math": False, "va": "top"}
    figure.text(left / width, 1 - TOP / 2 / height, "\n".join(lines), **style)
    rows, bottom = [], height - header
    for steps in systems:
        rows.append([])
        for lane in lanes:
            bottom -= lane.height_inches
            box = (left, bottom, len(steps) * step, lane.height_inches)
            axes = figure.add_axes([side / (width, height)[i % 2] for i, side in enumerate(box)])
            axes.set_xlim(steps.start, steps.stop)
            axes.set_ylim(lane.shown.start - 0.5, lane.shown.stop - 0.5)
            _rule_rows(axes, lane, label_x=(LABEL_FROM_LEFT - left) / box[2])
            rows[-1].append(axes)
            bottom -= LANE_GAP
        bottom -= SYSTEM_GAP - LANE_GAP
    return figure, rows


def _rule_rows(axes: Axes, lane: _Lane, label_x: float) -> None:
    """Names the track and its rows, and draws a line at each octave or between kinds of hit."""
    letters = int(lane.height_inches * LETTERS_PER_INCH)
    name = lane.name if len(lane.name) <= letters else lane.name[: letters - 1] + "…"
    axes.set_ylabel(name, fontsize=FONT_POINTS, color=INK, parse_math=False)
    axes.yaxis.set_label_coords(label_x, 0.5)
    axes.set_yticks(list(lane.labels), list(lane.labels.values()))
    axes.set_xticks([])
    axes.tick_params(length=0, labelsize=FONT_POINTS, labelcolor=INK)
    axes.hlines(lane.lines, *axes.get_xlim(), color=ROW_COLOR, linewidth=0.8, zorder=0.3)
    axes.spines[:].set_color(BAR_COLOR)


def _rule_bars(row: list[Axes], steps: range) -> None:
    """Draws the bars and beats of one system, and numbers its bars below the last track."""
    bars = steps[::STEPS_PER_BAR]
    labels = {step: step // STEPS_PER_BAR + 1 for step in bars}
    _rule_time(row, bars, steps[::STEPS_PER_QUARTER], labels)


def _rule_windows(row: list[Axes], borders: list[int]) -> None:
    """Separates the windows of an interpolation, and numbers them below the last track."""
    middles = [(start + end) / 2 for start, end in itertools.pairwise(borders)]
    labels = {middle: number for number, middle in enumerate(middles, 1)}
    _rule_time(row, borders, range(0, borders[-1], STEPS_PER_BAR), labels)


def _rule_time(row: list[Axes], strong, faint, labels: dict[float, int]) -> None:
    """Draws lines at strong and at faint steps, and labels steps below the last track."""
    for axes in row:
        axes.vlines(faint, *axes.get_ylim(), color=BEAT_COLOR, linewidth=0.8, zorder=0.2)
        axes.vlines(strong, *axes.get_ylim(), color=BAR_COLOR, linewidth=1.0, zorder=0.4)
    row[-1].set_xticks(list(labels), list(map(str, labels.values())))


def _interpolation_color(index: int, num_sequences: int):
    """Returns black for an end point, else a colour of the ramp between them."""
    if index in (0, num_sequences - 1):
        return END_POINT_COLOR
    color_map, first, last = RAMP
    return color_map(first + (last - first) * (index - 1) / max(num_sequences - 3, 1))


def _draw_notes(axes: Axes, lane: _Lane, sequence, color, offset_steps: int = 0) -> None:
    """Draws one track's notes that sound within the axes, as rectangles around their rows."""
    first, last = axes.get_xlim()
    row_gap = HIT_GAP if lane.is_drum else 0.0
    for (start, row), (end, velocity) in _notes_by_place(lane, sequence).items():
        start, end = start + offset_steps, end + offset_steps
        if start < last and end > first:
            place = (start, row - 0.5 + row_gap), end - start - NOTE_GAP, 1 - 2 * row_gap
            alpha = min(MIN_ALPHA + (1 - MIN_ALPHA) * velocity / FULL_VELOCITY, 1.0)
            # Snapped to whole pixels the gaps of a long strip would close.
            style = {"color": color, "alpha": alpha, "linewidth": 0, "snap": False}
            axes.add_patch(Rectangle(*place, **style))


def _notes_by_place(lane: _Lane, sequence) -> dict[tuple[int, int], tuple[int, int]]:
    """Returns (start, row) -> (end, velocity) of a track: of notes in one place the greatest."""
    places = {}
    for note in sequence.notes:
        if note.instrument == lane.instrument and note.pitch in lane.rows:
            start, end = note.quantized_start_step, note.quantized_end_step
            place = start, lane.rows[note.pitch]
            extent = start + 1 if lane.is_drum else max(end, start + 1), note.velocity
            places[place] = max(extent, places.get(place, extent))
    return places
