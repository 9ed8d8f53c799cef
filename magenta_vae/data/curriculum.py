"""Pieces of windows that grow while a run goes on: a curriculum.

A model of long windows that starts from chance finds key and style first, and single bars late; a
model that knows two bars learns within some hundred steps where they go
(`docs/reproduction_trials.md`). So a run may begin with short pieces of its windows (Bengio et al.,
2009, "Curriculum learning").
"""

import bisect
import itertools
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from magenta_vae.contracts import Vocabulary
from magenta_vae.music.songs import STEPS_PER_BAR


class GrowingWindows:
    """Stages of a run, in each of which pieces of one length stand for the windows.

    Args:
        tracks: the vocabularies.
        num_bars: bars of the pieces of each stage, growing.
        until: the step at which each of these stages ends, growing. From the last on, windows are
            whole.

    Raises:
        ValueError: for numbers that do not grow, or are not as many as each other.
    """

    def __init__(self, tracks: Sequence[Vocabulary], num_bars: Sequence[int], until: Sequence[int]):
        for name, numbers, example in (("num_bars", num_bars, "(2,)"), ("until", until, "(3000,)")):
            if not _grow(numbers):
                raise ValueError(
                    f"GrowingWindows.{name} must be a tuple of whole numbers that grow, one a "
                    f"stage, as in {example}. Received: {name}={numbers!r}."
                )
        if not num_bars or len(num_bars) != len(until):
            raise ValueError(
                "GrowingWindows.num_bars and .until must be one number a stage. "
                f"Received: num_bars={num_bars!r}, until={until!r}."
            )
        self.until = tuple(until)
        self._tracks = tracks
        self._num_bars = tuple(num_bars)

    def piece_at(self, step: int) -> "Piece | None":
        """Returns what is cut of windows at a step; None where they are whole."""
        stage = bisect.bisect_right(self.until, step)
        if stage == len(self.until):
            return None
        return Piece(self._tracks, self._num_bars[stage])

    def stages(self, window_bars: int) -> list[int]:
        """Returns the steps of a piece of each stage, in sixteenth notes.

        Raises:
            ValueError: for pieces that are no shorter than a window.
        """
        if self._num_bars[-1] >= window_bars:
            raise ValueError(
                f"Pieces must be shorter than the windows, which have {window_bars} bars. "
                f"Received: GrowingWindows.num_bars={self._num_bars}."
            )
        return [bars * STEPS_PER_BAR for bars in self._num_bars]

    def count_whole(self, window_bars: int, first: int, last: int) -> float:
        """Returns how many steps on whole windows have as many bars as some steps of a run have."""
        ends = [min(max(end, first), last) for end in (*self.until, last)]
        lengths = np.diff([first, *ends])
        return float(lengths @ np.array([*self._num_bars, window_bars]) / window_bars)

    def describe(self, max_steps: int) -> str:
        """Returns which pieces stand for the windows of a run, and how long."""
        stages = zip(self._num_bars, self.until, strict=True)
        lengths = [(f"{bars} bars" if bars > 1 else "1 bar", until) for bars, until in stages]
        words = ", ".join(f"{length} to step {until:,}" for length, until in lengths)
        if self.until[-1] < max_steps:
            return f"{words}, then whole"
        return f"{words}; the run ends at step {max_steps:,} and sees no window whole"


def _grow(numbers) -> bool:
    """Says whether these are whole numbers above 0, each larger than the one before."""
    if not isinstance(numbers, tuple | list) or not all(type(number) is int for number in numbers):
        return False
    return all(last > first for first, last in itertools.pairwise((0, *numbers)))


class Piece:
    """Cuts a piece from each window of a batch, at a bar that is drawn anew at every visit.

    What sounds into a piece from before it is a rest there, as at the beginning of a window.

    Args:
        tracks: the vocabularies.
        num_bars: bars of a piece.
    """

    def __init__(self, tracks: Sequence[Vocabulary], num_bars: int):
        self.num_steps = num_bars * STEPS_PER_BAR
        # No tensors: with the first one TensorFlow's devices are settled.
        self._sustain, self._release, self._rest = (
            np.array([getattr(track, name) for track in tracks], np.int32)  # [K]
            for name in ("sustain", "release", "rest")
        )

    def of_rows(self, tokens: tf.Tensor, seed: tf.Tensor, num_rows: int, first_row) -> tf.Tensor:
        """Returns the pieces of some rows of a batch: int32 [rows, T of a piece, K].

        Args:
            tokens: those rows, int32 [rows, T, K].
            seed: int [2], of the batch.
            num_rows: rows of the whole batch.
            first_row: the place of the first of these in it.
        """
        last_bar = (tokens.shape[1] - self.num_steps) // STEPS_PER_BAR
        bars = tf.random.stateless_uniform([num_rows], seed, 0, last_bar + 1, tf.int32)
        starts = STEPS_PER_BAR * bars[first_row:][: tf.shape(tokens)[0]]
        steps = starts[:, None] + tf.range(self.num_steps)
        pieces = tf.gather(tokens, steps, axis=1, batch_dims=1)
        goes_on = (pieces == self._sustain) | (pieces == self._release)
        is_carried = tf.math.cumprod(tf.cast(goes_on, tf.int32), axis=1) == 1
        return tf.where(is_carried, self._rest, pieces)
