"""What the configuration of a run may name.

Runs are handed on, so that the `config.gin` of a run is data. A gin file that its owner wrote is
code: what it imports is run.
"""

import os
import sys
from collections.abc import Collection, Sequence
from typing import Any

from gin import config_parser

from magenta_vae.configuration import imports
from magenta_vae.configuration.imports import PACKAGE
from magenta_vae.configuration.statements import Reference, Statement, read_statements

CONFIG_FILE = "config.gin"
RUN_FILE = "run.json"

# What the configuration of a run may name, of models, data and training. None of them reads
# or writes a file, or calls what it is not given.
CONFIGURABLES = {
    "data.builder": ("Settings", "num_steps"),
    "data.curriculum": ("GrowingWindows",),
    "data.input_pipeline": ("Transposition",),
    "data.settings": ("Settings", "num_steps"),
    "magenta.encoder": ("StackedBidirectionalLSTM",),
    "magenta.hierarchical_encoder": ("HierarchicalBidirectionalLSTM",),
    "magenta.vocabulary": ("NoteOffMelody", "hit_rolls"),
    "model.decoders": ("Conductor", "FlatDecoder", "HierarchicalDecoder"),
    "model.encoders": ("BidirectionalLSTM", "NoEncoder"),
    "model.music_vae": ("MusicVAE",),
    "model.schedules": ("Constant", "ExponentialDecay", "InverseSigmoid"),
    "model.upper_levels": ("UpperLevelsVAE",),
    "music.tokens": ("Drums", "Melody", "names", "num_classes"),
    "training.optimizers": ("Adam",),
}
# What it may bind the arguments of, but not refer to: these are called by the commands alone.
ROOTS = {
    "configuration": ("Experiment",),
    "training.loop": ("train",),
    "training.media": ("Media",),
}


class UntrustedConfiguration(ValueError):
    """A configuration of a run that names what it may not."""


def check_run_text(text: str, name: str, modules: Collection[str] = ()) -> None:
    """Raises `UntrustedConfiguration` unless a run's configuration names configurables alone.

    Those are what `CONFIGURABLES` and `ROOTS` list, and what modules of one's own define where they
    are allowed. Nothing but allowed modules is imported, and those once all else is right.

    Args:
        text: of the configuration.
        name: of its file, for messages.
        modules: that are allowed beside this package, with the modules within them.

    Raises:
        UntrustedConfiguration: with the line that names anything else.
        ValueError: for what is no gin.
    """
    check_modules(modules)
    checker = _Checker(modules)
    for statement in read_statements(text, name):
        checker.check(statement)
    checker.check_own()


def check_modules(modules: Collection[str]) -> None:
    """Raises `ValueError` for modules that cannot be allowed: Python's own run any command."""
    is_list = isinstance(modules, Collection) and not isinstance(modules, str | bytes)
    if not is_list or not all(isinstance(module, str) for module in modules):
        raise ValueError(f"modules must be a list of names. Received: {modules!r}.")
    for module in modules:
        if not _can_be_allowed(module):
            raise ValueError(
                "A module that is allowed must be one of parts of models, and have a name that no "
                f"module of Python, gin or {PACKAGE} has. Received: --allow_module={module}."
            )


def own_modules(text: str) -> list[str]:
    """Returns the modules beside this package that a parsed configuration imports."""
    own = imports.of_ones_own(read_statements(text, CONFIG_FILE))
    return sorted({statement.source.module for statement in own})


def is_of_a_run(path: str) -> bool:
    """Says whether a gin file is the configuration of a run, wherever a link to it may stand."""
    return any(
        os.path.basename(each) == CONFIG_FILE
        or os.path.isfile(os.path.join(os.path.dirname(each), RUN_FILE))
        for each in (path, os.path.realpath(path))
    )


class _Checker:
    """Follows what names stand for through the statements of a file."""

    def __init__(self, modules: Collection[str]):
        self._modules = tuple(modules)
        self._symbols: dict[str, str] = {}
        self._is_dynamic = False
        self._own_imports: list[Statement] = []
        self._own_names: list[tuple[str, str, str]] = []

    def check(self, statement: Statement) -> None:
        """Raises `UntrustedConfiguration` for a statement that names anything else."""
        source = statement.source
        if isinstance(source, config_parser.ImportStatement):
            self._import(statement, source)
        elif isinstance(source, config_parser.IncludeStatement):
            _refuse(statement, f"include {source.filename!r}", "a run's file holds all of it")
        if statement.selector is not None:
            self._check_name(statement, statement.selector, {**CONFIGURABLES, **ROOTS})
        for mention in statement.mentions:
            if isinstance(mention, Reference):
                self._check_name(statement, mention.name, CONFIGURABLES, "@")

    def check_own(self) -> None:
        """Imports the allowed modules that the file does, and checks that its names are theirs."""
        for statement in self._own_imports:
            imports.import_module(statement)
        for place, written, full_name in self._own_names:
            module, *names = full_name.split(".")
            named: Any = sys.modules[module]
            for name in names:
                named = getattr(named, name, None)
            home = getattr(named, "__module__", None) or ""
            is_configurable = getattr(named, "__qualname__", "") in CONFIGURABLES.get(
                _within_package(home) or "", ()
            )
            if not callable(named) or not (is_configurable or _is_within(home, self._modules)):
                raise UntrustedConfiguration(
                    f"{place}: {written} is refused: it is no part that {module} defines."
                )

    def _import(self, statement: Statement, source) -> None:
        if source.module.startswith("__gin__."):
            self._is_dynamic = source.module == "__gin__.dynamic_registration"
            return
        if _is_within(source.module, self._modules):
            self._own_imports.append(statement)
        elif _within_package(source.module) not in {**CONFIGURABLES, **ROOTS}:
            self._refuse_module(statement, source)
        name = source.bound_name()
        self._symbols[name] = source.module if source.is_from or source.alias else name

    def _refuse_module(self, statement: Statement, source) -> None:
        module = source.module
        if _within_package(module) is not None:
            _refuse(statement, source.format(), f"{module} has no parts of models")
        allowed = "no flag allows it"
        if _can_be_allowed(module):
            allowed = (
                f"if you know and trust that code, allow it by --allow_module={module} "
                f"(in Python: modules=[{module!r}])"
            )
        _refuse(statement, source.format(), f"it is no module of {PACKAGE}; {allowed}")

    def _check_name(self, statement: Statement, scoped_name: str, known: dict, mark: str = ""):
        written = mark + scoped_name
        name = scoped_name.rsplit("/", 1)[-1]
        first, *rest = name.split(".")
        if first not in self._symbols or not self._is_dynamic:
            _refuse(statement, written, f"{first} is nothing that the file imports")
        full_name = ".".join([self._symbols[first], *rest])
        if _is_within(full_name, self._modules):
            self._own_names.append((statement.place, written, full_name))
            return
        module, _, attribute = full_name.rpartition(".")
        if attribute not in known.get(_within_package(module), ()):
            _refuse(statement, written, "it is no part of a model")


def _refuse(statement: Statement, what: str, why: str) -> None:
    raise UntrustedConfiguration(
        f"{statement.place}: {what} is refused: {why}. The configuration of a run is data, which "
        f"may name parts of {PACKAGE} alone. Nothing was run."
    )


def _can_be_allowed(module: str) -> bool:
    root = module.split(".")[0]
    return root not in sys.stdlib_module_names and root not in ("gin", "__gin__", PACKAGE)


def _within_package(module: str) -> str | None:
    """Returns the name of a module within this package, None for any other."""
    return module.removeprefix(f"{PACKAGE}.") if module.startswith(f"{PACKAGE}.") else None


def _is_within(name: str, modules: Sequence[str]) -> bool:
    return any(name == module or name.startswith(f"{module}.") for module in modules)
