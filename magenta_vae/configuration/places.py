"""Where gin files, commands and songs lie, in a checkout and in a wheel."""

import os
import shlex
import sys
from pathlib import Path

PACKAGE_DIR = Path(__file__).parents[1]
MAGENTA_FOLDER = "magenta"  # under gin_configs/
_SHARED = ("shared", "flat", "hierdec", "mel")  # Included by the others, no configurations.


def bundled(name: str) -> Path:
    """Returns a folder that lies beside the package in a checkout and within it in a wheel."""
    inside = PACKAGE_DIR / name
    return inside if inside.is_dir() else PACKAGE_DIR.parent / name


def command(name: str) -> str:
    """Returns how a command is typed: as the one that runs, else as the README does.

    That is the path of its file, as in `scripts/train`, or `magenta_vae train`. A program that is
    no command of the package, as a benchmark, is typed by its path too.
    """
    running = Path(sys.argv[0])
    if name == running.name and running.suffix == ".py":
        return shlex.quote(sys.argv[0])
    if running.parent.resolve() == bundled("scripts").resolve():
        if sys.argv[0] in sys.orig_argv:
            return shlex.quote(os.path.join(os.path.dirname(sys.argv[0]), name))
        return f"magenta_vae {name}"
    return f"magenta_vae {name}" if (PACKAGE_DIR / "scripts").is_dir() else f"scripts/{name}"


def magenta_configurations() -> list[str]:
    """Returns the names of the configurations of Magenta's that can be imported."""
    names = (path.stem for path in (bundled("gin_configs") / MAGENTA_FOLDER).glob("*.gin"))
    return sorted(set(names) - set(_SHARED))
