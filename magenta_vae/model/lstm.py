"""LSTM layers for token inputs, with a gradient of their own.

Weights have Keras' layout (kernel, recurrent kernel, bias; gates in the order input, forget, cell,
output), so they can be exchanged with `keras.layers.LSTM`. What differs is the work done:

- All layers of a stack run in one loop over steps. The next token may then be chosen on the way,
  and what the gradient needs is kept: scheduled sampling takes one pass.
- Within the loop units come before rows, [U, rows]. A product `weights @ states` of few rows is up
  to twice as fast on a CPU as `states @ weights`.
- A layer takes one product a step, of its input joined with its state, and the gradient of each
  weight is one product over all steps.
- A one-hot row times a matrix is a row of the matrix; a context's product is the same at all steps.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import keras
import tensorflow as tf

State = tuple[tf.Tensor, tf.Tensor]  # hidden, cell: [U, rows] each


class LSTMLayer(keras.layers.Layer):
    """The weights of one LSTM layer.

    Args:
        input_size: width of the input; a layer that reads nothing, of width 0, has no kernel.
        num_units: width of the state.
    """

    def __init__(self, input_size: int, num_units: int, name: str | None = None):
        super().__init__(name=name)
        self.num_units = num_units
        self.kernel = None
        if input_size:
            self.kernel = self.add_weight(
                shape=(input_size, 4 * num_units), initializer="glorot_uniform", name="kernel"
            )
        self.recurrent_kernel = self.add_weight(
            shape=(num_units, 4 * num_units), initializer="orthogonal", name="recurrent_kernel"
        )
        self.bias = self.add_weight(
            shape=(4 * num_units,), initializer=_forget_bias_of_one, name="bias"
        )
        self.built = True

    def joined_kernel(self) -> tf.Tensor:
        """Returns kernel and recurrent kernel as one: [input_size + U, 4U]."""
        return tf.concat([self.kernel, self.recurrent_kernel], axis=0)


def units_of_layers(num_units: int | Sequence[int], num_layers: int) -> list[int]:
    """Returns the units of each layer of a stack, given one number for all or one for each.

    Raises:
        ValueError: where there is not one for each layer.
    """
    units = [num_units] * num_layers if isinstance(num_units, int) else list(num_units)
    if len(units) != num_layers:
        raise ValueError(
            f"num_units must be one number, or one for each of num_layers={num_layers}. "
            f"Received: num_units={units}."
        )
    return units


class StackWeights(NamedTuple):
    """The weights of a stack as its loop takes them.

    The input of the first layer is the one-hot tokens of all tracks joined with a context.

    Attributes:
        table: the first kernel's rows for the tokens; after each track's follows one of zeros,
            for "nothing": [sum(classes + 1), 4U].
        kernels: the first layer's recurrent kernel [U, 4U]; of each other layer, kernel and
            recurrent kernel [units of the layer below + U, 4U].
        biases: of all layers but the first, [4U, 1].
        offsets: of each track in the table.
    """

    table: tf.Tensor
    kernels: list[tf.Tensor]
    biases: list[tf.Tensor]
    offsets: tuple[int, ...]


def stack_weights(layers: Sequence[LSTMLayer], num_classes: Sequence[int]) -> StackWeights:
    """Returns the weights of layers, the first of which reads tracks of so many classes."""
    first, *others = layers
    table = tf.zeros([0, 4 * first.num_units], first.compute_dtype)
    if num_classes:
        tables = tf.split(first.kernel[: sum(num_classes)], num_classes)
        table = tf.concat([tf.pad(track, [[0, 1], [0, 0]]) for track in tables], axis=0)
    return StackWeights(
        table,
        [tf.convert_to_tensor(first.recurrent_kernel), *(one.joined_kernel() for one in others)],
        [tf.convert_to_tensor(layer.bias)[:, None] for layer in others],
        tuple(sum(num_classes[:track]) + track for track in range(len(num_classes))),
    )


def context_gates(layer: LSTMLayer, num_classes: Sequence[int], context: tf.Tensor) -> tf.Tensor:
    """Returns what a context adds to the first layer's gates at every step, its bias included.

    Args:
        layer: the first layer of a stack.
        num_classes: classes of each track. The kernel's first sum(num_classes) rows are theirs.
        context: float [rows, input_size - sum(num_classes)].

    Returns:
        float [4U, rows].
    """
    bias = tf.convert_to_tensor(layer.bias)[:, None]
    if not context.shape[-1]:  # oneDNN aborts the process on a product over no columns.
        return tf.broadcast_to(bias, [4 * layer.num_units, tf.shape(context)[0]])
    kernel = layer.kernel[sum(num_classes) :]
    return tf.matmul(kernel, context, transpose_a=True, transpose_b=True) + bias


class StackSteps:
    """A stack's way from one step to the next; nothing of it carries a gradient.

    Args:
        weights: of the stack.
    """

    def __init__(self, weights: StackWeights):
        self._weights = weights
        # Turned around once: in a product of few rows the order of the factors counts.
        self._kernels = [tf.transpose(kernel) for kernel in weights.kernels]

    def __call__(self, constant: tf.Tensor, tokens: tf.Tensor, states: Sequence[State]):
        """Takes a step.

        Args:
            constant: the context's part of the first gates, [4U, rows].
            tokens: int32 [rows, tracks]; the class `num_classes[k]` stands for a zero vector.
            states: of each layer.

        Returns:
            The next state of each layer, and the activated gates of each layer.
        """
        next_states, activated = [], []
        for index, (kernel, (hidden, cell)) in enumerate(zip(self._kernels, states, strict=True)):
            if index:
                joined = tf.concat([next_states[-1][0], hidden], axis=0)
                gates = tf.matmul(kernel, joined) + self._weights.biases[index - 1]
            else:
                gates = tf.matmul(kernel, hidden) + constant + self._look_up(tokens)
            *state, parts = _cell(gates, cell)
            next_states.append(tuple(state))
            activated.append(parts)
        return next_states, activated

    def _look_up(self, tokens: tf.Tensor):
        """Returns the tokens' part of the first gates: [4U, rows]."""
        rows = [
            tf.gather(self._weights.table, tokens[:, track] + offset)
            for track, offset in enumerate(self._weights.offsets)
        ]
        return tf.transpose(tf.add_n(rows)) if rows else 0.0


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


def _cell(gates, cell):
    """Returns the next hidden state and cell, and the activated gates.

    These are (input and forget [2U, rows], candidate [U, rows], output [U, rows]).
    """
    num_units = gates.shape[0] // 4
    both = tf.sigmoid(gates[: 2 * num_units])
    candidate = tf.tanh(gates[2 * num_units : 3 * num_units])
    output = tf.sigmoid(gates[3 * num_units :])
    cell = both[num_units:] * cell + both[:num_units] * candidate
    return output * tf.tanh(cell), cell, (both, candidate, output)


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


def _forget_bias_of_one(shape, dtype=None):
    """Keras' `unit_forget_bias`: a new LSTM remembers."""
    num_units = shape[0] // 4
    values = tf.ones(num_units, dtype)
    return tf.pad(values, [[num_units, 2 * num_units]])
