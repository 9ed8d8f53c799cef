"""The upper levels of a hierarchical VAE learn beside a flat VAE of its segments."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from magenta_vae import configuration
from magenta_vae.model.noise import BatchNoise
from magenta_vae.model.upper_levels import UpperLevelsVAE
from magenta_vae.training import checkpoints, weights

LONG = ["hierdec_mel_32bar.gin", "scale/tiny.gin", "variants/hierarchical_encoder.gin"]
PARAMS = [
    *("num_bars = 8", "num_segments = 4", "encoder_units = (16, 12)"),
    "decoders.HierarchicalDecoder.num_units = 16",
]
SEED, STEP = tf.constant([0, 1], tf.int64), tf.constant(0, tf.int64)


def make(files, params=()):
    return configuration.parse(files, [*params]).experiment.make_model()


def save(model, folder):
    """Returns the path of a checkpoint of a model."""
    checkpoints.BestCheckpoint(str(folder), model).offer(1, loss=1.0)
    return weights.find_checkpoint(str(folder), "best")[0]


@pytest.fixture
def flat():
    return make(["mel_2bar.gin", "scale/tiny.gin"])


@pytest.fixture
def upper(flat, tmp_path):
    model = make([*LONG, "variants/upper_levels.gin"], PARAMS)
    weights.initialize(model, save(flat, tmp_path / "flat"), partial=True)
    return model


@pytest.fixture
def tokens():
    return tf.constant(np.random.default_rng(0).integers(130, size=(3, 128, 1)), tf.int32)


@pytest.mark.parametrize("num_segments", [4, 1], ids=["window", "piece"])
def test_the_loss_is_the_distance_to_the_posteriors_of_the_flat_model(
    num_segments, flat, upper, tokens
):
    tokens = tokens[:, : 32 * num_segments]
    terms = upper.training_terms(tokens, STEP, SEED)
    means, deviations = flat.encode(tf.reshape(tokens, [3 * num_segments, 32, 1]))
    mu, sigma = upper.encode(tokens)
    embeddings = upper.decoder.conductor(upper.draw_z(mu, sigma, BatchNoise(SEED, 3)))
    embeddings = np.reshape(embeddings[:, :num_segments], [3 * num_segments, 8])
    errors = (embeddings - means) / deviations
    expected = np.square(errors).reshape(3, -1).sum(axis=1) / 2
    np.testing.assert_allclose(terms["reconstruction"], expected, rtol=1e-4)
    ratio = np.square(sigma)
    kl = (ratio + np.square(mu) - 1 - np.log(ratio)).sum(axis=1) / 2
    np.testing.assert_allclose(terms["kl"], kl, rtol=1e-4)
    cost = np.maximum(kl - 256 * np.log(2), 0)  # A beta of 1.
    np.testing.assert_allclose(terms["loss"], expected + cost, rtol=1e-4)


def test_the_upper_levels_learn_and_the_lower_ones_stay(upper, tokens):
    before = {variable.path: variable.numpy() for variable in upper.variables}
    upper.compile(keras.optimizers.Adam(3e-2))
    data = tf.data.Dataset.from_tensors(tokens).repeat(10)
    history = upper.fit(data, epochs=2, verbose=0).history
    assert set(history) == {"loss", "reconstruction", "kl"}
    assert history["loss"][1] < history["loss"][0]
    moved = {
        variable.path
        for variable in upper.variables
        if np.abs(variable.numpy() - before[variable.path]).max() > 0
    }
    heads = {f"encoder/{head}/{part}" for head in ("mu", "sigma") for part in ("kernel", "bias")}
    assert moved >= heads
    assert all(path.startswith(("conductor/", "encoder/level_1_")) for path in moved - heads)
    assert len(moved) == len(upper.trainable_variables)


def test_a_model_goes_on_from_the_upper_levels(upper, tokens, tmp_path):
    long = make(LONG, PARAMS)
    path = save(upper, tmp_path / "upper")
    with pytest.raises(ValueError, match="segment_posterior/kernel is only in the checkpoint"):
        weights.initialize(long, path)
    weights.initialize(long, path, partial=True)
    for found, expected in zip(long.encode(tokens), upper.encode(tokens), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-6)
    mu, _ = long.encode(tokens)
    np.testing.assert_array_equal(long.sample(mu), upper.sample(mu))


def test_saved_and_loaded(upper, tokens, tmp_path):
    upper.save(tmp_path / "upper.keras")
    again = keras.models.load_model(tmp_path / "upper.keras")
    assert type(again) is UpperLevelsVAE and again.get_config() == upper.get_config()
    assert len(again.trainable_variables) == len(upper.trainable_variables)
    for name, value in upper.training_terms(tokens, STEP, SEED).items():
        np.testing.assert_allclose(again.training_terms(tokens, STEP, SEED)[name], value, rtol=1e-5)


def test_models_without_two_levels_are_refused(flat):
    with pytest.raises(
        TypeError, match=r"needs an encoder with two levels.*has no encode_segments"
    ):
        UpperLevelsVAE(flat.encoder, flat.decoder, ["melody"], 0, lambda step: 1.0)
    long = make(LONG, PARAMS)
    with pytest.raises(TypeError, match="needs a decoder with two levels.*has no conductor"):
        UpperLevelsVAE(long.encoder, flat.decoder, ["melody"], 0, lambda step: 1.0)


def test_weights_that_never_learn_must_be_given(flat, tmp_path):
    path = save(flat, tmp_path / "flat")
    for embedding_size, lacking in ((8, ""), (6, "segment_posterior/kernel")):
        binding = f"decoders.Conductor.embedding_size = {embedding_size}"
        model = make([*LONG, "variants/upper_levels.gin"], [*PARAMS, binding])
        with pytest.raises(ValueError, match=r"--init_from=FLAT .* there is no --init_from"):
            weights.require_fixed_weights(model, None)
        if not lacking:
            weights.initialize(model, path, partial=True)
            continue
        before = [variable.numpy() for variable in model.variables]
        with pytest.raises(ValueError, match=rf"{lacking}.*has no such weights"):
            weights.initialize(model, path, partial=True)
        for variable, value in zip(model.variables, before, strict=True):
            np.testing.assert_array_equal(variable, value)  # None is taken.
