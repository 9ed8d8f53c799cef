"""Songs <-> NoteSequences <-> MIDI files lose nothing that is on the grid."""

import os

import note_seq
import numpy as np
import pytest
from musical import (
    DRUMS,
    MELODY,
    TRIO,
    meta,
    midi,
    parse,
    part,
    play,
    seconds_only,
    sequence,
    song,
    tempo,
    track,
)

from magenta_vae.music import songs, synthetic, windows
from magenta_vae.music.note_sequences import (
    add_notes,
    concatenate,
    empty_note_sequence,
    note_sequence_to_song,
    num_whole_bars,
    read_midi,
    seconds_per_step,
    song_to_note_sequence,
    transpose,
    write_midi,
)
from magenta_vae.music.songs import MAX_BARS, SongError, parse_song, read_song
from magenta_vae.music.window_format import WindowFormat

TUNE = "C4 . D4 - E4 -*3 . G4 -*6 " * 4
GROOVE = "K+H . S . K K S+O . " * 8


def notes(instrument):
    rows = np.stack([instrument.starts, instrument.ends, instrument.pitches], axis=1)
    return [tuple(row) for row in rows.tolist()]


def tokens_of(a_song, tracks=MELODY, num_bars=2):
    return [
        each.tokens.tolist()
        for each in windows.song_windows(a_song, WindowFormat(tracks, num_bars))
    ]


def reason(note_sequence):
    with pytest.raises(SongError) as error:
        note_sequence_to_song(note_sequence)
    return error.value.reason


def test_a_song_there_and_back():
    violin, kit = part(TUNE, program=40, name="Violin"), part(GROOVE)
    back = note_sequence_to_song(song_to_note_sequence(song(violin, kit)))
    assert [notes(each) for each in back.instruments] == [parse(TUNE), parse(GROOVE)]
    assert [(each.program, each.is_drum, each.name) for each in back.instruments] == [
        (40, False, "Violin"),
        (0, True, ""),
    ]
    assert back.time_signatures == ((4, 4),)


def test_seconds_follow_the_tempo_map():
    # 120 for 4 steps (0.125 s each), 60 for 4 (0.25 s), then 240 (0.0625 s).
    slow = sequence("C4 -*3 D4 -*3 E4 -*3", tempos=[(0, 120), (4, 60), (8, 240)])
    assert [(n.start_time, n.end_time) for n in slow.notes] == [(0, 0.5), (0.5, 1.5), (1.5, 1.75)]
    assert [(t.time, t.qpm) for t in slow.tempos] == [(0, 120), (0.5, 60), (1.5, 240)]
    assert slow.total_time == 1.75 and slow.total_quantized_steps == 12


def test_a_tempo_that_comes_late_is_120_before():
    late = sequence("C4 -*3 D4 -*3", tempos=[(4, 60)])
    assert [(n.start_time, n.end_time) for n in late.notes] == [(0, 0.5), (0.5, 1.5)]


def test_tempo_changes_move_no_note_in_a_file():
    changes = [tempo(tick, qpm) for tick, qpm in [(0, 61), (333, 190), (1000, 47.5), (2011, 301)]]
    steady = parse_song(midi(track(play(TUNE)), track(play(GROOVE))))
    changing = parse_song(midi(track(*changes), track(play(TUNE)), track(play(GROOVE))))
    for tracks in (MELODY, DRUMS):
        assert tokens_of(changing, tracks) == tokens_of(steady, tracks) != []
    # And in seconds of its tempo map, as note_seq has it.
    in_seconds = seconds_only(song_to_note_sequence(changing))
    assert len(in_seconds.tempos) == 4
    assert tokens_of(note_sequence_to_song(in_seconds)) == tokens_of(steady)


@pytest.mark.parametrize("ticks_per_quarter", [0, 96, 220, 480, 1024, 25_000])
def test_seconds_give_the_windows_of_the_file_they_were_written_to(tmp_path, ticks_per_quarter):
    """For times that the file can hold: whole ticks, of every resolution, ties among them."""
    rng = np.random.default_rng(ticks_per_quarter)
    resolution = ticks_per_quarter or 220  # What note_seq writes where nothing is said.
    loose = note_seq.NoteSequence(ticks_per_quarter=ticks_per_quarter)
    qpms = rng.uniform(40, 240, size=4)
    changes = np.array([0, *np.sort(rng.integers(1, 40 * resolution, size=3))])
    elapsed = np.concatenate([[0], np.cumsum(np.diff(changes) * 60 / resolution / qpms[:-1])])
    for time, qpm in zip(elapsed, qpms, strict=True):
        loose.tempos.add(time=time, qpm=qpm)
    ticks = np.sort(rng.choice(40 * resolution, size=400, replace=False)).reshape(200, 2)
    after = np.searchsorted(changes, ticks, side="right") - 1
    seconds = elapsed[after] + (ticks - changes[after]) * 60 / resolution / qpms[after]
    for start, end in seconds:
        loose.notes.add(start_time=start, end_time=end, pitch=int(rng.integers(128)), velocity=80)
    write_midi(loose, tmp_path / "song.mid")
    (written,) = read_song(tmp_path / "song.mid").instruments
    (given,) = note_sequence_to_song(loose).instruments
    assert notes(written) == notes(given)


def test_synthetic_songs_give_the_windows_of_their_files(tmp_path):
    for seed in range(3):
        composed = synthetic.synthesize_song(seed)
        write_midi(composed, tmp_path / "song.mid")
        for tracks in (MELODY, DRUMS, TRIO):
            given = tokens_of(note_sequence_to_song(composed), tracks)
            assert tokens_of(read_song(tmp_path / "song.mid"), tracks) == given
            by_note_seq = note_seq.midi_file_to_note_sequence(str(tmp_path / "song.mid"))
            assert tokens_of(note_sequence_to_song(by_note_seq), tracks) == given


@pytest.mark.parametrize("qpm", [33.3, 97, 120, 200.7])
def test_ties_in_seconds_go_up(qpm):
    loose = empty_note_sequence(qpm)
    loose.ClearField("quantization_info")
    for step in np.arange(0.5, 64, 1):  # Every tie of four bars.
        scale = seconds_per_step(qpm)
        loose.notes.add(start_time=step * scale, end_time=(step + 1) * scale, pitch=60)
    (found,) = note_sequence_to_song(loose).instruments
    assert found.starts.tolist() == list(range(1, 65))
    assert found.ends.tolist() == list(range(2, 66))


@pytest.mark.parametrize("step, expected", [(0.499, 0), (0.4995, 0), (0.5, 1), (0.5005, 1)])
def test_just_beside_a_tie(step, expected):
    loose = empty_note_sequence(120)
    loose.ClearField("quantization_info")
    loose.notes.add(start_time=step * 0.125, end_time=1, pitch=60)
    assert note_sequence_to_song(loose).instruments[0].starts.tolist() == [expected]


def test_own_steps_before_seconds():
    moved = sequence("C4 D4")
    for note in moved.notes:
        note.start_time += 3
    assert note_sequence_to_song(moved).instruments[0].starts.tolist() == [0, 1]
    other_grid = sequence("C4 . D4")
    other_grid.quantization_info.steps_per_quarter = 24
    for note in other_grid.notes:
        note.quantized_start_step *= 6
    assert note_sequence_to_song(other_grid).instruments[0].starts.tolist() == [0, 2]


def test_instruments_are_told_apart():
    mixed = sequence("C4 . ", "E4 . ", "K . ")
    mixed.notes.add(pitch=50, quantized_start_step=4, quantized_end_step=4, program=9)
    found = note_sequence_to_song(mixed).instruments
    assert [(each.program, each.is_drum) for each in found] == [
        (0, False),
        (0, False),
        (0, True),
        (9, False),
    ]
    assert notes(found[3]) == [(4, 5, 50)]  # At least one step.


def test_any_other_metre_is_kept_for_the_rule_to_see():
    waltz = sequence(TUNE, time_signatures=[(4, 4), (3, 4)])
    with pytest.raises(SongError, match="not 4/4: found a 3/4"):
        list(windows.song_windows(note_sequence_to_song(waltz), WindowFormat(MELODY, 2)))
    assert [(s.numerator, s.denominator) for s in sequence(TUNE).time_signatures] == [(4, 4)]


def with_note(**fields):
    odd = sequence("C4")
    odd.notes.add(**fields)
    return odd


BAD = {
    "no notes": (empty_note_sequence(), "no notes"),
    "late": (with_note(quantized_start_step=2**40, quantized_end_step=2**41), "too long"),
    "long": (with_note(quantized_end_step=MAX_BARS * 16 + 1), "too long"),
    "early": (with_note(quantized_start_step=-1), "before the start"),
    "late in seconds": (seconds_only(with_note(end_time=1e9)), "too long"),
    "ends early": (with_note(quantized_end_step=-4), "before the start"),
    "low program": (with_note(quantized_end_step=1, program=-3), "not a program"),
    "high program": (with_note(quantized_end_step=1, program=128), "not a program"),
    "early in seconds": (seconds_only(with_note(start_time=-1, end_time=2)), "before the start"),
    "no time": (seconds_only(with_note(start_time=float("nan"))), "before the start"),
    "high": (with_note(pitch=128, quantized_end_step=1), "not a pitch"),
    "low": (with_note(pitch=-1, quantized_end_step=1), "not a pitch"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_no_midi_file_holds_is_refused(name):
    note_sequence, expected = BAD[name]
    assert reason(note_sequence) == expected


def test_too_many_notes(monkeypatch):
    monkeypatch.setattr(songs, "MAX_NOTES", 3)
    assert reason(sequence("C4 D4 E4 F4")) == "too many notes"


def test_transposition_returns_a_new_value():
    given = sequence("C4 E4", "K . S")
    before = given.SerializeToString()
    up = transpose(given, 5)
    assert [note.pitch for note in up.notes] == [65, 69, 36, 38]
    assert given.SerializeToString() == before
    assert transpose(up, -5) == given


@pytest.mark.parametrize("text, shift", [("C4 C-1", -1), ("G9", 1), ("C4", 68), ("C4", -61)])
def test_transposition_refuses_to_leave_the_pitches(text, shift):
    with pytest.raises(ValueError, match=f"0-127.*num_semitones={shift}"):
        transpose(sequence(text), shift)


def test_transposition_to_the_last_pitch():
    assert [note.pitch for note in transpose(sequence("C4", "K"), 67).notes] == [127, 36]
    assert [note.pitch for note in transpose(sequence("C4"), -60).notes] == [0]


def places(note_sequence):
    """Returns (first step, end step, first second, end second, pitch) of each note."""
    return [
        (n.quantized_start_step, n.quantized_end_step, n.start_time, n.end_time, n.pitch)
        for n in note_sequence.notes
    ]


def test_windows_follow_one_another():
    first, second = sequence("C4 -*31", "K .*31"), sequence(".*4 D4 -*27", "S .*31")
    joined = concatenate([first, second, first])
    # 32 steps of 0.125 s are 4 s; the second lead note starts 4 steps later.
    assert places(joined) == [
        (0, 32, 0, 4, 60), (0, 1, 0, 0.125, 36), (36, 64, 4.5, 8, 62), (32, 33, 4, 4.125, 38),
        (64, 96, 8, 12, 60), (64, 65, 8, 8.125, 36),
    ]  # fmt: skip
    assert joined.total_quantized_steps == 96 and joined.total_time == 12
    assert [(t.time, t.qpm) for t in joined.tempos] == [(0, 120)]
    assert len(joined.time_signatures) == 1


def test_concatenation_keeps_tracks_and_changes_no_argument():
    trio = sequence(part("C5", 11, name="lead"), part("C2", 33, name="bass"), part("K", name="kit"))
    silent = empty_note_sequence(num_steps=32)
    before = trio.SerializeToString()
    joined = concatenate([silent, trio, silent, trio])
    assert trio.SerializeToString() == before
    assert [(i.instrument, i.name) for i in joined.instrument_infos] == [
        (0, "lead"), (1, "bass"), (2, "kit"),
    ]  # fmt: skip
    kinds = [(n.instrument, n.program, n.is_drum, n.velocity) for n in joined.notes]
    assert kinds == [(0, 11, False, 80), (1, 33, False, 80), (2, 0, True, 80)] * 2
    assert [n.quantized_start_step for n in joined.notes] == [32] * 3 + [80] * 3
    assert concatenate([trio, trio]) == concatenate([concatenate([trio]), trio])


def test_each_begins_on_a_bar_at_its_own_tempo():
    slow = sequence("C4 -*3 D4", tempos=[(0, 60), (4, 240)])  # 1 s, then 12 steps of 1/16 s
    late = sequence("E4", tempos=[(4, 60)])  # 120 before it
    joined = concatenate([slow, late, slow])
    assert [(t.time, t.qpm) for t in joined.tempos] == [
        (0, 60), (1, 240), (1.75, 120), (2.25, 60), (6.25, 240),
    ]  # fmt: skip
    assert places(joined)[2:4] == [(16, 17, 1.75, 1.875, 64), (32, 36, 5.25, 6.25, 60)]
    assert joined.total_time == 1.75 + 0.5 + 3 + 1.75


def test_concatenation_goes_through_a_file(tmp_path):
    """Also where one note of a pitch ends as the next begins, in the next window."""
    windows_ = [sequence(text, "K -*31") for text in ("C4 -*31", "C4 -*15 C4 -*15")]
    write_midi(concatenate(windows_), tmp_path / "joined.mid")
    read = read_song(tmp_path / "joined.mid")
    lead, drums = read.instruments
    assert notes(lead) == [(0, 32, 60), (32, 48, 60), (48, 64, 60)]
    assert notes(drums) == [(0, 32, 36), (32, 64, 36)]


def test_a_change_of_metre_is_kept():
    waltz = sequence("C4", time_signatures=[(3, 4)])
    joined = concatenate([sequence("C4"), waltz, waltz, sequence("C4")])
    found = [(s.time, s.numerator) for s in joined.time_signatures]
    assert found == [(0, 4), (2, 3), (6, 4)]


def test_what_cannot_be_concatenated_is_refused():
    with pytest.raises(ValueError, match="at least one sequence"):
        concatenate([])
    with pytest.raises(ValueError, match="4 steps a quarter.*steps_per_quarter=0"):
        concatenate([sequence("C4"), seconds_only(sequence("C4"))])
    with pytest.raises(ValueError, match="Track 0 must have one name.*'lead' and 'bass'"):
        concatenate([sequence(part("C4", name="lead")), sequence(part("C2", name="bass"))])


@pytest.mark.parametrize("text, expected", [("C4", 1), ("C4 -*15", 1), ("C4 -*16", 2)])
def test_whole_bars(text, expected):
    assert num_whole_bars(sequence(text)) == expected
    assert num_whole_bars(empty_note_sequence()) == 1


def test_reading_and_writing_a_file(tmp_path):
    data = midi(track(meta(0, 3, b"Oboe"), tempo(0, 90), tempo(960, 133), play(TUNE, program=68)))
    (tmp_path / "given.mid").write_bytes(data)
    read = read_midi(tmp_path / "given.mid")
    write_midi(read, tmp_path / "written.mid")
    given, written = (read_song(tmp_path / name) for name in ("given.mid", "written.mid"))
    assert notes(written.instruments[0]) == notes(given.instruments[0]) == parse(TUNE)
    assert written.instruments[0].program == 68
    np.testing.assert_allclose(written.tempos, given.tempos, rtol=1e-4)


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    (tmp_path / "song.mid").write_bytes(b"before")

    def fail(note_sequence, path):
        with open(path, "wb") as file:
            file.write(b"half")
        raise RuntimeError("disk full")

    monkeypatch.setattr(note_seq, "note_sequence_to_midi_file", fail)
    with pytest.raises(RuntimeError):
        write_midi(sequence(TUNE), tmp_path / "song.mid")
    assert os.listdir(tmp_path) == ["song.mid"]
    assert (tmp_path / "song.mid").read_bytes() == b"before"


@pytest.mark.parametrize("music", [None, [sequence(TUNE)], "song.mid"])
def test_what_is_no_note_sequence_is_not_written(music, tmp_path):
    with pytest.raises(ValueError, match="note_sequence must be one NoteSequence. Received: "):
        write_midi(music, tmp_path / "folder" / "song.mid")
    assert not os.listdir(tmp_path)


def test_notes_are_added_by_the_first_tempo():
    made = empty_note_sequence(qpm=60, num_steps=2)
    assert made.total_time == 0.5
    add_notes(made, [0, 2], [2, 3], [60, 62], program=7)
    assert [(n.start_time, n.end_time, n.velocity) for n in made.notes] == [
        (0, 0.5, 80),
        (0.5, 0.75, 80),
    ]
    assert made.total_quantized_steps == 3 and made.total_time == 0.75
