"""Modules of one's own that gin files import: what is found, or why not."""

import importlib
import os
import sys
import traceback
from collections.abc import Iterable

from gin import config_parser

from magenta_vae.configuration.statements import Statement

PACKAGE = "magenta_vae"


def of_ones_own(statements: Iterable[Statement]) -> list[Statement]:
    """Returns those statements that import modules beside this package."""
    return [
        statement
        for statement in statements
        if isinstance(statement.source, config_parser.ImportStatement)
        and statement.source.module.split(".")[0] not in (PACKAGE, "__gin__")
    ]


def import_module(statement: Statement) -> None:
    """Imports the module that a statement names, from the working folder if it is not installed.

    From then on Python searches the working folder after all other places: what the module imports
    later, and what its classes are unpickled by in other processes, is found there too.

    Raises:
        ValueError: where that fails, with the statement, its place and the reason.
    """
    module = statement.source.module
    what = f"{statement.place}: `{statement.source.format()}` failed"
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    try:
        importlib.import_module(module)
    except Exception as error:  # A module of one's own may raise anything.
        raise ValueError(f"{what}: {_shadowed(module) or _explain(error, module)}") from error
    if reason := _shadowed(module):
        raise ValueError(f"{what}: {reason}")


def _shadowed(module: str) -> str | None:
    """Returns what is wrong where a module of Python itself hides one of the working folder."""
    name = module.split(".")[0]
    if name not in sys.stdlib_module_names:
        return None
    # Which of the two was imported: where a script's own folder comes first it is the user's.
    imported = getattr(sys.modules.get(name), "__file__", None) or ""
    for file in (f"{name}.py", os.path.join(name, "__init__.py")):
        path = os.path.join(os.getcwd(), file)
        if os.path.isfile(path) and os.path.realpath(imported) != os.path.realpath(path):
            return (
                f"{name} is a module of Python itself, which is imported in the place of {path}. "
                f"Give {'the file' if file.endswith(f'{name}.py') else 'the folder'} another name."
            )
    return None


def _explain(error: Exception, module: str) -> str:
    reason = f"{type(error).__name__}: {error}"
    if isinstance(error, ModuleNotFoundError) and f"{module}.".startswith(f"{error.name}."):
        return f"{reason}. It must lie in the working folder, {os.getcwd()}, or be installed."
    places = [each for each in traceback.extract_tb(error.__traceback__) if each.name == "<module>"]
    if not places or isinstance(error, SyntaxError):  # Whose text says where.
        return reason
    return f"{reason} ({places[-1].filename}, line {places[-1].lineno})"
