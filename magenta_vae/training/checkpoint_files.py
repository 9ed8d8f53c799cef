"""The files of checkpoints: which a folder holds, and whether they can be read whole.

The folder itself is what counts, not TensorFlow's `checkpoint` file in it: that one may be lost or
damaged while every checkpoint is sound.
"""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import tensorflow as tf

from magenta_vae import file_errors

LATEST, BEST = "latest", "best"
FILES = re.compile(r"step-(\d+)\.(?:index|data-\d{5}-of-\d{5})")
UNFINISHED = re.compile(r"step-\d+_temp")


class DamagedCheckpoint(OSError):
    """A checkpoint that cannot be read whole."""


def folder_of(run_dir: str, kind: str = LATEST) -> str:
    """Returns the folder of a run's newest checkpoints, or of its best."""
    return os.path.join(run_dir, "checkpoints", *([BEST] if kind == BEST else []))


def path_of(folder: str, step: int) -> str:
    """Returns what TensorFlow calls the path of a checkpoint: the beginning of its files' names."""
    return os.path.join(folder, f"step-{step}")


def list_steps(folder: str) -> list[int]:
    """Returns the steps of which a folder holds files, sound or not, the newest last."""
    return sorted({int(match[1]) for match in map(FILES.fullmatch, _names(folder)) if match})


def is_begun(run_dir: str) -> bool:
    """Says whether a run has learned anything to go on from."""
    return bool(list_steps(folder_of(run_dir)))


def read_whole(path: str) -> None:
    """Reads every value of a checkpoint, which compares it with its checksum.

    Raises:
        DamagedCheckpoint: where one cannot be read.
    """
    try:
        reader = tf.train.load_checkpoint(path)
        for name in reader.get_variable_to_shape_map():
            reader.get_tensor(name)
    except file_errors.READ_ERRORS as error:
        raise DamagedCheckpoint(f"{path} is damaged: {file_errors.reason(error)}.") from error


def newest_readable(folder: str, report: Callable[[str], None]) -> int | None:
    """Returns the newest step that can be read whole, None where the folder holds none at all.

    Args:
        folder: of the checkpoints.
        report: is told of each damaged one.

    Raises:
        DamagedCheckpoint: where there are checkpoints and none can be read.
    """
    steps = list_steps(folder)
    for step in reversed(steps):
        try:
            read_whole(path_of(folder, step))
            return step
        except DamagedCheckpoint as error:
            if step not in list_steps(folder):  # A run that trains has removed it meanwhile.
                return newest_readable(folder, report)
            report(f"{error} Looking for the one before it.")
    if steps:
        raise DamagedCheckpoint(
            f"None of the checkpoints in {folder} can be read: steps "
            f"{', '.join(map(str, steps))}. Put back a copy of one, or start again with another "
            "--run_dir."
        )
    return None


def remove(folder: str, step: int) -> None:
    """Removes the files of a step, whatever there is of them."""
    for name in _names(folder):
        match = FILES.fullmatch(name)
        if match and int(match[1]) == step:
            Path(folder, name).unlink(missing_ok=True)


def remove_unfinished(folder: str) -> None:
    """Removes what is left of checkpoints whose writing was broken off."""
    for name in _names(folder):
        if UNFINISHED.fullmatch(name):
            shutil.rmtree(os.path.join(folder, name), ignore_errors=True)


def _names(folder: str) -> list[str]:
    return os.listdir(folder) if os.path.isdir(folder) else []
