"""How TensorFlow shares the cores of a CPU."""

import os


def count_cores() -> int:
    """Returns how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def share_cores() -> None:
    """Has TensorFlow run two operations side by side, each on half of the cores.

    The loops over steps are pairs of operations that do not wait for each other
    (`model/lstm_steps.count_parts`). With all cores for each operation, as TensorFlow has it, every
    one of them would end with waiting for another core. The variable is read when a process makes
    its first tensor; one that is set already stays.
    """
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(max(1, count_cores() // 2)))
