"""Starting a command without the packages that it never uses.

Keras imports scikit-learn, matplotlib and pandas where it finds them, note-seq its functions for
notebooks with bokeh, TensorFlow a Keras of long ago, TensorFlow Probability its layers for Keras 2.
In a command's own process stand-ins have their names while they are imported: to name, to test for
and to inherit from. One that is used raises an error. Whoever imports such a package later gets it
as it is, and a program that imports magenta_vae gets everything as it is.

`MAGENTA_VAE_PLAIN_IMPORTS=1` in the environment turns the stand-ins off.
"""

import contextlib
import gc
import importlib.abc
import importlib.machinery
import os
import sys
import types
from collections.abc import Iterator, Mapping, Sequence

from magenta_vae import display, interrupts, start_up_lines

SWITCH = "MAGENTA_VAE_PLAIN_IMPORTS"

_TENSORFLOW_KERAS = "tensorflow.python.keras"  # for the API of TensorFlow 1, its cells and layers
_PROBABILITY = "tensorflow_probability.python"
_FOR_PROBABILITY = (
    "scipy.linalg",
    "scipy.special",
    "tf_keras",
    f"{_PROBABILITY}.internal.tf_keras",
    f"{_PROBABILITY}.experimental",
    f"{_PROBABILITY}.layers",
)
# What takes seconds to import and speaks meanwhile, before a command does anything.
IMPORTED_FIRST = ("keras", "tensorflow")
# Packages, and the modules that have a stand-in while each is imported: what saves a tenth of a
# second or more.
STAND_INS = {
    "keras": ("matplotlib", "matplotlib.pyplot", "pandas", "sklearn", "sklearn.base"),
    "note_seq": ("note_seq.audio_io", "note_seq.melody_inference", "note_seq.notebook_utils"),
    "tensorflow": (
        f"{_TENSORFLOW_KERAS}.engine.input_spec",
        f"{_TENSORFLOW_KERAS}.layers.legacy_rnn",
        f"{_TENSORFLOW_KERAS}.layers.legacy_rnn.rnn_cell_impl",
        f"{_TENSORFLOW_KERAS}.layers.rnn_cell_wrapper_v2",
        f"{_TENSORFLOW_KERAS}.legacy_tf_layers",
        f"{_TENSORFLOW_KERAS}.optimizer_v2",
        f"{_TENSORFLOW_KERAS}.optimizer_v2.legacy_learning_rate_decay",
    ),
    "tensorflow_probability": _FOR_PROBABILITY,
    f"{_PROBABILITY}.distributions": _FOR_PROBABILITY,
}


def install() -> None:
    """Makes what follows import the packages with stand-ins; only for the process of a command."""
    is_plain = os.environ.get(SWITCH, "0") not in ("", "0")
    sys.meta_path.insert(0, _Finder(dict.fromkeys(STAND_INS, ()) if is_plain else STAND_INS))
    start_up_lines.hold_back()


def _error(name: str) -> str:
    return (
        f"{name} is not there: commands import other packages with a stand-in in its place, as "
        f"they do not use it. {SWITCH}=1 in the environment has everything imported as it is."
    )


class _StandIn(types.ModuleType):
    """A module that has every name."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(_error(self.__name__))
        return _stand_in(f"{self.__name__}.{name}")


class _Named(type):
    """Makes classes to name, to test for and to inherit from."""

    def __getattr__(cls, name):
        if name.startswith("__") or "stands_for" not in vars(cls):
            raise AttributeError(name)
        return _stand_in(f"{cls.stands_for}.{name}")

    def __call__(cls, *args, **options):
        raise RuntimeError(_error(cls.stands_for))


def _stand_in(name: str) -> _Named:
    return _Named(name.rpartition(".")[2], (), {"stands_for": name})


class _Finder(importlib.abc.MetaPathFinder):
    """Finds packages as Python does, and imports them with their stand-ins."""

    def __init__(self, stand_ins: Mapping[str, Sequence[str]]):
        self._stand_ins = stand_ins

    def find_spec(self, name, path=None, target=None):
        if name not in self._stand_ins:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, self._stand_ins[name])
        return spec


class _Loader(importlib.abc.Loader):
    def __init__(self, loader: importlib.abc.Loader, names: Sequence[str]):
        self._loader, self._names = loader, names

    def create_module(self, spec):
        return self._loader.create_module(spec)

    def exec_module(self, module):
        with contextlib.ExitStack() as stack:
            stack.enter_context(_replaced(self._names))
            if module.__name__ in IMPORTED_FIRST:
                display.show("starting")
                stack.enter_context(start_up_lines.held())
                stack.enter_context(interrupts.at_once(start_up_lines.forget))
            self._loader.exec_module(module)
            if module.__name__ == "tensorflow":
                start_up_lines.look_for_devices(module)
        # What was imported stays: the garbage collector need not visit it, least of all at the end.
        gc.freeze()
        if module.__name__ == "tensorflow":
            # Grappler takes longer to rewrite a graph than all runs of a command gain by it.
            module.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
        if any(name.startswith(f"{module.__name__}.") for name in self._names):
            _import_when_asked_for(module, self._names)


def _import_when_asked_for(package: types.ModuleType, names: Sequence[str]) -> None:
    """Has a package import those of its modules that had a stand-in, once they are asked for."""

    def find(name: str):
        full_name = f"{package.__name__}.{name}"
        if full_name in names:
            return importlib.import_module(full_name)
        raise AttributeError(f"module {package.__name__!r} has no attribute {name!r}")

    vars(package).setdefault("__getattr__", find)


@contextlib.contextmanager
def _replaced(names: Sequence[str]) -> Iterator[None]:
    """Has stand-ins in the place of modules that were not imported before."""
    missing = [name for name in names if name not in sys.modules]
    sys.modules.update((name, _StandIn(name)) for name in missing)
    try:
        yield
    finally:
        for name in missing:
            sys.modules.pop(name, None)
