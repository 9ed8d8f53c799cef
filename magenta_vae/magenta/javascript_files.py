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
QUANTIZED = {1: "uint8", 2: "uint16"}  # by bytes
_BYTES = {"float32": 4, "float16": 2, "uint8": 1, "uint16": 2}


def write(folder: str, arrays: Mapping[str, np.ndarray], quantize_bytes: int | None = None) -> None:
    """Writes `weights_manifest.json` and `group1-shard*` into a folder.

    Args:
        folder: that exists.
        arrays: float32, by name.
        quantize_bytes: 1 or 2, of each number; None for float32.
    """
    entries, parts = [], []
    for name, array in arrays.items():
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
    Path(folder, MANIFEST_FILE).write_text(json.dumps(manifest) + "\n")


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
        for group in files.read_json(path):
            entries = [_Entry(entry) for entry in group["weights"]]
            content = _read_shards(folder, group["paths"], sum(e.num_bytes for e in entries))
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
        is_known = entry["dtype"] == "float32" and self._dtype in _BYTES
        if not (is_known and isinstance(self.name, str)) or not all(
            isinstance(n, int) and n >= 0 for n in self._shape
        ):
            raise ValueError(
                f"The weight {self.name} must be of float32, quantised to uint8, uint16 or float16 "
                f"or not. Received: {dict(entry)}."
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
