"""A stack of LSTM layers over all steps of a sequence, with a gradient of its own.

All layers run in one loop over steps. The next token may then be chosen on the way, and what the
gradient needs is kept: scheduled sampling takes one pass. The gradient of each weight is one
product over all steps.

Tensors lie rows first, [rows, units], as the products read and write them: the loops transpose
nothing. The units of a layer come in parts of P, see `lstm_steps`.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf

from magenta_vae import private_apis
from magenta_vae.model import lstm_steps
from magenta_vae.model.lstm_steps import StackSteps, StackWeights, State


def unroll(
    weights: StackWeights,
    constant: Sequence[tf.Tensor],
    states: Sequence[State],
    first: tf.Tensor,
    num_steps: int,
    choose: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
) -> tuple[tf.Tensor, tf.Tensor]:
    """Runs a stack over all steps, with the gradient of all but the choice of tokens.

    Args:
        weights: of the stack.
        constant: what the context adds to the first gates of each part, [rows, 4P]; or what the
            input adds at each step, [steps, rows, 4P].
        states: of each layer at the start.
        first: int32 [rows, tracks], the tokens that the first step reads.
        num_steps: how many steps.
        choose: (step, hidden state of the last layer [rows, U]) -> int32 [rows, tracks], what the
            next step reads. It reads no variable.

    Returns:
        The hidden states of the last layer, [steps, rows, U], and the tokens that each step read,
        int32 [steps, rows, tracks].
    """
    sources = (weights._replace(offsets=()), constant, states)

    @tf.custom_gradient
    def run(*tensors):
        own, constant, states = tf.nest.pack_sequence_as(sources, tensors)
        own = own._replace(offsets=weights.offsets)
        kept, tokens, _, _ = forward(own, constant, states, first, num_steps, choose)

        def gradient(upstream, _):
            zeros = tf.nest.map_structure(tf.zeros_like, states)
            d_weights, d_gates, d_states = backward(own, tokens, kept, upstream, zeros)
            d_constant = d_gates if constant[0].shape.rank == 3 else sums_over_steps(d_gates)
            return tf.nest.flatten((d_weights, d_constant, d_states))

        return (kept[-1].hidden[1:], tokens), gradient

    return run(*tf.nest.flatten(sources))


# The following take what `unroll` does, give its values, and keep nothing for a gradient.


def read_tokens(*arguments) -> tf.Tensor:
    """Returns the tokens that each step reads, int32 [steps, rows, tracks]."""
    return _scan(lambda tokens, states: [tokens], *arguments)[1][0]


def outputs(*arguments) -> tf.Tensor:
    """Returns the hidden states of the last layer, [steps, rows, U]."""
    return _scan(lambda tokens, states: [states[-1][0]], *arguments)[1][0]


def final_output(*arguments) -> tf.Tensor:
    """Returns the hidden state of the last layer after the last step, [rows, U]."""
    states, _ = _scan(lambda tokens, states: [], *arguments)
    return states[-1][0]


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
        chosen = tf.ensure_shape(choose(t, states[-1][0]), tokens.shape)
        return t + 1, chosen, states, arrays

    loop = (0, first, list(states), arrays)
    *_, states, arrays = tf.while_loop(
        lambda t, *_: t < num_steps, body, loop, parallel_iterations=1
    )
    return states, [array.stack() for array in arrays]


def _at(constant: Sequence[tf.Tensor], step) -> Sequence[tf.Tensor]:
    """Returns what is added to the first gates at a step, [rows, 4P]; see `unroll`."""
    return constant if constant[0].shape.rank == 2 else [part[step] for part in constant]


def count_steps(sequence: tf.Tensor) -> int | tf.Tensor:
    """Returns the steps of [steps, ...]: a number where it is known, as XLA needs it."""
    return tf.shape(sequence)[0] if sequence.shape[0] is None else sequence.shape[0]


def sums_over_steps(d_gates: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """Returns the gradients of what is the same at every step: of [steps, rows, 4P], [rows, 4P]."""
    return [_sum(part) for part in d_gates]


class Kept(NamedTuple):
    """What the gradient needs of a layer: arrays over steps.

    Attributes:
        hidden: hidden states [rows, U], the one before the first step included; after the loop one
            tensor [steps + 1, rows, U].
        gates: of each part, input, forget, candidate and output, [rows, P] each.
        cells: of each part, [rows, P], the one before the first step included.
    """

    hidden: tf.TensorArray | tf.Tensor
    gates: list[tuple[tf.TensorArray, ...]]
    cells: list[tf.TensorArray]


def forward(weights, constant, states, first, num_steps, choose):
    """Takes the steps of `unroll`.

    Returns:
        What is `Kept` of each layer, the tokens read, int32 [steps, rows, tracks], and after the
        last step the states and the token that the next would read.
    """
    take_step = StackSteps(weights)

    def array(size, like):
        # Where the rows are known the arrays say it: LiteRT needs that.
        return tf.TensorArray(like.dtype, size, element_shape=like.shape, clear_after_read=False)

    kept = [
        Kept(
            array(num_steps + 1, hidden).write(0, hidden),
            [tuple(array(num_steps, cell) for _ in range(4)) for cell in cells],
            [array(num_steps + 1, cell).write(0, cell) for cell in cells],
        )
        for hidden, cells in states
    ]
    read = tf.TensorArray(tf.int32, num_steps, element_shape=first.shape)

    def body(t, tokens, states, kept, read):
        states, activated = take_step(_at(constant, t), tokens, states)
        kept = [
            tf.nest.map_structure(
                lambda array, value, at: array.write(at, value),
                layer,
                Kept(hidden, list(gates), list(cells)),
                Kept(t + 1, [(t,) * 4] * len(cells), [t + 1] * len(cells)),
            )
            for layer, (hidden, cells), gates in zip(kept, states, activated, strict=True)
        ]
        chosen = tf.ensure_shape(choose(t, states[-1][0]), tokens.shape)
        return t + 1, chosen, states, kept, read.write(t, tokens)

    loop = (0, first, list(states), kept, read)
    _, token, states, kept, read = tf.while_loop(
        lambda t, *_: t < num_steps, body, loop, parallel_iterations=1
    )
    kept = [layer._replace(hidden=layer.hidden.stack()) for layer in kept]
    return kept, read.stack(), states, token


def backward(weights, tokens, kept, upstream, d_states):
    """Takes the steps of `forward` back.

    Args:
        weights: that `forward` was given.
        tokens, kept: that it returned.
        upstream: the gradient of the last layer's outputs, [steps, rows, U].
        d_states: the gradients of the states after the last step.

    Returns:
        The gradients of the weights, of the first layer's gates, [steps, rows, 4P] of each part,
        and of the states.
    """
    num_layers, num_steps = len(kept), count_steps(upstream)
    # Turned around once: in a product of few rows the order of the factors counts.
    turned = [[tf.transpose(kernel) for kernel in layer] for layer in weights.kernels]

    def body(t, states, arrays):
        d_output = upstream[t]
        d_states, next_arrays = list(states), list(arrays)
        for index in reversed(range(num_layers)):
            layer, (d_hidden, d_cells) = kept[index], states[index]
            d_hiddens = tf.split(d_hidden + d_output, len(d_cells), axis=1)
            d_gates, d_cells = zip(
                *(
                    _cell_gradient(
                        d_hidden,
                        d_cell,
                        [array.read(t) for array in gates],
                        cells.read(t),
                        cells.read(t + 1),
                    )
                    for d_hidden, d_cell, gates, cells in zip(
                        d_hiddens, d_cells, layer.gates, layer.cells, strict=True
                    )
                ),
                strict=True,
            )
            products = [tf.matmul(*each) for each in zip(d_gates, turned[index], strict=True)]
            d_hidden = tf.add_n(products) if len(products) > 1 else products[0]
            if index:
                d_output, d_hidden = tf.split(d_hidden, [-1, layer.hidden.shape[-1]], axis=1)
            d_states[index] = (d_hidden, d_cells)
            next_arrays[index] = [
                array.write(t, part) for array, part in zip(arrays[index], d_gates, strict=True)
            ]
        return t - 1, d_states, next_arrays

    arrays = [
        [
            tf.TensorArray(part.dtype, num_steps, element_shape=[None, part.shape[1]])
            for part in layer
        ]
        for layer in weights.kernels
    ]
    _, d_states, arrays = tf.while_loop(
        lambda t, *_: t >= 0, body, (num_steps - 1, d_states, arrays), parallel_iterations=1
    )
    d_gates = [[part.stack() for part in layer] for layer in arrays]
    inputs = [None, *(layer.hidden[1:] for layer in kept[:-1])]
    d_kernels = [
        [_kernel_gradient(below, layer.hidden[:-1], part, 2 // len(parts)) for part in parts]
        for below, layer, parts in zip(inputs, kept, d_gates, strict=True)
    ]
    d_tables = [
        _table_gradient(table, weights.offsets, tokens, part)
        for table, part in zip(weights.tables, d_gates[0], strict=True)
    ]
    d_biases = [[_sum(_flat(part)) for part in layer] for layer in d_gates[1:]]
    return StackWeights(d_tables, d_kernels, d_biases, ()), d_gates[0], d_states


def _kernel_gradient(inputs, previous, d_gates, num_products):
    """Returns the gradient of a part of a layer's (joined) kernel.

    Args:
        inputs: from the layer below [steps, rows, U], None for the first layer.
        previous: the layer's hidden state before each step, [steps, rows, U].
        d_gates: [steps, rows, 4P].
        num_products: how many products, side by side, take a share of the steps.
    """
    sources = [previous] if inputs is None else [inputs, previous]
    shares = zip(*(_shares(each, num_products) for each in (d_gates, *sources)), strict=True)
    products = [
        tf.concat([tf.matmul(_flat(one), _flat(d), transpose_a=True) for one in own], axis=0)
        for d, *own in shares
    ]
    return products[0] if len(products) == 1 else tf.add_n(products)


def _shares(sequence, number):
    """Returns [steps, ...] in as many shares of its steps, without copying."""
    num_steps = count_steps(sequence)
    return [
        sequence[num_steps * share // number : num_steps * (share + 1) // number]
        for share in range(number)
    ]


def _table_gradient(table, offsets, tokens, d_gates):
    """Returns the gradient of a table: at each row, the sum over the steps that looked it up."""
    gradient = tf.zeros_like(table)
    for track, offset in enumerate(offsets):
        ids = tf.reshape(tokens[..., track] + offset, [-1])
        gradient += _sum_rows(_flat(d_gates), ids, table.shape[0])
    return gradient


def _sum_rows(values, ids, num_rows):
    """Returns, for each id below `num_rows`, the sum of its rows of [N, D]: [num_rows, D]."""
    if lstm_steps.has_gpu():
        # There a sum by ids adds in any order; a product with the one-hot ids is deterministic.
        one_hot = tf.one_hot(ids, num_rows, dtype=values.dtype)
        return tf.matmul(one_hot, values, transpose_a=True)
    rows = tf.cast(values, tf.float32)
    if private_apis.compiled_by_xla():
        sums = tf.scatter_nd(ids[:, None], rows, [num_rows, rows.shape[1]])
    else:  # In the order of the ids, which adds several rows at a time: a third of the time.
        order = tf.argsort(ids, stable=True)
        sums = tf.raw_ops.SparseSegmentSumWithNumSegments(
            data=rows, indices=order, segment_ids=tf.gather(ids, order), num_segments=num_rows
        )
    return tf.cast(sums, values.dtype)


def _sum(values):
    """Returns the sum of [N, ...] over N.

    It is taken in float32: in 16 bits one over many steps would lose the small terms.
    """
    terms = tf.cast(values, tf.float32)
    if lstm_steps.has_gpu():  # There a product may round its terms to ten bits.
        return tf.cast(tf.reduce_sum(terms, axis=0), values.dtype)
    flat = tf.reshape(terms, [tf.shape(terms)[0], -1])
    sums = tf.matmul(tf.ones([1, tf.shape(flat)[0]]), flat)  # A quarter of the time of a sum.
    return tf.cast(
        tf.ensure_shape(tf.reshape(sums, tf.shape(terms)[1:]), values.shape[1:]), values.dtype
    )


def _cell_gradient(d_hidden, d_cell, gates, previous_cell, cell):
    """Returns the gradients of the gates before activation [rows, 4P] and of the previous cell.

    Args:
        d_hidden, d_cell: the gradients of the hidden state and of the cell, [rows, P].
        gates: activated, see `Kept`.
        previous_cell, cell: before and after the step, [rows, P].
    """
    inputs, forget, candidate, output = gates
    sigmoid_gradient, tanh_gradient = tf.raw_ops.SigmoidGrad, tf.raw_ops.TanhGrad
    tanh_cell = tf.tanh(cell)
    d_cell += tanh_gradient(y=tanh_cell, dy=d_hidden * output)
    d_gates = [
        sigmoid_gradient(y=inputs, dy=d_cell * candidate),
        sigmoid_gradient(y=forget, dy=d_cell * previous_cell),
        tanh_gradient(y=candidate, dy=d_cell * inputs),
        sigmoid_gradient(y=output, dy=d_hidden * tanh_cell),
    ]
    return tf.concat(d_gates, axis=1), d_cell * forget


def _flat(sequence: tf.Tensor) -> tf.Tensor:
    """[steps, rows, D] -> [steps * rows, D]."""
    return tf.reshape(sequence, [-1, sequence.shape[-1]])
