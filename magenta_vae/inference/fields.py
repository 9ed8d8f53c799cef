"""What the values that a model is given must be, wherever it runs: here, or on a server.

Here they are checked as arrays, before TensorFlow sees them; `serving.request_checks` checks the
same within the graph that a server runs.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from magenta_vae.music.window_format import WindowFormat

# Points beyond make products overflow. Those of the prior, N(0, I), lie within some tens.
MAX_SIZE_OF_Z = 1e6
MIN_FLOAT, MAX_FLOAT = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)


@dataclasses.dataclass(frozen=True)
class Field:
    """An input of a model, the same for every row of a batch.

    Args:
        shape: of one row.
        dtype: of its values, as numpy names it.
        least, most: bounds of its values, both included: a number, or one for each of the last
            axis. What is no number is beyond any bound.
        expected: what its values must be, in words.
    """

    shape: tuple[int, ...]
    dtype: str
    least: float
    most: float | Sequence[int]
    expected: str

    @property
    def is_integer(self) -> bool:
        """Says whether its values are integers."""
        return np.issubdtype(self.dtype, np.integer)

    def checked(self, name: str, values) -> np.ndarray:
        """Returns values as an array of this field, [rows, ...], or raises `ValueError`."""
        values = np.asarray(values)
        expected = ", ".join(map(str, ("batch", *self.shape)))
        if values.shape[1:] != self.shape or not values.ndim:
            raise ValueError(f"{name} must have the shape [{expected}]. Received: {values.shape}.")
        if values.dtype.kind not in ("iu" if self.is_integer else "iuf") and values.size:
            kind = "whole numbers" if self.is_integer else "numbers"
            raise ValueError(f"{name} must be {kind}. Received: {values.dtype.name}.")
        is_right = (values >= self.least) & (values <= self.most)  # NaN is neither.
        if not is_right.all():
            row = int(np.argwhere(~is_right)[0, 0])
            raise ValueError(
                f"{name} must be {self.expected}. "
                f"Received first: {values[~is_right][0]} in row {row}."
            )
        return values.astype(self.dtype)


def windows(window_format: WindowFormat) -> Field:
    """Returns a field of windows of tokens."""
    last = [classes - 1 for classes in window_format.num_classes]
    expected = f"classes of their track, 0 to {', '.join(map(str, last))}"
    return Field((window_format.num_steps, len(last)), "int32", 0, last, expected)


def finite(shape: tuple[int, ...]) -> Field:
    """Returns a field of numbers."""
    return Field(shape, "float32", -MAX_FLOAT, MAX_FLOAT, "finite")


def points(z_size: int) -> Field:
    """Returns a field of points of a latent space."""
    expected = f"finite and at most {MAX_SIZE_OF_Z:g} in size"
    return Field((z_size,), "float32", -MAX_SIZE_OF_Z, MAX_SIZE_OF_Z, expected)


def positive() -> Field:
    """Returns a field of one number above 0 a row."""
    return Field((), "float32", MIN_FLOAT, MAX_FLOAT, "finite and above 0")


def share() -> Field:
    """Returns a field of one number from 0 to 1 a row."""
    return Field((), "float32", 0, 1, "in 0 to 1")


def natural() -> Field:
    """Returns a field of one integer a row, 0 or above."""
    return Field((), "int64", 0, np.iinfo(np.int64).max, "0 or above")
