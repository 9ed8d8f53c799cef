"""ABC: hand-made tunes -> the notes they say, those of symusic's reader, and broken ones."""

import contextlib
import os
import random

import music21
import pytest
import symusic
from written import notes

from magenta_vae.music import readers, tunes
from magenta_vae.music.songs import SongError
from magenta_vae.music.windows import check_metre

HEAD = "X:1\nT:A tune\nM:4/4\nL:1/4\n"


def read(music, key="C", head=HEAD):
    return tunes.parse_abc(f"{head}K:{key}\n{music}\n".encode())


def pitches(music, key="C"):
    return [pitch for *_, pitch in notes(read(music, key))]


def test_lengths_and_rests():
    song = read("C D/ E/ F3/2 G/|A2 z c//d//e/|Z2|x4|C4|")
    assert notes(song) == [
        (0, 4, 60), (4, 6, 62), (6, 8, 64), (8, 14, 65), (14, 16, 67), (16, 24, 69),
        (28, 29, 72), (29, 30, 74), (30, 32, 76), (80, 96, 60),
    ]  # fmt: skip
    assert song.instruments[0].name == "A tune"


def test_octaves_accidentals_and_keys():
    assert pitches("C, C c c'|B,, z3|") == [48, 60, 72, 84, 47]
    assert pitches("^F F f =F|F ^^F __B B|") == [66, 66, 78, 65, 65, 67, 69, 69]
    assert pitches("F C c B|", "D") == [66, 61, 73, 71]
    assert pitches("B E A D|", "Bb") == [70, 63, 69, 62]
    assert pitches("F C G B|", "Ador") == [66, 60, 67, 71]
    assert pitches("B E F C|", "Gm") == [70, 63, 65, 60]
    assert pitches("F C G B|", "F#m") == [66, 61, 68, 71]
    assert pitches("F B c C|", "F ^c") == [65, 70, 73, 61]
    assert pitches("F C G B|", "HP") == [65, 60, 67, 71]
    assert pitches("F C|[K:G]F C|", "none") == [65, 60, 66, 60]
    assert pitches("C D|", "C octave=-1 transpose=2") == [50, 52]


def test_tuplets_and_broken_rhythm():
    song = read("(3C/D/E/ F2 G|A>B c<d|e>>f g2|")
    assert [start for start, *_ in notes(song)] == [0, 1, 3, 4, 12, 16, 22, 24, 26, 32, 39, 40]


def test_chords_ties_and_what_is_no_note():
    song = read('"Am"[CEG]2 !trill!A2-|A {gf}"^slow"c d2-|d4|\n  % words\nw: not a note\n[C2E2]|')
    assert notes(song) == [
        (0, 8, 60), (0, 8, 64), (0, 8, 67), (8, 20, 69), (20, 24, 72), (24, 48, 74),
        (48, 56, 60), (48, 56, 64),
    ]  # fmt: skip
    assert pitches("^c4-|c2 c2|") == [73, 72]


def test_repeats_and_endings_are_played():
    assert pitches("|:C4|[1D4:|[2E4|]F4|]") == [60, 62, 60, 64, 65]
    assert pitches("|:C4|[1D4:|[2E4|F4|G4:|") == [60, 62, 60, 64, 65, 67, 65, 67]
    assert pitches("|:C4|[1D4:|[2E4:|F4:|") == [60, 62, 60, 64, 65, 65]
    assert pitches("C4:|D4::E4:|") == [60, 60, 62, 62, 64, 64]
    assert pitches("|:C4|1,2 D4:|3 E4||F4:|") == [60, 62, 60, 62, 60, 64, 65, 65]


def test_pick_ups_and_bars_that_miss_a_bar_line():
    song = read("G|:C4|A3:|G|C4|A3|]")
    assert [start for start, *_ in notes(song)] == [12, 16, 32, 48, 64, 76, 80, 96]
    song = read("C4 D4\nE4|F2|G4|]")
    assert notes(song) == [(0, 16, 60), (16, 32, 62), (32, 48, 64), (48, 56, 65), (64, 80, 67)]


@pytest.mark.parametrize(("metre", "signatures"), [
    ("C", ((4, 4),)), ("4/4", ((4, 4),)), ("none", ()), ("C|", ((2, 2),)), ("6/8", ((6, 8),)),
    ("(2+2)/4", ((4, 4),)),
])  # fmt: skip
def test_metres(metre, signatures):
    song = read("C4|D4|", head=HEAD.replace("4/4", metre))
    assert song.time_signatures == signatures
    if signatures in ((), ((4, 4),)):
        check_metre(song)
    else:
        with pytest.raises(SongError, match="not 4/4"):
            check_metre(song)


def test_a_tune_without_metre_says_how_long_its_bars_are():
    for head in (HEAD.replace("M:4/4\n", ""), HEAD.replace("4/4", "none")):
        with pytest.raises(SongError, match="not 4/4: no time signature"):
            read("C3|D3|E3|", head=head)
    assert read("C4|[M:3/4]D3|").time_signatures == ((4, 4), (3, 4))


def test_tempos_and_programs():
    assert read("C4|", head=HEAD + "Q:1/4=90\n").tempos == ((0.0, 90.0),)
    assert read("C4|[Q:3/8=60]D4|", head=HEAD + "Q:120\n").tempos == ((0.0, 120.0), (16.0, 90.0))
    song = read("%%MIDI program 40\nC4|", head=HEAD)
    assert song.instruments[0].program == 40


def test_voices_side_by_side():
    song = read("V:1\nC4|D4|\nV:2\n[V:2]E4|z4|F4|\n[V:1]G4|")
    assert notes(song) == [(0, 16, 60), (16, 32, 62), (32, 48, 67)]
    assert notes(song, 1) == [(0, 16, 64), (32, 48, 65)]


def test_a_default_length_goes_by_the_metre():
    assert notes(tunes.parse_abc(b"X:1\nM:4/4\nK:C\nC8|")) == [(0, 16, 60)]
    assert tunes.parse_abc(b"X:1\nM:2/4\nK:C\nC8|").num_bars == 1


def test_exclamation_marks_and_pluses_are_decorations_line_breaks_or_chords():
    assert pitches("CDEF!GABc!CDEF|")[4:8] == [67, 69, 71, 72]
    assert pitches("!f!C !trill!D +trill+E F|") == [60, 62, 64, 65]
    assert pitches("+CEG+ D E F|") == [60, 64, 67, 62, 64, 65]


def test_an_ending_without_a_first_and_blocks_of_words():
    assert pitches("|:C4:|2 c4|") == [60, 60, 72]
    assert pitches("C4|\n%%begintext\nAbba\n%%endtext\nD4|") == [60, 62]


def test_what_moves_the_notes_of_a_voice():
    assert pitches("V:1 octave=-1\nC4|") == pitches("C4|", "C clef=treble-8") == [48]
    assert pitches("[V:1 transpose=-2]C4|[V:1]D4|") == [58, 60]
    song = read("V:1\n%%MIDI transpose -12\nC4|\nV:2\nE4|")
    assert notes(song) == [(0, 16, 48)] and notes(song, 1) == [(0, 16, 64)]


def test_parts_are_played_in_their_order():
    def ordered(order, music="P:A\nC4|\nP:B\nD4|"):
        return [pitch for *_, pitch in notes(read(music, head=f"{HEAD}P:{order}\n"))]

    assert ordered("AABA") == [60, 60, 62, 60]
    assert ordered("(AB)2.A") == [60, 62, 60, 62, 60]
    assert ordered("A") == [60, 62]
    with pytest.raises(SongError, match="parts in an order: no part C is in the tune"):
        ordered("ABC")


def test_a_whole_unit_and_a_key_that_is_missing():
    assert notes(read("C|", head="X:1\nM:4/4\nL:1\n")) == [(0, 16, 60)]
    with pytest.raises(SongError, match="damaged ABC: no K: field"):
        readers.parse_music(b"X:1\nL:1/4\nC4|")


BAD = {
    "no notes": f"{HEAD}K:C\nz4|",
    "several songs": f"{HEAD}K:C\nC4|\n\n{HEAD}K:D\nC4|",
    "not a pitch": f"{HEAD}K:C\nC,,,,,,,|",
    "damaged ABC": "X:1\nM:4/x\nK:C\nC4|",
    "too long": f"{HEAD}K:C\nZ99999|C",
}


@pytest.mark.parametrize("reason", BAD)
def test_a_bad_tune_has_a_stable_reason(reason):
    with pytest.raises(SongError) as error:
        readers.parse_music(BAD[reason].encode())
    assert error.value.reason == reason


def test_what_is_abc():
    tune = f"%abc-2.1\n{HEAD}K:C\nC4|".encode()
    for data in (tune, b"\xef\xbb\xbf" + tune[9:], tune.replace(b"\n", b"\r"), b"\n\n" + tune):
        assert tunes.is_abc(data) and notes(readers.parse_music(data)) == [(0, 16, 60)]
    assert not tunes.is_abc(b"MThd X:1\nK:C") and not tunes.is_abc(b"")
    assert notes(read("C4|\n\nWords about Every Good Boy.")) == [(0, 16, 60)]


def made(seed):
    """Returns a tune of bars in 4/4, in units of an eighth."""
    rng = random.Random(seed)

    def name():
        sign = rng.choice(("", "", "", "", "^", "_", "="))
        return sign + rng.choice("CDEFGABcdefgab") + rng.choice(("", "", "", "'", ","))

    def group():
        kind = rng.randrange(6)
        if kind == 0:
            return f"({3}{name()}{name()}{name()}"
        if kind == 1:
            return f"{name()}{rng.choice('<>')}{name()}"
        if kind == 2:
            return f"[{name()}{name()[-2:].lstrip('^_=')}]2".replace("[',", "[c")
        return rng.choice((f"{name()}2", f"{name()}{name()}", "z2", f"{name()}//{name()}3/2z/4"))

    bars = [" ".join(group() for _ in range(4)) for _ in range(rng.randint(2, 6))]
    key = rng.choice(("C", "G", "Bb", "Em", "Ador", "Dmix", "Eb", "F#m", "Gmin", "Bphr"))
    music = "|".join(bars)
    music = rng.choice((f"{music}|]", f"|:{music}:|", f"|:{music}|1{bars[0]}:|2{bars[-1]}|]"))
    return f"X:{seed + 1}\nM:4/4\nL:1/8\nK:{key}\n{music}\n"


@contextlib.contextmanager
def silent():
    """Keeps what C code prints away."""
    kept = [os.dup(number) for number in (1, 2)]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        for number in (1, 2):
            os.dup2(nowhere, number)
        yield
    finally:
        for number, each in zip((1, 2), kept, strict=True):
            os.dup2(each, number)
            os.close(each)
        os.close(nowhere)


def test_the_notes_that_symusic_finds():
    for seed in range(400):
        tune = made(seed)
        with silent():
            score = symusic.Score.from_abc(tune)
        # Each begins a tick late there, so that notes of one pitch do not touch.
        expected = sorted(
            ((note.time - 1) * 4 / score.tpq, note.pitch)
            for track in score.tracks
            for note in track.notes
        )
        expected = sorted((int(start + 0.5 + 1e-6), pitch) for start, pitch in expected)
        found = sorted((start, pitch) for start, _, pitch in notes(tunes.parse_abc(tune.encode())))
        assert found == expected, tune


def test_the_notes_of_music21():
    """It does not play repeats, nor the same accidentals in other octaves: these have neither."""
    for seed in range(40):
        rng = random.Random(seed)
        bars = ["".join(rng.choice("CDEFGABcdefgab") + "2" for _ in range(4)) for _ in range(4)]
        tune = f"X:1\nM:4/4\nL:1/8\nK:{rng.choice(('C', 'D', 'Bb', 'Em'))}\n{'|'.join(bars)}|]\n"
        parsed = music21.converter.parseData(tune, format="abc").flatten().notes
        expected = [(int(4 * note.offset), note.pitch.midi) for note in parsed]
        assert [
            (start, pitch) for start, _, pitch in notes(tunes.parse_abc(tune.encode()))
        ] == expected
