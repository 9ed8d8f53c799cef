"""Saving and resuming: weights, optimizer and step; the best weights apart, with their loss."""

import os
from collections.abc import Callable

import tensorflow as tf

from magenta_vae import file_errors, files
from magenta_vae.contracts import LatentModel
from magenta_vae.training import checkpoint_files, tracked

LOSS_KEY = "loss/.ATTRIBUTES/VARIABLE_VALUE"


class Checkpoints:
    """The newest checkpoints of a run, from which it goes on: `<run_dir>/checkpoints`.

    Args:
        run_dir: the run's folder.
        model: a Keras model.
        optimizer: a built Keras optimizer; its iterations are the run's step.
        is_writer: whether this process saves; of several machines only one does. No variable here
            is summed over the replicas when it is read, so the others need not take part.
        max_to_keep: older checkpoints are removed.
    """

    def __init__(
        self,
        run_dir: str,
        model: LatentModel,
        optimizer,
        is_writer: bool = True,
        max_to_keep: int = 3,
    ):
        self._folder = checkpoint_files.folder_of(run_dir)
        self._checkpoint = tf.train.Checkpoint(
            **tracked.checkpointed_objects(model), optimizer=optimizer
        )
        self._optimizer = optimizer
        self._is_writer = is_writer
        self._max_to_keep = max_to_keep
        self._saved: int | None = None

    @property
    def latest(self) -> str | None:
        """The path of the checkpoint that was saved or resumed last, None before the first."""
        if self._saved is None:
            return None
        return checkpoint_files.path_of(self._folder, self._saved)

    def resume(self, report: Callable[[str], None] = lambda line: None) -> int:
        """Restores the newest checkpoint that can be read, and returns the run's step.

        Args:
            report: is told of damaged ones.

        Raises:
            DamagedCheckpoint: where there are checkpoints and none can be read.
        """
        self._saved = checkpoint_files.newest_readable(self._folder, report)
        if self.latest:
            self._checkpoint.read(self.latest).assert_existing_objects_matched()
        return self._step()

    def save(self) -> None:
        """Writes a checkpoint of the current step, unless it is saved already.

        Raises:
            OSError: where it cannot be written; those that were there are left as they are.
        """
        step = self._step()
        if step == self._saved:
            return
        if self._is_writer:
            _write(self._checkpoint, self._folder, step, self._max_to_keep)
        self._saved = step

    def _step(self) -> int:
        # By way of a tensor: the variable may be one of several mirrored ones.
        return int(tf.convert_to_tensor(self._optimizer.iterations))


class BestCheckpoint:
    """The weights of the lowest held-out loss so far: `<run_dir>/checkpoints/best`.

    The loss lies in the checkpoint itself: whatever moment a run is killed at, the two belong
    together.

    Args:
        run_dir: the run's folder.
        model: a Keras model.
        report: is told of a damaged one, which then counts for nothing.
    """

    def __init__(
        self, run_dir: str, model: LatentModel, report: Callable[[str], None] = lambda line: None
    ):
        self._folder = checkpoint_files.folder_of(run_dir, checkpoint_files.BEST)
        self._loss = tf.Variable(float("inf"), dtype=tf.float64, trainable=False)
        self._checkpoint = tf.train.Checkpoint(
            **tracked.checkpointed_objects(model), loss=self._loss
        )
        try:
            step = checkpoint_files.newest_readable(self._folder, report)
        except checkpoint_files.DamagedCheckpoint:
            step = None  # Reported; the newest checkpoints are what a run needs.
        if step is not None:
            path = checkpoint_files.path_of(self._folder, step)
            self._loss.assign(tf.train.load_checkpoint(path).get_tensor(LOSS_KEY))

    def offer(self, step: int, loss: float) -> None:
        """Saves the current weights where their loss is the lowest so far.

        Raises:
            OSError: where they cannot be written.
        """
        if loss < float(self._loss):
            self._loss.assign(loss)
            _write(self._checkpoint, self._folder, step, max_to_keep=1)


def _write(checkpoint: tf.train.Checkpoint, folder: str, step: int, max_to_keep: int) -> None:
    """Writes a checkpoint and leaves it the newest of its folder, older ones removed."""
    path = checkpoint_files.path_of(folder, step)
    checkpoint_files.remove_unfinished(folder)
    try:
        with file_errors.writing(path):
            checkpoint.write(path)
    except OSError:
        checkpoint_files.remove_unfinished(folder)
        checkpoint_files.remove(folder, step)
        raise
    # Those beyond this step could not be read: else the run would not stand here.
    kept = [other for other in checkpoint_files.list_steps(folder) if other <= step][-max_to_keep:]
    names = [f'all_model_checkpoint_paths: "step-{other}"' for other in kept]
    # For TensorFlow's own `latest_checkpoint`; nothing here reads it.
    state = "\n".join([f'model_checkpoint_path: "step-{step}"', *names, ""])
    files.write_text(os.path.join(folder, "checkpoint"), state)
    for other in checkpoint_files.list_steps(folder):
        if other not in kept:
            checkpoint_files.remove(folder, other)
