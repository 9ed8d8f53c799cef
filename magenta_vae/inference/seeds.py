"""The seeds of served rows: one integer for what `TrainedModel` draws from a pair.

Row i of what `TrainedModel` makes with a seed draws from (seed, i). A server's rows have one int64
each, so that any batch may be cut or joined: its lowest 32 bits are the seed, the others the row.
Seeds below 2^32 are therefore the first rows of calls with these seeds.
"""

import numpy as np

SEED_BITS = 32


def row_seeds(seed: int, num_rows: int) -> np.ndarray:
    """Returns the seeds with which a server draws what `TrainedModel` draws: int64 [num_rows].

    Raises:
        ValueError: for a seed that is negative or has more than 32 bits.
    """
    if not 0 <= seed < 2**SEED_BITS:
        raise ValueError(f"seed must be in 0 to 2^32 - 1. Received: seed={seed}.")
    return seed + (np.arange(num_rows, dtype=np.int64) << SEED_BITS)
