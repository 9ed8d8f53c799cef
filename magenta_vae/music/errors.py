"""Why music cannot be used."""


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
