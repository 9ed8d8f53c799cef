"""What sounds wrong at once, as shares: of windows too wide for a voice, of silent beats of drums.

Where samples of a model have more of it than its data has, they are no music. Beside the
`statistics`, which compare what windows are like.
"""

from collections.abc import Sequence

import numpy as np

from magenta_vae.contracts import Vocabulary
from magenta_vae.music import classes, statistics
from magenta_vae.music.names import hit_names
from magenta_vae.music.songs import STEPS_PER_QUARTER
from magenta_vae.music.tokens import NUM_PITCHES, in_paper_classes

LOWEST_KEY, HIGHEST_KEY = 21, 108  # Of a piano, as MIDI pitches.
TWO_OCTAVES = 24  # Semitones.
WIDE = "windows wider than two octaves"
OFF_PIANO = "windows with notes off the piano"
SILENT_BEATS = "silent beats"


def measure(tokens: np.ndarray, tracks: Sequence[Vocabulary]) -> dict[str, dict[str, float]]:
    """Returns track -> what is counted -> a share of 0 to 1.

    Of a line `WIDE` and `OFF_PIANO`, shares of windows; of drums `SILENT_BEATS`, a share of beats,
    and for each kind of hit the share of steps that have it, as `steps with a kick`.

    Args:
        tokens: int [windows, steps, tracks], whole bars of steps.
        tracks: the vocabularies of the tokens.
    """
    tokens, tracks = in_paper_classes(np.asarray(tokens), tracks)
    return {
        track.name: (_of_drums if track.is_drum else _of_a_line)(tokens[..., index], track)
        for index, track in enumerate(tracks)
    }


def _of_a_line(tokens: np.ndarray, track: Vocabulary) -> dict[str, float]:
    ranges = np.nan_to_num(statistics.pitch_range(tokens, track))
    is_off = (tokens < NUM_PITCHES) & ((tokens < LOWEST_KEY) | (tokens > HIGHEST_KEY))
    return {
        WIDE: float(np.mean(ranges > TWO_OCTAVES)),
        OFF_PIANO: float(np.mean(is_off.any(axis=-1))),
    }


def _of_drums(tokens: np.ndarray, track: Vocabulary) -> dict[str, float]:
    beats = track.is_silent(tokens).reshape(len(tokens), -1, STEPS_PER_QUARTER)
    counts = np.bincount(tokens.reshape(-1), minlength=track.num_classes)
    hits = counts @ classes.hits(track) / tokens.size
    return {
        SILENT_BEATS: float(np.mean(beats.all(axis=-1))),
        **{
            f"steps with a {name}": float(share)
            for name, share in zip(hit_names(track), hits, strict=True)
        },
    }
