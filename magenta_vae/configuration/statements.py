"""The statements of gin files, read as text: nothing that they name is imported or called."""

import os
import tokenize
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gin import config_parser

from magenta_vae.configuration.renames import with_present_names

MAX_BYTES = 2**17  # The bundled ones have some thousands.


class Reference(NamedTuple):
    """A configurable that a value refers to, as in `@scope/module.Class()`."""

    name: str


class Macro(NamedTuple):
    """A macro that a value reads, as in `%batch_size`."""

    name: str


class Statement(NamedTuple):
    """A statement of a gin file.

    Attributes:
        place: the file and the line, for messages.
        source: what the parser of gin returns.
    """

    place: str
    source: Any

    @property
    def macro(self) -> str | None:
        """The name of the macro that the statement sets, None where it sets none."""
        source = self.source
        if not isinstance(source, config_parser.BindingStatement) or source.arg_name:
            return None
        return f"{source.scope}/{source.selector}" if source.scope else source.selector

    @property
    def selector(self) -> str | None:
        """The configurable that the statement binds an argument of, None where it is none."""
        if isinstance(self.source, config_parser.BlockDeclaration) or (
            isinstance(self.source, config_parser.BindingStatement) and self.source.arg_name
        ):
            return self.source.selector
        return None

    @property
    def mentions(self) -> Iterator[Reference | Macro]:
        """What the bound value refers to, at whatever depth of lists and dicts."""
        if isinstance(self.source, config_parser.BindingStatement):
            yield from _mentions(self.source.value)


class _Recorder(config_parser.ParserDelegate):
    """Puts names in the place of what they name."""

    def configurable_reference(self, scoped_configurable_name, evaluate):
        return Reference(scoped_configurable_name)

    def macro(self, macro_name):
        return Macro(macro_name)


def read_text(path: str | os.PathLike) -> str:
    """Returns the text of a gin file, with the present names of renamed modules.

    Raises:
        ValueError: where it is not UTF-8, or far longer than a configuration, with its name.
    """
    if not os.path.isfile(path):
        raise ValueError(f"{os.fspath(path)} cannot be read: it is no file.")
    if os.path.getsize(path) > MAX_BYTES:
        raise ValueError(
            f"{os.fspath(path)} cannot be read: expected at most {MAX_BYTES:,} bytes, "
            f"found {os.path.getsize(path):,}."
        )
    try:
        return with_present_names(Path(path).read_bytes().decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{os.fspath(path)} cannot be read: expected UTF-8, found the byte "
            f"0x{error.object[error.start]:02x} at place {error.start:,}."
        ) from error


def read_statements(text: str, name: str) -> list[Statement]:
    """Returns the statements of a gin text.

    Args:
        text: as gin reads it.
        name: of the file, for messages.

    Raises:
        ValueError: for what is no gin, with the line.
    """
    statements = []
    try:
        for source in config_parser.ConfigParser(text, _Recorder()):
            statements.append(Statement(f"{name}, line {source.location.line_num}", source))
    except (SyntaxError, tokenize.TokenError, RecursionError, ValueError, MemoryError) as error:
        line = getattr(error, "lineno", None)
        if isinstance(error, tokenize.TokenError):
            line = error.args[1][0]
        place = f"{name}, line {line}" if line else name
        reason = getattr(error, "msg", None) or error.args[:1] or type(error).__name__
        raise ValueError(f"{place} cannot be read as gin: {_first(reason)}") from error
    return statements


def walk(path: str, folder: Path) -> Iterator[tuple[str, list[Statement]]]:
    """Yields a gin file and all that it includes, at any depth, with their statements.

    Args:
        path: as gin finds it: a path, or a name under `folder`.
        folder: of the bundled files.

    Raises:
        FileNotFoundError: where an included file is missing.
        ValueError: where files include themselves, or are no gin.
    """
    pending: list[tuple[str, tuple[str, ...]]] = [(path, ())]
    while pending:
        path, above = pending.pop()
        file = path if os.path.isfile(path) else str(folder / path)
        if file in above:
            raise ValueError(f"{file} includes itself, by way of {', '.join(above)}.")
        if not os.path.isfile(file):
            raise FileNotFoundError(
                f"{above[-1] if above else path} includes {path}, which is no file."
            )
        statements = read_statements(read_text(file), file)
        yield file, statements
        pending += [(name, (*above, file)) for name in reversed(included(statements))]


def included(statements: Sequence[Statement]) -> list[str]:
    """Returns the names of the files that statements include."""
    return [
        statement.source.filename
        for statement in statements
        if isinstance(statement.source, config_parser.IncludeStatement)
    ]


def _mentions(value: Any) -> Iterator[Reference | Macro]:
    if isinstance(value, Reference | Macro):
        yield value
    elif isinstance(value, dict):
        yield from _mentions([*value.keys(), *value.values()])
    elif isinstance(value, list | tuple):
        for element in value:
            yield from _mentions(element)


def _first(reason: Any) -> str:
    return str(reason[0] if isinstance(reason, tuple) else reason).strip().splitlines()[0]
