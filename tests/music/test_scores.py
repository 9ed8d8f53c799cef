"""MusicXML: hand-made scores -> the notes they say, and what becomes of broken ones."""

import io
import zipfile

import pytest
from written import FOUR_FOUR, note, notes, part, score

from magenta_vae.music import score_files, scores
from magenta_vae.music.songs import SongError

CONTAINER = """<container><rootfiles><rootfile full-path="a.xml"/></rootfiles></container>"""


def read(*measures, **kwargs):
    return scores.parse_musicxml(score(part(*measures, **kwargs)))


def reason(data):
    with pytest.raises(SongError) as error:
        scores.parse_musicxml(data)
    return error.value.reason


def test_a_tune():
    song = read(FOUR_FOUR + note("C4", 4) + note("rest", 8) + note("D4", 4), note("E4", 16))
    assert notes(song) == [(0, 4, 60), (12, 16, 62), (16, 32, 64)]
    assert song.time_signatures == ((4, 4),) and song.num_bars == 2


def test_accidentals_do_not_leave_their_octave_letter():
    song = read(
        FOUR_FOUR + note("C4", 4, alter=-1) + note("B3", 4, alter=1) + note("F4", 8, alter=1)
    )
    assert [pitch for _, _, pitch in notes(song)] == [59, 60, 66]


def test_chords_voices_and_grace_notes():
    song = read(
        FOUR_FOUR + note("C4", 8) + note("E4", 8, inside="<chord/>") + note("G4", 8)
        + note("A4", 0, inside="<grace/>")
        + "<backup><duration>16</duration></backup>" + note("C3", 4)
        + "<forward><duration>4</duration></forward>" + note("D3", 8, inside="<cue/>")
    )  # fmt: skip
    assert notes(song) == [(0, 4, 48), (0, 8, 60), (0, 8, 64), (8, 16, 67)]


def test_tied_notes_are_one_note_across_bars():
    start, stop = '<tie type="start"/>', '<tie type="stop"/>'
    song = read(
        FOUR_FOUR + note("rest", 12) + note("C4", 4, inside=start),
        note("C4", 16, inside=stop + start),
        note("C4", 4, inside=stop) + note("C4", 12),
    )
    assert notes(song) == [(12, 36, 60), (36, 48, 60)]
    # A tie that nothing continues, and one that nothing began.
    song = read(
        FOUR_FOUR + note("C4", 4, inside=start) + note("rest", 8) + note("C4", 4, inside=stop)
    )
    assert notes(song) == [(0, 4, 60), (12, 16, 60)]


def test_a_pick_up_ends_on_a_bar_line_in_every_part():
    one = part(FOUR_FOUR + note("G4", 4), note("C4", 16))
    two = part(FOUR_FOUR + note("rest", 4), note("E4", 16), name="P2")
    song = scores.parse_musicxml(score(one, two))
    assert notes(song) == [(12, 16, 67), (16, 32, 60)]
    assert notes(song, 1) == [(16, 32, 64)]


def test_parts_that_leave_measures_short_stay_side_by_side():
    one = part(FOUR_FOUR + note("G4", 16), note("C4", 16), note("D4", 16))
    two = part(FOUR_FOUR, note("E4", 8), note("F4", 16), name="P2")
    song = scores.parse_musicxml(score(one, two))
    assert notes(song) == [(0, 16, 67), (16, 32, 60), (32, 48, 62)]
    assert notes(song, 1) == [(16, 24, 64), (32, 48, 65)]


def test_triplets_and_decimal_durations():
    triplet = "".join(note(name, 0.5) for name in ("C4", "D4", "E4"))
    song = read(FOUR_FOUR.replace("<divisions>4", "<divisions>1.5") + triplet + note("F4", "4.5"))
    assert notes(song) == [(0, 1, 60), (1, 3, 62), (3, 4, 64), (4, 16, 65)]


def test_instruments_drums_and_transposition():
    listed = """<score-part id="P1"><part-name>Clarinet</part-name><midi-instrument id="I1">
        <midi-channel>1</midi-channel><midi-program>72</midi-program></midi-instrument></score-part>
        <score-part id="P2"><midi-instrument id="K"><midi-channel>10</midi-channel>
        <midi-unpitched>37</midi-unpitched></midi-instrument><midi-instrument id="S">
        <midi-channel>10</midi-channel><midi-unpitched>39</midi-unpitched></midi-instrument>
        </score-part>"""
    b_flat = FOUR_FOUR.replace("</time>", "</time><transpose><chromatic>-2</chromatic></transpose>")
    kit = note("unpitched", 8, inside='<instrument id="K"/>') + note(
        "unpitched", 8, inside='<instrument id="S"/>'
    )
    song = scores.parse_musicxml(
        score(part(b_flat + note("C4", 16)), part(FOUR_FOUR + kit, name="P2"), part_list=listed)
    )
    clarinet, drums = song.instruments
    assert (clarinet.program, clarinet.is_drum, clarinet.name) == (71, False, "Clarinet")
    assert notes(song) == [(0, 16, 58)]
    assert drums.is_drum and notes(song, 1) == [(0, 8, 36), (8, 16, 38)]


def test_metres_and_tempos():
    second = "<attributes><time><beats>3+2</beats><beat-type>8</beat-type></time></attributes>"
    song = read(
        FOUR_FOUR + "<direction><sound tempo='90'/></direction>" + note("C4", 16),
        second + "<sound tempo='0'/>" + note("C4", 10),
    )
    assert song.time_signatures == ((4, 4), (5, 8)) and song.tempos == ((0.0, 90.0),)


def test_measures_first_and_parts_within():
    tune = note("C4", 16)
    by_time = f"""<score-timewise><measure><part id="A">{FOUR_FOUR}{tune}</part></measure>
        <measure><part id="A">{tune}</part></measure></score-timewise>"""
    assert notes(scores.parse_musicxml(by_time.encode())) == [(0, 16, 60), (16, 32, 60)]
    assert scores.is_musicxml(by_time.encode("utf-16"))
    assert notes(scores.parse_musicxml(by_time.encode("utf-16")))[0] == (0, 16, 60)


def compressed(**members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr({"container": score_files.CONTAINER}.get(name, f"{name}.xml"), data)
    return file.getvalue()


def test_a_compressed_score():
    tune = score(part(FOUR_FOUR + note("C4", 16)))
    data = compressed(container=CONTAINER, a=tune)
    assert scores.is_musicxml(data) and notes(scores.parse_musicxml(data)) == [(0, 16, 60)]
    named = CONTAINER.replace("<container>", '<container xmlns="urn:oasis:container">')
    assert notes(scores.parse_musicxml(compressed(container=named, a=tune))) == [(0, 16, 60)]
    assert reason(compressed(a=tune)) == "not MusicXML"
    assert reason(compressed(container=CONTAINER, b=tune)) == "damaged MusicXML"
    assert reason(data[:-30]) == "damaged MusicXML"
    damaged = bytearray(data)
    start = damaged.rindex(b"a.xml", 0, damaged.index(b"PK\x01\x02")) + len("a.xml")
    damaged[start : start + 8] = b"\xff" * 8  # Of the compressed bytes.
    assert reason(bytes(damaged)) == "damaged MusicXML"
    assert reason(b"<?xml version='1.0' encoding='morse'?><a/>") == "damaged MusicXML"


def test_a_bomb_is_not_unpacked(monkeypatch):
    monkeypatch.setattr(score_files, "MAX_FILE_BYTES", 2**20)
    assert reason(compressed(container=CONTAINER, a=b" " * (2**20 + 1))) == "file too large"
    assert reason(b"<!DOCTYPE a [<!ENTITY b 'bbbbbbbb'>]><a>&b;</a>") == "not MusicXML"


BAD = {
    "cut": (score(part(FOUR_FOUR + note("C4", 16)))[:-30], "damaged MusicXML"),
    "a page": (b"<html><body/></html>", "not MusicXML"),
    "a page of tunes": (b"\n<!-- ABC --><!DOCTYPE html>\n<p>X:1\nK:C\nCDE<br>", "not MusicXML"),
    "comments": (b"<!-- a -->" * 60 + b"<score/>", "not MusicXML"),
    "no part": (score(), "no notes"),
    "only rests": (score(part(FOUR_FOUR + note("rest", 16))), "no notes"),
    "no step": (score(part(note("H4", 16))), "damaged MusicXML"),
    "no octave": (score(part(note("C", 16))), "damaged MusicXML"),
    "not a number": (score(part(note("C4", "nan") + note("C4", "inf"))), "damaged MusicXML"),
    "no divisions": (score(part(FOUR_FOUR.replace("4</div", "0</div") + note("C4", 1))),
                     "damaged MusicXML"),
    "far": (score(part(note("C4", "1e9"))), "too long"),
    "high": (score(part(note("C12", 4))), "not a pitch"),
    "beats": (score(part(FOUR_FOUR.replace("<beats>4", "<beats>x") + note("C4", 16))),
              "damaged MusicXML"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_bad_score_has_a_stable_reason(name):
    data, expected = BAD[name]
    assert reason(data) == expected
