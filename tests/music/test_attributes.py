"""The five attributes: by hand, and by what must not change them."""

import numpy as np
import pytest
from musical import DRUMS, MELODY, TRIO, part, sequence

from magenta_vae.music import attributes, tokens

REST = 129


def window(text, tracks=MELODY):
    """Returns one bar of one track: [1, 16, 1]."""
    return tokens.tokenize(sequence(part(text)), tracks, 16)[None]


def measure(name, text, tracks=MELODY):
    return attributes.measure(window(text, tracks), tracks)[name][0]


def test_average_interval():
    assert measure("average_interval", "C4 E4 - . D4 .*11") == 3.0  # (4 + 2) / 2, over a rest
    assert measure("average_interval", "C4 C4 C5 .*13") == 6.0  # (0 + 12) / 2
    assert np.isnan(measure("average_interval", ".*7 C4 .*8"))
    assert np.isnan(measure("average_interval", ".*16"))


def test_eighth_syncopation():
    # Onsets at 0, 2 and 6: 2 follows the quarter at 0, 6 follows none at 4.
    assert measure("eighth_syncopation", "C4 . C4 . . . C4 .*9") == 1 / 3
    assert measure("eighth_syncopation", "C4 . . . C4 . C4 .*9") == 0.0
    assert measure("eighth_syncopation", ". . C4 .*13") == 1.0
    assert measure("eighth_syncopation", "C4 - C4 -*13") == 0.0  # a quarter that sounds is an onset
    assert measure("eighth_syncopation", ". C4 C4 .*13") == 0.5  # the sixteenth between is no beat
    assert measure("eighth_syncopation", ". . K .*5 S .*7", DRUMS) == 0.5
    assert np.isnan(measure("eighth_syncopation", ".*16"))


def test_sixteenth_syncopation():
    # Onsets at 1, 2 and 3: 1 follows silence, 3 follows 2.
    assert measure("sixteenth_syncopation", ". C4 C4 C4 .*12") == 1 / 3
    assert measure("sixteenth_syncopation", "C4 C4 . . C4 . C4 .*9") == 0.0
    assert measure("sixteenth_syncopation", ". . . K . S .*10", DRUMS) == 1.0
    assert np.isnan(measure("sixteenth_syncopation", ".*16", DRUMS))


def test_the_end_of_a_window_does_not_precede_its_beginning():
    # An onset on the last step, and the first steps syncopated all the same.
    assert measure("sixteenth_syncopation", ". C4 .*13 C4") == 1.0
    assert measure("eighth_syncopation", ". . C4 .*11 C4 .") == 1.0


def test_density_and_range_are_the_statistics():
    assert measure("note_density", "C4 - E4 . C5 .*11") == 3.0
    assert measure("pitch_range", "C4 - E4 . C5 .*11") == 12.0


@pytest.mark.parametrize("dtype", [np.uint8, np.int32])
def test_transposition_changes_none(dtype):
    rng = np.random.default_rng(0)
    music = rng.integers(40, 80, size=(50, 32, 1))
    music = np.where(rng.random(music.shape) < 0.6, REST, music)
    shifted = np.where(music < 128, music + 7, music).astype(dtype)
    before = attributes.measure(music, MELODY)
    assert list(before) == list(attributes.ATTRIBUTES)
    for name, values in attributes.measure(shifted, MELODY).items():
        np.testing.assert_array_equal(values, before[name], err_msg=name)
        assert len(np.unique(values)) > 5, name


def test_the_first_melody_is_chosen_unless_another_track_is_named():
    lead, bass, drums = ("C4 . E4 .*13", "C2 .*15", "K .*3 S .*11")
    parts = [part(lead), part(bass, 33), part(drums)]
    music = tokens.tokenize(sequence(*parts), TRIO, 16)[None]
    assert attributes.measure(music, TRIO)["note_density"] == 2
    assert attributes.measure(music, TRIO, "bass")["note_density"] == 1
    assert list(attributes.measure(music, TRIO, "drums")) == [
        "note_density", "eighth_syncopation", "sixteenth_syncopation",
    ]  # fmt: skip
    assert attributes.choose_track(TRIO[::-1]) == 1  # drums, bass, lead
    assert attributes.choose_track(DRUMS) == 0
    with pytest.raises(ValueError, match="one of: lead, bass, drums. Received: viola"):
        attributes.choose_track(TRIO, "viola")
