"""Ways between points of a latent space, without TensorFlow: clients of a server walk them too."""

from collections.abc import Sequence

import numpy as np

FLAT = 1e-4  # The sine of an angle below which a sphere is taken as flat.
SMALLEST = np.float32(1e-12)  # A squared length below it is none.


def slerp(start: np.ndarray, end: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Returns points on the spherical way between two, as `model.latent.slerp` does.

    Args:
        start, end: float32 [z_size], or [points, z_size] for a way of its own for each point.
        positions: float [points], 0 at `start` and 1 at `end`.

    Returns:
        float32 [points, z_size]. Nearly parallel and nearly opposite ends are interpolated
        linearly.
    """
    start, end = np.asarray(start, np.float32), np.asarray(end, np.float32)
    positions = np.asarray(positions, np.float32)[:, None]
    start_unit, end_unit = _unit(start), _unit(end)
    # The arc cosine would lose half of the digits near 0 and pi.
    angle = 2 * np.arctan2(*(_norm(x) for x in (start_unit - end_unit, start_unit + end_unit)))
    sine = np.sin(angle)
    is_flat = sine < FLAT
    safe_sine = np.where(is_flat, 1, sine)
    start_weight = np.where(is_flat, 1 - positions, np.sin((1 - positions) * angle) / safe_sine)
    end_weight = np.where(is_flat, positions, np.sin(positions * angle) / safe_sine)
    return start_weight * start + end_weight * end


def grid(corners: Sequence[np.ndarray], num_rows: int, num_columns: int) -> np.ndarray:
    """Returns points between four, float32 [rows * columns, z_size], one row after another.

    Both ends of each row lie on the spherical ways down the sides, the rest of it between them.

    Args:
        corners: top left, top right, bottom left, bottom right: float32 [z_size] each.
        num_rows, num_columns: of the grid, corners included.
    """
    top_left, top_right, bottom_left, bottom_right = corners
    down, across = np.linspace(0, 1, num_rows), np.linspace(0, 1, num_columns)
    left, right = slerp(top_left, bottom_left, down), slerp(top_right, bottom_right, down)
    return np.concatenate([slerp(*ends, across) for ends in zip(left, right, strict=True)])


def _unit(points: np.ndarray) -> np.ndarray:
    squares = np.sum(np.square(points), axis=-1, keepdims=True)
    return points / np.sqrt(np.maximum(squares, SMALLEST))


def _norm(points: np.ndarray) -> np.ndarray:
    return np.sqrt(np.sum(np.square(points), axis=-1, keepdims=True))
