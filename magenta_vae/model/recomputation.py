"""Gradient checkpointing of a stack of LSTM layers: few activations kept, the others recomputed.

Forward, a sequence of T steps keeps the states at the beginning of each of some sqrt(T) blocks of
steps. The gradient runs each block again from there, and keeps the activations of one block at a
time (Chen et al., 2016, "Training Deep Nets with Sublinear Memory Cost"). That costs one more
forward pass.
"""

import math
from collections.abc import Callable, Sequence

import tensorflow as tf

from magenta_vae.model import recurrence
from magenta_vae.model.lstm_steps import StackWeights, State


def unroll(
    weights: StackWeights,
    constant: Sequence[tf.Tensor],
    states: Sequence[State],
    first: tf.Tensor,
    num_steps: int,
    choose: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
) -> tuple[tf.Tensor, tf.Tensor]:
    """Does what `recurrence.unroll` does, in less memory and more time.

    Args:
        weights, constant, states, first, num_steps, choose: see `recurrence.unroll`.

    Returns:
        The hidden states of the last layer, [steps, rows, U], and the tokens that each step read,
        int32 [steps, rows, tracks].
    """
    block_steps = _steps_of_a_block(num_steps)
    num_blocks = num_steps // block_steps
    sources = (weights._replace(offsets=()), constant, states)

    @tf.custom_gradient
    def run(*tensors):
        own, constant, states = tf.nest.pack_sequence_as(sources, tensors)
        own = own._replace(offsets=weights.offsets)
        outputs, tokens, starts = _forward(
            own, constant, states, first, num_blocks, block_steps, choose
        )

        def gradient(upstream, _):
            rows = [-1 if size is None else size for size in upstream.shape[1:]]
            upstream = tf.reshape(upstream, [num_blocks, block_steps, *rows])
            return tf.nest.flatten(_backward(own, constant, starts, tokens, upstream))

        joined = (tf.concat(tf.unstack(each), axis=0) for each in (outputs, tokens))
        return tuple(joined), gradient

    return run(*tf.nest.flatten(sources))


def _steps_of_a_block(num_steps: int) -> int:
    """Returns the largest divisor that is not above the square root."""
    return max(n for n in range(1, math.isqrt(num_steps) + 1) if num_steps % n == 0)


def _forward(weights, constant, states, first, num_blocks, block_steps, choose):
    """Returns outputs, tokens read and states at the start of each block, [blocks, ...] each."""

    def body(block, token, states, outputs, tokens, starts):
        starts = tf.nest.map_structure(lambda array, x: array.write(block, x), starts, states)
        kept, read, states, token = recurrence.forward(
            weights,
            _of_block(constant, block, block_steps),
            states,
            token,
            block_steps,
            lambda t, hidden: choose(block * block_steps + t, hidden),
        )
        outputs = outputs.write(block, kept[-1].hidden[1:])
        return block + 1, token, states, outputs, tokens.write(block, read), starts

    def array(dtype, shape):
        return tf.TensorArray(dtype, num_blocks, element_shape=shape)

    last = states[-1][0]
    loop = (
        0,
        first,
        list(states),
        array(last.dtype, [block_steps, *last.shape]),
        array(tf.int32, [block_steps, *first.shape]),
        tf.nest.map_structure(lambda x: array(x.dtype, x.shape), list(states)),
    )
    *_, outputs, tokens, starts = tf.while_loop(
        lambda block, *_: block < num_blocks, body, loop, parallel_iterations=1
    )
    return outputs.stack(), tokens.stack(), tf.nest.map_structure(lambda x: x.stack(), starts)


def _of_block(constant: Sequence[tf.Tensor], block, block_steps: int) -> list[tf.Tensor]:
    """Returns what is added to the first gates in a block; see `recurrence.unroll`."""
    if constant[0].shape.rank == 2:
        return list(constant)
    begin, size = [block * block_steps, 0, 0], [block_steps, -1, -1]
    return [tf.slice(part, begin, size) for part in constant]


def _backward(weights, constant, starts, tokens, upstream):
    """Returns the gradients of weights, constant and states."""
    num_blocks, block_steps = upstream.shape[:2]
    is_constant = constant[0].shape.rank == 2

    def body(block, d_states, sums, d_constants):
        states = tf.nest.map_structure(lambda x: x[block], starts)
        read = tokens[block]
        kept, *_ = recurrence.forward(
            weights,
            _of_block(constant, block, block_steps),
            states,
            read[0],
            block_steps,
            lambda t, _: read[tf.minimum(t + 1, block_steps - 1)],
        )
        d_weights, d_gates, d_states = recurrence.backward(
            weights, read, kept, upstream[block], d_states
        )
        sums = _add(sums, d_weights)
        if is_constant:
            d_constants = _add(d_constants, recurrence.sums_over_steps(d_gates))
        else:
            d_constants = [
                array.write(block, part) for array, part in zip(d_constants, d_gates, strict=True)
            ]
        return block - 1, d_states, sums, d_constants

    zeros = tf.nest.map_structure(lambda x: tf.zeros_like(x[0]), starts)
    summed = weights._replace(offsets=())
    if is_constant:
        d_constants = _zeros(list(constant))
    else:
        d_constants = [
            tf.TensorArray(part.dtype, num_blocks, element_shape=[block_steps, *part.shape[1:]])
            for part in constant
        ]
    _, d_states, sums, d_constants = tf.while_loop(
        lambda block, *_: block >= 0,
        body,
        (num_blocks - 1, zeros, _zeros(summed), d_constants),
        parallel_iterations=1,
    )
    d_weights = tf.nest.map_structure(lambda x, like: tf.cast(x, like.dtype), sums, summed)
    if is_constant:
        d_constant = [tf.cast(x, like.dtype) for x, like in zip(d_constants, constant, strict=True)]
    else:
        d_constant = [array.concat() for array in d_constants]
    return d_weights, d_constant, d_states


# In float32 whatever the gradients are in: what a small one adds must not be lost.


def _zeros(structure):
    return tf.nest.map_structure(lambda x: tf.zeros_like(x, tf.float32), structure)


def _add(sums, gradients):
    return tf.nest.map_structure(lambda total, x: total + tf.cast(x, tf.float32), sums, gradients)
