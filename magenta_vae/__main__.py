"""`magenta_vae COMMAND --flags`: the files of `scripts/`, wherever the package is installed."""

import ast
import difflib
import os
import runpy
import shutil
import sys
import textwrap
from pathlib import Path

import magenta_vae
from magenta_vae import interrupts
from magenta_vae.configuration.places import bundled

GROUPS = {
    "Data": ("build_dataset", "inspect_dataset", "synthesize"),
    "Training": ("train", "evaluate", "compare", "encode", "table1", "figures"),
    "Music": (
        *("models", "explore", "sample", "interpolate", "similar", "reconstruct", "attributes"),
    ),
    "Other programs": ("publish", "export", "serve", "import_magenta"),
}
HELP = "-h", "-help", "--help", "help"
VERSION = "-V", "-version", "--version", "version"
BROKEN_PIPE = 141  # As a shell reports a process whose output nobody reads any more.


def main() -> None:
    """Runs the command that the first argument names, or says which ones there are."""
    interrupts.take_over()
    scripts = _find_scripts()
    name, *arguments = sys.argv[1:] or ["help"]
    if name in HELP and arguments:
        name, arguments = arguments[0], ["--help"]
    if name in HELP:
        _print(_describe(scripts))
    elif name in VERSION:
        _print(f"magenta_vae {magenta_vae.__version__}")
    elif name in scripts:
        sys.argv = [str(scripts[name]), *arguments]
        runpy.run_path(sys.argv[0], run_name="__main__")
    else:
        sys.exit(_refuse(name, scripts))


def _print(text: str) -> None:
    """Prints a text, or as much of it as is read, as by `head`."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(BROKEN_PIPE)


def _find_scripts() -> dict[str, Path]:
    """Returns the files of the commands by their names."""
    files = (path for path in bundled("scripts").iterdir() if path.is_file() and not path.suffix)
    return {path.name: path for path in sorted(files)}


def _describe(scripts: dict[str, Path]) -> str:
    """Returns what there is to run, a line for each command; those in no group come last."""
    grouped = {name for names in GROUPS.values() for name in names}
    others = {"More": tuple(name for name in scripts if name not in grouped)}
    width = max(map(len, scripts))
    lines = [
        "usage: magenta_vae COMMAND [--flag=value ...]",
        "",
        "A MusicVAE: data sets of MIDI files, training, music, exports.",
    ]
    for group, names in (GROUPS | others).items():
        found = [name for name in names if name in scripts]
        lines += ["", f"{group}:"] * bool(found)
        for name in found:
            lines += textwrap.wrap(
                f"{name:<{width}}  {_summarize(scripts[name])}",
                min(shutil.get_terminal_size().columns, 100),
                initial_indent="  ",
                subsequent_indent=" " * (width + 4),
            )
    return "\n".join(
        [
            *lines,
            "",
            "The flags of a command:  magenta_vae COMMAND --help",
            "Music at once:           magenta_vae sample --model=mel_2bar --output_dir=music",
            "A model of one's own:    magenta_vae train --gin_file=demo.gin",
        ]
    )


def _summarize(script: Path) -> str:
    """Returns the first line of what a command says of itself."""
    return (ast.get_docstring(ast.parse(script.read_text())) or "").partition("\n")[0]


def _refuse(name: str, scripts: dict[str, Path]) -> str:
    similar = difflib.get_close_matches(name, scripts, n=1, cutoff=0.5)
    hint = f" The most similar command is {similar[0]}." if similar else ""
    return (
        f"magenta_vae: {name!r} is not a command.{hint}\n"
        "magenta_vae --help says which commands there are."
    )


if __name__ == "__main__":
    main()
