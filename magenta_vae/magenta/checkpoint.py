"""A checkpoint of TensorFlow 1 -> its variables, one at a time.

It may lie in a tar, as Magenta's do, in a folder, or be named by its prefix. Of a tar nothing is
unpacked but the files of the checkpoint, into a folder that is removed again, under names of our
own; the small index first, the weights only when the first of them is read.
"""

import contextlib
import os
import posixpath
import re
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Collection, Iterator
from typing import BinaryIO

import numpy as np
import tensorflow as tf

from magenta_vae.music import packing

INDEX = ".index"
MAX_MEMBERS = 10_000  # Those that Magenta published hold a handful.
NAME = "checkpoint"  # The file that names the newest checkpoint of a folder, and our own prefix.


class Checkpoint:
    """The variables of a checkpoint in TensorFlow's second format.

    Args:
        source: what the user calls it, for messages.
        prefix: the path of its files, up to their endings. Only the index must be there at first.
        name: the checkpoint's own name, which may end in its step.
        unpack: puts the weights beside the index; called before the first of them is read.
    """

    def __init__(self, source: str, prefix: str, name: str, unpack: Callable[[], None]):
        self.source = source
        self._name = name
        self._unpack = unpack
        self._is_unpacked = False
        try:
            self._reader = tf.train.load_checkpoint(prefix)
        except (tf.errors.OpError, ValueError) as error:
            raise ValueError(f"{source} holds a damaged index: {error}") from error
        self.shapes = {
            name: tuple(shape) for name, shape in self._reader.get_variable_to_shape_map().items()
        }

    @property
    def step(self) -> int:
        """The training step: the number that the name ends in, else the variable's, at least 1."""
        if number := re.search(r"-(\d+)$", self._name):
            step = int(number[1])
        else:
            step = int(self.read("global_step")) if "global_step" in self.shapes else 0
        return max(step, 1)  # A run at step 0 is one that has not begun.

    def read(self, name: str) -> np.ndarray:
        """Returns one variable.

        Raises:
            ValueError: where it is damaged, or holds what is not a number.
        """
        if not self._is_unpacked:
            self._unpack()
            self._is_unpacked = True
        try:
            array = self._reader.get_tensor(name)
        except (tf.errors.OpError, IndexError) as error:
            raise ValueError(f"{self.source} is damaged: {name}: {error}") from error
        if array.dtype.kind not in "fiu" or not np.all(np.isfinite(array)):
            raise ValueError(f"{self.source} is damaged: {name} holds what is not a number.")
        return array


@contextlib.contextmanager
def open_checkpoint(path: str) -> Iterator[Checkpoint]:
    """Opens the checkpoint in a tar or a folder, or that of a prefix.

    Raises:
        FileNotFoundError: where there is none.
        ValueError: where files are missing, or a tar holds what could leave its folder.
    """
    prefix = path.removesuffix(INDEX)
    if os.path.isfile(prefix + INDEX):
        folder, name = os.path.split(prefix)
        _check_shards(path, os.listdir(folder or "."), name)
        yield Checkpoint(path, prefix, name, lambda: None)
    elif os.path.isdir(path):
        prefix = os.path.join(path, _newest(path))
        _check_shards(path, os.listdir(path), os.path.basename(prefix))
        yield Checkpoint(path, prefix, os.path.basename(prefix), lambda: None)
    elif os.path.isfile(path):
        with _open_tar(path) as checkpoint:
            yield checkpoint
    else:
        raise _none_there(path)


@contextlib.contextmanager
def _open_tar(path: str) -> Iterator[Checkpoint]:
    try:
        with (
            open(path, "rb") as file,
            _read_first_header(path, file) as tar,
            tempfile.TemporaryDirectory() as folder,
        ):
            members = _members(path, tar)
            prefix = _only(path, [name.removesuffix(INDEX) for name in members if _is_index(name)])
            shards = _check_shards(path, members, prefix)

            def unpack(names: Collection[str]) -> None:
                _check_space(folder, sum(members[name].size for name in names))
                for name in names:
                    target = os.path.join(folder, NAME + name.removeprefix(prefix))
                    with tar.open_file(members[name]) as packed, open(target, "wb") as file:
                        shutil.copyfileobj(packed, file, 2**20)

            unpack([prefix + INDEX])
            yield Checkpoint(
                path, os.path.join(folder, NAME), posixpath.basename(prefix), lambda: unpack(shards)
            )
    except packing.UnpackingError as error:
        raise ValueError(f"--checkpoint={path} is refused: {error}.") from error
    except (tarfile.TarError, *packing.DAMAGE) as error:
        raise ValueError(f"{path} is damaged: {error}") from error


def _none_there(path: str) -> FileNotFoundError:
    return FileNotFoundError(
        f"--checkpoint={path} is no tar, no folder with a checkpoint, and no prefix of one: "
        f"neither it nor {path.removesuffix(INDEX) + INDEX} exists as such."
    )


def _read_first_header(path: str, file: BinaryIO) -> packing.Tar:
    bounded = packing.BoundedFile(file, os.path.getsize(path))
    try:
        return packing.Tar.open(fileobj=bounded, mode="r:")
    except tarfile.ReadError as error:  # Not a tar at all.
        raise _none_there(path) from error


def _members(path: str, tar: packing.Tar) -> dict[str, tarfile.TarInfo]:
    """Returns the files of a tar by their names, once nothing in it can leave its folder."""
    members = {}
    for count, member in enumerate(tar.walk(), 1):
        if count > MAX_MEMBERS:
            raise ValueError(f"{path} is refused: it holds more than {MAX_MEMBERS:,} files.")
        name = posixpath.normpath(member.name)
        if posixpath.isabs(name) or name.split("/")[0] == ".." or "\\" in name:
            raise ValueError(f"{path} is refused: the path {member.name!r} leaves its folder.")
        if not (member.isfile() or member.isdir()):
            raise ValueError(
                f"{path} is refused: {member.name!r} is a link or a device. Only files are read."
            )
        if member.isfile() and (_is_index(name) or ".data-" in name):
            members[name] = member
    return members


def _is_index(name: str) -> bool:
    """Says whether a file is an index; those that macOS adds to a tar, as in `._x`, are not."""
    return name.endswith(INDEX) and not posixpath.basename(name).startswith(".")


def _newest(folder: str) -> str:
    """Returns the name of the only checkpoint of a folder, or of the one that is its newest."""
    names = [name.removesuffix(INDEX) for name in sorted(os.listdir(folder)) if _is_index(name)]
    try:
        with open(os.path.join(folder, NAME)) as file:
            # The path may be of the machine that wrote it: only the name counts.
            named = re.search(r'^model_checkpoint_path: "(?:.*[/\\])?(.*)"$', file.read(), re.M)
    except FileNotFoundError:
        named = None
    return named[1] if named and named[1] in names else _only(folder, names)


def _only(path: str, names: list[str]) -> str:
    if len(names) != 1:
        found = ", ".join(names) or "none"
        raise ValueError(f"{path} must hold the .index of one checkpoint. Found: {found}.")
    return names[0]


def _check_shards(path: str, names: Collection[str], prefix: str) -> list[str]:
    """Returns the names of the files with the weights, once none is missing."""
    pattern = re.compile(re.escape(prefix) + r"\.data-\d{5}-of-(\d{5})")
    numbers = {match[1] for match in map(pattern.fullmatch, names) if match}
    number = max(numbers, default="00001")
    wanted = [f"{prefix}.data-{index:05d}-of-{number}" for index in range(int(number))]
    if missing := sorted(set(wanted) - set(names)):
        raise ValueError(f"{path} is incomplete. Missing: {', '.join(missing)}.")
    return wanted


def _check_space(folder: str, num_bytes: int) -> None:
    free = shutil.disk_usage(folder).free
    if num_bytes > free:
        raise OSError(
            f"{num_bytes:,} bytes must be unpacked into {folder}, where {free:,} are free. "
            "TMPDIR names another place."
        )
