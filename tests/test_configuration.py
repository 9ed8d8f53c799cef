"""The gin files: the paper's numbers, the models they build, and what is refused."""

import os
import time

import gin
import numpy as np
import pytest
import tensorflow as tf

from magenta_vae import configuration, runs
from magenta_vae.data import builder, input_pipeline
from magenta_vae.music import tokens
from magenta_vae.training import checkpoints

MODELS = ["mel_2bar.gin", "drums_2bar.gin"]
TINY = "scale/tiny.gin"


@pytest.fixture(autouse=True)
def forget_configuration():
    yield
    gin.clear_config()


@pytest.fixture(scope="session")
def data_dirs(tmp_path_factory):
    """Data sets of twelve of the bundled songs, by configuration."""
    files = builder.find_files([str(configuration.bundled("testdata"))])[:12]
    folders = {}
    for name in MODELS:
        configuration.parse([name])
        folders[name] = str(tmp_path_factory.mktemp("data") / name)
        runs.build_dataset(files, folders[name], num_workers=1)
    return folders


def query(name):
    return gin.query_parameter(name)


@pytest.mark.parametrize("name", MODELS)
def test_the_papers_numbers(name):
    configuration.parse([name])
    # Training Details
    assert query("%batch_size") == 512
    assert query("configuration.Experiment.max_steps") == 100_000
    assert query("music_vae.MusicVAE.free_bits") == 48
    assert query("schedules.InverseSigmoid.rate") == 1000
    parts = configuration.experiment()
    optimizer = parts.make_optimizer()
    assert float(optimizer._learning_rate(0)) == pytest.approx(1e-3)
    # 1e-5 + (1e-3 - 1e-5) * 0.9999^10000 = 1e-5 + 9.9e-4 * 0.367861
    assert float(optimizer._learning_rate(10_000)) == pytest.approx(3.741824e-4, rel=1e-5)
    # Architecture Details
    assert query("%z_size") == 256
    assert query("encoders.BidirectionalLSTM.num_units") == 2048
    assert query("decoders.FlatDecoder.num_layers") == 3
    assert query("decoders.FlatDecoder.num_units") == 2048
    # Dataset
    assert parts.settings.num_steps == 32
    assert parts.settings.max_rest_steps == 16


def test_beta_is_annealed_as_in_the_paper():
    configuration.parse(["mel_2bar.gin"])
    with tf.Graph().as_default():
        beta = configuration.experiment().make_model()._beta
    # 0.2 * (1 - 0.99999^100000) = 0.2 * (1 - 0.367878)
    assert float(beta(100_000)) == pytest.approx(0.1264245, rel=1e-5)
    assert float(beta(0)) == 0.0


def test_only_melodies_are_transposed():
    configuration.parse(["mel_2bar.gin"])
    assert isinstance(configuration.experiment().augment, input_pipeline.Transposition)
    assert query("input_pipeline.Transposition.min_shift") == -5
    assert query("input_pipeline.Transposition.max_shift") == 6
    configuration.parse(["drums_2bar.gin"])
    assert configuration.experiment().augment is None


@pytest.mark.parametrize(("name", "classes"), [("mel_2bar.gin", 130), ("drums_2bar.gin", 512)])
def test_parameter_counts_derived_from_the_papers_text(name, classes):
    def lstm(inputs, units):  # four gates of inputs, own output and bias
        return 4 * units * (inputs + units + 1)

    # "a single-layer bidirectional LSTM, with 2048 units per cell", "to produce 512 outputs"
    encoder = 2 * lstm(classes, 2048) + (2 * 2048 + 1) * 512
    # "z is passed through a linear layer to initialize the state of a 3-layer LSTM" of 2048 units;
    # a state is a hidden and a cell vector; "z is concatenated with the previous output"
    decoder = (256 + 1) * 3 * 2 * 2048 + lstm(classes + 256, 2048) + 2 * lstm(2048, 2048)
    # "a linear layer and softmax" over the classes
    decoder += (2048 + 1) * classes
    start = time.monotonic()
    configuration.parse([name])
    with tf.Graph().as_default():  # Variables of a graph are not allocated.
        model = configuration.experiment().make_model()
        count = sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)
    assert count == encoder + decoder
    assert time.monotonic() - start < 30


@pytest.mark.parametrize("name", MODELS)
def test_every_model_trains_evaluates_and_samples_at_tiny_scale(name, data_dirs, tmp_path):
    run_dir = str(tmp_path / "run")
    lines = []
    configuration.parse([name, TINY])
    figures = runs.train(run_dir, data_dirs[name], max_steps=2, report=lines.append)
    assert figures["step"] == 2
    assert "windows to train" in lines[0]
    (track,) = figures["tracks"]
    assert track == {"mel_2bar.gin": "melody", "drums_2bar.gin": "drums"}[name]
    assert runs.evaluate(run_dir, None, "eval")["tracks"] == figures["tracks"]
    paths = runs.sample(run_dir, str(tmp_path / "samples"), 3, 0.5, seed=1)
    assert [os.path.getsize(path) > 0 for path in paths] == [True] * 3


def test_the_same_seed_samples_the_same_files_whatever_their_number(data_dirs, tmp_path):
    run_dir = str(tmp_path / "run")
    configuration.parse(["mel_2bar.gin", TINY])
    runs.train(run_dir, data_dirs["mel_2bar.gin"], max_steps=2)

    def sample(folder, number, seed):
        paths = runs.sample(run_dir, str(tmp_path / folder), number, 1.0, seed)
        return [open(path, "rb").read() for path in paths]

    assert sample("a", 3, seed=5) == sample("b", 70, seed=5)[:3]
    assert sample("a", 3, seed=5) != sample("c", 3, seed=6)


def test_a_resumed_run_ends_with_the_same_bits(data_dirs, tmp_path):
    def weights(run_dir, *stops):
        for stop in stops:
            configuration.parse(["mel_2bar.gin", TINY])
            runs.train(str(run_dir), data_dirs["mel_2bar.gin"], max_steps=stop)
        model, step = runs.restore_model(str(run_dir))
        assert step == stops[-1]
        return model.get_weights()

    whole = weights(tmp_path / "whole", 6)
    parts = weights(tmp_path / "parts", 2, 6)
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_run_of_another_configuration_is_refused_with_the_difference(data_dirs, tmp_path):
    run_dir = str(tmp_path / "run")
    data_dir = data_dirs["mel_2bar.gin"]
    configuration.parse(["mel_2bar.gin", TINY])
    runs.train(run_dir, data_dir, max_steps=2)
    configuration.parse(["mel_2bar.gin", TINY], ["music_vae.MusicVAE.free_bits = 7"])
    with pytest.raises(ValueError, match=r"free_bits = 48\n\+music_vae.MusicVAE.free_bits = 7"):
        runs.train(run_dir, data_dir, max_steps=2)
    configuration.parse(["mel_2bar.gin", TINY])
    runs.train(run_dir, data_dir, max_steps=2)


def test_a_data_set_of_another_kind_is_refused(data_dirs, tmp_path):
    configuration.parse(["drums_2bar.gin", TINY])
    with pytest.raises(ValueError, match="this configuration expects tracks"):
        runs.train(str(tmp_path / "run"), data_dirs["mel_2bar.gin"])
    assert not (tmp_path / "run").exists()


def test_a_checkpoint_of_another_model_is_refused(data_dirs, tmp_path):
    run_dir = tmp_path / "run"
    configuration.parse(["mel_2bar.gin", TINY])
    runs.train(str(run_dir), data_dirs["mel_2bar.gin"], max_steps=2)
    configuration.parse(["mel_2bar.gin", TINY], ["z_size = 9"])
    with pytest.raises(ValueError, match="does not fit"):
        checkpoints.load_weights(str(run_dir), configuration.experiment().make_model())


def test_the_saved_configuration_reads_back_as_itself():
    configuration.parse(["mel_2bar.gin", "scale/small.gin"], ["z_size = 33"])
    text = configuration.config_text()
    gin.clear_config()
    gin.parse_config(text)
    assert configuration.config_text() == text
    assert "z_size = 33" in text


def test_later_files_win():
    configuration.parse(["mel_2bar.gin", "scale/small.gin"])
    assert query("encoders.BidirectionalLSTM.num_units") == 256


@pytest.mark.parametrize("binding", ["MusicVEA.free_bits = 3", "music_vae.MusicVAE.freebits = 3"])
def test_a_binding_that_does_not_exist_is_named(binding):
    with pytest.raises(ValueError, match="MusicVEA|freebits"):
        configuration.parse(["mel_2bar.gin"], [binding])


def test_an_unknown_file_is_answered_with_the_known_ones():
    with pytest.raises(FileNotFoundError, match="--gin_file=nope.gin .* mel_2bar.gin"):
        configuration.parse(["nope.gin"])


def test_an_incomplete_configuration_is_named():
    configuration.parse([])
    with pytest.raises(ValueError, match="incomplete.*settings"):
        configuration.experiment()


def test_without_data_the_message_holds_the_commands(tmp_path):
    configuration.parse(["mel_2bar.gin"])
    with pytest.raises(ValueError, match="scripts/build_dataset --input=MIDI_FOLDER") as caught:
        runs.find_data(None, str(tmp_path), ["mel_2bar.gin"], print)
    assert "scripts/train --gin_file=mel_2bar.gin --data_dir=data/mel_2bar" in str(caught.value)


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no config.gin"):
        runs.open_run(str(tmp_path))


def test_class_counts_come_from_the_tokens():
    configuration.parse(["mel_2bar.gin", TINY])
    model = configuration.experiment().make_model()
    assert model(np.zeros([2, 32, 1], np.int32))[0].shape == (2, 32, tokens.Melody().num_classes)
