#!/usr/bin/env python3
"""Serves an exported model on this machine and asks it from several processes.

benchmarks/serve.py --run_dir=runs/mel_2bar --num_requests=10000

Prints requests a second, the time until an answer, the server's memory, what malformed requests are
told, and how long the exported decode takes beside `TrainedModel`'s. The server is the stand-in of
`serving/stand_in`: TensorFlow Serving itself is faster. Ends by itself.
"""

import json
import multiprocessing
import tempfile
import time
from pathlib import Path

from absl import flags

from magenta_vae import commands

RUN_DIR = flags.DEFINE_string("run_dir", None, "Folder of the run.", required=True)
NUM_REQUESTS = flags.DEFINE_integer("num_requests", 10_000, "Of all clients.", lower_bound=1)
NUM_CLIENTS = flags.DEFINE_integer("num_clients", 4, "Processes that ask.", lower_bound=1)
ROWS = flags.DEFINE_integer("rows", 1, "Rows of a request.", lower_bound=1)
MAX_SECONDS = flags.DEFINE_integer("max_seconds", 600, "After which no more is asked.")
PROTOCOL = flags.DEFINE_enum("protocol", "grpc", ["grpc", "rest"], "How the clients ask.")
BATCH_SIZES = flags.DEFINE_list("batch_sizes", ["1", "16", "64"], "Of decode beside TrainedModel.")

NAME = "model"


def serve(model_dir, addresses, stop):
    """Serves until told to stop."""
    from magenta_vae.serving import stand_in

    with stand_in.serving(model_dir, NAME) as served:
        addresses.put(served._asdict())
        stop.wait()


def ask(address, num_requests, rows, deadline, results):
    """Puts the seconds that each request for samples took."""
    import numpy as np

    from magenta_vae.serving import transports

    transport = transports.connect(address, NAME, None, 60)
    temperature = np.full(rows, 0.5, np.float32)
    seconds = []
    for number in range(num_requests):
        if time.time() > deadline:
            break
        start = time.perf_counter()
        seed = np.arange(rows) + number * rows
        transport.predict("sample", {"seed": seed, "temperature": temperature})
        seconds.append(time.perf_counter() - start)
    results.put(seconds)


def resident_mb(pid):
    """Returns the memory that a process has in use."""
    with open(f"/proc/{pid}/status") as file:
        line = next(line for line in file if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def load(address, num_requests):
    """Returns the seconds of all requests, asked by all clients at once, and the whole time."""
    spawn = multiprocessing.get_context("spawn")
    results = spawn.Queue()
    each = -(-num_requests // NUM_CLIENTS.value)
    deadline = time.time() + MAX_SECONDS.value
    clients = [
        spawn.Process(target=ask, args=(address, each, ROWS.value, deadline, results), daemon=True)
        for _ in range(NUM_CLIENTS.value)
    ]
    start = time.perf_counter()
    for client in clients:
        client.start()
    seconds = sum((results.get(timeout=MAX_SECONDS.value + 120) for _ in clients), [])
    return seconds, time.perf_counter() - start


def measure_load(address, pid):
    """Prints how fast the server answers, and its memory after a tenth and after all."""
    import numpy as np

    few = max(NUM_CLIENTS.value, NUM_REQUESTS.value // 10)
    load(address, few)
    before = resident_mb(pid)
    seconds, whole = load(address, NUM_REQUESTS.value)
    after = resident_mb(pid)
    p50, p99 = np.percentile(seconds, [50, 99]) * 1000
    commands.report(
        f"{len(seconds):,} requests of {ROWS.value} samples from {NUM_CLIENTS.value} processes by "
        f"{PROTOCOL.value}: {len(seconds) / whole:.1f} requests/s with the start of the clients, "
        f"p50 {p50:.1f} ms, p99 {p99:.1f} ms"
    )
    commands.report(
        f"server's memory: {before:.0f} MB after {few:,} requests, {after:.0f} MB at end"
    )


def measure_errors(address, description):
    """Prints what malformed requests are told, and that the server answers after them."""
    import numpy as np

    from magenta_vae.serving import transports

    transport = transports.connect(address, NAME, None, 60)
    right = {
        "z": np.zeros([2, description["z_size"]], np.float32),
        "temperature": np.ones(2, np.float32),
        "seed": np.arange(2),
    }
    wrong = {
        "z": (right["z"][:, 1:], right["z"] + np.float32(np.nan)),
        "temperature": (np.zeros(2, np.float32), np.ones(3, np.float32)),
        "seed": (-np.ones(2, np.int64), np.ones(2, np.float32)),
    }
    for field, values in wrong.items():
        for value in values:
            try:
                transport.predict("decode", {**right, field: value})
                commands.report(f"  {field}: NOT refused")
            except transports.ServingError as error:
                lines = str(error).splitlines()
                commands.report(f"  {field}: {lines[0].partition(NAME + ': ')[2]}")
    transport.predict("decode", right)
    commands.report("  and a right request is answered")


def measure_decode(model_dir, trained):
    """Prints the seconds of a decode by the export and by `TrainedModel`, taken in turns."""
    import numpy as np

    from magenta_vae.serving import stand_in

    served = stand_in.Servable(model_dir)
    commands.report(f"{'batch':>6}{'exported ms':>13}{'TrainedModel ms':>17}{'ratio':>7}")
    for size in map(int, BATCH_SIZES.value):
        z = np.random.default_rng(0).normal(size=[size, trained.z_size]).astype(np.float32)
        request = {"z": z, "temperature": np.full(size, 0.5, np.float32), "seed": np.arange(size)}
        ways = (
            lambda request=request: served.run("decode", request),
            lambda z=z: trained.decode_tokens(z, 0.5),
        )
        seconds = [[], []]
        for _ in range(22):
            for way, own in zip(ways, seconds, strict=True):
                start = time.perf_counter()
                way()
                own.append(time.perf_counter() - start)
        exported, own = (np.median(one[2:]) * 1000 for one in seconds)  # The first ones build.
        commands.report(f"{size:>6}{exported:>13.1f}{own:>17.1f}{exported / own:>7.2f}")


def main(_):
    from magenta_vae.workflows import exports, runs

    spawn = multiprocessing.get_context("spawn")
    addresses, stop = spawn.Queue(), spawn.Event()
    with tempfile.TemporaryDirectory() as model_dir:
        run = runs.open(RUN_DIR.value)
        path = exports.export(run, model_dir)
        trained = run.model()
        description = json.loads(Path(path, "assets", "model.json").read_text())
        measure_decode(model_dir, trained)
        server = spawn.Process(target=serve, args=(model_dir, addresses, stop), daemon=True)
        server.start()
        try:
            both = addresses.get(timeout=120)
            measure_load(both[PROTOCOL.value], server.pid)
            commands.report("malformed requests:")
            measure_errors(both["grpc"], description)
        finally:
            stop.set()
            server.join(30)


if __name__ == "__main__":
    commands.run(main)
