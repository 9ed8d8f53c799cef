"""Data sets built without a second process."""

import shutil

import pytest
from corpora import SETTINGS, SONGS
from in_process import InProcess

from magenta_vae.data import builder, workers


@pytest.fixture
def in_process(monkeypatch):
    monkeypatch.setattr(workers, "Workers", InProcess)


@pytest.fixture(scope="session")
def as_built(tmp_path_factory):
    """Returns a data set of each kind, which no test loads: {kind: folder}."""
    folders = {kind: str(tmp_path_factory.mktemp("built") / kind) for kind in SETTINGS}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workers, "Workers", InProcess)
        for kind, settings in SETTINGS.items():
            builder.build(SONGS[:14], folders[kind], settings)
    return folders


@pytest.fixture(scope="module")
def built(as_built, tmp_path_factory):
    """Returns copies of `as_built`. Loading a copy writes its tokens beside its records."""
    copies = tmp_path_factory.mktemp("copies")
    return {kind: shutil.copytree(folder, copies / kind) for kind, folder in as_built.items()}
