"""Gin files -> a configuration, which is a value."""

import contextlib
import dataclasses
import difflib
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import gin

from magenta_vae.configuration import configurables, imports, statements, trust
from magenta_vae.configuration.definition import Experiment
from magenta_vae.configuration.hyperparameters import find_bindings, find_hyperparameters
from magenta_vae.configuration.places import bundled

BINDING = (
    "A binding is a name and a value, as in 'batch_size = 64'; a text has quotes within, as in "
    "'name = \"text\"'."
)
LOOP_OPTIONS = {"checkpoint_every", "eval_every", "show_every", "steps_per_call"}
# What the models' files set for others that may be laid over them: `scale/small.gin` reads it.
FOR_OTHER_FILES = {"small_batch_size"}


@dataclasses.dataclass(frozen=True)
class Configuration:
    """What gin files and bindings say.

    Args:
        experiment: everything that defines a training run.
        text: the gin text that says the same, as it stands in the run's `config.gin`.
        hyperparameters: what makes one run learn otherwise than another; see
            `find_hyperparameters`.
        loop_options: arguments of `training.loop.train`.
        media_options: arguments of `training.media.Media`.
        modules: of configurables beside this package's, which the files import.
        bindings: all that they set, as it is written in gin; see `find_bindings`.
    """

    experiment: Experiment
    text: str
    hyperparameters: Mapping[str, bool | int | float | str]
    loop_options: Mapping[str, Any]
    media_options: Mapping[str, Any]
    modules: tuple[str, ...] = ()
    bindings: Mapping[str, str] = dataclasses.field(default_factory=dict)


def parse(
    gin_files: Sequence[str], gin_params: Sequence[str] = (), modules: Collection[str] = ()
) -> Configuration:
    """Reads gin files, later ones winning, then single bindings.

    Files and bindings are code: what they import is run. The `config.gin` of a run is data wherever
    it lies, also where another file includes it; see `parse_run`.

    Args:
        gin_files: paths, or names under `gin_configs/`.
        gin_params: bindings, as in `batch_size = 64`.
        modules: of one's own, which the configurations of runs among the files may name.

    Raises:
        FileNotFoundError: for a file that is neither a path nor in `gin_configs/`.
        UntrustedConfiguration: for the configuration of a run that names what it may not.
        ValueError: for a binding or a macro that does not exist, with its name, for one that is no
            gin, for a module that cannot be imported, with the statement that names it, and for
            what does not describe an experiment.
    """
    set_by_owner: dict[str, str] = {}
    for path, found in _read(gin_files, gin_params):
        if path is not None and trust.is_of_a_run(path):
            trust.check_run_text(statements.read_text(path), path, modules)
        if path is None or not _is_bundled(path):
            set_by_owner |= {each.macro: each.place for each in found if each.macro}
    for statement in own_imports(gin_files, gin_params):
        imports.import_module(statement)
    with configurables.gin_alone(), _explaining():
        gin.add_config_file_search_path(str(bundled("gin_configs")))
        gin.parse_config_files_and_bindings(list(gin_files), list(gin_params))
        parsed = configurables.take()
    _check_macros(set_by_owner, parsed.text)
    configured = _describe(parsed)
    if any(map(trust.is_of_a_run, gin_files)):
        return dataclasses.replace(configured, experiment=_without_paths(configured.experiment))
    return configured


def parse_run(path: str, modules: Collection[str] = ()) -> Configuration:
    """Reads the configuration of a run, which is data: it may name configurables alone.

    Args:
        path: of the run's `config.gin`.
        modules: of one's own that it may name beside those of this package.

    Raises:
        UntrustedConfiguration: where it names anything else, with the line. Nothing of it was run.
        ValueError: where it is no gin, or does not describe an experiment.
    """
    text = statements.read_text(path)  # Once: what is checked is what is parsed.
    trust.check_run_text(text, path, modules)
    with configurables.gin_alone(), _explaining(path):
        gin.parse_config(text)
        parsed = configurables.take()
    with _explaining(path):
        return _describe(parsed)


def own_imports(
    gin_files: Sequence[str], gin_params: Sequence[str] = ()
) -> list[statements.Statement]:
    """Returns the statements that import modules beside this package, those of runs aside.

    Raises what `parse` does for files and bindings that cannot be read.
    """
    return [
        statement
        for path, parsed in _read(gin_files, gin_params)
        if path is None or not trust.is_of_a_run(path)
        for statement in imports.of_ones_own(parsed)
    ]


def require_gin_file(gin_files: Sequence[str]) -> None:
    """Raises `ValueError` where no configuration is given, with the ones there are."""
    if not gin_files:
        known = sorted(path.name for path in bundled("gin_configs").glob("*.gin"))
        raise ValueError(f"--gin_file is needed. The bundled ones are: {', '.join(known)}.")


def _without_paths(experiment: Experiment) -> Experiment:
    """Returns an experiment of a run: of songs it may name those that are bundled alone."""
    midi = experiment.midi
    is_bundled = midi is not None and Path(midi).name == midi and bundled(midi).is_dir()
    return experiment if is_bundled else dataclasses.replace(experiment, midi=None)


def _describe(parsed: configurables.Parsed) -> Configuration:
    """Returns what was parsed as a value, without gin."""
    if given := sorted(parsed.roots["loop"].keys() - LOOP_OPTIONS):
        raise ValueError(
            f"loop.train.{given[0]} is what a command gives. Configurations bind "
            f"{', '.join(sorted(LOOP_OPTIONS))} of it."
        )
    try:
        experiment = Experiment(**configurables.evaluate(parsed.roots["experiment"]))
    except TypeError as error:
        raise ValueError(f"The configuration is incomplete or does not fit: {error}") from error
    return Configuration(
        experiment,
        parsed.text,
        find_hyperparameters(parsed.wide_text),
        configurables.evaluate(parsed.roots["loop"]),
        configurables.evaluate(parsed.roots["media"]),
        tuple(trust.own_modules(parsed.text)),
        find_bindings(parsed.wide_text),
    )


def _read(
    gin_files: Sequence[str], gin_params: Sequence[str]
) -> Iterator[tuple[str | None, list[statements.Statement]]]:
    """Yields the statements of each file, also of those that are included, and of each binding.

    The path of a file comes before its statements, None before those of a binding.
    """
    for name in gin_files:
        yield from _read_file(name)
    for param in gin_params:
        flag = f"--gin_param={param!r}"
        try:
            parsed = statements.read_statements(param, flag)
        except ValueError as error:
            raise ValueError(f"--gin_param cannot be read: {error}. {BINDING}") from error
        yield None, [statement._replace(place=flag) for statement in parsed]
        # What a binding includes is a file like any other.
        for name in statements.included(parsed):
            yield from _read_file(name)


def _read_file(name: str) -> Iterator[tuple[str, list[statements.Statement]]]:
    folder = bundled("gin_configs")
    if not os.path.isfile(name) and not (folder / name).is_file():
        known = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.gin"))
        raise FileNotFoundError(
            f"--gin_file={name} is neither a path nor one of: {', '.join(known)}."
        )
    yield from statements.walk(name, folder)


def _is_bundled(path: str) -> bool:
    return Path(path).resolve().is_relative_to(bundled("gin_configs").resolve())


def _check_macros(set_by_owner: Mapping[str, str], text: str) -> None:
    """Raises `ValueError` for a macro that nothing in the parsed configuration reads."""
    read = _read_macros(statements.read_statements(text, trust.CONFIG_FILE))
    for name, place in set_by_owner.items():
        if name not in read and name not in FOR_OTHER_FILES:
            near = difflib.get_close_matches(name, sorted(read), 1)
            known = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(read))}."
            raise ValueError(f"{place}: {name} is no setting of this configuration; {known}")


def _read_macros(parsed: Sequence[statements.Statement]) -> set[str]:
    """Returns the macros that bindings read, by way of other macros too."""
    mentions: dict[str | None, set[str]] = {}
    for statement in parsed:
        names = {
            mention.name for mention in statement.mentions if isinstance(mention, statements.Macro)
        }
        mentions.setdefault(statement.macro, set()).update(names)
    read: set[str] = set()
    pending = mentions.get(None, set())
    while pending:
        read |= pending
        pending = set().union(*(mentions.get(name, set()) for name in pending)) - read
    return read


@contextlib.contextmanager
def _explaining(path: str | None = None) -> Iterator[None]:
    """Turns errors of gin within into a `ValueError` that says what a binding is."""
    try:
        yield
    except ValueError as error:
        if path is None or isinstance(error, trust.UntrustedConfiguration):
            raise
        raise ValueError(f"{path}: {error}") from error
    except RecursionError as error:
        raise ValueError(f"{path or '--gin_file'} refers to itself without an end.") from error
    except (SyntaxError, ImportError, NameError, AttributeError) as error:
        if path is not None:
            raise ValueError(f"{path} cannot be read: {error}") from error
        raise ValueError(f"--gin_file or --gin_param cannot be read: {error}. {BINDING}") from error
