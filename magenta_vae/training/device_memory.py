"""How much memory a device has for this process, and how much of it the process has held."""

import functools
import os
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf

from magenta_vae import private_apis

# Control groups, which containers are made of, in their two versions: what a group may hold, what
# it holds, and how its cache of files, which gives way, is called in `memory.stat`.
V1 = "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
V2 = "memory.max", "memory.current", "inactive_file"

LESS_MEMORY = (  # What a user is told where memory does not suffice.
    "Try --gin_param=configuration.Experiment.micro_batch_size=N with a small N, "
    "--gin_param=recompute=True, or --gin_param=batch_size=N with a smaller N"
)


def find_limit(on_gpu: bool, root: str | os.PathLike = "/") -> int:
    """Returns the bytes that this process may hold on a device, those that it holds included.

    Of a GPU that is what TensorFlow may take of it, of several the least. Of a CPU it is the memory
    that is free now and what the process itself has of it, within the limits of the container. A
    system that does not tell what is free, as macOS, is taken to have all of its memory free.

    Args:
        on_gpu: whether the replicas are on GPUs.
        root: where the system's `proc` and `sys` are.
    """
    if on_gpu:
        return min(private_apis.gpu_memory_limits(), default=sys.maxsize)
    free = _read_free(Path(root))
    if free is None:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([free, *_free_of_groups(Path(root))]) + find_own(root)


def find_own(root: str | os.PathLike = "/") -> int:
    """Returns the bytes that this process holds now, or at most where the system says only that."""
    try:
        pages = int((Path(root) / "proc/self/statm").read_text().split()[1])
    except OSError:
        return find_peak(on_gpu=False)
    return pages * os.sysconf("SC_PAGE_SIZE")


@functools.cache
def find_beginning() -> int:
    """Returns the bytes that this process held when it asked first: later it may hold models."""
    return find_own()


def find_peak(on_gpu: bool) -> int:
    """Returns the most bytes that this process has held so far; of several GPUs on the first."""
    if on_gpu:
        return tf.config.experimental.get_memory_info("GPU:0")["peak"]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # Linux counts kilobytes.


def _read_free(root: Path) -> int | None:
    """Returns what the system says is free, None where it does not say it."""
    try:
        lines = (root / "proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def _free_of_groups(root: Path) -> Iterator[int]:
    """Yields the bytes that are free of each limit that this process is under."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            top, names = root / "sys/fs/cgroup/memory", V1
        elif not controllers:
            top, names = root / "sys/fs/cgroup", V2
        else:
            continue
        # Within a container its own group may be the top, whatever the path says.
        own = Path(path.lstrip("/"))
        for group in dict.fromkeys([*(top / part for part in (own, *own.parents)), top]):
            yield from _free_of(group, *names)


def _free_of(group: Path, limit: str, usage: str, cache: str) -> Iterator[int]:
    """Yields the bytes that are free of a group's limit, nothing where it has none."""
    try:
        allowed = (group / limit).read_text().strip()
        used = int((group / usage).read_text())
        lines = (group / "memory.stat").read_text().splitlines()
    except OSError:
        return
    if allowed == "max":
        return
    given_back = [int(line.split()[1]) for line in lines if line.split()[0] == cache]
    yield max(0, int(allowed) - used + sum(given_back))
