"""Most MIDI files hold nothing that symusic reads wrongly: few of their bytes tell so.

Tracks that have such a byte, whatever it is there, are gone through from their beginning.
"""

from collections.abc import Sequence

from magenta_vae.music.midi_channels import KIT_BANKS, NUM_CHANNELS
from magenta_vae.music.midi_scan import (
    CONTROLLERS,
    META,
    NOTE_ON,
    SYSEX,
    scan_track,
)

_BANKS = [bytes([0, bank]) for bank in KIT_BANKS]


def find_channels(tracks: Sequence[bytes]) -> list[list[int]]:
    """Returns the channels that each track may have notes on: those it has, perhaps more."""
    return [[each for each in range(NUM_CHANNELS) if NOTE_ON | each in track] for track in tracks]


def are_plain(tracks: Sequence[bytes]) -> bool:
    """Says whether tracks surely hold nothing that symusic reads wrongly, but shared programs.

    Args:
        tracks: the bytes of each, which end with an end of track.
    """
    joined = b"".join(tracks)
    system = [each for each in range(SYSEX, META) if each in joined]
    controllers = [each for each in CONTROLLERS if each in joined]
    return not any(
        (
            any(status in track for status in system)
            or (
                any(bank in track for bank in _BANKS)
                and any(status in track for status in controllers)
            )
        )
        and scan_track(track) is None
        for track in tracks
    )
