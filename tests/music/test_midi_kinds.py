"""Every note that a MIDI file holds, whatever else is in it that readers trip over."""

import gzip
import struct

import pytest
from musical import (
    meta,
    midi,
    note_off,
    note_on,
    parse,
    play,
    program_change,
    raw_track,
    time_signature,
    track,
)

from magenta_vae.music import midi_chunks, midi_events, midi_symusic, readers, songs
from magenta_vae.music.songs import SongError, parse_song

TUNE = "D4 -*3 E4 - F#4 - A4 -*3 G4 -*3 F#4 -*3 E4 -*3 D4 -*7"
FIRST, SECOND = b"\x00\x90\x3c\x50\x78\x3c\x00", b"\x00\x3e\x50\x78\x3e\x00"  # C4, then D4.
BOTH = FIRST + b"\x00\x90" + SECOND[1:]
END = b"\x00\xff\x2f\x00"
GS_RHYTHM = b"\xf0\x0a\x41\x10\x42\x12\x40\x1b\x15\x01\x0f\xf7"  # Channel 12.
XG_RHYTHM = b"\xf0\x08\x43\x10\x4c\x08\x0b\x07\x01\xf7"
KIT = "K+H . H . S+H . H . " * 2


def bare(*bodies, **kwargs):
    return midi(*(raw_track(body + END) for body in bodies), **kwargs)


def notes(part):
    return sorted(zip(part.starts.tolist(), part.ends.tolist(), part.pitches.tolist(), strict=True))


def notes_of(data):
    (part,) = parse_song(data).instruments
    return notes(part)


RUNS_ON = {
    "a sysex": b"\x00\xf0\x05\x7e\x7f\x09\x01\xf7",
    "two": b"\x00\xf0\x02\x7e\xf7\x00\xf0\x02\x7e\xf7",
    "a meta event": b"\x00\xff\x01\x02ab",
    "a long one": b"\x00\xff\x01\x81\x48" + bytes(range(200)),
    "a sysex of high bytes": b"\x00\xf0\x04\xf0\xff\x90\xf7",
    "an escape": b"\x00\xf7\x01\xf8",
    "an escape of a note": b"\x00\xf7\x03\x90\x40\x50",
    "a clock": b"\x00\xf8",
    "a song position": b"\x00\xf2\x01\x02",
    "active sensing": b"\x00\xfe",
}


@pytest.mark.parametrize("name", RUNS_ON)
def test_running_status_goes_on_after(name):
    assert notes_of(bare(FIRST + RUNS_ON[name] + SECOND)) == parse("C4 D4")


@pytest.mark.parametrize("name", RUNS_ON)
@pytest.mark.parametrize("time", [b"\x81\x70", b"\xf8\x00", b"\xf0\x00", b"\xf7\x00", b"\xff\x00"])
def test_so_it_does_after_long_times(name, time):
    """Times have high bytes too, which are not to be taken for statuses, nor the other way."""
    body = FIRST + time + b"\x3e\x50\x78\x3e\x00" + RUNS_ON[name] + b"\x00\x40\x50\x78\x40\x00"
    tick = 120 + ((time[0] & 0x7F) << 7 | time[1])
    expected = [(0, 1, 60)]
    for pitch in (62, 64):
        start = int(tick / 120 + 0.5)
        expected.append((start, max(int(tick / 120 + 1.5), start + 1), pitch))
        tick += 120
    assert notes_of(bare(body)) == expected


PACKETS = {
    "three": b"\x00\xf0\x02\x7e\x7f\x10\xf7\x01\x09\x10\xf7\x02\x01\xf7",
    "with statuses": b"\x00\xf0\x03\x43\x90\xc0\x20\xf7\x04\x3c\x50\x80\xf7",
    "never ended": b"\x00\xf0\x02\x7e\x7f\x20\xf7\x01\x09",
    "escape": b"\x00\xf7\x03\x90\x40\x50\x20\xf7\x02\xc0\x05",
    "nothing": b"\x00\xf7\x00\x20\xf0\x00",
    "sysex in an escape": b"\x20\xf7\x06\xf0\x7e\x7f\x09\x01\xf7",
}


@pytest.mark.parametrize("name", PACKETS)
def test_packets_and_escapes_move_nothing(name):
    (part,) = parse_song(bare(PACKETS[name] + BOTH)).instruments
    assert notes(part) == parse("C4 D4") and part.program == 0


ABOVE_127 = {
    "controller": b"\x00\xb0\x07\xff", "its number": b"\x00\xb0\xff\x07",
    "program": b"\x00\xc0\xc8",
    "pitch bend": b"\x00\xe0\xff\xff", "pressure": b"\x00\xd0\xff", "of a key": b"\x00\xa0\x3c\xff",
    "bank": b"\x00\xb0\x00\xff", "velocity": b"\x00\x90\x40\xff\x00\x90\x40\x00",
    "a release's": b"\x00\x80\x3e\xff",
}  # fmt: skip


@pytest.mark.parametrize("name", ABOVE_127)
def test_a_data_byte_above_127_costs_nothing(name):
    song = parse_song(bare(ABOVE_127[name] + BOTH))
    found = [note for part in song.instruments for note in notes(part)]
    assert set(found) - {(0, 1, 64)} == set(parse("C4 D4"))
    assert not any(part.is_drum for part in song.instruments)
    assert all(part.velocities.max() <= 127 for part in song.instruments)


def test_but_in_a_pitch():
    with pytest.raises(SongError, match="damaged MIDI: a note of pitch 200"):
        parse_song(bare(BOTH + b"\x00\x90\xc8\x50"))


@pytest.mark.parametrize("size", [7, 10, 300])
def test_a_header_may_be_longer(size):
    data = midi(track(play(TUNE)))
    longer = data[:4] + struct.pack(">I", size) + data[8:14] + bytes(size - 6) + data[14:]
    assert notes_of(longer) == parse(TUNE)


def test_chunks_that_are_no_tracks():
    other = b"XFIH" + struct.pack(">I", 5) + b"MTrk\0"
    tracks = track(play("C4")), other, track(play("D4"))
    data = midi(*tracks)
    assert [notes(part) for part in parse_song(data).instruments] == [parse("C4"), parse("D4")]
    assert len(parse_song(data + b"\0 and something more").instruments) == 2


def test_a_note_that_is_never_let_go_lasts_to_the_end_of_its_track():
    open_end = [note_on(1440, 62), meta(1920, 0x2F, b"")]
    whole = bare(b"")[:14] + track(play("E4 -*11"), open_end)
    assert notes_of(whole) == parse("E4 -*11 D4 -*3")
    with_release = midi(track(note_on(0, 60), note_on(240, 60), note_off(480, 60), note_on(960, 64),
                              note_off(1920, 64)))  # fmt: skip
    assert notes_of(with_release) == [(0, 4, 60), (2, 4, 60), (8, 16, 64)]


def test_an_end_that_is_too_far_is_the_last_note():
    data = midi(track(note_on(0, 60), play(".*4 E4 -*3"), meta(200_000_000, 1, b"")))
    assert notes_of(data) == [(0, 8, 60), (4, 8, 64)]


def test_a_program_holds_for_its_channel_in_every_track():
    conductor = track(program_change(0, 33, 2), program_change(0, 40, 5))
    silent = [note_on(0, 60, 5), note_off(480, 60, 5)]
    low = [note_on(0, 38, 2), note_off(480, 38, 2)]
    for tracks in ([conductor, track(low), track(silent)], [track(low), track(silent), conductor]):
        found = parse_song(midi(*tracks)).instruments
        assert [(part.program, notes(part)) for part in found] == [
            (33, [(0, 4, 38)]), (40, [(0, 4, 60)]),
        ]  # fmt: skip


def test_from_its_tick_on():
    changes = track(program_change(0, 33), program_change(960, 5))
    tune = play("C4 -*3 C#4 -*3 D4 -*3 D#4 -*3")[1:]
    found = parse_song(midi(track(tune), changes)).instruments
    assert {part.program: part.pitches.tolist() for part in found} == {33: [60, 61], 5: [62, 63]}


def test_ports_are_instruments_of_their_own():
    def port(number, program):
        return track(meta(0, 0x21, bytes([number])), program_change(0, program))

    def line(number):
        return track(meta(0, 0x21, bytes([number])), note_on(0, 60), note_off(480, 60))

    found = parse_song(midi(port(0, 7), port(1, 9), line(1), line(0))).instruments
    assert [part.program for part in found] == [9, 7]


DRUMS = {
    "GS": GS_RHYTHM,
    "GS in packets": b"\xf0\x03\x41\x10\x42\x00\xf7\x07" + GS_RHYTHM[5:],
    "GS, its second map": GS_RHYTHM.replace(b"\x15\x01", b"\x15\x02"),
    "XG": XG_RHYTHM,
    "a bank of XG": b"\xbb\x00\x7f\x00\xcb\x00",
    "a bank of General MIDI 2": b"\xbb\x00\x78\x00\xbb\x20\x00\x00\xcb\x00",
    "a bank in running status": b"\xbb\x07\x64\x00\x00\x7f\x00\x20\x00",
    "late in running status": b"\xbb\x07\x64\x00\x0a\x40\x81\x00\x00\x7f",
}


@pytest.mark.parametrize("name", DRUMS)
def test_rhythm_parts_off_channel_ten_are_drums(name):
    kit = [(tick + 256, data) for tick, data in play(KIT, channel=11)[1:]]
    for data in (
        midi(track((0, DRUMS[name]), kit)),
        midi(track((0, DRUMS[name])), track(kit)),
    ):
        song = parse_song(data)
        assert [part.is_drum for part in song.instruments] == [True]
        assert song.num_rhythm_parts == 1 and len(song.instruments[0].starts) == 12


def test_they_are_melodies_again_when_that_is_taken_back():
    notes_ = [
        note_on(0, 36, 11),
        note_off(120, 36, 11),
        note_on(960, 60, 11),
        note_off(999, 60, 11),
    ]
    for back in (
        b"\xf0\x0a\x41\x10\x42\x12\x40\x00\x7f\x00\x41\xf7",  # The reset of GS, of General MIDI.
        b"\xf0\x05\x7e\x7f\x09\x01\xf7",
        GS_RHYTHM.replace(b"\x15\x01", b"\x15\x00"),
    ):
        song = parse_song(midi(track((0, GS_RHYTHM), (480, back), notes_)))
        assert [part.is_drum for part in song.instruments] == [False, True]


def test_channel_ten_may_be_made_a_melody_and_gs_has_banks_of_melodies():
    melody = GS_RHYTHM.replace(b"\x1b\x15\x01", b"\x10\x15\x00")
    song = parse_song(midi(track((0, melody), play("C4 D4", channel=9))))
    assert [part.is_drum for part in song.instruments] == [False]
    reset = b"\xf0\x0a\x41\x10\x42\x12\x40\x00\x7f\x00\x41\xf7"
    song = parse_song(midi(track((0, reset), (0, b"\xb0\x00\x7f"), play("C4 D4"))))
    assert [part.is_drum for part in song.instruments] == [False]


def test_a_compressed_file():
    assert notes_of(midi(track(play(TUNE)))) == parse(TUNE)
    (part,) = readers.parse_music(gzip.compress(midi(track(play(TUNE))))).instruments
    assert notes(part) == parse(TUNE)


@pytest.mark.parametrize("at", [0.3, 0.6, 0.9, 0.99])
def test_a_file_that_is_cut_off_is_refused(at):
    data = midi(track(play(TUNE)), track(play(TUNE)))
    with pytest.raises(SongError, match="damaged MIDI"):
        parse_song(data[: int(at * len(data))])


def test_a_pick_up_as_a_short_bar():
    for numerator, denominator, steps in ((1, 4, 4), (2, 4, 8), (3, 4, 12), (1, 8, 2), (5, 8, 10)):
        up = f"A3 -*{steps - 1} "
        data = midi(track(time_signature(0, numerator, denominator),
                          time_signature(steps * 120, 4, 4), play(up + TUNE)))  # fmt: skip
        song = parse_song(data)
        moved = [(start + 16 - steps, end + 16 - steps, p) for start, end, p in parse(up + TUNE)]
        assert notes(song.instruments[0]) == moved and song.time_signatures == ((4, 4),)


def both_ways(data):
    """Returns what symusic and what the events give of a file."""
    chunks = midi_chunks.read_chunks(data)
    found = [midi_symusic.read_with_symusic(chunks),
             midi_events.read_events(chunks, songs.MAX_NOTES, 32_768)]  # fmt: skip
    return [
        (each.parts, sorted(zip(*(column.tolist() for column in each.notes), strict=True)))
        for each in found
    ]  # fmt: skip


def test_ordinary_files_are_read_by_symusic_and_the_same_by_their_events():
    named = [meta(0, 3, b"Lead"), program_change(480, 9), *play(TUNE), (960, b"\xb0\x07\x40")]
    sysex = (0, b"\xf0\x05\x7e\x7f\x09\x01\xf7")
    long = [on_off for start in range(0, 64 * 960, 960)
            for on_off in (note_on(start, 60), note_off(start + 500, 60))]  # fmt: skip
    for data in (
        midi(track(sysex, named), track(play(KIT))),
        midi(track(play(TUNE, channel=1)), track(play(TUNE, channel=2, program=4))),
        midi(track(play(TUNE)), track(play("C3 -*15"))),
        midi(track(program_change(0, 7, 3)), track(play("C4", channel=3)[1:])),
        midi(track(sysex, long), track(long, (999, b"\xe0\x00\x40"))),
    ):
        ours, theirs = both_ways(data)
        assert ours == theirs


def test_too_many_notes_of_a_file_that_is_read_by_its_events(monkeypatch):
    monkeypatch.setattr(songs, "MAX_NOTES", 3)
    with pytest.raises(SongError, match="too many notes"):
        parse_song(bare(b"\x00\xf8" + FIRST + SECOND * 5))


RESET = "00 f0 05 7e 7f 09 01 f7 "
C_TO_E = "00 90 3c 40 83 60 3c 00 " + RESET + "00 3e 40 83 60 3e 00 00 40 40 83 60 40 00 "


@pytest.mark.parametrize(
    "before",
    [
        "00 ff 59 02 ff 00 ", "00 ff 51 03 07 a1 ff ", "00 ff 01 03 61 62 ff ",
        "00 ff 7f 04 00 ff 00 60 ", "00 a0 3c ff ", "00 e0 80 7f ", "00 d0 28 83 60 30 ",
        "00 d0 28 81 82 03 30 ",
    ],
)  # fmt: skip
def test_what_comes_before_hides_no_sysex_among_running_status(before):
    expected = [(0, 4, 60), (4, 8, 62), (8, 12, 64)]
    data = bare(bytes.fromhex(before + C_TO_E))
    (part,) = parse_song(data).instruments
    shift = int(part.starts[0])
    assert [(start - shift, end - shift, pitch) for start, end, pitch in notes(part)] == expected


def test_a_key_of_one_flat_in_a_track_of_its_own():
    data = bare(bytes.fromhex("00 ff 59 02 ff 00 bc"),
                bytes.fromhex(C_TO_E))  # fmt: skip
    (part,) = parse_song(data).instruments
    assert notes(part) == [(0, 4, 60), (4, 8, 62), (8, 12, 64)]


@pytest.mark.parametrize(
    "track, is_drum",
    [
        ("00 90 3c 40 83 60 3c 00 00 d4 22 87 68 48 41 b4 00 7f 87 68 94 34 50 ", True),
        (RESET + "87 6d d7 6f 87 68 62 69 97 35 50 ", False),
        ("00 e0 80 7f 00 bb 00 7f 00 cb 00 00 9b 2a 64 83 60 2a 00 ", True),
        ("00 a0 80 7f 00 bb 00 7f 00 cb 00 00 9b 2a 64 83 60 2a 00 ", True),
    ],
)
def test_pressure_in_running_status_and_odd_data(track, is_drum):
    song = parse_song(bare(bytes.fromhex(track)))
    assert [part.is_drum for part in song.instruments][-1] == is_drum


def test_every_note_of_a_pitch_that_is_never_let_go_is_there():
    data = bare(bytes.fromhex("00 90 3c 40 83 60 3c 41 83 60 3e 40 83 60 3e 00"))
    (part,) = parse_song(data).instruments
    assert sorted(notes(part)) == [(0, 12, 60), (4, 12, 60), (8, 12, 62)]
    hat = b"\x00\x99\x2a\x64" + b"\x81\x70\x2a\x64" * 31
    (part,) = parse_song(bare(hat)).instruments
    assert len(part.starts) == 32


def test_notes_never_let_go_of_several_channels_end_with_their_track():
    body = bytes.fromhex("00 90 3c 40 00 91 3e 40 00 92 40 40 83 60 92 41 00")
    chunks = midi_chunks.read_chunks(bare(body))
    reading = midi_symusic.read_with_symusic(chunks)
    assert reading is None or set(reading.notes.ends.tolist()) == {480}


@pytest.mark.parametrize("status", ["f1", "f3"])
def test_a_system_message_with_a_data_byte_before_running_status(status):
    body = f"00 90 3c 40 00 {status} 10 83 60 3c 00 00 3e 40 83 60 3e 00"
    (part,) = parse_song(bare(bytes.fromhex(body))).instruments
    assert notes(part) == [(0, 4, 60), (4, 8, 62)]


def test_what_is_said_of_files_that_are_too_short():
    with pytest.raises(SongError, match="14 bytes, found 6"):
        parse_song(b"MThd\0\0")
    with pytest.raises(SongError, match="with 0 in the file"):
        parse_song(midi()[:14] + b"MTr")
