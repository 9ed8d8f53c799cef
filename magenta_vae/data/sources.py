"""Inputs of a data set -> the songs in them, one after another, archives and records included."""

import glob
import gzip
import os
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from magenta_vae.data import records
from magenta_vae.music import note_sequences, readers, songs, tunes
from magenta_vae.music.songs import MAX_FILE_BYTES, Song, SongError

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz")
TUNES = ".abc"  # Of which a file may hold many.
RECORDS = ".tfrecord"  # Also within a name: `songs.tfrecord-00000-of-00010`.

# Collections of MIDI files shrink to a fifth; what grows a hundred times is made to harm.
MAX_GROWTH = 100
MIN_UNPACKED_BYTES = 2**30


class Source(NamedTuple):
    """One song to be read, or the reason that it cannot be.

    Attributes:
        name: its path; within an archive or a file of records the path goes on with its own name.
        data: its bytes where they were in a file with others, else None.
        is_record: whether it is a serialized NoteSequence.
        error: why there is nothing to read.
    """

    name: str
    data: bytes | None = None
    is_record: bool = False
    error: SongError | None = None

    def read(self) -> bytes:
        """Returns the bytes of the song. Raises `SongError` with the reason where that fails."""
        if self.error is not None:
            raise self.error
        return songs.read_bytes(self.name) if self.data is None else self.data

    def parse(self, data: bytes, reader: str) -> Song:
        """Returns the song of these bytes. Raises `SongError` with the reason where that fails."""
        if self.is_record:
            return note_sequences.parse_record(data)
        return readers.parse_music(data, reader)


def find_files(inputs: Sequence[str]) -> list[str]:
    """Returns the files of folders (at any depth), globs and single paths, sorted, each once.

    Of a folder those are taken whose names say that they are music, archives or records.

    Raises `FileNotFoundError` for an input that yields none.
    """
    found: set[str] = set()
    for name in inputs:
        # Brackets in the name of what exists are no choice of letters.
        pattern = glob.escape(name) if os.path.exists(name) else name
        if os.path.isdir(name):
            pattern = os.path.join(pattern, "**")
        paths = [path for path in glob.iglob(pattern, recursive=True) if os.path.isfile(path)]
        if os.path.isdir(name):
            paths = [path for path in paths if _is_music(path) or _opener(path)]
        if not paths:
            raise FileNotFoundError(
                f"--input={name} names no MIDI file, nor other music: expected "
                f"{', '.join((*readers.EXTENSIONS, *ARCHIVES, RECORDS))}."
            )
        found.update(paths)
    return sorted(found)


def read_sources(files: Sequence[str]) -> Iterator[Source]:
    """Yields every song of files, in their order. What cannot be opened becomes a source too."""
    for path in files:
        opener = _opener(path)
        if opener is None:
            yield Source(path)
            continue
        try:
            yield from opener(path)
        except SongError as error:
            yield Source(path, error=error)
        except OSError as error:
            reason = error.strerror or str(error)
            yield Source(path, error=SongError("cannot be opened", reason))
        # What the standard library meets in a damaged archive, or finds that it cannot unpack.
        except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError) as error:
            yield Source(path, error=SongError("damaged archive", str(error)))
        except (ValueError, RuntimeError, NotImplementedError) as error:
            yield Source(path, error=SongError("damaged archive", str(error)))


def has_several_songs(path: str) -> bool:
    """Says whether a file is an archive, a file of records or one of tunes."""
    return _opener(path) is not None


def _is_music(name: str) -> bool:
    base = os.path.basename(name)
    # macOS puts a "._song.mid" that is no song beside each file of an archive.
    return base.lower().endswith(readers.EXTENSIONS) and not base.startswith("._")


def _opener(path: str) -> Callable[[str], Iterator[Source]] | None:
    name = os.path.basename(path).lower()
    if RECORDS in name:
        return _open_records
    if name.endswith(TUNES):
        return _open_tunes
    if name.endswith(".zip"):
        return _open_zip
    return _open_tar if name.endswith(ARCHIVES) else None


def _open_records(path: str) -> Iterator[Source]:
    for index, record in enumerate(records.read_records(path)):
        yield Source(f"{path}/{index}", record, is_record=True)


def _open_tunes(path: str) -> Iterator[Source]:
    yield from _members(path, songs.read_bytes(path))


def _open_zip(path: str) -> Iterator[Source]:
    left = _max_unpacked_bytes(path)
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if member.is_dir() or not _is_music(member.filename):
                continue
            name = f"{path}/{member.filename}"
            try:
                with archive.open(member) as file:
                    data = file.read(min(MAX_FILE_BYTES, left) + 1)
            except Exception as error:  # Each way of packing has errors of its own.
                # Another member may be sound.
                yield Source(name, error=SongError("damaged archive", str(error)))
                continue
            left -= len(data)
            _check_unpacked(path, left)
            yield from _members(name, data)


def _open_tar(path: str) -> Iterator[Source]:
    with open(path, "rb") as file:
        is_compressed = file.read(2) == b"\x1f\x8b"
    with (
        gzip.open(path) if is_compressed else open(path, "rb") as file,
        tarfile.open(fileobj=_Bounded(file, path), mode="r:") as archive,
    ):
        while (member := archive.next()) is not None:
            archive.members = []  # It would keep them all.
            if member.isreg() and _is_music(member.name):
                data = archive.extractfile(member).read(MAX_FILE_BYTES + 1)
                yield from _members(f"{path}/{member.name}", data)


def _members(name: str, data: bytes) -> Iterator[Source]:
    """Yields a file that was read: each of its tunes where it holds many, else itself."""
    if len(data) > MAX_FILE_BYTES:
        reason = f"at most {MAX_FILE_BYTES:,} bytes"
        yield Source(name, error=SongError("file too large", reason))
        return
    found = tunes.split_tunes(data) if name.lower().endswith(TUNES) else [data]
    for index, each in enumerate(found):
        yield Source(f"{name}/{index}" if len(found) > 1 else name, each)


def _max_unpacked_bytes(path: str) -> int:
    return max(MAX_GROWTH * os.path.getsize(path), MIN_UNPACKED_BYTES)


def _check_unpacked(path: str, left: int) -> None:
    if left < 0:
        most = _max_unpacked_bytes(path)
        raise SongError("archive too large", f"expected at most {most:,} bytes when unpacked")


class _Bounded:
    """A file that is not read beyond what an archive of its size may hold, nor too much at once."""

    def __init__(self, file, path: str):
        self._file, self._path = file, path
        self._max_bytes = _max_unpacked_bytes(path)

    def read(self, size: int) -> bytes:
        if not 0 <= size <= MAX_FILE_BYTES + 1:
            raise SongError("damaged archive", f"it claims a header of {size:,} bytes")
        _check_unpacked(self._path, self._max_bytes - self.tell() - size)
        return self._file.read(size)

    def seek(self, position: int, whence: int = os.SEEK_SET) -> int:
        _check_unpacked(self._path, self._max_bytes - position)
        return self._file.seek(position, whence)

    def tell(self) -> int:
        return self._file.tell()
