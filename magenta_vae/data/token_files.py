"""The tokens of a split, kept beside its records and mapped into memory.

`tokens/train.npy` in the folder of a data set holds the windows of `train` as one array, which
NumPy reads too. `tokens/train.json`, written after it, says what the array was made of. Both are
written beside and renamed, so that processes that write them at once do no harm; they may be
removed at any time.

What is kept is used where it is that of the records, and else made anew, with a warning that says
why:

- The tracks, the bars and the number of windows of each shard must be those of the data set.
- A shard must have its size, and the time of its last change or, where that is another, as after
  copying, its SHA-256. Not noticed is a change in place that leaves the size and sets the time
  back, nor bytes of a shard that a disk loses: the tokens that are kept then go on to be used.
- The tokens must have their SHA-256 (`digest_of`), which is computed at each start: damage and
  tampering are noticed. Not noticed is who replaces both files by others that fit each other; a run
  that goes on compares the digest with that of its beginning.

Nothing in the files is run: the one is JSON, the other numbers whose shape and type must be those
that the data set calls for.
"""

import contextlib
import dataclasses
import errno
import hashlib
import json
import math
import mmap
import os
import shutil
import stat
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import IO

import numpy as np

from magenta_vae import display, files
from magenta_vae.data.settings import Settings

FOLDER = "tokens"
FORMAT = 1  # Counts up where the same records give other tokens.
BYTES_PER_READ = 2**20
SMALL_BYTES = 2**26  # A file that may stay in memory as a whole.
SECONDS_ABANDONED = 3600.0  # Nobody writes to a file any more that was not written to for so long.
_TYPES = {"format": int, "tracks": list, "num_bars": int, "shards": dict, "digest": str}
_SHARD_TYPES = {"windows": int, "bytes": int, "mtime_ns": int, "sha256": str}


class _Unusable(ValueError):
    """What is kept is not what it must be."""


class Tokens(np.ndarray):
    """Windows that are mapped, read-only, with what is known of them; parts of them know nothing.

    Attributes:
        digest: see `digest_of`.
        file_id: the same number for whoever maps the same file, on any machine.
        mapped: the file as it is mapped.
    """

    digest: str | None = None
    file_id: int | None = None
    mapped: mmap.mmap | None = None

    def release(self) -> None:
        """Counts what was read so far no longer to this process's memory; the system keeps it.

        Of a small file it does nothing: reading its pages again would take longer than a batch.
        """
        if self.mapped is None or len(self.mapped) <= SMALL_BYTES:
            return
        if hasattr(mmap, "MADV_DONTNEED"):  # As Linux and macOS have it.
            self.mapped.madvise(mmap.MADV_DONTNEED)


def digest_of(tokens: np.ndarray) -> str:
    """Returns the SHA-256 of windows, [windows, steps, tracks], in hexadecimal digits."""
    if isinstance(tokens, Tokens) and tokens.digest:
        return tokens.digest
    digest = _begin_digest(tokens.shape, tokens.dtype)
    digest.update(np.ascontiguousarray(tokens).data)
    return digest.hexdigest()


@dataclasses.dataclass(frozen=True)
class TokenFiles:
    """The files of one split.

    Args:
        data_dir: the data set.
        split: `train` or `eval`.
        shards: the windows in each of its shards, by file name.
        settings: what a window is.
    """

    data_dir: str
    split: str
    shards: Mapping[str, int]
    settings: Settings

    @property
    def path(self) -> str:
        """Where the array is."""
        return os.path.join(self.data_dir, FOLDER, f"{self.split}.npy")

    @property
    def _description_path(self) -> str:
        return os.path.join(self.data_dir, FOLDER, f"{self.split}.json")

    @property
    def _shape(self) -> tuple[int, int, int]:
        return sum(self.shards.values()), self.settings.num_steps, len(self.settings.tracks)

    @property
    def _num_bytes(self) -> int:
        return math.prod(self._shape) * self.settings.token_dtype.itemsize

    def open(self, checked: int | None = None) -> Tokens | None:
        """Returns the tokens that are kept, None where there are none.

        None too, with a warning that says why, where they cannot be used.

        Args:
            checked: the `file_id` of a file whose tokens another process has compared with their
                digest, as the first of several workers does: that is not done again.
        """
        if not (os.path.lexists(self.path) and os.path.lexists(self._description_path)):
            return None
        try:
            described = self._read_description()
            return self._map(self.path, described["digest"], lambda file_id: file_id == checked)
        except (_Unusable, OSError) as error:
            warnings.warn(
                f"The tokens of {self.split} that are kept beside the records are not used, but "
                f"made anew: {error}.",
                stacklevel=2,
            )
            return None

    def write(self, batches: Iterable[np.ndarray]) -> Tokens:
        """Keeps tokens and returns them, mapped.

        Args:
            batches: int [windows, steps, tracks] each, as many windows as the shards have, read
                from those while this runs: a shard that changes meanwhile is noticed later.

        Raises:
            OSError: where the files cannot be written; nothing is left of them then. What `batches`
                raises is passed on.
        """
        self._make_room()
        shards = {
            name: self._describe_shard(name, number)
            for name, number in display.track(self.shards.items(), f"hashing {self.split} shards")
        }
        digest = _begin_digest(self._shape, self.settings.token_dtype)
        with files.replacing(self.path) as beside:
            with open(beside, "wb") as file:
                files.write_array_header(file, self.settings.token_dtype, self._shape)
                for batch in batches:
                    rows = np.ascontiguousarray(batch, self.settings.token_dtype).data
                    digest.update(rows)
                    file.write(rows)
                files.sync(file)
            # Under this name it is what was written, whatever other processes write.
            tokens = self._map(beside, digest.hexdigest(), is_checked=lambda _: True)
        self._write_description(
            {
                "format": FORMAT,
                **self._describe_windows(),
                "shards": shards,
                "digest": digest.hexdigest(),
            }
        )
        return tokens

    def _make_room(self) -> None:
        """Makes the folder, without what processes left there that were killed."""
        folder = os.path.dirname(self.path)
        os.makedirs(folder, exist_ok=True)
        for entry in os.scandir(folder):
            with contextlib.suppress(FileNotFoundError):  # Another process ends, or does the same.
                is_old = entry.stat().st_mtime < time.time() - SECONDS_ABANDONED
                if entry.name.endswith(".partial") and is_old:
                    os.unlink(entry.path)
        if shutil.disk_usage(folder).free < self._num_bytes:
            raise OSError(errno.ENOSPC, f"{self._num_bytes:,} bytes do not fit on the disk", folder)

    def _describe_windows(self) -> dict:
        described = self.settings.describe()
        return {name: described[name] for name in ("tracks", "num_bars")}

    def _describe_shard(self, name: str, num_windows: int) -> dict:
        path = os.path.join(self.data_dir, name)
        status = os.stat(path)
        return {
            "windows": num_windows,
            "bytes": status.st_size,
            "mtime_ns": status.st_mtime_ns,
            "sha256": files.sha256_of(path),
        }

    def _write_description(self, described: Mapping) -> None:
        files.write_text(self._description_path, json.dumps(described, indent=2) + "\n")

    def _read_description(self) -> dict:
        """Returns what is said of the array, which is of the data set's shards as they are now."""
        path = self._description_path
        try:
            described = files.read_json(path)
            files.check_types(path, described, _TYPES, _TYPES)
            for shard in described["shards"].values():
                files.check_types(path, shard, _SHARD_TYPES, _SHARD_TYPES)
        except ValueError as error:
            raise _Unusable(str(error).rstrip(".")) from error
        if described["format"] != FORMAT:
            raise _Unusable(f"{path} is of format {described['format']}, this is {FORMAT}")
        for name, value in self._describe_windows().items():
            if described[name] != value:
                raise _Unusable(f"{path} is of {name}={described[name]}, the data set of {value}")
        counts = {name: shard["windows"] for name, shard in described["shards"].items()}
        if list(counts.items()) != list(self.shards.items()):
            raise _Unusable(f"{path} is of the shards {counts}, the data set of {self.shards}")
        moved = [self._check_shard(name, shard) for name, shard in described["shards"].items()]
        if any(moved):
            with contextlib.suppress(OSError):  # Else it is hashed at the next start again.
                self._write_description(described)
        return described

    def _check_shard(self, name: str, shard: dict) -> bool:
        """Says whether only the time of a shard is another, and puts it right in its description.

        Raises `_Unusable` where the shard itself is another.
        """
        path = os.path.join(self.data_dir, name)
        status = os.stat(path)
        is_moved = status.st_mtime_ns != shard["mtime_ns"]
        if status.st_size != shard["bytes"] or (
            is_moved and files.sha256_of(path) != shard["sha256"]
        ):
            raise _Unusable(f"{path} has changed since")
        shard["mtime_ns"] = status.st_mtime_ns
        return is_moved

    def _map(self, path: str, digest: str, is_checked: Callable[[int], bool]) -> Tokens:
        """Returns the tokens of a file, which must have that digest.

        Args:
            path: of the file.
            digest: see `digest_of`.
            is_checked: (`file_id`) -> whether they are known to have it.
        """
        if not stat.S_ISREG(os.stat(path).st_mode):  # A pipe would be waited for.
            raise _Unusable(f"{path} is no file")
        with open(path, "rb") as file:
            self._check_header(file, path)
            start, status = file.tell(), os.fstat(file.fileno())
            num_bytes = start + self._num_bytes
            if status.st_size != num_bytes:
                raise _Unusable(
                    f"{path} is damaged: it must have {num_bytes:,} bytes and has "
                    f"{status.st_size:,}"
                )
            file_id = _number_of(status, digest)
            if not is_checked(file_id) and self._read_digest(file) != digest:
                raise _Unusable(f"{path} is damaged: its SHA-256 is another than when written")
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        array = np.frombuffer(mapped, self.settings.token_dtype, offset=start)
        tokens = array.reshape(self._shape).view(Tokens)
        tokens.digest, tokens.file_id, tokens.mapped = digest, file_id, mapped
        return tokens

    def _check_header(self, file: IO[bytes], path: str) -> None:
        """Reads up to the tokens. Raises `_Unusable` unless they are as the data set calls for."""
        try:
            version = np.lib.format.read_magic(file)
            if version != (1, 0):
                raise ValueError(f"version {version} of NumPy's format")
            found = np.lib.format.read_array_header_1_0(file)
        except ValueError as error:
            raise _Unusable(f"{path} is damaged: {error}") from error
        expected = self._shape, False, self.settings.token_dtype
        if found != expected:
            shape, _, dtype = found
            raise _Unusable(
                f"{path} holds {dtype} {shape}, the data set {expected[2]} {self._shape}"
            )

    def _read_digest(self, file: IO[bytes]) -> str:
        """Returns the digest of the tokens that follow in a file."""
        digest = _begin_digest(self._shape, self.settings.token_dtype)
        num_reads = math.ceil(self._num_bytes / BYTES_PER_READ)
        for _ in display.track(range(num_reads), f"checking {self.split} tokens"):
            digest.update(file.read(BYTES_PER_READ))
        return digest.hexdigest()


def _begin_digest(shape: tuple[int, ...], dtype: np.dtype):
    """Returns the SHA-256 of windows without their bytes, which are to be added."""
    return hashlib.sha256(f"{shape} {dtype.str} ".encode())


def _number_of(status: os.stat_result, digest: str) -> int:
    """Returns the `file_id` of a file, at least 1 and below 2^62."""
    what = f"{status.st_ino} {status.st_mtime_ns} {status.st_size} {digest}"
    return int(hashlib.sha256(what.encode()).hexdigest()[:15], 16) + 1
