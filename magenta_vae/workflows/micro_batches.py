"""How many windows a replica takes at a time, where the configuration leaves that open."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import tensorflow as tf

from magenta_vae.configuration import Experiment
from magenta_vae.training import device_memory, devices, steps
from magenta_vae.workflows import step_memory
from magenta_vae.workflows.step_memory import GB, StepMemory

BINDING = "configuration.Experiment.micro_batch_size"


SMALL = 0.5 * GB  # A step of less is never cut, whatever the machine: the process takes more.
MARGIN = 0.15  # The formula is right within so much.


class Plan(NamedTuple):
    """What a step takes of a machine, and how its batch is cut.

    Attributes:
        size: windows at a time; None for all of a replica's share.
        num_rows: a replica's share of a batch.
        num_replicas: that share a memory.
        on_gpu: whether they are on GPUs.
        held: bytes that the process holds there before the first step.
        limit: bytes that it may hold.
        memory: of a step, None where the formula does not know the model.
    """

    size: int | None
    num_rows: int
    num_replicas: int
    on_gpu: bool
    held: int
    limit: int
    memory: StepMemory | None

    def bytes_of(self, num_windows: int, in_parts: bool) -> float:
        """Returns the bytes that steps of so many windows at a time take, by formula."""
        assert self.memory is not None
        if self.on_gpu:
            return self.memory.step(num_windows, in_parts)
        return self.held + self.num_replicas * self.memory.on_cpu(num_windows, in_parts)

    def fit(self) -> int:
        """Returns the largest part of a replica's rows that fits, a divisor of them; 0 for none."""
        assert self.memory is not None
        if self.memory.step(self.num_rows) <= SMALL:
            return self.num_rows
        for size in range(self.num_rows, 0, -1):
            if self.num_rows % size == 0:
                taken = self.bytes_of(size, in_parts=size < self.num_rows)
                if taken * (1 + MARGIN) <= self.limit:
                    return size
        return 0

    @property
    def there(self) -> str:
        """What there is, in words."""
        return f"{self.limit / GB:.1f} GB are {'on a GPU' if self.on_gpu else 'free'}"

    def describe(self) -> str:
        """Returns what a step takes, and how it is cut, in a line."""
        if self.memory is None:
            return "of parts of one's own the memory is not known by formula"
        whole = f"{self.bytes_of(self.num_rows, False) / GB:.1f} GB"
        each = f" on each of {self.num_replicas} replicas" if self.num_replicas > 1 else ""
        line = f"{self.num_rows:,} windows{each} take {whole} by formula"
        line = f"{line}, within {MARGIN:.0%}; {self.there}"
        if self.size in (None, self.num_rows):
            return line
        taken = f"{self.bytes_of(self.size, True) / GB:.1f} GB"
        return f"{line}; so the batch is cut: {self.size:,} windows at a time take {taken}"


def plan(
    experiment: Experiment,
    model: Any,
    strategy: tf.distribute.Strategy,
    is_settled: bool = False,
) -> Plan:
    """Returns how the batches of a run are cut.

    As the configuration says. Where it leaves that open, the whole share of a batch is taken at a
    time if it fits into memory, and else the largest part that does: of several workers the one
    that fits into the memory of each.

    Args:
        experiment: what is trained.
        model: its model, whose weights need not be there.
        strategy: where the replicas are.
        is_settled: whether what the configuration leaves open is all of a share: of a run that goes
            on; see `settle`.

    Raises:
        MemoryError: where not even one window fits, with what would take less.
        ValueError: where the batch does not divide over the replicas, or their shares into the
            micro-batches that the configuration asks for.
    """
    on_gpu = devices.on_gpus(strategy)
    rows = steps.replica_rows(experiment.batch_size, strategy.num_replicas_in_sync)
    num_rows = experiment.batch_size // len(rows)
    if experiment.micro_batch_size is not None:
        steps.count_micro_batches(num_rows, experiment.micro_batch_size)
    num_replicas = 1 if on_gpu else len(rows) // devices.count_workers()
    memory = step_memory.estimate(model, experiment.dtype_policy)
    found = Plan(
        experiment.micro_batch_size,
        num_rows,
        num_replicas,
        on_gpu,
        0 if on_gpu else device_memory.find_beginning(),
        device_memory.find_limit(on_gpu),
        memory,
    )
    is_open = not is_settled and found.size is None and memory is not None
    # All workers join in, whatever they find: those that differ are told from others later.
    size = min(devices.gather(strategy, found.fit() if is_open else found.size or num_rows))
    if not size:
        raise MemoryError(_explain(experiment, found, model))
    if is_open:
        return found._replace(size=None if size == num_rows else size)
    return found


def settle(experiment: Experiment, record: Mapping, num_replicas: int) -> Experiment:
    """Returns an experiment whose batches are cut as the record of its run says.

    On other replicas than the run began on, their shares are cut into parts that divide both.

    Args:
        experiment: what is trained.
        record: what `run.json` holds; that of an old run does not say it, and cuts nothing.
        num_replicas: in all.
    """
    kept = record.get("micro_batch_size")
    if experiment.micro_batch_size is not None or kept is None:
        return experiment
    num_rows = experiment.batch_size // num_replicas
    return dataclasses.replace(experiment, micro_batch_size=math.gcd(kept, num_rows))


def _explain(experiment: Experiment, found: Plan, model: Any) -> str:
    """Returns why not even one window fits, and what takes less."""
    assert found.memory is not None
    in_parts = found.num_rows > 1
    fixed = found.num_replicas * found.memory.step(0, in_parts)
    again = step_memory.estimate(model, experiment.dtype_policy, recompute=True)
    less = found._replace(memory=again).bytes_of(1, in_parts)
    return (
        f"One window at a time takes {found.bytes_of(1, in_parts) / GB:.1f} GB by formula, within "
        f"{MARGIN:.0%}; {found.there}. Weights, gradients and the optimizer's averages are "
        f"{fixed / GB:.1f} GB of it, the window {found.memory.window / GB:.2f} GB. With "
        f"--gin_param=recompute=True it would be {less / GB:.1f} GB, and a third more time. "
        "--gin_file=scale/small.gin makes a smaller model of it. "
        f"--gin_param={BINDING}=1 tries it all the same."
    )
