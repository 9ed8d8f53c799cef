"""Importing without what a command never uses, which is a third of the time until its first music.

Keras imports scikit-learn, matplotlib and IPython where it finds them, note-seq its functions for
notebooks with bokeh and pandas and one with scipy, TensorFlow a Keras of long ago, TensorFlow
Probability its layers for Keras 2, with all of that. In a command's own process they are left out;
a program that imports this package gets everything as it is.
"""

import contextlib
import gc
import importlib.abc
import importlib.machinery
import sys
import types
from collections.abc import Iterator


class _Everything(type):
    """A class whose attributes are classes of the same kind: to name, to inherit from."""

    def __getattr__(cls, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return cls


class _Unused(metaclass=_Everything):
    """Stands for what is named while a package is imported, and not used."""


def _unused_modules(*names: str) -> dict[str, types.ModuleType]:
    """Returns modules that have every name."""
    modules = {name: types.ModuleType(name) for name in names}
    for module in modules.values():
        module.__getattr__ = lambda name: getattr(_Unused, name)
    return modules


_TENSORFLOW_KERAS = "tensorflow.python.keras"  # for the API of TensorFlow 1, its cells and layers
_PROBABILITY = "tensorflow_probability.python"
_KERAS_2 = _unused_modules(
    "tf_keras",
    f"{_PROBABILITY}.internal.tf_keras",
    f"{_PROBABILITY}.experimental",
    f"{_PROBABILITY}.layers",
)
# Packages, and what is in the place of which module while each is imported. To `import`, None is a
# package that is not installed.
STAND_INS = {
    "keras": dict.fromkeys(("IPython", "matplotlib", "pandas", "sklearn")),
    "note_seq": _unused_modules("note_seq.melody_inference", "note_seq.notebook_utils"),
    "tensorflow": _unused_modules(
        f"{_TENSORFLOW_KERAS}.engine.input_spec",
        f"{_TENSORFLOW_KERAS}.layers.legacy_rnn",
        f"{_TENSORFLOW_KERAS}.layers.legacy_rnn.rnn_cell_impl",
        f"{_TENSORFLOW_KERAS}.layers.rnn_cell_wrapper_v2",
        f"{_TENSORFLOW_KERAS}.legacy_tf_layers",
        f"{_TENSORFLOW_KERAS}.optimizer_v2",
        f"{_TENSORFLOW_KERAS}.optimizer_v2.legacy_learning_rate_decay",
    ),
    "tensorflow_probability": _KERAS_2,
    f"{_PROBABILITY}.distributions": _KERAS_2,
}


def install() -> None:
    """Makes the imports that follow quick ones; only for the process of a command."""
    # Hundreds of thousands of objects are made, none of them garbage.
    gc.set_threshold(100_000)
    sys.meta_path.insert(0, _Finder())


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the packages of STAND_INS as Python does, and imports them with these."""

    def find_spec(self, name, path=None, target=None):
        if name not in STAND_INS:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, STAND_INS[name])
        return spec


class _Loader(importlib.abc.Loader):
    def __init__(self, loader: importlib.abc.Loader, stand_ins: dict):
        self._loader, self._stand_ins = loader, stand_ins

    def create_module(self, spec):
        return self._loader.create_module(spec)

    def exec_module(self, module):
        with _replaced(self._stand_ins):
            self._loader.exec_module(module)


@contextlib.contextmanager
def _replaced(stand_ins: dict) -> Iterator[None]:
    """Has modules replaced that were not imported before."""
    new = {name: module for name, module in stand_ins.items() if name not in sys.modules}
    sys.modules.update(new)
    try:
        yield
    finally:
        for name in new:
            sys.modules.pop(name, None)
