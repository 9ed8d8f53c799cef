"""Posteriors of many windows: in batches, in files of NumPy's, on maps."""

import sys
import zipfile

import numpy as np
import pytest

from magenta_vae.inference import latent_files, latent_maps, latents
from magenta_vae.inference.latents import Latents, Windows

Z_SIZE = 3


class Counting:
    """A model that puts a window where its first tokens say, and remembers what it was given."""

    def __init__(self):
        self.sizes = []

    def posterior(self, tokens):
        self.sizes.append(len(tokens))
        mu = tokens[:, :Z_SIZE, 0].astype(np.float32)
        return mu, mu + 1


@pytest.fixture
def at_once(monkeypatch):
    monkeypatch.setattr(latents, "NUM_AT_ONCE", 4)


def make_windows(number=10, is_known=True):
    tokens = np.random.default_rng(0).integers(130, size=(number, 8, 1)).astype(np.uint8)
    if not is_known:
        return Windows(tokens)
    songs = np.arange(number, dtype=np.int32) // 3
    return Windows(tokens, songs, np.arange(number) % 3 + 1, ["ä.mid", "b.mid", "c.mid", "d.mid"])


def test_windows_are_encoded_a_few_at_a_time_in_their_order(at_once):
    model, windows = Counting(), make_windows()
    batches = list(latents.encode(model, windows))
    assert model.sizes == [4, 4, 2]
    mu, sigma, tokens, songs, bars = latents.join(batches)
    np.testing.assert_array_equal(mu, windows.tokens[:, :Z_SIZE, 0])
    np.testing.assert_array_equal(sigma, mu + 1)
    np.testing.assert_array_equal(tokens, windows.tokens)
    assert songs == [windows.paths[song] for song in windows.songs]
    assert bars.tolist() == windows.bars.tolist()


def test_songs_that_are_not_known_stay_so(at_once):
    _, _, _, songs, bars = latents.join(latents.encode(Counting(), make_windows(is_known=False)))
    assert songs is None and bars is None


def write(path, windows, **options):
    with latent_files.writing(path, **options) as file:
        for batch in latents.encode(Counting(), windows):
            file.add(batch)
    return np.load(path)


def test_a_file_holds_each_window_with_its_song_and_bar(at_once, tmp_path):
    windows = make_windows()
    written = write(tmp_path / "new" / "z.npz", windows)
    assert sorted(written) == ["bar", "mu", "sigma", "song", "songs"]
    np.testing.assert_array_equal(written["mu"], windows.tokens[:, :Z_SIZE, 0])
    assert written["sigma"].dtype == np.float32 and written["song"].dtype == np.int32
    assert written["songs"][written["song"]].tolist() == [windows.paths[i] for i in windows.songs]
    assert written["bar"].tolist() == windows.bars.tolist()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["z.npz"]


def test_tokens_are_kept_by_request_and_songs_where_they_are_known(at_once, tmp_path):
    windows = make_windows(is_known=False)
    written = write(tmp_path / "z.npz", windows, tokens=True)
    assert sorted(written) == ["mu", "sigma", "tokens"]
    np.testing.assert_array_equal(written["tokens"], windows.tokens)
    assert written["tokens"].dtype == np.uint8


def test_the_same_windows_give_the_same_bytes_in_any_batches(at_once, tmp_path, monkeypatch):
    write(tmp_path / "one.npz", make_windows())
    monkeypatch.setattr(latents, "NUM_AT_ONCE", 3)
    write(tmp_path / "two.npz", make_windows())
    one, two = ((tmp_path / f"{name}.npz").read_bytes() for name in ("one", "two"))
    assert one == two
    assert zipfile.ZipFile(tmp_path / "one.npz").testzip() is None


def test_what_is_broken_off_leaves_nothing_and_the_old_file(tmp_path):
    path = tmp_path / "z.npz"
    path.write_text("what was there")
    with pytest.raises(KeyboardInterrupt), latent_files.writing(path) as file:
        file.add(next(latents.encode(Counting(), make_windows())))
        raise KeyboardInterrupt
    assert path.read_text() == "what was there"
    assert list(tmp_path.iterdir()) == [path]


def draw(sizes, number, seed=0):
    drawn, first = latent_maps.Drawn(number, seed), 0
    for size in sizes:
        places = np.arange(first, first + size, dtype=np.float32)
        drawn.add(Latents(places[:, None], places[:, None], places[:, None, None], None, None))
        first += size
    return drawn


def test_windows_are_drawn_evenly_whatever_the_batches():
    drawn = draw([40, 1, 59], 20)
    assert drawn.num_seen == 100 and len(drawn.mu) == 20
    np.testing.assert_array_equal(drawn.mu, draw([100], 20).mu)
    np.testing.assert_array_equal(drawn.mu[:, 0], drawn.tokens[:, 0, 0])
    assert draw([3, 2], 20).mu[:, 0].tolist() == [0, 1, 2, 3, 4]
    times = np.bincount(
        np.concatenate([draw([7, 13], 5, seed).mu[:, 0] for seed in range(400)]).astype(int)
    )
    assert len(times) == 20 and times.min() > 70 and times.max() < 130  # 100 each


def test_principal_components_are_the_directions_of_most_variance():
    rng = np.random.default_rng(0)
    scales = np.array([0.1, 5.0, 0.2, 2.0])
    mu = (rng.normal(size=(500, 4)) * scales + 7).astype(np.float32)
    points = latent_maps.project(mu)
    first, second = points.places.T
    assert abs(np.corrcoef(first, mu[:, 1])[0, 1]) > 0.99
    assert abs(np.corrcoef(second, mu[:, 3])[0, 1]) > 0.99
    assert points.places.mean() == pytest.approx(0, abs=1e-6)
    share = mu[:, 1].var() / mu.var(axis=0).sum()
    assert points.labels[0] == f"principal component 1: {share:.1%} of the variance"
    np.testing.assert_allclose(latent_maps.project(-mu).places, -points.places, atol=1e-4)


def test_a_map_of_means_that_do_not_differ_is_a_point():
    points = latent_maps.project(np.ones([5, 2], np.float32))
    assert not points.places.any() and "0.0%" in points.labels[0]


def test_too_few_windows_and_a_missing_package_are_said(monkeypatch):
    with pytest.raises(ValueError, match="at least 3 windows. Received: 2"):
        latent_maps.project(np.zeros([2, 4]))
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(ValueError, match=r"--method=umap needs .* 'magenta_vae\[umap\]'"):
        latent_maps.project(np.zeros([5, 4]), latent_maps.UMAP)


def test_umap_has_a_seed_and_the_plane(monkeypatch):
    class Reducer:
        def __init__(self, n_neighbors, random_state, n_jobs):
            assert (n_neighbors, random_state, n_jobs) == (4, 9, 1)

        def fit_transform(self, mu):
            return mu[:, :2]

    monkeypatch.setitem(sys.modules, "umap", type("umap", (), {"UMAP": Reducer}))
    points = latent_maps.project(np.arange(15.0).reshape(5, 3), latent_maps.UMAP, seed=9)
    assert points.labels == ("UMAP 1", "UMAP 2") and points.places.shape == (5, 2)


def test_a_map_has_a_point_for_each_window_grey_without_a_value():
    mu = np.random.default_rng(0).normal(size=(9, 4))
    values = np.array([np.nan, *range(8)])
    figure = latent_maps.draw(latent_maps.project(mu), values, "notes", "nine windows")
    axes, colors = figure.axes
    grey, colored = axes.collections
    assert (len(grey.get_offsets()), len(colored.get_offsets())) == (1, 8)
    assert colors.get_ylabel() == "notes"
    assert axes.get_xlabel().startswith("principal component 1: ")
    nothing = latent_maps.draw(latent_maps.project(mu), np.full(9, np.nan), "notes", "none")
    assert len(nothing.axes[0].collections[0].get_offsets()) == 9
