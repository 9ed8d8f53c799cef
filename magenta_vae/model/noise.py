"""Random draws as functions of a seed: the same on any number of devices and after a resume.

All that a window needs is drawn at once, before its loop over steps: within the loop a draw would
cost more than the step.
"""

import numpy as np
import tensorflow as tf

from magenta_vae.contracts import Noise

# What a draw is for; each has draws of its own.
LATENT, TOKEN, FEEDBACK, COMPONENT = range(4)
SMALLEST, LARGEST = 1e-7, 1 - 2**-18  # of uniform draws; see `categorical`.
SUM_BLOCK = 16


class BatchNoise:
    """Draws for some rows of a batch.

    Args:
        seed: int [2].
        num_rows: rows of the whole batch, over all replicas.
        first_row, num_drawn: the first row that is drawn for, and how many are; by default all.
            They get the draws that they would get in the whole batch.
    """

    def __init__(self, seed, num_rows: int, first_row=0, num_drawn=None):
        self._seed = seed
        self._num_rows = num_rows
        self._first_row = first_row
        self._num_drawn = num_rows if num_drawn is None else num_drawn

    def uniform(self, purpose: int, num_steps: int, size: int) -> tf.Tensor:
        """Returns float32 [num_steps, rows, size] in (0, 1)."""
        shape = [self._num_rows, num_steps, size]
        return _steps_first(self._own(_uniform(shape, _fold(self._seed, purpose))))

    def normal(self, purpose: int, size: int) -> tf.Tensor:
        """Returns float32 [rows, size] of the standard normal distribution."""
        seed = _fold(self._seed, purpose)
        return self._own(tf.random.stateless_normal([self._num_rows, size], seed))

    def _own(self, draws: tf.Tensor) -> tf.Tensor:
        # By their number, not by the last: XLA must know it where the first is not known.
        begin = [self._first_row, *[0] * (draws.shape.rank - 1)]
        return tf.slice(draws, begin, [self._num_drawn, *draws.shape[1:]])


class RowNoise:
    """Draws for rows that have a seed each: a row's draws do not depend on the other rows.

    Args:
        seeds: int [rows, 2].
    """

    def __init__(self, seeds):
        self._seeds = seeds

    def uniform(self, purpose: int, num_steps: int, size: int) -> tf.Tensor:
        """Returns float32 [num_steps, rows, size] in (0, 1)."""
        shape = [num_steps, size]
        return _steps_first(self._map(lambda seed: _uniform(shape, _fold(seed, purpose))))

    def normal(self, purpose: int, size: int) -> tf.Tensor:
        """Returns float32 [rows, size] of the standard normal distribution."""
        return self._map(lambda seed: tf.random.stateless_normal([size], _fold(seed, purpose)))

    def _map(self, draw):
        return tf.map_fn(draw, self._seeds, fn_output_signature=tf.float32)


class GroupedNoise:
    """Draws for `num_groups` rows in the place of each row of another noise.

    Args:
        noise: what draws for the rows.
        num_groups: how many follow each other for each of its rows.
    """

    def __init__(self, noise: Noise, num_groups: int):
        self._noise = noise
        self._num_groups = num_groups

    def uniform(self, purpose: int, num_steps: int, size: int) -> tf.Tensor:
        """Returns float32 [num_steps, rows * num_groups, size] in (0, 1)."""
        draws = self._noise.uniform(purpose, num_steps, self._num_groups * size)
        return tf.reshape(draws, [num_steps, -1, size])

    def normal(self, purpose: int, size: int) -> tf.Tensor:
        """Returns float32 [rows * num_groups, size] of the standard normal distribution."""
        return tf.reshape(self._noise.normal(purpose, self._num_groups * size), [-1, size])


def categorical(logits: tf.Tensor, uniform: tf.Tensor) -> tf.Tensor:
    """Samples a class for each row, from one draw a row.

    The sample is the class in whose part of the cumulative distribution the draw falls. No draw is
    as near to 1 as the sums' rounding: past the last class that is possible there is none.

    Args:
        logits: float [..., classes].
        uniform: float [...], from SMALLEST to LARGEST.

    Returns:
        int32 [...].
    """
    weights = tf.exp(logits - tf.reduce_max(logits, axis=-1, keepdims=True))
    cumulative = _cumulative_sum(weights)
    is_below = cumulative < uniform[..., None] * cumulative[..., -1:]
    return tf.reduce_sum(tf.cast(is_below, tf.int32), axis=-1)


def _cumulative_sum(values: tf.Tensor) -> tf.Tensor:
    """Returns the cumulative sum of [..., size] along the last axis, which zeros may lengthen.

    In blocks, by a product with a triangle of ones: a fraction of the time of `tf.cumsum`, which
    adds one number after another.
    """
    *outer, size = values.shape
    num_blocks = -(-size // SUM_BLOCK)
    lengthened = tf.pad(values, [[0, 0]] * len(outer) + [[0, num_blocks * SUM_BLOCK - size]])
    within = tf.matmul(tf.reshape(lengthened, [-1, SUM_BLOCK]), _ones_above(SUM_BLOCK))
    within = tf.reshape(within, [-1, num_blocks, SUM_BLOCK])
    # Few sums, so added one by one: in a product a GPU may round them to ten bits, past the last.
    before = tf.cumsum(within[:, :, -1], axis=-1, exclusive=True)
    return tf.reshape(within + before[:, :, None], tf.shape(lengthened))


def _ones_above(size: int) -> np.ndarray:
    """Returns the matrix that sums what is at each place and before it."""
    return np.triu(np.ones([size, size], np.float32))


def _uniform(shape, seed) -> tf.Tensor:
    return tf.random.stateless_uniform(shape, seed, minval=SMALLEST, maxval=LARGEST)


def _steps_first(draws: tf.Tensor) -> tf.Tensor:
    """[rows, steps, size] -> [steps, rows, size]."""
    return tf.transpose(draws, [1, 0, 2])


def _fold(seed, purpose: int) -> tf.Tensor:
    # In 64 bits: what folding keeps of the seed has as many bits as the data.
    return tf.random.experimental.stateless_fold_in(seed, tf.constant(purpose, tf.int64))
