"""Windows are cut by the paper's rules."""

import numpy as np
import pytest
from musical import DRUMS, MELODY, TRIO, midi, part, play, song, time_signature, track

from magenta_vae.music import windows
from magenta_vae.music.songs import SongError, parse_song
from magenta_vae.music.tokens import Drums
from magenta_vae.music.window_format import WindowFormat
from magenta_vae.music.windows import check_metre, has_run, song_windows

HOLD, REST = 128, 129
WHOLE = "C4 -*15 "  # A note of one bar.


def cut(a_song, tracks=MELODY, num_bars=2):
    return list(song_windows(a_song, WindowFormat(tracks, num_bars)))


def reason(a_song, tracks=MELODY, num_bars=2):
    with pytest.raises(SongError) as error:
        cut(a_song, tracks, num_bars)
    return error.value


def test_a_window_a_bar():
    (found,) = cut(song("C4 -*15 D4 -*15 E4 -*15 F4 -*15"))
    assert found.num_cut == 3 and found.bars.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(found.tokens[:, 0, 0], [60, 62, 64])
    np.testing.assert_array_equal(found.tokens[:, 16, 0], [62, 64, 65])
    assert found.tokens.shape == (3, 32, 1) and found.tokens.dtype == np.int32


@pytest.mark.parametrize("num_bars, expected", [(1, 5), (2, 4), (4, 2), (5, 1)])
def test_song_bars_less_window_bars_plus_one(num_bars, expected):
    (found,) = cut(song(WHOLE * 5), num_bars=num_bars)
    assert found.num_cut == len(found.tokens) == expected


def test_the_last_bar_is_the_one_in_which_the_last_note_ends():
    assert song(WHOLE * 2).num_bars == 2  # Ends on the bar line: not in the third.
    assert song(WHOLE + "C4 -*16").num_bars == 3
    assert song("C4").num_bars == 1
    # The last note of any track counts, also of one that is not cut.
    (found,) = cut(song(WHOLE * 2, part(".*47 K")))
    assert found.num_cut == 2
    assert found.tokens[1, :, 0].tolist() == [60] + [HOLD] * 15 + [REST] * 16


def test_bars_are_counted_from_the_start_of_the_file():
    (found,) = cut(song(".*16 " + WHOLE * 2))
    assert found.bars.tolist() == [0, 1]
    assert found.tokens[0, :17, 0].tolist() == [REST] * 16 + [60]


def test_no_window_begins_with_a_hold():
    # The first note sounds four steps into the second bar: a rest there, in the second window.
    (found,) = cut(song("C4 -*19 D4 -*11 " + WHOLE))
    assert found.tokens[0, 16:20, 0].tolist() == [HOLD] * 4
    assert found.tokens[1, :5, 0].tolist() == [REST] * 4 + [62]


def test_random_songs_never_begin_with_a_hold():
    rng = np.random.default_rng(0)
    for _ in range(20):
        symbols = rng.choice(["C4", "E5", "-", "."], p=[0.1, 0.1, 0.7, 0.1], size=16 * 8)
        for found in cut(song("C4 " + " ".join(symbols))):
            tokens = found.tokens[:, :, 0]
            assert (tokens[:, 0] != HOLD).all()
            after_rest = tokens[:, 1:][tokens[:, :-1] == REST]
            assert (after_rest != HOLD).all()


def test_a_note_is_cut_at_the_end_of_the_window():
    (found,) = cut(song(WHOLE + "D4 -*31"))
    assert found.tokens[0, 16:, 0].tolist() == [62] + [HOLD] * 15
    # In the second window the note begins and has all of its length.
    assert found.tokens[1, :, 0].tolist() == [62] + [HOLD] * 31


@pytest.mark.parametrize("rests, kept", [(15, 1), (16, 1), (17, 0)])
@pytest.mark.parametrize("silent", range(3))
def test_one_bar_of_rests_is_kept_and_a_step_more_dropped_in_every_track(rests, kept, silent):
    lines = ["C4 " * 32, "C2 " * 32, "K " * 32]
    sound = lines[silent].split()[0] + " "
    lines[silent] = sound * 5 + f".*{rests} " + sound * (27 - rests)
    lead, bass, kit = lines
    (found,) = cut(song(lead, part(bass, program=33), kit), TRIO)
    assert found.num_cut == 1 and len(found.tokens) == kept


def test_the_rest_that_a_cut_note_leaves_counts():
    # Second window: 17 steps of a note from before, a rest there.
    (found,) = cut(song("C4 -*32 " + "D4 " * 15))
    assert found.bars.tolist() == [0]


def test_runs():
    masks = ["0000", "1111", "1011", "1101", "0110"]
    rows = np.array([[c == "1" for c in mask] for mask in masks])
    longest = np.array([0, 4, 2, 2, 2])
    for length in range(1, 7):
        assert has_run(rows, length).tolist() == (longest >= length).tolist()


@pytest.mark.parametrize("num_bars", [7, 8, 16])  # 128 steps: beyond the integers of a byte.
def test_a_bar_of_rests_before_the_last_step_is_no_more(num_bars):
    line = f"C4*{16 * num_bars - 17} .*16 D4"
    assert len(cut(song(part(line)), num_bars=num_bars)[0].bars) == 1
    assert not len(cut(song(part(line.replace("C4*", "C4 .*"))), num_bars=num_bars)[0].bars)


def test_a_trio_is_the_cross_product():
    leads = [part(WHOLE * 2, program=program) for program in (0, 31, 5)]
    basses = [part(WHOLE * 2, program=program) for program in (32, 39)]
    kits = [part("K*32"), part("S*32")]
    unused = part(WHOLE * 2, program=40)
    found = cut(song(*leads, unused, *basses, *kits), TRIO)
    assert [each.instruments for each in found] == [
        (lead, bass, kit) for lead in range(3) for bass in (4, 5) for kit in (6, 7)
    ]
    assert all(each.tokens.shape == (1, 32, 3) for each in found)
    assert found[0].tokens[0, 0].tolist() == [60, 60, 1]
    assert found[1].tokens[0, 0].tolist() == [60, 60, 2]


def test_every_melodic_instrument_is_a_melody():
    found = cut(song(WHOLE * 2, "K*32", part("E4*32", program=127)))
    assert [each.instruments for each in found] == [(0,), (2,)]


def test_two_tracks_of_one_kind():
    found = cut(song(WHOLE * 2, "E4*32"), MELODY * 2)
    assert [each.instruments for each in found] == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_a_kit_given_as_lists():  # As gin gives it.
    (found,) = cut(song("K . S . " * 8), [Drums(hit_pitches=[[38], [36]])])
    assert found.tokens[0, :4, 0].tolist() == [2, 0, 1, 0]


def test_too_short():
    error = reason(song(WHOLE * 3), num_bars=4)
    assert error.reason == "too short" and "4 bars, found 3" in error.detail


def test_no_such_track():
    error = reason(song(part(WHOLE * 2, program=40), "K*32"), TRIO)
    assert error.reason == "no lead track" and "programs [40]" in error.detail
    assert reason(song(WHOLE * 2), DRUMS).reason == "no drums track"
    assert reason(song("K*32"), MELODY).reason == "no melody track"


def test_too_many_combinations_are_refused_before_they_are_made(monkeypatch):
    tracks = [part(WHOLE * 2), part(WHOLE * 2, program=32), part("K*32")]
    copies = song(*[each for each in tracks for _ in range(200)])  # 8 million.
    assert reason(copies, TRIO).reason == "too many combinations"
    fits = song(*[each for each in tracks for _ in range(2)])
    monkeypatch.setattr(windows, "MAX_TOKENS", 8 * 32 * 3)
    assert len(cut(fits, TRIO)) == 8
    monkeypatch.setattr(windows, "MAX_TOKENS", 8 * 32 * 3 - 1)
    assert reason(fits, TRIO).reason == "too many combinations"


def test_metre():
    check_metre(song(WHOLE))
    check_metre(song(WHOLE, time_signatures=[(4, 4), (4, 4)]))
    for signature in [(3, 4), (6, 8), (2, 2), (8, 8), (4, 2), (0, 4), (12, 16)]:
        for signatures in ([signature], [(4, 4), signature], [signature, (4, 4)]):
            error = reason(song(WHOLE * 2, time_signatures=signatures))
            assert error.reason == "not 4/4"
            assert "{}/{}".format(*signature) in error.detail


def test_metre_of_files():
    tune = play(WHOLE * 2)
    assert cut(parse_song(midi(track(tune))))
    assert cut(parse_song(midi(track(time_signature(0, 4, 4), tune, time_signature(960, 4, 4)))))
    for tick in (0, 1, 1920, 3700, 3840, 1_000_000):
        for chunks in (
            [track(tune, time_signature(tick, 3, 4))],
            [track(tune), track(time_signature(tick, 3, 4))],
        ):
            if tick < 3840:
                assert reason(parse_song(midi(*chunks))).reason == "not 4/4"
            else:  # No bar stands under it.
                assert cut(parse_song(midi(*chunks)))


def test_counts_of_a_long_random_song():
    rng = np.random.default_rng(1)
    lines = [" ".join(rng.choice(["C3", "A4", "-", "."], size=16 * 40)) for _ in range(2)]
    for num_bars in (2, 16, 32):
        for found in cut(song(*[line + " C4" for line in lines]), num_bars=num_bars):
            assert found.num_cut == 41 - num_bars + 1
            assert len(found.bars) == len(found.tokens)
            assert not has_run(found.tokens[:, :, 0] == REST, 17).any()
