"""Thousands of MIDI files, made by seed with all that readers trip over, hold what mido finds.

mido misreads running status after a sysex, an escape or a message in real time, and chunks that are
no tracks. Of each file there are two: one with these, and the same music without, for mido.
"""

import collections
import io
import random
import struct

import mido
import pytest
from musical import variable_length

from magenta_vae.music.songs import parse_song

NUM_FILES, PARTS = 4_000, 8
DIVISION = 480
END_OF_TRACK = b"\xff\x2f\x00"
FIRST_PACKET, LAST_PACKET = b"\xf0\x03\x7e\x7f\x06", b"\xf7\x02\x01\xf7"
# Some have first bytes as statuses have them: 15,360 is F8 00.
TIMES = (0, 0, 0, 60, 120, 240, 7, 333, 480, 960, 15_360, 14_400, 16_256, 9_600, 2_100)
RHYTHM = (
    b"\x41\x10\x42\x12\x40\x1b\x15\x01\x0f", b"\x41\x10\x42\x12\x40\x13\x15\x02\x0f",
    b"\x43\x10\x4c\x08\x0b\x07\x01", b"\x41\x10\x42\x12\x40\x1b\x15\x00\x0f",
)  # fmt: skip
RHYTHM_CHANNELS = ((11, True), (2, True), (11, True), (11, False))


def draw_event(rng, channel, sounding, is_plain):
    """Returns the bytes of an event with its status, and whether running status outlives it."""
    kind = rng.random()
    if kind < 0.6 and (kind < 0.3 or not sounding):
        # Many are struck once more while they sound, and some never let go.
        pitch = rng.choice((rng.randrange(30, 100), 60, 60, *sounding[-1:]))
        sounding += [pitch] * (is_plain or rng.random() < 0.9)
        velocity = rng.choice((1, 80, 127, 127 if is_plain else 200))
        return bytes([0x90 | channel, pitch, velocity]), False
    if kind < 0.6:
        pitch = sounding.pop(rng.randrange(len(sounding)))
        status, velocity = rng.choice(((0x90, 0), (0x80, 64)))
        return bytes([status | channel, pitch, velocity]), False
    if is_plain:
        is_change = rng.random() < 0.01
        return bytes(
            [0xC0 | channel, rng.randrange(5)] if is_change else [0xB0 | channel, 7, 90]
        ), False
    if kind < 0.8:
        return draw_change(rng, channel), False
    return draw_system_event(rng), True


def draw_change(rng, channel):
    """Returns a program change, a bank select, or what bears on no note."""
    status, *data = rng.choice(
        (
            (0xC0, rng.randrange(140)), (0xC0, rng.randrange(140)), (0xB0, 0, 0),
            (0xB0, 0, rng.choice((120, 127, 1))), (0xB0, 7, 255), (0xB0, 10, 64), (0xD0, 200),
            (0xD0, 64), (0xD0, 0), (0xA0, 60, 255), (0xA0, 60, 64), (0xE0, 255, 0x40),
        )
    )  # fmt: skip
    return bytes([status | channel, *data])


def draw_system_event(rng):
    """Returns a meta event, a sysex or a part of one, an escape, or what is sent in real time."""
    text = rng.choice((rng.randbytes(rng.choice((0, 3, 200))), b"\xff" * 3, b"\xff\x2f\x00"))
    data = bytes(rng.randrange(128) for _ in range(rng.randrange(9)))
    rhythm = rng.choice(RHYTHM)
    return rng.choice(
        (
            b"\xff\x01" + variable_length(len(text)) + text,
            bytes([rng.choice((0xF8, 0xFA, 0xFE))]),
            b"\xf0" + variable_length(len(rhythm) + 1) + rhythm + b"\xf7",
            b"\xf0" + variable_length(len(data) + 1) + data + b"\xf7",
            FIRST_PACKET, LAST_PACKET, b"\xf7\x01\xf8", b"\xf7\x03\x90\x40\x50",
            bytes([0xF1, data[0] if data else 0]), bytes([0xF3, 5]),
        )
    )  # fmt: skip


def draw_track(rng, channels, is_plain):
    """Returns the bytes of a track, with and without what mido misreads."""
    ours, plain = b"", b""
    if is_plain:
        told = rng.sample((0, 2, 9, 11), rng.randrange(3))
        ours = plain = b"".join(bytes([0, 0xC0 | each, rng.randrange(5)]) for each in told)
    running = plain_running = None
    sounding = {channel: [] for channel in channels}
    is_open = False  # A sysex, until its last packet.
    for _ in range(rng.randrange(3, 60)):
        time = variable_length(rng.choice(TIMES))
        channel = rng.choice(channels)
        event, goes_on = draw_event(rng, channel, sounding[channel], is_plain)
        if is_open and event[0] in (0xF0, 0xF7):
            event = LAST_PACKET  # The rest of it comes first.
        is_open = event == FIRST_PACKET or (is_open and event[0] != 0xF7)
        status = event[0]
        # A data byte above 127 would be a status where that is left out.
        may_run_on = event[1:2] < b"\x80" and rng.random() < 0.8
        ours += time + event[may_run_on and status == running :]
        plain += time + event[may_run_on and status == plain_running :]
        running = running if goes_on else status
        # A meta event leaves mido its running status, nothing else does.
        plain_running = plain_running if status == 0xFF else None if goes_on else status
    end = variable_length(rng.choice(TIMES)) + END_OF_TRACK
    if is_plain:
        rests = [[0x80 | each, pitch, 64] for each in channels for pitch in sounding[each]]
        end = b"".join(b"\x60" + bytes(release) for release in rests) + end
    return ours + end, plain + end


def draw_file(seed):
    """Returns the bytes of a file, with and without what mido misreads."""
    rng = random.Random(seed)
    is_plain = rng.random() < 0.5  # Such as a fast reader may be trusted with.
    tracks = [draw_track(rng, rng.sample((0, 2, 9, 11), rng.randint(1, 3)), is_plain)
              for _ in range(rng.randint(1, 3))]  # fmt: skip
    extra = rng.choice((0, 0, 1, 4))
    ours, plain = (
        b"MThd"
        + struct.pack(">IHHH", 6 + size, len(tracks) > 1, len(tracks), DIVISION)
        + bytes(size)
        for size in (extra, 0)
    )
    for body, for_mido in tracks:
        if rng.random() < 0.1:
            ours += b"Junk" + struct.pack(">I", 6) + b"MTrk\0\0"
        ours += b"MTrk" + struct.pack(">I", len(body)) + body
        plain += b"MTrk" + struct.pack(">I", len(for_mido)) + for_mido
    return ours, plain


def steps(tick):
    return (8 * tick + DIVISION) // (2 * DIVISION)


def find_notes(plain):
    """Returns how often each (program, is_drum, start, end, pitch) is in a file, by mido."""
    tracks = []
    for track in mido.MidiFile(file=io.BytesIO(plain), clip=True).tracks:
        ticks = [0]
        for message in track:
            ticks.append(ticks[-1] + message.time)
        tracks.append(list(zip(ticks[1:], track, strict=True)))
    sounds = follow(tracks)
    found = collections.Counter()
    for index, track in enumerate(tracks):
        for number, (tick, message) in enumerate(track):
            if message.type == "note_on" and message.velocity:
                end = find_end(track, number)
                sound = sounds(message.channel, tick, index, number)
                found[*sound, steps(tick), max(steps(end), steps(tick) + 1), message.note] += 1
    return found


def find_end(track, number):
    """Returns where a note ends: the first release is the first note's, of those of one pitch."""
    begun, message = track[number]

    def is_same(other):
        same = other.type in ("note_on", "note_off")
        return same and (other.channel, other.note) == (message.channel, message.note)

    before = 0
    for _, other in track[:number]:
        if is_same(other):
            struck = other.type == "note_on" and other.velocity
            before = before + 1 if struck else max(before - 1, 0)
    releases = [tick for tick, other in track[number + 1:]
                if is_same(other) and not (other.type == "note_on" and other.velocity)]  # fmt: skip
    if before < len(releases):
        return releases[before]
    return releases[-1] if releases and releases[-1] > begun else track[-1][0]


def follow(tracks):
    """Returns a function: (channel, tick, track, number) -> (program, is_drum)."""
    events = sorted(
        ((tick, index, number, message) for index, track in enumerate(tracks)
         for number, (tick, message) in enumerate(track)),
        key=lambda event: event[:3],
    )  # fmt: skip

    def sound(channel, tick, track, number):
        program, bank, is_rhythm = 0, 0, channel == 9
        for at, of_track, place, message in events:
            if at > tick or (at == tick and of_track == track and place > number):
                continue
            if message.type == "program_change" and message.channel == channel:
                program = message.program
            elif message.type == "control_change" and message.channel == channel:
                bank = message.value if message.control == 0 else bank
            elif message.type == "sysex":
                data = bytes(message.data)
                if data in RHYTHM and RHYTHM_CHANNELS[RHYTHM.index(data)][0] == channel:
                    is_rhythm = RHYTHM_CHANNELS[RHYTHM.index(data)][1]
        return program, is_rhythm or bank in (120, 127)

    return sound


@pytest.mark.parametrize("part", range(PARTS))
def test_every_file_holds_the_notes_that_mido_finds(part):
    num_read = 0
    for seed in range(part, NUM_FILES, PARTS):
        ours, plain = draw_file(seed)
        expected = find_notes(plain)
        if not expected:
            continue
        found = collections.Counter()
        for each in parse_song(ours).instruments:
            columns = (column.tolist() for column in (each.starts, each.ends, each.pitches))
            for note in zip(*columns, strict=True):
                found[each.program, each.is_drum, *note] += 1
        assert found == expected, seed
        num_read += 1
    assert num_read > 0.9 * NUM_FILES / PARTS
