"""The latent space: posterior, prior, divergence, and the way between two points."""

from __future__ import annotations

from typing import TYPE_CHECKING

import tensorflow as tf

from magenta_vae import private_apis

if TYPE_CHECKING:
    from tensorflow_probability import distributions as tfd

# The distributions are imported where they are asked for: making music needs none.


def posterior(mu: tf.Tensor, sigma: tf.Tensor) -> tfd.MultivariateNormalDiag:
    """Returns q(z given x) of float [batch, z_size] means and standard deviations."""
    tfd = private_apis.distributions()

    return tfd.MultivariateNormalDiag(loc=mu, scale_diag=sigma)


def prior(z_size: int) -> tfd.MultivariateNormalDiag:
    """Returns p(z), the standard normal distribution of `z_size` dimensions."""
    tfd = private_apis.distributions()

    return tfd.MultivariateNormalDiag(loc=tf.zeros(z_size), scale_diag=tf.ones(z_size))


def kl_to_prior(distribution: tfd.MultivariateNormalDiag) -> tf.Tensor:
    """Returns KL(q, p) in nats, analytically: float [batch]."""
    tfd = private_apis.distributions()

    return tfd.kl_divergence(distribution, prior(distribution.event_shape[-1]))


def slerp(start: tf.Tensor, end: tf.Tensor, positions: tf.Tensor) -> tf.Tensor:
    """Interpolates spherically between two points (paper, Sampling Details).

    Args:
        start, end: float [z_size], or [points, z_size] for a way of its own for each point.
        positions: float [points], 0 at `start` and 1 at `end`.

    Returns:
        float [points, z_size]. Nearly parallel ends are interpolated linearly: there the sphere is
        flat and the formula divides zero by zero. So are nearly opposite ends: no one way between
        them is the shortest.
    """
    positions = tf.convert_to_tensor(positions, start.dtype)[:, None]
    start_unit, end_unit = (tf.math.l2_normalize(point, axis=-1) for point in (start, end))
    difference, total = start_unit - end_unit, start_unit + end_unit
    # The arc cosine would lose half of the digits near 0 and pi.
    angle = 2 * tf.atan2(*(tf.norm(x, axis=-1, keepdims=True) for x in (difference, total)))
    sine = tf.sin(angle)
    is_flat = sine < 1e-4
    safe_sine = tf.where(is_flat, tf.ones_like(sine), sine)
    start_weight = tf.where(is_flat, 1 - positions, tf.sin((1 - positions) * angle) / safe_sine)
    end_weight = tf.where(is_flat, positions, tf.sin(positions * angle) / safe_sine)
    return start_weight * start + end_weight * end
