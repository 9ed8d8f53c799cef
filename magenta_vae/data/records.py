"""TFRecord files without TensorFlow: worker processes start in a second and stay small.

A record is its length (64 bits), a checksum of the length, its bytes, and a checksum of those; the
checksums are CRC-32C, rotated and shifted by a constant (TensorFlow, record_writer.h).
"""

import functools
import gzip
import struct
from collections.abc import Iterator, Sequence

import numpy as np

from magenta_vae.music import note_sequences, tokens
from magenta_vae.music.songs import MAX_FILE_BYTES, SongError

POLYNOMIAL = 0x82F63B78  # Castagnoli's, its bits reversed.
BLOCK = 1024  # Bytes that one lookup covers: its table, a megabyte, stays in a cache.
MASK = 0xA282EAD8
HEADER_BYTES, FOOTER_BYTES = 12, 4


def crc32c(data: bytes) -> int:
    """Returns the CRC-32C of bytes.

    A CRC is linear: that of a block is the exclusive or of what each of its bytes gives alone,
    which a table holds for every place from the end of the block.
    """
    values, state = np.frombuffer(data, np.uint8), 0xFFFFFFFF
    for start in range(0, len(values), BLOCK):
        block = values[start : start + BLOCK].astype(np.int64)
        # What came before enters with the next four bytes.
        num_mixed = min(len(block), 4)
        block[:num_mixed] ^= np.frombuffer(struct.pack("<I", state), np.uint8)[:num_mixed]
        lookups = _table().take(block + _rows()[-len(block) :])
        state = int(np.bitwise_xor.reduce(lookups)) ^ (state >> 8 * num_mixed)
    return state ^ 0xFFFFFFFF


def frame(record: bytes) -> bytes:
    """Returns a record as it stands in a file."""
    return _header(len(record)) + record + struct.pack("<I", _masked(crc32c(record)))


def read_records(path: str) -> Iterator[bytes]:
    """Yields the records of a file, compressed with gzip or not.

    Raises `SongError` where one is damaged, too large or cut off.
    """
    with open(path, "rb") as file:
        is_compressed = file.read(2) == b"\x1f\x8b"
    with gzip.open(path) if is_compressed else open(path, "rb") as file:
        index = 0
        while header := file.read(HEADER_BYTES):
            size = int.from_bytes(header[:8], "little")
            if header != _header(size):
                raise SongError("damaged records", f"record {index}: the checksum of its length")
            if size > MAX_FILE_BYTES:
                raise SongError(
                    "file too large", f"at most {MAX_FILE_BYTES:,} bytes, record {index}: {size:,}"
                )
            record, checksum = file.read(size), file.read(FOOTER_BYTES)
            if checksum != struct.pack("<I", _masked(crc32c(record))):
                raise SongError("damaged records", f"record {index}: the checksum of its bytes")
            yield record
            index += 1


def read_sound_records(path: str) -> list[bytes]:
    """Returns the records of a file whose checksums are right, in their order.

    After a damaged length nothing more can be found.
    """
    with open(path, "rb") as file:
        data = file.read()
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
        owners, codes = [], []
        for index, track in enumerate(self._tracks):
            # One long line, whose notes are cut where the next window begins: some vocabularies
            # have one token for silence that goes on and for a note that does.
            notes = track.detokenize(windows[:, :, index].reshape(-1).astype(np.int32))
            owner, start = np.divmod(notes.starts.astype(np.int64), self._num_steps)
            steps = np.minimum(notes.ends - notes.starts, self._num_steps - start)
            code = (index * (self._num_steps + 1) + start) * (self._num_steps + 1) + steps
            owners.append(owner)
            codes.append(code * tokens.NUM_PITCHES + notes.pitches)
        owner, code = np.concatenate(owners), np.concatenate(codes)
        code = code[np.argsort(owner, kind="stable")]
        distinct, places = np.unique(code, return_inverse=True)
        self._make(distinct[[each not in self._notes for each in distinct.tolist()]])
        fields = [self._notes[each] for each in distinct.tolist()]
        fields = [fields[place] for place in places.tolist()]
        ends = np.cumsum(np.bincount(owner, minlength=len(windows))).tolist()
        return [
            b"".join((self._before, *fields[start:end], self._after))
            for start, end in zip([0, *ends], ends, strict=False)
        ]

    def _make(self, codes: np.ndarray) -> None:
        """Makes the bytes of notes that were not met before."""
        rest, pitches = np.divmod(codes, tokens.NUM_PITCHES)
        rest, steps = np.divmod(rest, self._num_steps + 1)
        indices, starts = np.divmod(rest, self._num_steps + 1)
        for index, track in enumerate(self._tracks):
            rows = indices == index
            sequence = note_sequences.empty_note_sequence(num_steps=self._num_steps)
            note_sequences.add_notes(
                sequence,
                starts[rows],
                (starts + steps)[rows],
                pitches[rows],
                instrument=index,
                program=track.output_program,
                is_drum=track.is_drum,
            )
            for code, note in zip(codes[rows].tolist(), sequence.notes, strict=True):
                self._notes[code] = _note_field(note)


def _note_field(note) -> bytes:
    """Returns a note as a field of its NoteSequence."""
    alone = note_sequences.music_pb2.NoteSequence()
    alone.notes.add().CopyFrom(note)
    return alone.SerializeToString(deterministic=True)


@functools.cache
def _table() -> np.ndarray:
    """Returns what byte v gives at place p from the end of a block, at 256 p + v: uint32."""
    first = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        first = np.where(first & 1, (first >> 1) ^ np.uint32(POLYNOMIAL), first >> 1)
    table = [first]
    for _ in range(1, BLOCK):
        table.append((table[-1] >> 8) ^ first[table[-1] & 0xFF])
    return np.concatenate(table)


@functools.cache
def _rows() -> np.ndarray:
    """Returns where each place of a block begins in the table, the first byte's place first."""
    return np.arange(BLOCK - 1, -1, -1) * 256


@functools.lru_cache(4096)
def _header(size: int) -> bytes:
    length = struct.pack("<Q", size)
    return length + struct.pack("<I", _masked(crc32c(length)))


def _masked(crc: int) -> int:
    return ((crc >> 15 | crc << 17) + MASK) & 0xFFFFFFFF
