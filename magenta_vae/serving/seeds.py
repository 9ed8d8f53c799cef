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
    validation.check_seed(seed, 2**SEED_BITS - 1, "2^32 - 1")
    return seed + (np.arange(num_rows, dtype=np.int64) << SEED_BITS)


def pairs(seed: int, num_rows: int) -> np.ndarray:
    """Returns what the rows of these seeds draw from: int64 [num_rows, 2]; raises as they do."""
    of_rows = row_seeds(seed, num_rows)
    return np.stack([of_rows & 2**SEED_BITS - 1, of_rows >> SEED_BITS], axis=-1)
