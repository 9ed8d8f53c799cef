"""What the peers' programs answer to `peers.Program`, in any Python from 3.8 on."""

import json
import sys
import time


def serve_steps(step, num_parameters):
    """Takes a first step, prints the facts; then, for each number read, that many steps' seconds.

    Args:
        step: () -> anything; takes a training step and waits for its end.
        num_parameters: of the model that is trained.
    """
    step()
    print(json.dumps({"parameters": num_parameters}), flush=True)
    for line in sys.stdin:
        seconds = []
        for _ in range(int(line)):
            start = time.perf_counter()
            step()
            seconds.append(time.perf_counter() - start)
        print(json.dumps({"seconds": seconds}), flush=True)
