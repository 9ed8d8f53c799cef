"""Windows of data sets and of music, encoded: as a file, a map, and for the projector."""

import numpy as np
import pytest

import magenta_vae
from magenta_vae import configuration
from magenta_vae.data import provenance
from magenta_vae.data.provenance import Provenance
from magenta_vae.inference import latents
from magenta_vae.music import attributes, note_sequences, synthetic
from magenta_vae.music.songs import SongError
from magenta_vae.training import projector
from magenta_vae.workflows import encoding, runs, training

SHOWN = ["media.Media.num_clips = 0", "media.Media.num_windows = 0"]


@pytest.fixture(scope="module")
def run_dir(data_dirs, tmp_path_factory):
    """A run of a step, which shows what it does."""
    folder = str(tmp_path_factory.mktemp("runs") / "tiny")
    bindings = [*SHOWN, "media.Media.num_interpolation_steps = 0", "loop.train.show_every = 1"]
    configured = configuration.parse(["mel_2bar.gin", "scale/tiny.gin"], bindings)
    training.train(configured, folder, data_dirs["mel_2bar"], 1)
    return folder


@pytest.fixture
def known(monkeypatch):
    """Two songs, of which the windows of any data set are in turn."""

    def read(data_dir, split, num_windows):
        songs = np.arange(num_windows, dtype=np.int32) % 2
        return Provenance(songs, np.arange(num_windows, dtype=np.int32), ["a.mid", "b.mid"])

    monkeypatch.setattr(provenance, "read", read)


@pytest.fixture
def unknown(monkeypatch):
    monkeypatch.setattr(provenance, "read", lambda *_: None)


def test_a_model_encodes_a_data_set(run_dir, data_dirs, known):
    model = magenta_vae.load(run_dir)
    windows = runs.open(run_dir).windows("eval")
    for place in (None, data_dirs["mel_2bar"]):
        mu, sigma, tokens, songs, bars = latents.join(model.encode_dataset(place))
        np.testing.assert_array_equal(tokens, windows)
        np.testing.assert_allclose([mu, sigma], model.posterior(windows), rtol=1e-5)
        assert songs[:3] == ["a.mid", "b.mid", "a.mid"] and bars[:3].tolist() == [1, 2, 3]
    assert len(next(model.encode_dataset(split="train")).mu) <= latents.NUM_AT_ONCE


def test_a_file_and_a_map_of_a_data_set(run_dir, tmp_path, known):
    lines, run = [], runs.open(run_dir)
    output, picture = str(tmp_path / "z.npz"), str(tmp_path / "map.png")
    encoding.encode(run, output=output, map_path=picture, color="pitch_range", report=lines.append)
    written, windows = np.load(output), run.windows("eval")
    assert written["mu"].shape == (len(windows), run.network.z_size)
    assert written["songs"].tolist() == ["a.mid", "b.mid"]
    assert lines[0].startswith(f"wrote {output}: {len(windows):,} windows of 2 songs of eval of")
    assert "% of the variance" in lines[1]
    assert (tmp_path / "map.png").read_bytes()[:4] == b"\x89PNG"


def test_a_data_set_without_songs_says_so(run_dir, tmp_path, unknown):
    lines = []
    output = str(tmp_path / "z.npz")
    encoding.encode(runs.open(run_dir), output=output, tokens=True, report=lines.append)
    assert sorted(np.load(output)) == ["mu", "sigma", "tokens"]
    assert lines[0].endswith("The data set does not say which song a window is of")


@pytest.fixture
def songs(tmp_path):
    """A folder of two songs and what is none."""
    folder = tmp_path / "songs"
    folder.mkdir()
    for number in range(2):
        song = synthetic.synthesize_song(number, num_bars=8)
        note_sequences.write_midi(song, folder / f"{number}.mid")
    (folder / "broken.mid").write_bytes(b"nothing")
    return folder


def test_every_bar_of_music_begins_a_window(run_dir, songs, tmp_path):
    lines, run = [], runs.open(run_dir)
    output = str(tmp_path / "z.npz")
    encoding.encode(run, music=[str(songs)], output=output, tokens=True, report=lines.append)
    written = np.load(output)
    assert written["songs"].tolist() == [str(songs / f"{number}.mid") for number in range(2)]
    assert set(written["bar"]) == set(range(1, 8))  # Of 8 bars, 2 of them a window.
    model = run.model(polyphony="highest")
    for number, song in enumerate(written["songs"]):
        reading = model.read(str(song))  # Windows that do not overlap, of the first instrument.
        z = model.encode(reading)
        for window, tokens, mu in zip(reading.windows, reading.tokens, z, strict=True):
            rows = (written["song"] == number) & (written["bar"] == window.first_bar)
            (row,) = np.flatnonzero(rows & (written["tokens"] == tokens).all(axis=(1, 2)))
            np.testing.assert_allclose(written["mu"][row], mu, rtol=1e-4, atol=1e-6)
    assert lines[0] == "left out 1 of 3 pieces:" and "not MIDI" in lines[1]


def test_music_that_does_not_fit_is_refused(run_dir, songs, tmp_path):
    with pytest.raises(SongError, match="none of 1 pieces fits"):
        encoding.encode(
            runs.open(run_dir), music=[str(songs / "broken.mid")], output=str(tmp_path / "z.npz")
        )
    assert not (tmp_path / "z.npz").exists()


def test_an_attribute_that_there_is_not_is_refused_before_the_work(run_dir):
    with pytest.raises(ValueError, match="--color must be one of: note_density, .*: brightness"):
        encoding.encode(runs.open(run_dir), color="brightness", map_path="map.png")


def test_training_ends_with_the_projector(run_dir, data_dirs, known):
    run = runs.open(run_dir)
    windows = run.windows("eval")
    folder = f"{run_dir}/eval"
    shown = np.loadtxt(f"{folder}/{projector.VECTORS}", ndmin=2)
    np.testing.assert_allclose(shown, run.model().encode_tokens(windows), rtol=1e-3, atol=1e-4)
    encoding.show_in_projector(run_dir, run.model(), windows, data_dirs["mel_2bar"])
    with open(f"{folder}/{projector.METADATA}", encoding="utf-8") as file:
        rows = [line.rstrip("\n").split("\t") for line in file]
    assert rows[0] == ["song", "bar", *attributes.ATTRIBUTES]
    assert [row[:2] for row in rows[1:4]] == [["a.mid", "1"], ["b.mid", "2"], ["a.mid", "3"]]
    density = attributes.measure(windows, run.settings.window_format.tracks)["note_density"]
    np.testing.assert_allclose([float(row[2]) for row in rows[1:]], density, rtol=1e-4)
