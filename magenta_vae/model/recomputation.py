"""A stack of LSTM layers over all steps that keeps few activations and computes the others again.

Forward, a sequence of T steps keeps the states at the beginning of each of some sqrt(T) parts. The
gradient runs each part again from there, and keeps the activations of one part at a time (Chen et
al., 2016, "Training Deep Nets with Sublinear Memory Cost"). It costs one more forward pass.
"""

import math
from collections.abc import Callable, Sequence

import tensorflow as tf

from magenta_vae.model import recurrence
from magenta_vae.model.lstm_steps import StackWeights, State


def unroll(
    weights: StackWeights,
    constant: tf.Tensor,
    states: Sequence[State],
    first: tf.Tensor,
    num_steps: int,
    choose: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
) -> tuple[tf.Tensor, tf.Tensor]:
    """Does what `recurrence.unroll` does, for a constant [4U, rows], in less memory and more time.

    Args:
        weights, constant, states, first, num_steps, choose: see `recurrence.unroll`.

    Returns:
        The hidden states of the last layer, [steps, rows, U], and the tokens that each step read,
        int32 [steps, rows, tracks].
    """
    part_steps = _steps_of_a_part(num_steps)
    num_parts = num_steps // part_steps

    @tf.custom_gradient
    def run(*tensors):
        own, constant, states = recurrence.restore_arguments(tensors, weights)
        outputs, tokens, starts = _forward(
            own, constant, states, first, num_parts, part_steps, choose
        )

        def gradient(upstream, _):
            upstream = tf.reshape(upstream, [num_parts, part_steps, *upstream.shape[1:]])
            return _backward(own, constant, starts, tokens, upstream)

        joined = (tf.concat(tf.unstack(each), axis=0) for each in (outputs, tokens))
        return tuple(joined), gradient

    return run(*recurrence.flatten_arguments(weights, constant, states))


def _steps_of_a_part(num_steps: int) -> int:
    """Returns the largest divisor that is not above the square root."""
    return max(n for n in range(1, math.isqrt(num_steps) + 1) if num_steps % n == 0)


def _forward(weights, constant, states, first, num_parts, part_steps, choose):
    """Returns outputs, tokens read and states at the start of each part, [parts, ...] each."""

    def body(part, token, states, outputs, tokens, starts):
        starts = tf.nest.map_structure(lambda array, x: array.write(part, x), starts, states)
        kept, read, states, token = recurrence.forward(
            weights,
            constant,
            states,
            token,
            part_steps,
            lambda t, hidden: choose(part * part_steps + t, hidden),
        )
        outputs = outputs.write(part, kept[-1].outputs)
        return part + 1, token, states, outputs, tokens.write(part, read), starts

    def array(dtype, shape):
        return tf.TensorArray(dtype, num_parts, element_shape=shape)

    rows, units = constant.shape[-1], states[-1][0].shape[0]
    loop = (
        0,
        first,
        list(states),
        array(constant.dtype, [part_steps, rows, units]),
        array(tf.int32, [part_steps, *first.shape]),
        tf.nest.map_structure(lambda x: array(x.dtype, x.shape), list(states)),
    )
    *_, outputs, tokens, starts = tf.while_loop(
        lambda part, *_: part < num_parts, body, loop, parallel_iterations=1
    )
    return outputs.stack(), tokens.stack(), tf.nest.map_structure(lambda x: x.stack(), starts)


def _backward(weights, constant, starts, tokens, upstream):
    """Returns the gradients of `recurrence.flatten_arguments`."""
    num_parts, part_steps = upstream.shape[:2]
    last = part_steps - 1

    def body(part, d_states, sums):
        states = tf.nest.map_structure(lambda x: x[part], starts)
        read = tokens[part]
        kept, *_ = recurrence.forward(
            weights,
            constant,
            states,
            read[0],
            part_steps,
            lambda t, _: read[tf.minimum(t + 1, last)],
        )
        d_weights, d_gates, d_states = recurrence.backward(
            weights, states, read, kept, upstream[part], d_states
        )
        parts = [recurrence.constant_gradient(d_gates), *d_weights]
        # In float32 whatever the parts are in: what a small one adds must not be lost.
        sums = [total + tf.cast(each, tf.float32) for total, each in zip(sums, parts, strict=True)]
        return part - 1, d_states, sums

    zeros = tf.nest.map_structure(lambda x: tf.zeros_like(x[0]), starts)
    summed = [constant, weights.table, *weights.kernels, *weights.biases]
    sums = [tf.zeros_like(each, tf.float32) for each in summed]
    _, d_states, sums = tf.while_loop(
        lambda part, *_: part >= 0, body, (num_parts - 1, zeros, sums), parallel_iterations=1
    )
    d_constant, *d_weights = (tf.cast(each, constant.dtype) for each in sums)
    return recurrence.flatten_gradients(d_weights, d_constant, d_states)
