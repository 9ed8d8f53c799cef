"""Where gin files, commands and songs lie, in a checkout and in a wheel."""

from pathlib import Path

PACKAGE_DIR = Path(__file__).parents[1]
MAGENTA_FOLDER = "magenta"  # under gin_configs/
_SHARED = ("shared", "flat", "hierdec", "mel")  # Included by the others, no configurations.


def bundled(name: str) -> Path:
    """Returns a folder that lies beside the package in a checkout and within it in a wheel."""
    inside = PACKAGE_DIR / name
    return inside if inside.is_dir() else PACKAGE_DIR.parent / name


def command(name: str) -> str:
    """Returns how a command is typed: `scripts/train` in a checkout, `magenta_vae train` else."""
    return f"magenta_vae {name}" if (PACKAGE_DIR / "scripts").is_dir() else f"scripts/{name}"


def magenta_configurations() -> list[str]:
    """Returns the names of the configurations of Magenta's that can be imported."""
    names = (path.stem for path in (bundled("gin_configs") / MAGENTA_FOLDER).glob("*.gin"))
    return sorted(set(names) - set(_SHARED))
