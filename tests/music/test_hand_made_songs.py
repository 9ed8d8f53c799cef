"""Hand-made files -> the tokens of their windows, through each of the MIDI readers."""

import numpy as np
import pytest
from musical import (
    DRUMS,
    MELODY,
    key_signature,
    meta,
    midi,
    note_off,
    note_on,
    play,
    program_change,
    raw_track,
    tempo,
    time_signature,
    track,
)

from magenta_vae.music import readers
from magenta_vae.music.songs import SongError
from magenta_vae.music.window_format import WindowFormat
from magenta_vae.music.windows import song_windows

HOLD, REST = 128, 129
BAR = "C4 -*15 "
REPEATED = "C4 . E4 -*5 G4 -*3 . . . ."


@pytest.fixture(params=readers.MIDI_READERS)
def cut(request):
    """Returns a function: MIDI bytes -> tokens [steps] of each window of each instrument."""

    def cut(data, tracks=MELODY, num_bars=1):
        song = readers.parse_music(data, request.param)
        return [
            window[:, 0].tolist()
            for part in song_windows(song, WindowFormat(tracks, num_bars))
            for window in part.tokens
        ]

    cut.reader = request.param
    return cut


def tokens(text):
    """Returns the tokens of a line: 'C4 - .' is [60, 128, 129]."""
    song = readers.parse_music(midi(track(play(text), play(".*15 K"))))
    (window,) = song_windows(song, WindowFormat(MELODY, 1))
    return window.tokens[0, :, 0].tolist()


def test_tempo_changes_inside_a_bar(cut):
    tempos = [tempo(tick, qpm) for tick, qpm in [(0, 61), (70, 233), (500, 47.3), (1441, 180)]]
    assert cut(midi(track(tempos, play(REPEATED * 1)), track(play(".*15 K")))) == [tokens(REPEATED)]


@pytest.mark.parametrize("qpm", [7, 33.3, 120, 299.9])
@pytest.mark.parametrize("division", [24, 96, 220, 480, 1000])
def test_any_resolution_and_tempo(cut, division, qpm):
    # Ends a tick early, as players' notes do; on steps that every division holds to the tick.
    ticks = division // 4
    events = [note_on(4 * ticks, 60), note_off(8 * ticks - 1, 60)]
    events += [note_on(12 * ticks, 64), note_off(16 * ticks, 64)]
    data = midi(track(tempo(0, qpm), *events), division=4 * ticks)
    assert cut(data) == [tokens(".*4 C4 -*3 .*4 E4 -*3")]


def test_a_note_across_the_border_of_a_window(cut):
    data = midi(track(play(".*8 C4 -*15 E4 -*7")))
    assert cut(data) == [
        [REST] * 8 + [60] + [HOLD] * 7,
        [REST] * 8 + [64] + [HOLD] * 7,
    ]


def test_overlapping_notes(cut):
    """The later onset ends the sounding note, which does not come back."""
    data = midi(track(play("C4 -*15"), play(".*4 E4 -*3 .*8")))
    assert cut(data) == [[60] + [HOLD] * 3 + [64] + [HOLD] * 3 + [REST] * 8]


def test_notes_on_the_same_step(cut):
    # A chord, broken within a step: 59 ticks are nearer to the step than to the next.
    data = midi(track(note_on(0, 64), note_on(20, 67), note_on(59, 60),
                      [note_off(480, p) for p in (60, 64, 67)]), track(play(".*15 K")))  # fmt: skip
    assert cut(data) == [[67] + [HOLD] * 3 + [REST] * 12]


def test_equal_pitches_one_after_another_on_one_tick(cut):
    data = midi(track(play("C4 C4 C4 -*13")))
    assert cut(data) == [[60, 60, 60] + [HOLD] * 13]


def test_running_status(cut):
    body = b"\x00\x90\x3c\x50" + b"\x78\x3c\x00" + b"\x00\x3e\x50" + b"\x8e\x08\x3e\x00"
    assert cut(midi(raw_track(body + b"\x00\xff\x2f\x00"))) == [[60, 62] + [HOLD] * 14]


def test_several_tracks_on_one_channel(cut):
    """Each is an instrument: they are not mixed into one line."""
    data = midi(track(play(BAR, channel=3)), track(play("E4 -*15", channel=3)))
    assert cut(data) == [[60] + [HOLD] * 15, [64] + [HOLD] * 15]


def test_a_program_change_within_a_track(cut):
    changed = [program_change(960, 40), note_on(960, 64), note_off(1920, 64)]
    data = midi(track(play("C4 -*7"), changed))
    assert cut(data) == [[60] + [HOLD] * 7 + [REST] * 8, [REST] * 8 + [64] + [HOLD] * 7]


def test_drums_outside_channel_ten_are_a_melody(cut):
    data = midi(track(play("K . S . K . S . .*8", channel=0)), track(play(".*15 H")))
    assert cut(data)[0][:4] == [36, REST, 38, REST]
    assert cut(data, DRUMS) == [[0] * 15 + [4]]


def test_pitches_outside_the_nine_classes_are_no_hit(cut):
    other = [note_on(480, 20, 9), note_off(600, 20, 9)]
    data = midi(track(other, play("K*3 .*9 S .*3")))
    assert cut(data, DRUMS) == [[1, 1, 1] + [0] * 9 + [2] + [0] * 3]


@pytest.mark.parametrize("tick", [1920, 100_000])
def test_a_signature_after_the_last_note_costs_nothing(cut, tick):
    assert cut(midi(track(play(BAR), time_signature(tick, 3, 4)))) == [[60] + [HOLD] * 15]


def test_of_two_signatures_at_one_tick_the_later_holds(cut):
    both = [time_signature(0, 3, 4), time_signature(0, 4, 4)]
    assert cut(midi(track(both, play(BAR)))) == [[60] + [HOLD] * 15]
    with pytest.raises(SongError, match="not 4/4: found a 3/4"):
        cut(midi(track(both[::-1], play(BAR))))


def test_a_pick_up_as_a_bar_of_its_own(cut):
    """It is put at the end of a bar, and what is missing of it may be the last bar."""
    signatures = [time_signature(0, 1, 4), time_signature(480, 4, 4), time_signature(2400, 3, 4)]
    line = play("A3 -*3 " + BAR + "E4 -*11")
    first, second = [REST] * 12 + [57] + [HOLD] * 3, [60] + [HOLD] * 15
    assert cut(midi(track(signatures[:2], line))) == [
        first,
        second,
        [64] + [HOLD] * 11 + [REST] * 4,
    ]
    assert cut(midi(track(signatures, line))) == [first, second, [64] + [HOLD] * 11 + [REST] * 4]
    for wrong in (signatures[::2], [*signatures[:2], time_signature(2400, 2, 4)]):
        with pytest.raises(SongError, match="not 4/4"):
            cut(midi(track(wrong, line)))


def test_a_pick_up_is_where_the_file_has_it(cut):
    """Bars are counted from the start of the file: one that leaves no room stays off the beat."""
    padded = midi(track(play(".*12 C4 -*3 " + BAR)))
    assert [window[12:] for window in cut(padded)][0] == [60] + [HOLD] * 3
    assert cut(padded)[1] == [60] + [HOLD] * 15
    bare = midi(track(play("C4 -*3 E4 -*15 C4 -*11")))
    assert cut(bare) == [[60] + [HOLD] * 3 + [64] + [HOLD] * 11,
                         [REST] * 4 + [60] + [HOLD] * 11]  # fmt: skip


def test_a_song_shorter_than_a_window(cut):
    with pytest.raises(SongError, match="too short: expected at least 2 bars, found 1"):
        cut(midi(track(play(BAR))), num_bars=2)


def test_four_four_given_twice_or_never(cut):
    twice = midi(track(time_signature(0, 4, 4), time_signature(1920, 4, 4), play(BAR)))
    assert cut(twice) == cut(midi(track(play(BAR)))) == [[60] + [HOLD] * 15]


def test_a_tempo_of_zero(cut):
    data = midi(track(meta(0, 0x51, b"\0\0\0"), tempo(480, 90), play(BAR)))
    if cut.reader == "note_seq":  # pretty_midi divides by it.
        with pytest.raises(SongError, match="damaged MIDI"):
            cut(data)
    else:
        assert cut(data) == [[60] + [HOLD] * 15]


@pytest.mark.parametrize("sharps, mode", [(100, 7), (-128, 255), (8, 0), (0, 2)])
def test_an_impossible_key(cut, sharps, mode):
    data = midi(track(key_signature(0, sharps, mode), play(BAR)))
    if cut.reader == "note_seq":  # mido dies of it.
        with pytest.raises(SongError, match="damaged MIDI"):
            cut(data)
    else:
        assert cut(data) == [[60] + [HOLD] * 15]


def test_an_empty_key(cut):
    data = midi(track(meta(0, 0x59, b""), play(BAR)))
    if cut.reader == "note_seq":
        with pytest.raises(SongError, match="damaged MIDI"):
            cut(data)
    else:
        assert cut(data) == [[60] + [HOLD] * 15]


def test_a_delta_of_53_million_ticks(cut):
    """Before a note it is no song; before what makes no sound it costs nothing."""
    late = [note_on(53_000_000, 60), note_off(53_000_100, 60)]
    with pytest.raises(SongError, match=r"too long|largest tick of 53000"):
        cut(midi(track(play(BAR), late)))
    harmless = midi(track(play(BAR), meta(53_000_000, 1, b"The end")))
    if cut.reader == "note_seq":  # It sizes an array by the last event, whatever that is.
        with pytest.raises(SongError, match="largest tick of 53000"):
            cut(harmless)
    else:
        assert cut(harmless) == [[60] + [HOLD] * 15]


def test_a_note_that_never_ends(cut):
    """It lasts to the end of its track; note_seq's reader has no such notes."""
    data = midi(track(play("C4 -*15"), note_on(480, 72)))
    sounding = [72] if cut.reader == "symusic" else [HOLD]
    assert cut(data) == [[60] + [HOLD] * 3 + sounding + [HOLD] * 11]


def test_a_note_of_no_length(cut):
    """One step long; note_seq's reader has no such notes."""
    body = (
        b"\x00\x90\x3c\x50"
        + b"\x00\x80\x3c\x00"
        + b"\x83\x60\x90\x40\x50"
        + b"\x8b\x20\x80\x40\x00"
    )
    found = cut(midi(raw_track(body + b"\x00\xff\x2f\x00")))
    first = [60, REST] if cut.reader == "symusic" else [REST, REST]
    assert found == [first + [REST] * 2 + [64] + [HOLD] * 11]


def test_one_pitch_struck_twice_before_it_is_let_go(cut):
    """The second onset ends the first note; what is left of it never sounds."""
    data = midi(track(note_on(0, 60), note_on(480, 60), note_off(960, 60), note_off(1920, 60)))
    found = cut(data)
    if cut.reader == "symusic":  # The first release is the first note's, the last the second's.
        assert found == [[60] + [HOLD] * 3 + [60] + [HOLD] * 11]
    else:  # The first release ends both.
        assert found == [[60] + [HOLD] * 3 + [60] + [HOLD] * 3 + [REST] * 8]


BAD = {
    "SMPTE": (midi(track(play(BAR)), division=0xE728), "no beats"),
    "format 2": (midi(track(play(BAR)), track(play(BAR)), midi_format=2), "format 2"),
    "text": (b"A tune: CDEF, played twice", "not MIDI"),
    "nothing": (b"", "empty file"),
    "no notes": (midi(track(tempo(0, 90))), "no notes"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_read_has_one_reason_for_both_readers(cut, name):
    data, reason = BAD[name]
    with pytest.raises(SongError) as error:
        cut(data)
    assert error.value.reason == reason


def test_random_lines_are_the_same_through_both_readers():
    rng = np.random.default_rng(3)
    for _ in range(20):
        symbols = rng.choice(["C4", "E5", "G4+B4", "-", "."], size=16 * 4)
        kit = rng.choice(["K", "S+H", "O", "."], size=16 * 4)
        changes = zip(rng.integers(0, 7680, 3).tolist(), rng.uniform(30, 300, 3), strict=True)
        qpms = [tempo(tick, qpm) for tick, qpm in changes]
        data = midi(track(qpms, play("C4 " + " ".join(symbols))), track(play("K " + " ".join(kit))))
        for tracks in (MELODY, DRUMS):
            found = [
                [part.tokens.tobytes() for part in song_windows(song, WindowFormat(tracks, 2))]
                for song in (readers.parse_music(data, name) for name in readers.MIDI_READERS)
            ]
            assert found[0] == found[1]
