"""Where the replicas run: one device, several of a machine, or several machines."""

import contextlib
import json
import os
from collections.abc import Iterator, Sequence

import tensorflow as tf

from magenta_vae import file_errors, threads

TF_CONFIG_EXAMPLE = (
    '{"cluster": {"worker": ["first:2222", "second:2222"]}, "task": {"type": "worker", "index": 0}}'
)


class WorkerLost(ConnectionError):
    """Another machine's process is gone, or cannot be reached."""


def make_strategy(
    num_virtual_devices: int = 0, jit_compile: bool = False
) -> tf.distribute.Strategy:
    """Returns the strategy for this machine, or for those that `TF_CONFIG` names.

    Without `TF_CONFIG`: one device, or a replica on each of several GPUs. With it: a replica on
    each GPU of each worker, or on the CPU of each. Waits there until all workers are started.

    Args:
        num_virtual_devices: replicas on the CPU, for trying out what several devices would do; 0
            for the machine's own devices.
        jit_compile: whether XLA compiles the steps, of which each then is one operation: on a CPU
            that has all cores.
    """
    if num_virtual_devices < 0:
        raise ValueError(
            "--num_virtual_devices must be 0 or the number of CPU replicas. "
            f"Received: --num_virtual_devices={num_virtual_devices}."
        )
    _keep_freed_memory()
    if not jit_compile:
        threads.share_cores()
    # Grappler turns a sum of three large tensors into a temporary variable, which it may leave
    # behind in the last turn of a nested loop: the next call then fails, as training on drums did
    # ("Resource ... tmp_var ... already exists"). Of its other rewrites these graphs gain nothing.
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    if count_workers() > 1:
        if num_virtual_devices:
            raise ValueError(
                "--num_virtual_devices is for one machine. Received: "
                f"--num_virtual_devices={num_virtual_devices} and TF_CONFIG."
            )
        return tf.distribute.MultiWorkerMirroredStrategy()
    if num_virtual_devices:
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration()] * num_virtual_devices
        )
        return tf.distribute.MirroredStrategy([f"CPU:{n}" for n in range(num_virtual_devices)])
    if len(tf.config.list_physical_devices("GPU")) > 1:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


def _keep_freed_memory() -> None:
    """Has TensorFlow keep what a step frees for the next one, as it does on a GPU.

    The variables are read when the first tensor is made. The system would clear each page anew.
    """
    megabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
    os.environ.setdefault("TF_CPU_ALLOCATOR_USE_BFC", "true")
    os.environ.setdefault("TF_CPU_BFC_MEM_LIMIT_IN_MB", str(megabytes))


def count_workers() -> int:
    """Returns the number of processes that `TF_CONFIG` names, 1 without it.

    Raises:
        ValueError: where it is not what TensorFlow expects, or names other tasks than workers.
    """
    text = os.environ.get("TF_CONFIG", "")
    if not text:
        return 1
    try:
        config = json.loads(text)
        sizes = {job: len(hosts) for job, hosts in config.get("cluster", {}).items()}
        known = {"chief", "worker"} >= set(sizes)
        task = config["task"] if sum(sizes.values()) > 1 else None
        fits = task is None or 0 <= int(task["index"]) < sizes[task["type"]]
    except (ValueError, KeyError, TypeError, AttributeError):
        known = fits = False
    if not (known and fits):
        raise ValueError(
            "TF_CONFIG must name workers, and which of them this process is, as in "
            f"{TF_CONFIG_EXAMPLE}. Received: {text}"
        )
    return max(1, sum(sizes.values()))


def has_workers(strategy: tf.distribute.Strategy) -> bool:
    """Says whether the replicas are in several processes."""
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)


def on_gpus(strategy: tf.distribute.Strategy) -> bool:
    """Says whether the replicas are on GPUs."""
    kinds = tf.distribute.MirroredStrategy | tf.distribute.MultiWorkerMirroredStrategy
    if isinstance(strategy, kinds):
        return all("GPU" in device for device in strategy.extended.worker_devices)
    return bool(tf.config.list_logical_devices("GPU"))


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Says whether this process is the one that writes: the only one, or the first worker."""
    if not has_workers(strategy):
        return True
    resolver = strategy.cluster_resolver
    jobs = resolver.cluster_spec().jobs
    first = "chief" if "chief" in jobs else "worker"
    return (resolver.task_type, resolver.task_id) == (first, 0)


def local_rows(rows: Sequence[slice], context: tf.distribute.InputContext) -> Sequence[slice]:
    """Returns those rows of the global batch that are for the replicas of this machine."""
    num_local = len(rows) // context.num_input_pipelines
    return rows[context.input_pipeline_id * num_local :][:num_local]


def gather(strategy: tf.distribute.Strategy, value: int) -> list[int]:
    """Returns the values that the workers give, one for each replica; waits for all of them."""
    if not has_workers(strategy):
        return [value]
    number = strategy.num_replicas_in_sync
    # As a sum: `strategy.gather` makes a new graph at every call.
    values = strategy.experimental_distribute_values_from_function(
        lambda context: (
            int(value) * tf.one_hot(context.replica_id_in_sync_group, number, dtype=tf.int64)
        )
    )
    return _sum_over_replicas(strategy, values).numpy().tolist()


def require_agreement(strategy: tf.distribute.Strategy, value: int, what: str) -> None:
    """Waits for all workers, and raises `ValueError` where they do not give the same value."""
    values = gather(strategy, value)
    if len(set(values)) > 1:
        raise ValueError(
            f"All workers must have the same {what}: give them the same command, and folders that "
            f"they share. Received, by replica: {', '.join(map(str, values))}."
        )


@contextlib.contextmanager
def watching_workers() -> Iterator[None]:
    """Turns TensorFlow's errors within, where there are several workers, into `WorkerLost`."""
    try:
        yield
    except (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError,
            tf.errors.InternalError, tf.errors.DeadlineExceededError) as error:  # fmt: skip
        if count_workers() == 1:
            raise
        raise WorkerLost(
            "another worker is gone or cannot be reached. Start all of them again with the same "
            f"commands: the run goes on from its newest checkpoint. TensorFlow says: "
            f"{file_errors.reason(error)}"
        ) from error


@tf.function
def _sum_over_replicas(strategy: tf.distribute.Strategy, values) -> tf.Tensor:
    return strategy.reduce("SUM", values, axis=None)
