"""A stack of LSTM layers over all steps of a sequence, with a gradient of its own.

All layers run in one loop over steps. The next token may then be chosen on the way, and what the
gradient needs is kept: scheduled sampling takes one pass. The gradient of each weight is one
product over all steps.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf

from magenta_vae.model import lstm_steps
from magenta_vae.model.lstm_steps import StackSteps, StackWeights, State


def unroll(
    weights: StackWeights,
    constant: tf.Tensor,
    states: Sequence[State],
    first: tf.Tensor,
    num_steps: int,
    choose: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
) -> tuple[tf.Tensor, tf.Tensor]:
    """Runs a stack over all steps, with the gradient of all but the choice of tokens.

    Args:
        weights: of the stack.
        constant: what the context adds to the first gates, [4U, rows]; or what the input adds at
            each step, [steps, 4U, rows].
        states: of each layer at the start.
        first: int32 [rows, tracks], the tokens that the first step reads.
        num_steps: how many steps.
        choose: (step, hidden state of the last layer [rows, U]) -> int32 [rows, tracks], what the
            next step reads. It reads no variable.

    Returns:
        The hidden states of the last layer, [steps, rows, U], and the tokens that each step read,
        int32 [steps, rows, tracks].
    """

    @tf.custom_gradient
    def run(*tensors):
        own, constant, states = restore_arguments(tensors, weights)
        kept, tokens, _, _ = forward(own, constant, states, first, num_steps, choose)

        def gradient(upstream, _):
            zeros = [tuple(map(tf.zeros_like, state)) for state in states]
            d_weights, d_gates, d_states = backward(own, states, tokens, kept, upstream, zeros)
            if constant.shape.rank == 2:
                d_constant = constant_gradient(d_gates)
            else:
                d_constant = tf.transpose(d_gates, [0, 2, 1])
            return flatten_gradients(d_weights, d_constant, d_states)

        return (kept[-1].outputs, tokens), gradient

    return run(*flatten_arguments(weights, constant, states))


# The following take what `unroll` does, give its values, and keep nothing for a gradient.


def read_tokens(*arguments) -> tf.Tensor:
    """Returns the tokens that each step reads, int32 [steps, rows, tracks]."""
    return _scan(lambda tokens, states: [tokens], *arguments)[1][0]


def outputs(*arguments) -> tf.Tensor:
    """Returns the hidden states of the last layer, [steps, rows, U]."""
    return _scan(lambda tokens, states: [tf.transpose(states[-1][0])], *arguments)[1][0]


def final_output(*arguments) -> tf.Tensor:
    """Returns the hidden state of the last layer after the last step, [rows, U]."""
    states, _ = _scan(lambda tokens, states: [], *arguments)
    return tf.transpose(states[-1][0])


def _scan(collect, weights, constant, states, first, num_steps, choose):
    """Takes the steps of `unroll`.

    Args:
        collect: (tokens that a step read, states after it) -> what is wanted of every step.
        weights, constant, states, first, num_steps, choose: see `unroll`.

    Returns:
        The last states, and what was collected, [steps, ...] each.
    """
    take_step = StackSteps(weights)
    arrays = [
        tf.TensorArray(each.dtype, num_steps, element_shape=each.shape)
        for each in collect(first, states)
    ]

    def body(t, tokens, states, arrays):
        states, _ = take_step(_at(constant, t), tokens, states)
        collected = zip(arrays, collect(tokens, states), strict=True)
        arrays = [array.write(t, each) for array, each in collected]
        chosen = tf.ensure_shape(choose(t, tf.transpose(states[-1][0])), tokens.shape)
        return t + 1, chosen, states, arrays

    loop = (0, first, list(states), arrays)
    *_, states, arrays = tf.while_loop(
        lambda t, *_: t < num_steps, body, loop, parallel_iterations=1
    )
    return states, [array.stack() for array in arrays]


def _at(constant: tf.Tensor, step) -> tf.Tensor:
    """Returns what is added to the first gates at a step, [4U, rows]; see `unroll`."""
    return constant if constant.shape.rank == 2 else constant[step]


def count_steps(sequence: tf.Tensor) -> int | tf.Tensor:
    """Returns the steps of [steps, ...]: a number where it is known, as XLA needs it."""
    return tf.shape(sequence)[0] if sequence.shape[0] is None else sequence.shape[0]


def flatten_arguments(weights: StackWeights, constant, states: Sequence[State]) -> list[tf.Tensor]:
    """Returns all that a stack's outputs have a gradient for, as a function with one takes it."""
    hiddens, cells = zip(*states, strict=True)
    return [weights.table, constant, *weights.kernels, *weights.biases, *hiddens, *cells]


def restore_arguments(tensors: Sequence[tf.Tensor], weights: StackWeights):
    """Returns the weights, constant and states that were flattened, of a stack like another."""
    num_layers = len(weights.kernels)
    sizes = [1, 1, num_layers, num_layers - 1, num_layers, num_layers]
    (table,), (constant,), kernels, biases, hiddens, cells = _group(tensors, sizes)
    own = StackWeights(table, kernels, biases, weights.offsets)
    return own, constant, list(zip(hiddens, cells, strict=True))


def flatten_gradients(d_weights, d_constant, d_states: Sequence[State]) -> list[tf.Tensor]:
    """Returns gradients in the order of `flatten_arguments`."""
    d_table, *others = d_weights
    d_hiddens, d_cells = zip(*d_states, strict=True)
    return [d_table, d_constant, *others, *d_hiddens, *d_cells]


def constant_gradient(d_gates: tf.Tensor) -> tf.Tensor:
    """Returns the gradient of what is the same at every step: [steps, rows, 4U] -> [4U, rows]."""
    return tf.transpose(_sum(d_gates, axis=0))


class Kept(NamedTuple):
    """What the gradient needs of a layer: arrays over steps."""

    gates: tuple[tf.TensorArray, ...]  # [2U, rows], [U, rows], [U, rows]; see `lstm_steps._cell`
    cells: tf.TensorArray  # [U, rows], each step's before it
    outputs: tf.TensorArray | tf.Tensor  # hidden states [rows, U]; after the loop one tensor


def forward(weights, constant, states, first, num_steps, choose):
    """Takes the steps of `unroll`.

    Returns:
        What is `Kept` of each layer, the tokens read, int32 [steps, rows, tracks], and after the
        last step the states and the token that the next would read.
    """
    take_step = StackSteps(weights)
    num_rows = constant.shape[-1]  # Where it is known the arrays say it: LiteRT needs that.

    def array(size, *shape):
        return tf.TensorArray(constant.dtype, size, element_shape=shape, clear_after_read=False)

    def arrays(num_units):
        return Kept(
            tuple(array(num_steps, gates * num_units, num_rows) for gates in (2, 1, 1)),
            array(num_steps, num_units, num_rows),
            array(num_steps, num_rows, num_units),
        )

    kept = [arrays(kernel.shape[1] // 4) for kernel in weights.kernels]
    read = tf.TensorArray(tf.int32, num_steps, element_shape=first.shape)

    def body(t, tokens, states, kept, read):
        cells = [cell for _, cell in states]
        states, activated = take_step(_at(constant, t), tokens, states)
        outputs = [tf.transpose(hidden) for hidden, _ in states]
        kept = [
            Kept(
                tuple(array.write(t, gate) for array, gate in zip(layer.gates, gates, strict=True)),
                layer.cells.write(t, cell),
                layer.outputs.write(t, output),
            )
            for layer, gates, cell, output in zip(kept, activated, cells, outputs, strict=True)
        ]
        chosen = tf.ensure_shape(choose(t, outputs[-1]), tokens.shape)
        return t + 1, chosen, states, kept, read.write(t, tokens)

    loop = (0, first, states, kept, read)
    _, token, states, kept, read = tf.while_loop(
        lambda t, *_: t < num_steps, body, loop, parallel_iterations=1
    )
    kept = [layer._replace(outputs=layer.outputs.stack()) for layer in kept]
    return kept, read.stack(), states, token


def backward(weights, states, tokens, kept, upstream, d_states):
    """Takes the steps of `forward` back.

    Args:
        weights, states: that `forward` was given.
        tokens, kept: that it returned.
        upstream: the gradient of the last layer's outputs, [steps, rows, U].
        d_states: the gradients of the states after the last step.

    Returns:
        The gradients of table, kernels and biases in one list, of the first layer's gates
        [steps, rows, 4U], and of the states.
    """
    num_layers, num_steps = len(kept), count_steps(upstream)
    outputs = [layer.outputs for layer in kept]

    def body(t, states, arrays):
        d_output = tf.transpose(upstream[t])
        d_states, next_arrays = list(states), list(arrays)
        for index in reversed(range(num_layers)):
            layer, (d_hidden, d_cell) = kept[index], states[index]
            gates = [array.read(t) for array in layer.gates]
            d_gates, d_cell = _cell_gradient(
                d_hidden + d_output, d_cell, gates, layer.cells.read(t)
            )
            d_hidden = tf.matmul(weights.kernels[index], d_gates)
            if index:
                num_below = outputs[index - 1].shape[-1]
                d_output, d_hidden = d_hidden[:num_below], d_hidden[num_below:]
            d_states[index] = (d_hidden, d_cell)
            next_arrays[index] = arrays[index].write(t, tf.transpose(d_gates))
        return t - 1, d_states, next_arrays

    arrays = [
        tf.TensorArray(upstream.dtype, num_steps, element_shape=[None, kernel.shape[1]])
        for kernel in weights.kernels
    ]
    _, d_states, arrays = tf.while_loop(
        lambda t, *_: t >= 0, body, (num_steps - 1, d_states, arrays), parallel_iterations=1
    )
    d_gates = [array.stack() for array in arrays]  # [steps, rows, 4U]
    d_kernels = [
        _kernel_gradient(outputs[index - 1] if index else None, states[index][0], *layer)
        for index, layer in enumerate(zip(outputs, d_gates, strict=True))
    ]
    d_weights = [
        _table_gradient(weights, tokens, d_gates[0]),
        *d_kernels,
        *(_sum(_flat(layer), axis=0)[:, None] for layer in d_gates[1:]),
    ]
    return d_weights, d_gates[0], d_states


def _kernel_gradient(inputs, initial, outputs, d_gates):
    """Returns the gradient of a layer's (joined) kernel.

    Args:
        inputs: from the layer below [steps, rows, U], None for the first layer.
        initial: the layer's hidden state at the start, [U, rows].
        outputs: its hidden states, [steps, rows, U].
        d_gates: [steps, rows, 4U].
    """
    previous = tf.concat([tf.transpose(initial)[None], outputs[:-1]], axis=0)
    sources = [previous] if inputs is None else [inputs, previous]
    flat = _flat(d_gates)
    return tf.concat([tf.matmul(_flat(one), flat, transpose_a=True) for one in sources], axis=0)


def _table_gradient(weights, tokens, d_gates):
    """Returns the gradient of the table: at each row, the sum over the steps that looked it up."""
    num_rows = weights.table.shape[0]
    flat = _flat(d_gates)
    gradient = tf.zeros_like(weights.table)
    for track, offset in enumerate(weights.offsets):
        ids = tf.reshape(tokens[..., track] + offset, [-1])
        gradient += _sum_rows(flat, ids, num_rows)
    return gradient


def _sum_rows(values, ids, num_rows):
    """Returns, for each id below `num_rows`, the sum of its rows of [N, D]: [num_rows, D]."""
    if lstm_steps.has_gpu():
        # There a sum by ids adds in any order; a product with the one-hot ids is deterministic.
        one_hot = tf.one_hot(ids, num_rows, dtype=values.dtype)
        return tf.matmul(one_hot, values, transpose_a=True)
    sums = tf.math.unsorted_segment_sum(tf.cast(values, tf.float32), ids, num_rows)
    return tf.cast(sums, values.dtype)


def _sum(values, axis):
    """Returns a sum taken in float32: in 16 bits one over many steps would lose the small terms."""
    return tf.cast(tf.reduce_sum(tf.cast(values, tf.float32), axis), values.dtype)


def _cell_gradient(d_hidden, d_cell, activated, previous_cell):
    """Returns the gradients of the gates before activation [4U, rows] and of the previous cell."""
    both, candidate, output = activated
    inputs, forget = tf.split(both, 2, axis=0)
    tanh_cell = tf.tanh(forget * previous_cell + inputs * candidate)
    d_cell += d_hidden * output * (1 - tanh_cell * tanh_cell)
    d_gates = tf.concat(
        [
            d_cell * candidate * inputs * (1 - inputs),
            d_cell * previous_cell * forget * (1 - forget),
            d_cell * inputs * (1 - candidate * candidate),
            d_hidden * tanh_cell * output * (1 - output),
        ],
        axis=0,
    )
    return d_gates, d_cell * forget


def _flat(sequence: tf.Tensor) -> tf.Tensor:
    """[steps, rows, D] -> [steps * rows, D]."""
    return tf.reshape(sequence, [-1, sequence.shape[-1]])


def _group(values: Sequence, sizes: Sequence[int]) -> list[list]:
    """Returns the values in groups of the given sizes."""
    remaining = iter(values)
    return [[next(remaining) for _ in range(size)] for size in sizes]
