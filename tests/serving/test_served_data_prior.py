"""A served model samples from where its training windows lie, as the model does."""

import numpy as np
import pytest
from inference_models import tiny_model

from magenta_vae.inference import data_prior, generation
from magenta_vae.serving import export
from magenta_vae.serving.client import Client
from magenta_vae.serving.signatures import FROM_DATA, INPUTS
from magenta_vae.serving.stand_in import serving

NAME = "mel_2bar"


@pytest.fixture(scope="module")
def trained():
    network, settings = tiny_model(NAME)
    rng = np.random.default_rng(0)
    places = np.array([[-2.0], [0.0], [2.0]])[rng.integers(0, 3, 50 * network.z_size)]
    mu = places + 0.1 * rng.normal(size=[len(places), network.z_size])
    prior = data_prior.fit(mu, np.full_like(mu, 0.5), num_gaussians=3)
    return generation.TrainedModel(network, settings.window_format, find_data_prior=lambda: prior)


@pytest.fixture(scope="module")
def addresses(trained, tmp_path_factory):
    model_dir = str(tmp_path_factory.mktemp("served") / NAME)
    prior = trained._find_data_prior()
    export.write(trained._model, trained.window_format, model_dir, prior=prior)
    with serving(model_dir, NAME) as (rest_address, grpc_address):
        yield grpc_address, rest_address


@pytest.mark.parametrize("kind", [0, 1], ids=["grpc", "rest"])
def test_a_client_samples_as_the_model_does(kind, addresses, trained):
    with Client(addresses[kind], NAME) as client:
        assert client.description["signatures"].keys() == {**INPUTS, **FROM_DATA}.keys()
        for prior in data_prior.PRIORS:
            z = client.sample_z(8, seed=5, prior=prior)
            np.testing.assert_allclose(z, trained.sample_z(8, 5, prior), atol=1e-5)
            if prior == data_prior.DATA:
                assert {-2, 2} <= set(np.round(z.mean(axis=1)))  # Of several Gaussians.
            music = client.sample(3, 0.8, seed=5, prior=prior)
            assert music == trained.sample(3, 0.8, seed=5, prior=prior)


def test_a_model_that_was_exported_without_it_says_so(export_of):
    exported = export_of(NAME)
    with serving(exported.model_dir, NAME) as (address, _), Client(address, NAME) as client:
        with pytest.raises(ValueError, match="needs the signature sample_from_data"):
            client.sample(1, prior="data")
        assert len(client.sample(1)) == 1
