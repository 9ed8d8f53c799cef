"""A stack of LSTM layers over all steps of a sequence, with a gradient of its own.

All layers run in one loop over steps. The next token may then be chosen on the way, and what the
gradient needs is kept: scheduled sampling takes one pass. The gradient of each weight is one
product over all steps.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf

from magenta_vae.model.lstm import StackSteps, StackWeights, State


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
        constant: the context's part of the first gates, [4U, rows]; or the input's part at each
            step, [steps, 4U, rows].
        states: of each layer at the start.
        first: int32 [rows, tracks], the tokens that the first step reads.
        num_steps: how many steps.
        choose: (step, hidden state of the last layer [rows, U]) -> int32 [rows, tracks], what the
            next step reads. It reads no variable.

    Returns:
        The hidden states of the last layer, [steps, rows, U], and the tokens that each step read,
        int32 [steps, rows, tracks].
    """
    num_layers = len(weights.kernels)
    sizes = [1, 1, num_layers, num_layers - 1, num_layers, num_layers]
    hiddens, cells = zip(*states, strict=True)

    @tf.custom_gradient
    def run(*tensors):
        (table,), (constant,), kernels, biases, hiddens, cells = _group(tensors, sizes)
        own = StackWeights(table, kernels, biases, weights.offsets)
        states = list(zip(hiddens, cells, strict=True))
        kept, tokens = _forward(own, constant, states, first, num_steps, choose)
        outputs = [layer.outputs.stack() for layer in kept]

        def gradient(upstream, _):
            d_table, d_gates, *others = _backward(
                own, states, tokens, kept, outputs, num_steps, upstream
            )
            if constant.shape.rank == 2:
                d_constant = tf.transpose(tf.reduce_sum(d_gates, axis=0))
            else:
                d_constant = tf.transpose(d_gates, [0, 2, 1])
            return [d_table, d_constant, *others]

        return (outputs[-1], tokens), gradient

    return run(weights.table, constant, *weights.kernels, *weights.biases, *hiddens, *cells)


class _Kept(NamedTuple):
    """What the gradient needs of a layer: arrays over steps."""

    gates: tuple[tf.TensorArray, ...]  # [2U, rows], [U, rows], [U, rows]; see `_cell`
    cells: tf.TensorArray  # [U, rows], each step's before it
    outputs: tf.TensorArray  # hidden states [rows, U]


def _forward(weights, constant, states, first, num_steps, choose):
    """Returns what is kept of each layer, and the tokens read [steps, rows, tracks]."""
    take_step = StackSteps(weights)
    num_rows = constant.shape[-1]  # Where it is known the arrays say it: LiteRT needs that.

    def array(size, *shape):
        return tf.TensorArray(constant.dtype, size, element_shape=shape, clear_after_read=False)

    def arrays(num_units):
        return _Kept(
            tuple(array(num_steps, parts * num_units, num_rows) for parts in (2, 1, 1)),
            array(num_steps, num_units, num_rows),
            array(num_steps, num_rows, num_units),
        )

    kept = [arrays(kernel.shape[1] // 4) for kernel in weights.kernels]
    read = tf.TensorArray(tf.int32, num_steps, element_shape=first.shape)

    def body(t, tokens, states, kept, read):
        cells = [cell for _, cell in states]
        own_constant = constant if constant.shape.rank == 2 else constant[t]
        states, activated = take_step(own_constant, tokens, states)
        outputs = [tf.transpose(hidden) for hidden, _ in states]
        kept = [
            _Kept(
                tuple(array.write(t, part) for array, part in zip(layer.gates, parts, strict=True)),
                layer.cells.write(t, cell),
                layer.outputs.write(t, output),
            )
            for layer, parts, cell, output in zip(kept, activated, cells, outputs, strict=True)
        ]
        chosen = tf.ensure_shape(choose(t, outputs[-1]), tokens.shape)
        return t + 1, chosen, states, kept, read.write(t, tokens)

    loop = (0, first, states, kept, read)
    *_, kept, read = tf.while_loop(lambda t, *_: t < num_steps, body, loop, parallel_iterations=1)
    return kept, read.stack()


def _backward(weights, states, tokens, kept, outputs, num_steps, upstream):
    """Returns the gradients of table, first gates [steps, rows, 4U], kernels, biases, states."""
    num_layers = len(kept)

    def body(t, states, arrays):
        d_output = tf.transpose(upstream[t])
        d_states, next_arrays = [None] * num_layers, [None] * num_layers
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

    zeros = [tuple(tf.zeros_like(part) for part in state) for state in states]
    arrays = [
        tf.TensorArray(upstream.dtype, num_steps, element_shape=[None, kernel.shape[1]])
        for kernel in weights.kernels
    ]
    _, d_states, arrays = tf.while_loop(
        lambda t, *_: t >= 0, body, (num_steps - 1, zeros, arrays), parallel_iterations=1
    )
    d_gates = [array.stack() for array in arrays]  # [steps, rows, 4U]
    d_kernels = [
        _kernel_gradient(outputs[index - 1] if index else None, states[index][0], *layer)
        for index, layer in enumerate(zip(outputs, d_gates, strict=True))
    ]
    d_hiddens, d_cells = zip(*d_states, strict=True)
    return [
        _table_gradient(weights, tokens, d_gates[0]),
        d_gates[0],
        *d_kernels,
        *(tf.reduce_sum(_flat(layer), axis=0)[:, None] for layer in d_gates[1:]),
        *d_hiddens,
        *d_cells,
    ]


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
    if tf.config.list_logical_devices("GPU"):
        # There a sum by ids adds in any order; a product with the one-hot ids is deterministic.
        one_hot = tf.one_hot(ids, num_rows, dtype=values.dtype)
        return tf.matmul(one_hot, values, transpose_a=True)
    return tf.math.unsorted_segment_sum(values, ids, num_rows)


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
