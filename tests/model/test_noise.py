"""Draws are functions of the seed, the row, the purpose and the step, and of nothing else."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from magenta_vae.model import noise
from magenta_vae.model.noise import (
    FEEDBACK,
    LATENT,
    TOKEN,
    BatchNoise,
    GroupedNoise,
    RowNoise,
    gumbel,
)

SEED = tf.constant([7, 12345], tf.int64)
ROWS = tf.constant([[7, 0], [7, 1], [8, 0], [2**40, 1]], tf.int64)
KINDS = ("uniform", "normal")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("first", "last"), [(0, 3), (3, 8), (7, 8)])
def test_rows_of_a_batch_are_drawn_as_in_the_whole_batch(kind, first, last):
    whole = getattr(BatchNoise(SEED, 8), kind)(TOKEN, 5, 6)
    part = getattr(BatchNoise(SEED, 8, tf.constant(first), tf.constant(last)), kind)(TOKEN, 5, 6)
    assert part.shape == (last - first, 6)
    np.testing.assert_array_equal(part, whole[first:last])


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_with_its_own_seed_does_not_depend_on_the_others(kind):
    together = getattr(RowNoise(ROWS), kind)(TOKEN, 2, 6)
    reversed_rows = getattr(RowNoise(ROWS[::-1]), kind)(TOKEN, 2, 6)
    np.testing.assert_array_equal(together, reversed_rows[::-1])
    for row in range(len(ROWS)):
        alone = getattr(RowNoise(ROWS[row : row + 1]), kind)(TOKEN, 2, 6)
        np.testing.assert_array_equal(alone[0], together[row])
    assert len(np.unique(together)) == tf.size(together)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("source", [BatchNoise(SEED, 4), RowNoise(ROWS)], ids=["batch", "row"])
def test_every_purpose_and_step_has_draws_of_its_own(source, kind):
    draws = [
        getattr(source, kind)(purpose, step, 3).numpy()
        for purpose, step in itertools.product((LATENT, TOKEN, FEEDBACK), range(5))
    ]
    assert len(np.unique(draws)) == np.size(draws)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("source", [BatchNoise(SEED, 4), RowNoise(ROWS)], ids=["batch", "row"])
def test_every_group_of_every_row_has_draws_of_its_own(source, kind):
    draws = [
        getattr(GroupedNoise(source, 5), kind)(purpose, step, 3).numpy()
        for purpose, step in itertools.product((TOKEN, FEEDBACK), range(3))
    ]
    assert draws[0].shape == (4 * 5, 3)
    assert len(np.unique(draws)) == np.size(draws)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("first", "last"), [(0, 3), (3, 8), (7, 8)])
def test_groups_of_rows_of_a_batch_are_drawn_as_in_the_whole_batch(kind, first, last):
    whole = getattr(GroupedNoise(BatchNoise(SEED, 8), 5), kind)(TOKEN, 2, 3)
    rows = BatchNoise(SEED, 8, tf.constant(first), tf.constant(last))
    part = getattr(GroupedNoise(rows, 5), kind)(TOKEN, 2, 3)
    np.testing.assert_array_equal(part, whole[5 * first : 5 * last])


def test_another_seed_gives_other_draws():
    seeds = [[7, 12345], [7, 12346], [8, 12345], [12345, 7]]
    draws = [BatchNoise(tf.constant(seed, tf.int64), 2).uniform(TOKEN, 0, 4) for seed in seeds]
    assert len(np.unique(draws)) == np.size(draws)


def test_a_seed_is_folded_into_64_bits():
    # Of 32 bits, 100,000 samples would hold a pair that is the same music (birthday paradox).
    folded = [noise._fold(seed, TOKEN, 0)[0].numpy() for seed in ROWS]
    assert np.abs(folded).max() > 2**40


@pytest.mark.parametrize("make", [lambda: BatchNoise(SEED, 4), lambda: RowNoise(ROWS)])
def test_a_graph_draws_what_eager_execution_draws(make):
    def draw(step):
        return make().uniform(TOKEN, step, 5), make().normal(LATENT, step, 5)

    for eager, graph in zip(draw(3), tf.function(draw)(tf.constant(3)), strict=True):
        np.testing.assert_array_equal(eager, graph)


def test_uniform_is_within_0_and_1_and_gumbel_finite():
    draws = BatchNoise(SEED, 2000).uniform(TOKEN, 0, 1000).numpy()
    assert draws.dtype == np.float32
    assert 0 < draws.min() < 1e-5
    assert 1 - 1e-5 < draws.max() < 1
    assert np.isfinite(gumbel(draws)).all()


def test_ends_of_the_uniform_draws_stay_within_0_and_1(monkeypatch):
    # What a generator that returns the ends of its own interval [0, 1) would make of them.
    def extremes(shape, seed, minval, maxval):
        del shape, seed
        low, high = np.float32(minval), np.float32(maxval)
        return np.array([0, 1 - 2**-23], np.float32) * (high - low) + low

    monkeypatch.setattr(tf.random, "stateless_uniform", extremes)
    ends = BatchNoise(SEED, 2).uniform(TOKEN, 0, 1)
    assert ends[0] > 0
    assert ends[1] < 1
    assert np.isfinite(gumbel(tf.constant(ends))).all()


def test_moments():
    # Each bound is at least 4 standard errors of 200,000 draws.
    source = BatchNoise(SEED, 2000)
    uniform = source.uniform(TOKEN, 0, 100).numpy().astype(np.float64)
    np.testing.assert_allclose(uniform.mean(), 1 / 2, atol=0.003)
    np.testing.assert_allclose(uniform.var(), 1 / 12, atol=0.001)
    normal = source.normal(LATENT, 0, 100).numpy().astype(np.float64)
    np.testing.assert_allclose([normal.mean(), normal.std()], [0, 1], atol=0.01)
    np.testing.assert_allclose((normal**4).mean(), 3, atol=0.1)
    draws = gumbel(source.uniform(TOKEN, 1, 100)).numpy()
    np.testing.assert_allclose(draws.mean(), np.euler_gamma, atol=0.012)
    np.testing.assert_allclose(draws.var(), np.pi**2 / 6, atol=0.04)


def test_steps_and_rows_are_uncorrelated():
    draws = [BatchNoise(SEED, 2000).normal(TOKEN, step, 2).numpy() for step in range(10)]
    columns = np.concatenate(draws, axis=1)  # [2000, 10 steps x 2]
    correlations = np.corrcoef(columns, rowvar=False) - np.eye(20)
    assert np.abs(correlations).max() < 5 / np.sqrt(2000)
