"""Training steps as one graph: gradients, clipping and the optimizer, under any strategy."""

from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

from magenta_vae.contracts import LatentModel
from magenta_vae.training import precision

Gradients = Sequence[tf.Tensor]


class TrainingSteps:
    """The training steps of a model.

    Args:
        model: what is trained, built under the strategy's scope.
        optimizer: a Keras optimizer, made under the strategy's scope; it is built here.
        strategy: where the replicas are.
        batch_size: examples of a step over all replicas.
        seed: of every draw.
        clip_norm: the global norm that gradients are clipped to.
        micro_batch_size: examples that a replica differentiates at a time, where its share of the
            batch does not fit into memory at once; None for all of its share.
        jit_compile: whether XLA compiles the loss and its gradients. Its random operations draw
            other numbers from the same seed.

    Attributes:
        model, optimizer, strategy: as given.
        rows: the rows of the global batch that each replica gets.

    Raises:
        ValueError: where the batch does not divide over the replicas, or their shares into
            micro-batches.
    """

    def __init__(
        self,
        model: LatentModel,
        optimizer: keras.optimizers.Optimizer,
        strategy: tf.distribute.Strategy,
        batch_size: int,
        seed: int,
        clip_norm: float,
        micro_batch_size: int | None = None,
        jit_compile: bool = False,
    ):
        self.model = model
        self.optimizer = optimizer
        self.strategy = strategy
        self.rows = replica_rows(batch_size, strategy.num_replicas_in_sync)
        self._batch_size = batch_size
        self._seed = seed
        self._clip_norm = clip_norm
        self._num_rows = batch_size // len(self.rows)
        self._micro_rows = self._num_rows if micro_batch_size is None else micro_batch_size
        self._num_micro_batches = count_micro_batches(self._num_rows, self._micro_rows)
        self._names: list[str] = []
        self._derive: Callable = self._differentiate
        if jit_compile:
            self._derive = tf.function(self._differentiate, autograph=False, jit_compile=True)
        self._graphs: dict[int, Callable] = {}
        if not optimizer.built:
            with strategy.scope():
                optimizer.build(model.trainable_variables)

    def take(self, chunk) -> dict[str, tf.Tensor]:
        """Takes a chunk's batches through as many steps, and returns the metrics of each.

        Args:
            chunk: int32 [steps, rows, T, K] for each replica.

        Returns:
            float [steps] each: the means over the global batch of what `model.training_terms`
            returns, the learning rate, and the gradient's norm before clipping. An optimizer that
            scales losses adds the `loss_scale`; where the norm is infinite or NaN it has left the
            weights as they were.
        """
        num_steps = self.strategy.experimental_local_results(chunk)[0].shape[2]
        return self.graph(num_steps)(chunk)

    def graph(self, num_steps: int) -> tf.types.experimental.PolymorphicFunction:
        """Returns what takes chunks of one T: windows may grow, and a graph for all has no T."""
        if num_steps not in self._graphs:
            # Nothing in a step is Python that depends on a tensor; rewriting it costs seconds.
            graph = tf.function(self._take, reduce_retracing=True, autograph=False)
            self._graphs[num_steps] = graph
        return self._graphs[num_steps]

    def _take(self, chunk) -> dict[str, tf.Tensor]:
        num_steps = tf.shape(self.strategy.experimental_local_results(chunk)[0])[0]

        def body(index, rows):
            metrics = self.strategy.run(self._take_one, args=(chunk, index))
            return index + 1, rows.write(index, self.strategy.reduce("SUM", metrics, axis=None))

        _, rows = tf.while_loop(
            lambda index, _: index < num_steps, body, (0, tf.TensorArray(tf.float32, num_steps))
        )
        table = rows.stack()
        columns = [*self._names, "learning_rate", "gradient_norm"]
        columns += ["loss_scale"] * precision.scales_losses(self.optimizer)
        return {name: table[:, column] for column, name in enumerate(columns)}

    def _take_one(self, chunk: tf.Tensor, index: tf.Tensor) -> tf.Tensor:
        """Takes a replica's part in a step; returns what it adds to the metrics, a vector."""
        optimizer, variables = self.optimizer, self.model.trainable_variables
        tokens = tf.ensure_shape(chunk[index], [self._num_rows, *chunk.shape[2:]])
        step = tf.cast(optimizer.iterations, tf.int64)
        gradients, metrics = self._accumulate(tokens, step, _replica_id() * self._num_rows)
        scale = tf.convert_to_tensor(optimizer.scale_loss(1.0))
        gradients, norm = _clipped_global_gradients(gradients, self._clip_norm * scale)
        shared = [tf.identity(optimizer.learning_rate), norm / scale]
        optimizer.apply(gradients, variables)
        if precision.scales_losses(optimizer):
            shared.append(scale)
            # It counts no step that it skips; but each step has data and draws of its own.
            optimizer.iterations.assign(step + 1)
        return tf.concat([metrics, tf.stack(shared) / len(self.rows)], axis=0)

    def _accumulate(self, tokens: tf.Tensor, step: tf.Tensor, first_row) -> tuple:
        """Does as `_differentiate` for one micro-batch after another, and keeps one's activations.

        Returns:
            The sums of what they return.
        """
        size = self._micro_rows
        if self._num_micro_batches == 1:
            return self._derive(tokens, step, first_row)
        micro_batches = tf.reshape(tokens, [self._num_micro_batches, size, *tokens.shape[1:]])
        zeros = [tf.zeros(variable.shape) for variable in self.model.trainable_variables]

        def body(index, gradients, rows):
            own, sums = self._derive(micro_batches[index], step, first_row + index * size)
            gradients = [total + each for total, each in zip(gradients, own, strict=True)]
            return index + 1, gradients, rows.write(index, sums)

        _, gradients, rows = tf.while_loop(
            lambda index, *_: index < self._num_micro_batches,
            body,
            (0, zeros, tf.TensorArray(tf.float32, self._num_micro_batches)),
            parallel_iterations=1,
        )
        return gradients, tf.reduce_sum(rows.stack(), axis=0)

    def _differentiate(
        self, tokens: tf.Tensor, step: tf.Tensor, first_row
    ) -> tuple[Gradients, tf.Tensor]:
        """Returns what some rows add to the batch's gradients and, as a vector, to its metrics."""
        with tf.GradientTape() as tape:
            draws = tf.stack([tf.constant(self._seed, tf.int64), step])
            metrics = self.model.training_terms(tokens, step, draws, self._batch_size, first_row)
            loss = tf.reduce_sum(metrics["loss"]) / self._batch_size
            loss = self.optimizer.scale_loss(loss)
        self._names = sorted(metrics)
        # Sums over micro-batches and replicas are means over the batch; scalars are equal in all.
        shares = [self._num_micro_batches * len(self.rows), self._batch_size]
        sums = [
            tf.reduce_sum(value) / shares[value.shape.rank] for _, value in sorted(metrics.items())
        ]
        return tape.gradient(loss, self.model.trainable_variables), tf.stack(sums)


def replica_rows(batch_size: int, num_replicas: int) -> list[slice]:
    """Returns the rows of the global batch that each replica gets."""
    if batch_size % num_replicas:
        raise ValueError(
            f"batch_size must be a multiple of the number of replicas, {num_replicas}. "
            f"Received: batch_size={batch_size}."
        )
    size = batch_size // num_replicas
    return [slice(first, first + size) for first in range(0, batch_size, size)]


def count_micro_batches(num_rows: int, micro_rows: int) -> int:
    """Returns how many micro-batches make a replica's share of the batch.

    Raises:
        ValueError: where they do not divide it.
    """
    if micro_rows < 1 or num_rows % micro_rows:
        raise ValueError(
            "micro_batch_size must divide the examples that each replica has of a batch, "
            f"{num_rows}. Received: micro_batch_size={micro_rows}."
        )
    return num_rows // micro_rows


def _clipped_global_gradients(
    gradients: Gradients, clip_norm: float | tf.Tensor
) -> tuple[Gradients, tf.Tensor]:
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
