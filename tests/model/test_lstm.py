"""A stack equals Keras' LSTM layers and a plain numpy one, in values and in every gradient."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from magenta_vae import threads
from magenta_vae.model import lstm, lstm_steps, recomputation, recurrence
from magenta_vae.model.lstm import LSTMLayer

STEPS, ROWS, CONTEXT, UNITS = 7, 3, 2, 4
NUM_CLASSES = (3, 5)
RNG = np.random.default_rng(0)
PARTS = pytest.mark.parametrize("num_parts", [1, 2])


def normal(*shape):
    return tf.constant(RNG.normal(size=shape), tf.float32)


def make_layers(num_layers, num_classes=NUM_CLASSES, context_size=CONTEXT):
    """Returns a stack with random weights, biases too."""
    sizes = [sum(num_classes) + context_size] + [UNITS] * (num_layers - 1)
    layers = [LSTMLayer(size, UNITS, name=f"lstm_{n}") for n, size in enumerate(sizes)]
    for layer in layers:
        for variable in layer.variables:
            variable.assign(normal(*variable.shape))
    return layers


def make_tokens(num_classes=NUM_CLASSES):
    """Returns int32 [steps, rows, tracks] in which each track's `nothing` occurs."""
    columns = [RNG.integers(classes + 1, size=(STEPS, ROWS)) for classes in num_classes]
    tokens = np.stack(columns, axis=-1).astype(np.int32)
    tokens[0] = num_classes
    return tf.constant(tokens)


def make_states(num_layers):
    return [(normal(ROWS, UNITS), normal(ROWS, UNITS)) for _ in range(num_layers)]


def joined(tokens, context, num_classes=NUM_CLASSES):
    """Returns the one-hot tokens and the context, as the first layer reads them."""
    one_hots = [tf.one_hot(tokens[..., track], n) for track, n in enumerate(num_classes)]
    return tf.concat([*one_hots, tf.broadcast_to(context, [STEPS, *context.shape])], axis=-1)


def make_inputs(layers, context, states, num_classes=NUM_CLASSES, num_parts=1):
    """Returns weights, constant gates and states as loops take them."""
    return (
        lstm.stack_weights(layers, num_classes, num_parts=num_parts),
        lstm_steps.in_parts(lstm.context_gates(layers[0], num_classes, context), num_parts),
        [(hidden, tuple(tf.split(cell, num_parts, axis=1))) for hidden, cell in states],
    )


def unroll(layers, tokens, *inputs, loop=recurrence.unroll, **options):
    """Runs our stack on given tokens: [steps, rows, U]."""
    outputs, _ = loop(
        *make_inputs(layers, *inputs, **options),
        tokens[0],
        len(tokens),
        lambda step, _: tokens[tf.minimum(step + 1, len(tokens) - 1)],
    )
    return outputs


def test_a_new_layer_draws_the_weights_of_keras():
    keras.utils.set_random_seed(3)
    ours = LSTMLayer(5, 64)
    keras.utils.set_random_seed(3)
    theirs = keras.layers.LSTM(64)
    theirs.build((None, None, 5))
    for own, expected in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(own, expected, atol=1e-6)
    assert len(ours.get_weights()) == 3


def numpy_lstm(inputs, hidden, cell, kernel, recurrent_kernel, bias):
    """[steps, rows, inputs] -> hidden and cell states [steps, rows, units], in float64."""

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    hiddens, cells = [], []
    for x in np.asarray(inputs, np.float64):
        gates = x @ kernel + hidden @ recurrent_kernel + bias
        i, f, candidate, o = np.split(gates, 4, axis=-1)
        cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(candidate)
        hidden = sigmoid(o) * np.tanh(cell)
        hiddens.append(hidden)
        cells.append(cell)
    return np.stack(hiddens), np.stack(cells)


def numpy_stack(layers, tokens, context, states):
    """Returns the hidden and cell states of each layer, [steps, rows, units]."""
    inputs, results = joined(tokens, context), []
    for layer, (hidden, cell) in zip(layers, states, strict=True):
        weights = [variable.numpy() for variable in layer.variables]
        results.append(numpy_lstm(inputs, hidden.numpy(), cell.numpy(), *weights))
        inputs = results[-1][0]
    return results


@PARTS
@pytest.mark.parametrize("num_layers", [1, 3])
def test_unrolled_stack_equals_numpy(num_layers, num_parts):
    layers, states = make_layers(num_layers), make_states(num_layers)
    tokens, context = make_tokens(), normal(ROWS, CONTEXT)
    expected = numpy_stack(layers, tokens, context, states)[-1][0]
    outputs = unroll(layers, tokens, context, states, num_parts=num_parts)
    np.testing.assert_allclose(outputs, expected, atol=1e-6)


@PARTS
def test_repeated_steps_equal_numpy(num_parts):
    layers, states = make_layers(2), make_states(2)
    tokens, context = make_tokens(), normal(ROWS, CONTEXT)
    expected = numpy_stack(layers, tokens, context, states)
    weights, constant, states = make_inputs(layers, context, states, num_parts=num_parts)
    take_step = lstm_steps.StackSteps(weights)
    for t in range(STEPS):
        states, _ = take_step(constant, tokens[t], states)
        for (hidden, cell), (hiddens, cells) in zip(states, expected, strict=True):
            np.testing.assert_allclose(hidden, hiddens[t], atol=1e-5)  # CPUs round differently,
            np.testing.assert_allclose(tf.concat(cell, axis=1), cells[t], atol=1e-5)  # each step.


def test_the_choice_reads_the_last_layers_state_and_is_read_by_the_next_step():
    layers, states, context = make_layers(2), make_states(2), normal(ROWS, CONTEXT)
    first = make_tokens()[0]

    def choose(step, hidden):
        sign = tf.cast(hidden[:, :1] > 0, tf.int32)
        return tf.concat([sign, sign + step % 3], axis=-1)

    outputs, read = recurrence.unroll(*make_inputs(layers, context, states), first, STEPS, choose)
    np.testing.assert_array_equal(read[0], first)
    for t in range(STEPS - 1):
        np.testing.assert_array_equal(read[t + 1], choose(t, outputs[t]))
    assert len(np.unique(read[1:, :, 0])) == 2
    np.testing.assert_allclose(outputs, unroll(layers, read, context, states), atol=1e-6)


@pytest.mark.parametrize("at_each_step", [False, True])
def test_loops_that_keep_nothing_give_the_values(at_each_step):
    layers, states, context = make_layers(2), make_states(2), normal(ROWS, CONTEXT)
    first, chosen = make_tokens()[0], make_tokens()
    weights, constant, states = make_inputs(layers, context, states)
    if at_each_step:
        constant = [constant[0][None] + normal(STEPS, 1, 4 * UNITS)]
    arguments = (
        weights,
        constant,
        states,
        first,
        STEPS,
        lambda step, hidden: chosen[step] * tf.cast(hidden[:, :1] > 0, tf.int32),
    )
    outputs, read = recurrence.unroll(*arguments)
    np.testing.assert_array_equal(recurrence.read_tokens(*arguments), read)
    np.testing.assert_allclose(recurrence.outputs(*arguments), outputs, atol=1e-7)
    np.testing.assert_allclose(recurrence.final_output(*arguments), outputs[-1], atol=1e-7)


def keras_stack(layers):
    """Returns Keras' layers with the same weights."""
    references = []
    for layer in layers:
        reference = keras.layers.LSTM(UNITS, return_sequences=True)
        reference.build((None, None, layer.kernel.shape[0]))
        reference.set_weights(layer.get_weights())
        references.append(reference)
    return references


@pytest.mark.parametrize("decorate", [tf.function, lambda f: f], ids=["graph", "eager"])
@pytest.mark.parametrize(
    ("num_layers", "num_classes", "context_size", "num_parts"),
    [(1, NUM_CLASSES, CONTEXT, 2), (3, NUM_CLASSES, CONTEXT, 2), (3, NUM_CLASSES, CONTEXT, 1),
     (2, (5,), 0, 1)],
    ids=str,
)  # fmt: skip
def test_values_and_gradients_equal_keras(
    num_layers, num_classes, context_size, num_parts, decorate
):
    layers = make_layers(num_layers, num_classes, context_size)
    references = keras_stack(layers)
    tokens, context = make_tokens(num_classes), normal(ROWS, context_size)
    states, upstream = make_states(num_layers), normal(STEPS, ROWS, UNITS)

    def theirs(context, states):
        inputs = tf.transpose(joined(tokens, context, num_classes), [1, 0, 2])
        for reference, state in zip(references, states, strict=True):
            inputs = reference(inputs, initial_state=list(state))
        return tf.transpose(inputs, [1, 0, 2])

    def differentiate(run, stack):
        @decorate
        def outputs_and_gradients(context, states):
            with tf.GradientTape() as tape:
                tape.watch((context, states))
                outputs = run(context, states)
                objective = tf.reduce_sum(outputs * upstream)
            weights = [weight.value for layer in stack for weight in layer.trainable_variables]
            sources = [*tf.nest.flatten(states), *weights, *([context] if context_size else [])]
            return [outputs, *tape.gradient(objective, sources)]

        return outputs_and_gradients(context, states)

    options = {"num_classes": num_classes, "num_parts": num_parts}
    mine = differentiate(lambda *own: unroll(layers, tokens, *own, **options), layers)
    for own, reference in zip(mine, differentiate(theirs, references), strict=True):
        assert np.abs(reference).max() > 1e-3  # says something
        np.testing.assert_allclose(own, reference, rtol=2e-6, atol=2e-5)


@PARTS
@pytest.mark.parametrize("num_steps", [1, 12, 7], ids=["one", "3 a block", "1 a block"])
@pytest.mark.parametrize("decorate", [tf.function, lambda f: f], ids=["graph", "eager"])
def test_recomputed_gradients_equal_those_of_what_was_kept(num_steps, decorate, num_parts):
    layers, states, context = make_layers(2), make_states(2), normal(ROWS, CONTEXT)
    tokens = tf.concat([make_tokens(), make_tokens()], axis=0)[:num_steps]
    upstream = normal(num_steps, ROWS, UNITS)

    @decorate
    def outputs_and_gradients(loop):
        with tf.GradientTape() as tape:
            tape.watch((context, states))
            outputs = unroll(layers, tokens, context, states, loop=loop, num_parts=num_parts)
            objective = tf.reduce_sum(outputs * upstream)
        weights = [weight.value for layer in layers for weight in layer.trainable_variables]
        return [outputs, *tape.gradient(objective, [context, *tf.nest.flatten(states), *weights])]

    kept = outputs_and_gradients(recurrence.unroll)
    recomputed = outputs_and_gradients(recomputation.unroll)
    for expected, value in zip(kept, recomputed, strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-5)


def test_new_weights_are_distributed_as_keras_ones():
    inputs = 5
    layer, reference = LSTMLayer(inputs, UNITS), keras.layers.LSTM(UNITS)
    reference.build((None, None, inputs))
    shapes = [weight.shape for weight in reference.get_weights()]
    assert [weight.shape for weight in layer.get_weights()] == shapes
    np.testing.assert_array_equal(layer.bias, reference.cell.bias)
    np.testing.assert_array_equal(layer.bias, [0] * 4 + [1] * 4 + [0] * 8)  # forget gate
    recurrent = layer.recurrent_kernel.numpy()
    np.testing.assert_allclose(recurrent @ recurrent.T, np.eye(UNITS), atol=1e-5)
    limit = np.sqrt(6 / (inputs + 4 * UNITS))  # Glorot
    assert 0.5 * limit < np.abs(layer.kernel).max() <= limit


def test_each_weights_gradient_is_one_product_over_all_steps():
    # One that holds a matrix for each step: 2 GB for each upper layer of the paper's 2-bar decoder.
    layers = make_layers(2)

    @tf.function
    def gradient(tokens, context, states):
        with tf.GradientTape() as tape:
            outputs = unroll(layers, tokens, context, states)
        return tape.gradient(outputs, layers[1].kernel.value)

    arguments = make_tokens(), normal(ROWS, CONTEXT), make_states(2)
    graph = gradient.get_concrete_function(*arguments).graph
    shapes = [output.shape for op in graph.get_operations() for output in op.outputs]
    assert (UNITS, 4 * UNITS) in shapes
    assert (STEPS, UNITS, 4 * UNITS) not in shapes


@pytest.mark.parametrize("has_gpu", [False, True])
def test_rows_are_summed_by_ids_on_every_device(has_gpu, monkeypatch):
    devices = ["GPU:0"] if has_gpu else []
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: devices)
    values, ids = normal(6, 3), tf.constant([4, 0, 4, 1, 4, 0])
    expected = np.zeros((5, 3), np.float32)
    np.add.at(expected, ids.numpy(), values.numpy())
    np.testing.assert_allclose(recurrence._sum_rows(values, ids, 5), expected, rtol=1e-5, atol=1e-6)


def test_a_stack_without_tokens_and_context_runs_from_its_state_alone():
    layer = LSTMLayer(0, UNITS)
    assert layer.kernel is None
    layer.recurrent_kernel.assign(normal(UNITS, 4 * UNITS))
    ((hidden, cell),) = make_states(1)
    none = tf.zeros([STEPS, ROWS, 0], tf.int32)
    outputs = unroll([layer], none, tf.zeros([ROWS, 0]), [(hidden, cell)], ())
    weights = [variable.numpy() for variable in layer.variables]
    kernel = np.zeros((0, 4 * UNITS))
    inputs = np.zeros((STEPS, ROWS, 0))
    expected, _ = numpy_lstm(inputs, hidden.numpy(), cell.numpy(), kernel, *weights)
    np.testing.assert_allclose(outputs, expected, atol=1e-6)


def test_layers_are_computed_in_parts_where_two_cores_have_enough_to_do(monkeypatch):
    monkeypatch.setattr(threads, "count_cores", lambda: 2)
    assert lstm_steps.count_parts([64, 128]) == 2
    assert lstm_steps.count_parts([64, 62]) == 1  # Too few.
    assert lstm_steps.count_parts([129]) == 1  # Odd.
    with lstm_steps.in_whole_layers():
        assert lstm_steps.count_parts([64]) == 1
    assert lstm_steps.count_parts([64]) == 2
    counted = []

    def count(x):
        counted.append(lstm_steps.count_parts([64]))
        return x

    tf.function(count)(tf.zeros([]))
    tf.function(count, jit_compile=True)(tf.zeros([]))
    assert counted == [2, 1]
    monkeypatch.setattr(threads, "count_cores", lambda: 1)
    assert lstm_steps.count_parts([64]) == 1


def test_parts_have_the_gates_of_their_units():
    gates = tf.reshape(tf.range(3 * 4 * 6), [3, 24])  # Three rows, four gates of six units.
    first, second = lstm_steps.in_parts(gates, 2)
    by_gate = gates.numpy().reshape(3, 4, 6)
    np.testing.assert_array_equal(first, by_gate[:, :, :3].reshape(3, 12))
    np.testing.assert_array_equal(second, by_gate[:, :, 3:].reshape(3, 12))
    stacked = lstm_steps.in_parts(tf.stack([gates, gates + 1]), 2)[1]
    np.testing.assert_array_equal(stacked, [second, second + 1])


def test_sums_of_what_xla_compiles_are_the_same():
    values, ids = normal(6, 3), tf.constant([4, 0, 4, 1, 4, 0])
    compiled = tf.function(recurrence._sum_rows, jit_compile=True)(values, ids, 5)
    np.testing.assert_allclose(compiled, recurrence._sum_rows(values, ids, 5), rtol=1e-6)
