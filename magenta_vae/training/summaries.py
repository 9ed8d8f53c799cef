"""TensorBoard: the files of a run, its scalars, figures and configuration."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from magenta_vae import file_errors, private_apis

if TYPE_CHECKING:  # matplotlib is imported when there is something to draw: training starts sooner.
    from matplotlib.figure import Figure

DOTS_PER_INCH = 80


class Summaries:
    """Writes the scalars of a run into `<run_dir>/train` and `<run_dir>/eval`.

    Args:
        run_dir: the run's folder.
        is_writer: whether this process writes at all; of several machines only one does.
    """

    def __init__(self, run_dir: str, is_writer: bool = True):
        self._is_writer = is_writer
        self._folders = {split: os.path.join(run_dir, split) for split in ("train", "eval")}
        self._writers = {split: self._make_writer(path) for split, path in self._folders.items()}

    def begin(self, split: str, step: int) -> None:
        """Has TensorBoard forget what an earlier process wrote of this step and later ones.

        The event is that of `purge_step` of TensorFlow 1's writer. TensorBoard takes the first in a
        folder for the beginning and each further one for a restart: so every process writes one.
        """
        start = tf.compat.v1.SessionLog(status=tf.compat.v1.SessionLog.START)
        event = tf.compat.v1.Event(step=step, wall_time=time.time(), session_log=start)
        if self._is_writer:
            with self.writing(split, step):
                private_apis.write_event(event)

    def write(self, split: str, step: int, scalars: Mapping[str, float]) -> None:
        """Writes one value a name and flushes, so that a reader sees it at once."""
        with self.writing(split, step):
            for name, value in scalars.items():
                tf.summary.scalar(name, value)

    @contextlib.contextmanager
    def writing(self, split: str, step: int) -> Iterator[None]:
        """Has what `tf.summary` writes within go to a split, at a step; then flushes.

        Raises:
            OSError: where it cannot be written.
        """
        with file_errors.writing(self._folders[split]):
            with self._writers[split].as_default(step=step):
                yield
            self._writers[split].flush()

    def _make_writer(self, folder: str) -> tf.summary.SummaryWriter:
        if not self._is_writer:
            return tf.summary.create_noop_writer()
        with file_errors.writing(folder):
            return tf.summary.create_file_writer(folder)


def seconds_of_steps(run_dir: str, last_step: int) -> float | None:
    """Returns how long a run's steps took up to one, at their median speed.

    None where the run has not written how fast they were. The median, since a process may have been
    stopped meanwhile.
    """
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder, tag = os.path.join(run_dir, "train"), "steps_per_second"
    if not os.path.isdir(folder):
        return None
    read = EventAccumulator(folder, size_guidance={"tensors": 0})
    read.Reload()
    if tag not in read.Tags()["tensors"]:
        return None
    speeds = [float(tf.make_ndarray(event.tensor_proto)) for event in read.Tensors(tag)]
    return last_step / float(np.median(speeds))


def write_figure(name: str, figure: Figure, description: str) -> None:
    """Writes a figure as an image, with `tf.summary`; the description is shown beside its name."""
    figure.set_dpi(DOTS_PER_INCH)
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[None, :, :, :3]  # [1, height, width, RGB]
    tf.summary.image(name, pixels, description=description)


def describe_run(
    run_dir: str,
    config: str,
    hyperparameters: Mapping[str, bool | int | float | str],
    is_new: bool = False,
) -> None:
    """Writes what a run is into `<run_dir>/eval`, if nothing is there yet or it begins anew.

    There and not beside it, so that the metrics of TensorBoard's table of hyperparameters are the
    newest scalars of the held-out split, and no others. To be called before `Summaries` is made:
    of the files of a folder TensorBoard follows the newest.

    Args:
        run_dir: the run's folder; its name is that of the row.
        config: shown as a text.
        hyperparameters: the row of the table.
        is_new: whether what is there is of an attempt that learned nothing, and goes.

    Raises:
        OSError: where it cannot be written.
    """
    from tensorboard.plugins.hparams import api as hparams  # Late: making music takes none.

    folder = os.path.join(run_dir, "eval")
    if is_new:
        shutil.rmtree(folder, ignore_errors=True)
    elif os.path.isdir(folder) and os.listdir(folder):
        return
    # Four spaces make a block of code, whatever the text holds.
    block = "\n".join(f"    {line}" for line in config.splitlines())
    parent, name = os.path.split(os.path.normpath(run_dir))
    with file_errors.writing(folder):
        writer = tf.summary.create_file_writer(folder)
        with writer.as_default(step=0):
            tf.summary.text("config.gin", block)
            # The name first, as its column is narrow. Rows of the same name would be made one.
            hparams.hparams(dict(hyperparameters), trial_id=f"{name} in {parent or '.'}")
        writer.close()
