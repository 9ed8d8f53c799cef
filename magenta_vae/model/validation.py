"""What the arguments of a `MusicVAE` must be."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf


def check_layers(layers: Mapping[str, Any]) -> None:
    """Raises `TypeError` for an encoder or decoder, by its role, that is no Keras layer."""
    for role, layer in layers.items():
        if not isinstance(layer, keras.layers.Layer):
            raise TypeError(
                f"{role} must be a keras.layers.Layer: the weights of nothing else are trained "
                f"and saved. Received: {layer!r}."
            )


def check_dtype(dtype: Any, layers: Mapping[str, keras.layers.Layer]) -> None:
    """Raises `ValueError` where a dtype policy is given that a layer, by its role, does not have.

    A layer has made its weights by then, and computes by a policy of its own.
    """
    if dtype is None:
        return
    name = keras.dtype_policies.get(dtype).name
    for role, layer in layers.items():
        if layer.dtype_policy.name != name:
            raise ValueError(
                "dtype must be the one that the layers were made with, or None. Received: "
                f"dtype={name}, where the {role} has {layer.dtype_policy.name}. Make the {role} "
                f"with dtype={name!r}, or call keras.config.set_dtype_policy({name!r}) before."
            )


def check_schedule(argument: str, schedule: Any) -> None:
    """Raises `ValueError` for what gives no number at a step."""
    error: Exception | None = None
    try:
        if not isinstance(schedule, type) and tf.cast(schedule(0), tf.float32).shape.rank == 0:
            return
    except Exception as caught:  # It may be anything.
        error = caught
    raise ValueError(
        f"{argument} must be a schedule, which is called with a step and returns a number, as "
        f"schedules.Constant(0.2) does. Received: {argument}={schedule!r}."
    ) from error


def check_free_bits(free_bits: Any) -> None:
    """Raises `ValueError` for what is no number of bits."""
    is_number = isinstance(free_bits, int | float | np.number)
    if not is_number or not free_bits >= 0:  # A NaN is refused too.
        raise ValueError(
            f"free_bits must be a number, at least 0. Received: free_bits={free_bits!r}."
        )


def check_track_names(names: Any) -> None:
    """Raises `ValueError` for what is no list of names."""
    is_list = isinstance(names, list | tuple)
    if not is_list or not names or not all(isinstance(name, str) for name in names):
        raise ValueError(
            f"track_names must be a list of texts, one a track. Received: track_names={names!r}."
        )


def check_choose(choose: Any) -> None:
    """Raises `ValueError` for what cannot choose tokens."""
    if isinstance(choose, type) or not callable(choose):
        raise ValueError(
            "choose must be a function of a step and the logits of each track, as "
            f"autoregressor.greedy is, or what MusicVAE.sampler returns. Received: "
            f"choose={choose!r}."
        )


def check_noise(noise: Any) -> None:
    """Raises `ValueError` for what has no draws."""
    if isinstance(noise, type) or not all(hasattr(noise, name) for name in ("uniform", "normal")):
        raise ValueError(
            "noise must have the methods uniform and normal, as noise.BatchNoise(seed, num_rows) "
            f"has. Received: noise={noise!r}."
        )
