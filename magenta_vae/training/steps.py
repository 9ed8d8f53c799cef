"""Training steps as one graph: gradients, clipping and the optimizer, under any strategy."""

import tensorflow as tf

from magenta_vae.training import precision


def make_train_steps(
    model,
    optimizer,
    strategy,
    batch_size: int,
    seed: int,
    clip_norm: float,
    micro_batch_size: int | None = None,
    jit_compile: bool = False,
):
    """Returns a function that takes a chunk's batches through as many training steps.

    It returns the metrics of each step, float [steps]: the means over the global batch of what
    `model.training_terms` returns, the learning rate, and the gradient's norm before clipping. An
    optimizer that scales losses adds the `loss_scale`; where the norm is infinite or NaN it has
    left the weights as they were.

    Args:
        model: has `training_terms`.
        optimizer: a built Keras optimizer.
        strategy: where the replicas are.
        batch_size: examples of a step over all replicas.
        seed: of every draw.
        clip_norm: the global norm that gradients are clipped to.
        micro_batch_size: examples that a replica differentiates at a time, where its share of the
            batch does not fit into memory at once; None for all of its share.
        jit_compile: whether XLA compiles the loss and its gradients. Its random operations draw
            other numbers from the same seed.

    Raises:
        ValueError: where the replica's share is not a multiple of the micro-batch.
    """
    num_replicas = strategy.num_replicas_in_sync
    num_rows = batch_size // num_replicas
    micro_rows = num_rows if micro_batch_size is None else micro_batch_size
    num_micro_batches = _count_micro_batches(num_rows, micro_rows)
    names = []

    def differentiate(tokens, step, first_row):
        """Returns what some rows add to the batch's gradients and, as a vector, to its metrics."""
        with tf.GradientTape() as tape:
            draws = tf.stack([tf.constant(seed, tf.int64), step])
            metrics = model.training_terms(tokens, step, draws, batch_size, first_row)
            loss = optimizer.scale_loss(tf.reduce_sum(metrics["loss"]) / batch_size)
        names[:] = sorted(metrics)
        # Sums over micro-batches and replicas are means over the batch; scalars are equal in all.
        shares = [num_micro_batches * num_replicas, batch_size]
        sums = [
            tf.reduce_sum(value) / shares[value.shape.rank] for _, value in sorted(metrics.items())
        ]
        return tape.gradient(loss, model.trainable_variables), tf.stack(sums)

    if jit_compile:
        differentiate = tf.function(differentiate, autograph=False, jit_compile=True)

    def accumulate(tokens, step, first_row):
        """Does the same for one micro-batch after another, whose activations alone it keeps."""
        if num_micro_batches == 1:
            return differentiate(tokens, step, first_row)
        micro_batches = tf.reshape(tokens, [num_micro_batches, micro_rows, *tokens.shape[1:]])
        zeros = [tf.zeros(variable.shape) for variable in model.trainable_variables]

        def body(index, gradients, rows):
            own, sums = differentiate(micro_batches[index], step, first_row + index * micro_rows)
            gradients = [total + each for total, each in zip(gradients, own, strict=True)]
            return index + 1, gradients, rows.write(index, sums)

        _, gradients, rows = tf.while_loop(
            lambda index, *_: index < num_micro_batches,
            body,
            (0, zeros, tf.TensorArray(tf.float32, num_micro_batches)),
            parallel_iterations=1,
        )
        return gradients, tf.reduce_sum(rows.stack(), axis=0)

    def replica_step(chunk, index):
        tokens = tf.ensure_shape(chunk[index], [num_rows, *chunk.shape[2:]])
        step = tf.cast(optimizer.iterations, tf.int64)
        gradients, metrics = accumulate(tokens, step, _replica_id() * num_rows)
        scale = tf.convert_to_tensor(optimizer.scale_loss(1.0))
        gradients, norm = _clipped_global_gradients(gradients, clip_norm * scale)
        shared = [tf.identity(optimizer.learning_rate), norm / scale]
        optimizer.apply(gradients, model.trainable_variables)
        if precision.scales_losses(optimizer):
            shared.append(scale)
            # It counts no step that it skips; but each step has data and draws of its own.
            optimizer.iterations.assign(step + 1)
        return tf.concat([metrics, tf.stack(shared) / num_replicas], axis=0)

    # Nothing in a step is Python that depends on a tensor; rewriting it all costs seconds.
    @tf.function(reduce_retracing=True, autograph=False)
    def train_steps(chunk):
        num_steps = tf.shape(strategy.experimental_local_results(chunk)[0])[0]

        def body(index, rows):
            metrics = strategy.run(replica_step, args=(chunk, index))
            return index + 1, rows.write(index, strategy.reduce("SUM", metrics, axis=None))

        _, rows = tf.while_loop(
            lambda index, _: index < num_steps, body, (0, tf.TensorArray(tf.float32, num_steps))
        )
        table = rows.stack()
        columns = [*names, "learning_rate", "gradient_norm"]
        columns += ["loss_scale"] * precision.scales_losses(optimizer)
        return {name: table[:, column] for column, name in enumerate(columns)}

    return train_steps


def _count_micro_batches(num_rows: int, micro_rows: int) -> int:
    """Returns how many micro-batches make a replica's share of the batch."""
    if micro_rows < 1 or num_rows % micro_rows:
        raise ValueError(
            "micro_batch_size must divide the examples that each replica has of a batch, "
            f"{num_rows}. Received: micro_batch_size={micro_rows}."
        )
    return num_rows // micro_rows


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
