"""A Gaussian of the training windows: fitted, kept, drawn from, and told from N(0, I)."""

import dataclasses
import json

import numpy as np
import pytest
from inference_models import tiny_model

from magenta_vae.inference import data_prior, generation

Z_SIZE = 6


@pytest.fixture
def posteriors():
    """Returns mu and sigma of windows that lie along a line, far from N(0, I)."""
    rng = np.random.default_rng(0)
    along = rng.normal(size=[4000, 1])
    mu = np.arange(Z_SIZE) + along * np.linspace(0.5, 2, Z_SIZE) + rng.normal(size=[4000, Z_SIZE])
    return mu.astype(np.float32), np.full([4000, Z_SIZE], 0.5, np.float32)


def test_points_are_spread_as_the_means_are(posteriors):
    prior = data_prior.fit(*posteriors)
    points = prior.points(np.random.default_rng(1).normal(size=[50_000, Z_SIZE]))
    assert points.dtype == np.float32
    np.testing.assert_allclose(points.mean(axis=0), posteriors[0].mean(axis=0), atol=0.05)
    np.testing.assert_allclose(np.cov(points.T), np.cov(posteriors[0].T), atol=0.1)


def test_a_point_does_not_depend_on_how_many_there_are(posteriors):
    prior = data_prior.fit(*posteriors)
    standard = np.random.default_rng(1).normal(size=[100, Z_SIZE]).astype(np.float32)
    alone = [prior.points(row[None])[0] for row in standard]
    np.testing.assert_array_equal(alone, prior.points(standard))


def test_the_distance_from_the_standard_normal_is_that_of_the_drawn_z():
    rng = np.random.default_rng(0)
    mu = np.stack([rng.normal(size=100_000) * 0.6 + 1, np.zeros(100_000)], axis=-1)
    sigma = np.stack([np.full(100_000, 0.8), np.ones(100_000)], axis=-1)
    # N(1, 0.36 + 0.64) beside N(0, 1) is half a nat; what is not used adds nothing.
    assert data_prior.fit(mu, sigma).kl_to_standard() == pytest.approx(0.5, abs=0.02)


def test_the_covariance_is_shrunk_where_there_are_few_rows():
    values = np.random.default_rng(0).normal(size=[8, 20]) * np.linspace(0.1, 3, 20)
    covariance, shrinkage = data_prior.shrunk_covariance(values)
    # The formula of Ledoit and Wolf as they print it, row by row.
    centred = values - values.mean(axis=0)
    sample = centred.T @ centred / 8
    target = np.trace(sample) / 20 * np.eye(20)
    spread = sum(np.sum((np.outer(row, row) - sample) ** 2) for row in centred) / 8**2
    assert shrinkage == pytest.approx(spread / np.sum((sample - target) ** 2))
    assert 0.1 < shrinkage < 1
    np.testing.assert_allclose(covariance, (1 - shrinkage) * sample + shrinkage * target)
    assert np.linalg.matrix_rank(sample) == 7 and np.linalg.cond(covariance) < 1000
    many = np.random.default_rng(0).normal(size=[8000, 20]) * np.linspace(0.1, 3, 20)
    assert data_prior.shrunk_covariance(many)[1] < 0.01


def test_a_collapsed_posterior_is_a_point():
    prior = data_prior.fit(np.zeros([10, 3]), np.ones([10, 3]))
    assert prior.kl_to_standard() == pytest.approx(0)
    assert np.abs(prior.points(np.ones([5, 3]))).max() < 0.01
    with pytest.raises(ValueError, match="at least 2 windows. Received: 1"):
        data_prior.fit(np.zeros([1, 3]), np.ones([1, 3]))


def test_what_is_written_is_read(posteriors, tmp_path):
    prior = data_prior.fit(*posteriors, step=7)
    data_prior.write(tmp_path / "prior.json", prior)
    read = data_prior.read(tmp_path / "prior.json", Z_SIZE)
    assert (read.step, read.num_windows) == (7, 4000)
    standard = np.eye(Z_SIZE)
    np.testing.assert_allclose(read.points(standard), prior.points(standard), atol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mean": None}, r"mean must be \[6\] finite numbers"),
        ({"mean": [[1], [2, 3]]}, "mean is no array"),
        ({"mean": [float("nan")] * 6}, r"mean must be \[6\] finite numbers"),
        ({"covariance": (-np.eye(6)).tolist()}, "holds no covariance"),
        ({"noise": [-1] * 6}, "variances are below 0"),
        ({"step": "last"}, "step must be int"),
    ],
)
def test_damaged_files_are_refused_by_name(posteriors, tmp_path, change, message):
    path = tmp_path / "prior.json"
    data_prior.write(path, data_prior.fit(*posteriors))
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ValueError, match=f"prior.json.*{message}"):
        data_prior.read(path, Z_SIZE)


def test_a_gaussian_of_another_size_is_refused(posteriors, tmp_path):
    data_prior.write(tmp_path / "prior.json", data_prior.fit(*posteriors))
    with pytest.raises(ValueError, match=r"of another model: mean must be \[8\]"):
        data_prior.read(tmp_path / "prior.json", 8)


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
        return data_prior.fit(3 + np.eye(network.z_size), np.ones([network.z_size] * 2))

    trained = generation.TrainedModel(network, settings.window_format, find_data_prior=find)
    standard = trained.sample_z(5, seed=3)
    assert not asked  # It may have to be fitted, which takes time.
    near = trained.sample_z(5, seed=3, prior="data")
    np.testing.assert_array_equal(near, find().points(standard))
    np.testing.assert_array_equal(near[:2], trained.sample_z(2, seed=3, prior="data"))
    music = trained.sample(2, 1.0, seed=3, prior="data")
    assert music == trained.decode(near[:2], 1.0, seed=3)
    assert music != trained.sample(2, 1.0, seed=3)
    assert len(asked) == 2  # Once by the model, once above.


def test_what_a_model_has_not_and_what_is_none_are_refused():
    network, settings = tiny_model("mel_2bar")
    trained = generation.TrainedModel(network, settings.window_format)
    with pytest.raises(ValueError, match="prior=data needs a Gaussian of training windows"):
        trained.sample(1, prior="data")
    with pytest.raises(ValueError, match="one of: standard, data. Received: 'posterior'"):
        trained.sample(1, prior="posterior")


def test_it_is_a_value():
    prior = data_prior.fit(np.eye(3), np.ones([3, 3]))
    assert dataclasses.replace(prior, step=2).step == 2 and prior.z_size == 3
