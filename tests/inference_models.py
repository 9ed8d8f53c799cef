"""Tiny models of the configurations, untrained."""

import gin
import keras

from magenta_vae import configuration


def tiny_model(name, *variants):
    """Returns an untrained model of a configuration, and what its windows are."""
    keras.utils.set_random_seed(0)
    configuration.parse([f"{name}.gin", *variants, "scale/tiny.gin"])
    parts = configuration.experiment()
    model = parts.make_model()
    gin.clear_config()
    for variable in model.variables:
        variable.assign(3 * variable)  # New weights say little of z and of the previous tokens.
    return model, parts.settings
