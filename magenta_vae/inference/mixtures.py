"""Mixtures of Gaussians: fitted to points by expectation maximization, and drawn from.

Each Gaussian has a covariance of its own, as full as that of one Gaussian would be: what is shaped
unlike an ellipsoid is made of several. After Dempster, Laird and Rubin (1977): "Maximum likelihood
from incomplete data via the EM algorithm".
"""

import dataclasses

import numpy as np

MAX_ITERATIONS = 20  # Of 5 nats a point that they gained, the last ten gained half a nat.
LEAST_GAIN = 0.001  # Nats a point: what an iteration must gain for another to follow.
NUM_STARTS, NUM_ROUNDS = 4, 10  # Of k-means, from which the first assignment comes.
LEAST_WEIGHT = 0.02  # Of an even share: a Gaussian that is drawn more seldom is left out.
LEAST_SHARE = 1e-6  # Of a point in a Gaussian: below it the point is left out of its covariance.
# So many points for each dimension, spread as all points are, are added to those of a Gaussian. Of
# 4,000 points in 128 dimensions, held-out ones were likelier by 3 nats than with a quarter of that,
# by 1 than with four times as many; of 16,000 a quarter was better by half a nat.
COMMON_POINTS = 1.0
JITTER = 1e-6  # Added to variances, so that a covariance of equal points has a root.


@dataclasses.dataclass(frozen=True)
class Mixture:
    """Gaussians, and how often a point is drawn from each.

    Args:
        weights: of the Gaussians, which sum to 1: float64 [components].
        means: float64 [components, z].
        roots: Cholesky factors of their covariances, lower triangular: float64 [components, z, z].
    """

    weights: np.ndarray
    means: np.ndarray
    roots: np.ndarray

    @property
    def bounds(self) -> np.ndarray:
        """Where one Gaussian's part of [0, 1) ends and the next's begins: [components - 1]."""
        return np.cumsum(self.weights)[:-1]

    def choose(self, uniform: np.ndarray) -> np.ndarray:
        """Returns the Gaussian that each number of [0, 1) draws: float [points] -> int [points]."""
        return np.sum(np.asarray(uniform, np.float64)[:, None] >= self.bounds, axis=1)

    def points(self, standard: np.ndarray, uniform: np.ndarray) -> np.ndarray:
        """Returns points of the mixture.

        Computed in float64, so that a point does not depend on how many there are.

        Args:
            standard: points of N(0, I), float [points, z].
            uniform: numbers of [0, 1), which choose the Gaussians: float [points].

        Returns:
            float32 [points, z].
        """
        chosen = self.choose(uniform)
        standard = np.asarray(standard, np.float64)
        points = np.empty(standard.shape, np.float32)
        for component, (mean, root) in enumerate(zip(self.means, self.roots, strict=True)):
            rows = chosen == component
            points[rows] = mean + standard[rows] @ root.T
        return points

    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns the mean and the covariance of all that is drawn: float64 [z] and [z, z]."""
        mean = self.weights @ self.means
        apart = self.means - mean
        within = np.einsum("c,cij,ckj->ik", self.weights, self.roots, self.roots, optimize=True)
        return mean, within + (self.weights[:, None] * apart).T @ apart

    def log_densities(self, values: np.ndarray) -> np.ndarray:
        """Returns log(weight x density) in each Gaussian: [points, z] -> [points, components]."""
        columns = []
        for weight, mean, root in zip(self.weights, self.means, self.roots, strict=True):
            # By the inverse, once, for a product with it is faster than solving for every point.
            whitened = (values - mean) @ np.linalg.inv(root).T
            log_determinant = np.sum(np.log(np.diagonal(root)))
            exponent = -np.einsum("nz,nz->n", whitened, whitened) / 2
            columns.append(exponent - log_determinant + np.log(weight))
        return np.stack(columns, axis=1) - values.shape[1] * np.log(2 * np.pi) / 2


def fit(values: np.ndarray, num_components: int, seed: int = 0) -> tuple[Mixture, float]:
    """Returns a mixture that is fitted to points, and the shrinkage of their covariance.

    The covariance of each Gaussian is drawn towards that of all points, the more so the fewer it
    has (Fraley and Raftery, 2007: "Bayesian regularization for normal mixture estimation and
    model-based clustering"); that of all is as `shrunk_covariance` returns it.

    Args:
        values: float [points, z].
        num_components: how many Gaussians, at most: there are fewer where points are alike.
        seed: of the first centres.
    """
    values = np.asarray(values, np.float64)
    common, shrinkage = shrunk_covariance(values)
    if num_components == 1:
        mean = values.mean(axis=0)[None]
        return Mixture(np.ones(1), mean, root_of(common)[None]), shrinkage
    clusters = _cluster(values, num_components, np.random.default_rng(seed))
    mixture = _maximize(values, np.eye(clusters.max() + 1)[clusters], common)
    before = -np.inf
    for _ in range(MAX_ITERATIONS):
        joint = mixture.log_densities(values)
        most = joint.max(axis=1, keepdims=True)
        density = most + np.log(np.exp(joint - most).sum(axis=1, keepdims=True))
        if density.mean() - before < LEAST_GAIN:
            break
        before = density.mean()
        mixture = _maximize(values, np.exp(joint - density), common)
    return mixture, shrinkage


def shrunk_covariance(values: np.ndarray) -> tuple[np.ndarray, float]:
    """Returns the covariance of points, float [points, z], and how far their correlation is shrunk.

    The correlation is drawn towards the identity by as much as its own noise asks for (Ledoit and
    Wolf, 2004: "A well-conditioned estimator for large-dimensional covariance matrices"): of many
    points hardly, of few so far that it can be inverted. Not the covariance: a dimension in which
    points hardly differ would be given a part of the spread of the others.
    """
    num_rows, size = values.shape
    deviations = values.std(axis=0)
    scaled = (values - values.mean(axis=0)) / np.where(deviations > 0, deviations, 1)
    sample = scaled.T @ scaled / num_rows
    distance = np.sum(np.square(sample - np.eye(size)))
    # The mean squared error of the sample's correlation, by its spread over rows.
    fourth = np.sum(np.square(np.sum(np.square(scaled), axis=1)))
    error = (fourth / num_rows - np.sum(np.square(sample))) / num_rows
    shrinkage = float(np.clip(error / distance, 0.0, 1.0)) if distance > 0 else 0.0
    shrunk = (1 - shrinkage) * sample + shrinkage * np.eye(size)
    return deviations[:, None] * shrunk * deviations, shrinkage


def root_of(covariance: np.ndarray) -> np.ndarray:
    """Returns a covariance's Cholesky factor, [z, z]; raises `LinAlgError` where it has none."""
    return np.linalg.cholesky(covariance + JITTER * np.eye(len(covariance)))


def _maximize(values: np.ndarray, shares: np.ndarray, common: np.ndarray) -> Mixture:
    """Returns the Gaussians of points that are shared among them, float [points, components]."""
    least = max(1, LEAST_WEIGHT * len(values) / shares.shape[1])
    shares = shares[:, shares.sum(axis=0) > least]  # A Gaussian of hardly any points is none.
    added = COMMON_POINTS * values.shape[1]
    means, roots = [], []
    for column in shares.T:
        total, rows = column.sum(), column > LEAST_SHARE
        mean = column @ values / total
        centred = np.sqrt(column[rows])[:, None] * (values[rows] - mean)
        roots.append(root_of((centred.T @ centred + added * common) / (total + added)))
        means.append(mean)
    totals = shares.sum(axis=0)
    return Mixture(totals / totals.sum(), np.stack(means), np.stack(roots))


def _cluster(values: np.ndarray, num_clusters: int, rng: np.random.Generator) -> np.ndarray:
    """Returns the cluster of each point, int [points], by the best of some runs of k-means."""
    found, least = np.zeros(len(values), int), np.inf
    for _ in range(NUM_STARTS):
        centres = _start(values, num_clusters, rng)
        for _ in range(NUM_ROUNDS):
            nearest = _nearest(values, centres)
            groups = [values[nearest == number] for number in range(len(centres))]
            centres = np.stack([group.mean(axis=0) for group in groups if len(group)])
        nearest = _nearest(values, centres)
        spread = np.sum(np.square(values - centres[nearest]))
        if spread < least:
            found, least = nearest, spread
    return found


def _start(values: np.ndarray, num_centres: int, rng: np.random.Generator) -> np.ndarray:
    """Returns points that lie far from each other, [centres, z]: k-means++.

    A point is drawn as often as the square of its distance from those before it says (Arthur and
    Vassilvitskii, 2007: "k-means++: the advantages of careful seeding").
    """
    centres = values[[rng.integers(len(values))]]
    distances = np.full(len(values), np.inf)
    while len(centres) < num_centres:
        distances = np.minimum(distances, np.sum(np.square(values - centres[-1]), axis=1))
        if distances.sum() == 0:
            break
        drawn = rng.choice(len(values), p=distances / distances.sum())
        centres = np.concatenate([centres, values[[drawn]]])
    return centres


def _nearest(values: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Returns which centre is nearest to each point: int [points]."""
    distances = np.sum(np.square(centres), axis=1) - 2 * values @ centres.T  # Less the points' own.
    return np.argmin(distances, axis=1)
