"""What each channel of a MIDI file plays when: its program, and whether it plays drums.

Channel 10 plays drums. Others do where a sysex of Roland's GS or Yamaha's XG makes them a rhythm
part, or where a drum kit is chosen by its bank (127 in XG, 120 in General MIDI 2).
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

DRUM_CHANNEL = 9  # Counted from 0: musicians call it 10.
KIT_BANKS = (120, 127)
NUM_CHANNELS = 16
RESETS = {  # The first bytes of a sysex, without its maker's device numbers -> the mode it begins.
    (0x7E, 0x09, 0x01): "gm",
    (0x7E, 0x09, 0x03): "gm2",
    (0x41, 0x42, 0x12, 0x40, 0x00, 0x7F): "gs",
    (0x43, 0x4C, 0x00, 0x00, 0x7E): "xg",
    (0x43, 0x4C, 0x00, 0x00, 0x7F): "xg",
}


class Place(NamedTuple):
    """Where an event stands: its tick, the number of its track, its number in the track."""

    tick: int
    track: int
    number: int


class Sound(NamedTuple):
    """What a channel plays notes with."""

    program: int = 0
    is_drum: bool = False


class Channel:
    """What one channel plays, and from where on."""

    def __init__(self, is_drum: bool):
        self._places: list[Place] = []
        self._sounds = [Sound(is_drum=is_drum)]

    def change(self, place: Place, sound: Sound) -> None:
        """Adds a change. They are given in the order of their places."""
        if sound != self._sounds[-1]:
            self._places.append(place)
            self._sounds.append(sound)

    def sounds_at(
        self, ticks: np.ndarray, track: int, numbers: np.ndarray
    ) -> tuple[np.ndarray, list[Sound]]:
        """Returns which sound notes of a track are played with, and the sounds: int [notes].

        A change at the tick of a note comes before it, unless its own track has it after.

        Args:
            ticks: where the notes begin: int [notes].
            track: the number of their track.
            numbers: their numbers in it: int [notes].
        """
        if not self._places:
            return np.zeros(len(ticks), np.int64), self._sounds
        at, of_track, place = np.array([(-1, -1, -1), *self._places]).T
        which = np.searchsorted(at, ticks, side="right") - 1
        while True:
            is_after = (at[which] == ticks) & (of_track[which] == track) & (place[which] > numbers)
            if not is_after.any():
                return which, self._sounds
            which = which - is_after


def follow_channels(changes: Iterable[tuple[Place, int, bytes]]) -> dict[int, Channel]:
    """Returns the channels of one port of a file.

    Args:
        changes: (place, status, data) of its program changes, controllers and sysex, in any order,
            the data of a sysex without F0.
    """
    states = [_State(number == DRUM_CHANNEL) for number in range(NUM_CHANNELS)]
    mode = ""
    for place, status, data in sorted(changes, key=lambda change: change[0]):
        if status != 0xF0:
            channel = status & 0x0F
            affected: Iterable[int] = [channel]
            states[channel].change(status, data)
        elif (reset := _mode(data)) is not None:
            mode, affected = reset, range(NUM_CHANNELS)
            for number in affected:
                states[number].reset(number == DRUM_CHANNEL)
        else:
            rhythm = rhythm_changes(data)
            affected = rhythm.keys()
            for number, is_drum in rhythm.items():
                states[number].is_rhythm = is_drum
        for number in affected:
            states[number].channel.change(place, states[number].sound(mode))
    return {number: state.channel for number, state in enumerate(states)}


def rhythm_changes(sysex: bytes) -> dict[int, bool]:
    """Returns the channels of which a sysex (without F0) says whether they are rhythm parts."""
    key, values = _address(sysex)
    if key[:4] == (0x41, 0x42, 0x12, 0x40) and len(key) == 6 and key[4] >> 4 == 1:
        # GS: 40 1x 15, "use for rhythm part"; x is 0 for channel 10, then 1 to 9, 11 to 16.
        block, at = key[4] & 0x0F, 0x15 - key[5]
        channel = DRUM_CHANNEL if block == 0 else block - (block < 10)
        values = values[:-1]  # A checksum.
    elif key[:3] == (0x43, 0x4C, 0x08) and len(key) == 5:
        channel, at = key[3], 0x07 - key[4]  # XG: 08 nn 07, "part mode".
    else:
        return {}
    if 0 <= at < len(values) and channel < NUM_CHANNELS:
        return {channel: values[at] > 0}
    return {}


def is_unusual(sysex: bytes) -> bool:
    """Says whether a sysex makes rhythm parts of other channels than 10, or a melody of that."""
    return any(
        is_drum != (channel == DRUM_CHANNEL) for channel, is_drum in rhythm_changes(sysex).items()
    )


class _State:
    """What was last said of a channel."""

    def __init__(self, is_rhythm: bool):
        self.channel = Channel(is_rhythm)
        self.is_rhythm, self.bank, self.program = is_rhythm, 0, 0

    def change(self, status: int, data: bytes) -> None:
        if status >> 4 == 0xC:
            self.program = min(data[0], 127)
        elif data[0] == 0:  # Of the controllers, the bank's upper half.
            self.bank = data[1]

    def reset(self, is_rhythm: bool) -> None:
        # Programs stay: in a file of several tracks those of the first tick may be told before.
        self.is_rhythm, self.bank = is_rhythm, 0

    def sound(self, mode: str) -> Sound:
        # In GS a bank is a variation of a melody's sound, whatever its number.
        return Sound(self.program, self.is_rhythm or (self.bank in KIT_BANKS and mode != "gs"))


def _mode(sysex: bytes) -> str | None:
    """Returns the mode that a sysex resets an instrument to, None where it does not."""
    key, _ = _address(sysex)
    return RESETS.get(key)


def _address(sysex: bytes) -> tuple[tuple[int, ...], bytes]:
    """Returns the maker, model and address of a sysex, without device numbers; and its values."""
    sysex = sysex.removesuffix(b"\xf7")
    maker = sysex[:1]
    end = {b"\x41": 7, b"\x43": 6, b"\x7e": 4}.get(maker, 0)
    if len(sysex) < end or not end:
        return (), b""
    return (sysex[0], *sysex[2:end]), sysex[end:]
