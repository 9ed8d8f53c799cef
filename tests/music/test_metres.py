"""Time signatures: which of them bars stand under, and what is taken as 4/4 by request."""

import pytest
from musical import MELODY, midi, play, song, time_signature, track

from magenta_vae.music import metres
from magenta_vae.music.metres import Signature
from magenta_vae.music.note_sequences import note_sequence_to_song, song_to_note_sequence
from magenta_vae.music.songs import SongError, parse_song
from magenta_vae.music.window_format import WindowFormat
from magenta_vae.music.windows import in_common_time, song_windows

WHOLE = "C4 -*15 D4 -*15 E4 -*15 F4 -*15"


def read(*signatures, text=WHOLE):
    """Returns the song of a file with time signatures at steps."""
    events = [time_signature(120 * step, n, d) for step, n, d in signatures]
    return parse_song(midi(track(events, play(text))))


def starts(a_song):
    return a_song.instruments[0].starts.tolist()


@pytest.mark.parametrize("taken", ["1/4", "2/4", "2/2", "1/8", "8/8"])
def test_a_metre_throughout(taken):
    metre = metres.parse_name(taken)
    given = read((0, *metre))
    with pytest.raises(SongError, match=f"not 4/4: found a {taken}"):
        in_common_time(given)
    with pytest.raises(SongError, match=f"not 4/4: found a {taken}"):
        in_common_time(given, [(3, 16), (4, 4)])
    found = in_common_time(given, [metre])
    assert found.time_signatures == ((4, 4),) and starts(found) == [0, 16, 32, 48]
    assert next(song_windows(found, WindowFormat(MELODY, 2))).num_cut == 3


@pytest.mark.parametrize(
    "wrong", ["", "4", "4/2", "3/4", "6/8", "5/4", "0/4", "4/0", "1/32", "a/b", "-1/4"]
)
def test_what_makes_no_bar_of_4_4(wrong):
    with pytest.raises(ValueError, match="make up a bar of 4/4"):
        metres.parse_name(wrong)


def test_a_song_in_4_4_is_itself():
    for given in (read(), read((0, 4, 4)), read((0, 4, 4), (16, 4, 4))):
        assert in_common_time(given, [(1, 4)]) is given


QUARTERS, HALVES = (1, 4), (2, 4)


def test_what_comes_before_the_first_bar_goes_to_the_end_of_one():
    upbeats = "G3 -*3 A3 -*3 B3 -*3 " + WHOLE
    found = in_common_time(read((0, 1, 4), (12, 4, 4), text=upbeats), [QUARTERS])
    assert starts(found) == [4, 8, 12, 16, 32, 48, 64]
    # One bar of 1/4, which is not taken as anything, before bars of 2/4.
    found = in_common_time(read((0, 1, 4), (4, 2, 4), text="G3 -*3 " + WHOLE), [HALVES])
    assert starts(found) == [4, 8, 24, 40, 56]


def test_bars_that_begin_off_the_bar_lines():
    odd = read((0, 4, 4), (16, 2, 4), (24, 4, 4))
    with pytest.raises(SongError, match="not 4/4: 4/4 begins 8 sixteenths after a bar line"):
        in_common_time(odd, [HALVES])
    even = in_common_time(read((0, 4, 4), (16, 2, 4), (32, 4, 4)), [HALVES])
    assert starts(even) == [0, 16, 32, 48]


def test_where_signatures_stand_must_be_known():
    with pytest.raises(SongError, match="not 4/4: it is not known"):
        in_common_time(song(WHOLE, time_signatures=[(2, 4)]), [HALVES])


def test_signatures_go_through_note_sequences():
    for given in (read((0, 4, 4), (16, 3, 4)), read((0, 1, 4)), read()):
        back = note_sequence_to_song(song_to_note_sequence(given))
        assert back.signatures == (given.signatures or [Signature(0, (4, 4))])
    unknown = song(WHOLE, time_signatures=[(3, 4), (4, 4)])
    assert (3, 4) in note_sequence_to_song(song_to_note_sequence(unknown)).time_signatures


def test_signatures_without_a_bar():
    def kept(*signatures, last=64):
        given = [Signature(step, (n, d)) for step, n, d in signatures]
        found, shift = metres.settle(given, last)
        return [(each.step, *each.metre) for each in found], shift

    assert kept((0, 3, 4), (0, 4, 4)) == ([(0, 4, 4)], 0)
    assert kept((0, 4, 4), (64, 3, 4), (80, 6, 8)) == ([(0, 4, 4)], 0)
    assert kept((0, 3, 4), (0, 6, 8), (0, 4, 4), last=0) == ([], 0)
    assert kept((0, 3, 4), (24, 4, 4)) == ([(0, 3, 4), (24, 4, 4)], 0)  # Two bars: no pick-up.
    assert kept((0, 3, 4), (12, 4, 4)) == ([(16, 4, 4)], 4)
    assert kept((0, 3, 4), (4, 4, 4)) == ([(16, 4, 4)], 12)  # A bar that is cut short.
    assert kept((0, 6, 4), (16, 4, 4)) == ([(0, 6, 4), (16, 4, 4)], 0)
    assert kept((0, 1, 4), (4, 4, 4), (52, 3, 4)) == ([(16, 4, 4)], 12)  # The rest of the bar.
    assert kept((0, 1, 4), (4, 4, 4), (52, 2, 4))[0] == [(16, 4, 4), (64, 2, 4)]
    assert kept((0, 4, 4), (48, 3, 4))[0] == [(0, 4, 4), (48, 3, 4)]
    assert kept((0, 0, 4), (0, 4, 0), last=9)[0] == [(0, 4, 0)]
