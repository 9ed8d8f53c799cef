"""How the latent space is used, counted on posteriors made by hand."""

import numpy as np
import pytest
import tensorflow as tf

from magenta_vae.model import latent
from magenta_vae.training import latent_summaries


def test_the_kl_of_the_dimensions_sums_to_the_kl():
    rng = np.random.default_rng(0)
    mu = rng.normal(size=[50, 7]).astype(np.float32)
    sigma = np.exp(rng.normal(size=[50, 7])).astype(np.float32)
    whole = latent.kl_to_prior(latent.posterior(mu, sigma))
    each = latent_summaries.kl_per_dimension(mu, sigma)
    assert each.shape == (7,)
    assert each.sum() == pytest.approx(float(tf.reduce_mean(whole)), rel=1e-5)


def test_the_kl_of_known_normal_distributions():
    # The prior itself; a mean of 2 costs 2^2 / 2; half the width costs (1/4 - 1) / 2 + ln 2.
    mu, sigma = np.array([[0.0, 2.0, 0.0]]), np.array([[1.0, 1.0, 0.5]])
    expected = [0.0, 2.0, -0.375 + np.log(2)]
    np.testing.assert_allclose(latent_summaries.kl_per_dimension(mu, sigma), expected)


def test_active_units_are_those_whose_mean_varies():
    # Variances over the two windows: 0 (far from the prior, yet the same), 0.0081, 0.0121, 1.
    mu = np.array([[3.0, 0.09, 0.11, 1.0], [3.0, -0.09, -0.11, -1.0]])
    assert latent_summaries.count_active_units(mu) == 2


def test_the_bars_are_sorted_and_their_sum_is_said():
    figure = latent_summaries.draw_kl(np.array([0.5, 2.0, 0.0]))
    (axes,) = figure.axes
    assert [bar.get_height() for bar in axes.patches] == [2.0, 0.5, 0.0]
    assert axes.get_legend().get_title().get_text() == "2.5 nats in all"


def test_a_posterior_that_is_no_number_is_drawn_too():
    figure = latent_summaries.draw_kl(np.array([np.inf, 2.0, np.nan]))
    assert max(bar.get_height() for bar in figure.axes[0].patches) == 2.0
