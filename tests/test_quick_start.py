"""A command's imports: what they leave out, and what they leave as it is."""

import subprocess
import sys

PROGRAM = """
OLD_KERAS = "tensorflow.python.keras"
import sys
from magenta_vae import quick_start
quick_start.install()
import gc
assert gc.isenabled()
import keras
assert gc.isenabled()
import magenta_vae.music
import numpy as np
from magenta_vae.model import latent
kl = latent.kl_to_prior(latent.posterior(np.float32([[1, -1]]), np.float32([[1, 1]])))
np.testing.assert_allclose(kl, [1])
left_out = {"matplotlib", "pandas", "sklearn", "bokeh", "IPython", "tf_keras", OLD_KERAS}
left_out |= {"PIL", "h5py", "psutil", "requests", "rich", "setuptools", "scipy.io", "scipy.linalg"}
assert not left_out & set(sys.modules), left_out & set(sys.modules)
import matplotlib.pyplot
from magenta_vae.music import plots
from note_seq import notebook_utils
assert notebook_utils.plot_sequence.__module__ == "note_seq.notebook_utils"
from tensorflow.python.keras.legacy_tf_layers import core
assert core.Dense.__module__ == "tensorflow.python.keras.legacy_tf_layers.core"
import typing
import tensorflow as tf
assert tf.config.optimizer.get_experimental_options()["disable_meta_optimizer"]
from tensorflow.python.ops.gen_math_ops import TV_Abs_T
assert isinstance(TV_Abs_T, typing.TypeVar) and not TV_Abs_T.__constraints__
assert sys.modules["typing"] is typing and typing.TypeVar("T", int, str).__constraints__
import distutils.version, h5py, requests, rich.console
assert distutils.version.LooseVersion("1.10") > distutils.version.LooseVersion("1.9")
assert hasattr(h5py, "File") and hasattr(rich.console, "Console") and hasattr(requests, "get")
import tf_keras
assert tf_keras.layers.Dense(3)(np.ones([2, 5])).shape == (2, 3)
assert keras.layers.Dense(3)(keras.ops.ones([2, 5])).shape == (2, 3)
print("fine")
"""


def test_packages_that_a_command_does_not_use_are_left_out_and_can_be_imported_later():
    ran = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert ran.stdout.strip() == "fine", ran.stderr


def test_without_it_they_are_imported_as_they_are():
    program = PROGRAM.replace("quick_start.install()\n", "")
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "AssertionError: {" in ran.stderr, ran.stderr
