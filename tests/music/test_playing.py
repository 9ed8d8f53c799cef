"""How loud and how fast quantized music is played."""

import pytest
from musical import part, sequence

from magenta_vae.music import note_sequences, playing, songs


def test_a_tempo_holds_throughout(tmp_path):
    music = sequence("C4 - D4 -*13 .*14 E4 -", tempos=[(0, 90.0), (8, 180.0)])
    slow = playing.at_tempo(music, 97.3)
    assert [(tempo.time, tempo.qpm) for tempo in slow.tempos] == [(0, 97.3)]
    assert slow.notes[1].start_time == pytest.approx(2 * 60 / 97.3 / 4)
    assert slow.total_time == pytest.approx(32 * 60 / 97.3 / 4)
    assert [tempo.qpm for tempo in music.tempos] == [90, 180]  # As it was.
    note_sequences.write_midi(slow, tmp_path / "slow.mid")
    read = songs.read_song(tmp_path / "slow.mid")
    assert read.qpm_at(0) == pytest.approx(97.3, abs=0.01)
    assert read.instruments[0].starts.tolist() == [0, 2, 30]


def test_strong_beats_are_loud_and_nothing_else_changes():
    music = sequence(part("C4*32"))
    accented = playing.with_accents(music)
    loud = [note.velocity for note in accented.notes]
    assert loud[:16] == loud[16:]
    assert loud[0] > loud[8] > loud[4] == loud[12] > loud[2] > loud[1] == loud[3]
    assert 1 <= min(loud) <= max(loud) <= 127
    assert {note.velocity for note in music.notes} == {80}
    for note in accented.notes:
        note.velocity = 80
    assert accented == music


@pytest.mark.parametrize(
    ("tempos", "expected"),
    [
        ((), [120, 120, 120]),
        ([(0, 90.0)], [90, 90, 90]),
        ([(16.4, 150.0)], [120, 150, 150]),
        ([(32, 60.0), (0, 90.0), (16, 100.0)], [90, 100, 60]),
        ([(0, 90.0), (0, 91.0)], [91, 91, 91]),
    ],
)
def test_the_tempo_at_a_bar(tempos, expected):
    song = songs.Song((), (), tuple(tempos))
    assert [song.qpm_at(step) for step in (0, 16, 32)] == expected
