"""Records are those of TensorFlow and protobuf, byte for byte."""

import gzip
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from musical import DRUMS, MELODY, TRIO

from magenta_vae.data import records
from magenta_vae.data.records import (
    WindowSerializer,
    crc32c,
    frame,
    read_records,
    read_sound_records,
)
from magenta_vae.music import tokens
from magenta_vae.music.songs import SongError


def random_windows(tracks, num_windows, num_steps, seed=0):
    """Returns windows as songs give them: none begins with a hold, none holds a rest."""
    rng = np.random.default_rng(seed)
    columns = []
    for track in tracks:
        column = rng.integers(track.num_classes, size=(num_windows, num_steps))
        quiet = rng.random(column.shape) < 0.7
        column[quiet] = rng.choice([track.rest, track.sustain], size=quiet.sum())
        if not track.is_drum:
            for step in range(num_steps):
                before = column[:, step - 1] if step else np.full(num_windows, track.rest)
                loose = (column[:, step] == track.sustain) & (before == track.rest)
                column[loose, step] = track.rest
        columns.append(column)
    return np.stack(columns, axis=-1).astype(np.uint16)


def test_the_checksum_of_the_specification():
    # RFC 3720, B.4, and the common check value.
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43
    assert crc32c(bytes(range(32))) == 0x46DD794E
    assert crc32c(b"") == 0


def test_the_checksum_where_its_package_has_no_compiled_part():
    program = (
        "import sys; sys.modules['google_crc32c._crc32c'] = None; import google_crc32c; "
        "from magenta_vae.data import records; "
        "print(google_crc32c.implementation, records.frame(bytes(range(256)) * 9).hex())"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.stdout.split() == ["python", frame(bytes(range(256)) * 9).hex()], ran.stderr


@pytest.mark.parametrize("size", [0, 1, 3, 4, 5, 1023, 1024, 1025, 1027, 2048, 5000])
def test_records_are_tensorflows(tmp_path, size):
    path = str(tmp_path / "records")
    data = np.random.default_rng(size).bytes(size)
    with tf.io.TFRecordWriter(path) as writer:
        writer.write(data)
        writer.write(b"end")
    with open(path, "rb") as file:
        assert file.read() == frame(data) + frame(b"end")
    assert list(read_records(path)) == [data, b"end"]


def test_compressed_records(tmp_path):
    path = str(tmp_path / "records")
    with tf.io.TFRecordWriter(path, "GZIP") as writer:
        writer.write(b"one")
    assert list(read_records(path)) == [b"one"]
    with open(path, "wb") as file:
        file.write(gzip.compress(frame(b"one"))[:-9])
    with pytest.raises((EOFError, SongError)):
        list(read_records(path))


@pytest.mark.parametrize("at", [0, 9, 14, -1])
def test_a_flipped_bit_is_found(tmp_path, at):
    path = str(tmp_path / "records")
    data = bytearray(frame(b"first") + frame(b"second"))
    data[at] ^= 4
    with open(path, "wb") as file:
        file.write(data)
    with pytest.raises(SongError, match=f"damaged records: record {int(at < 0)}: the checksum"):
        list(read_records(path))


def test_a_cut_or_enormous_record(tmp_path, monkeypatch):
    path = str(tmp_path / "records")
    for length in (5, 13, 20):
        with open(path, "wb") as file:
            file.write(frame(b"a record")[:length])
        with pytest.raises(SongError, match="damaged records"):
            list(read_records(path))
    monkeypatch.setattr(records, "MAX_FILE_BYTES", 7)
    with open(path, "wb") as file:
        file.write(frame(b"a record"))
    with pytest.raises(SongError, match="file too large"):
        list(read_records(path))


@pytest.mark.parametrize(
    "tracks, num_steps", [(MELODY, 32), (MELODY, 512), (DRUMS, 32), (TRIO, 256), (MELODY * 2, 16)]
)
def test_windows_are_serialized_as_protobuf_does(tracks, num_steps):
    serialize = WindowSerializer(tracks, num_steps)
    for seed in range(3):
        windows = random_windows(tracks, 20, num_steps, seed)
        expected = [
            tokens.detokenize(window.astype(np.int32), tracks).SerializeToString(deterministic=True)
            for window in windows
        ]
        assert serialize(windows) == expected
    assert serialize(windows[:0]) == []


def test_silence_and_the_ends_of_windows():
    """A note to the last step does not run into the next window, nor a rest out of it."""
    silent = np.full((2, 16, 1), 129)
    held = np.array([[60] + [128] * 15, [129] * 15 + [0], [127] * 16])[:, :, None]
    windows = np.concatenate([silent, held, silent]).astype(np.uint8)
    found = WindowSerializer(MELODY, 16)(windows)
    assert found == [
        tokens.detokenize(window.astype(np.int32), MELODY).SerializeToString(deterministic=True)
        for window in windows
    ]


# What is read of a damaged file: all that is sound, and nothing else.

RECORDS = [bytes([i]) * (5 + 40 * i) for i in range(6)] + [b""]
STARTS = np.cumsum([0] + [len(record) + 16 for record in RECORDS])


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "some.tfrecord"
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in RECORDS:
            writer.write(record)
    return path


def flip(path, position):
    data = bytearray(path.read_bytes())
    data[position] ^= 4
    path.write_bytes(data)


def test_a_sound_file_is_read_whole(path):
    assert path.stat().st_size == STARTS[-1]
    assert read_sound_records(path) == RECORDS


@pytest.mark.parametrize("offset", [12, 14, -1, -4])
def test_a_damaged_record_is_left_out_alone(path, offset):
    flip(path, (STARTS[2] if offset > 0 else STARTS[3]) + offset)
    assert read_sound_records(path) == RECORDS[:2] + RECORDS[3:]


@pytest.mark.parametrize("offset", [0, 7, 8, 11])
def test_nothing_is_found_after_a_damaged_length(path, offset):
    flip(path, STARTS[2] + offset)
    assert read_sound_records(path) == RECORDS[:2]


@pytest.mark.parametrize("cut", [1, 16, 17, 20])
def test_a_truncated_file(path, cut):
    path.write_bytes(path.read_bytes()[:-cut])
    assert read_sound_records(path) == (RECORDS[:6] if cut <= 16 else RECORDS[:5])
