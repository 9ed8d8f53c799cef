"""Modules of one's own that gin files import: what is found, or why not."""

import importlib
import os
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
    """Imports the module that a statement names.

    Raises:
        ValueError: where that fails, with the statement, its place and the reason.
    """
    module = statement.source.module
    try:
        importlib.import_module(module)
    except Exception as error:  # A module of one's own may raise anything.
        what = f"{statement.place}: `{statement.source.format()}` failed"
        raise ValueError(f"{what}: {_explain(error, module)}") from error


def _explain(error: Exception, module: str) -> str:
    reason = f"{type(error).__name__}: {error}"
    if isinstance(error, ModuleNotFoundError) and f"{module}.".startswith(f"{error.name}."):
        return f"{reason}. It must lie in the working folder, {os.getcwd()}, or be installed."
    places = [each for each in traceback.extract_tb(error.__traceback__) if each.name == "<module>"]
    if not places or isinstance(error, SyntaxError):  # Whose text says where.
        return reason
    return f"{reason} ({places[-1].filename}, line {places[-1].lineno})"
