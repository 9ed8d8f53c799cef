"""Tasks of a build on the workers of a Dask cluster (the extra `dask`)."""

import concurrent.futures
import contextlib
import warnings
from collections.abc import Callable, Iterator, Sequence

from magenta_vae import display
from magenta_vae.data.distributed import RunTasks
from magenta_vae.data.workers import WorkerError

SECONDS_TO_CONNECT = 30


@contextlib.contextmanager
def connected(scheduler: str) -> Iterator[RunTasks]:
    """Gives what runs tasks on the workers of a scheduler.

    Dask gives the task of a worker that dies to another one, three times.

    Args:
        scheduler: its address, as in tcp://HOST:8786.

    Raises:
        OSError: where nothing answers there.
        ValueError: for no address; where Dask is not installed, or this package not on a worker.
        WorkerError: where the scheduler is lost, or a task kills every worker that it is given to.
    """
    try:
        import distributed
        from distributed.comm import CommClosedError as CommError
    except ImportError as error:
        raise ValueError("--scheduler needs Dask: pip install 'magenta_vae[dask]'.") from error
    try:
        client = distributed.Client(scheduler, timeout=SECONDS_TO_CONNECT)
    except ValueError as error:
        raise ValueError(
            f"--scheduler is an address as in tcp://HOST:8786. Received: {scheduler}: {error}"
        ) from error
    except OSError as error:
        raise OSError(
            f"--scheduler={scheduler}: no scheduler of Dask answers there: {error}"
        ) from error

    def run_tasks(function: Callable[..., None], tasks: Sequence[tuple], what: str) -> None:
        if not tasks:
            return
        if not client.scheduler_info()["workers"]:
            message = f"{scheduler} has no worker yet: the build waits for one."
            warnings.warn(message, stacklevel=2)
        futures = [client.submit(function, *task, pure=False) for task in tasks]
        done = distributed.as_completed(futures)
        try:
            for future in display.track(done, what, len(futures)):
                future.result()
        except ImportError as error:
            raise ValueError(
                f"A worker at {scheduler} cannot import what the build needs: install the same "
                f"version of magenta_vae there. {error}"
            ) from error
        except (distributed.KilledWorker, concurrent.futures.CancelledError, CommError) as error:
            raise WorkerError(f"{what} at {scheduler}: {error}") from error
        finally:
            client.cancel(futures)

    with client:
        yield run_tasks
