"""The whole hierarchical model: its gradients, its draws, its checkpoint, and that it learns."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from musical import MELODY, TRIO

from magenta_vae.model import decoders, schedules
from magenta_vae.model.encoders import BidirectionalLSTM
from magenta_vae.model.music_vae import MusicVAE
from magenta_vae.model.noise import BatchNoise
from magenta_vae.music import synthetic, tokens, windows
from magenta_vae.music.note_sequences import note_sequence_to_song
from magenta_vae.music.window_format import WindowFormat

SEED = tf.constant([3, 4], tf.int64)
STEP = tf.constant(7, tf.int64)
NAMES = {1: ("melody",), 3: ("lead", "bass", "drums")}
SIZES = [(7,), (130, 130, 512)]
BATCH, STEPS = 4, 6


def make_vae(
    num_classes, sampling, steps=STEPS, segments=3, units=3, width=4, layers=2, free_bits=0, seed=1
):
    keras.utils.set_random_seed(seed)
    conductor = decoders.Conductor(width, segments, width, width, layers)
    decoder = decoders.HierarchicalDecoder(num_classes, steps, conductor, units, layers)
    encoder = BidirectionalLSTM(num_classes, width, width)
    beta = schedules.Constant(0.01)
    return MusicVAE(encoder, decoder, NAMES[len(num_classes)], free_bits, beta, sampling)


def make_tokens(num_classes):
    rng = np.random.default_rng(0)
    columns = [rng.integers(classes, size=(BATCH, STEPS)) for classes in num_classes]
    return tf.constant(np.stack(columns, axis=-1), tf.int32)


@pytest.mark.parametrize(
    ("num_classes", "sampling"),
    [
        pytest.param(SIZES[0], None, id="forced melody"),
        pytest.param(SIZES[0], schedules.Constant(0.5), id="scheduled melody"),
        pytest.param(
            SIZES[1], schedules.Constant(0.5), id="scheduled trio", marks=pytest.mark.slow
        ),
    ],
)
def test_every_variable_gets_a_gradient(num_classes, sampling):
    vae = make_vae(num_classes, sampling)
    music = make_tokens(num_classes)

    @tf.function
    def differentiate():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(vae.training_terms(music, STEP, SEED)["loss"])
        return tape.gradient(loss, [variable.value for variable in vae.trainable_variables])

    for variable, gradient in zip(vae.trainable_variables, differentiate(), strict=True):
        assert gradient is not None, variable.path
        assert np.abs(gradient).max() > 1e-7, variable.path


@pytest.mark.parametrize("num_classes", SIZES, ids=str)
def test_rows_of_a_batch_are_trained_as_in_the_whole_batch(num_classes):
    vae, music = make_vae(num_classes, schedules.Constant(0.5)), make_tokens(num_classes)
    whole = vae.training_terms(music, STEP, SEED)
    first = vae.training_terms(music[:1], STEP, SEED, BATCH, 0)
    rest = vae.training_terms(music[1:], STEP, SEED, BATCH, tf.constant(1))
    for name in ("loss", "kl", "reconstruction"):
        parts = np.concatenate([first[name], rest[name]])
        np.testing.assert_allclose(parts, whole[name], rtol=1e-5, atol=1e-7)


def test_checkpoint_round_trip_restores_every_weight(tmp_path):
    vae, other = (make_vae(SIZES[1], None, seed=seed) for seed in (1, 2))
    rng = np.random.default_rng(0)
    for variable in vae.variables:  # So that no two are equal from the start, as biases are.
        variable.assign(rng.normal(size=variable.shape))
    path = tf.train.Checkpoint(model=vae).save(str(tmp_path / "step"))
    tf.train.Checkpoint(model=other).restore(path).assert_consumed()
    assert len({variable.path for variable in vae.variables}) == len(vae.variables)
    for variable, original in zip(other.variables, vae.variables, strict=True):
        np.testing.assert_array_equal(variable, original, err_msg=variable.path)
    z = tf.ones([2, vae.z_size])
    choose = vae.sampler(1.0, BatchNoise(SEED, 2))
    np.testing.assert_array_equal(other.sample(z, choose), vae.sample(z, choose))


def first_windows(tracks, num_bars):
    """Returns a window of each of four synthetic songs: int32 [4, steps, tracks]."""
    found = []
    for seed in range(4):
        song = note_sequence_to_song(synthetic.synthesize_song(seed, 32))
        found.append(next(windows.song_windows(song, WindowFormat(tracks, num_bars))).tokens[0])
    return tf.constant(np.stack(found))


@pytest.mark.parametrize(
    ("tracks", "num_bars", "segments", "num_steps"),
    [
        pytest.param(MELODY, 4, 4, 200, id="4 bars"),
        pytest.param(TRIO, 4, 4, 250, id="4-bar trios", marks=pytest.mark.slow),
        pytest.param(MELODY, 32, 16, 700, id="32 bars", marks=pytest.mark.slow),
        pytest.param(TRIO, 16, 16, 700, id="16-bar trios", marks=pytest.mark.slow),
    ],
)
def test_it_learns_four_windows_by_heart(tracks, num_bars, segments, num_steps):
    music = first_windows(tracks, num_bars)
    vae = make_vae(
        tokens.num_classes(tracks),
        schedules.InverseSigmoid(200),
        *(music.shape[1], segments, 128, 48),
        layers=1,
        free_bits=1000,
    )
    rate = schedules.ExponentialDecay(1.2e-2, 1e-3, 0.995)
    optimizer = keras.optimizers.Adam(rate, global_clipnorm=1.0)
    optimizer.build(vae.trainable_variables)

    @tf.function
    def train():
        for step in tf.range(num_steps, dtype=tf.int64):
            with tf.GradientTape() as tape:
                metrics = vae.training_terms(
                    music, step, tf.stack([tf.constant(1, tf.int64), step])
                )
                loss = tf.reduce_mean(metrics["loss"])
            optimizer.apply(tape.gradient(loss, vae.trainable_variables))

    train()
    mu, _ = vae.encode(music)
    greedy = tf.function(vae.sample)(mu)
    np.testing.assert_array_equal(np.mean(greedy == music, axis=(0, 1)), np.ones(len(tracks)))
