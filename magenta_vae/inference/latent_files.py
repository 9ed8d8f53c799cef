"""Posteriors as files of NumPy's arrays, of any number of windows, in little memory."""

import contextlib
import os
import shutil
import zipfile
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from magenta_vae import files
from magenta_vae.inference.latents import Latents

EPOCH = (1980, 1, 1, 0, 0, 0)  # The first time that a ZIP file knows: the same bytes each time.
BYTES_AT_ONCE = 2**20


@contextlib.contextmanager
def writing(path: str | os.PathLike, tokens: bool = False) -> Iterator["LatentFile"]:
    """Gives an NPZ file to add posteriors to; it is written at the end, whole or not at all.

    `numpy.load` reads `mu` and `sigma`, float32 [windows, z_size]; where songs are known `song`,
    int32 [windows], the place of each window's song in `songs`, the paths, and `bar`, int32
    [windows], the bar that it begins at, from 1; and `tokens`, int [windows, steps, tracks], if
    they are asked for.

    Until then the rows lie in a folder beside it, of the size of the file.

    Args:
        path: of the file.
        tokens: whether to keep the windows too.
    """
    with files.staging(os.path.dirname(os.path.abspath(path))) as folder:
        file = LatentFile(folder, tokens)
        with file:
            yield file
        with files.replacing(path) as beside:
            file.pack(beside)


class LatentFile:
    """Posteriors that are being written; see `writing`.

    Args:
        folder: where the rows go.
        tokens: whether to keep the windows too.
    """

    def __init__(self, folder: str, tokens: bool):
        self._folder = folder
        self._with_tokens = tokens
        self._rows: dict[str, BinaryIO] = {}
        self._kinds: dict[str, tuple[np.dtype, tuple[int, ...]]] = {}
        self._places: dict[str, int] = {}  # of songs
        self.num_windows = 0

    def __enter__(self) -> "LatentFile":
        return self

    def __exit__(self, *_) -> None:
        for file in self._rows.values():
            file.close()

    @property
    def num_songs(self) -> int:
        """The number of songs whose windows were added, 0 where they are not known."""
        return len(self._places)

    def add(self, latents: Latents) -> None:
        """Adds the posteriors of some windows."""
        arrays = {"mu": latents.mu, "sigma": latents.sigma}
        if latents.songs is not None and latents.bars is not None:
            songs = [self._places.setdefault(song, len(self._places)) for song in latents.songs]
            arrays |= {"song": np.array(songs, np.int32), "bar": latents.bars.astype(np.int32)}
        if self._with_tokens:
            arrays["tokens"] = latents.tokens
        for name, rows in arrays.items():
            if name not in self._rows:
                self._kinds[name] = rows.dtype, rows.shape[1:]
                self._rows[name] = open(os.path.join(self._folder, name), "wb")  # noqa: SIM115
            self._rows[name].write(np.ascontiguousarray(rows).data)
        self.num_windows += len(latents.mu)

    def pack(self, path: str) -> None:
        """Writes all that was added, once this is closed, as one file."""
        with open(path, "wb") as file, zipfile.ZipFile(file, "w") as archive:
            for name, (dtype, shape) in self._kinds.items():
                rows = os.path.join(self._folder, name)
                with _member(archive, name) as member, open(rows, "rb") as source:
                    files.write_array_header(member, dtype, (self.num_windows, *shape))
                    shutil.copyfileobj(source, member, BYTES_AT_ONCE)
                os.unlink(rows)  # No longer needed: there may be little room.
            if self._places:
                paths = np.array([*self._places])
                with _member(archive, "songs") as member:
                    files.write_array_header(member, paths.dtype, paths.shape)
                    member.write(paths.tobytes())
            archive.close()
            files.sync(file)


def _member(archive: zipfile.ZipFile, name: str):
    """Opens a member of any size to write."""
    return archive.open(zipfile.ZipInfo(f"{name}.npy", EPOCH), "w", force_zip64=True)
