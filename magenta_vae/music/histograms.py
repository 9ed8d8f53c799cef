"""What windows hold, in pictures: a row of histograms for each track, as `plots` draws."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from magenta_vae.contracts import Vocabulary
from magenta_vae.music.names import hit_names
from magenta_vae.music.picture_layout import FONT_POINTS, INK, ROW_COLOR, TITLE_POINTS
from magenta_vae.music.plots import TRACK_COLORS
from magenta_vae.music.songs import STEPS_PER_BAR, STEPS_PER_QUARTER
from magenta_vae.music.tokens import NUM_PITCHES

WIDTH, ROW_HEIGHT, TOP = 12.0, 3.4, 0.6  # Inches.
PITCH_MARGIN = 2


def draw_histograms(described: dict[str, dict], tracks: Sequence[Vocabulary], title: str) -> Figure:
    """Draws, for each track, its pitches or hits and where in the bar its onsets are.

    Args:
        described: what `token_statistics.describe_track` gave of each track, by name.
        tracks: the vocabularies.
        title: written above.

    Returns:
        The figure: two axes a track.
    """
    height = TOP + ROW_HEIGHT * len(tracks)
    figure = Figure(figsize=(WIDTH, height), facecolor="white")
    figure.text(0.06, 1 - 0.2 / height, title, fontsize=TITLE_POINTS, color=INK, va="top")
    left = 0.11 if any(track.is_drum for track in tracks) else 0.07  # Names of hits are longer.
    grid = figure.add_gridspec(
        len(tracks), 2, width_ratios=(3, 2), left=left, right=0.99, wspace=0.17, hspace=0.55,
        top=1 - (TOP + 0.25) / height, bottom=0.75 / height,
    )  # fmt: skip
    for row, track in enumerate(tracks):
        each, color = described[track.name], TRACK_COLORS[row % len(TRACK_COLORS)]
        what = figure.add_subplot(grid[row, 0])
        if track.is_drum:
            _draw_hits(what, each, hit_names(track), color)
        else:
            _draw_pitches(what, each, color)
        _dress(what, f"{track.name}: {'hits' if track.is_drum else 'notes of each pitch'}")
        where = figure.add_subplot(grid[row, 1])
        where.bar(range(1, STEPS_PER_BAR + 1), each["onsets_per_step"], color=color)
        where.set_xticks(range(1, STEPS_PER_BAR + 1, STEPS_PER_QUARTER))
        where.set_xlabel("step of the bar", fontsize=FONT_POINTS, color=INK)
        _dress(where, f"{track.name}: onsets on each step")
    return figure


def _draw_pitches(axes, described: dict, color: str) -> None:
    counts = described["notes_per_pitch"]
    axes.bar(range(NUM_PITCHES), counts, width=0.9, color=color)
    low, high = described["lowest_pitch"] or 0, described["highest_pitch"] or NUM_PITCHES - 1
    axes.set_xlim(low - PITCH_MARGIN, high + PITCH_MARGIN)
    octaves = [pitch for pitch in range(0, NUM_PITCHES, 12) if low <= pitch <= high]
    axes.set_xticks(octaves, [f"C{pitch // 12 - 1}" for pitch in octaves])


def _draw_hits(axes, described: dict, names: Sequence[str], color: str) -> None:
    axes.barh(range(len(names)), described["hits_per_kind"], color=color)
    axes.invert_yaxis()
    axes.set_yticks(range(len(names)), names)


def _dress(axes, title: str) -> None:
    axes.set_title(title, fontsize=FONT_POINTS, color=INK, loc="left", parse_math=False)
    axes.tick_params(labelsize=FONT_POINTS - 1, labelcolor=INK, length=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[:].set_color(ROW_COLOR)
    axes.set_axisbelow(True)
