"""Folders that @magenta/music loads as runs, and checkpoints whose configuration is found."""

import json
import shutil
from pathlib import Path

import javascript_models
import numpy as np
import pytest
import tensorflow as tf

from magenta_vae.magenta import javascript_files
from magenta_vae.magenta.checkpoint import open_checkpoint
from magenta_vae.model import autoregressor
from magenta_vae.serving import javascript
from magenta_vae.workflows import magenta, magenta_configurations, runs

FIXTURES = Path(__file__).parent / "fixtures" / "magenta"
CELL = "bidirectional_rnn/fw/multi_rnn_cell/cell_0/lstm_cell"
OF_MAGENTA = {  # The models that Magenta's own converter could have written.
    "melody_of_90": "cat-mel_2bar_small",
    "drums_by_hits": "cat-drums_2bar_small",
    "trio_of_90": "hier-trio_16bar",
    "long_melody_of_90": "hier-mel_16bar",
    "four_bars": "cat-mel_2bar_small",
    "drums_one_hot": "cat-drums_2bar_small",
}


@pytest.fixture(autouse=True)
def more_models(monkeypatch):
    """Some that Magenta may have: of other lengths and layers, drums that read one-hot rows."""
    small, models = javascript_models.SMALL, javascript_models.MODELS
    long = (*small, "num_bars = 8", "num_segments = 8", "conductor_units = 5")
    monkeypatch.setitem(models, "long_melody_of_90", (["magenta/hier-mel_16bar.gin"], long))
    four = (*small, "num_bars = 4", "decoders.FlatDecoder.num_layers = 3")
    monkeypatch.setitem(models, "four_bars", (["magenta/cat-mel_2bar_small.gin"], four))
    one_hot = (*small, "magenta_encoders.StackedBidirectionalLSTM.features = None")
    monkeypatch.setitem(models, "drums_one_hot", (["magenta/cat-drums_2bar_small.gin"], one_hot))


class Shapes:
    """A checkpoint that says its shapes alone."""

    source = "given.tar"

    def __init__(self, shapes):
        self.shapes = shapes


def spec_of(folder):
    return json.loads(Path(folder, "config.json").read_text())


def change_spec(folder, **values):
    spec = spec_of(folder)
    spec |= {name: value for name, value in values.items() if name != "converter"}
    if "converter" in values:
        spec["dataConverter"]["type"] = values["converter"]
    Path(folder, "config.json").write_text(json.dumps(spec))


def assert_same(run, written):
    """A run computes what the model that was written does."""
    tokens = javascript_models.draw_tokens(written.window_format)
    posteriors = [javascript_models.encode(m, tokens) for m in (run.network, written.model)]
    np.testing.assert_array_equal(*posteriors)
    z = tf.constant(np.random.default_rng(0).normal(size=(2, written.model.z_size)), tf.float32)
    sampled = [m.sample(z, autoregressor.greedy) for m in (run.network, written.model)]
    np.testing.assert_array_equal(*sampled)


@pytest.mark.parametrize("quantize_bytes", [pytest.param(None, marks=pytest.mark.slow), 1])
@pytest.mark.parametrize("name", OF_MAGENTA)
def test_the_spec_and_the_shapes_say_what_a_folder_holds(name, quantize_bytes, tmp_path):
    written = javascript_models.write(name, str(tmp_path / "js"), quantize_bytes)
    Path(written.folder, "config.gin").unlink()  # As others' folders are.
    change_spec(written.folder, magenta_vae=None)
    run_dir = str(tmp_path / "run")
    magenta.import_checkpoint(written.folder, None, run_dir)
    run = runs.open(run_dir)
    assert run.record["imported"]["config"] == OF_MAGENTA[name]
    assert run.settings.window_format == written.window_format
    assert run.settings.num_steps == written.model.decoder.num_steps
    assert run.step == 1
    assert_same(run, written)
    assert len(run.model().sample(2, temperature=1.0)) == 2


@pytest.mark.parametrize("name", ["melody", "trio"])
def test_what_was_exported_is_the_run_again(name, tmp_path):
    written = javascript_models.write(name, str(tmp_path / "js"))
    lines = []
    magenta.import_checkpoint(written.folder, None, str(tmp_path / "run"), lines.append)
    run = runs.open(str(tmp_path / "run"))
    assert run.record["imported"]["config"] == name
    assert run.step == 7
    if name == "melody":
        assert run.configured.text == written.configured.text
        assert_same(run, written)
    else:  # The embedding is within what reads it.
        changed = {
            key
            for key, value in run.configured.bindings.items()
            if written.configured.bindings.get(key) != value
        }
        assert changed == {"decoders.Conductor.embedding_size"}
    assert lines[0].startswith(f"{name}, num_bars = ")


def test_another_kit_comes_with_the_model(tmp_path):
    kit = [[36], [38], [42], [46], [45], [48], [50], [49], [51, 53]]
    written = javascript_models.write("drums_by_hits", str(tmp_path / "js"))
    Path(written.folder, "config.gin").unlink()
    spec = spec_of(written.folder)
    spec["dataConverter"]["args"]["pitchClasses"] = kit
    Path(written.folder, "config.json").write_text(json.dumps(spec))
    magenta.import_checkpoint(written.folder, None, str(tmp_path / "run"))
    (drums,) = runs.open(str(tmp_path / "run")).settings.tracks
    assert drums.hit_pitches == tuple(map(tuple, kit))


REFUSED = {
    "multi-track performances": {"converter": "MultitrackConverter"},
    "GrooVAE": {"converter": "GrooveConverter"},
    "NADE": {"converter": "DrumRollConverter"},
    "chords": {"chordEncoder": "TriadChordEncoder"},
    "control signals": {"extraControls": [{"name": "density", "depth": 4}]},
    "is no MusicVAE: its config.json says 'MusicRNN'": {"type": "MusicRNN"},
    "its converter must be one of .*Received: Mine": {"converter": "Mine"},
    "is none of @magenta/music's": {"dataConverter": {"type": "MelodyConverter"}},
    "windows are of whole bars.*numSteps=24": {
        "dataConverter": {
            "type": "MelodyConverter",
            "args": {"numSteps": 24, "minPitch": 21, "maxPitch": 108},
        }
    },
    "pitches 21 to 108. Received: minPitch=36": {
        "dataConverter": {
            "type": "MelodyConverter",
            "args": {"numSteps": 32, "minPitch": 36, "maxPitch": 90},
        }
    },
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("js") / "melody")
    javascript_models.write("melody_of_90", folder)
    Path(folder, "config.gin").unlink()
    return folder


@pytest.mark.parametrize("reason", REFUSED)
def test_other_models_are_refused_by_name(reason, folder, tmp_path):
    shutil.copytree(folder, tmp_path / "js")
    change_spec(tmp_path / "js", **REFUSED[reason])
    with pytest.raises(ValueError, match=reason):
        magenta.import_checkpoint(str(tmp_path / "js"), None, str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_weights_of_nade_are_refused_by_name(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "js")
    arrays = javascript_files.read(folder)
    javascript_files.write(str(tmp_path / "js"), {**arrays, "decoder/nade/w_enc": np.ones(2, "f4")})
    with pytest.raises(ValueError, match="is not imported: it is a model of drums by NADE"):
        magenta.import_checkpoint(str(tmp_path / "js"), None, str(tmp_path / "run"))


def test_weights_of_another_model_are_refused_with_what_differs(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "js")
    arrays = javascript_files.read(folder)
    del arrays["encoder/mu/bias"]
    javascript_files.write(str(tmp_path / "js"), arrays)
    with pytest.raises(ValueError, match=r"missing: encoder/mu/bias"):
        magenta.import_checkpoint(str(tmp_path / "js"), None, str(tmp_path / "run"))
    (tmp_path / "js" / "config.json").unlink()
    with pytest.raises(FileNotFoundError, match="holds no config.json"):
        magenta.import_checkpoint(str(tmp_path / "js"), None, str(tmp_path / "run"))


@pytest.mark.parametrize(
    "config", sorted(path.name for path in FIXTURES.iterdir() if path.is_dir())
)
def test_the_shapes_of_a_checkpoint_say_its_configuration(config):
    with open_checkpoint(str(FIXTURES / config)) as source:
        assert magenta_configurations.find(source, None)[0] == config


def test_of_several_that_fit_one_must_be_named(tmp_path):
    for path in (FIXTURES / "cat-drums_2bar_small").glob("model*"):
        shutil.copy(path, tmp_path)
    with open_checkpoint(str(tmp_path)) as source:
        names = "cat-drums_2bar_small, cat-drums_2bar_small.hikl, cat-drums_2bar_small.lokl"
        with pytest.raises(ValueError, match=f"several configurations: .* one of {names}"):
            magenta_configurations.find(source, None)
        found, _ = magenta_configurations.find(source, "cat-drums_2bar_small.lokl")
    assert found == "cat-drums_2bar_small.lokl"


@pytest.mark.parametrize("shapes, what", [
    ({"decoder/nade/w_enc": (9, 128)}, "drums by NADE"),
    ({"decoder/output_projection/bias": (27,)}, "GrooVAE"),
    ({"core_decoder/decoder/output_projection/bias": (490,)}, "multi-track performances"),
    ({"decoder/output_projection/bias": (90,),
      f"encoder/cell_0/{CELL}/kernel": (90 + 49 + 8, 32)}, "melodies with chords"),
])  # fmt: skip
def test_checkpoints_of_other_models_are_refused_by_name(shapes, what):
    with pytest.raises(ValueError, match=f"given.tar is not imported: it is a model of {what}"):
        magenta_configurations.find(Shapes(shapes), None)


def test_where_none_fits_the_nearest_says_what_differs():
    with open_checkpoint(str(FIXTURES / "cat-mel_2bar_big")) as source:
        shapes = {**source.shapes, "decoder/extra/bias": (3,)}
    with pytest.raises(
        ValueError, match=r"fits none of .*nearest is cat-mel_2bar_big:\n"
    ) as caught:
        magenta_configurations.find(Shapes(shapes), None)
    assert str(caught.value).splitlines()[-1] == "  unexpected: decoder/extra/bias [3]"


@pytest.mark.parametrize("args, message", [
    ({"numSteps": 1e999}, "whole bars"),
    ({"numSteps": "x"}, "whole bars"),
    ({"numSegments": 5}, "segments"),
    ({"pitchClasses": [[300], [-4]]}, "MIDI pitches, 0 to 127"),
    ({"pitchClasses": [[36]] * 60}, "at most 16 lists"),
])  # fmt: skip
def test_values_that_cannot_be_are_named_with_the_folder(args, message, tmp_path):
    written = javascript_models.write("drums", str(tmp_path / "js"))
    Path(written.folder, "config.gin").unlink()
    path = Path(written.folder, "config.json")
    spec = json.loads(path.read_text())
    spec["dataConverter"]["args"].update(args)
    path.write_text(json.dumps(spec))
    with pytest.raises(ValueError, match=message) as caught:
        magenta.import_checkpoint(written.folder, None, str(tmp_path / "run"))
    assert written.folder in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_place_near_a_folder_is_led_to_it(tmp_path):
    written = javascript_models.write("drums", str(tmp_path / "js" / "magenta_js"))
    with pytest.raises(ValueError, match="holds an export: name .*magenta_js"):
        magenta.import_checkpoint(str(tmp_path / "js"), None, str(tmp_path / "run"))
    with pytest.raises(ValueError, match="download what lies there"):
        magenta.import_checkpoint("https://somewhere/model", None, str(tmp_path / "run"))
    Path(written.folder, "weights_manifest.json").unlink()
    with pytest.raises(FileNotFoundError, match="weights_manifest.json is missing"):
        magenta.import_checkpoint(written.folder, None, str(tmp_path / "run"))


@pytest.mark.parametrize("quantize_bytes", [None, 1])
def test_a_model_that_diverged_is_not_exported(quantize_bytes, tmp_path):
    model, configured = javascript_models.make("drums")
    model.variables[0].assign(np.nan * model.variables[0])
    window_format = configured.experiment.settings.window_format
    with pytest.raises(ValueError, match="holds what is not a number"):
        javascript.write(model, window_format, str(tmp_path / "js"), quantize_bytes, {}, "")
