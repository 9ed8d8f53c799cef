"""What every window of a data set, a model or a server is: its tracks and its length."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from note_seq.protobuf import music_pb2

from magenta_vae.music import note_sequences, songs, tokens


class Playback(NamedTuple):
    """How a window is played: nothing of it stands in tokens.

    Attributes:
        qpm: the tempo, in quarters a minute.
        programs: the General MIDI program of each track; those of the vocabularies for None.
    """

    qpm: float = note_sequences.DEFAULT_QPM
    programs: tuple[int, ...] | None = None


BY_DEFAULT = Playback()


@dataclasses.dataclass(frozen=True)
class WindowFormat:
    """The tracks and the length that windows have in common.

    Args:
        tracks: the vocabularies of a window, in the order of its tokens.
        num_bars: the length of a window.

    Raises:
        ValueError: for no tracks, and for a length that is no whole number of bars.
    """

    tracks: Sequence[tokens.Vocabulary]
    num_bars: int

    def __post_init__(self):
        if not self.tracks:
            raise ValueError("tracks must name at least one vocabulary. Received: none.")
        if not isinstance(self.num_bars, int) or self.num_bars < 1:
            raise ValueError(
                f"num_bars must be a whole number of at least 1. Received: {self.num_bars}."
            )
        object.__setattr__(self, "tracks", tuple(self.tracks))

    @property
    def num_steps(self) -> int:
        """Sixteenth notes in a window."""
        return self.num_bars * songs.STEPS_PER_BAR

    @property
    def num_classes(self) -> tuple[int, ...]:
        """The classes of each track."""
        return tokens.num_classes(self.tracks)

    @property
    def track_names(self) -> tuple[str, ...]:
        """What the tracks are called."""
        return tokens.names(self.tracks)

    def tokenize(self, window: music_pb2.NoteSequence) -> np.ndarray:
        """Returns int32 [steps, tracks] tokens of a window whose instruments are the tracks."""
        return tokens.tokenize(window, self.tracks, self.num_steps)

    def detokenize(
        self, window: np.ndarray, playback: Playback = BY_DEFAULT
    ) -> music_pb2.NoteSequence:
        """Returns the music of int [steps, tracks] tokens: a window, a part of one, or several."""
        return tokens.detokenize(window, self.tracks, playback.qpm, playback.programs)
