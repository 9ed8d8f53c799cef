"""Files that are written whole or not at all."""

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[str]:
    """Gives a path beside another to write to, and renames it to the other at the end.

    Where the writing fails, what was at `path` stays as it was and nothing is left beside it.
    """
    beside = f"{os.fspath(path)}.{uuid.uuid4().hex}.partial"
    try:
        yield beside
        os.replace(beside, path)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise


def write_text(path: str | os.PathLike, text: str) -> None:
    """Writes a text file whole or not at all."""
    with replacing(path) as beside, open(beside, "w") as file:
        file.write(text)
