"""Small models of the configurations, untrained."""

import dataclasses

import keras

from magenta_vae import configuration


@dataclasses.dataclass(frozen=True)
class Exported:
    """A model and its export.

    Attributes:
        model: the `MusicVAE`.
        trained: the `TrainedModel` of it.
        settings: what a window is.
        model_dir: the folder of its versions.
        path: its first version.
    """

    model: object
    trained: object
    settings: object
    model_dir: str
    path: str


def tiny_model(name, *variants, scale="tiny"):
    """Returns an untrained model of a configuration, and what its windows are."""
    keras.utils.set_random_seed(0)
    parts = configuration.parse([f"{name}.gin", *variants, f"scale/{scale}.gin"]).experiment
    model = parts.make_model()
    for variable in model.variables:
        variable.assign(3 * variable)  # New weights say little of z and of the previous tokens.
    return model, parts.settings
