"""A model of three weights, its batches, and runs of it: what the loop is tested with."""

import keras
import numpy as np
import tensorflow as tf

from magenta_vae.training import loop
from magenta_vae.training.held_out import HeldOut
from magenta_vae.training.steps import TrainingSteps


class Pull(keras.Model):
    """One weight per column, pulled to the mean of the tokens; breaks at a step if told to."""

    track_names = ("melody",)

    def __init__(self, breaks_at: int = -1):
        super().__init__()
        self.weight = self.add_weight(shape=(3,), initializer="zeros", name="weight")
        self.built = True
        self._breaks_at = breaks_at

    def training_terms(self, tokens, step, seed, num_rows=None, first_row=0):
        error = tf.cast(tokens[:, :, 0], tf.float32) - self.weight
        noise = tf.random.stateless_normal([num_rows, 3], seed)[first_row:][: tf.shape(tokens)[0]]
        loss = tf.reduce_sum((error + 0.1 * noise) ** 2, axis=1)
        loss = tf.where(step == self._breaks_at, np.nan, loss)
        return {"loss": loss, "kl": loss, "beta": tf.constant(0.5)}


def batches(chunks, rows, batch_size=8):
    """A batch is a function of its step alone."""

    def generate():
        for start, count in chunks:
            for part in rows:
                steps = np.arange(start, start + count)[:, None, None, None]
                values = (steps + np.arange(batch_size)[None, :, None, None]) % 5
                yield np.broadcast_to(values, [count, batch_size, 3, 1])[:, part].astype(np.int32)

    return tf.data.Dataset.from_generator(
        generate, output_signature=tf.TensorSpec([None, None, 3, 1], tf.int32)
    )


def run(
    run_dir,
    max_steps,
    model=None,
    evaluate=lambda step: {"loss": 1.0},
    show=lambda: None,
    clip_norm=1.0,
    **options,
):
    """Trains the toy model; returns it with what was reported and evaluated."""
    model = model or Pull()
    lines, evaluated = [], []
    optimizer, strategy = keras.optimizers.Adam(0.1), tf.distribute.get_strategy()
    settings = {"steps_per_call": 3, "eval_every": 4, "checkpoint_every": 2}
    loop.train(
        TrainingSteps(model, optimizer, strategy, batch_size=8, seed=0, clip_norm=clip_norm),
        batches,
        HeldOut(lambda step: evaluated.append(step) or evaluate(step), show),
        str(run_dir),
        max_steps,
        **{"report": lines.append} | settings | options,
    )
    return model, lines, evaluated
