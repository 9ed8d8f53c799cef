"""A run as a folder: what it remembers of its origin, and which commands may go on with it."""

import functools
import json
import shutil

import keras
import pytest

from magenta_vae import configuration
from magenta_vae.training import checkpoints
from magenta_vae.workflows import run_files, runs


@pytest.fixture
def data_dir(tmp_path):
    """What `start_run` reads of a data set."""
    folder = tmp_path / "data"
    folder.mkdir()
    settings = configuration.parse(["mel_2bar.gin"]).experiment.settings
    counts = {"files_read": 1, "files_dropped": {}, "windows_cut": 0, "windows_dropped_rests": 0}
    kept = ("windows_duplicate", "windows_kept_train", "windows_kept_eval")
    counts |= dict.fromkeys(kept, 0)
    description = {"settings": settings.describe(), "counts": counts, "shards": {}}
    (folder / "dataset.json").write_text(json.dumps(description))
    return str(folder)


@pytest.fixture
def start_run(configured):
    return functools.partial(run_files.start, configured)


@pytest.fixture
def configured():
    return configuration.parse(["mel_2bar.gin"])


def save(run_dir, step):
    """Gives a run a checkpoint."""
    model = keras.Sequential([keras.layers.Input([2]), keras.layers.Dense(1)])
    optimizer = keras.optimizers.SGD()
    optimizer.build(model.trainable_variables)
    optimizer.iterations.assign(step)
    checkpoints.Checkpoints(str(run_dir), model, optimizer).save()


@pytest.fixture
def other(tmp_path, data_dir, start_run):
    """A run that others may start from."""
    start_run(str(tmp_path / "other"), data_dir)
    save(tmp_path / "other", 3)
    return tmp_path / "other"


def test_a_run_of_its_own_has_no_origin(tmp_path, data_dir, start_run):
    assert start_run(str(tmp_path / "run"), data_dir)["origin"] is None
    assert run_files.read_record(str(tmp_path / "run"))["origin"] is None


def test_a_run_records_its_origin_and_goes_on_without_it(tmp_path, data_dir, other, start_run):
    run_dir = str(tmp_path / "run")
    record = start_run(run_dir, data_dir, run_files.Origin(str(other)))
    expected = {
        "run_dir": str(other),
        "checkpoint": str(other / "checkpoints" / "step-3"),
        "step": 3,
        "partial": False,
    }
    assert record["origin"] == run_files.read_record(run_dir)["origin"] == expected
    # Killed before its first checkpoint it starts once more, from what is newest then.
    save(other, 5)
    assert start_run(run_dir, data_dir, run_files.Origin(str(other)))["origin"]["step"] == 5
    assert start_run(run_dir, data_dir)["origin"]["step"] == 5
    save(run_dir, 1)
    shutil.rmtree(other)
    assert start_run(run_dir, data_dir, run_files.Origin(str(other)))["origin"]["step"] == 5
    assert start_run(run_dir, data_dir)["origin"]["step"] == 5


def test_another_origin_is_refused_with_both(tmp_path, data_dir, other, start_run):
    run_dir = str(tmp_path / "run")
    start_run(run_dir, data_dir, run_files.Origin(str(other)))
    save(run_dir, 1)
    with pytest.raises(ValueError, match=f"started from {other}. Received: --init_from=elsewhere"):
        start_run(run_dir, data_dir, run_files.Origin("elsewhere"))
    with pytest.raises(ValueError, match="started from weights of its own. Received: --init_from"):
        start_run(str(other), data_dir, run_files.Origin(run_dir))


def test_an_origin_without_the_checkpoint_is_refused_before_a_run_is_made(
    tmp_path, data_dir, other, start_run
):
    run_dir = tmp_path / "run"
    with pytest.raises(FileNotFoundError, match="holds no latest checkpoint"):
        start_run(str(run_dir), data_dir, run_files.Origin(str(tmp_path / "nowhere")))
    with pytest.raises(FileNotFoundError, match="steps it holds: 3. Received: 7"):
        start_run(str(run_dir), data_dir, run_files.Origin(str(other), "7"))
    assert not run_dir.exists()


def test_only_one_process_writes(tmp_path, data_dir, start_run):
    record = start_run(str(tmp_path / "run"), data_dir, is_writer=False)
    assert record["data_dir"] == data_dir
    assert not (tmp_path / "run").exists()


def test_a_run_of_another_configuration_is_refused_with_the_difference(tmp_path, data_dir, other):
    smaller = configuration.parse(["mel_2bar.gin"], ["batch_size = 7"])
    with pytest.raises(ValueError, match="another configuration(.|\n)*batch_size = 7"):
        run_files.start(smaller, str(other), data_dir)


def test_a_run_may_be_given_more_steps(data_dir, other):
    more = ["configuration.Experiment.max_steps = 12345"]
    run_files.start(configuration.parse([str(other / "config.gin")], more), str(other), data_dir)
    assert runs.open(str(other)).experiment.max_steps == 12345


def test_a_run_that_learned_nothing_yet_begins_anew(tmp_path, data_dir, other, start_run):
    run_dir = str(tmp_path / "run")
    start_run(run_dir, data_dir, run_files.Origin(str(other)))
    smaller = configuration.parse(["mel_2bar.gin"], ["batch_size = 7"])
    assert run_files.start(smaller, run_dir, data_dir)["origin"] is None
    assert runs.open(run_dir).experiment.batch_size == 7


@pytest.mark.parametrize("text", ["", "[]", '{"data": null}'])
def test_a_damaged_record_is_named(tmp_path, data_dir, other, text):
    (other / "run.json").write_text(text)
    with pytest.raises(ValueError, match="other/run.json is damaged"):
        runs.open(str(other))
