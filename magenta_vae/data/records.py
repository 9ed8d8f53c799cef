"""TFRecord files that are damaged: the records in them that are not.

TensorFlow's reader gives up a file at its first damaged record. A record is its length (8 bytes),
the length's checksum (4), the bytes, and their checksum (4): where the length can be trusted, the
next record can be found.
"""

import struct

POLYNOMIAL = 0x82F63B78  # CRC-32C, Castagnoli's, bits reversed


def read_sound_records(path: str) -> list[bytes]:
    """Returns the records of a TFRecord file whose checksums are right, in their order.

    After a damaged length nothing more can be found.
    """
    with open(path, "rb") as file:
        data = file.read()
    records = []
    start = 0
    while start + 12 <= len(data):
        length, checksum = struct.unpack_from("<QI", data, start)
        end = start + 12 + length
        if masked_crc32c(data[start : start + 8]) != checksum or end + 4 > len(data):
            break
        record = data[start + 12 : end]
        if masked_crc32c(record) == struct.unpack_from("<I", data, end)[0]:
            records.append(record)
        start = end + 4
    return records


def masked_crc32c(data: bytes) -> int:
    """Returns the checksum that TFRecords hold: CRC-32C, rotated, plus a constant."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def _crc_of_byte(value: int) -> int:
    for _ in range(8):
        value = (value >> 1) ^ (POLYNOMIAL if value & 1 else 0)
    return value


TABLE = [_crc_of_byte(byte) for byte in range(256)]
