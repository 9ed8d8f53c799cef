"""Posterior, prior and divergence against closed forms; slerp stays on the sphere."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from magenta_vae.model import latent

RNG = np.random.default_rng(0)
MU = RNG.normal(size=(5, 8)).astype(np.float32)
SIGMA = np.exp(RNG.normal(size=(5, 8))).astype(np.float32)


def unit(values):
    return (values / np.linalg.norm(values)).astype(np.float32)


def test_posterior_is_a_diagonal_normal_distribution():
    posterior = latent.posterior(MU, SIGMA)
    assert isinstance(posterior, tfp.distributions.MultivariateNormalDiag)
    assert posterior.batch_shape == (5,)
    assert posterior.event_shape == (8,)
    np.testing.assert_array_equal(posterior.mean(), MU)
    np.testing.assert_allclose(posterior.stddev(), SIGMA, rtol=1e-6)


def test_prior_is_the_standard_normal_distribution():
    prior = latent.prior(4)
    assert prior.batch_shape == ()
    log_density_at_origin = -2 * np.log(2 * np.pi)  # 4 times -ln(2 pi) / 2
    np.testing.assert_allclose(prior.log_prob(np.zeros(4, np.float32)), log_density_at_origin)


def test_kl_equals_the_closed_form():
    mu, sigma = MU.astype(np.float64), SIGMA.astype(np.float64)
    oracle = 0.5 * (sigma**2 + mu**2 - 1 - 2 * np.log(sigma)).sum(axis=-1)
    kl = latent.kl_to_prior(latent.posterior(MU, SIGMA))
    assert kl.shape == (5,)
    np.testing.assert_allclose(kl, oracle, rtol=1e-5)


def test_kl_of_the_prior_is_zero():
    kl = latent.kl_to_prior(latent.posterior(tf.zeros([2, 256]), tf.ones([2, 256])))
    np.testing.assert_array_equal(kl, [0, 0])


def test_kl_gradient():
    # d KL / d mu = mu; d KL / d sigma = sigma - 1 / sigma.
    mu, sigma = tf.constant(MU), tf.constant(SIGMA)
    with tf.GradientTape() as tape:
        tape.watch([mu, sigma])
        kl = latent.kl_to_prior(latent.posterior(mu, sigma))
    d_mu, d_sigma = tape.gradient(kl, [mu, sigma])
    np.testing.assert_allclose(d_mu, MU, rtol=1e-5)
    np.testing.assert_allclose(d_sigma, SIGMA - 1 / SIGMA, rtol=1e-4, atol=1e-5)


def test_slerp_begins_and_ends_at_its_ends():
    start, end = MU[0], MU[1]
    points = latent.slerp(start, end, np.linspace(0, 1, 5))
    assert points.shape == (5, 8)
    np.testing.assert_allclose(points[0], start, atol=1e-6)
    np.testing.assert_allclose(points[-1], end, atol=1e-6)


@pytest.mark.parametrize("degrees", [0.1, 10, 90, 179, 179.9])
def test_slerp_walks_the_unit_sphere_at_a_constant_pace(degrees):
    start, normal = np.linalg.qr(RNG.normal(size=(256, 2)))[0].T
    angle = np.deg2rad(degrees)
    end = np.cos(angle) * start + np.sin(angle) * normal
    positions = np.linspace(0, 1, 9)
    oracle = (
        np.cos(positions * angle)[:, None] * start + np.sin(positions * angle)[:, None] * normal
    )
    points = latent.slerp(tf.constant(start, tf.float32), tf.constant(end, tf.float32), positions)
    np.testing.assert_allclose(points, oracle, atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(points, axis=-1), 1, atol=1e-3)


def test_slerp_weighs_ends_of_any_length():
    # Quarter of the way along a right angle: sin(67.5 degrees) and sin(22.5 degrees).
    points = latent.slerp(tf.constant([2.0, 0.0]), tf.constant([0.0, 6.0]), [0.25])
    np.testing.assert_allclose(points, [[2 * 0.9238795, 6 * 0.3826834]], rtol=1e-6)


@pytest.mark.parametrize("distance", [0, 1e-7, 1e-5, 1e-3])
def test_slerp_between_nearly_parallel_ends_is_a_straight_line(distance):
    start = unit(MU[0])
    end = 3 * unit(start + distance * unit(MU[1]))
    points = latent.slerp(start, end, [0, 0.25, 1])
    np.testing.assert_allclose(points, [start, 0.75 * start + 0.25 * end, end], atol=1e-5)


@pytest.mark.parametrize("distance", [0, 1e-7, 1e-5, 1e-3])
def test_slerp_between_nearly_opposite_ends_stays_in_the_ball(distance):
    start = unit(MU[0])
    points = latent.slerp(start, -unit(start + distance * unit(MU[1])), np.linspace(0, 1, 7))
    assert np.isfinite(points).all()
    assert np.linalg.norm(points, axis=-1).max() < 1.05
    np.testing.assert_allclose(points[0], start, atol=1e-4)


def test_slerp_from_the_origin_is_finite():
    origin = np.zeros(8, np.float32)
    assert np.isfinite(latent.slerp(origin, MU[0], [0, 0.5, 1])).all()
    np.testing.assert_array_equal(latent.slerp(origin, origin, [0, 0.5]), np.zeros((2, 8)))
