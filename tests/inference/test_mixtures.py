"""Mixtures of Gaussians: fitted by expectation maximization, and drawn from."""

import numpy as np
import pytest

from magenta_vae.inference import mixtures
from magenta_vae.inference.mixtures import Mixture

WEIGHTS = np.array([0.2, 0.3, 0.5])
MEANS = np.array([[6.0, 0, 0], [0, 6, 0], [0, 0, 0]])
# Long in different directions: one covariance fits none of them.
ROOTS = np.array([np.diag([0.3, 0.3, 2]), np.diag([2, 0.3, 0.3]), np.diag([0.3, 1, 0.3])])
ROOTS[2, 1, 0] = 0.8


@pytest.fixture(scope="module")
def known():
    return Mixture(WEIGHTS, MEANS, ROOTS)


def draw(mixture, num_points, seed):
    rng = np.random.default_rng(seed)
    standard = rng.normal(size=[num_points, mixture.means.shape[1]])
    return mixture.points(standard, rng.random(num_points))


def log_likelihood(mixture, values):
    """Of a point, in nats, by the definition of the density."""
    densities = 0
    for weight, mean, root in zip(mixture.weights, mixture.means, mixture.roots, strict=True):
        covariance = root @ root.T
        apart = values - mean
        exponent = np.sum(apart @ np.linalg.inv(covariance) * apart, axis=1) / 2
        scale = np.sqrt(np.linalg.det(2 * np.pi * covariance))
        densities = densities + weight * np.exp(-exponent) / scale
    return np.log(densities).mean()


def test_a_known_mixture_is_found_again(known):
    found, _ = mixtures.fit(draw(known, 20_000, 0), 3)
    order = np.argsort(found.weights)
    np.testing.assert_allclose(found.weights[order], WEIGHTS, atol=0.01)
    np.testing.assert_allclose(found.means[order], MEANS, atol=0.06)
    np.testing.assert_allclose(found.roots[order], ROOTS, atol=0.1)


def test_several_gaussians_are_likelier_than_one_of_what_was_held_out(known):
    values, held_out = draw(known, 2000, 0), draw(known, 2000, 1)
    one, three = (mixtures.fit(values, number)[0] for number in (1, 3))
    best = log_likelihood(known, held_out)
    assert log_likelihood(one, held_out) < best - 1
    assert log_likelihood(three, held_out) == pytest.approx(best, abs=0.1)


def test_densities_are_those_of_the_definition(known):
    values = draw(known, 100, 0).astype(np.float64)
    joint = known.log_densities(values)
    assert joint.shape == (100, 3)
    found = np.log(np.exp(joint).sum(axis=1)).mean()
    assert found == pytest.approx(log_likelihood(known, values))


def test_a_fit_is_a_function_of_points_and_seed(known):
    values = draw(known, 500, 0)
    first, again = (mixtures.fit(values, 3, seed=1)[0] for _ in range(2))
    np.testing.assert_array_equal(first.roots, again.roots)


def test_one_gaussian_and_several_have_the_moments_of_the_points(known):
    values = draw(known, 5000, 0).astype(np.float64)
    for number in (1, 3):
        mean, covariance = mixtures.fit(values, number)[0].moments()
        np.testing.assert_allclose(mean, values.mean(axis=0), atol=1e-6)
        np.testing.assert_allclose(covariance, np.cov(values.T), atol=0.1)


def test_points_are_drawn_as_often_as_their_gaussian_weighs(known):
    uniform = np.array([0, 0.19999, 0.2, 0.49, 0.51, 0.99999], np.float32)
    assert known.choose(uniform).tolist() == [0, 0, 1, 1, 2, 2]
    np.testing.assert_allclose(known.points(np.zeros([6, 3]), uniform)[[0, 2, 5]], MEANS)
    values = draw(known, 50_000, 0)
    assert values.dtype == np.float32
    np.testing.assert_allclose(np.cov(values.T), known.moments()[1], atol=0.1)


def test_a_point_does_not_depend_on_how_many_there_are(known):
    rng = np.random.default_rng(1)
    standard, uniform = rng.normal(size=[100, 3]).astype(np.float32), rng.random(100)
    mixture, _ = mixtures.fit(draw(known, 500, 0), 3)
    alone = [mixture.points(standard[[row]], uniform[[row]])[0] for row in range(100)]
    np.testing.assert_array_equal(alone, mixture.points(standard, uniform))


def test_points_that_are_alike_make_fewer_gaussians():
    mixture, shrinkage = mixtures.fit(np.ones([100, 3]), 10)
    assert len(mixture.weights) == 1 and shrinkage == 0
    assert np.abs(mixture.points(np.ones([5, 3]), np.full(5, 0.5)) - 1).max() < 0.01
    places = np.repeat(np.eye(3), 50, axis=0)
    means = mixtures.fit(places, 10)[0].means
    np.testing.assert_allclose(means[np.argmax(means, axis=0)], np.eye(3), atol=1e-6)


def test_a_gaussian_that_is_hardly_ever_drawn_is_left_out(known):
    values = np.concatenate([draw(known, 20_000, 0), 100 + draw(known, 10, 1)])
    found, _ = mixtures.fit(values, 4)
    assert len(found.weights) == 3
    assert found.weights.sum() == pytest.approx(1)
    assert found.weights.min() > 0.1
    assert np.abs(found.means).max() < 10


def test_covariances_of_few_points_are_drawn_towards_that_of_all():
    rng = np.random.default_rng(0)
    values = rng.normal(size=[60, 20]) + 8 * np.eye(20)[rng.integers(0, 2, 60)]
    mixture, _ = mixtures.fit(values, 2)
    assert len(mixture.weights) == 2
    for root in mixture.roots:  # Of 30 points in 20 dimensions.
        assert np.linalg.cond(root @ root.T) < 1000
        assert np.isfinite(root).all()


def test_the_correlation_is_shrunk_where_there_are_few_rows():
    deviations = np.linspace(0.01, 3, 20)
    values = np.random.default_rng(0).normal(size=[8, 20]) * deviations
    covariance, shrinkage = mixtures.shrunk_covariance(values)
    # The formula of Ledoit and Wolf as they print it, row by row.
    scaled = (values - values.mean(axis=0)) / values.std(axis=0)
    sample = scaled.T @ scaled / 8
    spread = sum(np.sum((np.outer(row, row) - sample) ** 2) for row in scaled) / 8**2
    assert shrinkage == pytest.approx(spread / np.sum((sample - np.eye(20)) ** 2))
    assert 0.1 < shrinkage < 1
    shrunk = (1 - shrinkage) * sample + shrinkage * np.eye(20)
    scale = np.diag(values.std(axis=0))
    np.testing.assert_allclose(covariance, scale @ shrunk @ scale)
    # What hardly differs still hardly does.
    np.testing.assert_allclose(np.diag(covariance), values.var(axis=0))
    assert np.linalg.matrix_rank(sample) == 7 and np.linalg.matrix_rank(shrunk) == 20
    # Of many rows, whose columns are correlated, nothing is left to shrink.
    many = np.random.default_rng(0).normal(size=[8000, 20]) * deviations
    assert mixtures.shrunk_covariance(many + many[:, :1] * 100)[1] < 0.01
