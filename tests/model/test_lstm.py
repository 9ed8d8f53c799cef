"""The LSTM equals Keras' and a plain numpy one, in values and in every gradient."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from magenta_vae.model.lstm import LSTMLayer, embed

STEPS, ROWS, INPUTS, UNITS = 7, 3, 5, 4
RNG = np.random.default_rng(0)


def normal(*shape):
    return tf.constant(RNG.normal(size=shape), tf.float32)


@pytest.fixture
def layer():
    layer = LSTMLayer(INPUTS, UNITS)
    for variable in layer.variables:
        variable.assign(normal(*variable.shape))
    return layer


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


def test_sequence_equals_numpy(layer):
    inputs, hidden, cell = normal(STEPS, ROWS, INPUTS), normal(ROWS, UNITS), normal(ROWS, UNITS)
    weights = [variable.numpy() for variable in layer.variables]
    expected, _ = numpy_lstm(inputs, hidden.numpy(), cell.numpy(), *weights)
    outputs = layer.sequence(layer.project(inputs), (hidden, cell))
    np.testing.assert_allclose(outputs, expected, atol=1e-6)


def test_repeated_step_equals_numpy_and_sequence(layer):
    inputs, state = normal(STEPS, ROWS, INPUTS), (normal(ROWS, UNITS), normal(ROWS, UNITS))
    weights = [variable.numpy() for variable in layer.variables]
    hiddens, cells = numpy_lstm(inputs, state[0].numpy(), state[1].numpy(), *weights)
    sequence = layer.sequence(layer.project(inputs), state)
    for t in range(STEPS):
        state = layer.step(layer.project(inputs[t]), state)
        np.testing.assert_allclose(state[0], hiddens[t], atol=1e-6)
        np.testing.assert_allclose(state[1], cells[t], atol=1e-6)
        np.testing.assert_allclose(state[0], sequence[t], atol=1e-6)


@pytest.mark.parametrize("decorate", [tf.function, lambda f: f], ids=["graph", "eager"])
@pytest.mark.parametrize("num_steps", [1, STEPS])
def test_outputs_and_all_gradients_equal_keras(layer, decorate, num_steps):
    inputs, upstream = normal(num_steps, ROWS, INPUTS), normal(num_steps, ROWS, UNITS)
    hidden, cell = normal(ROWS, UNITS), normal(ROWS, UNITS)
    reference = keras.layers.LSTM(UNITS, return_sequences=True)
    reference.build((None, None, INPUTS))
    reference.set_weights(layer.get_weights())

    def ours(inputs, hidden, cell):
        return layer.sequence(layer.project(inputs), (hidden, cell))

    def theirs(inputs, hidden, cell):
        batch_first = tf.transpose(inputs, [1, 0, 2])
        return tf.transpose(reference(batch_first, initial_state=[hidden, cell]), [1, 0, 2])

    def differentiate(run, weights):
        @decorate
        def outputs_and_gradients(*arguments):
            with tf.GradientTape() as tape:
                tape.watch(arguments)
                outputs = run(*arguments)
                objective = tf.reduce_sum(outputs * upstream)
            sources = [*arguments, *(weight.value for weight in weights)]
            return [outputs, *tape.gradient(objective, sources)]

        return outputs_and_gradients(inputs, hidden, cell)

    pairs = zip(
        differentiate(ours, layer.variables),
        differentiate(theirs, reference.trainable_variables),
        strict=True,
    )
    for mine, reference_value in pairs:
        assert np.abs(reference_value).max() > 1e-3  # says something
        np.testing.assert_allclose(mine, reference_value, atol=2e-5)


def test_new_weights_are_distributed_as_keras_ones():
    layer, reference = LSTMLayer(INPUTS, UNITS), keras.layers.LSTM(UNITS)
    reference.build((None, None, INPUTS))
    shapes = [weight.shape for weight in reference.get_weights()]
    assert [weight.shape for weight in layer.get_weights()] == shapes
    np.testing.assert_array_equal(layer.bias, reference.cell.bias)
    np.testing.assert_array_equal(layer.bias, [0] * 4 + [1] * 4 + [0] * 8)  # forget gate
    recurrent = layer.recurrent_kernel.numpy()
    np.testing.assert_allclose(recurrent @ recurrent.T, np.eye(UNITS), atol=1e-5)
    limit = np.sqrt(6 / (INPUTS + 4 * UNITS))  # Glorot
    assert 0.5 * limit < np.abs(layer.kernel).max() <= limit


def test_projecting_a_sequence_takes_one_product_for_the_kernels_gradient(layer):
    # A batched product's gradient holds [steps, inputs, 4 x units]: 2 GB for each upper layer of
    # the paper's 2-bar decoder.
    @tf.function
    def gradient(inputs):
        with tf.GradientTape() as tape:
            outputs = layer.sequence(layer.project(inputs), layer.zero_state(ROWS))
        return tape.gradient(outputs, layer.kernel.value)

    graph = gradient.get_concrete_function(normal(STEPS, ROWS, INPUTS)).graph
    shapes = [output.shape for op in graph.get_operations() for output in op.outputs]
    assert (INPUTS, 4 * UNITS) in shapes
    assert (STEPS, INPUTS, 4 * UNITS) not in shapes


@pytest.mark.parametrize("decorate", [tf.function, lambda f: f], ids=["graph", "eager"])
def test_embed_and_its_gradient_equal_a_one_hot_product(decorate):
    table, ids, upstream = normal(6, 3), tf.constant([[0, 5, 6], [5, 2, 6]]), normal(2, 3, 3)

    def differentiate(lookup):
        @decorate
        def rows_and_gradient(table):
            with tf.GradientTape() as tape:
                tape.watch(table)
                rows = lookup(table)
                objective = tf.reduce_sum(rows * upstream)
            return rows, tape.gradient(objective, table)

        return rows_and_gradient(table)

    rows, gradient = differentiate(lambda table: embed(tf.pad(table, [[0, 1], [0, 0]]), ids))
    # The one-hot vector of an id beyond the last class, 6, is zero.
    expected_rows, expected = differentiate(lambda table: tf.one_hot(ids, 6) @ table)
    np.testing.assert_allclose(rows, expected_rows, rtol=1e-6)
    np.testing.assert_array_equal(rows[:, 2], np.zeros((2, 3)))
    np.testing.assert_allclose(gradient, expected, rtol=1e-5)
    np.testing.assert_array_equal(gradient[1], np.zeros(3))  # id 1 occurs nowhere


@pytest.mark.parametrize("context_size", [0, 2])
def test_token_projection_equals_concatenated_one_hots_and_context(context_size):
    num_classes = (3, 5)
    layer = LSTMLayer(sum(num_classes) + context_size, UNITS)
    layer.bias.assign(normal(4 * UNITS))
    # Both tracks' `nothing` occurs, once alone and once together.
    tokens = tf.constant([[[0, 4], [3, 2]], [[2, 5], [3, 5]], [[1, 0], [2, 1]]])
    context = normal(2, context_size)
    joined = [tf.one_hot(tokens[..., track], n) for track, n in enumerate(num_classes)]
    if context_size:
        joined.append(tf.broadcast_to(context, [3, 2, context_size]))
    projected = layer.token_projection(num_classes, context)(tokens)
    assert projected.shape == (3, 2, 4 * UNITS)
    np.testing.assert_allclose(projected, layer.project(tf.concat(joined, -1)), atol=1e-6)


def test_zero_state_is_zero(layer):
    for part in layer.zero_state(tf.constant(ROWS)):
        np.testing.assert_array_equal(part, np.zeros((ROWS, UNITS)))
