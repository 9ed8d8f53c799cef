"""What TensorBoard is given to show and play, read back from the files that hold it."""

import io
import wave

import numpy as np
import pytest
import tensorflow as tf
from musical import DRUMS, MELODY, TRIO, sequence

from magenta_vae.music import audio, plots
from magenta_vae.music import tokens as music_tokens
from magenta_vae.music.window_format import WindowFormat
from magenta_vae.training.media import Media
from magenta_vae.training.summaries import DOTS_PER_INCH, Summaries, describe_run

RATE_HZ = 8_000


class Echo:
    """A trained model that reconstructs what it is given and samples one window of its own."""

    def __init__(self, tracks, num_bars, z_size=3):
        self.window_format = WindowFormat(tracks, num_bars)
        self.z_size = z_size
        self.calls = []
        rests = [track.rest for track in tracks]
        tokens = np.tile(rests, (16 * num_bars, 1))
        tokens[::4] = [36 if track.is_drum else 60 for track in tracks]
        self._window = music_tokens.detokenize(tokens, tracks)

    def sample(self, num_samples, temperature, seed):
        self.calls.append(("sample", num_samples, temperature, seed))
        return [self._window] * num_samples

    def reconstruct(self, music, temperature, seed):
        self.calls.append(("reconstruct", len(music), temperature, seed))
        return list(music)

    def interpolate(self, start, end, num_steps, temperature, seed):
        self.calls.append(("interpolate", num_steps, temperature, seed))
        return [start, *[self._window] * (num_steps - 2), end]

    def posterior(self, tokens):
        mu = np.zeros([len(tokens), self.z_size], np.float32)
        mu[:, 0] = np.arange(len(tokens))  # The one active unit.
        return mu, np.ones_like(mu)


def held_out(tracks, num_bars, num_windows=9):
    """Returns windows whose first note is higher from one to the next."""
    tokens = np.full([num_windows, 16 * num_bars, len(tracks)], [track.rest for track in tracks])
    tokens[:, 0] = np.arange(num_windows)[:, None] + 48
    return tokens.astype(np.int32)


def held_out_music(tracks, num_bars):
    return [music_tokens.detokenize(window, tracks) for window in held_out(tracks, num_bars)]


def write(media, folder, step=7):
    """Returns what a call of Media writes, tag -> summary value."""
    with Summaries(str(folder)).writing("eval", step):
        media()
    return read(folder / "eval", step)


def read(folder, expected_step):
    (path,) = folder.glob("events*")
    values = {}
    for event in tf.compat.v1.train.summary_iterator(str(path)):
        for value in event.summary.value:
            assert event.step == expected_step
            assert value.tag not in values  # Of one tag TensorBoard shows one kind.
            values[value.tag] = value
    return values


def images(values, tag):
    """Returns uint8 [height, width, 3] of the one image of a tag."""
    width, height, *encoded = tf.make_ndarray(values[tag].tensor)
    (picture,) = (tf.io.decode_png(each).numpy() for each in encoded)
    assert picture.shape == (int(height), int(width), 3)
    return picture


def clips(values, tag):
    """Returns the samples of each clip of a tag."""
    found = []
    for encoded, _ in tf.make_ndarray(values[tag].tensor):
        with wave.open(io.BytesIO(encoded)) as file:
            assert file.getframerate() == RATE_HZ
            found.append(np.frombuffer(file.readframes(file.getnframes()), "<i2"))
    return found


PICTURES = {f"pictures/{name}" for name in ("sample", "reconstruction", "interpolation")}
SOUNDS = {f"sound/{name}" for name in ("sample", "reconstruction", "original")}
LATENT = {
    f"latent/{name}"
    for name in ("active_units", "used_dimensions", "mu", "sigma", "kl", "kl_by_dimension")
}


@pytest.mark.parametrize(
    ("tracks", "num_bars", "num_windows", "num_steps", "num_clips", "seconds"),
    [
        (MELODY, 2, 4, 7, 2, 4),
        (DRUMS, 2, 4, 7, 2, 4),
        (TRIO, 16, 2, 3, 1, 10),  # 32 bars a row; one clip of 32 seconds, cut
        (MELODY, 32, 1, 3, 1, 10),
    ],
)
def test_long_windows_are_shown_in_smaller_numbers_and_cut(
    tmp_path, tracks, num_bars, num_windows, num_steps, num_clips, seconds
):
    model = Echo(tracks, num_bars)
    media = Media(model, held_out(tracks, num_bars), sample_rate_hz=RATE_HZ, seed=5)
    values = write(media, tmp_path)
    assert values.keys() == PICTURES | SOUNDS | LATENT
    assert model.calls == [
        ("sample", max(num_windows, num_clips), 0.5, 5),
        ("reconstruct", max(num_windows, num_clips), 0.5, 5),
        ("interpolate", num_steps, 0.5, 5),
    ]
    shown = held_out_music(tracks, num_bars)[:num_windows]
    figures = {
        "sample": plots.draw_rows({"sampled": shown}, width_inches=5),
        "reconstruction": plots.draw_rows({"a": shown, "b": shown}, width_inches=5),
        "interpolation": plots.draw_interpolation(shown[:1] * num_steps, width_inches=5),
    }
    for name, figure in figures.items():
        picture = images(values, f"pictures/{name}")
        # Not its height, where pitches differ.
        assert picture.shape[1] == int(figure.get_figwidth() * DOTS_PER_INCH) < 3_000
        assert np.unique(picture).size > 20
    for tag in SOUNDS:
        played = clips(values, tag)
        assert len(played) == num_clips
        for clip in played:
            assert len(clip) == (seconds + audio.TAIL_SECONDS) * RATE_HZ
            assert np.abs(clip).max() > 1_000


def test_a_clip_is_the_window_it_says(tmp_path):
    media = Media(Echo(MELODY, 2), held_out(MELODY, 2), sample_rate_hz=RATE_HZ)
    values = write(media, tmp_path)
    # Of nine windows, from note 48 up, the four shown are 0, 2, 5 and 8; the first two are played.
    for clip, first in zip(clips(values, "sound/original"), ("C3", "D3"), strict=True):
        expected = audio.synthesize(sequence(f"{first} .*31"), RATE_HZ)
        loudest = [np.abs(np.fft.rfft(each[:4000])).argmax() for each in (clip, expected)]
        assert loudest[0] == loudest[1]


def test_the_latent_space_is_measured_on_all_windows(tmp_path):
    values = write(Media(Echo(MELODY, 2), held_out(MELODY, 2), num_clips=0), tmp_path)
    assert tf.make_ndarray(values["latent/active_units"].tensor) == 1
    assert tf.make_ndarray(values["latent/used_dimensions"].tensor) == 1
    buckets = tf.make_ndarray(values["latent/mu"].tensor)  # [buckets, (left, right, count)]
    assert buckets[:, 2].sum() == 9 * 3
    assert buckets[-1, 1] == 8
    buckets = tf.make_ndarray(values["latent/kl"].tensor)
    assert buckets[-1, 1] == pytest.approx(np.mean(np.arange(9) ** 2) / 2)


def test_a_baseline_has_samples_only(tmp_path):
    values = write(
        Media(Echo(TRIO, 16, z_size=0), held_out(TRIO, 16), sample_rate_hz=RATE_HZ), tmp_path
    )
    assert values.keys() == {"pictures/sample", "sound/sample"}


def test_what_is_switched_off_is_not_made(tmp_path):
    model = Echo(MELODY, 2)
    off = {"num_windows": 0, "num_interpolation_steps": 0, "num_clips": 0}
    assert write(Media(model, held_out(MELODY, 2), **off), tmp_path).keys() == LATENT
    assert model.calls == []


def test_originals_are_played_once_and_everything_else_is_the_same_again(tmp_path):
    media = Media(Echo(MELODY, 2), held_out(MELODY, 2), sample_rate_hz=RATE_HZ)
    first, again = write(media, tmp_path / "a"), write(media, tmp_path / "b")
    assert first.keys() - again.keys() == {"sound/original"}
    assert all(first[tag] == value for tag, value in again.items())


def test_one_held_out_window_is_enough(tmp_path):
    values = write(Media(Echo(MELODY, 2), held_out(MELODY, 2, 1), num_clips=0), tmp_path)
    assert values.keys() > PICTURES


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_windows": -1}, "at least 0.*Received: -1, 7, 2, 10.0, 0.5"),
        ({"max_seconds": 0}, "above 0. Received: 4, 7, 2, 0, 0.5"),
        ({"temperature": 0}, "above 0. Received: 4, 7, 2, 10.0, 0"),
        ({"sample_rate_hz": 4_000}, "sample_rate_hz must be in 8,000-96,000. Received: 4,000"),
    ],
)
def test_options_that_cannot_be_are_refused_before_a_step_is_taken(options, message):
    with pytest.raises(ValueError, match=message):
        Media(Echo(MELODY, 2), held_out(MELODY, 2), **options)


def test_a_run_is_described_once_with_its_configuration_and_hyperparameters(tmp_path):
    run_dir = tmp_path / "run_1"
    for z_size in (8, 9):
        describe_run(str(run_dir), "# A file\nz_size = 8", {"z_size": z_size, "beta": "Constant"})
    values = read(run_dir / "eval", expected_step=0)
    assert tf.make_ndarray(values["config.gin"].tensor) == b"    # A file\n    z_size = 8"
    content = values["_hparams_/session_start_info"].metadata.plugin_data.content
    assert b"z_size" in content and b"Constant" in content and b"run_1 in " in content
