"""What defines one training run."""

import dataclasses
from collections.abc import Callable
from typing import Any


@dataclasses.dataclass(frozen=True)
class Experiment:
    """Everything that defines one training run.

    Args:
        settings: what a window is.
        make_model: () -> `MusicVAE`.
        make_optimizer: () -> Keras optimizer.
        augment: (tokens, seed) -> tokens, or None; see `input_pipeline.training_batches`.
        curriculum: a `curriculum.GrowingWindows`, or None for whole windows from the first step on.
        batch_size: windows of one step over all replicas.
        max_steps: steps of the whole run.
        clip_norm: the global norm that gradients are clipped to.
        micro_batch_size: windows that a replica differentiates at a time; None for its whole share
            of a batch.
        jit_compile: whether XLA compiles the loss and its gradients.
        dtype_policy: what training computes in, one of `training.precision.POLICIES`.
        seed: of the initial weights, the order of the data and every draw.
        eval_batch_size: windows at a time in evaluation.
        eval_examples: held-out windows evaluated while training, None for all.
        table1_column: the column of the paper's Table 1 that the model stands in.
        midi: MIDI files to build a data set from where none is given: a path, or a bundled folder.
        compared_samples: samples that are compared with held-out windows after the last step, None
            for none.

    Raises:
        ValueError: for a size that is no number of windows or steps, before anything is trained.
    """

    settings: Any
    make_model: Callable
    make_optimizer: Callable
    batch_size: int
    max_steps: int
    clip_norm: float
    micro_batch_size: int | None = None
    jit_compile: bool = False
    dtype_policy: str = "float32"
    augment: Callable | None = None
    curriculum: Any = None
    seed: int = 0
    eval_batch_size: int = 256
    eval_examples: int | None = 2048
    table1_column: str | None = None
    midi: str | None = None
    compared_samples: int | None = None

    def __post_init__(self):
        for name in ("make_model", "make_optimizer"):
            if not callable(getattr(self, name)):
                raise ValueError(
                    f"{name} must be a part, as in @module.Part. Received: {getattr(self, name)!r}."
                )
        if not isinstance(self.seed, int) or self.seed < 0:
            raise ValueError(
                f"seed must be a whole number of at least 0. Received: seed={self.seed!r}."
            )
        if self.curriculum is not None and not hasattr(self.curriculum, "piece_at"):
            raise ValueError(
                "curriculum must be None or @curriculum.GrowingWindows(), with its parentheses. "
                f"Received: curriculum={self.curriculum!r}."
            )
        for name in ("batch_size", "max_steps", "eval_batch_size"):
            _check_count(name, getattr(self, name))
        for name in ("micro_batch_size", "eval_examples", "compared_samples"):
            if getattr(self, name) is not None:
                _check_count(name, getattr(self, name), "None or ")
        if not isinstance(self.clip_norm, int | float) or not self.clip_norm > 0:
            raise ValueError(f"clip_norm must be above 0. Received: clip_norm={self.clip_norm!r}.")


def _check_count(name: str, value: Any, other: str = "") -> None:
    if not isinstance(value, int) or value < 1:
        raise ValueError(
            f"{name} must be {other}a whole number of at least 1. Received: {name}={value!r}."
        )
