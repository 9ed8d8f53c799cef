"""What a model in use is given, here or on a server: defaults, and checks of what is no music."""

import numpy as np
from note_seq.protobuf import music_pb2

TEMPERATURE = 0.5  # paper, Sampling Details

NoteSequences = list[music_pb2.NoteSequence]


def as_points(z, z_size: int) -> np.ndarray:
    """Returns points of the latent space, float32 [points, z_size], or raises `ValueError`."""
    z = np.asarray(z, np.float32)
    if z.ndim != 2 or z.shape[1] != z_size:
        raise ValueError(f"z must be [points, {z_size}]. Received: shape {z.shape}.")
    if not np.isfinite(z).all():
        raise ValueError(f"z must be finite. Received: {np.sum(~np.isfinite(z))} that are not.")
    return z


def check_temperature(temperature: float) -> None:
    """Raises `ValueError` for a temperature that a softmax cannot have."""
    if not 0 < temperature < np.inf:
        raise ValueError(
            f"temperature must be finite and above 0. Received: temperature={temperature}."
        )


def positions(num_steps: int) -> np.ndarray:
    """Returns equal intervals from 0 to 1, both included: float64 [num_steps]."""
    if num_steps < 2:
        raise ValueError(f"num_steps must be at least 2. Received: num_steps={num_steps}.")
    return np.linspace(0, 1, num_steps)


def check_num_samples(num_samples: int) -> None:
    """Raises `ValueError` for fewer than one sample."""
    if num_samples < 1:
        raise ValueError(f"num_samples must be at least 1. Received: {num_samples}.")
