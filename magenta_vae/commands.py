"""What every command shares: its flags, and errors that fit on a line."""

import sys
import warnings
from collections.abc import Callable, Sequence

from absl import app, flags, logging

GIN_FILE = flags.DEFINE_multi_string(
    "gin_file",
    [],
    "Configuration: a path, or a name under gin_configs/. May be repeated; later files win.",
)
GIN_PARAM = flags.DEFINE_multi_string(
    "gin_param", [], "One binding, as in 'music_vae.MusicVAE.free_bits=10'. May be repeated."
)
TRACEBACK = flags.DEFINE_bool("traceback", False, "Show where in the code an error came from.")


def run(main: Callable[[Sequence[str]], None]) -> None:
    """Runs a command; what its user can mend ends in one message and exit status 1."""

    def guarded(arguments: Sequence[str]) -> None:
        # TensorFlow's and its friends' notices to their own developers.
        if not flags.FLAGS["verbosity"].present:
            logging.set_verbosity(logging.WARNING)
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        if len(arguments) > 1:
            raise app.UsageError(f"Unknown arguments: {' '.join(arguments[1:])}")
        try:
            main(arguments)
        except (OSError, ValueError, ArithmeticError) as error:
            if TRACEBACK.value:
                raise
            print(f"error: {error}", file=sys.stderr)
            sys.exit(1)
        except KeyboardInterrupt:
            sys.exit(130)

    app.run(guarded)


def report(line: str) -> None:
    """Prints a line at once, also into a pipe."""
    print(line, flush=True)
