"""Step -> scalar: learning rate, beta, sampling probability (paper, Training Details).

All are Keras learning rate schedules, so that one kind of object serves the optimizer and the loss.
"""

import math

import keras
import tensorflow as tf

Schedule = keras.optimizers.schedules.LearningRateSchedule


class Constant(Schedule):
    """The same value at every step."""

    def __init__(self, value: float):
        self._value = value

    def __call__(self, step) -> tf.Tensor:
        """Returns the value as a float32 scalar."""
        return tf.constant(self._value, tf.float32)

    def get_config(self) -> dict:
        """Returns the arguments of the constructor."""
        return {"value": self._value}


class ExponentialDecay(Schedule):
    """Approaches `final` from `initial`: final + (initial - final) * rate ** step."""

    def __init__(self, initial: float, final: float, rate: float):
        if not 0 < rate <= 1:
            raise ValueError(f"rate must be in (0, 1]. Received: rate={rate}.")
        self._initial = initial
        self._final = final
        self._rate = rate

    def __call__(self, step) -> tf.Tensor:
        """Returns the value at an integer step as a float32 scalar."""
        # By the logarithm: 0.99999 as a float32 is off by 0.3 % after 100,000 steps.
        decay = tf.exp(tf.cast(step, tf.float32) * math.log(self._rate))
        return self._final + (self._initial - self._final) * decay

    def get_config(self) -> dict:
        """Returns the arguments of the constructor."""
        return {"initial": self._initial, "final": self._final, "rate": self._rate}


class InverseSigmoid(Schedule):
    """The probability of feeding a model its own sample: 1 - k / (k + exp(step / k)), k = rate.

    Source: Bengio et al., 2015, "inverse sigmoid decay"; the paper's rate is 1000.
    """

    def __init__(self, rate: float):
        if not rate >= 1:  # a NaN is refused too
            raise ValueError(f"rate must be at least 1. Received: rate={rate}.")
        self._rate = rate

    def __call__(self, step) -> tf.Tensor:
        """Returns the probability at an integer step as a float32 scalar."""
        # exp(x) / (k + exp(x)) = sigmoid(x - ln k), which does not overflow.
        return tf.sigmoid(tf.cast(step, tf.float32) / self._rate - math.log(self._rate))

    def get_config(self) -> dict:
        """Returns the arguments of the constructor."""
        return {"rate": self._rate}
