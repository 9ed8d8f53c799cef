"""What a model reads: windows of what fits, and the rule that is broken by what does not."""

import numpy as np
import pytest
from musical import DRUMS, MELODY, TRIO, part, sequence

from magenta_vae.inference.reading import WindowReader, chord_step
from magenta_vae.music import note_sequences, songs, tokens
from magenta_vae.music.songs import SongError
from magenta_vae.music.window_format import WindowFormat

TWO_BARS = "C4 D4 E4 F4*29"
CHORD = "C4*16 C4+E4+G4 -*15"
REST = 129


def test_the_first_line_of_single_notes_is_read_where_another_plays_chords():
    reader = WindowReader(WindowFormat(MELODY, 2))
    read = reader.read(sequence(part(CHORD), part("A4 -*31"), part("B4 -*31")))
    np.testing.assert_array_equal(read[0, :2, 0], [69, 128])


def test_chords_alone_are_refused_with_their_bar_or_read_at_the_top():
    with pytest.raises(SongError, match=r"polyphony: .* in the melody, found several in bar 2"):
        WindowReader(WindowFormat(MELODY, 2)).read(sequence(CHORD))
    read = WindowReader(WindowFormat(MELODY, 2), polyphony="highest").read(sequence(CHORD))
    np.testing.assert_array_equal(read[0, [0, 16, 17], 0], [60, 67, 128])


def test_hits_at_once_are_no_polyphony():
    assert WindowReader(WindowFormat(DRUMS, 2)).read(sequence("K+S+H .*16 K"))[0, 0, 0] == 0b111


@pytest.mark.parametrize(
    ("notes", "expected"),
    [
        ([(0, 4, 60), (4, 8, 62)], None),
        ([(0, 5, 60), (4, 8, 62)], None),  # legato
        ([(0, 6, 60), (4, 8, 62)], 4),
        ([(0, 16, 60), (4, 5, 62), (8, 9, 64)], 4),
        ([(0, 16, 60), (0, 4, 60)], None),  # one note twice
        ([(0, 4, 60), (0, 4, 64)], 0),
        ([(8, 9, 60), (8, 9, 64), (0, 1, 60)], 8),  # in any order
    ],
)
def test_what_a_chord_is(notes, expected):
    starts, ends, pitches = np.array(notes, np.int32).T
    assert chord_step(songs.Instrument(0, False, "", starts, ends, pitches, pitches)) == expected


def test_longer_music_gives_its_whole_windows():
    music = sequence("C4 -*15 D4 -*15 E4 -*15 F4 -*15 G4 -*15")
    read = WindowReader(WindowFormat(MELODY, 2)).read([music, music])
    np.testing.assert_array_equal(read[:, 0, 0], [60, 64, 60, 64])
    assert WindowReader(WindowFormat(MELODY, 2), pad=True).read(music)[:, 0, 0].tolist() == [
        60,
        64,
        67,
    ]


def test_too_short_music_is_refused_or_padded_with_rests():
    music = sequence("C4 -*15")
    with pytest.raises(SongError, match="too short: expected at least 2 bars, found 1"):
        WindowReader(WindowFormat(MELODY, 2)).read(music)
    read = WindowReader(WindowFormat(MELODY, 2), pad=True).read(music)
    np.testing.assert_array_equal(read[0, :, 0], [60, *[128] * 15, *[REST] * 16])


def test_missing_tracks_are_refused_or_padded_with_rests():
    music = sequence(TWO_BARS)
    with pytest.raises(SongError, match="no bass track"):
        WindowReader(WindowFormat(TRIO, 2)).read(music)
    read = WindowReader(WindowFormat(TRIO, 2), pad=True).read(music)
    assert read.shape == (1, 32, 3)
    np.testing.assert_array_equal(read[0, :4, 0], [60, 62, 64, 65])
    np.testing.assert_array_equal(read[0, :, 1:], np.tile([REST, 0], (32, 1)))


def test_another_metre_is_refused():
    with pytest.raises(SongError, match="not 4/4"):
        WindowReader(WindowFormat(MELODY, 2), "highest", pad=True).read(
            sequence(TWO_BARS, time_signatures=[(3, 4)])
        )


@pytest.mark.parametrize("tracks", [MELODY, DRUMS, TRIO])
def test_generated_windows_are_read_as_they_are_also_from_files(tracks, tmp_path):
    """Whatever tokens a model samples, with silent bars, silent tracks and chords of hits."""
    generator = np.random.default_rng(0)
    reader = WindowReader(WindowFormat(tracks, 2), pad=True)
    for index in range(20):
        window = np.stack([generator.integers(0, t.num_classes, 32) for t in tracks], axis=-1)
        window[index + 1 :] = [t.rest for t in tracks]
        music = tokens.detokenize(window, tracks)
        read = reader.read(music)
        np.testing.assert_array_equal(reader.read(tokens.detokenize(read[0], tracks)), read)
        if music.notes:
            path = tmp_path / "window.mid"
            note_sequences.write_midi(music, path)
            np.testing.assert_array_equal(reader.read(path), read)


def test_a_wrong_polyphony_is_refused():
    with pytest.raises(ValueError, match="one of refuse, highest. Received: 'lowest'"):
        WindowReader(WindowFormat(MELODY, 2), polyphony="lowest")


def test_scores_are_read_as_data_sets_read_them(tmp_path):
    path = tmp_path / "tune.musicxml"
    path.write_text(
        """<score-partwise><part-list><score-part id="P1"/></part-list><part id="P1"><measure>
        <attributes><divisions>1</divisions></attributes><note><pitch><step>E</step>
        <octave>4</octave></pitch><duration>4</duration></note></measure></part></score-partwise>"""
    )
    (window,) = WindowReader(WindowFormat(MELODY, 1)).read(path)
    assert window[:, 0].tolist() == [64, *[128] * 15]
