"""Files are whole or absent."""

import errno
import fcntl
import os

import pytest

from magenta_vae import files


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


def test_a_missing_folder_is_made(tmp_path):
    files.write_text(tmp_path / "new" / "a.txt", "text")
    assert (tmp_path / "new" / "a.txt").read_text() == "text"
    with pytest.raises(FileExistsError, match="a.txt"):
        files.write_text(tmp_path / "new" / "a.txt" / "b.txt", "text")


def test_a_lock_is_held_by_one(tmp_path):
    path = tmp_path / "new" / "lock"
    refused = pytest.raises(FileExistsError, match="taken")
    with files.locked(path, "taken"), refused, files.locked(path, "taken"):
        pass
    with files.locked(path, "taken"):
        pass


def test_a_disk_that_knows_no_locks_is_no_hindrance(tmp_path, monkeypatch):
    def flock(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    number = errno.ENOLCK
    with files.locked(tmp_path / "lock", "taken"):
        pass
    number = errno.EIO
    with pytest.raises(OSError, match="Input/output"), files.locked(tmp_path / "lock", "taken"):
        pass


def test_damage_is_named(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("{")
    with pytest.raises(ValueError, match="a.json is damaged"):
        files.read_json(path)
    path.write_text("[1]")
    assert files.read_json(path) == [1]
    with pytest.raises(ValueError, match="a.json is damaged, it holds no b, c"):
        files.read_json(path, ("b", "c"))
    path.write_text('{"b": null}')
    assert files.read_json(path, ("b",)) == {"b": None}


def test_a_pipe_and_a_giant_are_no_json(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(ValueError, match="pipe.json is damaged, it holds no JSON: it is no file"):
        files.read_json(tmp_path / "pipe.json")
    monkeypatch.setattr(files, "MAX_JSON_BYTES", 3)
    (tmp_path / "giant.json").write_text("[1, 2]")
    with pytest.raises(ValueError, match="giant.json is damaged.* it has more than 3 bytes"):
        files.read_json(tmp_path / "giant.json")
