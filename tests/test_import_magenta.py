"""A checkpoint of Magenta's as a run: it plays, is evaluated, and goes on learning."""

import io
import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
import symusic
import tensorflow as tf
from in_process import InProcess

from magenta_vae import configuration
from magenta_vae.data import builder, input_pipeline, workers
from magenta_vae.inference import outputs
from magenta_vae.workflows import datasets, magenta, runs, training

FIXTURES = Path(__file__).parent / "fixtures" / "magenta"
MELODY, TRIO = "cat-mel_2bar_big", "hierdec-trio_16bar"


@pytest.fixture(scope="module")
def run_dirs(tmp_path_factory):
    """Imported runs, by configuration."""
    folders = {}
    for config in (MELODY, TRIO, "cat-drums_2bar_small.hikl"):
        folders[config] = str(tmp_path_factory.mktemp("runs") / config)
        source = FIXTURES / config.removesuffix(".hikl")
        magenta.import_checkpoint(str(source), config, folders[config])
    return folders


@pytest.fixture(scope="module")
def data_dir(run_dirs, tmp_path_factory):
    """A data set of the imported melody run's own configuration."""
    folder = str(tmp_path_factory.mktemp("data") / "mine")
    files = builder.find_files([str(configuration.bundled("testdata"))])[:12]
    experiment = configuration.parse([f"{run_dirs[MELODY]}/config.gin"]).experiment
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workers, "Workers", InProcess)
        datasets.build_dataset(experiment, files, folder, num_workers=1)
    return folder


def test_a_run_says_where_it_comes_from(run_dirs):
    run = runs.open(run_dirs[TRIO])
    record = run.record
    assert record["imported"]["config"] == TRIO
    assert record["imported"]["step"] == 1000
    assert record["data_dir"] is None
    text = run.configured.text
    assert "decoder_units = [6, 4]" in text
    assert Path(run_dirs[TRIO], "config.gin").read_text() == text
    assert run.step == 1000


def test_a_sampled_trio_is_midi_of_three_tracks(run_dirs, tmp_path):
    music = runs.open(run_dirs[TRIO]).model().sample(3, temperature=1.0, seed=1)
    for path in outputs.write_music(music, str(tmp_path), "sample"):
        score = symusic.Score(path)  # read by another program than wrote it
        programs = [(track.is_drum, track.program) for track in score.tracks]
        assert sorted(programs) == [(False, 0), (False, 33), (True, 0)]
        assert all(len(track.notes) for track in score.tracks)
        assert score.end() <= 16 * 4 * score.ticks_per_quarter
        pitches = [n.pitch for track in score.tracks if not track.is_drum for n in track.notes]
        assert 21 <= min(pitches) <= max(pitches) <= 108


@pytest.mark.parametrize("config", [MELODY, TRIO, "cat-drums_2bar_small.hikl"])
def test_what_is_sampled_can_be_encoded_and_interpolated(config, run_dirs):
    model = runs.open(run_dirs[config]).model()
    first, second = model.sample(2, temperature=1.0)
    assert model.encode([first, second]).shape == (2, 5)
    assert len(model.reconstruct(first)) == 1
    assert len(model.interpolate(first, second, 3)) == 3


def test_a_song_is_read_as_data_sets_are_built(run_dirs, data_dir):
    """Encoding a MIDI file gives the tokens that the data set of it holds."""
    run = runs.open(run_dirs[MELODY])
    model, settings = run.model(), run.settings
    tokens = input_pipeline.load_tokens(data_dir, "train", settings)
    assert tokens.max() < 90
    assert (tokens == 1).any()
    assert np.isfinite(model.encode(str(configuration.bundled("testdata") / "song-0000.mid"))).all()


def test_without_data_the_message_says_how_to_build_it(run_dirs):
    for call in (
        lambda: runs.open(run_dirs[MELODY]).windows("eval"),
        lambda: datasets.find_data(None, None, run_dirs[MELODY], ["x.gin"], print),
    ):
        with pytest.raises(
            ValueError, match="--data_dir is needed: .* comes without data"
        ) as caught:
            call()
        assert f"--gin_file={run_dirs[MELODY]}/config.gin" in str(caught.value)


@pytest.mark.slow
def test_evaluation_and_fine_tuning(run_dirs, data_dir, tmp_path):
    run_dir = str(tmp_path / "run")
    shutil.copytree(run_dirs[MELODY], run_dir)
    run = runs.open(run_dir)
    before = run.metrics(run.windows("eval", data_dir))
    assert before["step"] == 1000
    other = configuration.parse([f"{run_dir}/config.gin"], ["batch_size = 8"])
    with pytest.raises(ValueError, match="-batch_size = 512\n.*batch_size = 8"):
        training.train(other, run_dir, data_dir, max_steps=1001)
    path = Path(run_dir, "config.gin")
    path.write_text(path.read_text().replace("batch_size = 512", "batch_size = 8"))
    training.train(configuration.parse([str(path)]), run_dir, data_dir, max_steps=1100)
    run = runs.open(run_dir)
    after = run.metrics(run.windows("eval"))  # Now it has data of its own.
    assert after["step"] == 1100
    assert after["reconstruction_nats"] < before["reconstruction_nats"]
    record = json.loads(Path(run_dir, "run.json").read_text())
    assert record["imported"]["config"] == MELODY


FORMER_IMPORTS = {
    "from magenta_vae.magenta import encoder as magenta_encoders": (
        "from magenta_vae.model import magenta_encoders"
    ),
    "from magenta_vae.magenta import vocabulary as magenta_tokens": (
        "from magenta_vae.music import magenta_tokens"
    ),
}


@pytest.fixture
def former_run_dir(run_dirs, tmp_path):
    """A run as version 0.1.0 wrote it, when modules had other names and places."""
    run_dir = tmp_path / "former"
    shutil.copytree(run_dirs[MELODY], run_dir)
    path = run_dir / "config.gin"
    lines = path.read_text().splitlines()
    assert FORMER_IMPORTS.keys() <= set(lines)
    lines = [FORMER_IMPORTS.get(line, line) for line in lines]
    imports = [line for line in lines if line.startswith("from ")]
    modules = sorted(imports, key=lambda line: line[len("from ") :].replace(" import ", "."))
    path.write_text("\n".join(modules + lines[len(imports) :]) + "\n")
    return str(run_dir)


def test_a_run_that_names_modules_as_they_were_opens(former_run_dir, run_dirs):
    former, run = runs.open(former_run_dir), runs.open(run_dirs[MELODY])
    assert former.configured.text == run.configured.text
    assert former.configured.hyperparameters == run.configured.hyperparameters
    assert former.model().sample(2, seed=1) == run.model().sample(2, seed=1)


def test_such_a_run_is_gone_on_with_and_given_as_a_gin_file(former_run_dir, data_dir, tmp_path):
    path = Path(former_run_dir, "config.gin")
    path.write_text(path.read_text().replace("batch_size = 512", "batch_size = 8"))
    including = tmp_path / "mine.gin"
    including.write_text(f"include '{path}'\n")
    configured = configuration.parse([str(including)])
    training.train(configured, former_run_dir, data_dir, max_steps=1001)
    assert path.read_text() == configured.text
    assert not any(line in configured.text for line in FORMER_IMPORTS.values())


def test_another_configuration_leaves_nothing_behind(tmp_path):
    run_dir = tmp_path / "runs" / "wrong"
    with pytest.raises(ValueError, match="missing: .*core_decoder"):
        magenta.import_checkpoint(str(FIXTURES / MELODY), TRIO, str(run_dir))
    assert not list(tmp_path.iterdir())


def test_damaged_weights_leave_nothing_behind(tmp_path):
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as tar:
        for file in (FIXTURES / MELODY).glob("model.ckpt*"):
            content = bytearray(file.read_bytes())
            if "data" in file.name:
                content[::7] = bytes(len(content[::7]))
            info = tarfile.TarInfo(file.name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    with pytest.raises(ValueError, match="a.tar is damaged"):
        magenta.import_checkpoint(str(path), MELODY, str(tmp_path / "run"))
    assert [found.name for found in tmp_path.iterdir()] == ["a.tar"]


def test_a_folder_that_holds_something_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="--run_dir=.* is not an empty folder"):
        magenta.import_checkpoint(str(FIXTURES / MELODY), MELODY, str(tmp_path))
    with pytest.raises(ValueError, match="--config must be one of cat-drums.*Received: mine"):
        magenta.import_checkpoint(str(FIXTURES / MELODY), "mine", str(tmp_path / "run"))
    assert [found.name for found in tmp_path.iterdir()] == ["notes.txt"]


def test_the_optimizer_is_new_and_stands_at_the_step(run_dirs):
    path = tf.train.latest_checkpoint(str(Path(run_dirs[MELODY], "checkpoints")))
    reader = tf.train.load_checkpoint(path)
    names = reader.get_variable_to_shape_map()
    slots = {n: reader.get_tensor(n) for n in names if "optimizer/_" in n and "trainable" not in n}
    (step,) = (int(value) for value in slots.values() if value.dtype == np.int64)
    assert step == 1000
    moments = [value for value in slots.values() if value.ndim]
    assert len(moments) == 2 * len(runs.open(run_dirs[MELODY]).network.variables)
    assert not any(moment.any() for moment in moments)
