"""Draws are functions of the seed, the row, the purpose and the step, and of nothing else."""

import numpy as np
import pytest
import tensorflow as tf

from magenta_vae.model import noise
from magenta_vae.model.noise import (
    FEEDBACK,
    LARGEST,
    LATENT,
    SMALLEST,
    TOKEN,
    BatchNoise,
    GroupedNoise,
    RowNoise,
    categorical,
)

SEED = tf.constant([7, 12345], tf.int64)
ROWS = tf.constant([[7, 0], [7, 1], [8, 0], [2**40, 1]], tf.int64)
KINDS = ("uniform", "normal")
SOURCES = pytest.mark.parametrize(
    "source", [BatchNoise(SEED, 4), RowNoise(ROWS)], ids=["batch", "row"]
)


def draw(source, kind, size=6, purpose=TOKEN):
    """Returns draws as [rows, ...]: of three steps where they are uniform."""
    if kind == "normal":
        return source.normal(purpose, size)
    return tf.transpose(source.uniform(purpose, 3, size), [1, 0, 2])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("first", "last"), [(0, 3), (3, 8), (7, 8)])
def test_rows_of_a_batch_are_drawn_as_in_the_whole_batch(kind, first, last):
    whole = draw(BatchNoise(SEED, 8), kind)
    part = draw(BatchNoise(SEED, 8, tf.constant(first), last - first), kind)
    assert len(part) == last - first
    np.testing.assert_array_equal(part, whole[first:last])


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_with_its_own_seed_does_not_depend_on_the_others(kind):
    together = draw(RowNoise(ROWS), kind)
    reversed_rows = draw(RowNoise(ROWS[::-1]), kind)
    np.testing.assert_array_equal(together, reversed_rows[::-1])
    for row in range(len(ROWS)):
        alone = draw(RowNoise(ROWS[row : row + 1]), kind)
        np.testing.assert_array_equal(alone[0], together[row])
    assert len(np.unique(together)) == tf.size(together)


@pytest.mark.parametrize("kind", KINDS)
@SOURCES
def test_every_purpose_step_and_row_has_draws_of_its_own(source, kind):
    draws = [draw(source, kind, purpose=purpose) for purpose in (LATENT, TOKEN, FEEDBACK)]
    assert len(np.unique(draws)) == np.size(draws)


@pytest.mark.parametrize("kind", KINDS)
@SOURCES
def test_every_group_of_every_row_has_draws_of_its_own(source, kind):
    grouped = GroupedNoise(source, 5)
    draws = [draw(grouped, kind, 3, purpose) for purpose in (TOKEN, FEEDBACK)]
    assert len(draws[0]) == 4 * 5
    assert len(np.unique(draws)) == np.size(draws)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("first", "last"), [(0, 3), (3, 8), (7, 8)])
def test_groups_of_rows_of_a_batch_are_drawn_as_in_the_whole_batch(kind, first, last):
    whole = draw(GroupedNoise(BatchNoise(SEED, 8), 5), kind)
    rows = BatchNoise(SEED, 8, tf.constant(first), last - first)
    np.testing.assert_array_equal(draw(GroupedNoise(rows, 5), kind), whole[5 * first : 5 * last])


def test_another_seed_gives_other_draws():
    seeds = [[7, 12345], [7, 12346], [8, 12345], [12345, 7]]
    draws = [BatchNoise(tf.constant(seed, tf.int64), 2).uniform(TOKEN, 2, 4) for seed in seeds]
    assert len(np.unique(draws)) == np.size(draws)


def test_a_seed_is_folded_into_64_bits():
    # Of 32 bits, 100,000 samples would hold a pair that is the same music (birthday paradox).
    folded = [noise._fold(seed, TOKEN)[0].numpy() for seed in ROWS]
    assert np.abs(folded).max() > 2**40


@pytest.mark.parametrize("kind", KINDS)
@SOURCES
def test_a_graph_draws_what_eager_execution_draws(source, kind):
    in_graph = tf.function(lambda: draw(source, kind))()
    np.testing.assert_array_equal(draw(source, kind), in_graph)


def test_uniform_is_within_0_and_1():
    draws = BatchNoise(SEED, 2000).uniform(TOKEN, 10, 100).numpy()
    assert draws.dtype == np.float32
    assert 0 < draws.min() < 1e-5
    assert 1 - 1e-5 < draws.max() < 1


def test_ends_of_the_uniform_draws_stay_within_0_and_1(monkeypatch):
    # What a generator that returns the ends of its own interval [0, 1) would make of them.
    def extremes(shape, seed, minval, maxval):
        del seed
        low, high = np.float32(minval), np.float32(maxval)
        ends = np.array([0, 1 - 2**-23], np.float32) * (high - low) + low
        return tf.reshape(tf.constant(ends), shape)

    monkeypatch.setattr(tf.random, "stateless_uniform", extremes)
    low, high = BatchNoise(SEED, 1).uniform(TOKEN, 1, 2)[0, 0]
    assert low > 0
    assert high < 1


def test_moments():
    # Each bound is at least 4 standard errors of 200,000 draws.
    source = BatchNoise(SEED, 2000)
    uniform = source.uniform(TOKEN, 10, 10).numpy().astype(np.float64)
    np.testing.assert_allclose(uniform.mean(), 1 / 2, atol=0.003)
    np.testing.assert_allclose(uniform.var(), 1 / 12, atol=0.001)
    normal = source.normal(LATENT, 100).numpy().astype(np.float64)
    np.testing.assert_allclose([normal.mean(), normal.std()], [0, 1], atol=0.01)
    np.testing.assert_allclose((normal**4).mean(), 3, atol=0.1)


@SOURCES
def test_steps_and_rows_are_uncorrelated(source):
    draws = source.uniform(TOKEN, 2000, 5)  # [2000, 4 rows, 5]
    columns = np.reshape(draws, [2000, 20])
    correlations = np.corrcoef(columns, rowvar=False) - np.eye(20)
    assert np.abs(correlations).max() < 5 / np.sqrt(2000)


@pytest.mark.parametrize("num_classes", [2, 130, 512])
def test_categorical_takes_the_class_whose_part_holds_the_draw(num_classes):
    rng = np.random.default_rng(0)
    logits = rng.normal(scale=2, size=(1000, num_classes)).astype(np.float32)
    draws = rng.uniform(0.001, 0.999, size=1000).astype(np.float32)
    drawn = categorical(tf.constant(logits), tf.constant(draws)).numpy()
    weights = np.exp(logits.astype(np.float64))
    cumulative = np.cumsum(weights, axis=1) / weights.sum(axis=1, keepdims=True)
    rows = np.arange(1000)
    below = np.where(drawn > 0, cumulative[rows, drawn - 1], 0)
    assert drawn.dtype == np.int32
    assert (below <= draws + 1e-5).all() and (draws - 1e-5 <= cumulative[rows, drawn]).all()
    assert len(np.unique(drawn)) > num_classes / 4


def test_categorical_never_takes_an_impossible_class():
    # Neither at the ends of the draws nor next to a class that takes everything.
    draws = tf.constant([SMALLEST, 0.5, LARGEST])
    for certain in range(3):
        logits = np.full((3, 3), -np.inf, np.float32)
        logits[:, certain] = 1e4
        np.testing.assert_array_equal(categorical(tf.constant(logits), draws), [certain] * 3)


def test_nor_where_a_gpu_rounds_the_factors_of_products(monkeypatch):
    def to_ten_bits(values):  # As TensorFloat-32 does.
        bits = tf.bitcast(tf.convert_to_tensor(values), tf.int32)
        return tf.bitcast(tf.bitwise.bitwise_and(bits + 2**12, -(2**13)), tf.float32)

    matmul = tf.matmul
    monkeypatch.setattr(tf, "matmul", lambda a, b: matmul(to_ten_bits(a), to_ten_bits(b)))
    rng = np.random.default_rng(0)
    logits = np.full((1000, 512), -np.inf, np.float32)
    logits[:, :20] = np.log(10 ** rng.uniform(-5, 0, (1000, 20)))  # Over two blocks of the sums.
    assert categorical(tf.constant(logits), tf.fill([1000], LARGEST)).numpy().max() < 20
