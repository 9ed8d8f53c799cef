"""TFRecord files without TensorFlow: worker processes start in a second and stay small.

A record is its length (64 bits), a checksum of the length, its bytes, and a checksum of those; the
checksums are CRC-32C, rotated and shifted by a constant (TensorFlow, record_writer.h). A file may
be compressed with gzip as a whole.

The records of a data set are NoteSequences: whoever reads those with note-seq reads our windows,
and that stays so. Every window is one, quantized, of the length that `dataset.json` says; each
track is an instrument, whose number is its place among the tracks, with the track's name in
`instrument_infos`. A data set written by other means is read as well, if it keeps to this.
"""

import contextlib
import functools
import gzip
import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import BinaryIO

import numpy as np
from google_crc32c import value as crc32c

from magenta_vae.music import note_sequences, tokens
from magenta_vae.music.songs import MAX_FILE_BYTES, SongError

MASK = 0xA282EAD8
HEADER_BYTES, FOOTER_BYTES = 12, 4
GZIP = "GZIP"  # TensorFlow's and Beam's name of a compression.
GZIP_MAGIC = b"\x1f\x8b"


def frame(record: bytes) -> bytes:
    """Returns a record as it stands in a file."""
    return _header(len(record)) + record + struct.pack("<I", _masked(crc32c(record)))


def is_compressed(path: str) -> bool:
    """Says whether a file of records is compressed with gzip."""
    with open(path, "rb") as file:
        header = file.read(HEADER_BYTES)
    # The length of a record may begin as gzip does; its checksum tells.
    return header.startswith(GZIP_MAGIC) and header != _header(int.from_bytes(header[:8], "little"))


def read_records(path: str) -> Iterator[bytes]:
    """Yields the records of a file, compressed with gzip or not.

    Raises `SongError` where one is damaged, too large or cut off.
    """
    with gzip.open(path) if is_compressed(path) else open(path, "rb") as file:
        index = 0
        while header := _read(file, HEADER_BYTES, index):
            size = int.from_bytes(header[:8], "little")
            if header != _header(size):
                raise SongError("damaged records", f"record {index}: the checksum of its length")
            if size > MAX_FILE_BYTES:
                raise SongError(
                    "file too large", f"at most {MAX_FILE_BYTES:,} bytes, record {index}: {size:,}"
                )
            record, checksum = _read(file, size, index), _read(file, FOOTER_BYTES, index)
            if checksum != struct.pack("<I", _masked(crc32c(record))):
                raise SongError("damaged records", f"record {index}: the checksum of its bytes")
            yield record
            index += 1


def read_sound_records(path: str) -> list[bytes]:
    """Returns the records of a file whose checksums are right, in their order.

    After a damaged length nothing more can be found, nor after damaged bytes of gzip.
    """
    data = _read_whole(path)
    records, start = [], 0
    while header := data[start : start + HEADER_BYTES]:
        start += HEADER_BYTES
        end = start + int.from_bytes(header[:8], "little")
        if end + FOOTER_BYTES > len(data) or header != _header(end - start):
            break
        record, checksum = data[start:end], data[end : end + FOOTER_BYTES]
        if checksum == struct.pack("<I", _masked(crc32c(record))):
            records.append(record)
        start = end + FOOTER_BYTES
    return records


class WindowSerializer:
    """Serializes windows of tokens, as `tokens.detokenize` and protobuf do, all at once.

    A NoteSequence's bytes are those of its fields in order. Windows of one kind differ in their
    notes alone, and of notes there are few: the bytes of each are made once.

    Args:
        tracks: the vocabularies of the windows.
        num_steps: the length of a window.
    """

    def __init__(self, tracks: Sequence[tokens.Vocabulary], num_steps: int):
        self._tracks = tracks
        self._num_steps = num_steps
        self._notes: dict[int, bytes] = {}
        silent = np.array([[track.rest for track in tracks]] * num_steps, np.int32)
        empty = tokens.detokenize(silent, tracks)
        whole = empty.SerializeToString(deterministic=True)
        marked = type(empty)()
        marked.CopyFrom(empty)
        marked.notes.add(pitch=1)
        mark = _note_field(marked.notes[0])
        before, _, self._after = marked.SerializeToString(deterministic=True).partition(mark)
        self._before = before
        if before + self._after != whole:
            raise RuntimeError("The notes of a serialized NoteSequence do not stand together.")

    def __call__(self, windows: np.ndarray) -> list[bytes]:
        """Returns the serialized NoteSequences of int [windows, steps, tracks] tokens."""
        notes = tokens.detokenize_windows(windows, self._tracks)
        code = notes.tracks * (self._num_steps + 1) + notes.starts
        code = code * (self._num_steps + 1) + notes.ends - notes.starts
        code = (code * tokens.NUM_PITCHES + notes.pitches)[np.argsort(notes.windows, kind="stable")]
        distinct, places = np.unique(code, return_inverse=True)
        self._make(distinct[[note not in self._notes for note in distinct.tolist()]])
        fields = [self._notes[note] for note in distinct.tolist()]
        fields = [fields[place] for place in places.tolist()]
        ends = np.cumsum(np.bincount(notes.windows, minlength=len(windows))).tolist()
        return [
            b"".join((self._before, *fields[start:end], self._after))
            for start, end in zip([0, *ends], ends, strict=False)
        ]

    def _make(self, codes: np.ndarray) -> None:
        """Makes the bytes of notes that were not met before."""
        rest, pitches = np.divmod(codes, tokens.NUM_PITCHES)
        rest, steps = np.divmod(rest, self._num_steps + 1)
        indices, starts = np.divmod(rest, self._num_steps + 1)
        for index in range(len(self._tracks)):
            rows = indices == index
            sequence = note_sequences.empty_note_sequence(num_steps=self._num_steps)
            ends = starts[rows] + steps[rows]
            tokens.add_track(sequence, self._tracks, index, starts[rows], ends, pitches[rows])
            for code, note in zip(codes[rows].tolist(), sequence.notes, strict=True):
                self._notes[code] = _note_field(note)


def _note_field(note) -> bytes:
    """Returns a note as a field of its NoteSequence."""
    alone = note_sequences.music_pb2.NoteSequence()
    alone.notes.add().CopyFrom(note)
    return alone.SerializeToString(deterministic=True)


def _read(file: BinaryIO | gzip.GzipFile, size: int, index: int) -> bytes:
    """Returns the next bytes of a file. Raises `SongError` where they cannot be decompressed."""
    try:
        return file.read(size)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise SongError("damaged records", f"record {index}: {error}") from error


def _read_whole(path: str) -> bytes:
    """Returns the bytes of a file, of a compressed one those before what is damaged."""
    if not is_compressed(path):
        with open(path, "rb") as file:
            return file.read()
    pieces = []
    with gzip.open(path) as file, contextlib.suppress(EOFError, gzip.BadGzipFile, zlib.error):
        while piece := file.read(2**16):
            pieces.append(piece)
    return b"".join(pieces)


@functools.lru_cache(4096)
def _header(size: int) -> bytes:
    length = struct.pack("<Q", size)
    return length + struct.pack("<I", _masked(crc32c(length)))


def _masked(crc: int) -> int:
    return ((crc >> 15 | crc << 17) + MASK) & 0xFFFFFFFF
