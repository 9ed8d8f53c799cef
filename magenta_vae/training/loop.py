"""The training loop: steps under a distribution strategy, progress, checkpoints, evaluation.

Keras' own `fit` does not run under every strategy, and a run must be the same whether or not it was
interrupted; so the loop is ours, and small. It knows steps and batches, not music.
"""

import bisect
import itertools
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from magenta_vae import file_errors
from magenta_vae.training import device_memory, devices, divergence, signals
from magenta_vae.training.checkpoints import BestCheckpoint, Checkpoints
from magenta_vae.training.held_out import Evaluations, HeldOut
from magenta_vae.training.progress import Progress, count_steps
from magenta_vae.training.steps import TrainingSteps
from magenta_vae.training.summaries import Summaries

MakeBatches = Callable[[Sequence[tuple[int, int]], Sequence[slice]], tf.data.Dataset]


def train(
    steps: TrainingSteps,
    make_batches: MakeBatches,
    held_out: HeldOut | None,
    run_dir: str,
    max_steps: int,
    *,
    changes: Sequence[int] = (),
    work: Callable[[int, int], float] = count_steps,
    steps_per_call: int = 10,
    eval_every: int = 1000,
    checkpoint_every: int = 1000,
    show_every: int = 1,
    report: Callable[[str], None] = lambda line: None,
    show: Callable[[str], None] | None = None,
) -> int:
    """Trains from the run's newest checkpoint, or from the start, to `max_steps`.

    Args:
        steps: of the model that is trained.
        make_batches: (chunks of (first step, number of steps), rows of each replica) -> dataset of
            int32 [steps, rows, T, K], for each chunk one element a replica.
        held_out: the evaluation of the held-out split, and what else is shown of it; the last
            evaluation shows too. None where nothing is held out.
        run_dir: where checkpoints and summaries go.
        max_steps: steps in the whole life of the run.
        changes: steps from which on batches have another shape; no chunks that `make_batches` is
            given together lie on both sides of one.
        work: (first step, last step) -> how much work the steps between are; by default they are
            all alike. The time that is left is told by it.
        steps_per_call: steps between two looks at the loss.
        eval_every, checkpoint_every: steps between evaluations, checkpoints.
        show_every: evaluations from one that shows to the next; 0 for none.
        report: is given lines that stay: what happens, and the progress where the run is evaluated
            or saved.
        show: is given the progress between these; `report` by default.

    Returns:
        The step that was reached.

    Raises:
        TrainingDiverged: where the loss or the gradient is NaN or infinite, or the KL is nonsense;
            see `divergence`. A step whose gradient loss scaling makes infinite is skipped.
        TrainingStopped: where SIGTERM or Ctrl-C asked to stop; the step it stands at is saved.
        DamagedCheckpoint: where the run has checkpoints and none can be read.
        MemoryError: where a device has too little memory.
        OSError: where a checkpoint or a summary cannot be written.
    """
    strategy = steps.strategy
    is_chief = devices.is_chief(strategy)  # It writes; the others take the same steps.
    checkpoints = Checkpoints(run_dir, steps.model, steps.optimizer, is_chief)
    step = checkpoints.resume(report)
    devices.require_agreement(strategy, step, "step to begin at")
    if step:
        report(f"resumed at step {step:,} from {checkpoints.latest}")
    chunks = split_steps(step, max_steps, steps_per_call, (eval_every, checkpoint_every), changes)
    batches = _distribute(make_batches, steps, chunks, changes)
    progress = Progress(step, max_steps, work)
    stop = signals.StopRequest(report, may_break_off=not devices.has_workers(strategy))
    summaries = Summaries(run_dir, is_chief)
    best = BestCheckpoint(run_dir, steps.model, report)
    evaluations = Evaluations(held_out, summaries, best, stop, eval_every, max_steps, show_every)
    summaries.begin("train", step + 1)
    summaries.begin("eval", step if evaluations.is_due(step) else step + 1)
    with stop:
        try:
            if is_chief:  # The run may have ended between a checkpoint and its evaluation.
                evaluations.look(step)
            for _, num_steps in chunks:
                if any(devices.gather(strategy, stop.number is not None)):
                    raise signals.BrokenOff
                metrics = _take(steps, batches, progress)
                divergence.check(metrics, step, checkpoints.latest, run_dir)
                step += num_steps
                scalars = {name: float(np.mean(values)) for name, values in metrics.items()}
                scalars |= progress.update(step)
                summaries.write("train", step, scalars)
                is_saved = step % checkpoint_every == 0 or step == max_steps
                is_kept = is_saved or evaluations.is_due(step)
                (report if is_kept else show or report)(progress.line(scalars))
                if is_saved:
                    checkpoints.save()
                if is_chief:
                    evaluations.look(step)
        except signals.BrokenOff:
            if step:
                checkpoints.save()
            raise signals.TrainingStopped(step, checkpoints.latest, stop.number) from None
        except tf.errors.ResourceExhaustedError as error:
            raise MemoryError(
                f"Memory ran out after step {step:,}: {file_errors.reason(error)}. "
                f"{device_memory.LESS_MEMORY}; "
                "in an evaluation --gin_param=configuration.Experiment.eval_batch_size=N."
            ) from error
    devices.require_agreement(strategy, step, "step to end at")  # The chief may still evaluate.
    return step


def split_steps(
    first: int,
    last: int,
    steps_per_call: int,
    boundaries: Sequence[int],
    changes: Sequence[int] = (),
) -> list[tuple[int, int]]:
    """Returns (first step, number of steps) of each call.

    None crosses a multiple of a boundary, nor a step at which batches change.
    """
    counts = (steps_per_call, *boundaries)
    if not all(isinstance(count, int) and count >= 1 for count in counts):
        raise ValueError(
            "steps_per_call, eval_every and checkpoint_every must be whole numbers of at least 1. "
            f"Received: {', '.join(map(str, counts))}."
        )
    chunks = []
    while first < last:
        multiples = ((first // every + 1) * every for every in counts)
        stop = min(last, *multiples, *(step for step in changes if step > first))
        chunks.append((first, stop - first))
        first = stop
    return chunks


def _distribute(
    make_batches: MakeBatches,
    steps: TrainingSteps,
    chunks: Sequence[tuple[int, int]],
    changes: Sequence[int],
) -> Iterator:
    """Yields the batches of each chunk, on this machine those of its own replicas."""
    for _, group in itertools.groupby(chunks, lambda chunk: bisect.bisect(changes, chunk[0])):
        yield from steps.strategy.distribute_datasets_from_function(
            lambda context, alike=list(group): make_batches(
                alike, devices.local_rows(steps.rows, context)
            )
        )


def _take(steps: TrainingSteps, batches: Iterator, progress: Progress) -> dict[str, np.ndarray]:
    """Takes the steps of the next chunk and returns their metrics, float [steps]."""
    progress.restart()
    with progress.waiting():
        batch = next(batches)
    return {name: values.numpy() for name, values in steps.take(batch).items()}
