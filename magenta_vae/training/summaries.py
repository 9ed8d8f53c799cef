"""TensorBoard scalars."""

import os
from collections.abc import Mapping

import tensorflow as tf


class Summaries:
    """Writes the scalars of a run into `<run_dir>/train` and `<run_dir>/eval`."""

    def __init__(self, run_dir: str):
        self._writers = {
            split: tf.summary.create_file_writer(os.path.join(run_dir, split))
            for split in ("train", "eval")
        }

    def write(self, split: str, step: int, scalars: Mapping[str, float]) -> None:
        """Writes one value a name and flushes, so that a reader sees it at once."""
        with self._writers[split].as_default(step=step):
            for name, value in scalars.items():
                tf.summary.scalar(name, value)
        self._writers[split].flush()
