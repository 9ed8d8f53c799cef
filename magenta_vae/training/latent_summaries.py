"""How a model uses its latent space: the posteriors of held-out windows, for TensorBoard."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from magenta_vae.training import summaries

if TYPE_CHECKING:  # See `summaries`.
    from matplotlib.figure import Figure

ACTIVE_VARIANCE = 0.01  # Burda et al., 2016, 5.2: "A_u > 10^-2"
USED_NATS = 0.05  # A dimension below says less than a fourteenth of a bit about a window.
BAR_COLOR, LINE_COLOR = "#0072B2", "#D55E00"


def kl_per_dimension(mu: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """Returns KL(q, p) of each dimension in nats, the mean over windows: float64 [z_size].

    Their sum is the mean KL of the windows, since neither distribution correlates dimensions.

    Args:
        mu, sigma: of the posteriors, [windows, z_size].
    """
    mu, sigma = mu.astype(np.float64), sigma.astype(np.float64)
    return np.mean((mu**2 + sigma**2 - 1) / 2 - np.log(sigma), axis=0)


def count_active_units(mu: np.ndarray) -> int:
    """Returns the number of dimensions whose mean varies from window to window.

    Source: Burda, Grosse and Salakhutdinov, "Importance Weighted Autoencoders", ICLR 2016, 5.2: a
    dimension u is active where Cov_x(E_q(u given x)[u]) > 0.01.

    Args:
        mu: means of the posteriors, [windows, z_size].
    """
    return int(np.sum(np.var(mu.astype(np.float64), axis=0) > ACTIVE_VARIANCE))


def write(mu: np.ndarray, sigma: np.ndarray) -> None:
    """Writes how the dimensions are used, with `tf.summary`.

    Histograms of all mu, of all sigma and of the dimensions' KL, a bar chart of the latter, and how
    many dimensions are active and how many have a KL above 0.05 nats.

    Args:
        mu, sigma: of the posteriors, [windows, z_size].
    """
    kl = kl_per_dimension(mu, sigma)
    tf.summary.scalar(
        "latent/active_units",
        count_active_units(mu),
        description=f"Dimensions whose mean varies by more than {ACTIVE_VARIANCE} over windows.",
    )
    tf.summary.scalar(
        "latent/used_dimensions",
        int(np.sum(kl > USED_NATS)),
        description=f"Dimensions whose mean KL is above {USED_NATS} nats.",
    )
    tf.summary.histogram("latent/mu", mu, description="All dimensions of all windows.")
    tf.summary.histogram("latent/sigma", sigma, description="All dimensions of all windows.")
    tf.summary.histogram("latent/kl", kl, description="Mean KL of each dimension, in nats.")
    summaries.write_figure(
        "latent/kl_by_dimension",
        draw_kl(kl),
        "Mean KL of each dimension, the largest first.",
    )


def draw_kl(kl: np.ndarray) -> Figure:
    """Draws the KL of each dimension, float [z_size] nats, as bars, the largest first."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3), facecolor="white", layout="constrained")
    axes = figure.add_subplot()
    heights = np.where(np.isfinite(kl), kl, 0.0)  # Others show in the sum.
    axes.bar(np.arange(1, len(kl) + 1), np.sort(heights)[::-1], width=1.0, color=BAR_COLOR)
    axes.axhline(USED_NATS, color=LINE_COLOR, linewidth=1, label=f"{USED_NATS} nats")
    axes.set_xlim(0.5, len(kl) + 0.5)
    axes.set_xlabel("dimensions of z, by their KL")
    axes.set_ylabel("mean KL (nats)")
    axes.legend(title=f"{kl.sum():.1f} nats in all", frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    return figure
