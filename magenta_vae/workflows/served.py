"""A run on this machine's stand-in for TensorFlow Serving, until it is told to end."""

import os
import signal
import tempfile
import threading
from collections.abc import Callable

from magenta_vae import display
from magenta_vae.serving import stand_in
from magenta_vae.workflows import exports, next_steps
from magenta_vae.workflows.runs import Run


def serve(run: Run, rest_port: int, grpc_port: int, report: Callable[[str], None]) -> None:
    """Exports a run into a temporary folder and serves it until Ctrl-C or SIGTERM.

    Args:
        run: an opened run.
        rest_port, grpc_port: 0 for free ones. gRPC is served where its packages are installed.
        report: is given the addresses and how to ask.

    Raises:
        OSError: for ports that are taken.
        ValueError: for a model without a latent space.
    """
    name = os.path.basename(os.path.abspath(run.folder))
    with tempfile.TemporaryDirectory() as folder:
        model_dir = os.path.join(folder, name)
        exports.export(run, model_dir)
        grpc = grpc_port if stand_in.has_grpc() else None
        with stand_in.serving(model_dir, name, rest_port, grpc) as addresses:
            both = " and ".join(filter(None, addresses))
            report(f"{name} answers at {both}\nCtrl-C ends it")
            report("\n" + next_steps.to_ask(name, addresses.rest))
            with display.hidden():
                _wait_for_a_signal()


def _wait_for_a_signal() -> None:
    told = threading.Event()
    kinds = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(kind, lambda *_: told.set()) for kind in kinds]
    try:
        told.wait()
    finally:
        for kind, handler in zip(kinds, before, strict=True):
            signal.signal(kind, handler)
