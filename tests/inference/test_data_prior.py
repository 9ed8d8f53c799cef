"""Gaussians of the training windows: fitted, kept, drawn from, and told from N(0, I)."""

import dataclasses
import json

import numpy as np
import pytest
from inference_models import tiny_model

from magenta_vae.inference import data_prior, generation, graphs
from magenta_vae.inference.generation import _row_seeds

Z_SIZE = 6


@pytest.fixture
def posteriors():
    """Returns mu and sigma of windows that lie along a line, far from N(0, I)."""
    rng = np.random.default_rng(0)
    along = rng.normal(size=[4000, 1])
    mu = np.arange(Z_SIZE) + along * np.linspace(0.5, 2, Z_SIZE) + rng.normal(size=[4000, Z_SIZE])
    return mu.astype(np.float32), np.full([4000, Z_SIZE], 0.5, np.float32)


def points_of(prior, num_points=50):
    rng = np.random.default_rng(1)
    return prior.mixture.points(rng.normal(size=[num_points, prior.z_size]), rng.random(num_points))


def test_points_are_spread_as_the_means_are(posteriors):
    points = points_of(data_prior.fit(*posteriors), 50_000)
    np.testing.assert_allclose(points.mean(axis=0), posteriors[0].mean(axis=0), atol=0.05)
    np.testing.assert_allclose(np.cov(points.T), np.cov(posteriors[0].T), atol=0.15)


def test_points_of_a_smaller_spread_lie_nearer_to_the_means(posteriors):
    prior = data_prior.fit(*posteriors, num_gaussians=1)
    half = data_prior.with_spread(prior, 0.5)
    centre = prior.mixture.means
    np.testing.assert_allclose(
        points_of(half) - centre, (points_of(prior) - centre) / 2, rtol=0.01, atol=1e-4
    )
    assert half.kl_to_standard() == prior.kl_to_standard()  # Of the windows, which are the same.


@pytest.mark.parametrize(
    ("num_windows", "expected"), [(4000, 20), (47, 1), (48, 2), (130, 5), (2, 1)]
)
def test_few_windows_make_few_gaussians(posteriors, num_windows, expected):
    prior = data_prior.fit(*(each[:num_windows] for each in posteriors))
    assert len(prior.mixture.weights) == expected
    assert data_prior.describe(prior)["num_gaussians"] == expected
    assert prior.num_windows == num_windows
    assert len(data_prior.fit(*posteriors, num_gaussians=3).mixture.weights) == 3


def test_the_distance_from_the_standard_normal_is_that_of_the_drawn_z():
    rng = np.random.default_rng(0)
    mu = np.stack([rng.normal(size=100_000) * 0.6 + 1, np.zeros(100_000)], axis=-1)
    sigma = np.stack([np.full(100_000, 0.8), np.ones(100_000)], axis=-1)
    # N(1, 0.36 + 0.64) beside N(0, 1) is half a nat; what is not used adds nothing.
    assert data_prior.fit(mu, sigma).kl_to_standard() == pytest.approx(0.5, abs=0.02)


def test_a_collapsed_posterior_is_a_point():
    prior = data_prior.fit(np.zeros([10, 3]), np.ones([10, 3]))
    assert prior.kl_to_standard() == pytest.approx(0)
    assert np.abs(points_of(prior)).max() < 0.01
    with pytest.raises(ValueError, match="at least 2 windows. Received: 1"):
        data_prior.fit(np.zeros([1, 3]), np.ones([1, 3]))


def test_what_is_written_draws_the_same_points(posteriors, tmp_path):
    prior = data_prior.fit(*posteriors, step=7)
    data_prior.write(tmp_path / "prior.json", prior)
    read = data_prior.read(tmp_path / "prior.json", Z_SIZE)
    assert (read.step, read.num_windows) == (7, 4000)
    np.testing.assert_array_equal(points_of(read), points_of(prior))
    assert read.kl_to_standard() == prior.kl_to_standard()
    np.testing.assert_allclose(read.mixture.moments()[1], np.cov(posteriors[0].T), atol=0.1)


def test_a_file_of_one_covariance_draws_the_points_that_it_drew(tmp_path):
    """As version 0.1.0 wrote it, and drew from it: the same numbers to the last place."""
    rng = np.random.default_rng(0)
    root = np.tril(rng.normal(size=[Z_SIZE, Z_SIZE]))
    mean = rng.normal(size=Z_SIZE).astype(np.float32)
    covariance = (root @ root.T + np.eye(Z_SIZE)).astype(np.float32)
    content = {
        "mean": mean.tolist(),
        "covariance": covariance.tolist(),
        "noise": [0.5] * Z_SIZE,
        "shrinkage": 0.1,
        "num_windows": 100,
        "step": 3,
    }
    (tmp_path / "prior.json").write_text(json.dumps(content))
    prior = data_prior.read(tmp_path / "prior.json", Z_SIZE)
    standard = rng.normal(size=[20, Z_SIZE]).astype(np.float32)
    factor = np.linalg.cholesky(covariance.astype(np.float64) + 1e-6 * np.eye(Z_SIZE))
    expected = mean.astype(np.float64) + standard.astype(np.float64) @ factor.T
    found = prior.mixture.points(standard, rng.random(20))
    np.testing.assert_array_equal(found, expected.astype(np.float32))
    data_prior.write(tmp_path / "again.json", prior)
    again = data_prior.read(tmp_path / "again.json", Z_SIZE)
    np.testing.assert_allclose(points_of(again), points_of(prior), atol=0.01)
    for change, message in (
        ({"covariance": (-np.eye(Z_SIZE)).tolist()}, "holds no covariance"),
        ({"mean": None}, r"mean must be \[6\] finite numbers"),
        ({"mean": [[1], [2, 3]]}, "mean is no array"),
    ):
        (tmp_path / "prior.json").write_text(json.dumps({**content, **change}))
        with pytest.raises(ValueError, match=f"prior.json.*{message}"):
            data_prior.read(tmp_path / "prior.json", Z_SIZE)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": [0.5, 0.4]}, "weights must be above 0 and sum to 1"),
        ({"weights": [-1, 2]}, "weights must be above 0 and sum to 1"),
        ({"weights": []}, "weights must be above 0 and sum to 1"),
        ({"weights": None}, "weights must be list. Received: null"),
        ({"means": None}, r"means must be \[2, 6\] finite numbers"),
        ({"means": [[float("nan")] * 6] * 2}, r"means must be \[2, 6\] finite numbers"),
        ({"roots": "no base64!"}, "roots is no float16 in base64"),
        ({"roots": "AAA="}, "roots must be 42 finite numbers. Received: 1"),
        ({"roots": "AAAA"}, "roots is no float16 in base64"),
        ({"roots": "AHwA" * 28}, "roots must be 42 finite numbers"),
        ({"roots": "A" * 112}, "a Cholesky factor has a diagonal that is not above 0"),
        ({"noise": [-1] * 6}, "variances are below 0"),
        ({"step": "last"}, "step must be int"),
    ],
)
def test_damaged_files_are_refused_by_name(posteriors, tmp_path, change, message):
    path = tmp_path / "prior.json"
    data_prior.write(path, data_prior.fit(*posteriors, num_gaussians=2))
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ValueError, match=f"prior.json.*{message}"):
        data_prior.read(path, Z_SIZE)


def test_a_mixture_of_another_size_is_refused(posteriors, tmp_path):
    data_prior.write(tmp_path / "prior.json", data_prior.fit(*posteriors))
    with pytest.raises(ValueError, match=r"of another model: noise must be \[8\]"):
        data_prior.read(tmp_path / "prior.json", 8)


def test_what_float16_does_not_hold_is_refused():
    mu = np.array([[-1e6], [1e6]])
    with pytest.raises(ValueError, match="spread over 1e.06, which float16 does not hold"):
        data_prior.fit(mu, np.ones([2, 1]))


def test_what_lies_far_is_said_and_what_lies_near_is_not(posteriors):
    far, near = (data_prior.fit(scale * posteriors[0], posteriors[1]) for scale in (9, 0.1))
    assert "--prior=data" in data_prior.advice(far)
    assert data_prior.advice(near) is None
    assert "--prior=data" in data_prior.format_description(data_prior.describe(far))
    assert "--prior=data" not in data_prior.format_description(data_prior.describe(near))


def test_a_model_samples_from_either():
    network, settings = tiny_model("mel_2bar")
    asked = []

    def find():
        asked.append(1)
        mu = np.repeat([[-3.0], [3.0]], 400, axis=0) + np.eye(network.z_size)[np.arange(800) % 8]
        return data_prior.fit(mu, np.ones_like(mu), num_gaussians=2)

    trained = generation.TrainedModel(network, settings.window_format, find_data_prior=find)
    standard = trained.sample_z(5, seed=3)
    assert not asked  # It may have to be fitted, which takes time.
    near = trained.sample_z(5, seed=3, prior="data")
    uniform = graphs.component_rows(_row_seeds(3, 5)).numpy()
    mixture = find().mixture
    assert set(mixture.choose(uniform)) == {0, 1}
    np.testing.assert_array_equal(near, mixture.points(standard, uniform))
    np.testing.assert_array_equal(near[:2], trained.sample_z(2, seed=3, prior="data"))
    music = trained.sample(2, 1.0, seed=3, prior="data")
    assert music == trained.decode(near[:2], 1.0, seed=3)
    assert music != trained.sample(2, 1.0, seed=3)
    assert len(asked) == 2  # Once by the model, once above.


@pytest.mark.parametrize("num_gaussians", [1, 3])
def test_points_of_a_graph_are_those_of_the_mixture(posteriors, num_gaussians):
    mixture = data_prior.fit(*posteriors, num_gaussians=num_gaussians).mixture
    rng = np.random.default_rng(1)
    standard = rng.normal(size=[40, Z_SIZE]).astype(np.float32)
    uniform = rng.random(40).astype(np.float32)
    found = graphs.mixture_rows(mixture, standard, uniform)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, mixture.points(standard, uniform), atol=1e-6)


def test_what_a_model_has_not_and_what_is_none_are_refused():
    network, settings = tiny_model("mel_2bar")
    trained = generation.TrainedModel(network, settings.window_format)
    with pytest.raises(ValueError, match="prior=data needs Gaussians of training windows"):
        trained.sample(1, prior="data")
    with pytest.raises(ValueError, match="one of: standard, data. Received: 'posterior'"):
        trained.sample(1, prior="posterior")


def test_it_is_a_value():
    prior = data_prior.fit(np.eye(3), np.ones([3, 3]))
    assert dataclasses.replace(prior, step=2).step == 2 and prior.z_size == 3
