"""Files are whole or absent."""

import os

import pytest

from magenta_vae.music import files


def test_a_file_appears_when_it_is_whole(tmp_path):
    path = tmp_path / "a.txt"
    with files.replacing(path) as beside:
        assert os.path.dirname(beside) == str(tmp_path)
        with open(beside, "w") as file:
            file.write("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_leaves_what_was_there(tmp_path):
    path = tmp_path / "a.txt"
    files.write_text(path, "old")
    with pytest.raises(OSError, match="full"), files.replacing(path) as beside:
        with open(beside, "w") as file:
            file.write("half")
        raise OSError("the disk is full")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
