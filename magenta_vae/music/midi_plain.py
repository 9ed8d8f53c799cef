"""Most MIDI files hold nothing that symusic reads wrongly: few of their bytes tell so.

Tracks that have such a byte, whatever it is there, are gone through from their beginning.
"""

from collections.abc import Collection, Sequence

from magenta_vae.music.midi_channels import KIT_BANKS, NUM_CHANNELS
from magenta_vae.music.midi_scan import (
    CONTROLLERS,
    META,
    NOTE_ON,
    PROGRAM,
    SYSEX,
    find_runs,
    find_statuses,
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
        and find_runs(track) is None
        for track in tracks
    )


def may_share_programs(tracks: Sequence[bytes], playing: Sequence[Collection[int]]) -> bool:
    """Says whether the program of a channel may be told in another track than its notes.

    Args:
        tracks: the bytes of each, plain ones.
        playing: the channels that each has notes on.
    """
    for channel in set().union(*playing):
        ours = {index for index, each in enumerate(playing) if channel in each}
        told = {index for index, track in enumerate(tracks) if PROGRAM | channel in track}
        if told and len(ours | told) > 1:
            told = {index for index in told if _may_have(tracks[index], PROGRAM | channel)}
            if told and len(ours | told) > 1:
                return True
    return False


def _may_have(track: bytes, status: int) -> bool:
    found = find_statuses(track)
    return found is None or any(track[at] == status for at in found)
