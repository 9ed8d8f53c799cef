"""What is read of a damaged TFRecord file: all that is sound, and nothing else."""

import numpy as np
import pytest
import tensorflow as tf

from magenta_vae.data.records import masked_crc32c, read_sound_records

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


def test_the_checksum_is_crc32c():
    # RFC 3720, B.4: the CRC-32C of 32 zero bytes is 8a9136aa. Rotated right by 15 bits that is
    # 6d551522, and the constant a282ead8 added makes 0fd7fffa.
    assert masked_crc32c(bytes(32)) == 0x0FD7FFFA


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
