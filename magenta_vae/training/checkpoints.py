"""Saving and resuming: the weights, the optimizer with its step, and nothing else."""

import os

import tensorflow as tf

NAME = "step"


class Checkpoints:
    """The checkpoints of one run, under `<run_dir>/checkpoints`.

    Args:
        run_dir: the run's folder.
        model: a Keras model.
        optimizer: a built Keras optimizer; its iterations are the run's step.
        max_to_keep: older checkpoints are removed.
    """

    def __init__(self, run_dir: str, model, optimizer, max_to_keep: int = 3):
        self._optimizer = optimizer
        self._manager = tf.train.CheckpointManager(
            tf.train.Checkpoint(model=model, optimizer=optimizer),
            os.path.join(run_dir, "checkpoints"),
            max_to_keep=max_to_keep,
            checkpoint_name=NAME,
        )

    @property
    def latest(self) -> str | None:
        """The path of the newest checkpoint, None before the first."""
        return self._manager.latest_checkpoint

    def resume(self) -> int:
        """Restores the newest checkpoint, if there is one, and returns the run's step."""
        if self.latest:
            status = self._manager.checkpoint.restore(self.latest)
            status.assert_existing_objects_matched()
        return self._step()

    def save(self) -> str:
        """Writes a checkpoint of the current step and returns its path."""
        return self._manager.save(checkpoint_number=self._step())

    def _step(self) -> int:
        # By way of a tensor: the variable may be one of several mirrored ones.
        return int(tf.convert_to_tensor(self._optimizer.iterations))


def load_weights(run_dir: str, model) -> int:
    """Restores a model from a run's newest checkpoint and returns its step.

    Raises:
        FileNotFoundError: where the run has no checkpoint.
        ValueError: where the checkpoint is another model's.
    """
    path = tf.train.latest_checkpoint(os.path.join(run_dir, "checkpoints"))
    if path is None:
        raise FileNotFoundError(
            f"--run_dir={run_dir} holds no checkpoint: train it first with scripts/train."
        )
    try:
        status = tf.train.Checkpoint(model=model).restore(path)
        status.assert_existing_objects_matched()
    except (AssertionError, ValueError) as error:
        raise ValueError(f"{path} does not fit the model of its config.gin: {error}") from error
    status.expect_partial()
    return int(path.rsplit("-", 1)[1])
