"""What the page is told, as JSON values: music as notes, the tracks of a file, a map of windows."""

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np

from magenta_vae.contracts import Vocabulary
from magenta_vae.inference import latent_maps
from magenta_vae.music import attributes, tokens
from magenta_vae.music.note_sequences import VELOCITY
from magenta_vae.music.songs import Song


def describe_windows(windows: np.ndarray, tracks: Sequence[Vocabulary]) -> list[dict[str, Any]]:
    """Returns the tokens and the notes of windows, int [windows, steps, tracks].

    A note has the place of its track, its MIDI pitch, the steps at which it starts and ends, and
    its velocity.
    """
    described: list[dict[str, Any]] = [{"tokens": each.tolist(), "notes": []} for each in windows]
    notes = tokens.detokenize_windows(windows, tracks)
    columns = (np.asarray(column).tolist() for column in notes)
    for window, track, start, end, pitch in zip(*columns, strict=True):
        described[window]["notes"].append(
            {"track": track, "pitch": pitch, "start": start, "end": end, "velocity": VELOCITY}
        )
    return described


def describe_parts(song: Song) -> list[dict[str, Any]]:
    """Returns the tracks of a song that was read, in its order, numbered from 1."""
    return [
        {
            "number": number,
            "name": part.name,
            "program": int(part.program),
            "is_drum": bool(part.is_drum),
            "notes": len(part.starts),
        }
        for number, part in enumerate(song.instruments, 1)
    ]


def describe_attributes(names: Sequence[str]) -> list[dict[str, str]]:
    """Returns what attributes are called, and the unit of each."""
    return [
        {"name": name, "label": name.replace("_", " "), "unit": attributes.ATTRIBUTES[name].unit}
        for name in names
    ]


def describe_map(
    z: np.ndarray,
    windows: np.ndarray,
    tracks: Sequence[Vocabulary],
    what: str,
    places: Sequence[tuple[str | None, str]],
) -> dict[str, Any]:
    """Returns a map of points by their principal components.

    Args:
        z: float32 [windows, z_size], of at least 3 windows and 2 dimensions.
        windows: their tokens, int [windows, steps, tracks].
        tracks: the vocabularies of the tokens.
        what: a line about all of them.
        places: of each its song, None where it is of none, and what it is of it.
    """
    axes = latent_maps.principal_axes(z)
    values = attributes.measure(windows, tracks)
    columns = zip(*(column.tolist() for column in values.values()), strict=True)
    rows = zip(axes.places(z).tolist(), places, columns, strict=True)
    return {
        "what": what,
        "explained": [round(share, 4) for share in axes.shares],
        "attributes": describe_attributes(list(values)),
        "windows": [
            {
                "x": x,
                "y": y,
                "song": song,
                "text": text,
                "values": [None if np.isnan(value) else round(value, 4) for value in measured],
            }
            for (x, y), (song, text), measured in rows
        ],
        "points": base64.b64encode(z.astype("<f4").tobytes()).decode(),
        "mean": axes.mean.tolist(),
        "axes": axes.directions.tolist(),
    }
