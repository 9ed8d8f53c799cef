"""What TensorFlow says of files that it cannot read or write, in words for people."""

import contextlib
import re
from collections.abc import Iterator

import tensorflow as tf

# `load_checkpoint` raises LookupError for a file that is too short.
READ_ERRORS = (tf.errors.OpError, LookupError, ValueError)


def reason(error: Exception) -> str:
    """Returns the first line of an error that says something, without the names of nodes."""
    lines = str(getattr(error, "message", None) or error).strip().splitlines()
    # An error within a graph begins with where in the program the graph was made.
    lines = [line for line in lines if "aborted by" in line] or lines
    return re.sub(r"\{\{.*?\}\} *| *\[Op:.*?\]", "", lines[0]) if lines else type(error).__name__


@contextlib.contextmanager
def writing(path: str) -> Iterator[None]:
    """Turns TensorFlow's errors of writing within into an `OSError` that names the path."""
    try:
        yield
    except tf.errors.OpError as error:
        raise OSError(
            f"{path} could not be written: {reason(error)}. Make room or mend the disk, then give "
            "the same command again: what was saved before is whole."
        ) from error
