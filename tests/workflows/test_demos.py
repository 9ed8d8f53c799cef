"""What the demos' music is like, at a smaller size too: near the songs', not noise."""

import json

import pytest

from magenta_vae import configuration
from magenta_vae.data import builder, workers
from magenta_vae.inference import sample_words
from magenta_vae.music import oddities
from magenta_vae.workflows import datasets, model_files, training

NUM_SONGS = 12
SMALLER = [
    "encoders.BidirectionalLSTM.num_units = 64",
    "decoders.FlatDecoder.num_units = 96",
    "z_size = 16",
    "batch_size = 32",
    "configuration.Experiment.max_steps = 120",
    "configuration.Experiment.compared_samples = 64",
    "learning_rate/schedules.ExponentialDecay.initial = 1e-2",
    "learning_rate/schedules.ExponentialDecay.rate = 0.99",
    "schedules.InverseSigmoid.rate = 100",
    "loop.train.show_every = 0",
    "loop.train.eval_every = 120",
]


@pytest.fixture(scope="module", params=["demo_drums"])
def samples(request, tmp_path_factory):
    """How samples of a small model of each demo compare with its data."""
    from in_process import InProcess

    folder = tmp_path_factory.mktemp(request.param)
    files = builder.find_files([str(configuration.bundled("testdata"))])[:NUM_SONGS]
    configured = configuration.parse([f"{request.param}.gin"], SMALLER)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workers, "Workers", InProcess)
        datasets.build_dataset(configured.experiment, files, str(folder / "data"), num_workers=1)
    training.train(configured, str(folder / "run"), str(folder / "data"))
    figures = json.loads((folder / "run" / model_files.FIGURES_FILE).read_text())
    assert figures["kl_nats"] > 5  # z says something: no collapse
    return figures["samples"]


def test_samples_of_a_small_drum_demo_are_near_the_songs(samples):
    drums = samples["oddities"]["drums"]
    assert drums[oddities.SILENT_BEATS]["samples"] < 0.1
    assert 0.1 < drums["steps with a kick"]["samples"] < 0.5
    assert samples["unique"]["samples"] >= samples["num_samples"] - 1
    assert samples["copies"]["samples"] <= 1
    assert sample_words.near(samples, "drums")["repeated_bar_share"]


@pytest.mark.slow
@pytest.mark.parametrize("demo", ["demo", "demo_drums"])
def test_samples_of_the_demos_are_near_the_songs(demo, tmp_path):
    configured = configuration.parse([f"{demo}.gin"], ["loop.train.show_every = 0"])
    songs = str(configuration.bundled("testdata"))
    datasets.build_dataset(configured.experiment, [songs], str(tmp_path / "data"), num_workers=1)
    training.train(configured, str(tmp_path / "run"), str(tmp_path / "data"))
    figures = json.loads((tmp_path / "run" / model_files.FIGURES_FILE).read_text())
    samples = figures["samples"]
    ((track, rows),) = samples["oddities"].items()
    is_near = sample_words.near(samples, track)
    assert is_near["repeated_bar_share"]
    if track == "drums":
        assert is_near["note_density"] and rows[oddities.SILENT_BEATS]["samples"] < 0.02
    else:
        assert is_near["pitch_range"] and is_near["note_density"]
        assert rows[oddities.WIDE]["samples"] <= 0.05
        assert rows[oddities.OFF_PIANO]["samples"] <= 0.01
    assert samples["unique"]["samples"] >= 0.98 * samples["num_samples"]
    assert samples["copies"]["samples"] <= 0.05 * samples["num_samples"]
    assert figures["kl_nats"] > 10
