"""Models -> files for @magenta/music -> models, without Node."""

import json
import re
from pathlib import Path

import javascript_models
import numpy as np
import pytest
from javascript_models import LEVELS, MODELS, TANH, TINY

from magenta_vae import configuration
from magenta_vae.magenta import javascript_files
from magenta_vae.music import tokens
from magenta_vae.serving import export, javascript

PAGE = Path(__file__).parents[2] / "docs" / "magenta_js.md"
FOLDED = {"long_melody", "trio"}  # Whose conductors have a linear embedding.
# The pitch that is written first, then the others.
KIT = {"pitchClasses": [[kit[0], *sorted(kit[1:])] for kit in tokens.Drums.hit_pitches]}
CONVERTERS = {
    "melody": ("MelodyConverter", {"numSteps": 32, "minPitch": 0, "maxPitch": 127}),
    "melody_of_90": ("MelodyConverter", {"numSteps": 32, "minPitch": 21, "maxPitch": 108}),
    "drums": ("DrumsOneHotConverter", {"numSteps": 32, **KIT}),
    "drums_by_hits": ("DrumsConverter", {"numSteps": 32, **KIT}),
    "long_melody": (
        "MelodyConverter",
        {"numSteps": 64, "numSegments": 4, "minPitch": 0, "maxPitch": 127},
    ),
    "trio": (
        "TrioConverter",
        {
            "numSteps": 64,
            "numSegments": 4,
            "melArgs": {"minPitch": 0, "maxPitch": 127},
            "bassArgs": {"minPitch": 0, "maxPitch": 127},
            "drumsArgs": KIT,
        },
    ),
    "trio_of_90": (
        "TrioConverter",
        {
            "numSteps": 64,
            "numSegments": 4,
            "melArgs": {"minPitch": 21, "maxPitch": 108},
            "bassArgs": {"minPitch": 21, "maxPitch": 108},
            "drumsArgs": KIT,
        },
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_what_was_written_is_read_to_the_last_bit(name, tmp_path):
    written = javascript_models.write(name, str(tmp_path / "js"))
    model, configured = javascript_models.read(written.folder)
    assert configured.experiment.settings == written.configured.experiment.settings
    found, expected = map(javascript_models.weights_of, (model, written.model))
    changed = {"conductor/embedding", "initial_state", "lstm_0"} if name in FOLDED else set()
    for path, array in expected.items():
        if not any(part in path for part in changed):
            np.testing.assert_array_equal(found[path], array, err_msg=path)
    drawn = javascript_models.draw_tokens(written.window_format)
    posteriors = [javascript_models.encode(each, drawn) for each in (model, written.model)]
    np.testing.assert_array_equal(*posteriors)
    z = np.float32(np.random.default_rng(0).normal(size=(2, model.z_size)))
    logits = [each.decode(z, drawn) for each in (model, written.model)]
    for one, other in zip(*logits, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-4 if name in FOLDED else 0)


@pytest.mark.parametrize("name", MODELS)
def test_the_spec_names_the_converter(name, tmp_path):
    folder = javascript_models.write(name, str(tmp_path / "js")).folder
    spec = json.loads(Path(folder, "config.json").read_text())
    converter = spec["dataConverter"]
    assert (spec["type"], converter["type"], converter["args"]) == ("MusicVAE", *CONVERTERS[name])
    assert spec["magenta_vae"] == {"name": name, "step": 7}


@pytest.mark.parametrize("quantize_bytes", [1, 2])
def test_quantised_weights_are_off_by_half_a_step_at_most(quantize_bytes, tmp_path):
    exact = javascript_models.write("trio", str(tmp_path / "exact"))
    small = javascript_models.write("trio", str(tmp_path / "small"), quantize_bytes)
    ratio = javascript_models.size_of(small.folder) / javascript_models.size_of(exact.folder)
    assert ratio == pytest.approx(quantize_bytes / 4, rel=0.02)
    found, expected = (javascript_files.read(each.folder) for each in (small, exact))
    for name, array in found.items():
        step = np.ptp(expected[name]) / (256**quantize_bytes - 1)
        assert np.abs(array - expected[name]).max() <= step / 2 * 1.001 + 1e-6, name


def test_values_that_are_all_one_are_quantised_exactly(tmp_path):
    javascript_files.write(str(tmp_path), {"a": np.full((2, 3), 0.25, np.float32)}, 1)
    np.testing.assert_array_equal(javascript_files.read(str(tmp_path))["a"], 0.25)


def test_shards_have_four_mebibytes(tmp_path):
    arrays = {"a": np.arange(3 * 2**20, dtype=np.float32), "b": np.ones(2, np.float32)}
    javascript_files.write(str(tmp_path), arrays)
    sizes = [path.stat().st_size for path in sorted(tmp_path.glob("group1-shard*of4"))]
    assert sizes == [2**22, 2**22, 2**22, 8]
    for name, array in javascript_files.read(str(tmp_path)).items():
        np.testing.assert_array_equal(array, arrays[name])


@pytest.mark.parametrize(
    "files, message",
    [
        (["mel_2bar.gin", TINY], "variants/tanh_states.gin trains one. Received: linear"),
        (
            ["hierdec_mel_32bar.gin", TINY, TANH],
            "variants/hierarchical_encoder.gin trains one. Received: BidirectionalLSTM and Hier",
        ),
        (["hierdec_mel_32bar.gin", TINY, LEVELS], "Received: linear initial states"),
        (
            ["hierdec_trio_16bar.gin", TINY, TANH, "variants/flat_decoder.gin"],
            "Received: a flat model of lead, bass, drums",
        ),
        (["mel_2bar.gin", TINY, "variants/baseline.gin"], "Only a model with a latent space"),
    ],
)
def test_what_cannot_be_computed_there_is_refused_before_anything_is_written(
    files, message, tmp_path
):
    experiment = configuration.parse(files).experiment
    model, window_format = experiment.make_model(), experiment.settings.window_format
    with pytest.raises(ValueError, match=message):
        export.write(model, window_format, str(tmp_path / "out"), formats=["magenta_js"])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("param, message", [
    ("magenta_encoders.StackedBidirectionalLSTM.num_layers = 2", "one bidirectional layer.*=2"),
    ("magenta_encoders.StackedBidirectionalLSTM.features = [[[0.0], [1.0]]]", "features of its"),
])  # fmt: skip
def test_encoders_that_it_does_not_have_are_refused(param, message):
    experiment = configuration.parse(
        ["magenta/cat-drums_2bar_small.gin"], ("z_size = 4", "encoder_units = 3", param)
    ).experiment
    with pytest.raises(ValueError, match=message):
        javascript.check(experiment.make_model(), experiment.settings.window_format)


@pytest.mark.parametrize("formats, quantize_bytes, message", [
    (["magenta_js"], 3, "must be 1 or 2. Received: 3"), ([], 2, "is of the format magenta_js"),
])  # fmt: skip
def test_quantisation_that_is_none(formats, quantize_bytes, message, tmp_path):
    model, configured = javascript_models.make("melody")
    window_format = configured.experiment.settings.window_format
    with pytest.raises(ValueError, match=message):
        export.write(
            *(model, window_format, str(tmp_path)), formats=formats, quantize_bytes=quantize_bytes
        )


@pytest.mark.parametrize("name", ["melody", "drums", "drums_by_hits", "melody_of_90"])
def test_the_card_says_what_differs_there(name, tmp_path):
    folder = javascript_models.write(name, str(tmp_path / "js")).folder
    card = Path(folder, "README.md").read_text()
    assert ("where a rest lasts" in card) == (name == "melody")
    assert ("at most once a step" in card) == ("drums" in name)
    assert ("one step early" in card) == (name == "drums_by_hits")
    assert re.findall(r"```html\n(.*?)```", PAGE.read_text(), re.DOTALL)[0] in card
    assert f"`{CONVERTERS[name][0]}`" in card and "1.23.1" in card and "14.7.77" in card


DAMAGE = {
    "missing": (lambda f: (f / "group1-shard1of1").unlink(), "shard group1-shard1of1 is missing"),
    "short": (lambda f: (f / "group1-shard1of1").write_bytes(b"abc"), "bytes.*Received: 3"),
    "outside": (
        lambda f: edit(f, lambda m: m[0].update(paths=["../secret"])),
        "'../secret' lies outside",
    ),
    "strings": (
        lambda f: edit(f, lambda m: m[0]["weights"][0].update(dtype="string")),
        "must be of float32",
    ),
    "no manifest": (lambda f: edit(f, lambda m: m[0].pop("weights")), "no manifest"),
    "not numbers": (
        lambda f: (f / "group1-shard1of1").write_bytes(np.full(6, np.nan, "<f4").tobytes()),
        "not a number",
    ),
}


def edit(folder, change):
    path = folder / javascript_files.MANIFEST_FILE
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_files_are_refused(damage, tmp_path):
    javascript_files.write(str(tmp_path), {"a": np.ones((2, 3), np.float32)})
    change, message = DAMAGE[damage]
    change(tmp_path)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        javascript_files.read(str(tmp_path))
