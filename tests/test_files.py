"""Files are whole or absent."""

import errno
import fcntl
import os
from pathlib import Path

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


@pytest.mark.parametrize("place", [files.replacing, files.staging])
def test_a_full_disk_is_named_and_folders_that_were_made_for_it_go(place, tmp_path):
    path = tmp_path / "new" / "folder" / "a"
    with pytest.raises(OSError, match=f"No space left on device: '{path}'$") as caught, place(path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # As `write` does.
    assert caught.value.errno == errno.ENOSPC
    assert list(tmp_path.iterdir()) == []


def test_a_really_full_disk_is_named(small_disk):
    for path in ("a.txt", "new/a.txt"):
        with pytest.raises(OSError, match=f"No space left on device: '{small_disk}/{path}'$"):
            files.write_text(small_disk / path, "text" * 100_000)
    assert list(small_disk.iterdir()) == []


def test_a_file_beside_is_named_by_its_place(tmp_path):
    path = tmp_path / "a"
    path.mkdir()
    with pytest.raises(IsADirectoryError, match=f"Is a directory: '{path}'$"):
        files.write_text(path, "text")
    refused = pytest.raises(NotADirectoryError, match=f"Not a directory: '{tmp_path}'$")
    with refused, files.staging(tmp_path) as beside:
        Path(beside, "a").touch()
        Path(beside, "a", "b").touch()
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_of_another_file_is_left_as_it_is(tmp_path):
    with pytest.raises(FileNotFoundError, match="elsewhere'$"), files.replacing(tmp_path / "a"):
        (tmp_path / "elsewhere").read_text()
    with pytest.raises(ConnectionResetError) as caught, files.staging(tmp_path):
        raise ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")
    assert caught.value.filename is None


def test_folders_that_were_there_stay_where_the_writing_fails(tmp_path):
    (tmp_path / "there").mkdir()
    with pytest.raises(KeyboardInterrupt), files.staging(tmp_path / "there" / "new"):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == [tmp_path / "there"]
    with pytest.raises(KeyboardInterrupt), files.staging(tmp_path / "new"):
        (tmp_path / "new" / "others").touch()
        raise KeyboardInterrupt
    assert (tmp_path / "new" / "others").is_file()


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
