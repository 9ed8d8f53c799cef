"""Random draws as functions of a seed: the same on any number of devices and after a resume."""

from typing import Protocol

import tensorflow as tf

# What a draw is for; each has draws of its own.
LATENT, TOKEN, FEEDBACK = range(3)


class Noise(Protocol):
    """What the model asks for draws."""

    def uniform(self, purpose: int, step, size: int) -> tf.Tensor:
        """Returns float32 [rows, size] in (0, 1); `step` counts the draws of one purpose."""

    def normal(self, purpose: int, step, size: int) -> tf.Tensor:
        """Returns float32 [rows, size] of the standard normal distribution."""


class BatchNoise:
    """Draws for some rows of a batch.

    Args:
        seed: int [2].
        num_rows: rows of the whole batch, over all replicas.
        first_row, last_row: the rows drawn for; they get what they get in the whole batch.
    """

    def __init__(self, seed, num_rows: int, first_row=0, last_row=None):
        self._seed = seed
        self._num_rows = num_rows
        self._rows = slice(first_row, last_row)

    def uniform(self, purpose: int, step, size: int) -> tf.Tensor:
        """Returns float32 [rows, size] in (0, 1)."""
        return _uniform([self._num_rows, size], _fold(self._seed, purpose, step))[self._rows]

    def normal(self, purpose: int, step, size: int) -> tf.Tensor:
        """Returns float32 [rows, size] of the standard normal distribution."""
        seed = _fold(self._seed, purpose, step)
        return tf.random.stateless_normal([self._num_rows, size], seed)[self._rows]


class RowNoise:
    """Draws for rows that have a seed each: a row's draws do not depend on the other rows.

    Args:
        seeds: int [rows, 2].
    """

    def __init__(self, seeds):
        self._seeds = seeds

    def uniform(self, purpose: int, step, size: int) -> tf.Tensor:
        """Returns float32 [rows, size] in (0, 1)."""
        return self._map(lambda seed: _uniform([size], _fold(seed, purpose, step)))

    def normal(self, purpose: int, step, size: int) -> tf.Tensor:
        """Returns float32 [rows, size] of the standard normal distribution."""
        return self._map(
            lambda seed: tf.random.stateless_normal([size], _fold(seed, purpose, step))
        )

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

    def uniform(self, purpose: int, step, size: int) -> tf.Tensor:
        """Returns float32 [rows * num_groups, size] in (0, 1)."""
        return tf.reshape(self._noise.uniform(purpose, step, self._num_groups * size), [-1, size])

    def normal(self, purpose: int, step, size: int) -> tf.Tensor:
        """Returns float32 [rows * num_groups, size] of the standard normal distribution."""
        return tf.reshape(self._noise.normal(purpose, step, self._num_groups * size), [-1, size])


def gumbel(uniform: tf.Tensor) -> tf.Tensor:
    """Returns Gumbel noise: the argmax of logits plus it is a categorical sample of the logits."""
    return -tf.math.log(-tf.math.log(uniform))


def _uniform(shape, seed) -> tf.Tensor:
    # Within (0, 1), so that Gumbel noise is finite: 1 - 2^-24 is the largest float32 below 1.
    return tf.random.stateless_uniform(shape, seed, minval=1e-7, maxval=1 - 2**-24)


def _fold(seed, purpose: int, step) -> tf.Tensor:
    # In 64 bits: what folding keeps of the seed has as many bits as the data.
    data = tf.cast(step, tf.int64) * 4 + purpose
    return tf.random.experimental.stateless_fold_in(seed, data)
