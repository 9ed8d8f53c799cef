"""The state of gin after parsing -> values: functions and classes with their bindings.

Gin keeps what it has parsed in the process, and looks there whenever a configurable is called. A
run is a value: its configurables hold their bindings, so that gin may forget them and parse the
next run.
"""

import contextlib
import dataclasses
import inspect
import io
import itertools
import logging
import os
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import gin
from gin.config import ConfigurableReference

from magenta_vae.configuration import statements
from magenta_vae.configuration.places import bundled

MAX_VALUES = 100_000  # The largest of the bundled ones have some hundreds.
_GIN = threading.Lock()  # Gin has one state for the whole process.
_ROOTS = {
    "experiment": "magenta_vae.configuration.Experiment",
    "loop": "magenta_vae.training.loop.train",
    "media": "magenta_vae.training.media.Media",
}


@dataclasses.dataclass(frozen=True)
class Configurable:
    """A function or class with its bindings, which each call evaluates anew.

    Args:
        function: what is called.
        bindings: its arguments by name; what a caller gives wins.
        is_evaluated: whether what it returns is meant wherever it stands as a value.
    """

    function: Callable
    bindings: Mapping[str, Any]
    is_evaluated: bool = False

    def __call__(self, *args, **kwargs):
        """Returns what the function returns for the bindings and what is given here.

        Raises:
            ValueError: where it takes arguments that are neither bound nor given, with their names.
        """
        given = inspect.signature(self.function).bind_partial(*args).arguments if args else {}
        bound = {name: value for name, value in self.bindings.items() if name not in given}
        named = {**evaluate(bound), **kwargs}
        try:
            return self.function(*args, **named)
        except TypeError as error:
            if missing := _missing(self.function, {*given, *named}):
                raise ValueError(_explain_missing(self.function, missing)) from error
            raise


class Parsed(NamedTuple):
    """What gin has parsed.

    Attributes:
        text: the configuration, as it can be parsed again.
        wide_text: the same with each binding on a line.
        roots: the bindings of the experiment, the training loop and the pictures.
    """

    text: str
    wide_text: str
    roots: dict[str, dict[str, Any]]


@contextlib.contextmanager
def gin_alone() -> Iterator[None]:
    """Gives the caller gin without any configuration, and leaves it so; others wait."""
    with _GIN:
        disabled = logging.root.manager.disable
        logging.disable(logging.CRITICAL)  # Gin logs an error for each place it looks in vain.
        gin.clear_config()  # Also unlocks it.
        try:
            # A module may have been loaded again, as in a notebook.
            with gin.config.interactive_mode(), _reading_present_names():
                yield
        finally:
            gin.clear_config()
            logging.disable(disabled)


@contextlib.contextmanager
def _reading_present_names() -> Iterator[None]:
    """Has gin read files as `statements` does, which knows what modules are called now."""
    readers = gin.config._FILE_READERS  # Those that gin lets one register come after its own.
    gin.config._FILE_READERS = [(_open, os.path.isfile)]
    try:
        yield
    finally:
        gin.config._FILE_READERS = readers


def _open(path: str) -> io.StringIO:
    file = io.StringIO(statements.read_text(path))
    file.name = path  # For gin's messages.
    return file


def take() -> Parsed:
    """Returns what gin has parsed, with all references followed. Call within `gin_alone`.

    Raises:
        ValueError: for a macro that is nowhere set, and for more values than a configuration has.
    """
    count = itertools.count()
    return Parsed(
        # Not the operative one: read again, that ignores later overrides of what a macro reached.
        gin.config_str(),
        gin.config_str(max_line_length=10_000),
        {name: _freeze(_bindings(selector, []), [], count) for name, selector in _ROOTS.items()},
    )


def evaluate(value: Any) -> Any:
    """Returns a bound value with its evaluated configurables called, in new containers."""
    if isinstance(value, Configurable):
        return value() if value.is_evaluated else value
    if isinstance(value, dict):
        return {evaluate(key): evaluate(element) for key, element in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(evaluate, value))
    return value


def _missing(function: Callable, given: Collection[str]) -> list[str]:
    """Returns the arguments that a function needs beside those that it is given."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:  # Some functions of C have no signature.
        return []
    unnamed = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD
    needed = [each for each in parameters if each.default is each.empty]
    return [each.name for each in needed if each.kind not in unnamed and each.name not in given]


def _explain_missing(function: Callable, missing: Sequence[str]) -> str:
    """Returns what a configurable lacks, and the bundled files that bind all of it, for people."""
    name = f"{function.__module__.rpartition('.')[2]}.{function.__qualname__}"
    folder = bundled("gin_configs")
    texts = {path: f"\n{path.read_text(encoding='utf-8')}" for path in folder.rglob("*.gin")}
    found = sorted(
        str(path.relative_to(folder))
        for path, text in texts.items()
        if all(f"\n{name}.{each} = " in text for each in missing)
    )
    example = f", as {' or '.join(found)} does" if found else ""
    return (
        f"{name} lacks {', '.join(missing)}. Expected a --gin_file that binds what is missing"
        f"{example}, or --gin_param='{name}.{missing[0]} = VALUE'."
    )


def _freeze(value: Any, scopes: list[str], count: Iterator[int]) -> Any:
    """Returns a value with gin's references replaced by what they stand for."""
    if next(count) >= MAX_VALUES:  # Lists of macros of lists of macros grow without an end.
        raise ValueError(f"The configuration holds more than {MAX_VALUES:,} values.")
    if isinstance(value, ConfigurableReference):
        return _freeze_reference(value, scopes, count)
    if isinstance(value, dict):
        pairs = value.items()
        return {_freeze(k, scopes, count): _freeze(each, scopes, count) for k, each in pairs}
    if isinstance(value, list | tuple):
        return type(value)(_freeze(each, scopes, count) for each in value)
    return value


def _freeze_reference(
    reference: ConfigurableReference, scopes: list[str], count: Iterator[int]
) -> Any:
    configurable = reference.configurable
    if configurable.wrapped is gin.config.macro and reference.evaluate:
        value = _bindings(configurable.selector, reference.scopes)
        if "value" not in value:
            raise ValueError(f"%{'/'.join(reference.scopes)} is read and nowhere set.")
        return _freeze(value["value"], reference.scopes, count)
    if configurable.module == "gin":  # A constant of gin, or one of its own functions.
        return reference.scoped_configurable_fn()
    # As gin does: what is evaluated for a configurable in a scope has that scope too.
    scopes = reference.scopes or (scopes if reference.evaluate else [])
    bindings = _freeze(_bindings(configurable.selector, scopes), scopes, count)
    if not bindings and not reference.evaluate:
        return configurable.wrapped
    return Configurable(configurable.wrapped, bindings, reference.evaluate)


def _bindings(selector: str, scopes: list[str]) -> dict[str, Any]:
    """Returns the bindings of a configurable in a scope, {} where nothing is bound."""
    with gin.config_scope(scopes):
        try:
            return dict(gin.get_bindings(selector, resolve_references=False))
        except ValueError:  # No file has named it.
            return {}
