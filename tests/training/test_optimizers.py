"""The fused Adam takes the steps of Keras' own."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from magenta_vae.model import schedules
from magenta_vae.training import optimizers, precision

SHAPES = ((3, 4), (5,), ())


def make_variables():
    rng = np.random.default_rng(0)
    return [
        keras.Variable(rng.normal(size=shape).astype(np.float32), name=f"of_rank_{len(shape)}")
        for shape in SHAPES
    ]


def make_optimizer(optimizer_class, variables, **options):
    rate = schedules.ExponentialDecay(initial=0.1, final=0.01, rate=0.7)
    optimizer = optimizer_class(rate, beta_1=0.8, beta_2=0.99, epsilon=1e-3, **options)
    optimizer.build(variables)
    return optimizer


def take_steps(optimizer, variables, num_steps, seed=1):
    """Applies random gradients of the loss; returns the function that applies them."""
    rng = np.random.default_rng(seed)

    @tf.function
    def apply(gradients):
        optimizer.apply([optimizer.scale_loss(each) for each in gradients], variables)

    for _ in range(num_steps):
        apply([tf.constant(rng.normal(size=shape), tf.float32) for shape in SHAPES])
    return apply


def values(variables):
    return [np.asarray(variable) for variable in variables]


def assert_same(ours, theirs):
    for own, expected in zip(values(ours), values(theirs), strict=True):
        np.testing.assert_allclose(own, expected, rtol=2e-6, atol=1e-7)


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_steps_are_those_of_keras(policy):
    """Weights and averages, under a rate that falls, with and without scaled losses."""
    states = []
    for optimizer_class in (optimizers.Adam, keras.optimizers.Adam):
        variables = make_variables()
        optimizer = make_optimizer(optimizer_class, variables)
        scaled = precision.scale_losses(optimizer, policy)
        if not scaled.built:
            scaled.build(variables)
        take_steps(scaled, variables, 5)
        assert optimizer.iterations == 5
        states.append((variables, optimizer.variables))
    assert_same(states[0][0], states[1][0])
    assert_same(states[0][1], states[1][1])
    assert np.abs(values(states[0][0])[0] - values(make_variables())[0]).min() > 0.01


def test_it_goes_on_from_the_state_of_keras_adam():
    variables, expected = make_variables(), make_variables()
    theirs = make_optimizer(keras.optimizers.Adam, expected)
    take_steps(theirs, expected, 3)
    ours = make_optimizer(optimizers.Adam, variables)
    assert [each.name for each in ours.variables] == [each.name for each in theirs.variables]
    for own, other in zip(
        [*variables, *ours.variables], [*expected, *theirs.variables], strict=True
    ):
        own.assign(other)
    take_steps(theirs, expected, 3, seed=2)
    take_steps(ours, variables, 3, seed=2)
    assert_same(variables, expected)


def test_a_step_is_one_operation_a_variable():
    """What makes it quick: else it would be Keras' again, with the same numbers."""
    variables = make_variables()
    graph = take_steps(make_optimizer(optimizers.Adam, variables), variables, 1)
    signature = [tf.TensorSpec(shape) for shape in SHAPES]
    types = [node.type for node in graph.get_concrete_function(signature).graph.get_operations()]
    assert types.count("ResourceApplyAdam") == len(SHAPES)


def test_amsgrad_is_refused():
    with pytest.raises(ValueError, match="no AMSGrad: bind @keras.optimizers.Adam"):
        optimizers.Adam(amsgrad=True)
