"""Archives that anybody may have made, read within bounds."""

import bz2
import gzip
import lzma
import os
import zlib

# Collections of MIDI files shrink to a fifth; what grows a hundred times is made to harm.
MAX_GROWTH = 100
MIN_UNPACKED_BYTES = 2**30
MAX_READ_BYTES = 2**24  # Of tar's own headers, which name files; file contents are read in parts.

# What the standard library raises for an archive that is damaged.
DAMAGE = (EOFError, zlib.error, gzip.BadGzipFile, lzma.LZMAError)

_OPENERS = {b"\x1f\x8b": gzip.open, b"BZ": bz2.open, b"\xfd7": lzma.open}


class ArchiveError(ValueError):
    """An archive that claims more than it can hold."""


class BoundedFile:
    """A file, packed or not, that is not read beyond what one of its size may hold.

    Args:
        path: of the file; gzip, bzip2 and xz are told by their first bytes.
        max_read_bytes: the most that is read at a time.
    """

    def __init__(self, path: str | os.PathLike, max_read_bytes: int = MAX_READ_BYTES):
        with open(path, "rb") as file:
            opener = _OPENERS.get(file.read(2), open)
        self._file = opener(path, "rb")
        self._max_bytes = max(MAX_GROWTH * os.path.getsize(path), MIN_UNPACKED_BYTES)
        self._max_read_bytes = max_read_bytes

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._file.close()

    def read(self, size: int) -> bytes:
        """Returns the next bytes. Raises `ArchiveError` for more than there can be."""
        if not 0 <= size <= self._max_read_bytes:
            raise ArchiveError(f"it claims a header of {size:,} bytes")
        self._check(self.tell() + size)
        return self._file.read(size)

    def seek(self, position: int, whence: int = os.SEEK_SET) -> int:
        """Moves to a place, counted from the beginning. Raises `ArchiveError` beyond the end."""
        self._check(position)
        return self._file.seek(position, whence)

    def tell(self) -> int:
        """Returns the place in the unpacked file."""
        return self._file.tell()

    def _check(self, end: int) -> None:
        if end > self._max_bytes:
            raise ArchiveError(f"it claims more than {self._max_bytes:,} bytes when unpacked")
