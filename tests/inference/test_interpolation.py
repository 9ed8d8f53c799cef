"""Ways between points, in numpy and in TensorFlow's graphs."""

import numpy as np
import pytest
import tensorflow as tf

from magenta_vae.inference import interpolation
from magenta_vae.model import latent

POSITIONS = np.linspace(0, 1, 9)


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


A, B = draw(512, seed=1), draw(512, seed=2)


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (A, B),
        (draw(9, 512), B),
        (A, draw(9, 512)),
        (A, A),
        (A, -A),
        (A, 3 * A),
        (A, A + np.float32(1e-6) * B),
        (A, np.zeros_like(A)),
        (np.zeros_like(A), np.zeros_like(A)),
        (A[:1], B[:1]),
    ],
    ids=[
        *("points", "starts", "ends", "equal", "opposite", "parallel", "near"),
        *("zero", "zeros", "one dimension"),
    ],
)
def test_slerp_is_that_of_the_graphs(start, end):
    expected = latent.slerp(tf.constant(start), tf.constant(end), POSITIONS).numpy()
    points = interpolation.slerp(start, end, POSITIONS)
    assert points.dtype == np.float32
    np.testing.assert_allclose(points, expected, rtol=1e-5, atol=1e-5)


def test_slerp_keeps_both_ends_and_the_sphere():
    a, b = A / np.linalg.norm(A), B / np.linalg.norm(B)
    points = interpolation.slerp(a, b, POSITIONS)
    np.testing.assert_allclose(points[[0, -1]], [a, b], atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(points, axis=-1), 1, atol=1e-6)


def test_a_grid_has_its_corners_and_rows():
    corners = draw(4, 8)
    grid = interpolation.grid(corners, 3, 5).reshape(3, 5, 8)
    np.testing.assert_allclose(grid[[0, 0, -1, -1], [0, -1, 0, -1]], corners, atol=1e-6)
    sides = [interpolation.slerp(*corners[[top, top + 2]], [0, 0.5, 1])[1] for top in (0, 1)]
    np.testing.assert_allclose(grid[1], interpolation.slerp(*sides, np.linspace(0, 1, 5)))
