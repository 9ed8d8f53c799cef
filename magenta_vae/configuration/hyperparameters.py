"""The hyperparameters of a configuration, flat and plain, as TensorBoard wants them."""

import ast
import re

_BINDING = re.compile(r"^((?:\w+/)*)([\w.]+) = (.+)$", re.MULTILINE)
_REFERENCE = re.compile(r"@((?:\w+/)*)(?:\w+\.)*([A-Z]\w*)(?:\(\))?")
# What concerns data and looking on, not what is learnt: modules and macros.
_NO_HYPERPARAMETERS = {
    "builder", "cudnn", "loop", "magenta_tokens", "media", "recompute", "small_batch_size",
    "tokens",
}  # fmt: skip
_HYPERPARAMETERS_OF_EXPERIMENT = {
    "augment", "batch_size", "clip_norm", "curriculum", "dtype_policy", "seed",
}  # fmt: skip


def find_bindings(wide_text: str) -> dict[str, str]:
    """Returns what a configuration sets, as it is written in gin, by names with their scopes.

    A macro that is set to another has its value; what is bound to a macro is left out, as a repeat.

    Args:
        wide_text: a parsed configuration, each binding on a line.
    """
    texts = {f"{scope}{name}": text for scope, name, text in _BINDING.findall(wide_text)}
    followed = {name: text if "." in name else _follow(text, texts) for name, text in texts.items()}
    return {name: text for name, text in followed.items() if not text.startswith("%")}


def find_hyperparameters(wide_text: str) -> dict[str, bool | int | float | str]:
    """Returns what makes one run learn otherwise than another, by the names of its configurables.

    Macros and bindings whose values are numbers, strings, None or configurables;
    `schedules.Constant.value` is called `Constant.value`. What only concerns data and looking on
    is left out.

    Args:
        wide_text: a parsed configuration, each binding on a line.
    """
    bindings = _BINDING.findall(wide_text)
    texts = {name: text for _, name, text in bindings}
    hyperparameters: dict[str, bool | int | float | str] = {}
    for scope, name, text in bindings:
        *modules, configurable, parameter = f".{name}".split(".")
        if _NO_HYPERPARAMETERS.intersection([*modules, parameter]) or (
            configurable == "Experiment" and parameter not in _HYPERPARAMETERS_OF_EXPERIMENT
        ):
            continue
        if not configurable:  # A macro may be one of another; elsewhere that is a repeat.
            text = _follow(text, texts)
        value = _plain_value(text)
        if value is not None:
            hyperparameters[f"{scope}{configurable}.{parameter}" if configurable else parameter] = (
                value
            )
    return hyperparameters


def _follow(text: str, texts: dict[str, str]) -> str:
    """Returns what a macro of macros stands for, "" where that is nothing or itself."""
    for _ in texts:
        if not text.startswith("%"):
            return text
        text = texts.get(text[1:], "")
    return ""


def _plain_value(text: str) -> bool | int | float | str | None:
    """Returns the value that gin writes so, of a configurable its name; None for other texts."""
    if reference := _REFERENCE.fullmatch(text):
        return "".join(reference.groups())
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return None
    if value is None or isinstance(value, tuple | list):
        return str(value)
    return value if isinstance(value, bool | int | float | str) else None
