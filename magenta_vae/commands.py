"""What every command shares: its flags, and errors that fit on a line."""

import sys
import warnings
from collections.abc import Callable, Sequence

from absl import app, flags, logging

flags.disclaim_key_flags()  # The flags below are the command's own: its --help shows them.


def define_gin_flags() -> tuple[flags.FlagHolder, flags.FlagHolder]:
    """Defines --gin_file and --gin_param and returns them."""
    return (
        flags.DEFINE_multi_string(
            "gin_file",
            [],
            "Configuration: a path or a name under gin_configs/. May be repeated; later files win.",
        ),
        flags.DEFINE_multi_string(
            "gin_param",
            [],
            "One binding, as in 'music_vae.MusicVAE.free_bits=10'. May be repeated.",
        ),
    )


def run(main: Callable[[Sequence[str]], None]) -> None:
    """Runs a command; what its user can mend ends in one message and exit status 1."""
    traceback = flags.DEFINE_bool("traceback", False, "Show where in the code an error came from.")

    def guarded(arguments: Sequence[str]) -> None:
        if len(arguments) > 1:
            raise app.UsageError(f"unknown arguments: {' '.join(arguments[1:])}")
        # TensorFlow's and its friends' notices to their own developers.
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        if not flags.FLAGS["verbosity"].present:
            logging.set_verbosity(logging.WARNING)
        try:
            main(arguments)
        except (OSError, ValueError, ArithmeticError) as error:
            if traceback.value:
                raise
            sys.exit(f"error: {error}")
        except KeyboardInterrupt:
            sys.exit("interrupted")

    app.run(guarded)


def report(line: str) -> None:
    """Prints a line at once, also into a pipe."""
    print(line, flush=True)
