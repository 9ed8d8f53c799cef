"""Processes that are forked: TensorFlow hangs in the child of a process that has used it.

Its threads do not come along, and the child waits for them without an end.
"""

import os

_owner: int | None = None  # The process that has used a model.


def claim() -> None:
    """Notes that this process uses a model.

    Raises:
        RuntimeError: in a process that was forked from one which has used a model, with what to do
            instead.
    """
    global _owner
    if _owner is None:
        _owner = os.getpid()
    elif _owner != os.getpid():
        raise RuntimeError(
            f"This process, {os.getpid()}, was forked from process {_owner}, which has used a "
            "model: TensorFlow would hang here without an end. Start processes that use models by "
            "multiprocessing.get_context('spawn') (or 'forkserver'), and load the model in each; "
            "or use threads, which may share a model."
        )
