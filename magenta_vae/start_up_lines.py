"""What TensorFlow writes while it starts: held back in a command, and shown where the start fails.

TensorFlow and its friends greet every process with lines of C++ code on file descriptor 2: of
oneDNN, of instruction sets, on a machine without a GPU an error of CUDA. While a command imports
them that descriptor is a temporary file. What it holds is shown

- where the import raises an exception,
- where the process dies in it: a child waits for that and shows what its parent cannot,
- where the machine has an NVIDIA GPU that TensorFlow does not find: the lines say why.

What Python writes to `sys.stderr` meanwhile, warnings and tracebacks, is seen at once, and so is
everything that C++ code writes later. `MAGENTA_VAE_START_UP_LINES=1` in the environment, or
`TF_CPP_MIN_LOG_LEVEL=0`, has all lines shown as they come.
"""

import contextlib
import glob
import os
import shutil
import signal
import sys
import tempfile
import warnings
from collections.abc import Iterator

SWITCH = "MAGENTA_VAE_START_UP_LINES"
LEVEL = "TF_CPP_MIN_LOG_LEVEL"  # TensorFlow's: 0 shows all, 1 no notices, 2 no warnings either
STDERR = 2

_is_on = False
_hold: "_Hold | None" = None  # The one at work: holds within it add nothing.
_is_settled = False


def hold_back() -> None:
    """Has this process hold its start-up lines back, unless its environment asks for them."""
    global _is_on
    if os.environ.get(SWITCH, "0") not in ("", "0") or os.environ.get(LEVEL) == "0":
        return
    os.environ.setdefault(LEVEL, "1")
    _is_on = True


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Holds back what is written to file descriptor 2, where `hold_back` was called."""
    global _hold
    if not _is_on or _hold is not None:
        yield
        return
    try:
        _hold = _Hold()
    except (OSError, AttributeError):  # No standard error, or no place for a temporary file.
        yield
        return
    try:
        yield
    except Exception:
        if _hold is not None:
            _hold.is_shown = True
        raise
    finally:
        forget()


def forget() -> None:
    """Ends the hold at work, if there is one: what follows is no failure of the start."""
    global _hold
    if _hold is not None:
        _hold.end()
        _hold = None


def look_for_devices(tensorflow) -> None:
    """Has TensorFlow look for its devices, of which it says what is amiss.

    Args:
        tensorflow: the module, as it has just been imported within `held`.
    """
    if _hold is not None and not tensorflow.config.list_physical_devices("GPU") and _has_gpu():
        _hold.is_shown = True


def settle() -> None:
    """Has TensorFlow say, held back, what it says once of the operations that a model uses.

    That makes its devices ready: whatever configures them comes before. In a program that is no
    command nothing happens.
    """
    global _is_settled
    if not _is_on or _is_settled:
        return
    _is_settled = True
    import tensorflow as tf

    with tf.device("CPU"):
        tokens = tf.constant([[0]])
        with held():
            tf.transpose(tokens)  # Without AVX-512 oneDNN leaves that of whole numbers to others.


def _has_gpu() -> bool:
    """Says whether the machine has an NVIDIA GPU and its driver."""
    return bool(glob.glob("/dev/nvidia[0-9]*")) and os.environ.get("CUDA_VISIBLE_DEVICES") not in (
        "",
        "-1",
    )


class _Hold:
    """File descriptor 2 as a temporary file.

    Attributes:
        is_shown: whether its text is shown at the end.
    """

    def __init__(self) -> None:
        self.is_shown = False
        sys.stderr.flush()
        self._file = tempfile.TemporaryFile()  # noqa: SIM115
        self._stream = sys.stderr
        # It is not closed at the end: a logger that was made meanwhile may have it.
        self._instead = os.fdopen(os.dup(STDERR), "w", buffering=1, errors="backslashreplace")
        self._watcher = _Watcher(self._file.fileno(), self._instead.fileno())
        sys.stderr = self._instead
        os.dup2(self._file.fileno(), STDERR)

    def end(self) -> None:
        """Gives the descriptor back."""
        os.dup2(self._instead.fileno(), STDERR)
        sys.stderr = self._stream
        self._watcher.end()
        if self.is_shown:
            _copy(self._file.fileno(), STDERR)
        self._file.close()


class _Watcher:
    """A child that copies a file to a descriptor where its parent dies before `end`."""

    def __init__(self, source: int, target: int):
        self._process = 0
        if not hasattr(os, "fork"):
            return
        reading, self._writing = os.pipe()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Of threads: the child waits and copies, no more.
                self._process = os.fork()
            if self._process == 0:
                with contextlib.suppress(BaseException):
                    os.close(self._writing)
                    if not os.read(reading, 1):
                        _copy(source, target)
                os._exit(0)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        os.close(reading)

    def end(self) -> None:
        """Lets the child end without a word."""
        if self._process:
            with contextlib.suppress(OSError):
                os.write(self._writing, b".")
            os.close(self._writing)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self._process, 0)


def _copy(source: int, target: int) -> None:
    """Copies a file from its beginning."""
    os.lseek(source, 0, os.SEEK_SET)
    with os.fdopen(os.dup(source), "rb") as reading, os.fdopen(os.dup(target), "wb") as writing:
        shutil.copyfileobj(reading, writing)
