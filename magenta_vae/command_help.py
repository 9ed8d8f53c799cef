"""What `--help` of a command prints: how it is called, an example, its flags by groups."""

import inspect
import re
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence

from absl import flags

REQUIRED, RUNNING = "Required", "How it runs"
# The groups in their order, and their flags; a flag that is in none is one of how a command runs.
GROUPS: dict[str, tuple[str, ...]] = {
    REQUIRED: (),  # Of whichever group: they come first.
    "Input": (
        *(
            "input",
            "train_input",
            "eval_input",
            "test_input",
            "split_file",
            "start",
            "end",
            "vectors",
            "data_dir",
            "split",
            "track",
            "program",
        ),
        *(
            "start_bar",
            "end_track",
            "end_program",
            "end_start_bar",
            "num_windows",
            "polyphony",
            "pad",
            "reader",
            "figures",
        ),
    ),
    "Model": (
        *("model", "run_dir", "checkpoint", "gin_file", "gin_param", "allow_module", "config"),
        *("init_from", "init_checkpoint", "init_partial"),
    ),
    "What is made": (
        *("samples", "num_samples", "num_steps", "similarity", "attribute", "strength"),
        *("temperature", "seed", "prior", "qpm", "figure", "end_points", "evaluate"),
        *("name", "description", "license", "attribution", "num_gaussians", "spread"),
        *("num_songs", "num_bars", "models", "columns", "scale", "seeds", "first_seed"),
        "eval_examples",
    ),
    "Output": (
        *("output_dir", "output", "tokens", "json", "per_example", "map", "color", "method"),
        *("continuous", "plot", "audio", "soundfont", "accents"),
        *("compression", "picture", "dots_per_inch", "formats", "litert_batch_size", "max_rows"),
        "quantize_bytes",
    ),
    RUNNING: (
        *("max_steps", "num_workers", "seconds_per_file", "memory_mb_per_file", "runner"),
        *(
            "scheduler",
            "skip_corrupt",
            "num_virtual_devices",
            "host",
            "port",
            "rest_port",
            "grpc_port",
            "browser",
            "dry_run",
            "explain",
            "traceback",
        ),
    ),
}
# Where a flag means something else than in most commands.
EXCEPTIONS = {
    "import_magenta": {"checkpoint": "Input", "run_dir": "Output"},
    "train": {"run_dir": "Output"},
}
# What stands for a value of a command, where it is another than in most commands.
VALUE_EXCEPTIONS = {"import_magenta": {"checkpoint": "PATH"}, "table1": {"init_from": "FOLDER"}}
# What stands for a value, where its kind does not say it.
VALUES = {
    "allow_module": "MODULE",
    "host": "ADDRESS",
    "attribute": "NAME",
    "checkpoint": "latest|best|STEP",
    "init_checkpoint": "latest|best|STEP",
    "gin_file": "FILE",
    "gin_param": "NAME=VALUE",
    "init_from": "NAME|FOLDER",
    "model": "NAME|FOLDER",
    "input": "PATH",
    "track": "NUMBER|NAME",
    "end_track": "NUMBER|NAME",
    "program": "N",
    "end_program": "N",
    **dict.fromkeys(("start", "end", "vectors", "figures", "output", "json", "soundfont"), "FILE"),
    **dict.fromkeys(("per_example", "map"), "FILE"),
}
KINDS = {"int": "N", "float": "X", "comma separated list of strings": "NAME,NAME"}
QUOTE = "'"  # absl quotes defaults.
NARROW = 60  # Columns of a terminal in which a flag and what it does stand one above the other.
WIDE = 100  # Lines longer than that are no easier to read.


def format_help(
    name: str, command: str, docstring: str, width: int | None = None, arguments: str = ""
) -> str:
    """Returns the help of a command, whose flags are defined.

    Args:
        name: of the command, as in `train`.
        command: how it is typed, as in `scripts/train`.
        docstring: a sentence, examples that begin with `scripts/`, and further paragraphs.
        width: columns; those of the terminal by default.
        arguments: what it takes beside flags, as in `RUN RUN ...`.
    """
    width = min(width or shutil.get_terminal_size().columns, WIDE)
    summary, examples, others = _split(inspect.cleandoc(docstring))
    grouped = group_flags(name)
    required = [f"--{flag.name}={_value(flag, name)}" for flag in grouped.get(REQUIRED, ())]
    usage = ["usage:", command, arguments, *required, "[--flag=value ...]"]
    lines = [" ".join(filter(None, usage)), ""]
    for paragraph in (summary, *others):
        lines += [*_wrap(paragraph, width), ""]
    if examples:
        typed = [line.replace(f"scripts/{name}", command) for line in examples]
        lines += ["Example:" if _count(examples) == 1 else "Examples:"]
        lines += [*(f"  {line}" for line in typed), ""]
    for title, found in grouped.items():
        lines += [f"{title}:", *_format_flags(name, found, width), ""]
    lines += _wrap("--helpfull also lists absl's flags, of logging and debugging.", width)
    return "\n".join(lines)


def group_flags(name: str) -> dict[str, list[flags.Flag]]:
    """Returns the flags of a command by their groups, which are in their order."""
    group_of = {flag: title for title, names in GROUPS.items() for flag in names}
    group_of |= EXCEPTIONS.get(name, {})
    order = [flag for names in GROUPS.values() for flag in names]
    grouped: dict[str, list[flags.Flag]] = {title: [] for title in GROUPS}
    for flag in flags.FLAGS.get_key_flags_for_module(sys.argv[0]):
        is_first = is_required(flag)
        grouped[REQUIRED if is_first else group_of.get(flag.name, RUNNING)].append(flag)
    for found in grouped.values():
        found.sort(key=lambda flag: order.index(flag.name) if flag.name in order else len(order))
    return {title: found for title, found in grouped.items() if found}


def is_required(flag: flags.Flag) -> bool:
    """Says whether a flag, which was not parsed yet, must be given: its default is refused."""
    try:
        for validator in flag.validators:
            if list(validator.get_flags_names()) == [flag.name]:
                validator.verify(flags.FLAGS)
    except flags.ValidationError:
        return flag.default is None
    return False


def _split(docstring: str) -> tuple[str, list[str], list[str]]:
    """Returns the first paragraph, the lines of examples, and the other paragraphs."""
    summary, *paragraphs = docstring.split("\n\n")
    examples: list[str] = []
    others = []
    for paragraph in paragraphs:
        if paragraph.startswith("scripts/"):
            examples += paragraph.splitlines()
        else:
            others.append(paragraph)
    return summary, examples, others


def _count(examples: Sequence[str]) -> int:
    return sum(not line.startswith(" ") for line in examples)


def _format_flags(command: str, found: Sequence[flags.Flag], width: int) -> Iterator[str]:
    """Yields the lines of some flags."""
    for flag in found:
        left, right = f"  {_spell(flag, command)}", explain(flag)
        column = 6 if width < NARROW else 28
        wrapped = _wrap(right, width - column) or [""]
        if len(left) + 2 <= column:
            yield f"{left:<{column}}{wrapped.pop(0)}"
        else:
            yield left
        yield from (" " * column + line for line in wrapped)


def _wrap(text: str, width: int) -> list[str]:
    """Returns the lines of a paragraph; names with hyphens stay whole."""
    return textwrap.wrap(text, width, break_on_hyphens=False)


def _spell(flag: flags.Flag, command: str) -> str:
    """Returns a flag as it is typed."""
    if flag.boolean:
        return f"--[no]{flag.name}"
    return f"--{flag.name}={_value(flag, command)}"


def _value(flag: flags.Flag, command: str) -> str:
    if choices := getattr(flag.parser, "enum_values", None):
        spelled = "|".join(choices)
        return spelled if len(spelled) <= 20 else "NAME"
    values = VALUES | VALUE_EXCEPTIONS.get(command, {})
    if flag.name in values:
        return values[flag.name]
    if flag.name.endswith("_dir"):
        return "FOLDER"
    return KINDS.get(flag.flag_type().removeprefix("multi "), "VALUE")


def explain(flag: flags.Flag) -> str:
    """Returns what a flag does, its choices and its default."""
    # Without what absl adds to it: choices before, a note of repeating behind.
    text = re.sub(r"^<[^>]*>: |;\s*repeat this option to.*", "", flag.help, flags=re.DOTALL).strip()
    choices = getattr(flag.parser, "enum_values", None)
    if choices and len("|".join(choices)) > 20:
        text += f" One of {', '.join(choices)}."
    if flag.default not in (None, "", []) and not flag.boolean:
        text += f" (default: {str(flag.default_as_str).strip(QUOTE)})"
    return text
