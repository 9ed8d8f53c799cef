"""`magenta_vae COMMAND --flags`: the files of `scripts/`, wherever the package is installed."""

import runpy
import sys

from magenta_vae.configuration import bundled


def main() -> None:
    """Runs the command that the first argument names."""
    folder = bundled("scripts")
    names = sorted(path.name for path in folder.iterdir() if path.is_file() and not path.suffix)
    if len(sys.argv) < 2 or sys.argv[1] not in names:
        sys.exit(f"usage: magenta_vae COMMAND [--flag=value ...]\ncommands: {', '.join(names)}")
    sys.argv = [str(folder / sys.argv[1]), *sys.argv[2:]]
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
