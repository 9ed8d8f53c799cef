"""Step -> scalar: learning rate, beta, sampling probability (paper, Training Details).

All are Keras learning rate schedules, so that one kind of object serves the optimizer and the loss.
"""

import math

import keras
import tensorflow as tf

from magenta_vae.model.registration import register


class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """A value at each step, by a formula.

    Args:
        name: of the schedule.
        dtype: of the value.
        pace: how many steps of the formula one step is: 10 makes of a schedule for 100,000 steps
            the same in proportion for 10,000.

    Raises:
        ValueError: for a pace that is no number above 0.
    """

    def __init__(self, name: str | None = None, dtype: str = "float32", pace: float = 1.0):
        if not isinstance(pace, int | float) or not 0 < pace < math.inf:  # a NaN is refused too
            raise ValueError(
                f"{type(self).__name__}.pace must be a number above 0. Received: pace={pace!r}."
            )
        self.name = name or type(self).__name__
        self.dtype = dtype
        self._pace = pace

    def __call__(self, step) -> tf.Tensor:
        """Returns the value at an integer step, a scalar."""
        return tf.cast(self._value_at(self._pace * tf.cast(step, tf.float32)), self.dtype)

    def get_config(self) -> dict:
        """Returns the arguments of the constructor."""
        return {"name": self.name, "dtype": self.dtype, "pace": self._pace}

    def _value_at(self, step: tf.Tensor) -> tf.Tensor:
        """Returns the value at a float32 step, in float32."""
        raise NotImplementedError


@register
class Constant(Schedule):
    """The same value at every step."""

    def __init__(self, value: float, **kwargs):
        super().__init__(**kwargs)
        self._value = value

    def get_config(self) -> dict:
        """Returns the arguments of the constructor."""
        return {**super().get_config(), "value": self._value}

    def _value_at(self, step: tf.Tensor) -> tf.Tensor:
        return tf.constant(self._value, tf.float32)


@register
class ExponentialDecay(Schedule):
    """Approaches `final` from `initial`: final + (initial - final) * rate ** step."""

    def __init__(self, initial: float, final: float, rate: float, *, pace: float = 1.0, **kwargs):
        super().__init__(pace=pace, **kwargs)
        for name, value in (("initial", initial), ("final", final), ("rate", rate)):
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise ValueError(
                    f"ExponentialDecay.{name} must be a number. Received: {name}={value!r}."
                )
        if not 0 < rate <= 1:
            raise ValueError(
                "ExponentialDecay.rate must be in (0, 1]. "
                f"Received: rate={rate}, with initial={initial} and final={final}."
            )
        self._initial = initial
        self._final = final
        self._rate = rate

    def _value_at(self, step: tf.Tensor) -> tf.Tensor:
        # By the logarithm: 0.99999 as a float32 is off by 0.3 % after 100,000 steps.
        decay = tf.exp(step * math.log(self._rate))
        return self._final + (self._initial - self._final) * decay

    def get_config(self) -> dict:
        """Returns the arguments of the constructor."""
        own = {"initial": self._initial, "final": self._final, "rate": self._rate}
        return {**super().get_config(), **own}


@register
class InverseSigmoid(Schedule):
    """The probability of feeding a model its own sample: 1 - k / (k + exp(step / k)), k = rate.

    Source: Bengio et al., 2015, "inverse sigmoid decay"; the paper's rate is 1000.
    """

    def __init__(self, rate: float, *, pace: float = 1.0, **kwargs):
        super().__init__(pace=pace, **kwargs)
        if not isinstance(rate, int | float) or not rate >= 1:  # a NaN is refused too
            raise ValueError(
                f"InverseSigmoid.rate must be a number of at least 1. Received: rate={rate!r}."
            )
        self._rate = rate

    def _value_at(self, step: tf.Tensor) -> tf.Tensor:
        # exp(x) / (k + exp(x)) = sigmoid(x - ln k), which does not overflow.
        return tf.sigmoid(step / self._rate - math.log(self._rate))

    def get_config(self) -> dict:
        """Returns the arguments of the constructor."""
        return {**super().get_config(), "rate": self._rate}
