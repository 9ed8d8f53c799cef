"""Training steps as one graph: gradients, clipping and the optimizer, under any strategy."""

import tensorflow as tf


def make_train_steps(model, optimizer, strategy, batch_size: int, seed: int, clip_norm: float):
    """Returns a function that takes a chunk's batches through as many training steps.

    It returns the metrics of each step, float [steps]: the means over the global batch of what
    `model.compute_loss` returns, the learning rate, and the gradient's norm before clipping.
    """
    num_replicas = strategy.num_replicas_in_sync

    # Nothing in a step is Python that depends on a tensor; rewriting it all costs seconds.
    @tf.autograph.experimental.do_not_convert
    def replica_step(chunk, index):
        tokens = chunk[index]
        step = tf.cast(optimizer.iterations, tf.int64)
        first_row = _replica_id() * tf.shape(tokens)[0]
        with tf.GradientTape() as tape:
            draws = tf.stack([tf.constant(seed, tf.int64), step])
            metrics = model.compute_loss(tokens, step, draws, batch_size, first_row)
            loss = tf.reduce_sum(metrics["loss"]) / batch_size
        variables = model.trainable_variables
        gradients, norm = _clipped_global_gradients(tape.gradient(loss, variables), clip_norm)
        learning_rate = tf.identity(optimizer.learning_rate)
        optimizer.apply(gradients, variables)
        # Sums over the replicas are means over the batch; scalars are the same on every replica.
        metrics |= {"learning_rate": learning_rate, "gradient_norm": norm}
        return {
            name: tf.reduce_sum(value) / (num_replicas if value.shape.rank == 0 else batch_size)
            for name, value in metrics.items()
        }

    @tf.function(reduce_retracing=True)
    def train_steps(chunk):
        num_steps = tf.shape(strategy.experimental_local_results(chunk)[0])[0]
        names = []
        rows = tf.TensorArray(tf.float32, num_steps)
        for index in tf.range(num_steps):
            metrics = strategy.run(replica_step, args=(chunk, index))
            names[:] = sorted(metrics)
            sums = [strategy.reduce("SUM", metrics[name], axis=None) for name in names]
            rows = rows.write(index, tf.stack(sums))
        table = rows.stack()
        return {name: table[:, column] for column, name in enumerate(names)}

    return train_steps


def _clipped_global_gradients(gradients, clip_norm: float):
    """Returns gradients clipped by the norm of their sum over all replicas, and that norm.

    Keras' optimizer sums the replicas' gradients when it applies them, so each replica returns its
    share of the clipped sum.
    """
    context = tf.distribute.get_replica_context()
    num_replicas = context.num_replicas_in_sync
    if num_replicas > 1:
        gradients = context.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
    gradients, norm = tf.clip_by_global_norm(gradients, clip_norm)
    if num_replicas > 1:
        gradients = [gradient / num_replicas for gradient in gradients]
    return gradients, norm


def _replica_id() -> tf.Tensor:
    return tf.distribute.get_replica_context().replica_id_in_sync_group
