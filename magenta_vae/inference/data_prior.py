"""A Gaussian of where music lies in the latent space, to sample from in the prior's place.

A model is trained to put its windows where N(0, I) is, and seldom does it wholly: a point of
N(0, I) may lie where no window does, and what is decoded there need not be music. Points of a
density that is fitted to the posterior means of the training windows, after training, lie nearer to
them (Ghosh et al., 2020: "From variational to deterministic autoencoders", ex-post density
estimation). The paper samples N(0, I).
"""

import dataclasses
import functools
import json
import os
from pathlib import Path

import numpy as np

from magenta_vae import files

STANDARD, DATA = "standard", "data"
PRIORS = (STANDARD, DATA)
NUM_WINDOWS = 20_000  # Of which the Gaussian is fitted, at most: forty for each dimension of 512.
FILE = "data_prior.json"
MUCH_NATS = 10.0  # From here on samples of N(0, I) were seen to be worse than those of the data.
JITTER = 1e-6  # Added to variances, so that a covariance of equal means has a root.


@dataclasses.dataclass(frozen=True)
class DataPrior:
    """A Gaussian fitted to the posterior means of some windows.

    Args:
        mean, covariance: of the means, float [z] and [z, z].
        noise: the mean of the posteriors' own variances, float [z].
        shrinkage: the share of the covariance that is a multiple of the identity.
        num_windows: of how many windows.
        step: the training step of the weights; of others it is not.
    """

    mean: np.ndarray
    covariance: np.ndarray
    noise: np.ndarray
    shrinkage: float
    num_windows: int
    step: int = 0

    @property
    def z_size(self) -> int:
        """Dimensions of the latent space."""
        return len(self.mean)

    @functools.cached_property
    def root(self) -> np.ndarray:
        """The covariance's Cholesky factor, lower triangular: float64 [z, z]."""
        return np.linalg.cholesky(self.covariance + JITTER * np.eye(self.z_size))

    def points(self, standard: np.ndarray) -> np.ndarray:
        """Returns points of the Gaussian, of points of N(0, I): float32 [points, z] each.

        Computed in float64, so that a point does not depend on how many there are.
        """
        return (self.mean + np.asarray(standard, np.float64) @ self.root.T).astype(np.float32)

    def kl_to_standard(self) -> float:
        """Returns how far the training windows' z lie from N(0, I), in nats.

        It is KL(N(m, C) || N(0, I)) where m and C are the mean and covariance of z drawn from the
        posteriors: C is that of their means plus their own mean variances. A dimension that the
        model does not use, whose means are all 0 and variances 1, adds nothing.
        """
        covariance = self.covariance + np.diag(self.noise)
        _, log_determinant = np.linalg.slogdet(covariance)
        trace = np.trace(covariance) + self.mean @ self.mean
        return float((trace - self.z_size - log_determinant) / 2)


def fit(mu: np.ndarray, sigma: np.ndarray, step: int = 0) -> DataPrior:
    """Returns the Gaussian of some posteriors.

    The covariance is that of the means, drawn towards a multiple of the identity by as much as its
    own noise asks for (Ledoit and Wolf, 2004: "A well-conditioned estimator for large-dimensional
    covariance matrices"): of many windows hardly, of few so far that it can be inverted.

    Args:
        mu, sigma: float [windows, z], of at least two windows.
        step: the training step of the weights.
    """
    if len(mu) < 2:
        raise ValueError(f"A Gaussian is fitted to at least 2 windows. Received: {len(mu)}.")
    mu, sigma = np.asarray(mu, np.float64), np.asarray(sigma, np.float64)
    covariance, shrinkage = shrunk_covariance(mu)
    noise = np.mean(np.square(sigma), axis=0)
    return DataPrior(mu.mean(axis=0), covariance, noise, shrinkage, len(mu), step)


def shrunk_covariance(values: np.ndarray) -> tuple[np.ndarray, float]:
    """Returns the covariance of float [n, z] rows by Ledoit and Wolf, [z, z], and the shrinkage."""
    num_rows, size = values.shape
    centred = values - values.mean(axis=0)
    sample = centred.T @ centred / num_rows
    target = np.trace(sample) / size * np.eye(size)
    distance = np.sum(np.square(sample - target))
    # The mean squared error of the sample's covariance, by its spread over rows.
    fourth = np.sum(np.square(np.sum(np.square(centred), axis=1)))
    error = (fourth / num_rows - np.sum(np.square(sample))) / num_rows
    shrinkage = float(np.clip(error / distance, 0.0, 1.0)) if distance > 0 else 0.0
    return (1 - shrinkage) * sample + shrinkage * target, shrinkage


def write(path: str | os.PathLike, prior: DataPrior) -> None:
    """Writes a Gaussian as JSON, whole or not at all."""
    content = dataclasses.asdict(prior)
    for name in ("mean", "covariance", "noise"):
        array = content[name].astype(np.float32)
        digits = [float(str(number)) for number in array.flat]  # As few as tell a float32.
        content[name] = np.reshape(digits, array.shape).tolist()
    files.write_text(path, json.dumps(content) + "\n")


def read(path: str | os.PathLike, z_size: int) -> DataPrior:
    """Reads what `write` wrote.

    Raises:
        FileNotFoundError: where there is no file.
        ValueError: where it is damaged, or of a model whose z has not `z_size` dimensions.
    """
    content = files.read_json(Path(path))
    types = {"shrinkage": int | float, "num_windows": int, "step": int}
    files.check_types(path, content, types, types)
    arrays = {}
    for name, shape in (("mean", [z_size]), ("covariance", [z_size] * 2), ("noise", [z_size])):
        try:
            arrays[name] = np.array(content.get(name), np.float32).astype(np.float64)
        except (ValueError, TypeError, OverflowError) as error:
            raise ValueError(f"{path} is damaged: {name} is no array: {error}.") from error
        if list(arrays[name].shape) != shape or not np.isfinite(arrays[name]).all():
            raise ValueError(
                f"{path} is damaged or of another model: {name} must be {shape} finite numbers. "
                f"Received: {list(arrays[name].shape)}."
            )
    numbers = content["shrinkage"], content["num_windows"], content["step"]
    prior = DataPrior(arrays["mean"], arrays["covariance"], arrays["noise"], *numbers)
    try:
        if (prior.noise < 0).any():
            raise np.linalg.LinAlgError("variances are below 0")
        _ = prior.root
    except np.linalg.LinAlgError as error:
        raise ValueError(f"{path} is damaged: it holds no covariance: {error}.") from error
    return prior


def check(prior: str) -> None:
    """Raises `ValueError` for what is not the name of a prior."""
    if prior not in PRIORS:
        raise ValueError(f"prior must be one of: {', '.join(PRIORS)}. Received: {prior!r}.")


def describe(prior: DataPrior) -> dict:
    """Returns what `evaluate` says of a Gaussian, as JSON values."""
    return {
        "kl_to_standard_nats": prior.kl_to_standard(),
        "shrinkage": prior.shrinkage,
        "num_windows": prior.num_windows,
    }


def format_description(described: dict) -> str:
    """Returns what `describe` returns as a line for people."""
    kl = described["kl_to_standard_nats"]
    where = (
        f"z of {described['num_windows']:,} training windows lie {kl:.1f} nats from N(0, I) "
        f"(KL of their Gaussian, shrinkage {described['shrinkage']:.3f})"
    )
    return where + (": far. `--prior=data` samples where they lie" if kl > MUCH_NATS else "")


def advice(prior: DataPrior) -> str | None:
    """Returns what to say before N(0, I) is sampled, None where it is near enough to the data."""
    kl = prior.kl_to_standard()
    if kl <= MUCH_NATS:
        return None
    return (
        f"note: the training windows lie {kl:.1f} nats from N(0, I), where these samples are drawn "
        "(as in the paper). --prior=data draws from a Gaussian of the training windows instead"
    )
