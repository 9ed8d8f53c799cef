"""A command's imports: what they leave out, and what they leave as it is."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from magenta_vae.import_stand_ins import SWITCH

ROOT = Path(__file__).parent.parent
PROGRAM = """
OLD_KERAS = "tensorflow.python.keras"
import sys
from magenta_vae import import_stand_ins
import_stand_ins.install()
import gc
assert gc.isenabled()
import keras
assert gc.isenabled()
import magenta_vae.music
import numpy as np
from magenta_vae.model import latent
kl = latent.kl_to_prior(latent.posterior(np.float32([[1, -1]]), np.float32([[1, 1]])))
np.testing.assert_allclose(kl, [1])
left_out = {"matplotlib", "pandas", "sklearn", "bokeh", "tf_keras", OLD_KERAS}
left_out |= {"scipy.io", "scipy.linalg"}
assert not left_out & set(sys.modules), left_out & set(sys.modules)
import matplotlib.pyplot
from magenta_vae.music import plots
import note_seq
melody_inference = note_seq.melody_inference
assert melody_inference.infer_melody_for_sequence.__module__ == "note_seq.melody_inference"
assert not hasattr(note_seq, "nothing_of_that_name")
from note_seq import notebook_utils
assert notebook_utils.plot_sequence.__module__ == "note_seq.notebook_utils"
from tensorflow.python.keras.legacy_tf_layers import core
assert core.Dense.__module__ == "tensorflow.python.keras.legacy_tf_layers.core"
import typing
import tensorflow as tf
assert tf.config.optimizer.get_experimental_options()["disable_meta_optimizer"]
assert sys.modules["typing"] is typing and typing.TypeVar("T", int, str).__constraints__
import distutils.version, h5py, requests, rich.console
assert distutils.version.LooseVersion("1.10") > distutils.version.LooseVersion("1.9")
assert hasattr(h5py, "File") and hasattr(rich.console, "Console") and hasattr(requests, "get")
import tf_keras
assert tf_keras.layers.Dense(3)(np.ones([2, 5])).shape == (2, 3)
assert keras.layers.Dense(3)(keras.ops.ones([2, 5])).shape == (2, 3)
print("fine")
"""
USES = {
    "matplotlib.pyplot.subplots": "keras.visualization.plot_image_gallery(np.ones([1, 2, 2, 3]))",
    "note_seq.notebook_utils.plot_sequence": "note_seq.plot_sequence(None)",
    "sklearn.base.ClassifierMixin": "keras.wrappers.SKLearnClassifier(None)",
    "tensorflow_probability.python.layers.DenseFlipout": "tfp.layers.DenseFlipout(3)",
    "tensorflow_probability.python.layers": "tfp.layers.__version__",
}
IMPORTS = """
from magenta_vae import import_stand_ins
import_stand_ins.install()
import keras, note_seq
import numpy as np
import tensorflow_probability as tfp
import tensorflow_probability.python.distributions
"""
PLUG_IN = """
import keras
model = keras.Sequential([keras.layers.Dense(3)])
model.build((2, 4))
model.summary()
"""


def run(program, **environment):
    return subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env={**os.environ, SWITCH: "", **environment},
    )


def test_packages_that_a_command_does_not_use_are_left_out_and_can_be_imported_later():
    ran = run(PROGRAM)
    assert ran.stdout.strip() == "fine", ran.stderr


def test_without_it_they_are_imported_as_they_are():
    program = PROGRAM.replace("import_stand_ins.install()\n", "")
    ran = run(program)
    assert "AssertionError: {" in ran.stderr, ran.stderr


@pytest.mark.slow
def test_the_switch_turns_stand_ins_off_and_leaves_graphs_as_they_are():
    ran = run(PROGRAM, **{SWITCH: "1"})
    assert "AssertionError: {" in ran.stderr, ran.stderr
    program = "print(note_seq.plot_sequence.__module__, tfp.layers.DenseFlipout.__module__)"
    program += "; import tensorflow as tf; print(tf.config.optimizer.get_experimental_options())"
    printed = run(IMPORTS + program, **{SWITCH: "1"}).stdout
    assert "note_seq.notebook_utils tensorflow_probability.python.layers.dense_var" in printed
    assert "'disable_meta_optimizer': True" in printed


@pytest.mark.parametrize("name", USES)
def test_a_stand_in_that_is_used_names_itself_and_the_switch(name):
    error = run(IMPORTS + USES[name]).stderr.splitlines()[-1]
    assert f"{name} is not there" in error and f"{SWITCH}=1" in error


def test_a_module_of_ones_own_can_print_a_summary_within_a_command(tmp_path):
    (tmp_path / "my_parts.py").write_text(PLUG_IN)
    (tmp_path / "mine.gin").write_text("import my_parts\ninclude 'mel_2bar.gin'\n")
    ran = subprocess.run(
        [sys.executable, ROOT / "scripts" / "train", "--gin_file=mine.gin"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert "Total params: 15" in ran.stdout, ran.stderr
    assert "error: --data_dir is needed" in ran.stderr
