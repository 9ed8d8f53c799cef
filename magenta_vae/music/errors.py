"""Why music cannot be used."""

import contextlib
import traceback
from collections.abc import Iterator


class SongError(ValueError):
    """A file or NoteSequence that cannot be used.

    Attributes:
        reason: the rule it breaks, from a small fixed set: what the counts are keyed by.
        detail: what was expected and what was found.
    """

    def __init__(self, reason: str, detail: str = ""):
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail

    def __reduce__(self):  # Pickled whole on its way back from a worker process.
        return (SongError, (self.reason, self.detail))


class VocabularyError(ValueError):
    """An error that a vocabulary raised where it was asked for tokens or notes.

    Attributes:
        reason: the class of the vocabulary, and that of the error.
        detail: what the error says, and the line that raised it.
    """

    def __init__(self, reason: str, detail: str):
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail

    def __reduce__(self):  # As that of a song.
        return (VocabularyError, (self.reason, self.detail))


@contextlib.contextmanager
def naming(vocabulary: object) -> Iterator[None]:
    """Raises the errors of what is done within as `VocabularyError`s: it may be anybody's code.

    What says that music cannot be used, and want of memory, is raised as it is.
    """
    try:
        yield
    except (SongError, VocabularyError, MemoryError):
        raise
    except Exception as error:
        kind = type(vocabulary)
        place = traceback.extract_tb(error.__traceback__)[-1]
        raise VocabularyError(
            f"{kind.__module__}.{kind.__qualname__} raised {type(error).__name__}",
            f"{error} ({place.filename}, line {place.lineno})",
        ) from error
