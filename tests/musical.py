"""Music for tests, written as strings with one symbol a sixteenth step.

'C4 . D4 -'     C4, a rest, D4 for two steps
'C4+E4 G4 - .'  two notes at once
'K+H . S .'     kick and closed hi-hat, a rest, snare
'*16'           after a symbol: so many of it, 'C4 -*15' is a whole note
"""

import re
import struct

import numpy as np

from magenta_vae.music import note_sequences
from magenta_vae.music.songs import Instrument, Song
from magenta_vae.music.tokens import Drums, Melody

MELODY = (Melody(),)
DRUMS = (Drums(),)
TRIO = (Melody("lead", 0, 31), Melody("bass", 32, 39, 32), Drums())

KITCHEN = {"K": 36, "S": 38, "H": 42, "O": 46, "L": 45, "M": 48, "T": 50, "C": 49, "R": 51}
SEMITONES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
NOTE = re.compile(r"([A-G])([#b]?)(-?\d)")


def pitch(name):
    """Returns the MIDI pitch of a note ('C4' is 60) or of a drum ('K')."""
    if name in KITCHEN:
        return KITCHEN[name]
    letter, accidental, octave = NOTE.fullmatch(name).groups()
    return 12 * (int(octave) + 1) + SEMITONES[letter] + {"#": 1, "b": -1, "": 0}[accidental]


def parse(text):
    """Returns the (start, end, pitch) of each note, in order of start."""
    symbols = []
    for word in text.split():
        symbol, _, times = word.partition("*")
        symbols += [symbol] * int(times or 1)
    notes = []
    for step, symbol in enumerate(symbols):
        if symbol in ".-":
            continue
        end = step + 1
        while end < len(symbols) and symbols[end] == "-":
            end += 1
        notes += [(step, end, pitch(name)) for name in symbol.split("+")]
    return notes


def part(text, program=0, is_drum=None, name=""):
    """Returns the Instrument that plays a string; drums where it names one, if not said."""
    starts, ends, pitches = np.array(parse(text), np.int32).reshape(-1, 3).T
    if is_drum is None:
        is_drum = not KITCHEN.keys().isdisjoint(re.split(r"[ +*]", text))
    velocities = np.full(len(starts), 80, np.int32)
    return Instrument(program, is_drum, name, starts, ends, pitches, velocities)


def song(*parts, time_signatures=(), tempos=()):
    """Returns the Song of strings, or of Instruments."""
    parts = tuple(part(each) if isinstance(each, str) else each for each in parts)
    return Song(parts, tuple(time_signatures), tuple(tempos))


def sequence(*parts, **kwargs):
    """Returns the quantized NoteSequence of strings, or of Instruments."""
    return note_sequences.song_to_note_sequence(song(*parts, **kwargs))


def seconds_only(note_sequence):
    """Returns a NoteSequence without its steps, as other programs make them."""
    plain = type(note_sequence)()
    plain.CopyFrom(note_sequence)
    plain.ClearField("quantization_info")
    plain.ClearField("total_quantized_steps")
    for note in plain.notes:
        note.ClearField("quantized_start_step")
        note.ClearField("quantized_end_step")
    return plain


# MIDI bytes. An event is (absolute tick, bytes).


def note_on(tick, number, channel=0, velocity=80):
    return tick, bytes([0x90 | channel, number, velocity])


def note_off(tick, number, channel=0):
    return tick, bytes([0x80 | channel, number, 0])


def program_change(tick, program, channel=0):
    return tick, bytes([0xC0 | channel, program])


def meta(tick, kind, data):
    return tick, bytes([0xFF, kind]) + variable_length(len(data)) + data


def tempo(tick, qpm):
    return meta(tick, 0x51, round(60e6 / qpm).to_bytes(3, "big"))


def time_signature(tick, numerator, denominator):
    return meta(tick, 0x58, bytes([numerator, denominator.bit_length() - 1, 24, 8]))


def key_signature(tick, sharps, mode):
    return meta(tick, 0x59, bytes([sharps % 256, mode]))


def play(text, channel=None, program=0, ticks_per_step=120):
    """Returns the events of a string."""
    instrument = part(text)
    if channel is None:
        channel = 9 if instrument.is_drum else 0
    events = [program_change(0, program, channel)]
    for start, end, number in parse(text):
        events.append(note_on(start * ticks_per_step, number, channel))
        events.append(note_off(end * ticks_per_step, number, channel))
    return events


def track(*events):
    """Returns a track chunk of events, each event or a list of them."""
    flat = [e for each in events for e in (each if isinstance(each, list) else [each])]
    # At one tick a note ends before the next begins, and everything else comes first.
    flat.sort(key=lambda event: (event[0], (event[1][0] & 0xF0) == 0x90))
    body, now = b"", 0
    for tick, data in flat:
        body += variable_length(tick - now) + data
        now = tick
    return raw_track(body + b"\x00\xff\x2f\x00")


def raw_track(body):
    return b"MTrk" + struct.pack(">I", len(body)) + body


def midi(*tracks, midi_format=1, division=480):
    """Returns the bytes of a MIDI file of track chunks."""
    return b"MThd" + struct.pack(">IHHH", 6, midi_format, len(tracks), division) + b"".join(tracks)


def rmi(data):
    """Returns MIDI bytes in their RIFF container, after a chunk of odd length."""
    chunks = (
        b"DISP" + struct.pack("<I", 3) + b"abc\0" + b"data" + struct.pack("<I", len(data)) + data
    )
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"RMID" + chunks


def variable_length(number):
    """Returns a MIDI variable-length quantity."""
    digits = [number & 0x7F]
    while number := number >> 7:
        digits.insert(0, number & 0x7F | 0x80)
    return bytes(digits)
