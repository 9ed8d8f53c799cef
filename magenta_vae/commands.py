"""How every command runs: its flags are read, and its errors fit on a line."""

import contextlib
import os
import re
import signal
import sys
import warnings
from collections.abc import Callable, Sequence

from absl import app, flags, logging

from magenta_vae import command_help, display, import_stand_ins, interrupts

NOTHING_WRITTEN = "nothing was written; the same command begins anew"
WHOLE_FILES = "every file that was written is whole; the same command begins anew"
HELP_FLAGS = ("-h", "-help", "--help", "-helpshort", "--helpshort", "-?", "--?")
FULL_HELP_FLAGS = ("-helpfull", "--helpfull")
BROKEN_PIPE = 128 + signal.SIGPIPE

interrupts.take_over()
flags.disclaim_key_flags()  # The flag below is the command's own: its --help shows it.


def run(
    main: Callable[[Sequence[str]], None],
    takes_arguments: bool | str = False,
    when_interrupted: str | Callable[[], str] = "",
) -> None:
    """Runs a command; what its user can mend ends in one message and exit status 1.

    Args:
        main: given the command's name, and what stands beside its flags or after `--` if it takes
            that.
        takes_arguments: whether it does; a text stands in the first line of `--help`.
        when_interrupted: what Ctrl-C leaves, and how the command goes on, or what returns that.
    """
    traceback = flags.DEFINE_bool("traceback", False, "Show where in the code an error came from.")
    name = os.path.basename(sys.argv[0])
    given = sys.argv[1 : sys.argv.index("--") if "--" in sys.argv else None]
    if set(HELP_FLAGS).intersection(given):
        _print_help(name, takes_arguments if isinstance(takes_arguments, str) else "")

    def guarded(arguments: Sequence[str]) -> None:
        # TensorFlow's and its friends' notices to their own developers.
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        warnings.filterwarnings("ignore", "Couldn't find ffmpeg", RuntimeWarning)
        warnings.formatwarning = lambda message, *_: f"warning: {message}\n"
        warnings.showwarning = _show_warning
        if not flags.FLAGS["verbosity"].present:
            logging.set_verbosity(logging.WARNING)
        import_stand_ins.install()
        try:
            with display.opened():
                main(arguments)
            sys.stdout.flush()
        except BrokenPipeError:
            _end_of_pipe()
        except (OSError, ValueError, ArithmeticError, MemoryError) as error:
            if traceback.value:
                raise
            sys.exit(f"error: {error}")
        except KeyboardInterrupt:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # What follows takes no time.
            left = when_interrupted if isinstance(when_interrupted, str) else when_interrupted()
            print(": ".join(["interrupted", left] if left else ["interrupted"]), file=sys.stderr)
            sys.exit(interrupts.STATUS)
        # Nothing is left to do but to end, in which Python would print a traceback.
        with contextlib.suppress(ValueError):
            signal.signal(signal.SIGINT, signal.SIG_DFL)

    try:
        app.run(guarded, flags_parser=lambda given: _parse(given, name, bool(takes_arguments)))
    except SystemExit:
        if set(FULL_HELP_FLAGS).intersection(given):
            sys.exit(0)  # What was asked for has been printed: no failure, as absl calls it.
        raise


def report(line: str) -> None:
    """Prints a line at once, also into a pipe."""
    display.write(line)


def _parse(given: list[str], name: str, takes_arguments: bool) -> list[str]:
    """Returns what is left of a command line without its flags; what is wrong ends the process."""
    try:
        left = flags.FLAGS(given)
        if len(left) > 1 and not takes_arguments:
            raise flags.Error(f"flags are given as --name=value. Received: {' '.join(left[1:])}")
    except flags.Error as error:
        command = _command(name)
        sys.exit(f"error: {_reword(error)}\n{command} --help says which flags there are.")
    return left


def _reword(error: flags.Error) -> str:
    """Returns what is wrong with flags, for people."""

    def ask(match: re.Match) -> str:
        flag = flags.FLAGS[match[1]]
        return f"--{flag.name} is needed: {command_help.explain(flag)}"

    # Of several flags absl names the values first.
    text = re.sub(r"^flags (\w+=.*?(, )?)+: (?=--)", "", str(error))
    missing = r"flag --(\w+)=None: Flag --\w+ must have a value other than None\."
    return re.sub(missing, ask, text)


def _print_help(name: str, arguments: str) -> None:
    """Prints the help of a command and ends the process."""
    docstring = sys.modules["__main__"].__doc__ or ""
    try:
        text = command_help.format_help(name, _command(name), docstring, arguments=arguments)
        print(text, flush=True)
    except BrokenPipeError:
        _end_of_pipe()
    sys.exit(0)


def _command(name: str) -> str:
    from magenta_vae.configuration import command

    return command(name)


def _show_warning(message, category, filename, lineno, file=None, line=None) -> None:
    text = warnings.formatwarning(message, category, filename, lineno, line)
    display.write(text.rstrip("\n"), file or sys.stderr)


def _end_of_pipe() -> None:
    """Ends the process, whose output nobody reads any more, as in `... | head`."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes it at the end.
    sys.exit(BROKEN_PIPE)
