"""Each form of music gives the same song, and each reader of MIDI the same windows."""

from pathlib import Path

import pytest
from musical import DRUMS, MELODY, TRIO, midi, play, rmi, track

from magenta_vae.music import readers
from magenta_vae.music.songs import SongError
from magenta_vae.music.window_format import WindowFormat
from magenta_vae.music.windows import song_windows

SONGS = sorted((Path(__file__).parents[2] / "testdata").glob("*.mid"))


def windows_of(path, reader):
    """Returns the windows of every instrument and kind, in order."""
    song = readers.read_music(path, reader)
    return [
        [
            (part.instruments, part.num_cut, part.tokens.tobytes())
            for part in song_windows(song, WindowFormat(tracks, num_bars))
        ]
        for tracks, num_bars in ((MELODY, 2), (MELODY, 32), (DRUMS, 2), (TRIO, 16))
    ]


@pytest.mark.parametrize("path", SONGS[::6], ids=lambda path: path.stem)
def test_both_readers_give_the_same_windows_of_the_bundled_songs(path):
    assert windows_of(path, "symusic") == windows_of(path, "note_seq") != [[]] * 4


@pytest.mark.slow
def test_both_readers_give_the_same_windows_of_all_bundled_songs():
    for path in SONGS:
        assert windows_of(path, "symusic") == windows_of(path, "note_seq"), path


@pytest.mark.parametrize("reader", readers.MIDI_READERS)
def test_the_first_bytes_say_what_a_file_is(reader):
    tune = midi(track(play("C4 -*15")))
    score = b"""<score-partwise><part id="P1"><measure><note><pitch><step>C</step><octave>4</octave>
        </pitch><duration>4</duration></note></measure></part></score-partwise>"""
    for data in (tune, rmi(tune), score, b"\xef\xbb\xbf \n" + score):
        song = readers.parse_music(data, reader)
        assert song.instruments[0].pitches.tolist() == [60] and song.num_bars == 1


def test_what_is_none_of_them(tmp_path):
    with pytest.raises(SongError, match="not MIDI"):
        readers.parse_music(b"neither")
    with pytest.raises(SongError, match="cannot be opened"):
        readers.read_music(tmp_path / "missing.mid")
