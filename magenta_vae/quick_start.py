"""Starting a command without what it never uses.

Keras imports scikit-learn, matplotlib, IPython and h5py where it finds them, note-seq its functions
for notebooks with bokeh and pandas and others with scipy, TensorFlow a Keras of long ago,
TensorFlow Probability its layers for Keras 2, with all of that, scipy for functions of numpy arrays
and setuptools to compare two versions. In a command's own process they are left out; a program that
imports this package gets everything as it is.
"""

import contextlib
import gc
import importlib
import importlib.abc
import importlib.machinery
import sys
import types
import typing
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


class _Unconstrained(type):
    """Makes `typing.TypeVar` one that keeps no constraints."""

    def __call__(cls, name, *constraints, **options):
        return typing.TypeVar(name, **options)

    def __instancecheck__(cls, instance):
        return isinstance(instance, typing.TypeVar)


def _cheap_typing() -> types.ModuleType:
    """Returns `typing` without what 18,000 constraints in strings cost, which TensorFlow compiles.

    Its generated operations name all dtypes that each argument may have; nothing reads them.
    """
    module = types.ModuleType("typing")
    module.__getattr__ = lambda name: getattr(typing, name)
    module.TypeVar = _Unconstrained("TypeVar", (), {})
    return module


def _quick_distutils() -> dict[str, types.ModuleType]:
    """Returns what TensorFlow Probability compares TensorFlow's version with."""
    package, module = types.ModuleType("distutils"), types.ModuleType("distutils.version")
    package.version = module
    module.__getattr__ = lambda name: importlib.import_module("packaging.version").Version
    return {module.__name__: module for module in (package, module)}


_TENSORFLOW_KERAS = "tensorflow.python.keras"  # for the API of TensorFlow 1, its cells and layers
_PROBABILITY = "tensorflow_probability.python"
_FOR_PROBABILITY = {
    **_unused_modules(
        "tf_keras",
        f"{_PROBABILITY}.internal.tf_keras",
        f"{_PROBABILITY}.experimental",
        f"{_PROBABILITY}.layers",
    ),
    "scipy.linalg": None,
    "scipy.special": None,
}
# Packages, and what is in the place of which module while each is imported. To `import`, None is a
# package that is not installed.
STAND_INS = {
    "keras": {
        **dict.fromkeys(("IPython", "PIL", "h5py", "matplotlib", "pandas", "psutil", "sklearn")),
        **_unused_modules("requests", "rich", "rich.console", "rich.markup", "rich.table"),
    },
    "note_seq": _unused_modules(
        "note_seq.audio_io", "note_seq.melody_inference", "note_seq.notebook_utils"
    ),
    "tensorflow": _unused_modules(
        "requests",
        f"{_TENSORFLOW_KERAS}.engine.input_spec",
        f"{_TENSORFLOW_KERAS}.layers.legacy_rnn",
        f"{_TENSORFLOW_KERAS}.layers.legacy_rnn.rnn_cell_impl",
        f"{_TENSORFLOW_KERAS}.layers.rnn_cell_wrapper_v2",
        f"{_TENSORFLOW_KERAS}.legacy_tf_layers",
        f"{_TENSORFLOW_KERAS}.optimizer_v2",
        f"{_TENSORFLOW_KERAS}.optimizer_v2.legacy_learning_rate_decay",
    ),
    "tensorflow_probability": {**_FOR_PROBABILITY, **_quick_distutils()},
    f"{_PROBABILITY}.distributions": _FOR_PROBABILITY,
}
_GENERATED = "tensorflow.python.ops.gen_"  # Each of these modules gets:
_TYPING = {"typing": _cheap_typing()}


def install() -> None:
    """Makes what follows start quickly; only for the process of a command."""
    # Hundreds of thousands of objects are made, none of them garbage.
    gc.set_threshold(100_000)
    sys.meta_path.insert(0, _Finder())


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the packages of STAND_INS as Python does, and imports them with these."""

    def find_spec(self, name, path=None, target=None):
        stand_ins = _TYPING if name.startswith(_GENERATED) else STAND_INS.get(name)
        if stand_ins is None:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            make_loader = _TensorFlowLoader if name == "tensorflow" else _Loader
            spec.loader = make_loader(spec.loader, stand_ins)
        return spec


class _Loader(importlib.abc.Loader):
    def __init__(self, loader: importlib.abc.Loader, stand_ins: dict):
        self._loader, self._stand_ins = loader, stand_ins

    def create_module(self, spec):
        return self._loader.create_module(spec)

    def exec_module(self, module):
        with _replaced(self._stand_ins):
            self._loader.exec_module(module)


class _TensorFlowLoader(_Loader):
    """Imports TensorFlow, and makes the settings that wait for it."""

    def exec_module(self, module):
        gc.disable()  # What an import makes is kept.
        try:
            super().exec_module(module)
        finally:
            gc.enable()
        gc.freeze()
        # Grappler takes longer to rewrite a graph than all runs of a command gain by it.
        module.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})


@contextlib.contextmanager
def _replaced(stand_ins: dict) -> Iterator[None]:
    """Has modules replaced that were not imported before, and `typing`, which always was."""
    old = {name: sys.modules[name] for name in stand_ins if name in sys.modules}
    sys.modules.update(stand_ins)
    sys.modules.update((name, module) for name, module in old.items() if name not in _TYPING)
    try:
        yield
    finally:
        for name in stand_ins:
            sys.modules.pop(name, None)
        sys.modules.update(old)
