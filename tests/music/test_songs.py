"""Reading: what a file says, and what becomes of files that say nonsense."""

import os
import pickle
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from musical import (
    key_signature,
    meta,
    midi,
    note_off,
    note_on,
    parse,
    play,
    program_change,
    raw_track,
    rmi,
    tempo,
    time_signature,
    track,
    variable_length,
)

from magenta_vae.music import songs
from magenta_vae.music.songs import SongError, parse_song, quantize, read_song

ROOT = Path(__file__).parents[2]
HARD = ROOT.parent / "shared" / "data" / "hard"
TUNE = "C4 . D4 - E4 -*3 . G4 -*6"


def notes(instrument):
    rows = np.stack([instrument.starts, instrument.ends, instrument.pitches], axis=1)
    return [tuple(row) for row in rows.tolist()]


def reason(data):
    with pytest.raises(SongError) as error:
        parse_song(data)
    return error.value.reason


def test_a_tune():
    song = parse_song(midi(track(meta(0, 3, b"Violin"), play(TUNE, channel=2, program=40))))
    (violin,) = song.instruments
    assert notes(violin) == parse(TUNE)
    assert (violin.program, violin.is_drum, violin.name) == (40, False, "Violin")
    assert set(violin.velocities) == {80}
    assert song.num_bars == 1


def test_channel_ten_is_drums_and_a_program_change_starts_another_instrument():
    song = parse_song(
        midi(
            track(play("K . S ."), play("C4 . D4 .", program=5)),
            track(
                play("E4", program=5), program_change(480, 33), note_on(480, 40), note_off(600, 40)
            ),
        )
    )
    found = sorted((part.is_drum, part.program, notes(part)) for part in song.instruments)
    assert found == [
        (False, 5, parse("C4 . D4 .")),
        (False, 5, parse("E4")),
        (False, 33, [(4, 5, 40)]),
        (True, 0, parse("K . S .")),
    ]


def test_running_status_and_note_on_of_velocity_zero():
    body = b"\x00\x90\x3c\x50" + b"\x78\x3c\x00" + b"\x00\x3e\x50" + b"\x78\x3e\x00"  # 0x78 = 120
    (part,) = parse_song(midi(raw_track(body + b"\x00\xff\x2f\x00"))).instruments
    assert notes(part) == parse("C4 D4")


@pytest.mark.parametrize("ticks_per_quarter", [24, 96, 220, 480, 960, 32767])
def test_the_grid_is_the_same_at_any_resolution(ticks_per_quarter):
    ticks = np.arange(0, 64) * ticks_per_quarter / 4
    starts, ends = quantize(np.round(ticks), np.round(ticks) + 1, ticks_per_quarter)
    np.testing.assert_array_equal(starts, np.arange(64))
    np.testing.assert_array_equal(ends, np.arange(1, 65))


def test_nearest_step_ties_up_and_at_least_one_step():
    # 480 ticks a quarter: a step is 120, so 59 is nearer to 0, 60 a tie, 61 nearer to 1.
    starts, ends = quantize([0, 59, 60, 61, 179, 180], [0, 60, 60, 180, 180, 420], 480)
    assert starts.tolist() == [0, 0, 1, 1, 1, 2]
    assert ends.tolist() == [1, 1, 2, 2, 2, 4]
    # 6 a quarter: a step is 1.5 ticks. 0.75 is the first boundary, 2.25 the next.
    assert quantize([0, 1, 2, 3], [1, 1, 1, 9], 6)[0].tolist() == [0, 1, 1, 2]


def test_a_note_of_no_length_lasts_one_step():
    body = b"\x81\x70\x99\x24\x50" + b"\x00\x89\x24\x00"  # Tick 240, both.
    (part,) = parse_song(midi(raw_track(body + b"\x00\xff\x2f\x00"))).instruments
    assert notes(part) == parse(". . K")


@pytest.mark.parametrize("changes", [[], [(0, 60)], [(0, 97), (130, 201.5), (500, 33), (481, 240)]])
def test_no_tempo_moves_a_note(changes):
    tempos = [tempo(tick, qpm) for tick, qpm in changes]
    song = parse_song(midi(track(*tempos), track(play(TUNE))))
    assert notes(song.instruments[0]) == parse(TUNE)
    assert len(song.tempos) == len(changes)


def test_tempos_are_at_steps_and_impossible_ones_are_left_out():
    song = parse_song(
        midi(track(tempo(0, 120), tempo(180, 90), meta(240, 0x51, b"\0\0\0"), play(TUNE)))
    )
    assert [step for step, _ in song.tempos] == [0, 1.5]
    assert [round(qpm, 3) for _, qpm in song.tempos] == [120, 90]


def test_time_signatures_that_a_bar_stands_under():
    whole = play("C4 -*31")
    song = parse_song(midi(track(time_signature(0, 4, 4), whole, time_signature(1920, 6, 8))))
    assert (song.time_signatures, song.signature_steps) == (((4, 4), (6, 8)), (0, 16))
    song = parse_song(midi(track(whole), track(time_signature(3839, 3, 4))))
    assert song.time_signatures == ()
    song = parse_song(midi(track(whole), track(time_signature(960, 3, 4))))
    assert (song.time_signatures, song.signature_steps) == (((3, 4),), (8,))


@pytest.mark.parametrize("sharps, mode", [(0, 0), (-7, 1), (100, 7), (-128, 255), (8, 0)])
def test_an_impossible_key_costs_nothing(sharps, mode):
    song = parse_song(midi(track(key_signature(0, sharps, mode), play(TUNE))))
    assert notes(song.instruments[0]) == parse(TUNE)


def test_a_name_in_any_encoding():
    (part,) = parse_song(midi(track(meta(0, 3, b"Fl\xf6te \xff"), play(TUNE)))).instruments
    assert part.name.startswith("Fl")
    part.name.encode("utf-8")  # Protos and terminals take it.


GOOD = midi(track(play(TUNE)))
FAR = [note_on(53_000_000, 60), note_off(53_000_001, 60)]
# Ticks that 32 bits do not hold, reached in steps that a file can write.
FARTHEST = [meta(tick * 0x0FFFFFFF, 1, b"x") for tick in range(1, 9)]
FARTHEST += [note_on(2**31, 60), note_off(2**31 + 9, 60)]
BAD = {
    "empty": (b"", "empty file"),
    "text": (b"C4 D4 E4, not a MIDI file", "not MIDI"),
    "header cut": (GOOD[:9], "not MIDI"),
    "RMI without data": (b"RIFF\0\0\0\0RMIDDISP\3\0\0\0abc\0", "not MIDI"),
    "RMI of nothing": (rmi(b""), "empty file"),
    "another RIFF": (b"RIFF\0\0\0\0WAVEdata", "not MIDI"),
    "division 0": (midi(track(play(TUNE)), division=0), "no beats"),
    "SMPTE": (midi(track(play(TUNE)), division=0xE728), "no beats"),
    "format 2": (midi(track(play(TUNE)), track(play(TUNE)), midi_format=2), "format 2"),
    "no notes": (midi(track(tempo(0, 120))), "no notes"),
    "no tracks": (midi(), "no notes"),
    "53 million ticks": (midi(track(FAR)), "too long"),
    "past 32 bits": (midi(track(play(TUNE), FARTHEST)), "too long"),
    "cut": (GOOD[:-6], "damaged MIDI"),
    "a track of 4 GB": (GOOD[:18] + b"\xff\xff\xff\xf0" + GOOD[22:], "damaged MIDI"),
    "pitch 200": (midi(track(note_on(0, 200), note_off(9, 200))), "damaged MIDI"),
    "format 7": (midi(track(play(TUNE)), midi_format=7), "damaged MIDI"),
    "noise": (GOOD[:22] + bytes(range(255, 0, -1)), "damaged MIDI"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_has_a_stable_reason(name):
    data, expected = BAD[name]
    assert reason(data) == expected


def test_midi_in_riff_is_the_same_song():
    wrapped, bare = parse_song(rmi(GOOD)), parse_song(GOOD)
    assert notes(wrapped.instruments[0]) == notes(bare.instruments[0]) == parse(TUNE)


def test_claimed_tracks_are_not_believed():
    claims = GOOD[:10] + b"\xff\xff" + GOOD[12:]
    assert notes(parse_song(claims).instruments[0]) == parse(TUNE)


def test_too_many_notes(monkeypatch):
    monkeypatch.setattr(songs, "MAX_NOTES", 3)
    assert reason(GOOD) == "too many notes"


def test_the_longest_song():
    last = songs.MAX_BARS * 16
    fits = midi(track(note_on((last - 1) * 24, 60), note_off(last * 24, 60)), division=96)
    assert parse_song(fits).num_bars == songs.MAX_BARS
    over = midi(track(note_on(last * 24, 60), note_off((last + 1) * 24, 60)), division=96)
    assert reason(over) == "too long"


def test_paths_that_cannot_be_read(tmp_path):
    for path in (tmp_path / "missing.mid", tmp_path):
        with pytest.raises(SongError, match="cannot be opened"):
            read_song(path)
    with open(tmp_path / "large.mid", "wb") as file:
        file.truncate(songs.MAX_FILE_BYTES + 1)  # Sparse: takes no disk.
    with pytest.raises(SongError) as error:
        read_song(tmp_path / "large.mid")
    assert error.value.reason == "file too large"
    assert "16,777,217" in error.value.detail


def test_an_error_survives_the_way_from_a_worker():
    error = pickle.loads(pickle.dumps(SongError("too long", "at most 3")))
    assert (error.reason, error.detail, str(error)) == (
        "too long",
        "at most 3",
        "too long: at most 3",
    )


def test_random_bytes_give_a_song_or_a_song_error():
    rng = np.random.default_rng(0)
    for _ in range(300):
        data = bytearray(midi(track(tempo(0, 100), play(TUNE)), track(play("K . S . K K S ."))))
        for at in rng.integers(14, len(data), size=rng.integers(1, 6)):
            data[at] = rng.integers(256)
        try:
            song = parse_song(bytes(data))
        except SongError:
            continue
        for part in song.instruments:
            assert (part.starts >= 0).all() and (part.starts < part.ends).all()
            assert (part.pitches >= 0).all() and (part.pitches < 128).all()


def test_variable_length():  # The examples of the MIDI specification.
    assert variable_length(0x7F) == b"\x7f"
    assert variable_length(0x80) == b"\x81\x00"
    assert variable_length(0x0FFFFFFF) == b"\xff\xff\xff\x7f"


@pytest.mark.skipif(not HARD.is_dir(), reason="no folder of hard files")
def test_hard_files_within_500_mb():
    """In one process: its peak is above that of each file."""
    program = """
        import resource, sys
        from pathlib import Path
        from magenta_vae.data import builder
        from magenta_vae.data.examination import CRASHED
        from musical import DRUMS, MELODY, TRIO
        settings = [builder.Settings(*each) for each in ((MELODY, 32), (DRUMS, 2), (TRIO, 16))]
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for path in sorted(Path(sys.argv[1]).rglob("*")):
            if path.is_file():
                for each in settings:
                    outcome = builder.examine(str(path), each)
                    assert outcome.reason != CRASHED, outcome
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        assert after - before < 500 * 1024, f"{after - before} KB"
        print("fine")
    """
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), HARD],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "tests")},
    )
    assert ran.stdout.strip() == "fine", ran.stderr
