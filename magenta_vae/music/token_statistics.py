"""What windows hold, in numbers: tokens [windows, steps] of one track -> counts and shares."""

from collections.abc import Sequence

import numpy as np

from magenta_vae.contracts import Vocabulary
from magenta_vae.music import classes
from magenta_vae.music.names import hit_names, token_name
from magenta_vae.music.songs import STEPS_PER_BAR


def describe_track(tokens: np.ndarray, track: Vocabulary) -> dict:
    """Returns what windows hold of one track.

    Args:
        tokens: int [windows, steps], at least one window.
        track: its vocabulary.

    Returns:
        JSON values: `tokens_per_class`, [classes]; `classes_used`; `rest_share` and `hold_share`
        of all steps; `onsets_per_window`, the mean; `onsets_per_step`, [16], by the place in a bar;
        for a line `notes_per_pitch`, [128], `lowest_pitch` and `highest_pitch`, for drums
        `hits_per_kind`.
    """
    counts = np.bincount(tokens.reshape(-1), minlength=track.num_classes)
    is_onset = (classes.num_started(track) > 0)[tokens]
    is_silent = track.is_silent(tokens)
    # Windows are whole bars.
    onsets = is_onset.reshape(-1, STEPS_PER_BAR).sum(axis=0)
    described = {
        "tokens_per_class": counts.tolist(),
        "classes_used": int((counts > 0).sum()),
        "rest_share": float(is_silent.sum() / tokens.size),
        "hold_share": float((~is_onset & ~is_silent).sum() / tokens.size),
        "onsets_per_window": float(is_onset.sum() / len(tokens)),
        "onsets_per_step": onsets.tolist(),
    }
    if track.is_drum:
        described["hits_per_kind"] = (counts @ classes.hits(track)).tolist()
    else:
        played = classes.pitches(track)
        starts = played != classes.NO_PITCH
        notes = np.bincount(played[starts], counts[starts], classes.NUM_PITCHES).astype(int)
        pitches = np.flatnonzero(notes)
        described["notes_per_pitch"] = notes.tolist()
        described["lowest_pitch"] = int(pitches[0]) if len(pitches) else None
        described["highest_pitch"] = int(pitches[-1]) if len(pitches) else None
    return described


def format_tracks(described: dict[str, dict], tracks: Sequence[Vocabulary]) -> str:
    """Returns what `describe_track` gave of each track, by name, as a table for people."""
    header = ("track", "classes used", "pitches", "rests", "holds", "onsets a window")
    rows = [header]
    for track in tracks:
        numbers = described[track.name]
        pitches = "none"
        if not track.is_drum and numbers["lowest_pitch"] is not None:
            pitches = f"{numbers['lowest_pitch']}-{numbers['highest_pitch']}"
        rows.append((
            track.name,
            f"{numbers['classes_used']} of {track.num_classes}",
            pitches,
            f"{numbers['rest_share']:.1%}",
            f"{numbers['hold_share']:.1%}",
            f"{numbers['onsets_per_window']:.1f}",
        ))  # fmt: skip
    return "\n".join("".join(f"{value:<17}" for value in row).rstrip() for row in rows)


def format_hits(described: dict, track: Vocabulary) -> str:
    """Returns which pitches of a file are each kind of hit of drums, and how many there are."""
    lines = [f"{track.name}: hits, and the pitches read as each; the first is written"]
    names, counts = hit_names(track), described["hits_per_kind"]
    for name, onset, count in zip(names, classes.onsets(track), counts, strict=True):
        lines.append(f"  {name:<14}{count:>9,}  pitches {', '.join(map(str, onset.pitches))}")
    return "\n".join(lines)


def most_frequent(described: dict, track: Vocabulary, number: int = 8) -> str:
    """Returns the most frequent tokens of a track with their shares, as a line."""
    counts = np.array(described["tokens_per_class"])
    order = np.argsort(-counts, kind="stable")[:number]
    shares = (f"{token_name(track, token)} {counts[token] / counts.sum():.1%}" for token in order)
    return f"{track.name}: " + ", ".join(shares)
