"""Where the parts meet: gin files -> an experiment. The only module that imports gin."""

import ast
import dataclasses
import functools
import logging
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gin

# TensorFlow is imported within functions: `--help` must be instant.

PACKAGE_DIR = Path(__file__).parent

_BINDING = re.compile(r"^((?:\w+/)*)([\w.]+) = (.+)$", re.MULTILINE)
_REFERENCE = re.compile(r"@((?:\w+/)*)(?:\w+\.)*([A-Z]\w*)(?:\(\))?")
# What concerns data and looking on, not what is learnt: modules and macros.
_NO_HYPERPARAMETERS = {
    "builder", "cudnn", "loop", "magenta_tokens", "media", "recompute", "small_batch_size",
    "tokens",
}  # fmt: skip
_HYPERPARAMETERS_OF_EXPERIMENT = {
    "augment", "batch_size", "clip_norm", "dtype_policy", "seed",
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Experiment:
    """Everything that defines one training run.

    Args:
        settings: what a window is.
        make_model: () -> `MusicVAE`.
        make_optimizer: () -> Keras optimizer.
        augment: (tokens, seed) -> tokens, or None.
        batch_size: windows of one step over all replicas.
        max_steps: steps of the whole run.
        clip_norm: the global norm that gradients are clipped to.
        micro_batch_size: windows that a replica differentiates at a time; None for its whole share
            of a batch.
        jit_compile: whether XLA compiles the loss and its gradients.
        dtype_policy: what training computes in, one of `training.precision.POLICIES`.
        seed: of the initial weights, the order of the data and every draw.
        eval_batch_size: windows at a time in evaluation.
        eval_examples: held-out windows evaluated while training, None for all.
        table1_column: the column of the paper's Table 1 that the model stands in.
        midi: MIDI files to build a data set from where none is given: a path, or a bundled folder.

    Raises:
        ValueError: for a size that is no number of windows or steps, before anything is trained.
    """

    settings: Any
    make_model: Callable
    make_optimizer: Callable
    batch_size: int
    max_steps: int
    clip_norm: float
    micro_batch_size: int | None = None
    jit_compile: bool = False
    dtype_policy: str = "float32"
    augment: Callable | None = None
    seed: int = 0
    eval_batch_size: int = 256
    eval_examples: int | None = 2048
    table1_column: str | None = None
    midi: str | None = None

    def __post_init__(self):
        for name in ("batch_size", "max_steps", "eval_batch_size"):
            _check_count(name, getattr(self, name))
        for name in ("micro_batch_size", "eval_examples"):
            if getattr(self, name) is not None:
                _check_count(name, getattr(self, name), "None or ")
        if not isinstance(self.clip_norm, int | float) or self.clip_norm <= 0:
            raise ValueError(f"clip_norm must be above 0. Received: clip_norm={self.clip_norm!r}.")


def bundled(name: str) -> Path:
    """Returns a folder that lies beside the package in a checkout and within it in a wheel."""
    inside = PACKAGE_DIR / name
    return inside if inside.is_dir() else PACKAGE_DIR.parent / name


def command(name: str) -> str:
    """Returns how a command is typed: `scripts/train` in a checkout, `magenta_vae train` else."""
    return f"magenta_vae {name}" if (PACKAGE_DIR / "scripts").is_dir() else f"scripts/{name}"


def parse(gin_files: Sequence[str], gin_params: Sequence[str] = ()) -> None:
    """Reads gin files, later ones winning, then single bindings.

    Raises:
        FileNotFoundError: for a file that is neither a path nor in `gin_configs/`.
        ValueError: for a binding that does not exist, with its name, and for one that is no gin.
    """
    folder = bundled("gin_configs")
    gin.clear_config()  # Also unlocks it.
    gin.add_config_file_search_path(str(folder))
    for name in gin_files:
        if not os.path.isfile(name) and not (folder / name).is_file():
            known = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.gin"))
            raise FileNotFoundError(
                f"--gin_file={name} is neither a path nor one of: {', '.join(known)}."
            )
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)  # gin logs an error for each place it looks in vain.
    try:
        gin.parse_config_files_and_bindings(list(gin_files), list(gin_params))
    except (SyntaxError, ImportError) as error:
        raise ValueError(
            f"--gin_file or --gin_param cannot be read: {error}. A binding is a name and a value, "
            f"as in 'batch_size = 64'; a text has quotes within, as in 'name = \"text\"'."
        ) from error
    finally:
        logging.disable(disabled)


def require_gin_file(gin_files: Sequence[str]) -> None:
    """Raises `ValueError` where no configuration is given, with the ones there are."""
    if not gin_files:
        known = sorted(path.name for path in bundled("gin_configs").glob("*.gin"))
        raise ValueError(f"--gin_file is needed. The bundled ones are: {', '.join(known)}.")


def config_text() -> str:
    """Returns the parsed configuration, as it can be parsed again."""
    # Not the operative one: read again, that ignores later overrides of what a macro reached.
    return gin.config_str()


def experiment() -> Experiment:
    """Returns the experiment that the parsed configuration describes."""
    try:
        return _bound(Experiment)()
    except TypeError as error:
        raise ValueError(f"The configuration is incomplete or does not fit: {error}") from error


def hyperparameters() -> dict[str, bool | int | float | str]:
    """Returns what makes one run learn otherwise than another, under the names of its parts.

    Macros and bindings whose values are numbers, strings, None or parts; `schedules.Constant.value`
    is called `Constant.value`. What only concerns data and looking on is left out.
    """
    bindings = _BINDING.findall(gin.config_str(max_line_length=10_000))
    texts = {name: text for _, name, text in bindings}
    found = {}
    for scope, name, text in bindings:
        *modules, part, parameter = ["", *name.split(".")]
        if _NO_HYPERPARAMETERS.intersection([*modules, parameter]) or (
            part == "Experiment" and parameter not in _HYPERPARAMETERS_OF_EXPERIMENT
        ):
            continue
        while not part and text.startswith("%"):  # A macro of another; elsewhere it is a repeat.
            text = texts[text[1:]]
        value = _plain_value(text)
        if value is not None:
            found[f"{scope}{part}.{parameter}" if part else parameter] = value
    return found


def make_media() -> Callable:
    """Returns `training.media.Media` with what the parsed configuration says of it."""
    from magenta_vae.training import media

    return _bound(media.Media)


def make_train() -> Callable:
    """Returns `training.loop.train` with what the parsed configuration says of it."""
    from magenta_vae.training import loop

    return _bound(loop.train)


def _bound(function: Callable) -> Callable:
    """Returns a function with its bindings: called through gin, what it raises would be gin's."""
    return functools.partial(function, **gin.get_bindings(function))


def _check_count(name: str, value: Any, other: str = "") -> None:
    if not isinstance(value, int) or value < 1:
        raise ValueError(
            f"{name} must be {other}a whole number of at least 1. Received: {name}={value!r}."
        )


def _plain_value(text: str) -> bool | int | float | str | None:
    """Returns the value that gin writes so, of a part its name; None for any other reference."""
    if reference := _REFERENCE.fullmatch(text):
        return "".join(reference.groups())
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return None
    if value is None:
        return "None"
    return value if isinstance(value, bool | int | float | str) else None
