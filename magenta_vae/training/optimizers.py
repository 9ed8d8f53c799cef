"""Keras' Adam with TensorFlow's kernel for it: one operation a variable instead of some twenty."""

from typing import Any

import keras
import tensorflow as tf

from magenta_vae import private_apis

_OpenAdam: Any = private_apis.open_adam()


@keras.saving.register_keras_serializable("magenta_vae")
class Adam(_OpenAdam):
    """`keras.optimizers.Adam` with a fused update; either goes on from the other's checkpoints.

    A step reads and writes weights, averages and gradients once, and its graph is smaller.

    Args:
        options: as Keras' Adam takes them.

    Raises:
        ValueError: for `amsgrad`, which the kernel does not know.
    """

    def __init__(self, learning_rate=1e-3, beta_1=0.9, beta_2=0.999, epsilon=1e-8, **options):
        super().__init__(learning_rate, beta_1, beta_2, epsilon, **options)
        if self.amsgrad:
            raise ValueError("optimizers.Adam has no AMSGrad: bind @keras.optimizers.Adam for it.")

    def update_all(self, gradients, variables, learning_rate):
        """Updates all variables, by what the kernel takes in the place of a learning rate."""
        step = tf.cast(self.iterations + 1, tf.float32)
        bias_correction = tf.sqrt(1.0 - self.beta_2**step) / (1.0 - self.beta_1**step)
        zero = tf.zeros([])
        scalars = {  # Made once, not for each variable.
            "lr": learning_rate * bias_correction,
            "beta1": tf.constant(self.beta_1),
            "beta2": tf.constant(self.beta_2),
            "epsilon": tf.constant(self.epsilon),
            "beta1_power": zero,  # So the kernel corrects nothing again.
            "beta2_power": zero,
        }
        super().update_all(gradients, variables, scalars)

    def update_step(self, gradient, variable, scalars):
        """Updates one variable, by the kernel's arguments that are the same for all."""
        momentum, velocity = self.moments_of(variable)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=momentum.value.handle,
            v=velocity.value.handle,
            grad=gradient,
            **scalars,
        )
