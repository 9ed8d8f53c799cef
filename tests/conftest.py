"""Quiet, deterministic TensorFlow for the tests that use it, and what several files share."""

import os
import signal
import subprocess

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
if "PYTEST_XDIST_WORKER" in os.environ:  # A core for each of the tests' processes.
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # As of what a shell runs in the background.
    signal.signal(signal.SIGINT, signal.default_int_handler)  # Programs that tests run inherit it.


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 160 KB, where one may be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=160k", "tmpfs", folder]
    try:
        mounted = subprocess.run(command, capture_output=True)
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    if mounted.returncode:
        pytest.skip("mounting is not permitted")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.fixture(scope="session")
def data_dirs(tmp_path_factory):
    """Data sets of twelve of the bundled songs, by configuration."""
    from in_process import InProcess

    from magenta_vae import configuration
    from magenta_vae.data import builder, workers
    from magenta_vae.workflows import datasets

    files = builder.find_files([str(configuration.bundled("testdata"))])[:12]
    folders = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workers, "Workers", InProcess)
        for name in ("mel_2bar", "drums_2bar", "hierdec_mel_32bar", "hierdec_trio_16bar"):
            experiment = configuration.parse([f"{name}.gin"]).experiment
            folders[name] = str(tmp_path_factory.mktemp("data") / name)
            datasets.build_dataset(experiment, files, folders[name], num_workers=1)
    return folders
