"""Files that are written whole or not at all, and by one process at a time."""

import contextlib
import errno
import hashlib
import json
import os
import shutil
import stat
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

MAX_JSON_BYTES = 2**26  # Descriptions of the largest data sets have some megabytes.
# What a disk says that knows no locks, as some of networks do.
NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
# What a write fails with that has no room; Python does not say then which file it was of.
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[str]:
    """Gives a path beside another to write to, and renames it to the other at the end.

    Where the writing fails, what was at `path` stays as it was and nothing is left beside it.

    Raises:
        OSError: where it cannot be written, with `path`.
    """
    beside = f"{os.fspath(path)}.{uuid.uuid4().hex}.partial"
    with _making(os.path.dirname(path) or "."), _naming(path, beside):
        try:
            yield beside
            os.replace(beside, path)
        except BaseException:
            Path(beside).unlink(missing_ok=True)
            raise


@contextlib.contextmanager
def staging(folder: str | os.PathLike) -> Iterator[str]:
    """Gives a new folder within another, which is made if it is missing, and removes it at the end.

    What is written there can be renamed into the other folder once all of it is whole.

    Raises:
        OSError: where nothing can be written there, with `folder`.
    """
    beside = os.path.join(folder, f"{uuid.uuid4().hex}.partial")
    with _making(folder), _naming(folder, beside):
        os.mkdir(beside)
        try:
            yield beside
        finally:
            shutil.rmtree(beside, ignore_errors=True)


@contextlib.contextmanager
def _making(folder: str | os.PathLike) -> Iterator[None]:
    """Makes a folder, and removes what it has made of it again where what follows fails."""
    missing = _missing(folder)
    try:
        os.makedirs(folder, exist_ok=True)
        yield
    except BaseException:
        with contextlib.suppress(OSError):  # Others have written there meanwhile.
            for made in missing:
                os.rmdir(made)
        raise


def _missing(folder: str | os.PathLike) -> list[str]:
    """Returns the folders that must be made that a folder may be there, the innermost first."""
    missing = []
    each = os.path.abspath(folder)
    while not os.path.lexists(each):
        missing.append(each)
        each = os.path.dirname(each)
    return missing


@contextlib.contextmanager
def _naming(path: str | os.PathLike, beside: str) -> Iterator[None]:
    """Has errors of a file that is written beside its place name the place."""
    try:
        yield
    except OSError as error:
        is_nameless = error.filename is None and error.errno in DISK_FULL
        if is_nameless or str(error.filename).startswith(beside):
            raise OSError(error.errno, error.strerror, os.fspath(path)) from error
        raise


def make_folder_of(path: str | os.PathLike) -> None:
    """Makes the folder of a file. Raises `OSError` where that cannot be, with the folder."""
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)


def prepare_output(flag: str, path: str | os.PathLike) -> None:
    """Makes the folder of a file that is to be written, before the work that it is of.

    Args:
        flag: what the file was given by.
        path: of the file.

    Raises:
        OSError: where it cannot be written, with the flag.
    """
    if os.path.isdir(path):
        raise IsADirectoryError(f"--{flag}={path} is a folder: expected the name of a file.")
    try:
        make_folder_of(path)
    except OSError as error:
        raise OSError(f"--{flag}={path} cannot be written: {error.strerror}.") from error


def check_folder_place(folder: str | os.PathLike) -> None:
    """Raises `NotADirectoryError` for a path that can be no folder, with the file in its way."""
    missing = _missing(folder)
    found = os.path.dirname(missing[-1]) if missing else os.path.abspath(folder)
    if not os.path.isdir(found):
        raise NotADirectoryError(f"expected a folder, new or not. {found} is no folder.")


def write_text(path: str | os.PathLike, text: str) -> None:
    """Writes a text file whole or not at all."""
    write_lines(path, [text])


def write_lines(path: str | os.PathLike, lines: Iterable[str]) -> None:
    """Writes lines, each with its end, as a text file, whole or not at all."""
    with replacing(path) as beside, open(beside, "w", encoding="utf-8") as file:
        file.writelines(lines)
        sync(file)


def sha256_of(path: str | os.PathLike) -> str:
    """Returns the SHA-256 of a file, in hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_array_header(file: IO[bytes], dtype: Any, shape: tuple[int, ...]) -> None:
    """Writes what stands before the rows of an array in a file that `numpy.load` reads.

    Args:
        file: to write to; the rows follow, in C order.
        dtype, shape: of the array.
    """
    import numpy as np  # Late: what only prints its help needs none of it.

    descr = np.lib.format.dtype_to_descr(np.dtype(dtype))
    header = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)


def sync(file: IO) -> None:
    """Puts what was written on the disk: else a power cut may leave a name with nothing in it."""
    file.flush()
    os.fsync(file.fileno())


def require_new_folder(flag: str, folder: str) -> None:
    """Raises `FileExistsError` unless another folder can be renamed to this one.

    Args:
        flag: what the folder was given by.
        folder: its real path.
    """
    if os.path.isfile(folder) or (os.path.isdir(folder) and os.listdir(folder)):
        raise FileExistsError(
            f"{flag}={folder} is not an empty folder: what is there is never overwritten. "
            "Remove it or choose another folder."
        )
    if os.path.ismount(folder):
        raise FileExistsError(
            f"{flag}={folder} is where a disk is mounted, which cannot be done whole or not at "
            "all: choose a folder in it."
        )


@contextlib.contextmanager
def locked(path: str | os.PathLike, busy: str) -> Iterator[None]:
    """Holds a lock, which ends with the process at the latest; the file that it lies on stays.

    Args:
        path: the file.
        busy: what to say where another process holds it.

    Raises:
        FileExistsError: where another process holds it.
    """
    import fcntl

    make_folder_of(path)
    with open(path, "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise FileExistsError(busy) from error
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
        yield


def read_json(path: str | os.PathLike, keys: Collection[str] = ()) -> Any:
    """Returns the values of a JSON file.

    Args:
        path: the file.
        keys: what the object that it holds must have.

    Raises:
        ValueError: where it is damaged, with its name.
    """
    try:
        _check_plain(path)
        values = json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{os.fspath(path)} is damaged, it holds no JSON: {error}.") from error
    present = values if isinstance(values, dict) else ()
    if missing := [key for key in keys if key not in present]:
        raise ValueError(f"{os.fspath(path)} is damaged, it holds no {', '.join(missing)}.")
    return values


def _check_plain(path: str | os.PathLike) -> None:
    """Raises `ValueError` for a pipe or a device, and for what is far larger than a record."""
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("it is no file")
    if status.st_size > MAX_JSON_BYTES:
        raise ValueError(f"it has more than {MAX_JSON_BYTES:,} bytes")


def check_types(
    path: str | os.PathLike, values: Any, types: Mapping[str, Any], keys: Collection[str] = ()
) -> None:
    """Raises `ValueError` where values of a JSON file are of other types than they must be.

    Args:
        path: the file, for messages.
        values: of the object that it holds.
        types: by the keys that the object may have, as `isinstance` takes them; the values of
            other keys may be anything.
        keys: that it must have.
    """
    if not isinstance(values, dict):
        raise ValueError(
            f"{os.fspath(path)} is damaged: expected an object, found {_kind(values)}."
        )
    if missing := [key for key in keys if key not in values]:
        raise ValueError(f"{os.fspath(path)} is damaged, it holds no {', '.join(missing)}.")
    for key, kind in types.items():
        # JSON's true is no number, though Python's is.
        is_flag = isinstance(values.get(key), bool) and kind is not bool
        if key in values and (is_flag or not isinstance(values[key], kind)):
            expected = getattr(kind, "__name__", str(kind))
            raise ValueError(
                f"{os.fspath(path)} is damaged: {key} must be {expected}. "
                f"Received: {_kind(values[key])}."
            )


def _kind(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:60]} ..."
