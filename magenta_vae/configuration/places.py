"""Where gin files, commands and songs lie, in a checkout and in a wheel."""

from pathlib import Path

PACKAGE_DIR = Path(__file__).parents[1]


def bundled(name: str) -> Path:
    """Returns a folder that lies beside the package in a checkout and within it in a wheel."""
    inside = PACKAGE_DIR / name
    return inside if inside.is_dir() else PACKAGE_DIR.parent / name


def command(name: str) -> str:
    """Returns how a command is typed: `scripts/train` in a checkout, `magenta_vae train` else."""
    return f"magenta_vae {name}" if (PACKAGE_DIR / "scripts").is_dir() else f"scripts/{name}"
