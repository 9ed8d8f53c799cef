"""Weights <-> the files that TensorFlow.js reads: a manifest, and shards of raw bytes.

A weight is float32, or quantised linearly to whole numbers of one or two bytes: value = min +
scale * number.
"""

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from magenta_vae import files

MANIFEST_FILE = "weights_manifest.json"
SHARD_BYTES = 4 * 2**20  # What browsers keep in their cache.
MAX_BYTES = 2**32  # Of the weights of a model, which are read at once.
MAX_AXES = 8  # Of a weight.
QUANTIZED = {1: "uint8", 2: "uint16"}  # by bytes
_BYTES = {"float32": 4, "float16": 2, "uint8": 1, "uint16": 2}


def write(folder: str, arrays: Mapping[str, np.ndarray], quantize_bytes: int | None = None) -> None:
    """Writes `weights_manifest.json` and `group1-shard*` into a folder.

    Args:
        folder: that exists.
        arrays: float32, by name.
        quantize_bytes: 1 or 2, of each number; None for float32.

    Raises:
        ValueError: for a weight that holds what is not a number, with its name.
    """
    entries, parts = [], []
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise ValueError(f"The weight {name} holds what is not a number: the model diverged.")
        entry: dict[str, Any] = {"name": name, "shape": list(array.shape), "dtype": "float32"}
        if quantize_bytes:
            array, entry["quantization"] = _quantize(array, QUANTIZED[quantize_bytes])
        entries.append(entry)
        parts.append(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())
    content = b"".join(parts)
    count = math.ceil(len(content) / SHARD_BYTES)
    names = [f"group1-shard{number}of{count}" for number in range(1, count + 1)]
    for index, name in enumerate(names):
        shard = content[index * SHARD_BYTES : (index + 1) * SHARD_BYTES]
        Path(folder, name).write_bytes(shard)
    manifest = [{"paths": names, "weights": entries}]
    Path(folder, MANIFEST_FILE).write_text(json.dumps(manifest, allow_nan=False) + "\n")


def is_folder(path: str) -> bool:
    """Says whether a folder holds weights for TensorFlow.js."""
    return os.path.isfile(os.path.join(path, MANIFEST_FILE))


def read(folder: str) -> dict[str, np.ndarray]:
    """Returns the weights of a folder by name, float32.

    Raises:
        FileNotFoundError: where a shard is missing.
        ValueError: where the manifest or the weights are not what TensorFlow.js reads.
    """
    path = os.path.join(folder, MANIFEST_FILE)
    arrays: dict[str, np.ndarray] = {}
    try:
        groups = files.read_json(path)
        if not isinstance(groups, list) or not all(isinstance(group, dict) for group in groups):
            raise ValueError(f"{path} is no manifest of weights: a list of groups is expected.")
        for group in groups:
            entries = [_Entry(entry) for entry in group["weights"]]
            names = group["paths"]
            if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
                raise ValueError(f"{path} is no manifest of weights: paths must be names of files.")
            content = _read_shards(folder, names, sum(e.num_bytes for e in entries))
            start = 0
            for entry in entries:
                end = start + entry.num_bytes
                arrays[entry.name] = entry.decode(content[start:end])
                start = end
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"{path} is no manifest of weights: {error!r}.") from error
    if bad := [name for name, array in arrays.items() if not np.isfinite(array).all()]:
        raise ValueError(f"{folder} is damaged: {bad[0]} holds what is not a number.")
    return arrays


class _Entry:
    """What a manifest says of one weight."""

    def __init__(self, entry: Mapping):
        self.name = entry["name"]
        self._shape = tuple(entry["shape"])
        self._quantization: Mapping = entry.get("quantization") or {}
        self._dtype = (self._quantization or entry)["dtype"]
        if (
            not isinstance(self.name, str)
            or entry["dtype"] != "float32"
            or self._dtype not in _BYTES
        ):
            raise ValueError(
                f"The weight {str(self.name)[:100]} must be of float32, quantised to uint8, uint16 "
                f"or float16 or not. Received: {str(self._dtype)[:100]}."
            )
        sizes = [isinstance(n, int) and 0 <= n <= MAX_BYTES for n in self._shape]
        if not all(sizes) or len(sizes) > MAX_AXES:
            raise ValueError(
                f"The weight {self.name[:100]} must have a shape of at most {MAX_AXES} whole "
                f"numbers. Received: {str(self._shape)[:100]}."
            )
        if self._dtype.startswith("uint") and not all(
            isinstance(self._quantization.get(key), int | float) for key in ("scale", "min")
        ):
            raise ValueError(
                f"The weight {self.name[:100]} is quantised: scale and min must be numbers. "
                f"Received: {str(dict(self._quantization))[:100]}."
            )
        self.num_bytes = math.prod(self._shape) * _BYTES[self._dtype]

    def decode(self, content: bytes) -> np.ndarray:
        array = np.frombuffer(content, np.dtype(self._dtype).newbyteorder("<"))
        if self._dtype.startswith("uint"):
            # In double precision, as JavaScript computes.
            scale, least = float(self._quantization["scale"]), float(self._quantization["min"])
            array = array * scale + least
        return array.astype(np.float32).reshape(self._shape)


def _quantize(array: np.ndarray, dtype: str) -> tuple[np.ndarray, dict]:
    """Returns an array as whole numbers, and what turns these into values again."""
    least, most = float(array.min()), float(array.max())
    scale = (most - least) / np.iinfo(dtype).max or 1.0  # of values that are all one
    numbers = np.rint((array.astype(np.float64) - least) / scale).astype(dtype)
    return numbers, {"dtype": dtype, "min": least, "scale": scale}


def _read_shards(folder: str, names: list[str], num_bytes: int) -> bytes:
    """Returns the shards of a group joined, once they are as long as its weights."""
    paths = [os.path.join(folder, name) for name in names]
    for name, path in zip(names, paths, strict=True):
        if name != os.path.basename(name) or name.startswith("."):
            raise ValueError(f"{folder} is refused: the shard {name!r} lies outside it.")
        if not os.path.isfile(path):
            raise FileNotFoundError(f"{folder} is incomplete: its shard {name} is missing.")
    found = sum(map(os.path.getsize, paths))
    if found != num_bytes or found > MAX_BYTES:
        raise ValueError(
            f"{folder} is damaged: the shards of a group must hold {num_bytes:,} bytes, "
            f"{MAX_BYTES:,} at most. Received: {found:,}."
        )
    return b"".join(Path(path).read_bytes() for path in paths)
