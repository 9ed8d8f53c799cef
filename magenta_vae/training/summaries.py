"""TensorBoard scalars."""

import contextlib
import os
import time
from collections.abc import Iterator, Mapping

import tensorflow as tf
from tensorflow.python.ops import summary_ops_v2

from magenta_vae.training import disk


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
                summary_ops_v2.import_event(event.SerializeToString())

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
        with disk.writing(self._folders[split]):
            with self._writers[split].as_default(step=step):
                yield
            self._writers[split].flush()

    def _make_writer(self, folder: str) -> tf.summary.SummaryWriter:
        if not self._is_writer:
            return tf.summary.create_noop_writer()
        with disk.writing(folder):
            return tf.summary.create_file_writer(folder)
