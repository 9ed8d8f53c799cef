"""What data sets are built of in these tests. Imports no TensorFlow."""

import os
import signal
import time
from pathlib import Path

from musical import DRUMS, MELODY, TRIO

from magenta_vae.data import builder, examination

SONGS = [str(path) for path in sorted((Path(__file__).parents[2] / "testdata").glob("*.mid"))]
SETTINGS = {
    "melody": builder.Settings(MELODY, 2, eval_fraction=0.3),
    "drums": builder.Settings(DRUMS, 2, eval_fraction=0.3),
    "trio": builder.Settings(TRIO, 4, eval_fraction=0.3),
}


def die(source, settings):
    """Stands in for `builder.examine`: dies of one file, hangs over another."""
    if "deadly" in source.name:
        os.kill(os.getpid(), signal.SIGKILL)
    if "endless" in source.name:
        time.sleep(600)
    return examination.examine(source, settings)
