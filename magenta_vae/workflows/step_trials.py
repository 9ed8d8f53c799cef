"""Training steps of an experiment; some of them tried, for their memory and their time."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from magenta_vae.configuration import Experiment
from magenta_vae.music.tokens import num_classes
from magenta_vae.training import device_memory, devices, precision
from magenta_vae.training.steps import TrainingSteps

SECONDS = 3.0  # Steps are tried for so long, the first one, which prepares the others, aside.


class Trial(NamedTuple):
    """What was found of steps that were tried.

    Attributes:
        num_steps: how many were timed.
        seconds: a step.
        peak: bytes that the process, or TensorFlow on a GPU, has held at most.
    """

    num_steps: int
    seconds: float
    peak: int


def make_steps(
    experiment: Experiment,
    strategy: tf.distribute.Strategy,
    initialize: Callable[[Any], None] = lambda model: None,
) -> TrainingSteps:
    """Returns the training steps of a new model.

    Args:
        experiment: what is trained.
        strategy: where the replicas are.
        initialize: may give the model other weights.
    """
    with strategy.scope(), precision.dtype_policy(experiment.dtype_policy):
        model = experiment.make_model()
        optimizer = precision.scale_losses(experiment.make_optimizer(), experiment.dtype_policy)
        initialize(model)
    return TrainingSteps(
        model,
        optimizer,
        strategy,
        experiment.batch_size,
        experiment.seed,
        experiment.clip_norm,
        experiment.micro_batch_size,
        experiment.jit_compile,
    )


def try_steps(
    experiment: Experiment, strategy: tf.distribute.Strategy, seconds: float = SECONDS
) -> Trial:
    """Takes steps of a new model on random tokens, for some seconds, at least one.

    Args:
        experiment: what is tried.
        strategy: where the replicas are, of this machine alone.
        seconds: after which no further step begins.

    Raises:
        MemoryError: where it does not suffice.
    """
    try:
        return _try_steps(experiment, strategy, seconds)
    except tf.errors.ResourceExhaustedError as error:
        raise MemoryError(
            f"Memory ran out in a step that was tried. {device_memory.LESS_MEMORY}."
        ) from error


def _try_steps(experiment: Experiment, strategy: tf.distribute.Strategy, seconds: float) -> Trial:
    steps = make_steps(experiment, strategy)
    tokens = random_tokens(experiment, experiment.batch_size)[None]
    chunk = strategy.experimental_distribute_values_from_function(
        lambda context: tf.constant(tokens[:, steps.rows[context.replica_id_in_sync_group]])
    )
    _take(steps, chunk)
    begun, count = time.perf_counter(), 0
    while not count or time.perf_counter() - begun < seconds:
        _take(steps, chunk)
        count += 1
    taken = (time.perf_counter() - begun) / count
    return Trial(count, taken, device_memory.find_peak(devices.on_gpus(strategy)))


def random_tokens(experiment: Experiment, num_windows: int) -> np.ndarray:
    """Returns windows that are no music: int32 [windows, steps, tracks]."""
    rng = np.random.default_rng(0)
    shape = num_windows, experiment.settings.num_steps
    classes = num_classes(experiment.settings.tracks)
    return np.stack([rng.integers(0, size, shape, np.int32) for size in classes], axis=-1)


def _take(steps: TrainingSteps, chunk) -> None:
    """Takes a step, to its end."""
    steps.take(chunk)["loss"].numpy()
