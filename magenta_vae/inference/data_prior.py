"""Where music lies in the latent space: a mixture of Gaussians to sample from, not N(0, I).

A model is trained to put its windows where N(0, I) is, and seldom does it wholly: a point of
N(0, I) may lie where no window does, and what is decoded there need not be music. Points of a
density that is fitted to the posterior means of the training windows, after training, lie nearer to
them. As Ghosh et al. do (2020: "From variational to deterministic autoencoders", ex-post density
estimation), it is a mixture of Gaussians with full covariances. The paper samples N(0, I).
"""

import base64
import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from magenta_vae import files
from magenta_vae.inference import mixtures
from magenta_vae.inference.mixtures import Mixture

STANDARD, DATA = "standard", "data"
PRIORS = (STANDARD, DATA)
NUM_WINDOWS = 20_000  # Of which the mixture is fitted, at most: forty for each dimension of 512.
NUM_GAUSSIANS = 20  # Ghosh et al. take 10: of melodies, samples of 20 were nearer to held-out ones.
WINDOWS_PER_DIMENSION = 4  # Of each Gaussian: with fewer, held-out melodies became less likely.
FILE = "data_prior.json"
MUCH_NATS = 10.0  # From here on samples of N(0, I) were seen to be worse than those of the data.


@dataclasses.dataclass(frozen=True)
class DataPrior:
    """A mixture of Gaussians fitted to the posterior means of some windows.

    Args:
        mixture: of the means.
        noise: the mean of the posteriors' own variances, float64 [z].
        shrinkage: how far the correlation of the means was drawn towards the identity.
        num_windows: of how many windows.
        step: the training step of the weights; of others it is not.
        nats: what `kl_to_standard` returns; None for that of the mixture's own mean and covariance,
            which of several Gaussians is a little more than that of the windows.
    """

    mixture: Mixture
    noise: np.ndarray
    shrinkage: float
    num_windows: int
    step: int = 0
    nats: float | None = None

    @property
    def z_size(self) -> int:
        """Dimensions of the latent space."""
        return len(self.noise)

    def kl_to_standard(self) -> float:
        """Returns how far the training windows' z lie from N(0, I), in nats.

        It is KL(N(m, C) || N(0, I)) where m and C are the mean and covariance of z drawn from the
        posteriors: C is that of their means plus their own mean variances. A dimension that the
        model does not use, whose means are all 0 and variances 1, adds nothing. That of the mixture
        has no closed form, and is larger.
        """
        if self.nats is not None:
            return self.nats
        return _kl_to_standard(*self.mixture.moments(), self.noise)


def fit(
    mu: np.ndarray, sigma: np.ndarray, step: int = 0, num_gaussians: int = NUM_GAUSSIANS
) -> DataPrior:
    """Returns the mixture of Gaussians of some posteriors; see `mixtures.fit`.

    Its numbers are those that `write` keeps: what is read again draws the same points.

    Args:
        mu, sigma: float [windows, z], of at least two windows.
        step: the training step of the weights.
        num_gaussians: how many Gaussians, at most: fewer of few windows.
    """
    if len(mu) < 2:
        raise ValueError(f"A Gaussian is fitted to at least 2 windows. Received: {len(mu)}.")
    num_windows, z_size = mu.shape
    most = max(1, num_windows // (WINDOWS_PER_DIMENSION * z_size))
    mixture, shrinkage = mixtures.fit(mu, min(num_gaussians, most))
    noise = np.mean(np.square(np.asarray(sigma, np.float64)), axis=0)
    means, roots = mixture.means.astype(np.float32), _half(mixture.roots)
    kept = Mixture(mixture.weights, means.astype(np.float64), roots.astype(np.float64))
    noise = noise.astype(np.float32).astype(np.float64)
    covariance, _ = mixtures.shrunk_covariance(np.asarray(mu, np.float64))
    nats = _kl_to_standard(np.asarray(mu, np.float64).mean(axis=0), covariance, noise)
    return DataPrior(kept, noise, shrinkage, len(mu), step, nats)


def with_spread(prior: DataPrior, spread: float) -> DataPrior:
    """Returns a mixture whose Gaussians have standard deviations of so many times those of another.

    Below 1 points lie nearer to the means: there are fewer that lie where no window does, and they
    differ less.
    """
    check_spread(spread)
    roots = _half(prior.mixture.roots * spread).astype(np.float64)
    mixture = dataclasses.replace(prior.mixture, roots=roots)
    return dataclasses.replace(prior, mixture=mixture, nats=prior.kl_to_standard())


def check_spread(spread: float) -> None:
    """Raises `ValueError` for what standard deviations cannot be multiplied by."""
    if not 0 < spread <= 1:
        raise ValueError(f"spread must be above 0 and at most 1. Received: {spread}.")


def write(path: str | os.PathLike, prior: DataPrior) -> None:
    """Writes a mixture as JSON, whole or not at all.

    The Cholesky factors are base64 of their lower triangles, row by row, in float16, little-endian:
    a quarter of the length of digits, and no less exact than published weights.
    """
    mixture = prior.mixture
    triangles = mixture.roots[:, *np.tril_indices(prior.z_size)]
    content = {
        "weights": mixture.weights.tolist(),
        "means": _as_digits(mixture.means),
        "roots": base64.b64encode(_half(triangles).astype("<f2").tobytes()).decode(),
        "noise": _as_digits(prior.noise),
        "shrinkage": prior.shrinkage,
        "num_windows": prior.num_windows,
        "step": prior.step,
        "nats": prior.nats,
    }
    files.write_text(path, json.dumps(content) + "\n")


def read(path: str | os.PathLike, z_size: int) -> DataPrior:
    """Reads what `write` wrote, of this version or one that wrote a single covariance.

    Raises:
        FileNotFoundError: where there is no file.
        ValueError: where it is damaged, or of a model whose z has not `z_size` dimensions.
    """
    content = files.read_json(Path(path))
    types = {"shrinkage": int | float, "num_windows": int, "step": int}
    files.check_types(path, content, types | {"nats": int | float | None}, types)
    noise = _array(path, content, "noise", [z_size])
    is_single = "covariance" in content  # Of version 0.1.0.
    try:
        if (noise < 0).any():
            raise np.linalg.LinAlgError("variances are below 0")
        mixture = (_single if is_single else _several)(path, content, z_size)
    except np.linalg.LinAlgError as error:
        raise ValueError(f"{path} is damaged: it holds no covariance: {error}.") from error
    numbers = content["shrinkage"], content["num_windows"], content["step"]
    return DataPrior(mixture, noise, *numbers, content.get("nats"))


def check(prior: str) -> None:
    """Raises `ValueError` for what is not the name of a prior."""
    if prior not in PRIORS:
        raise ValueError(f"prior must be one of: {', '.join(PRIORS)}. Received: {prior!r}.")


def describe(prior: DataPrior) -> dict:
    """Returns what `evaluate` says of a mixture, as JSON values."""
    return {
        "kl_to_standard_nats": prior.kl_to_standard(),
        "shrinkage": prior.shrinkage,
        "num_windows": prior.num_windows,
        "num_gaussians": len(prior.mixture.weights),
    }


def is_far(figures: Mapping) -> bool:
    """Says of a model's figures whether its samples of N(0, I) are likely to be the worse ones.

    They hold what `describe` returns as `data_prior`; those of a baseline, without a z, do not.
    """
    described = figures.get("data_prior")
    return described is not None and described["kl_to_standard_nats"] > MUCH_NATS


def format_description(described: dict) -> str:
    """Returns what `describe` returns as a line for people."""
    kl = described["kl_to_standard_nats"]
    where = (
        f"z of {described['num_windows']:,} training windows lie {kl:.1f} nats from N(0, I) "
        f"(KL of the Gaussian with their mean and covariance, "
        f"shrinkage {described['shrinkage']:.3f})"
    )
    return where + (": far. `--prior=data` samples where they lie" if kl > MUCH_NATS else "")


def advice(prior: DataPrior) -> str | None:
    """Returns what to say before N(0, I) is sampled, None where it is near enough to the data."""
    kl = prior.kl_to_standard()
    if kl <= MUCH_NATS:
        return None
    return (
        f"note: the training windows lie {kl:.1f} nats from N(0, I), where these samples are drawn "
        "(as in the paper). --prior=data draws where the training windows lie instead"
    )


def _kl_to_standard(mean: np.ndarray, covariance: np.ndarray, noise: np.ndarray) -> float:
    """Returns KL(N(mean, covariance + diag(noise)) || N(0, I)), in nats."""
    covariance = covariance + np.diag(noise)
    _, log_determinant = np.linalg.slogdet(covariance)
    trace = np.trace(covariance) + mean @ mean
    return float((trace - len(mean) - log_determinant) / 2)


def _single(path: str | os.PathLike, content: dict, z_size: int) -> Mixture:
    """Returns one Gaussian, of its mean and covariance."""
    mean = _array(path, content, "mean", [z_size])
    covariance = _array(path, content, "covariance", [z_size, z_size])
    return Mixture(np.ones(1), mean[None], mixtures.root_of(covariance)[None])


def _several(path: str | os.PathLike, content: dict, z_size: int) -> Mixture:
    """Returns Gaussians, of their weights, means and Cholesky factors."""
    files.check_types(path, content, {"weights": list, "roots": str}, ["weights", "roots"])
    num_gaussians = len(content["weights"])
    weights = _array(path, content, "weights", [num_gaussians], np.float64)
    if not ((weights > 0).all() and abs(weights.sum() - 1) < 1e-6):
        raise ValueError(
            f"{path} is damaged: weights must be above 0 and sum to 1. Received: "
            f"{content['weights']}."
        )
    means = _array(path, content, "means", [num_gaussians, z_size])
    lower = np.tril_indices(z_size)
    expected = num_gaussians * len(lower[0])
    try:
        triangles = np.frombuffer(base64.b64decode(content["roots"], validate=True), "<f2")
    except ValueError as error:
        raise ValueError(f"{path} is damaged: roots is no float16 in base64: {error}.") from error
    if len(triangles) != expected or not np.isfinite(triangles).all():
        raise ValueError(
            f"{path} is damaged or of another model: roots must be {expected} finite numbers. "
            f"Received: {len(triangles)}."
        )
    roots = np.zeros([num_gaussians, z_size, z_size])
    roots[:, *lower] = triangles.reshape(num_gaussians, -1)
    if (np.diagonal(roots, axis1=1, axis2=2) <= 0).any():
        raise np.linalg.LinAlgError("a Cholesky factor has a diagonal that is not above 0")
    return Mixture(weights, means, roots)


def _array(
    path: str | os.PathLike, content: dict, name: str, shape: list[int], dtype: Any = np.float32
) -> np.ndarray:
    """Returns an array of a file, float64, once it has the shape and the numbers it must have."""
    try:
        array = np.array(content.get(name), dtype).astype(np.float64)
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"{path} is damaged: {name} is no array: {error}.") from error
    if list(array.shape) != shape or not np.isfinite(array).all():
        raise ValueError(
            f"{path} is damaged or of another model: {name} must be {shape} finite numbers. "
            f"Received: {list(array.shape)}."
        )
    return array


def _half(roots: np.ndarray) -> np.ndarray:
    """Returns Cholesky factors in float16."""
    with np.errstate(over="ignore"):
        half = roots.astype(np.float16)
    if not np.isfinite(half).all():
        raise ValueError(
            f"z of the windows is spread over {np.abs(roots).max():g}, which float16 does not "
            f"hold: its largest number is {np.finfo(np.float16).max:g}. The model has diverged."
        )
    return half


def _as_digits(array: np.ndarray) -> list:
    """Returns an array as lists of float32 numbers, each with as few digits as tell it."""
    digits = [float(str(number)) for number in array.astype(np.float32).flat]
    return np.reshape(digits, array.shape).tolist()
