"""Files that anybody may have compressed (.gz, .xz, .lzma, .bz2) -> their bytes, within bounds."""

import bz2
import gzip
import io
import lzma
import tarfile
import zlib
from collections.abc import Iterator
from typing import IO, BinaryIO, Protocol

from magenta_vae.music.songs import MAX_FILE_BYTES, SongError

EXTENSIONS = (".gz", ".xz", ".lzma", ".bz2")
# Of xz; of LZMA alone, which has no mark but its usual settings and a size of whole kilobytes.
_XZ, _LZMA = b"\xfd7zXZ\0", b"]\0\0"
MAX_MEMORY_BYTES = 2**27  # What a stream may ask for to be unpacked; those of xz -9 ask for half.
# Collections of MIDI files shrink to a fifth; what grows a hundred times is made to harm.
MAX_GROWTH = 100
MIN_UNPACKED_BYTES = 2**30
MAX_READ_BYTES = 2**24  # Of the headers of a tar, which name files.
# What the standard library raises for a file that is damaged.
DAMAGE = (EOFError, zlib.error, gzip.BadGzipFile, lzma.LZMAError)
_CHUNK_BYTES = 2**16


class Unpacked(Protocol):
    """What is within a file, for reading."""

    def read(self, size: int, /) -> bytes:
        """Returns up to so many bytes."""

    def seek(self, position: int, whence: int, /) -> int:
        """Moves to a place and returns it."""

    def tell(self) -> int:
        """Returns the place."""


def unpack(data: bytes) -> bytes:
    """Returns the bytes of a file that may be compressed, told by its first bytes.

    Raises `SongError` where it is damaged, or larger than a file may be.
    """
    if not is_packed(data):
        return data
    try:
        unpacked = open_packed(io.BytesIO(data)).read(MAX_FILE_BYTES + 1)
    except MemoryError:
        raise
    except (OSError, EOFError, zlib.error, lzma.LZMAError, ValueError) as error:
        raise SongError("damaged archive", str(error)) from error
    if len(unpacked) > MAX_FILE_BYTES:
        raise SongError("file too large", f"at most {MAX_FILE_BYTES:,} bytes when unpacked")
    return unpacked


def is_packed(data: bytes) -> bool:
    """Says whether a file is compressed, by its first bytes."""
    return data[:2] == b"\x1f\x8b" or data[:6] == _XZ or data[:3] in (_LZMA, b"BZh")


def open_packed(file: BinaryIO) -> Unpacked:
    """Opens what is within a file that may be compressed. It is read from its start on."""
    start = file.read(6)
    file.seek(0)
    if not is_packed(start):
        return file
    if start[:2] == b"\x1f\x8b":
        return gzip.GzipFile(fileobj=file)
    if start[:3] == b"BZh":
        return bz2.BZ2File(file)
    return io.BufferedReader(_Xz(file), _CHUNK_BYTES)


def max_unpacked_bytes(num_bytes: int) -> int:
    """Returns the most that a file of so many bytes may hold when it is unpacked."""
    return max(MAX_GROWTH * num_bytes, MIN_UNPACKED_BYTES)


class UnpackingError(ValueError):
    """A file that claims more than it can hold."""


class BoundedFile(io.RawIOBase):
    """A file, packed or not, that is not read beyond what one of its size may hold.

    Args:
        file: open at its start.
        num_bytes: its size as it is.
    """

    def __init__(self, file: BinaryIO, num_bytes: int):
        self._file = open_packed(file)
        self._max_bytes = max_unpacked_bytes(num_bytes)

    def seekable(self) -> bool:
        """Says that it has places to move to."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Returns the next bytes. Raises `UnpackingError` for more than there can be."""
        if not 0 <= size <= MAX_READ_BYTES:
            raise UnpackingError(f"it claims a header of {size:,} bytes")
        self._check(self.tell() + size)
        return self._file.read(size)

    def seek(self, position: int, whence: int = io.SEEK_SET) -> int:
        """Moves to a place, counted from the start. Raises `UnpackingError` beyond the end."""
        self._check(position)
        return self._file.seek(position, whence)

    def tell(self) -> int:
        """Returns the place in the unpacked file."""
        return self._file.tell()

    def _check(self, end: int) -> None:
        if end > self._max_bytes:
            raise UnpackingError(f"it claims more than {self._max_bytes:,} bytes when unpacked")


class Tar(tarfile.TarFile):
    """A tar that is read member after member, whatever it holds."""

    members: list[tarfile.TarInfo]

    def walk(self) -> Iterator[tarfile.TarInfo]:
        """Yields the members and forgets each: the standard library would keep them all."""
        while (member := self.next()) is not None:
            self.members = []
            yield member

    def open_file(self, member: tarfile.TarInfo) -> IO[bytes]:
        """Opens a member that is a file."""
        opened = self.extractfile(member)
        if opened is None:
            raise tarfile.ReadError(f"{member.name} is no file")
        return opened


class _Xz(io.RawIOBase):
    """An xz or lzma file; unlike `lzma.LZMAFile` it may not ask for any memory it likes."""

    def __init__(self, file: BinaryIO):
        self._file, self._at = file, 0
        self._stream = self._new_stream()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, position: int, whence: int = io.SEEK_SET) -> int:
        if whence != io.SEEK_SET:
            raise io.UnsupportedOperation("a stream of xz or lzma knows no end before it is read")
        if position < self._at:
            self._file.seek(0)
            self._at, self._stream = 0, self._new_stream()
        while self._at < position and self.read(min(position - self._at, _CHUNK_BYTES)):
            pass
        return self._at

    def readinto(self, buffer) -> int:
        data = b""
        while not data:
            if self._stream.eof:
                rest = self._stream.unused_data or self._file.read(_CHUNK_BYTES)
                if not rest.strip(b"\0"):
                    return 0
                self._stream = self._new_stream()  # Files may be joined.
            else:
                rest = self._file.read(_CHUNK_BYTES) if self._stream.needs_input else b""
                if self._stream.needs_input and not rest:
                    raise EOFError("a stream of xz or lzma that is cut off")
            data = self._stream.decompress(rest, len(buffer))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def _new_stream(self) -> lzma.LZMADecompressor:
        return lzma.LZMADecompressor(memlimit=MAX_MEMORY_BYTES)
