"""What training leaves beside its weights: where its windows lie, and its last figures."""

import json
import shutil

import numpy as np
import pytest

import magenta_vae
from magenta_vae import configuration
from magenta_vae.inference import data_prior
from magenta_vae.workflows import exports, model_files, music, runs, training

BINDINGS = [
    "configuration.Experiment.eval_examples = 16",
    "configuration.Experiment.compared_samples = 4",
    "loop.train.checkpoint_every = 1",
    "loop.train.steps_per_call = 1",
]


@pytest.fixture(scope="module")
def trained(data_dirs, tmp_path_factory):
    """A run of two steps, and the lines that its training printed."""
    folder, lines = tmp_path_factory.mktemp("runs") / "tiny", []
    configured = configuration.parse(["mel_2bar.gin", "scale/tiny.gin"], BINDINGS)
    training.train(configured, str(folder), data_dirs["mel_2bar"], 2, report=lines.append)
    return folder, lines


@pytest.fixture
def alone(trained, data_dirs, tmp_path):
    """The run, elsewhere, its data set gone."""
    shutil.copytree(trained[0], tmp_path / "run")
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    gone = {"data_dir": "/nowhere", "data_dir_from_run": "nowhere"}
    (tmp_path / "run" / "run.json").write_text(json.dumps({**record, **gone}))
    return tmp_path / "run"


def test_the_last_lines_say_what_samples_are_like(trained):
    _, lines = trained
    assert lines[-3].startswith("z of ") and "nats from N(0, I)" in lines[-3]
    assert lines[-2].startswith("melody: its samples ") and "semitones" in lines[-2]
    assert lines[-1].startswith("Of 4 samples ")


def test_the_windows_means_are_kept(trained):
    run = runs.open(str(trained[0]))
    kept = run.kept_data_prior()
    windows = run.windows("train")
    assert (kept.step, kept.num_windows) == (2, len(windows))
    means = run.model().encode_tokens(windows)
    np.testing.assert_allclose(kept.mixture.moments()[0], means.mean(axis=0), atol=1e-5)
    assert run.metrics(windows[:4])["data_prior"] == data_prior.describe(kept)


def test_weights_of_another_step_and_older_runs_have_theirs_fitted(trained, alone, data_dirs):
    earlier = runs.open(str(trained[0]), "1")
    assert earlier.kept_data_prior() is None and earlier.kept_figures() is None
    assert earlier.find_data_prior().step == 1
    kept = runs.open(str(alone)).kept_data_prior()
    (alone / data_prior.FILE).unlink()
    run = runs.open(str(alone))
    fitted = run.find_data_prior(data_dirs["mel_2bar"])
    np.testing.assert_allclose(fitted.mixture.roots, kept.mixture.roots, atol=1e-4)
    given = magenta_vae.load(str(alone), data_dir=data_dirs["mel_2bar"])
    assert len(given.sample(1, prior="data")) == 1
    with pytest.raises(FileNotFoundError, match="--data_dir is needed: the data set of the run"):
        magenta_vae.load(str(alone)).sample(1, prior="data")
    assert "data_prior" not in run.metrics(trained_windows(trained))
    assert len(magenta_vae.load(str(alone)).sample(1)) == 1


def trained_windows(trained):
    return runs.open(str(trained[0])).windows("eval")[:4]


def test_samples_of_either_prior_are_written_and_what_is_far_is_said(
    trained, tmp_path, monkeypatch
):
    run = runs.open(str(trained[0]))
    monkeypatch.setattr(data_prior, "MUCH_NATS", -1.0)
    written = {}
    for prior in data_prior.PRIORS:
        lines: list[str] = []
        folder = tmp_path / prior
        music.sample(run, 2, 1.0, 0, prior, output_dir=str(folder), report=lines.append)
        assert [line for line in lines if "--prior=data" in line] == (
            [data_prior.advice(run.kept_data_prior())] if prior == "standard" else []
        )
        written[prior] = [path.read_bytes() for path in sorted(folder.glob("*.mid"))]
    assert len(written["data"]) == 2 and written["data"] != written["standard"]
    monkeypatch.undo()
    lines = []
    music.sample(run, 1, 1.0, 0, output_dir=str(tmp_path / "near"), report=lines.append)
    assert len(lines) == 1  # Untrained windows lie near.


def test_what_is_exported_says_how_good_it_is(trained, alone, tmp_path):
    path = exports.export(runs.open(str(alone)), str(tmp_path / "served"))
    with open(f"{path}/assets/model_card.md") as file:
        card = file.read()
    for title in ("## Intended use", "## Limits", "## Evaluation"):
        assert title in card
    assert "notes right" in card and "melody: its samples span" in card
    assert "nats from N(0, I)" in card
    with open(f"{path}/assets/model.json") as file:
        described = json.load(file)
    assert described["signatures"]["sample_from_data"].keys() == {"seed", "temperature"}
    assert described["figures"]["step"] == 2
    (alone / data_prior.FILE).unlink()
    (alone / model_files.FIGURES_FILE).unlink()
    path = exports.export(runs.open(str(alone)), str(tmp_path / "served"))
    with open(f"{path}/assets/model.json") as file:
        described = json.load(file)
    assert "sample_from_data" not in described["signatures"] and described["figures"] is None
