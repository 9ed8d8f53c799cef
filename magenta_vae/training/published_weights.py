"""The weights of a published model: float16 numbers in one file, which runs nothing when read.

The file is of the format safetensors: names, shapes and numbers. The names are the paths of Keras'
variables, as in `encoder/forward/kernel`.
"""

import json
import os

import numpy as np

from magenta_vae import files
from magenta_vae.contracts import LatentModel

FILE = "weights.safetensors"
FORMAT = "1"  # Counts up where the same model has other names.
MAX_HEADER_BYTES = 2**24


def path_in(folder: str) -> str | None:
    """Returns the path of a folder's published weights, None where it holds none."""
    path = os.path.join(folder, FILE)
    return path if os.path.isfile(path) else None


def write(path: str, model: LatentModel, step: int) -> None:
    """Writes the weights of a model, each number as the nearest of float16.

    Args:
        path: the file.
        model: a built model.
        step: the training step of its weights.

    Raises:
        ValueError: where two weights have one name, or a number does not fit into float16.
    """
    from safetensors import numpy as safetensors

    arrays: dict[str, np.ndarray] = {}
    for variable in model.variables:
        value = np.asarray(variable)
        with np.errstate(over="ignore"):
            rounded = value.astype(np.float16)
        if variable.path in arrays:
            raise ValueError(f"Two weights of the model are called {variable.path}.")
        if not np.isfinite(rounded).all():
            raise ValueError(
                f"{variable.path} holds {np.abs(value).max():g}, which float16 does not: its "
                f"largest number is {np.finfo(np.float16).max:g}."
            )
        arrays[variable.path] = np.ascontiguousarray(rounded)
    with files.replacing(path) as beside:
        metadata = {"format": FORMAT, "step": str(step)}
        with open(beside, "wb") as file:
            file.write(safetensors.save(arrays, metadata))
            files.sync(file)


def read(path: str) -> dict[str, np.ndarray]:
    """Returns the float16 arrays of a file by the names of the weights.

    Raises:
        ValueError: where the file is damaged.
    """
    from safetensors import SafetensorError
    from safetensors import numpy as safetensors

    try:
        arrays = safetensors.load_file(path)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is damaged: {error}.") from error
    for name, array in arrays.items():
        if array.dtype != np.float16 or not np.isfinite(array).all():
            raise ValueError(
                f"{path} is damaged: {name} must be finite numbers in float16. "
                f"Received: {array.dtype}, {np.count_nonzero(~np.isfinite(array))} not finite."
            )
    return arrays


def read_step(path: str) -> int:
    """Returns the training step of the weights of a file.

    Raises:
        ValueError: where the file is damaged, or of another version.
    """
    try:
        with open(path, "rb") as file:
            size = int.from_bytes(file.read(8), "little")
            if not 0 < size <= MAX_HEADER_BYTES:
                raise ValueError(f"a header of {size:,} bytes")
            metadata = json.loads(file.read(size))["__metadata__"]
        found, step = metadata["format"], int(metadata["step"])
        if step < 0:
            raise ValueError(f"step {step}")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{path} is damaged: its header is {error!r}.") from error
    if found != FORMAT:
        raise ValueError(f"{path} is of format {found!r}; this version reads {FORMAT!r}.")
    return step


def load(path: str, model: LatentModel) -> None:
    """Gives a model the weights of a file.

    Raises:
        ValueError: where the file is damaged, or of another model, with the first differences.
    """
    arrays = read(path)
    expected = {variable.path: tuple(variable.shape) for variable in model.variables}
    found = {name: array.shape for name, array in arrays.items()}
    differences = [
        f"{name} is {found.get(name, 'missing')}, the model's is {expected.get(name, 'missing')}"
        for name in sorted(expected.keys() | found.keys())
        if found.get(name) != expected.get(name)
    ]
    if differences:
        listed = "; ".join(differences[:3])
        raise ValueError(f"{path} does not fit the model of its config.gin: {listed}.")
    for variable in model.variables:
        variable.assign(arrays[variable.path].astype(np.float32))
