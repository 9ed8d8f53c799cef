"""Inputs of a data set -> the songs in them, one after another, archives and records included."""

import glob
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from magenta_vae.data import archives, records
from magenta_vae.music import note_sequences, packing, readers, songs, tunes
from magenta_vae.music.midi_chunks import HEADER
from magenta_vae.music.songs import Song, SongError

TUNES = (".abc", *(f".abc{packed}" for packed in packing.EXTENSIONS))  # May hold many tunes.
RECORDS = ".tfrecord"  # Also within a name: `songs.tfrecord-00000-of-00010`.
SECONDS_PER_FILE = 60.0  # Of 1,500 real songs tried none takes one.


class Source(NamedTuple):
    """One song to be read, or the reason that it cannot be.

    Attributes:
        name: its path; within an archive or a file of records the path goes on with its own name.
        data: its bytes where they were in a file with others, else None.
        is_record: whether it is a serialized NoteSequence.
        error: why there is nothing to read.
        split: the split that somebody chose for it, None where its bytes decide.
    """

    name: str
    data: bytes | None = None
    is_record: bool = False
    error: SongError | None = None
    split: str | None = None

    def read(self) -> bytes:
        """Returns the bytes of the song, unpacked where it is compressed by itself.

        Raises `SongError` with the reason where that fails.
        """
        if self.error is not None:
            raise self.error
        data = songs.read_bytes(self.name) if self.data is None else self.data
        return data if self.is_record else packing.unpack(data)

    def parse(self, data: bytes, reader: str) -> Song:
        """Returns the song of these bytes. Raises `SongError` with the reason where that fails."""
        if self.is_record:
            return note_sequences.parse_record(data)
        return readers.parse_music(data, reader)


def find_files(inputs: Sequence[str], flag: str = "input") -> list[str]:
    """Returns the files of folders (at any depth), globs and single paths, sorted, each once.

    Of a folder those are taken whose names say that they are music, archives or records, whether
    they can be read or not, and MIDI files whose names have no ending. Each real folder is searched
    once, however many links lead to it.

    Raises `FileNotFoundError` for an input that yields none, naming the flag that gave it.
    """
    all_paths: set[str] = set()
    for name in inputs:
        if os.path.isdir(name):
            paths = [path for path in _walk(name) if _is_song(path) or os.path.isdir(path)]
        elif os.path.lexists(name):  # Brackets in the name of what exists are no choice of letters.
            paths = [name]
        else:
            paths = [path for path in _glob(name) if not os.path.isdir(path)]
        if not paths:
            raise FileNotFoundError(
                f"--{flag}={name} names no MIDI file, nor other music: expected "
                f"{', '.join((*readers.EXTENSIONS, *archives.ARCHIVES, RECORDS))}."
            )
        all_paths.update(paths)
    return sorted(all_paths)


def folder_of(files: Sequence[str]) -> str:
    """Returns the deepest folder that holds all files."""
    return os.path.commonpath({os.path.dirname(os.path.abspath(path)) for path in files})


def read_sources(files: Sequence[str], seconds: float = SECONDS_PER_FILE) -> Iterator[Source]:
    """Yields every song of files, in their order. What cannot be opened becomes a source too.

    Args:
        files: paths as `find_files` gives them.
        seconds: how long it may take to unpack the next song of an archive.
    """
    for path in files:
        opener = _opener(path)
        if opener is None:
            yield Source(path)
        else:
            yield from opener(path, seconds)


def has_several_songs(path: str) -> bool:
    """Says whether a file is an archive, a file of records or one of tunes."""
    return _opener(path) is not None


def _is_song(path: str) -> bool:
    return archives.is_music(path) or has_several_songs(path) or _is_unnamed_midi(path)


def _is_unnamed_midi(path: str) -> bool:
    """Says whether a file whose name has no ending begins as MIDI does."""
    if os.path.splitext(path)[1] or not os.path.isfile(path):
        return False
    try:
        with open(path, "rb") as file:
            return file.read(len(HEADER)) == HEADER
    except OSError:
        return False


def _walk(folder: str) -> Iterator[str]:
    """Yields what is in a folder at any depth, but folders: those only that cannot be opened.

    Links to folders are followed after the folders that are there, and only to new ones.
    """
    seen: set[tuple[int, int]] = set()
    real: list[str] = [folder]
    links: list[str] = []
    while real or links:
        path = real.pop() if real else links.pop(0)
        try:
            status = os.stat(path)
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(path) as entries:
                for entry in sorted(entries, key=lambda entry: entry.name):
                    if os.path.isdir(entry.path):  # Unlike the entry's own: no error of links.
                        (links if entry.is_symlink() else real).append(entry.path)
                    else:
                        yield entry.path
        except OSError:
            yield path  # Whoever reads it is told why not.


def _glob(pattern: str) -> Iterator[str]:
    """Yields the paths of a pattern; `**` stands for folders at any depth, each real one once."""
    if pattern.endswith(os.sep + "**"):
        pattern = os.path.join(pattern, "*")
    before, recursive, after = pattern.partition("**" + os.sep)
    if not recursive or os.path.basename(before):
        yield from glob.iglob(pattern, recursive=False)
        return
    for folder in glob.iglob(before) if before else [os.curdir]:
        inside = {os.path.dirname(path) for path in _walk(folder)} | {os.path.normpath(folder)}
        for inner in sorted(inside):
            yield from _glob(os.path.join(glob.escape(inner), after))


def _opener(path: str) -> Callable[[str, float], Iterator[Source]] | None:
    name = os.path.basename(path)
    if RECORDS in name.lower():
        return _open_records
    if name.lower().endswith(TUNES):
        return _open_tunes
    return _open_archive if archives.is_archive(name) else None


def _open_records(path: str, _: float) -> Iterator[Source]:
    try:
        songs.check_file(path)
        for index, record in enumerate(records.read_records(path)):
            yield Source(f"{path}/{index}", record, is_record=True)
    except SongError as error:
        yield Source(path, error=error)
    except (OSError, EOFError, zlib.error) as error:
        reason = "cannot be opened" if getattr(error, "errno", None) else "damaged records"
        yield Source(path, error=SongError(reason, getattr(error, "strerror", "") or str(error)))


def _open_tunes(path: str, _: float) -> Iterator[Source]:
    try:
        songs.check_file(path)
        data = songs.read_bytes(path)
    except SongError as error:
        yield Source(path, error=error)
    else:
        yield from _split(path, data)


def _open_archive(path: str, seconds: float) -> Iterator[Source]:
    for name, data in archives.read_archive(path, seconds):
        if isinstance(data, SongError):
            yield Source(name, error=data)
        else:
            yield from _split(name, data)


def _split(name: str, data: bytes) -> Iterator[Source]:
    """Yields a file that was read: each of its tunes where it holds many, else itself."""
    try:
        songs = tunes.split_tunes(packing.unpack(data)) if name.lower().endswith(TUNES) else [data]
    except SongError as error:
        yield Source(name, error=error)
        return
    for index, song in enumerate(songs):
        yield Source(f"{name}/{index}" if len(songs) > 1 else name, song)
