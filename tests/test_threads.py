"""TensorFlow runs two operations side by side, unless somebody said otherwise."""

import os
import subprocess
import sys

import pytest

COUNT = """
from magenta_vae import threads
threads.count_cores = lambda: 6
threads.share_cores()
import os
print(os.environ["TF_NUM_INTRAOP_THREADS"])
"""


@pytest.mark.parametrize(("given", "expected"), [({}, "3"), ({"TF_NUM_INTRAOP_THREADS": "5"}, "5")])
def test_an_operation_has_half_of_the_cores_unless_a_number_is_given(given, expected):
    environment = {k: v for k, v in os.environ.items() if k != "TF_NUM_INTRAOP_THREADS"}
    command = [sys.executable, "-c", COUNT]
    done = subprocess.run(
        command, env=environment | given, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == expected
