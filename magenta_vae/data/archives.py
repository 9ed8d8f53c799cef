"""Archives -> the files of music in them, unpacked within bounds of size, memory and time."""

import io
import lzma
import os
import tarfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO

from magenta_vae.music import packing, readers, songs
from magenta_vae.music.songs import MAX_FILE_BYTES, SongError

TARS = (
    ".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.lzma", ".tlz", ".tar.bz2", ".tbz2", ".tbz",
    ".tb2", ".tz2",
)  # fmt: skip
ARCHIVES = (".zip", *TARS)
UNREADABLE = (".7z", ".rar", ".lzh", ".lha", ".zst", ".lz4", ".z", ".mscz")

MAX_DEPTH = 3  # Archives within archives.

# A file in an archive: its name, after that of the archive, and its bytes or why it has none.
Member = tuple[str, bytes | SongError]


def is_archive(name: str) -> bool:
    """Says whether a name is that of an archive, of a kind that is read or not."""
    return name.lower().endswith(ARCHIVES + UNREADABLE)


def is_music(name: str) -> bool:
    """Says whether a name is that of a file of music, or of a single file that is compressed."""
    base = os.path.basename(name)
    # macOS puts a "._song.mid" that is no song beside each file of an archive.
    return base.lower().endswith(readers.EXTENSIONS + packing.EXTENSIONS) and base[:2] != "._"


def read_archive(path: str, seconds: float) -> Iterator[Member]:
    """Yields the files of music in an archive, and in archives within it.

    What cannot be read has its reason in the place of its bytes.

    Args:
        path: the archive.
        seconds: how long it may take to unpack the next of its files.
    """
    budget = _Budget(path, seconds)
    for member in _guarded(path, lambda: _open(path, budget)):
        budget.pause()
        yield member
        budget.resume()


class _Budget:
    """What an archive may still take: unpacked bytes in all, seconds for the next file."""

    def __init__(self, path: str, seconds: float):
        size = os.path.getsize(path) if os.path.isfile(path) else 0
        self.max_bytes = self.left = packing.max_unpacked_bytes(size)
        self._seconds = seconds
        self.resume()

    def take(self, num_bytes: int) -> None:
        """Counts unpacked bytes. Raises `SongError` where they, or the time, are too much."""
        self.left -= num_bytes
        if self.left < 0:
            most = f"expected at most {self.max_bytes:,} bytes when unpacked"
            raise SongError("archive too large", most)
        if time.monotonic() - self._begun > self._seconds:
            raise SongError("too slow", f"took more than {self._seconds:g} seconds to unpack")

    def pause(self) -> None:
        """Stops the clock."""
        self._begun = float("inf")

    def resume(self) -> None:
        """Starts the clock for the next file."""
        self._begun = time.monotonic()


def _guarded(name: str, read: Callable[[], Iterator[Member]]) -> Iterator[Member]:
    """Yields members; what ends the reading becomes the last of them."""
    try:
        yield from read()
    except SongError as error:
        yield name, error
    # What the standard library meets in a damaged archive, or finds that it cannot unpack.
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError) as error:
        yield name, SongError("damaged archive", str(error))
    except OSError as error:
        # gzip and bz2 say so of what they cannot unpack, without a number of the system's.
        reason = "cannot be opened" if error.errno else "damaged archive"
        yield name, SongError(reason, error.strerror or str(error))
    except (ValueError, RuntimeError, NotImplementedError) as error:
        yield name, SongError("damaged archive", str(error))


def _open(path: str, budget: _Budget) -> Iterator[Member]:
    songs.check_file(path)
    with open(path, "rb") as file:
        yield from _read(file, path, budget, depth=1)


def _read(file: BinaryIO, name: str, budget: _Budget, depth: int) -> Iterator[Member]:
    if name.lower().endswith(".zip"):
        yield from _read_zip(file, name, budget, depth)
    elif name.lower().endswith(TARS):
        yield from _read_tar(file, name, budget, depth)
    else:
        expected = f"expected {', '.join(ARCHIVES)}"
        raise SongError("cannot be unpacked", f"{expected}, found {os.path.splitext(name)[1]}")


def _read_zip(file: BinaryIO, path: str, budget: _Budget, depth: int) -> Iterator[Member]:
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            if member.is_dir() or not (is_music(member.filename) or is_archive(member.filename)):
                continue
            name = f"{path}/{member.filename}"
            try:
                with archive.open(member) as packed:
                    data = packed.read(min(MAX_FILE_BYTES, max(budget.left, 0)) + 1)
            except Exception as error:  # Each way of packing has errors of its own.
                # Another member may be sound.
                yield name, SongError("damaged archive", str(error))
                continue
            budget.take(len(data))
            yield from _read_member(name, data, budget, depth)


def _read_tar(file: BinaryIO, path: str, budget: _Budget, depth: int) -> Iterator[Member]:
    bounded = _Bounded(packing.open_packed(file), budget)
    with packing.Tar.open(fileobj=bounded, mode="r:") as archive:
        for member in archive.walk():
            name = f"{path}/{member.name}"
            if member.isdir() or not (is_music(name) or is_archive(name)):
                continue
            if member.isreg():
                data = archive.open_file(member).read(MAX_FILE_BYTES + 1)
                yield from _read_member(name, data, budget, depth)
            else:
                yield name, SongError("not a file", "a link or a device within an archive")


def _read_member(name: str, data: bytes, budget: _Budget, depth: int) -> Iterator[Member]:
    if len(data) > MAX_FILE_BYTES:
        yield name, SongError("file too large", f"at most {MAX_FILE_BYTES:,} bytes")
    elif not is_archive(name):
        yield name, data
    elif depth >= MAX_DEPTH:
        yield name, SongError("cannot be unpacked", f"archives within {MAX_DEPTH} others")
    else:
        yield from _guarded(name, lambda: _read(io.BytesIO(data), name, budget, depth + 1))


class _Bounded(io.RawIOBase):
    """A file that is not read beyond what is left of a budget, nor too much at once."""

    def __init__(self, file: packing.Unpacked, budget: _Budget):
        self._file, self._budget = file, budget
        self._furthest = 0

    def seekable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= MAX_FILE_BYTES + 1:
            raise SongError("damaged archive", f"it claims a header of {size:,} bytes")
        data = self._file.read(size)
        self._count()
        return data

    def seek(self, position: int, whence: int = os.SEEK_SET) -> int:
        # In steps, so that the clock is looked at while what is compressed is passed over.
        while whence == os.SEEK_SET and position - self.tell() > MAX_FILE_BYTES:
            following = self.tell() + MAX_FILE_BYTES
            self._file.seek(following, os.SEEK_SET)
            self._count()
            if self.tell() < following:
                break  # Its end.
        self._file.seek(position, whence)
        self._count()
        return self.tell()

    def tell(self) -> int:
        return self._file.tell()

    def _count(self) -> None:
        self._budget.take(max(self.tell() - self._furthest, 0))
        self._furthest = max(self._furthest, self.tell())
