"""Files that are written whole or not at all."""

import contextlib
import json
import os
import uuid
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[str]:
    """Gives a path beside another to write to, and renames it to the other at the end.

    Where the writing fails, what was at `path` stays as it was and nothing is left beside it.
    """
    make_folder_of(path)
    beside = f"{os.fspath(path)}.{uuid.uuid4().hex}.partial"
    try:
        yield beside
        os.replace(beside, path)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise


def make_folder_of(path: str | os.PathLike) -> None:
    """Makes the folder of a file. Raises `OSError` where that cannot be, with the folder."""
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)


def write_text(path: str | os.PathLike, text: str) -> None:
    """Writes a text file whole or not at all."""
    with replacing(path) as beside, open(beside, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())  # Else a power cut may leave the new name with nothing in it.


def read_json(path: str | os.PathLike, keys: Collection[str] = ()) -> Any:
    """Returns the values of a JSON file.

    Args:
        path: the file.
        keys: what the object that it holds must have.

    Raises:
        ValueError: where it is damaged, with its name.
    """
    try:
        values = json.loads(Path(path).read_text())
    except ValueError as error:
        raise ValueError(f"{os.fspath(path)} is damaged, it holds no JSON: {error}.") from error
    found = values if isinstance(values, dict) else ()
    if missing := [key for key in keys if key not in found]:
        raise ValueError(f"{os.fspath(path)} is damaged, it holds no {', '.join(missing)}.")
    return values
