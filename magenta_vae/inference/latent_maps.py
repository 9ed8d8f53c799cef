"""Posterior means -> two dimensions, and a picture of them coloured by an attribute.

PCA shows the two directions in which the means differ most, to scale. UMAP (McInnes et al., 2018:
"UMAP: Uniform Manifold Approximation and Projection for Dimension Reduction") puts neighbours near
each other; how far apart others are says little. It is the package `umap-learn`.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from magenta_vae.inference.latents import Latents

if TYPE_CHECKING:  # matplotlib is imported when there is something to draw.
    from matplotlib.figure import Figure

PCA, UMAP = METHODS = ("pca", "umap")
MAX_POINTS = 5_000  # More of them cover each other.
NO_VALUE = "#BBBBBB"


class Points(NamedTuple):
    """Windows on a map.

    Attributes:
        places: float [windows, 2].
        labels: of the two axes.
    """

    places: np.ndarray
    labels: tuple[str, str]


class Axes(NamedTuple):
    """The two directions in which some points differ most.

    Attributes:
        mean: of the points, float64 [z_size].
        directions: of length 1, float64 [2, z_size].
        shares: of the variance of the points along each.
    """

    mean: np.ndarray
    directions: np.ndarray
    shares: tuple[float, float]

    def places(self, z: np.ndarray) -> np.ndarray:
        """Returns where points lie along both, float64 [points, 2] of [points, z_size]."""
        return (z.astype(np.float64) - self.mean) @ self.directions.T


class Drawn:
    """Draws windows evenly from any number of them, without knowing how many there will be.

    Which are drawn depends on the seed and their order alone, not on the batches they come in.

    Args:
        number: how many at most.
        seed: of the draws.
    """

    def __init__(self, number: int = MAX_POINTS, seed: int = 0):
        self._number = number
        self._rng = np.random.default_rng(seed)
        self._lots = np.zeros(0)
        self._kept: tuple[np.ndarray, ...] = ()
        self.num_seen = 0

    def add(self, latents: Latents) -> None:
        """Adds some windows: those with the smallest lots of all are kept."""
        lots = self._rng.random(len(latents.mu))
        self.num_seen += len(lots)
        added: tuple[np.ndarray, ...] = latents.mu, latents.tokens
        if self._kept:
            lots = np.concatenate([self._lots, lots])
            added = tuple(map(np.concatenate, zip(self._kept, added, strict=True)))
        rows = np.sort(np.argsort(lots, kind="stable")[: self._number])
        self._lots = lots[rows]
        self._kept = tuple(each[rows] for each in added)

    @property
    def mu(self) -> np.ndarray:
        """The means of those that are kept, float32 [windows, z_size]."""
        return self._kept[0]

    @property
    def tokens(self) -> np.ndarray:
        """Their tokens, int [windows, steps, tracks]."""
        return self._kept[1]


def check(method: str, z_size: int) -> None:
    """Raises `ValueError` where no map can be made, before there is anything to draw.

    Args:
        method: of `project`.
        z_size: dimensions of the latent space.
    """
    if z_size < 2:
        raise ValueError(f"A map is of a z of at least 2 dimensions. This model has {z_size}.")
    if method == UMAP and importlib.util.find_spec("umap") is None:
        raise ValueError(
            "--method=umap needs the package umap-learn: pip install 'magenta_vae[umap]'."
        )


def project(mu: np.ndarray, method: str = PCA, seed: int = 0) -> Points:
    """Returns means in two dimensions.

    Args:
        mu: float [windows, z_size], of at least 3 windows.
        method: `pca` or `umap`.
        seed: of UMAP.

    Raises:
        ValueError: for UMAP where it is not installed, with how that is done, and for too few.
    """
    if len(mu) < 3:
        raise ValueError(f"A map is of at least 3 windows. Received: {len(mu)}.")
    return _by_umap(mu, seed) if method == UMAP else _by_pca(mu)


def principal_axes(mu: np.ndarray) -> Axes:
    """Returns the axes of a map by PCA, of float [windows, z_size]."""
    mean = mu.mean(axis=0, dtype=np.float64)
    _, scales, directions = np.linalg.svd(mu.astype(np.float64) - mean, full_matrices=False)
    # Each direction may be turned round: the one whose largest part is positive.
    largest = np.abs(directions[:2]).argmax(axis=1)
    signs = np.sign(directions[[0, 1], largest])
    shares = np.square(scales) / max(np.square(scales).sum(), np.finfo(float).tiny)
    return Axes(mean, directions[:2] * signs[:, None], (float(shares[0]), float(shares[1])))


def draw(points: Points, values: np.ndarray, name: str, title: str) -> Figure:
    """Draws a map.

    Args:
        points: the windows.
        values: what they are coloured by, float [windows]; grey where it is NaN.
        name: of the values, with their unit.
        title: written above.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 6), facecolor="white", layout="constrained")
    axes = figure.add_subplot()
    has_value = np.isfinite(values)
    across, up = points.places.T
    axes.scatter(across[~has_value], up[~has_value], s=5, color=NO_VALUE, linewidths=0)
    # A few windows far beyond the others would leave these one colour.
    low, high = np.percentile(values[has_value], [1, 99]) if has_value.any() else (0, 1)
    colored = axes.scatter(
        *(across[has_value], up[has_value], 5, values[has_value]),
        cmap="viridis",
        vmin=low,
        vmax=high,
        linewidths=0,
    )
    figure.colorbar(colored, label=name, extend="both", shrink=0.8)
    axes.set(xlabel=points.labels[0], ylabel=points.labels[1])
    axes.set_title(title, fontsize=10, loc="left")
    axes.set_aspect("equal", "datalim")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _by_pca(mu: np.ndarray) -> Points:
    axes = principal_axes(mu)
    first, second = (
        f"principal component {number}: {share:.1%} of the variance"
        for number, share in enumerate(axes.shares, 1)
    )
    return Points(axes.places(mu), (first, second))


def _by_umap(mu: np.ndarray, seed: int) -> Points:
    try:
        import umap
    except ImportError as error:
        raise ValueError(
            "--method=umap needs the package umap-learn: pip install 'magenta_vae[umap]'. "
            f"Importing it failed: {error}."
        ) from error
    neighbours = min(15, len(mu) - 1)
    reducer = umap.UMAP(n_neighbors=neighbours, random_state=seed, n_jobs=1)
    return Points(reducer.fit_transform(mu), ("UMAP 1", "UMAP 2"))
