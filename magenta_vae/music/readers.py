"""Bytes of music in any of the forms that are read -> songs."""

import os

from magenta_vae.music import note_sequences, packing, scores, songs, tunes
from magenta_vae.music.songs import Song

# What reads MIDI. `benchmarks/compare_readers.py` shows where they differ, and why.
MIDI_READERS = {
    "symusic": songs.parse_song,
    "note_seq": note_sequences.parse_song_with_note_seq,
}
EXTENSIONS = (".mid", ".midi", ".kar", ".rmi", ".smf", ".musicxml", ".mxl", ".xml", ".abc")


def parse_music(data: bytes, reader: str = "symusic") -> Song:
    """Parses MIDI, MIDI in RIFF (RMI), MusicXML or ABC, packed or not, told by its first bytes.

    Args:
        data: the bytes of a file.
        reader: what reads MIDI, one of `MIDI_READERS`.

    Raises:
        SongError: where that fails, with the reason.
    """
    data = packing.unpack(data)
    if scores.is_musicxml(data):
        return scores.parse_musicxml(data)
    if tunes.is_abc(data):
        return tunes.parse_abc(data)
    return MIDI_READERS[reader](data)


def read_music(path: str | os.PathLike, reader: str = "symusic") -> Song:
    """Reads a file of music. Raises `SongError` with the reason where it cannot be read."""
    return parse_music(songs.read_bytes(path), reader)
