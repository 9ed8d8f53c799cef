"""What sounds of a score: percussion, transposition, small notes, slashes; and how it is packed."""

import io
import zipfile

import pytest
from written import FOUR_FOUR, note, notes, part, score

from magenta_vae.music import percussion, scores
from magenta_vae.music.songs import SongError

KIT = """<score-part id="P1"><part-name>Drumset</part-name>{}</score-part>"""
SLASHED = "<attributes><measure-style><slash type='{}'/></measure-style></attributes>"


def hit(position, duration, inside=""):
    place = f"<display-step>{position[0]}</display-step><display-octave>{position[1]}" \
        "</display-octave>"  # fmt: skip
    return f"<note>{inside}<unpitched>{place}</unpitched><duration>{duration}</duration></note>"


def instruments(*pitches, midi=True, name="{}"):
    """Returns the instruments I36, I38 ... of a part, with MIDI entries or without."""
    declared = "".join(
        f"<score-instrument id='I{p}'><instrument-name>{name.format(p)}</instrument-name>"
        "</score-instrument>"
        for p in pitches
    )
    return declared + "".join(
        f"<midi-instrument id='I{p}'><midi-channel>10</midi-channel>"
        f"<midi-unpitched>{p + 1}</midi-unpitched></midi-instrument>"
        for p in pitches if midi
    )  # fmt: skip


def read(*measures, listed=""):
    return scores.parse_musicxml(score(part(*measures), part_list=listed))


BEAT = hit("F4", 4) + hit("C5", 4) + hit("F4", 4) + hit("G5", 4)


@pytest.mark.parametrize("listed", [
    KIT.format(instruments(36, 38, 42)), KIT.format(""), "", KIT.format(instruments(36)),
    KIT.format(instruments(36, 38, midi=False)),
])  # fmt: skip
def test_hits_that_name_no_instrument_are_told_by_their_place(listed):
    song = read(FOUR_FOUR + BEAT, listed=listed)
    assert [pitch for *_, pitch in notes(song)] == [36, 38, 36, 42]
    assert song.instruments[0].is_drum


def test_hits_that_name_an_instrument_without_midi_are_told_by_its_name():
    listed = KIT.format(
        "<score-instrument id='A'><instrument-name>Ride Cymbal</instrument-name></score-instrument>"
        "<score-instrument id='B'><instrument-name>B</instrument-name>"
        "<instrument-sound>drum.snare-drum</instrument-sound></score-instrument>"
    )
    beat = "".join(hit("E4", 4, f"<instrument id='{name}'/>") for name in "ABAB")
    assert [pitch for *_, pitch in notes(read(FOUR_FOUR + beat, listed=listed))] == [51, 38, 51, 38]


def test_a_part_of_one_drum_is_told_by_its_name():
    listed = "<score-part id='P1'><part-name>Triangle</part-name></score-part>"
    assert notes(read(FOUR_FOUR + hit("B4", 16), listed=listed)) == [(0, 16, 81)]


def test_percussion_that_nothing_tells_is_refused_as_that():
    with pytest.raises(SongError, match="no pitches: found 2 unpitched notes that name no known"):
        read(FOUR_FOUR + note("unpitched", 8) * 2)
    one_line = "<staff-details><staff-lines>1</staff-lines></staff-details>"
    with pytest.raises(SongError, match="no pitches"):
        read(FOUR_FOUR.replace("</time>", "</time>" + one_line) + BEAT)
    # Spoken words are no drums; what else the part has is read.
    midi = "<midi-channel>1</midi-channel><midi-program>53</midi-program>"
    voice = f"<midi-instrument id='V'>{midi}</midi-instrument>"
    voice = f"<score-part id='P1'><part-name>Voice</part-name>{voice}</score-part>"
    song = read(FOUR_FOUR + hit("C5", 8) + note("C5", 8), listed=voice)
    assert notes(song) == [(8, 16, 72)] and len(song.instruments) == 1


def test_a_part_with_notes_that_do_not_sound_is_named_beside_a_melody():
    melody = part(FOUR_FOUR + note("C4", 16))
    kit = KIT.replace("P1", "P2").format("")
    listed = "<score-part id='P1'><part-name>Voice</part-name></score-part>" + kit

    def left_out(music, name="P2"):
        song = scores.parse_musicxml(
            score(melody, part(FOUR_FOUR + music, name=name), part_list=listed)
        )
        assert notes(song) == [(0, 16, 60)]
        return song.left_out

    assert left_out(BEAT) == left_out(note("rest", 16)) == left_out(note("E4", 16)) == ()
    assert left_out(hit("A3", 4) + hit("F4", 4) * 3) == (
        "P2 Drumset: 1 unpitched notes that name no known drum, 3 known drums beside those",
    )
    assert left_out(note("B4", 4, inside="<notehead>slash</notehead>") * 4) == (
        "P2 Drumset: 4 slashes",
    )
    assert left_out(note("B4", 8, inside="<cue/>") + note("E4", 8), "P3") == (
        "P3: 1 silent cue notes",
    )


def test_names_of_drums():
    names = {
        "Bass Drum 1": 36, "Closed Hi-Hat": 42, "Open Hi-Hat": 46, "metal.cymbal.crash": 49,
        "Low Floor Tom": 41, "Caisse claire": 38, "Hi-Mid Tom": 48, "Side Stick": 37,
    }  # fmt: skip
    assert {name: percussion.pitch_of_name(name) for name in names} == names
    assert percussion.pitch_of_name("Piano") is None and percussion.is_percussion("Schlagzeug")


def test_each_staff_has_its_own_transposition():
    written = "".join(
        f"<transpose number='{staff}'><chromatic>{semitones}</chromatic><octave-change>{octaves}"
        "</octave-change></transpose>"
        for staff, semitones, octaves in ((1, 0, 0), (2, -2, -1))
    )
    first = FOUR_FOUR.replace("</time>", f"</time>{written}")
    bar = note("D4", 16) + "<backup><duration>16</duration></backup>"
    bar += note("D4", 16, inside="<staff>2</staff>")
    assert notes(read(first + bar)) == [(0, 16, 48), (0, 16, 62)]
    all_staves = "<attributes><transpose><chromatic>3</chromatic><double/></transpose></attributes>"
    assert notes(read(first + bar, all_staves + bar))[2:] == [
        (16, 32, 53), (16, 32, 53), (16, 32, 65), (16, 32, 65),
    ]  # fmt: skip


@pytest.mark.parametrize(("software", "sounds"), [
    ("MuseScore 0.9.6", True), ("MuseScore 2.3.2", True), ("MuseScore 3.4.2", True),
    ("MuseScore 3.5", False), ("MuseScore 4.5.2", False), ("Finale 27", False),
])  # fmt: skip
def test_small_notes_of_early_musescore_sound(software, sounds):
    encoding = (
        f"<identification><encoding><software>{software}</software></encoding></identification>"
    )
    bars = FOUR_FOUR + note("D4", 16, inside="<cue/>"), note("E4", 16)
    data = score(part(*bars)).replace(b"<part-list>", encoding.encode() + b"<part-list>")
    expected = [(0, 16, 62)] * sounds + [(16, 32, 64)]
    assert notes(scores.parse_musicxml(data)) == expected


def test_slashes_are_no_melody():
    slash = note("B4", 4, inside="<notehead>slash</notehead>") * 4
    with pytest.raises(SongError, match="no pitches: found 4 slashes"):
        read(FOUR_FOUR + slash)
    with pytest.raises(SongError, match="no pitches: found 1 silent cue notes"):
        read(FOUR_FOUR + note("B4", 16, inside="<cue/>"))
    bars = FOUR_FOUR + SLASHED.format("start") + note("B4", 16), SLASHED.format("stop")
    assert notes(read(bars[0], bars[1] + note("C4", 16))) == [(16, 32, 60)]


TUNE = score(part(FOUR_FOUR + note("C4", 16))).decode()


@pytest.mark.parametrize("data", [
    b"\n" + TUNE.encode(), b"\r\n \n" + TUNE.encode(), b"\xef\xbb\xbf\n" + TUNE.encode(),
    TUNE.encode("utf-16"), ("\n" + TUNE).encode("utf-16"), TUNE.encode("utf-16-le"),
    TUNE.encode("utf-16-be"), TUNE.encode("utf-32"),
    TUNE.replace("'1.0'", "'1.0' encoding='UTF-16'").encode(),
    TUNE.replace("'1.0'", "'1.0' encoding='ISO-8859-1'").encode("latin-1"),
    TUNE.replace("'1.0'", "'1.0' encoding='Shift_JIS'").encode("shift_jis"),
    TUNE.replace("<score-partwise>", "<!DOCTYPE score-partwise PUBLIC 'x' 'http://127.0.0.1:9/x.dtd'>"
                 "<score-partwise xmlns='urn:x'>").encode(),
    TUNE.encode().replace(b"<part-list>", b"<movement-title>\xe4\xff</movement-title><part-list>"),
])  # fmt: skip
def test_any_encoding_and_blank_lines_before_it(data):
    assert scores.is_musicxml(data)
    assert notes(scores.parse_musicxml(data)) == [(0, 16, 60)]


def test_no_entity_is_expanded_in_any_encoding():
    bomb = (
        "<!DOCTYPE a [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;'>]><score-partwise>&b;</score-partwise>"
    )
    for encoding in ("utf-8", "utf-16", "utf-16-be"):
        with pytest.raises(SongError, match="not MusicXML: it declares entities"):
            scores.parse_musicxml(bomb.encode(encoding))


def packed():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("META-INF/container.xml", "<a><rootfile full-path='a.xml'/></a>")
        archive.writestr("a.xml", TUNE)
    return file.getvalue()


@pytest.mark.parametrize(("offset", "value"), [(4, 99), (6, 1), (8, 77)])
def test_a_zip_that_cannot_be_unpacked_is_damaged(offset, value):
    """An unknown version of ZIP, a password, an unknown way of packing."""
    data = bytearray(packed())
    assert notes(scores.parse_musicxml(bytes(data))) == [(0, 16, 60)]
    at = -1
    while (at := data.find(b"PK\x01\x02", at + 1)) >= 0:
        data[at + offset + 2] = value
    with pytest.raises(SongError, match="damaged MusicXML"):
        scores.parse_musicxml(bytes(data))
