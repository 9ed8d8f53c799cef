"""Attribute vectors: which windows they are of, what they do, and the file that holds them."""

import dataclasses
import json

import numpy as np
import pytest

from magenta_vae.inference import attributes, generation
from magenta_vae.model import decoders, encoders, music_vae, schedules
from magenta_vae.music import synthetic, tokens
from magenta_vae.music.window_format import WindowFormat

TRACKS = (tokens.Melody(),)
REST = tokens.Melody.rest


class Ruler:
    """A model with a latent space of two: how many notes there are, and how high the first is.

    Its decoder writes as many notes as the first says.
    """

    tracks = TRACKS
    z_size = 2

    def encode_tokens(self, windows):
        counts = np.sum(windows[..., 0] < 128, axis=1)
        return np.stack([counts, windows[:, 0, 0]], axis=-1).astype(np.float32)

    def decode_tokens(self, z, temperature, seed):
        windows = np.full((len(z), 32, 1), REST)
        for window, count in zip(windows, np.rint(z[:, 0]).astype(int), strict=True):
            window[:count] = 60
        return windows


@pytest.fixture
def windows():
    """Returns sixteen windows of one to sixteen notes of one pitch."""
    music = np.full((16, 32, 1), REST)
    for row, window in enumerate(music):
        window[: row + 1] = 60
    return music


@pytest.fixture
def learned(windows):
    return attributes.learn(Ruler(), windows, run_dir="runs/ruler", step=7)


@pytest.fixture(scope="module")
def model():
    """Returns an untrained model of two bars."""
    classes = tokens.num_classes(TRACKS)
    vae = music_vae.MusicVAE(
        encoders.BidirectionalLSTM(classes, 8, z_size=4),
        decoders.FlatDecoder(classes, 32, 4, 8, 1),
        tokens.names(TRACKS),
        free_bits=0,
        beta=schedules.Constant(1.0),
    )
    return generation.TrainedModel(vae, WindowFormat(TRACKS, num_bars=2))


def serialized(sequences):
    return [sequence.SerializeToString(deterministic=True) for sequence in sequences]


def test_a_vector_goes_from_the_bottom_quartile_to_the_top(learned):
    # One to sixteen notes in two bars: the quartiles of 0.5, 1, ..., 8 are 2.375 and 6.125. Below
    # are one to four notes, 2.5 on average, above thirteen to sixteen, 14.5.
    density = learned.vectors["note_density"]
    assert (density.num_bottom, density.num_top) == (4, 4)
    assert density.quartiles == (0.5, 2.375, 4.25, 6.125, 8.0)
    np.testing.assert_array_equal(learned["note_density"], [12.0, 0.0])
    assert learned["note_density"].dtype == np.float32


def test_what_does_not_vary_has_no_vector(learned, windows):
    # One pitch: no range, no interval; every note is beside another or on a beat.
    assert list(learned.vectors) == ["note_density"]
    assert (learned.z_size, learned.track, learned.num_windows) == (2, "melody", 16)
    with pytest.raises(ValueError, match="one of: note_density. Received: pitch_range"):
        learned["pitch_range"]
    with pytest.raises(ValueError, match="4 windows must differ"):
        attributes.learn(Ruler(), windows[[3] * 4])


@pytest.mark.parametrize(
    ("values", "bottom", "top"),
    [
        ([1, 2, 3, 4, 5], [1, 1, 0, 0, 0], [0, 0, 0, 1, 1]),  # at 2 and at 4
        ([0, 0, 0, 0, 5], [1, 1, 1, 1, 0], [0, 0, 0, 0, 1]),  # mostly none of it
        ([0, 5, 5, 5, 5], [1, 0, 0, 0, 0], [0, 1, 1, 1, 1]),
        ([0, 5, 5, 5, 9], [1, 0, 0, 0, 0], [0, 0, 0, 0, 1]),
        ([5, 5, 5, 5, 5], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]),
        ([0, 9, np.nan, np.nan, np.nan], [1, 0, 0, 0, 0], [0, 1, 0, 0, 0]),
        ([np.nan] * 5, [0] * 5, [0] * 5),
    ],
)
def test_quartiles_with_ties_and_gaps(values, bottom, top):
    masks = attributes.quartile_masks(np.array(values, float))
    np.testing.assert_array_equal(masks, np.array([bottom, top], bool))


def test_the_effect_is_measured_on_what_is_decoded(learned, windows):
    # 12 notes more or less, of none to 32: from 14, 15 and 16 notes 2, 3 and 4, and 26, 27 and 28.
    effects = attributes.measure_effects(Ruler(), learned, windows[13:])
    assert effects == {"note_density": (7.5, 1.5, 7.5, 13.5)}  # of two bars
    table = attributes.format_effects(learned, effects).splitlines()
    assert table[-1].split()[-6:] == ["4", "4", "7.500", "1.500", "7.500", "13.500"]


def test_a_file_is_read_as_it_was_written(learned, tmp_path):
    path = tmp_path / "attributes.json"
    attributes.write(path, learned)
    again = attributes.read(path, z_size=2)
    assert (again.track, again.num_windows, again.run_dir, again.step) == (
        "melody", 16, "runs/ruler", 7,
    )  # fmt: skip
    row, other = again.vectors["note_density"], learned.vectors["note_density"]
    np.testing.assert_array_equal(row.vector, other.vector)
    assert row.vector.dtype == np.float32
    assert (row.num_bottom, row.num_top, row.quartiles) == (4, 4, other.quartiles)
    assert [each.name for each in tmp_path.iterdir()] == ["attributes.json"]


def test_a_vector_that_does_the_opposite_is_marked_and_warned_of(learned, tmp_path):
    right = attributes.Effect(held_out=2.0, subtracted=1.0, reconstructed=2.0, added=3.0)
    vectors = {"other": learned.vectors["note_density"], **learned.vectors}
    learned = dataclasses.replace(learned, vectors=vectors)
    effects = {
        "other": right._replace(held_out=float("nan")),
        "note_density": right._replace(subtracted=3.0, added=1.0),
    }
    shown = {"note_density": effects["note_density"]}
    table = attributes.format_effects(learned, shown).splitlines()
    marked = [line.split()[0] for line in table if line.endswith("does the opposite")]
    assert marked == ["note_density"]
    attributes.write(tmp_path / "attributes.json", dataclasses.replace(learned, effects=effects))
    again = attributes.read(tmp_path / "attributes.json", z_size=2)
    assert again.effects["note_density"] == effects["note_density"]
    assert np.isnan(again.effects["other"].held_out)
    assert "1.000 after adding it and 3.000 after taking it away" in again.warning("note_density")
    assert again.warning("other") is None
    assert learned.warning("note_density") is None  # Nobody has measured it.


def test_a_file_of_another_size_is_refused_with_both(learned, tmp_path):
    path = tmp_path / "attributes.json"
    attributes.write(path, learned)
    with pytest.raises(ValueError, match=r"attributes.json holds .* z_size=2; .* z_size=128"):
        attributes.read(path, z_size=128)


def _drop_half(text):
    return text[: len(text) // 2]


def _without(name):
    def change(text):
        content = json.loads(text)
        del content[name]
        return json.dumps(content)

    return change


def _with_vector(vector):
    def change(text):
        content = json.loads(text)
        content["vectors"]["note_density"]["vector"] = vector
        return json.dumps(content)

    return change


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_drop_half, "not a file of attribute vectors"),
        (lambda text: "[1, 2]", "not a file of attribute vectors"),
        (lambda text: "\x00" * 100, "not a file of attribute vectors"),
        (_without("z_size"), "not a file of attribute vectors"),
        (_without("vectors"), "not a file of attribute vectors"),
        (_with_vector("C4"), "not a file of attribute vectors"),
        (lambda text: text.replace('"step": 7', '"step": "7"'), "not a file .*step must be int"),
        (lambda text: text.replace('"z_size": 2', '"z_size": true'), "not a file .*z_size must be"),
        (_with_vector([1.0]), "note_density must be 2 numbers. Received: 1"),
        (_with_vector([1.0, float("nan")]), "note_density must be 2 numbers. Received: 1"),
    ],
)
def test_a_damaged_file_is_refused_by_its_name(learned, tmp_path, damage, message):
    path = tmp_path / "attributes.json"
    attributes.write(path, learned)
    path.write_text(damage(path.read_text()))
    with pytest.raises(ValueError, match=f"attributes.json.* {message}"):
        attributes.read(path, z_size=2)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere.json is missing"):
        attributes.read(tmp_path / "nowhere.json", z_size=2)


def test_an_attribute_vector_is_the_difference_of_the_means(model):
    first, second = synthetic.synthesize_song(1, 4), synthetic.synthesize_song(2, 8)
    vector = model.attribute_vector([first, second], without=second)
    expected = model.encode([first, second]).mean(axis=0) - model.encode(second).mean(axis=0)
    np.testing.assert_array_equal(vector, expected)
    assert vector.shape == (4,)
    assert vector.dtype == np.float32
    np.testing.assert_array_equal(model.attribute_vector(first, first), np.zeros(4))
    with pytest.raises(ValueError, match="at least one piece. Received: none"):
        model.attribute_vector(first, without=[])


def test_no_strength_is_the_reconstruction_and_another_is_not(model):
    song = synthetic.synthesize_song(1, 8)
    vector = np.array([9.0, -9.0, 9.0, -9.0])
    plain = serialized(model.reconstruct(song, temperature=1.0, seed=3))
    assert serialized(model.apply_attribute(song, vector, 0.0, 1.0, seed=3)) == plain
    changed = model.apply_attribute(song, vector, -2.0, 1.0, seed=3)
    assert serialized(changed) != plain
    z, playbacks = model.encode(song) - np.float32(2) * vector, model.read(song).playbacks
    there = model.decode(z, 1.0, 3, playbacks)
    assert serialized(changed) == serialized(there)


def test_a_vector_of_another_model_is_refused(model):
    song = synthetic.synthesize_song(1, 4)
    with pytest.raises(ValueError, match=r"of this model: \[4\]. Received: \(5,\)"):
        model.apply_attribute(song, np.zeros(5))
