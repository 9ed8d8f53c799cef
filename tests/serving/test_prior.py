"""Points of the prior, drawn with and without TensorFlow."""

import numpy as np
import pytest

from magenta_vae.model.noise import LATENT, RowNoise
from magenta_vae.serving import prior
from magenta_vae.serving.seeds import pairs, row_seeds


def test_philox_is_the_papers():
    """Known answers of Salmon et al. for Philox 4x32 in ten rounds."""
    zeros, ones = np.zeros(6, np.uint64), np.full(6, 2**32 - 1, np.uint64)
    pi = np.uint64([0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344, 0xA4093822, 0x299F31D0])
    known = {
        "6627e8d5 e169c58d bc57ac4c 9b00dbd8": zeros,
        "408f276d 41c83b0e a20bc7c6 6d5451fd": ones,
        "d16cfe09 94fdcceb 5001e420 24126ea1": pi,
    }
    for expected, given in known.items():
        found = prior._encrypt(given[None, :4], given[None, 4:])[0]
        assert " ".join(f"{word:08x}" for word in found) == expected


@pytest.mark.parametrize("z_size", [1, 4, 511, 512])
@pytest.mark.parametrize("seed", [0, 7, 2**32 - 1])
def test_points_are_tensorflows(z_size, seed):
    seeds = pairs(seed, 100)
    np.testing.assert_array_equal(seeds, [[seed, row] for row in range(100)])
    expected = RowNoise(seeds).normal(LATENT, z_size).numpy()
    points = prior.points(seeds, z_size)
    assert points.dtype == np.float32
    np.testing.assert_allclose(points, expected, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(prior.points(seeds[50:60], z_size), points[50:60])


def test_the_purpose_is_that_of_latent_points():
    assert prior.LATENT == LATENT


def test_pairs_are_those_of_the_rows():
    np.testing.assert_array_equal(row_seeds(3, 2), [3, 2**32 + 3])
    with pytest.raises(ValueError, match="seed must be in 0 to 2.32 - 1. Received: seed=-1"):
        pairs(-1, 1)
