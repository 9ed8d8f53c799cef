"""The paper's figures: each run gives its own, of its own examples, the same for the same seed."""

import json
import os
import re
import shutil

import numpy as np
import pytest
import tensorflow as tf
from pictures import note_colors, notes

from magenta_vae import configuration
from magenta_vae.data import input_pipeline
from magenta_vae.music import plots, songs, tokens
from magenta_vae.training import checkpoints
from magenta_vae.workflows import figures, run_files, runs

NAMES = {2: "mel_2bar", 3: "drums_2bar", 4: "hierdec_mel_32bar", 5: "hierdec_trio_16bar"}
TRACKS = {2: [tokens.Melody()], 3: [tokens.Drums()]}


def start_run(run_dir, data_dir, *gin_files, params=()):
    """Makes a run of initial weights: every figure can be drawn of it."""
    configured = configuration.parse(gin_files, params)
    run_files.start(configured, run_dir, data_dir)
    experiment = configured.experiment
    tf.keras.utils.set_random_seed(1)
    model, optimizer = experiment.make_model(), experiment.make_optimizer()
    optimizer.build(model.trainable_variables)
    optimizer.iterations.assign(1)
    checkpoints.Checkpoints(run_dir, model, optimizer).save()
    return run_dir


@pytest.fixture(scope="module")
def run_dirs(data_dirs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return {
        number: start_run(str(folder / name), data_dirs[name], f"{name}.gin", "scale/tiny.gin")
        for number, name in NAMES.items()
    }


@pytest.fixture(scope="module", autouse=True)
def keep_models():
    """Builds each model's graphs once: one run gives one model."""
    model, models = runs.Run.model, {}

    def kept(run):
        if run.folder not in models:
            models[run.folder] = model(run)
        return models[run.folder]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs.Run, "model", kept)
        yield


@pytest.fixture
def drawn(monkeypatch):
    """Collects the figures that are written."""
    collected, write = [], plots.write_picture

    def write_picture(figure, path, dots_per_inch):
        collected.append(figure)
        write(figure, path, dots_per_inch)

    monkeypatch.setattr(plots, "write_picture", write_picture)
    return collected


def draw(run_dir, output_dir, **options):
    """Returns the examples' numbers as `write_figure` reports them, if it does."""
    lines = []
    figures.write_figure(runs.open(run_dir), str(output_dir), report=lines.append, **options)
    found = re.findall(r"^between the evaluation examples (\d+) and (\d+) of", "\n".join(lines))
    return [int(number) for pair in found for number in pair]


def read_tokens(path, figure, num_windows):
    """Returns the windows of the MIDI file of an interpolation, int [windows, 32, 1]."""
    (track,) = TRACKS[figure]
    (instrument,) = songs.read_song(path).instruments
    notes = tokens.Notes(instrument.starts, instrument.ends, instrument.pitches)
    flat = tokens.tokenize_notes(track, track.reduce(notes), 32 * num_windows)
    return flat.reshape(num_windows, 32, 1)


@pytest.mark.parametrize("number", NAMES)
def test_the_figure_follows_from_the_run(number, run_dirs, tmp_path, drawn):
    draw(run_dirs[number], tmp_path / "new" / "folder")
    base = f"figure{number}"
    assert sorted(os.listdir(tmp_path / "new" / "folder")) == [f"{base}.mid", f"{base}.png"]
    (figure,) = drawn
    last = figure.axes[-1]
    num_bars = {2: 15 * 2, 3: 9 * 2, 4: 32, 5: 16}[number]
    assert last.get_xlim()[1] == 16 * num_bars
    assert last.get_xlabel() == ("step of the interpolation" if number < 4 else "bar")
    numbers = [int(label.get_text()) for axes in figure.axes for label in axes.get_xticklabels()]
    assert numbers == list(range(1, {2: 15, 3: 9, 4: 32, 5: 16}[number] + 1))
    names = {2: ["melody"], 3: ["drums"], 4: ["melody"], 5: ["lead", "bass", "drums"]}[number]
    assert list(dict.fromkeys(axes.get_ylabel() for axes in figure.axes)) == names
    song = songs.read_song(tmp_path / "new" / "folder" / f"{base}.mid")
    num_notes = sum(len(instrument.starts) for instrument in song.instruments)
    assert len(song.instruments) == len(names)
    assert num_notes > 0.9 * sum(len(notes(axes)) for axes in figure.axes[: len(names)])
    assert num_bars * 16 - 64 < max(part.ends.max() for part in song.instruments) <= num_bars * 16


@pytest.mark.parametrize("number", TRACKS)
def test_the_end_points_are_drawn_as_they_are_in_the_data(
    number, run_dirs, data_dirs, tmp_path, drawn
):
    examples = draw(run_dirs[number], tmp_path, figure=number, seed=3)
    settings = configuration.parse([f"{NAMES[number]}.gin"]).experiment.settings
    held_out = input_pipeline.load_tokens(data_dirs[NAMES[number]], "eval", settings)
    first, last = (tokens.detokenize(held_out[index], TRACKS[number]) for index in examples)
    (figure,) = drawn
    start_of_last = figure.axes[-1].get_xlim()[1] - 32
    for axes, example, offset in (
        (figure.axes[0], first, 0),
        (figure.axes[-1], last, start_of_last),
    ):
        drawn_notes = zip(notes(axes), note_colors(axes), strict=True)
        black = [corners for corners, color in drawn_notes if color == "#000000"]
        starts = sorted(corners[:, 0].min() - offset for corners in black)
        assert starts == sorted(note.quantized_start_step for note in example.notes) != []


@pytest.mark.parametrize("number", TRACKS)
def test_the_file_holds_the_examples_only_where_it_is_asked_to(
    number, run_dirs, data_dirs, tmp_path
):
    num_steps = figures.FIGURES[number].num_steps
    examples = draw(run_dirs[number], tmp_path / "default", seed=3)
    assert examples == draw(run_dirs[number], tmp_path / "true", end_points="examples", seed=3)
    default, true = (
        read_tokens(tmp_path / name / f"figure{number}.mid", number, num_steps)
        for name in ("default", "true")
    )
    np.testing.assert_array_equal(default[1:-1], true[1:-1])
    settings = configuration.parse([f"{NAMES[number]}.gin"]).experiment.settings
    held_out = input_pipeline.load_tokens(data_dirs[NAMES[number]], "eval", settings)
    np.testing.assert_array_equal(true[[0, -1]], held_out[examples])
    assert (default[[0, -1]] != held_out[examples]).any(axis=(1, 2)).all()


def test_the_seed_gives_the_examples_and_the_draws(run_dirs, tmp_path):
    options = {"suffixes": [".png", ".svg"], "dots_per_inch": 50}
    pairs = {name: draw(run_dirs[2], tmp_path / name, seed=1, **options) for name in "ab"}
    assert pairs["a"] == pairs["b"]
    names = sorted(os.listdir(tmp_path / "a"))
    assert names == [f"figure2.{kind}" for kind in ("mid", "png", "svg")]
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name
    other = draw(run_dirs[2], tmp_path / "c", seed=2, suffixes=[".png"])
    assert pairs["a"] != other
    assert len(set(other)) == 2


def test_a_sample_needs_no_data(run_dirs, tmp_path):
    run_dir = tmp_path / "run"
    shutil.copytree(run_dirs[5], run_dir)
    record = json.loads((run_dir / "run.json").read_text())
    record |= {"data_dir": "/gone/away", "data_dir_from_run": "../gone/away"}
    (run_dir / "run.json").write_text(json.dumps(record))
    assert draw(str(run_dir), tmp_path) == []


def test_other_data_is_taken_where_it_is_given(run_dirs, data_dirs, tmp_path):
    run_dir = tmp_path / "run"
    shutil.copytree(run_dirs[2], run_dir)
    record = json.loads((run_dir / "run.json").read_text())
    record |= {"data_dir": "/gone/away", "data_dir_from_run": "../gone/away"}
    (run_dir / "run.json").write_text(json.dumps(record))
    with pytest.raises(FileNotFoundError, match="/gone"):
        draw(str(run_dir), tmp_path)
    assert draw(str(run_dir), tmp_path, data_dir=data_dirs["mel_2bar"])
    with pytest.raises(ValueError, match="this configuration expects tracks"):
        draw(str(run_dir), tmp_path, data_dir=data_dirs["drums_2bar"])


def test_a_run_that_fits_no_figure_is_refused_with_what_fits(run_dirs, data_dirs, tmp_path):
    with pytest.raises(
        ValueError, match=r"^figure 3 shows 2 bars of Drums\. .*of 2 bars of Melody"
    ):
        draw(run_dirs[2], tmp_path / "none", figure=3)
    data_dir = data_dirs["mel_2bar"]
    longer = ["num_bars = 4"]
    run_dir = start_run(
        str(tmp_path / "longer"), data_dir, "mel_2bar.gin", "scale/tiny.gin", params=longer
    )
    expected = "figure 2 shows 2 bars of Melody; figure 3 .*; figure 5 shows 16 bars of Melody, "
    expected += r"Melody, Drums\. "
    with pytest.raises(
        ValueError, match=expected + r"Received: .*longer, a model of 4 bars of Melody\."
    ):
        draw(run_dir, tmp_path / "none")
    baseline = ["mel_2bar.gin", "variants/baseline.gin", "scale/tiny.gin"]
    run_dir = start_run(str(tmp_path / "baseline"), data_dir, *baseline)
    with pytest.raises(ValueError, match=r"needs a latent space\. .* is a baseline, without one"):
        draw(run_dir, tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_one_example_is_too_few(run_dirs, tmp_path, monkeypatch):
    monkeypatch.setattr(input_pipeline, "load_tokens", lambda *_: np.full([1, 32, 1], 60))
    with pytest.raises(ValueError, match="between two evaluation examples.*holds 1"):
        draw(run_dirs[2], tmp_path)


def test_sound_is_written_beside(run_dirs, tmp_path):
    draw(run_dirs[3], tmp_path, audio=True)
    assert sorted(os.listdir(tmp_path)) == ["figure3.mid", "figure3.png", "figure3.wav"]
