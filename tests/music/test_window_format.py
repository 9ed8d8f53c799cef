"""What every window is, as one value."""

import numpy as np
import pytest

from magenta_vae.data.settings import Settings
from magenta_vae.music import tokens
from magenta_vae.music.window_format import WindowFormat

TRIO = [tokens.Melody("lead", 0, 31), tokens.Melody("bass", 32, 39), tokens.Drums()]


def test_it_says_what_follows_from_tracks_and_bars():
    trio = WindowFormat(TRIO, 16)
    assert trio.tracks == tuple(TRIO)
    assert (trio.num_bars, trio.num_steps) == (16, 256)
    assert trio.num_classes == (130, 130, 512)
    assert trio.track_names == ("lead", "bass", "drums")


def test_windows_of_one_format_are_of_one_value():
    assert WindowFormat(TRIO, 2) == WindowFormat(tuple(TRIO), 2) != WindowFormat(TRIO, 4)
    assert Settings(TRIO, 2, max_rest_steps=3).window_format == WindowFormat(TRIO, 2)


def test_tokens_come_back():
    trio = WindowFormat(TRIO, 1)
    window = np.tile([129, 129, 0], (16, 1)).astype(np.int32)
    window[:3] = [[60, 40, 3], [128, 128, 0], [129, 41, 8]]
    music = trio.detokenize(window)
    assert [info.name for info in music.instrument_infos] == ["lead", "bass", "drums"]
    np.testing.assert_array_equal(trio.tokenize(music), window)


@pytest.mark.parametrize(
    ("tracks", "num_bars", "says"),
    [
        ([], 2, "tracks must name at least one vocabulary. Received: none"),
        (TRIO, 0, "num_bars must be a whole number of at least 1. Received: 0"),
        (TRIO, 2.0, "num_bars must be a whole number of at least 1. Received: 2.0"),
        (TRIO, "2", "num_bars must be a whole number of at least 1. Received: 2"),
    ],
)
def test_what_no_window_can_be_is_refused(tracks, num_bars, says):
    for make in (WindowFormat, Settings):
        with pytest.raises(ValueError, match=says):
            make(tracks, num_bars)
