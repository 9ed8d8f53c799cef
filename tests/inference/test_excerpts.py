"""Which tracks and bars of a piece are read, by its own data, and what is said of that."""

import numpy as np
import pytest
from musical import DRUMS, MELODY, TRIO, part, sequence, song

from magenta_vae.inference.excerpts import Excerpt
from magenta_vae.inference.reading import WindowReader
from magenta_vae.music import note_sequences
from magenta_vae.music.songs import SongError
from magenta_vae.music.window_format import WindowFormat

BAND = song(
    part("C4 -*31 D4 -*31", 0, name="Piano"),
    part("E3 -*31 F3 -*31", 33, name="Bass"),
    part("K -*31 S -*31", name="Kit"),
    part("G5 -*31 A5 -*31", 33, name="Fretless"),
    tempos=[(0, 90.0), (32, 150.0)],
)
ONE, THREE = WindowReader(WindowFormat(MELODY, 2)), WindowReader(WindowFormat(TRIO, 2))


def first_tokens(reader, **choice):
    return reader.read(Excerpt(BAND, **choice))[:, 0].tolist()


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({}, [[60], [62]]),
        ({"track": 2}, [[52], [53]]),
        ({"track": "2"}, [[52], [53]]),
        ({"track": " fretless"}, [[79], [81]]),
        ({"program": 33}, [[52], [53]]),
        ({"program": 33, "track": "Fretless"}, [[79], [81]]),
        ({"track": [4, 2]}, [[52], [53]]),  # the first of several, as ever
        ({"track": "melody=4"}, [[79], [81]]),
        ({"start_bar": 3}, [[62]]),
        ({"start_bar": 2}, [[129]]),  # a note that began before is a rest
        ({"num_windows": 1}, [[60]]),
        ({"start_bar": 1, "num_windows": 9}, [[60], [62]]),
    ],
)
def test_what_is_chosen_is_read(choice, expected):
    assert first_tokens(ONE, **choice) == expected


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({}, [60, 52, 1]),
        ({"track": 4}, [60, 79, 1]),  # It fits the bass alone.
        ({"track": "bass=4"}, [60, 79, 1]),
        ({"track": ["lead=2", "bass=Piano"]}, [52, 60, 1]),  # whatever the file's programs
        ({"program": ["lead=33"], "track": ["bass=1"]}, [52, 60, 1]),
    ],
)
def test_each_track_of_a_model_has_a_choice_of_its_own(choice, expected):
    assert first_tokens(THREE, **choice)[0] == expected


@pytest.mark.parametrize(
    ("reader", "choice", "message"),
    [
        (ONE, {"track": 5}, "expected the track 5;"),
        (ONE, {"track": "Violin"}, "expected the track 'Violin';"),
        (ONE, {"program": 40}, "expected a track of program 40;"),
        (ONE, {"track": 3}, "expected the track 3 with no drums, for the melody;"),
        (ONE, {"track": 1, "program": 33}, "the track 1 and a track of program 33 with no drums"),
        (THREE, {"track": "drums=1"}, "expected the track 1 with drums, for the drums;"),
    ],
)
def test_a_choice_that_does_not_exist_is_refused_with_those_that_do(reader, choice, message):
    with pytest.raises(SongError) as refused:
        reader.read(Excerpt(BAND, **choice, source="band.mid"))
    assert "band.mid: no such track: " in str(refused.value)
    assert message in str(refused.value)
    assert str(refused.value).split("\n")[1:] == [
        "  1  'Piano', program 0, 2 notes",
        "  2  'Bass', program 33, 2 notes",
        "  3  'Kit', drums, 2 notes",
        "  4  'Fretless', program 33, 2 notes",
    ]


def test_a_track_that_fits_none_of_a_models_is_refused():
    flute = song(part("C4 -*31", 0), part("E3 -*31", 33), part("K"), part("C5", 73, name="Flute"))
    with pytest.raises(SongError, match="the track 4 can be none of: lead, bass, drums"):
        THREE.read(Excerpt(flute, track=4))


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"start_bar": 4}, "expected 2 bars from bar 4 on, found 4 bars in all"),
        ({"start_bar": 9}, "expected 2 bars from bar 9 on, found 4 bars in all"),
    ],
)
def test_bars_that_a_piece_has_not_are_refused(choice, message):
    with pytest.raises(SongError, match=message):
        ONE.read(Excerpt(BAND, **choice))
    padding = WindowReader(WindowFormat(MELODY, 2), pad=True)
    if choice["start_bar"] == 4:
        assert padding.read(Excerpt(BAND, **choice)).shape == (1, 32, 1)
    else:
        with pytest.raises(SongError, match="too short"):
            padding.read(Excerpt(BAND, **choice))


@pytest.mark.parametrize(
    "choice", [{"start_bar": 0}, {"num_windows": 0}, {"start_bar": 1.5}, {"num_windows": "2"}]
)
def test_bars_and_windows_are_counted_from_one(choice):
    with pytest.raises(ValueError, match="must be a whole number from 1. Received: "):
        Excerpt(BAND, **choice)


@pytest.mark.parametrize("track", [1.5, -1, 0, True, b"lead", [2, None], [["lead"]]])
def test_a_track_is_a_number_or_a_name(track):
    with pytest.raises(ValueError, match="track must be a number from 1, or a name. Received: "):
        Excerpt(BAND, track=track)


def test_numbers_of_numpy_are_taken():
    chosen = Excerpt(BAND, track=np.int64(2), start_bar=np.int64(2), num_windows=np.int64(1))
    (window,) = ONE.read_windows(chosen).windows
    assert (window.first_bar, window.tracks[0].number) == (2, 2)


@pytest.mark.parametrize("program", [128, -1, "bass", 1.5, [33, None]])
def test_a_program_is_a_number(program):
    with pytest.raises(ValueError, match="program must be of 0 to 127. Received: "):
        ONE.read(Excerpt(BAND, program=program))


def test_what_was_read_is_said():
    reading = ONE.read_windows(Excerpt(BAND, source="band.mid", track="bass"))
    assert [str(window) for window in reading.windows] == [
        "bars 1-2 of track 2, 'Bass', program 33 of band.mid, at 90 quarters a minute",
        "bars 3-4 of track 2, 'Bass', program 33 of band.mid, at 150 quarters a minute",
    ]
    assert reading.windows[1].as_json() == {
        "source": "band.mid", "bars": [3, 4], "qpm": 150.0,
        "tracks": [{"track": "melody", "number": 2, "name": "Bass", "program": 33}],
    }  # fmt: skip
    (window, _) = THREE.read_windows(Excerpt(BAND, source="band.mid")).windows
    assert str(window) == (
        "bars 1-2 of band.mid, at 90 quarters a minute: lead from track 1, 'Piano', program 0; "
        "bass from track 2, 'Bass', program 33; drums from track 3, 'Kit', drums"
    )
    assert window.playback.programs == (0, 33, 0)
    padded = WindowReader(WindowFormat(TRIO, 1), pad=True).read_windows(sequence("C4 -*15"))
    assert str(padded.windows[0]) == (
        "bar 1, at 120 quarters a minute: lead from track 1, program 0; bass of rests; "
        "drums of rests"
    )


def test_files_and_sequences_are_chosen_from_alike(tmp_path):
    music = note_sequences.song_to_note_sequence(BAND)
    note_sequences.write_midi(music, tmp_path / "band.mid")
    for piece in (music, tmp_path / "band.mid", str(tmp_path / "band.mid")):
        reading = ONE.read_windows(Excerpt(piece, track=2, start_bar=3))
        assert reading.tokens[0, 0, 0] == 53
        assert reading.windows[0].playback.qpm == pytest.approx(150)


def test_windows_that_a_model_made_are_read_with_their_tempo(tmp_path):
    made = WindowFormat(DRUMS, 2).detokenize(np.ones((32, 1), int))
    reader = WindowReader(WindowFormat(DRUMS, 2))
    (window,) = reader.read_windows(made).windows
    assert str(window) == "bars 1-2 of track 1, 'drums', drums, at 120 quarters a minute"


def test_a_tempo_that_no_music_has_is_bounded():
    odd = song(part("C4 -*31"), tempos=[(0, 60e6)])
    (window,) = ONE.read_windows(Excerpt(odd)).windows
    assert window.playback.qpm == 1000


def test_chords_count_where_they_are_read():
    piece = song(part("C4 -*31 D4+F4 -*31", 0))
    assert ONE.read(Excerpt(piece, num_windows=1))[:, 0].tolist() == [[60]]
    for choice in ({}, {"start_bar": 3}, {"num_windows": 2}):
        with pytest.raises(
            SongError, match="found several in bar 3 of track 1; --polyphony=highest"
        ):
            ONE.read(Excerpt(piece, **choice))
