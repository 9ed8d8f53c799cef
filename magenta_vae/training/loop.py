"""The training loop: steps under a distribution strategy, progress, checkpoints, evaluation.

Keras' own `fit` does not run under every strategy, and a run must be the same whether or not it was
interrupted; so the loop is ours, and small. It knows a model, an optimizer and batches, not music.
"""

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from magenta_vae.training import devices, divergence, file_errors, signals
from magenta_vae.training.checkpoints import BestCheckpoint, Checkpoints
from magenta_vae.training.held_out import HeldOut
from magenta_vae.training.progress import Progress
from magenta_vae.training.steps import make_train_steps
from magenta_vae.training.summaries import Summaries


def train(
    model,
    optimizer,
    strategy: tf.distribute.Strategy,
    make_batches: Callable[[Sequence[tuple[int, int]], Sequence[slice]], tf.data.Dataset],
    evaluate: Callable[[int], dict[str, float]],
    run_dir: str,
    *,
    batch_size: int,
    max_steps: int,
    seed: int,
    clip_norm: float,
    micro_batch_size: int | None = None,
    jit_compile: bool = False,
    steps_per_call: int = 10,
    eval_every: int = 1000,
    checkpoint_every: int = 1000,
    show_every: int = 1,
    report: Callable[[str], None] = lambda line: None,
    show: Callable[[], None] = lambda: None,
) -> int:
    """Trains from the run's newest checkpoint, or from the start, to `max_steps`.

    Args:
        model: has `training_terms` and `track_names`; built under the strategy's scope.
        optimizer: a Keras optimizer, made under the strategy's scope.
        strategy: where the replicas are.
        make_batches: (chunks of (first step, number of steps), rows of each replica) -> dataset of
            int32 [steps, rows, T, K], for each chunk one element a replica.
        evaluate: (step) -> scalars of the held-out split.
        run_dir: where checkpoints and summaries go.
        batch_size: examples of a step over all replicas.
        max_steps: steps in the whole life of the run.
        seed: of every draw.
        clip_norm: the global norm that gradients are clipped to.
        micro_batch_size, jit_compile: see `steps.make_train_steps`.
        steps_per_call: steps between two looks at the loss.
        eval_every, checkpoint_every: steps between evaluations, checkpoints.
        show_every: evaluations from one call of `show` to the next; 0 for none.
        report: is given a line about the progress.
        show: writes more about the held-out split with `tf.summary`; the last evaluation shows too.

    Returns:
        The step that was reached.

    Raises:
        TrainingDiverged: where the loss or the gradient is NaN or infinite, or the KL is nonsense;
            see `divergence`. A step whose gradient loss scaling makes infinite is skipped.
        TrainingStopped: where SIGTERM or Ctrl-C asked to stop; the step it stands at is saved.
        DamagedCheckpoint: where the run has checkpoints and none can be read.
        MemoryError: where a device has too little memory.
        OSError: where a checkpoint or a summary cannot be written.
        ValueError: where the batch does not divide over the replicas, or their shares into
            micro-batches.
    """
    rows = replica_rows(batch_size, strategy.num_replicas_in_sync)
    is_chief = devices.is_chief(strategy)  # It writes; the others take the same steps.
    with strategy.scope():
        optimizer.build(model.trainable_variables)
    checkpoints = Checkpoints(run_dir, model, optimizer, is_chief)
    step = checkpoints.resume(report)
    devices.require_agreement(strategy, step, "step to begin at")
    if step:
        report(f"resumed at step {step:,} from {checkpoints.latest}")
    chunks = split_steps(step, max_steps, steps_per_call, (eval_every, checkpoint_every))
    batches = iter(
        strategy.distribute_datasets_from_function(
            lambda context: make_batches(chunks, devices.local_rows(rows, context))
        )
    )
    train_steps = make_train_steps(
        model, optimizer, strategy, batch_size, seed, clip_norm, micro_batch_size, jit_compile
    )
    progress = Progress(step, max_steps)
    stop = signals.StopRequest(report, may_break_off=not devices.has_workers(strategy))
    summaries = Summaries(run_dir, is_chief)
    best = BestCheckpoint(run_dir, model, report)
    held_out = HeldOut(evaluate, summaries, best, stop, eval_every, max_steps, show, show_every)
    summaries.begin("train", step + 1)
    summaries.begin("eval", step if held_out.is_due(step) else step + 1)
    with stop:
        try:
            if is_chief:  # The run may have ended between a checkpoint and its evaluation.
                held_out.look(step)
            for _, num_steps in chunks:
                if any(devices.gather(strategy, stop.number is not None)):
                    raise signals.BrokenOff
                progress.restart()
                with progress.waiting():
                    batch = next(batches)
                metrics = {name: values.numpy() for name, values in train_steps(batch).items()}
                divergence.check(metrics, step, checkpoints.latest, run_dir)
                step += num_steps
                scalars = {name: float(np.mean(values)) for name, values in metrics.items()}
                scalars |= progress.update(step)
                summaries.write("train", step, scalars)
                report(progress.line(scalars))
                if step % checkpoint_every == 0 or step == max_steps:
                    checkpoints.save()
                if is_chief:
                    held_out.look(step)
        except signals.BrokenOff:
            if step:
                checkpoints.save()
            raise signals.TrainingStopped(step, checkpoints.latest, stop.number) from None
        except tf.errors.ResourceExhaustedError as error:
            raise MemoryError(
                f"Memory ran out after step {step:,}: {file_errors.reason(error)}. Try a smaller "
                "micro_batch_size, recompute=True or a smaller batch_size, in an evaluation a "
                "smaller eval_batch_size."
            ) from error
    devices.require_agreement(strategy, step, "step to end at")  # The chief may still evaluate.
    return step


def replica_rows(batch_size: int, num_replicas: int) -> list[slice]:
    """Returns the rows of the global batch that each replica gets."""
    if batch_size % num_replicas:
        raise ValueError(
            f"batch_size must be a multiple of the number of replicas, {num_replicas}. "
            f"Received: batch_size={batch_size}."
        )
    size = batch_size // num_replicas
    return [slice(first, first + size) for first in range(0, batch_size, size)]


def split_steps(
    first: int, last: int, steps_per_call: int, boundaries: Sequence[int]
) -> list[tuple[int, int]]:
    """Returns (first step, number of steps) of each call; none crosses a multiple of a boundary."""
    counts = (steps_per_call, *boundaries)
    if not all(isinstance(count, int) and count >= 1 for count in counts):
        raise ValueError(
            "steps_per_call, eval_every and checkpoint_every must be whole numbers of at least 1. "
            f"Received: {', '.join(map(str, counts))}."
        )
    chunks = []
    while first < last:
        stop = min(last, *((first // every + 1) * every for every in (steps_per_call, *boundaries)))
        chunks.append((first, stop - first))
        first = stop
    return chunks
