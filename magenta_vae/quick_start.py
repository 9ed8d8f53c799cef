"""Importing without what a command never uses, which is a third of the time until its first music.

Keras imports scikit-learn, matplotlib and IPython where it finds them, note-seq its functions for
notebooks with bokeh and pandas. In a command's own process they are left out; a program that
imports this package gets both as they are.
"""

import contextlib
import gc
import importlib.abc
import importlib.machinery
import sys
import types
from collections.abc import Iterator

NOTEBOOK = "note_seq.notebook_utils"
# Packages, and what seems not to be installed while each is imported; all do without it.
WITHOUT = {"keras": ("IPython", "matplotlib", "pandas", "sklearn"), "note_seq": ()}


def install() -> None:
    """Makes the imports that follow quick ones; only for the process of a command."""
    # Hundreds of thousands of objects are made, none of them garbage.
    gc.set_threshold(100_000)
    sys.meta_path.insert(0, _Finder())


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the packages of WITHOUT as Python does, and imports them without it."""

    def find_spec(self, name, path=None, target=None):
        if name not in WITHOUT:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, WITHOUT[name])
        return spec


class _Loader(importlib.abc.Loader):
    def __init__(self, loader: importlib.abc.Loader, hidden: tuple[str, ...]):
        self._loader, self._hidden = loader, hidden

    def create_module(self, spec):
        return self._loader.create_module(spec)

    def exec_module(self, module):
        stand_ins = dict.fromkeys(self._hidden)  # To `import`, None is a package that is not there.
        if module.__name__ == "note_seq":
            stand_ins[NOTEBOOK] = _Notebook(NOTEBOOK)
        with _replaced(stand_ins):
            self._loader.exec_module(module)


class _Notebook(types.ModuleType):
    """Stands for functions that show music in a notebook."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return


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
