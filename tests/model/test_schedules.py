"""Schedules give the paper's values, in float32, for as long as a run lasts."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from magenta_vae.model import schedules

LEARNING_RATE = schedules.ExponentialDecay(1e-3, 1e-5, 0.9999)
BETA = schedules.ExponentialDecay(0.0, 0.2, 0.99999)
SAMPLING = schedules.InverseSigmoid(1000)

STEPS = np.array([0, 1, 2, 999, 10_000, 31_416, 99_999, 100_000, 150_000])  # 150,000: 32 bars


@pytest.mark.parametrize(
    ("schedule", "step", "value"),
    [
        (LEARNING_RATE, 0, 1e-3),
        # ln 0.9999 = -1.00005e-4: after 10,000 steps the distance to 1e-5 has shrunk by e^-1.00005.
        (LEARNING_RATE, 10_000, 1e-5 + 9.9e-4 * 0.367861),
        (LEARNING_RATE, 100_000, 1e-5 + 9.9e-4 * 4.53772e-5),  # e^-10.0005
        (BETA, 0, 0.0),
        (BETA, 50_000, 0.2 * (1 - 0.6065291)),  # ln 0.99999 = -1.000005e-5: e^-0.50000250
        (BETA, 100_000, 0.2 * (1 - 0.3678776)),  # e^-1.000005: the paper's beta ends at 0.126
        (SAMPLING, 0, 1 / 1001),  # 1 - 1000 / (1000 + 1)
        (SAMPLING, 1000 * math.log(1000), 0.5),  # k ln k = 6907.755: exp(step / k) = k
        (SAMPLING, 14_000, 0.99916915),  # e^14 = 1202604.28: 1 - 1000 / 1203604.28
    ],
)
def test_values_derived_by_hand(schedule, step, value):
    np.testing.assert_allclose(schedule(step), value, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("make", [schedules.ExponentialDecay, schedules.InverseSigmoid])
def test_a_pace_is_a_schedule_in_proportion(make):
    args = (0.0, 0.2, 0.99999) if make is schedules.ExponentialDecay else (1000,)
    paced, whole = make(*args, pace=12.5), make(*args)
    for step in (0, 8, 800, 8000):
        np.testing.assert_allclose(paced(step), whole(12.5 * step), rtol=1e-6)
    again = make.from_config(paced.get_config())
    assert again(800) == paced(800)


@pytest.mark.parametrize("pace", [0, -1, math.nan, math.inf, "ten", None])
def test_a_pace_that_does_not_go_on_is_refused(pace):
    with pytest.raises(
        ValueError, match=f"Constant.pace must be a number above 0. Received: pace={pace!r}"
    ):
        schedules.Constant(1.0, pace=pace)


@pytest.mark.parametrize(
    ("schedule", "oracle", "scale"),
    [
        (LEARNING_RATE, lambda step: 1e-5 + (1e-3 - 1e-5) * 0.9999**step, 1e-3),
        (BETA, lambda step: 0.2 * (1 - 0.99999**step), 0.2),
        (SAMPLING, lambda step: 1 - 1000 / (1000 + np.exp(step / 1000)), 1.0),
    ],
)
@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_float32_is_accurate_to_the_end_of_a_run(schedule, oracle, scale, dtype):
    values = [schedule(tf.constant(step, dtype)).numpy() for step in STEPS]
    assert values[0].dtype == np.float32
    # A few units in the last place of the largest value; 0.99999 as a float32 is off by 3e-3.
    np.testing.assert_allclose(values, oracle(STEPS.astype(np.float64)), atol=5e-7 * scale, rtol=0)


def test_beta_and_sampling_probability_rise_and_learning_rate_falls():
    steps = range(0, 100_000, 5_000)
    assert (np.diff([BETA(step) for step in steps]) > 0).all()
    assert (np.diff([SAMPLING(step) for step in range(0, 15_000, 1_000)]) > 0).all()
    assert (np.diff([LEARNING_RATE(step) for step in steps]) < 0).all()


def test_inverse_sigmoid_does_not_overflow():
    assert SAMPLING(10_000_000) == 1.0


def test_constant_is_constant():
    constant = schedules.Constant(0.25)
    assert constant(0) == constant(10**6) == 0.25
    assert constant(0).dtype == tf.float32


def test_a_decay_rate_of_one_does_not_decay():
    assert schedules.ExponentialDecay(0.5, 0.1, 1)(1000) == 0.5


@pytest.mark.parametrize("rate", [0, -0.5, 1.0001, math.nan])
def test_decay_rate_outside_0_to_1_is_refused(rate):
    with pytest.raises(ValueError, match=rf"rate must be in \(0, 1\]. Received: rate={rate}"):
        schedules.ExponentialDecay(1.0, 0.0, rate)


@pytest.mark.parametrize("rate", [0, 0.999, -1000, math.nan])
def test_inverse_sigmoid_rate_below_1_is_refused(rate):
    with pytest.raises(
        ValueError, match=f"rate must be a number of at least 1. Received: rate={rate}"
    ):
        schedules.InverseSigmoid(rate)


def test_learning_rate_drives_a_keras_optimizer():
    # Gradient descent on a gradient of 1 moves the weight by the learning rate of the step.
    weight = keras.Variable(0.0)
    optimizer = keras.optimizers.SGD(schedules.ExponentialDecay(1.0, 0.0, 0.5))
    optimizer.build([weight])

    @tf.function
    def descend():
        optimizer.apply([tf.constant(1.0)])

    for total in (1, 1.5, 1.75):
        descend()
        np.testing.assert_allclose(weight, -total)
    np.testing.assert_allclose(optimizer.learning_rate, 0.125)


@pytest.mark.parametrize("schedule", [schedules.Constant(0.2), LEARNING_RATE, SAMPLING])
def test_config_makes_the_same_schedule(schedule):
    copy = type(schedule).from_config(schedule.get_config())
    assert copy(1234) == schedule(1234)
