"""What windows hold, in numbers: tokens [windows, steps] of one track -> counts and shares."""

from collections.abc import Sequence

import numpy as np

from magenta_vae.music.songs import STEPS_PER_BAR
from magenta_vae.music.tokens import NUM_PITCHES, Drums, Vocabulary


def describe_track(tokens: np.ndarray, track: Vocabulary) -> dict:
    """Returns what windows hold of one track.

    Args:
        tokens: int [windows, steps], at least one window.
        track: its vocabulary.

    Returns:
        JSON values: `tokens_per_class`, [classes]; `classes_used`; `rest_share` and `hold_share`
        of all steps; `onsets_per_window`, the mean; `onsets_per_step`, [16], by the place in a bar;
        for a melody `lowest_pitch` and `highest_pitch`, for drums `hits_per_kind`.
    """
    counts = np.bincount(tokens.reshape(-1), minlength=track.num_classes)
    is_onset = (tokens != track.rest) & (tokens != track.sustain)
    # Windows are whole bars.
    onsets = is_onset.reshape(-1, STEPS_PER_BAR).sum(axis=0)
    described = {
        "tokens_per_class": counts.tolist(),
        "classes_used": int((counts > 0).sum()),
        "rest_share": float(counts[track.rest] / tokens.size),
        "hold_share": float(counts[track.sustain] / tokens.size) if not track.is_drum else 0.0,
        "onsets_per_window": float(is_onset.sum() / len(tokens)),
        "onsets_per_step": onsets.tolist(),
    }
    if track.is_drum:
        hits = track.hits(np.arange(track.num_classes))
        described["hits_per_kind"] = (counts[:, None] * hits).sum(axis=0).tolist()
    else:
        pitches = np.flatnonzero(counts[:NUM_PITCHES])
        described["lowest_pitch"] = int(pitches[0]) if len(pitches) else None
        described["highest_pitch"] = int(pitches[-1]) if len(pitches) else None
    return described


def format_tracks(described: dict[str, dict], tracks: Sequence[Vocabulary]) -> str:
    """Returns what `describe_track` gave of each track, by name, as a table for people."""
    header = ("track", "classes used", "pitches", "rests", "holds", "onsets a window")
    rows = [header]
    for track in tracks:
        each = described[track.name]
        pitches = "none"
        if not track.is_drum and each["lowest_pitch"] is not None:
            pitches = f"{each['lowest_pitch']}-{each['highest_pitch']}"
        rows.append((
            track.name,
            f"{each['classes_used']} of {track.num_classes}",
            pitches,
            f"{each['rest_share']:.1%}",
            f"{each['hold_share']:.1%}",
            f"{each['onsets_per_window']:.1f}",
        ))  # fmt: skip
    return "\n".join("".join(f"{value:<17}" for value in row).rstrip() for row in rows)


def format_hits(described: dict, track: Drums) -> str:
    """Returns which pitches of a file are each kind of hit of drums, and how many there are."""
    lines = [f"{track.name}: hits, and the pitches read as each; the first is written"]
    for kind, (pitches, count) in enumerate(
        zip(track.hit_pitches, described["hits_per_kind"], strict=True)
    ):
        lines.append(f"  {kind + 1}: {count:>9,}  pitches {', '.join(map(str, pitches))}")
    return "\n".join(lines)


def most_frequent(described: dict, track: Vocabulary, number: int = 8) -> str:
    """Returns the most frequent tokens of a track with their shares, as a line."""
    counts = np.array(described["tokens_per_class"])
    order = np.argsort(-counts, kind="stable")[:number]
    shares = (f"{_name(token, track)} {counts[token] / counts.sum():.1%}" for token in order)
    return f"{track.name}: " + ", ".join(shares)


def _name(token: int, track: Vocabulary) -> str:
    if token == track.rest:
        return "rest"
    if isinstance(track, Drums):
        kinds = np.flatnonzero(track.hits(np.array(token))) + 1
        return "hits " + "+".join(map(str, kinds))
    return "hold" if token == track.sustain else f"pitch {token}"
