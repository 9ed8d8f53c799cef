"""Bars of a score stay bars, however the durations of its measures add up."""

import pytest
from written import FOUR_FOUR, note, notes, part, score

from magenta_vae.music import scores
from magenta_vae.music.songs import SongError
from magenta_vae.music.windows import check_metre

UNMEASURED = "<attributes><divisions>4</divisions></attributes>"
START, STOP = '<tie type="start"/>', '<tie type="stop"/>'
WHOLE_REST = "<note><rest measure='yes'/><duration>{}</duration></note>"


def back(duration):
    return f"<backup><duration>{duration}</duration></backup>"


def barline(style, location="right"):
    return f"<barline location='{location}'><bar-style>{style}</bar-style></barline>"


def quarters(*names):
    return "".join(note(name, 4) for name in names)


def read(*measures):
    return scores.parse_musicxml(score(part(*measures)))


def onsets(song, index=0):
    return [(start, pitch) for start, _, pitch in notes(song, index)]


def test_an_empty_measure_is_a_bar_of_rest():
    song = read(FOUR_FOUR + quarters(*["D4"] * 4), "", quarters("F4", "A4", "G4", "E4"))
    assert onsets(song)[4:] == [(32, 65), (36, 69), (40, 67), (44, 64)]


@pytest.mark.parametrize("sixteenths", [1, 4, 12, 16, 40])
def test_a_rest_of_a_whole_measure_is_as_long_as_the_measure(sixteenths):
    song = read(FOUR_FOUR + note("D4", 16), WHOLE_REST.format(sixteenths), note("F4", 16))
    assert notes(song) == [(0, 16, 62), (32, 48, 65)]


@pytest.mark.parametrize("over", [1, 3, 9, 24])
def test_a_rest_that_runs_over_the_bar_line_moves_nothing(over):
    second = note("E4", 16) + back(8) + note("rest", 8 + over)
    song = read(FOUR_FOUR + note("D4", 16), second, note("F4", 16))
    assert notes(song) == [(0, 16, 62), (16, 32, 64), (32, 48, 65)]


@pytest.mark.parametrize(
    ("divisions", "third"), [(8, 3), (8, 2), (16, 6), (16, 5), (4, 2), (10, 4)]
)
def test_rounded_triplets_move_nothing(divisions, third):
    triplet = "".join(note(name, third) for name in ("D4", "E4", "F4"))
    bar = triplet + "".join(note(name, divisions) for name in ("A4", "G4", "C4"))
    first = FOUR_FOUR.replace("<divisions>4", f"<divisions>{divisions}")
    song = read(first + bar, bar, bar)
    expected = [(0, 62), (1, 64), (3, 65), (4, 69), (8, 67), (12, 60)]
    assert onsets(song) == [(16 * k + step, pitch) for k in range(3) for step, pitch in expected]


def test_a_tuplet_that_says_what_it_is_is_read_as_it_says():
    fifth = "<time-modification><actual-notes>5</actual-notes><normal-notes>4</normal-notes>" \
        "</time-modification><type>16th</type>"  # fmt: skip
    bar = "".join(note(name, 1, inside=fifth) for name in ("C4", "D4", "E4", "F4", "G4"))
    bar += "".join(note(name, 4, inside="<type>quarter</type>") for name in ("A4", "B4", "C5"))
    song = read(FOUR_FOUR + bar, note("C4", 16))
    assert onsets(song) == [
        (0, 60), (1, 62), (2, 64), (2, 65), (3, 67), (4, 69), (8, 71), (12, 72), (16, 60),
    ]  # fmt: skip


def test_a_measure_that_is_too_long_or_too_short_moves_nothing():
    long = quarters("E4", "F4", "G4", "A4", "B4", "C5")
    song = read(FOUR_FOUR + note("D4", 16), long, note("E4", 4), note("F4", 16), note("G4", 16))
    assert onsets(song)[-2:] == [(48, 65), (64, 67)] and (32, 64) in onsets(song)
    sung = [(16 + 4 * k, pitch) for k, pitch in enumerate((64, 65, 67, 69, 71, 72))]
    assert set(sung) < set(onsets(song))


def test_a_measure_that_all_parts_fill_beyond_its_bar_takes_whole_bars():
    cadenza = quarters("E4", "F4", "G4", "A4", "B4", "C5")
    one = part(FOUR_FOUR + note("D4", 16), cadenza, note("F4", 16))
    two = part(FOUR_FOUR + note("D3", 16), note("rest", 24), note("F3", 16), name="P2")
    song = scores.parse_musicxml(score(one, two))
    assert onsets(song)[-1] == (48, 65) and onsets(song, 1)[-1] == (48, 53)


def test_a_bar_that_a_double_bar_line_divides_is_one_bar():
    song = read(
        FOUR_FOUR + note("D4", 16),
        note("E4", 12) + barline("light-heavy"),
        note("F4", 4),
        note("G4", 16),
    )
    assert notes(song) == [(0, 16, 62), (16, 28, 64), (28, 32, 65), (32, 48, 67)]
    plain = read(FOUR_FOUR + note("D4", 16), note("E4", 12), note("F4", 4), note("G4", 16))
    assert onsets(plain) == [(0, 62), (16, 64), (32, 65), (48, 67)]


def test_a_later_pick_up_ends_at_a_bar_line():
    halves = part(FOUR_FOUR + note("D4", 16), note("E4", 4), note("F4", 16))
    data = score(halves).replace(b"number='1'", b"number='X1' implicit='yes'")
    assert onsets(scores.parse_musicxml(data)) == [(0, 62), (28, 64), (32, 65)]


def test_ties_go_over_a_bar_line_that_was_moved():
    short = note("D4", 12) + note("E4", 3, inside=START)
    song = read(FOUR_FOUR + note("C4", 16), short, note("E4", 16, inside=STOP))
    assert notes(song)[1:] == [(16, 28, 62), (28, 48, 64)]


def test_two_ties_of_one_pitch_at_once():
    first = note("E4", 8) + note("E4", 8, inside=START) + back(16) + note("E4", 12, inside=START)
    first += note("E4", 4, inside=STOP)
    song = read(FOUR_FOUR + first, note("E4", 16, inside=STOP))
    assert notes(song) == [(0, 8, 64), (0, 16, 64), (8, 32, 64)]


def test_measures_without_a_time_signature_say_how_long_they_are():
    bar = quarters("D4", "E4", "F4", "G4")
    song = read(UNMEASURED + note("C4", 4), bar, bar, quarters("D4", "E4", "F4"))
    check_metre(song)
    assert song.time_signatures == () and onsets(song)[:2] == [(12, 60), (16, 62)]


@pytest.mark.parametrize("length", [4, 12, 14, 20, 24, 108])
def test_measures_of_another_length_are_not_bars_of_four_quarters(length):
    for first in (UNMEASURED, FOUR_FOUR.replace("<beats>4</beats><beat-type>4</beat-type>",
                                                "<senza-misura/>")):  # fmt: skip
        for number in (1, 3, 6):
            with pytest.raises(SongError, match="not 4/4: no time signature"):
                read(first + note("D4", length), *[note("E4", length)] * (number - 1))


def test_a_signature_under_which_no_measure_stands_costs_nothing():
    three = "<attributes><time><beats>3</beats><beat-type>4</beat-type></time></attributes>"
    song = read(three + FOUR_FOUR + note("D4", 16), note("E4", 16) + three)
    assert song.time_signatures == ((4, 4),)
    assert read(FOUR_FOUR + note("D4", 16) + three, note("E4", 12)).time_signatures[1:] == ((3, 4),)


@pytest.mark.parametrize("duration", ["nan", "-4", "inf", "-inf", "1e400"])
def test_a_duration_that_cannot_be(duration):
    for bar in (note("C4", duration), note("rest", duration), back(duration)):
        with pytest.raises(SongError, match="damaged MusicXML: expected a duration of 0 or more"):
            read(FOUR_FOUR + note("D4", 16), bar)
