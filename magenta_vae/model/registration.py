"""The names that files keep: of classes, by Keras, and of layers within layers, by checkpoints."""

import inspect
from collections.abc import Mapping
from typing import TypeVar

import keras

_Class = TypeVar("_Class", bound=type)
_PACKAGE = "magenta_vae"


def register(cls: _Class) -> _Class:
    """Registers a class with Keras, and says what its `**kwargs` may be.

    The signature that tools read has Keras' options by their names in the place of `**kwargs`. Gin
    reads it too: it would take any binding of a function with `**kwargs`, misspelt ones as well.
    """
    if "__init__" in vars(cls):
        _name_options(vars(cls)["__init__"])
    return keras.saving.register_keras_serializable(_PACKAGE)(cls)


def hold_by_name(owner: keras.layers.Layer, layers: Mapping[str, keras.layers.Layer]) -> None:
    """Makes layers attributes of the layer that holds them; checkpoints name them by these.

    Keras 3 hides lists and dicts of layers from `tf.train.Checkpoint`.
    """
    for name, layer in layers.items():
        setattr(owner, name, layer)


def _name_options(function) -> None:
    """Puts Keras' options in the place of `**kwargs` in the signature of a constructor."""
    signature = inspect.signature(function)
    parameters = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    options = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None)
        for name in ("name", "dtype", "trainable")
        if name not in signature.parameters
    ]
    function.__signature__ = signature.replace(parameters=[*parameters, *options])
