"""The rows of served batches: how many, and the seed of each.

The seed of a row is one integer for what `TrainedModel` draws from a pair. Row i of what
`TrainedModel` makes with a seed draws from (seed, i). A server's rows have one int64 each, so that
any batch may be cut or joined: its lowest 32 bits are the seed, the others the row. Seeds below
2^32 are therefore the first rows of calls with these seeds.
"""

import numpy as np

from magenta_vae.inference import validation

SEED_BITS = 32
ROWS_PER_REQUEST = 64  # What a client asks for at a time: a gRPC message is limited to 4 MB.


def row_seeds(seed: int, num_rows: int) -> np.ndarray:
    """Returns the seeds with which a server draws what `TrainedModel` draws: int64 [num_rows].

    Raises:
        ValueError: for a seed that is negative or has more than 32 bits.
    """
    return of_pairs(pairs(seed, num_rows))


def pairs(seed: int, num_rows: int) -> np.ndarray:
    """Returns what the rows of these seeds draw from: int64 [num_rows, 2]; raises as they do."""
    validation.check_seed(seed, 2**SEED_BITS - 1, "2^32 - 1")
    return np.stack([np.full(num_rows, seed), np.arange(num_rows)], axis=-1).astype(np.int64)


def of_pairs(pairs: np.ndarray) -> np.ndarray:
    """Returns the seeds of rows that draw from pairs, int64 [rows] of int64 [rows, 2].

    Raises:
        ValueError: for pairs that one number cannot hold.
    """
    seed, row = pairs.T
    if (pairs < 0).any() or (seed >> SEED_BITS).any() or (row >> 63 - SEED_BITS).any():
        raise ValueError(
            f"Pairs must be of seeds below 2^{SEED_BITS} and of rows below 2^{63 - SEED_BITS}. "
            f"Received: {pairs.tolist()[0]} first."
        )
    return seed + (row << SEED_BITS)
