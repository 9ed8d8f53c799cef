"""What a model says of itself to people: sections of Markdown."""

from collections.abc import Mapping

from magenta_vae.configuration import Experiment
from magenta_vae.data.settings import Settings
from magenta_vae.workflows import text_tables


def format_card(title: str, sections: Mapping[str, str]) -> str:
    """Returns a model card in Markdown, of sections by their titles."""
    lines = [f"# {title}"]
    for name, text in sections.items():
        lines += ["", f"## {name}", "", text]
    return "\n".join(lines) + "\n"


def describe_use(num_bars: int) -> str:
    """Returns what a model of windows of so many bars is for."""
    return (
        f"Sketches for a person to choose from: pieces of {num_bars} bars, variations "
        "of a piece, ways from one to another, more or less of an attribute. Not for telling who "
        "composed something, nor for music that nobody listens to before it is used."
    )


def describe_limits(settings: Settings) -> str:
    """Returns what a model of such windows cannot do."""
    lines = [track.name for track in settings.tracks if not track.is_drum]
    limits = [
        f"Windows of {settings.num_bars} bars of 4/4, sixteen steps "
        "a bar: nothing lies between the steps, no triplets.",
        "All notes are equally loud; the tempo is not part of the music.",
        *([f"One note at a time in {', '.join(lines)}: no chords."] if lines else []),
        "What it makes is like its data, whose kinds of music it knows alone; other music is "
        "reconstructed as the nearest of these.",
        "A sample may be a piece of its data: `Evaluation` says how many were, where that was "
        "counted. Those of temperatures above 1 are mostly noise.",
    ]
    return "\n".join(f"- {limit}" for limit in limits)


def format_data(data: Mapping | None) -> str:
    """Returns what became of the songs and windows that a model was trained on, as a list."""
    if data is None:
        return "Not known here: the weights were imported."
    counts = {
        name: sum(count.values()) if isinstance(count, dict) else count
        for name, count in data["counts"].items()
    }
    return "\n".join(f"- {name.replace('_', ' ')}: {count:,}" for name, count in counts.items())


def format_figures(figures: Mapping | None, experiment: Experiment) -> str:
    """Returns the metrics of a run as tables, and those of its samples where they hold them."""
    if figures is None:
        return "Not evaluated."
    parts = [f"```\n{text_tables.format_metrics(dict(figures), experiment)}\n```"]
    if "samples" in figures:
        parts.append(f"```\n{text_tables.format_comparison(figures['samples'])}\n```")
    return "\n\n".join(parts)
