"""Runs of version 0.1.0 open, sample the tokens that they sampled, and go on as they would have."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import magenta_vae
from magenta_vae import configuration
from magenta_vae.workflows import training

FIXTURES = Path(__file__).parent / "fixtures" / "runs_of_0.1.0"
SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"


@pytest.fixture(params=["mel_2bar", "hierdec_mel_32bar"])
def old(request, tmp_path):
    """A copy of a run and its data, and what 0.1.0 made of it."""
    shutil.copytree(FIXTURES / request.param, tmp_path / "old")
    return tmp_path / "old", np.load(tmp_path / "old" / "expected.npz")


def test_it_samples_the_same_tokens(old):
    folder, expected = old
    model = magenta_vae.load(str(folder / "run"))
    tokens = model.decode_tokens(model.sample_z(4, seed=3), temperature=1.0, seed=3)
    np.testing.assert_array_equal(tokens, expected["tokens"])
    assert len(np.unique(tokens)) > 20


def test_it_goes_on_to_the_weights_that_it_would_have_had(old):
    folder, expected = old
    run_dir = str(folder / "run")
    configured = configuration.parse([f"{run_dir}/config.gin"])
    training.train(configured, run_dir=run_dir, data_dir=str(folder / "data"))
    reader = tf.train.load_checkpoint(str(folder / "run" / "checkpoints" / "step-6"))
    after = {key.removeprefix("after/"): key for key in expected.files if key != "tokens"}
    found = {
        key.removesuffix(SUFFIX): reader.get_tensor(key)
        for key in reader.get_variable_to_shape_map()
        if key.endswith(SUFFIX)
    }
    assert set(found) == set(after)
    for name, key in after.items():
        # Another processor may sum in another order.
        np.testing.assert_allclose(found[name], expected[key], rtol=1e-4, atol=1e-7, err_msg=name)
