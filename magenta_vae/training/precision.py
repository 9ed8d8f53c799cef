"""Mixed precision: Keras' dtype policies, and loss scaling for the one that needs it."""

import contextlib
from collections.abc import Iterator

import keras

LOSS_SCALED = "mixed_float16"
POLICIES = ("float32", "mixed_bfloat16", LOSS_SCALED)


@contextlib.contextmanager
def dtype_policy(name: str) -> Iterator[None]:
    """Gives layers that are made within the dtype policy; their weights are float32 in each.

    The policy is Keras' own, which is global: afterwards it is what it was.

    Raises:
        ValueError: where it is none of `POLICIES`.
    """
    if name not in POLICIES:
        raise ValueError(f"dtype_policy must be one of {', '.join(POLICIES)}. Received: {name}.")
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def scale_losses(optimizer: keras.optimizers.Optimizer, policy: str) -> keras.optimizers.Optimizer:
    """Returns an optimizer for models of the policy: in float16 small gradients would be zeros."""
    return keras.optimizers.LossScaleOptimizer(optimizer) if policy == LOSS_SCALED else optimizer


def scales_losses(optimizer: keras.optimizers.Optimizer) -> bool:
    """Says whether the optimizer scales the loss, and skips steps whose gradient overflows."""
    return isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
