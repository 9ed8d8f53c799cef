"""The points that a served model draws from its prior, drawn without TensorFlow.

They are those of `inference.graphs.prior_rows`: `tf.random.stateless_normal` of seeds into which
the purpose of the draw is folded. Under both lies Philox, a counter that is encrypted (Salmon et
al., 2011: "Parallel random numbers: as easy as 1, 2, 3").
"""

import numpy as np

# The signature that draws where the training windows lie, which the server knows.
SAMPLE_FROM_DATA = "sample_from_data"

LATENT = 0  # The purpose: `model.noise.LATENT`, in a module that takes TensorFlow.

MULTIPLIERS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
KEY_STEPS = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
NUM_ROUNDS = 10
FIRST_KEY = np.array([0x3EC8F720, 0x02461E29], np.uint64)  # With which TensorFlow encrypts a seed.
LOW, HALF = np.uint64(2**32 - 1), np.uint64(32)  # Words of 32 bits, in 64 for their products.
FRACTION, ONE = np.uint64(2**23 - 1), np.uint64(127 << 23)  # Bits of a float32; of 1.0.
SMALLEST = np.float32(1e-7)  # Of what a logarithm is taken.


def points(seeds: np.ndarray, z_size: int) -> np.ndarray:
    """Returns a point of the prior for each seed: int64 [rows, 2] -> float32 [rows, z_size].

    Logarithms and sines may round otherwise than TensorFlow's, by some of the last place.
    """
    words = _draw(_fold_in(seeds, LATENT), -(-z_size // 4))
    uniform = (words & FRACTION | ONE).astype(np.uint32).view(np.float32) - np.float32(1)
    # Two normal draws of two uniform ones (Box and Muller, 1958).
    radius = np.sqrt(np.float32(-2) * np.log(np.maximum(uniform[..., 0::2], SMALLEST)))
    angle = (2 * np.pi * uniform[..., 1::2].astype(np.float64)).astype(np.float32)
    normal = np.stack([np.sin(angle) * radius, np.cos(angle) * radius], axis=-1)
    return normal.reshape(len(seeds), -1)[:, :z_size]


def _fold_in(seeds: np.ndarray, data: int) -> np.ndarray:
    """Returns seeds, int64 [rows, 2], of seeds and a number: `stateless_fold_in`."""
    words = _draw(seeds, 1)
    first = (words[:, 0] | words[:, 1] << HALF).view(np.int64)
    return np.stack([first, np.full_like(first, data)], axis=-1)


def _draw(seeds: np.ndarray, num_blocks: int) -> np.ndarray:
    """Returns words of 32 random bits for each seed: uint64 [rows, 4 * num_blocks]."""
    seeds = np.asarray(seeds, np.int64).view(np.uint64)
    mixed = _encrypt(np.stack([seeds & LOW, seeds >> HALF], axis=-1).reshape(-1, 4), FIRST_KEY)
    key, rest = mixed[:, None, :2], mixed[:, None, 2:]
    blocks = np.stack([np.arange(num_blocks), np.zeros(num_blocks)], axis=-1).astype(np.uint64)
    shape = [len(seeds), num_blocks, 2]
    counters = np.concatenate([np.broadcast_to(each, shape) for each in (blocks, rest)], axis=-1)
    return _encrypt(counters, key).reshape(len(seeds), -1)


def _encrypt(counters: np.ndarray, key: np.ndarray) -> np.ndarray:
    """Returns four words for each counter of four, uint64 [..., 4], under a key [..., 2]."""
    words = [counters[..., place] for place in range(4)]
    keys = [key[..., place] for place in range(2)]
    for _ in range(NUM_ROUNDS):
        left, right = MULTIPLIERS[0] * words[0], MULTIPLIERS[1] * words[2]
        words = [
            right >> HALF ^ words[1] ^ keys[0],
            right & LOW,
            left >> HALF ^ words[3] ^ keys[1],
            left & LOW,
        ]
        keys = [each + step & LOW for each, step in zip(keys, KEY_STEPS, strict=True)]
    return np.stack(words, axis=-1)
