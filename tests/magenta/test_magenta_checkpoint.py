"""Where a checkpoint may lie, and that of a tar nothing is read but its own files."""

import gzip
import io
import shutil
import tarfile
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from magenta_vae.magenta import checkpoint as magenta_checkpoint
from magenta_vae.magenta.checkpoint import open_checkpoint
from magenta_vae.music import packing

FOLDER = Path(__file__).parents[1] / "fixtures" / "magenta" / "cat-mel_2bar_big"
PREFIX = "model.ckpt-1000"
INDEX, DATA = f"{PREFIX}.index", f"{PREFIX}.data-00000-of-00001"
NAME = "encoder/mu/bias"


@pytest.fixture
def copied(tmp_path):
    """Returns a copy of the checkpoint's folder, to be damaged."""
    folder = tmp_path / "copied"
    folder.mkdir()
    for name in (INDEX, DATA):
        shutil.copyfile(FOLDER / name, folder / name)
    return folder


@pytest.fixture
def scratch(tmp_path, monkeypatch):
    """Returns the folder that tars are unpacked in."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def pack(path, members, mode="w"):
    """Writes a tar of (name, content) or of ready `TarInfo`s."""
    with tarfile.open(path, mode) as tar:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                tar.addfile(member)
                continue
            name, content = member
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return str(path)


def link(name, target, kind=tarfile.SYMTYPE):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def files(prefix=""):
    return [(prefix + name, (FOLDER / name).read_bytes()) for name in (INDEX, DATA)]


def read(path):
    with open_checkpoint(str(path)) as checkpoint:
        return checkpoint.step, checkpoint.read(NAME)


def test_every_way_to_name_it_reads_the_same(tmp_path, scratch):
    step, expected = read(FOLDER)
    assert step == 1000
    assert expected.shape == (5,)
    ways = [
        FOLDER / PREFIX,
        FOLDER / INDEX,
        pack(tmp_path / "a.tar", files()),
        pack(tmp_path / "b.tar.gz", files("./"), "w:gz"),
        pack(tmp_path / "c.tar", [tarfile.TarInfo("folder/._x.index"), *files("folder/")]),
    ]
    for way in ways:
        found_step, found = read(way)
        assert found_step == 1000
        np.testing.assert_array_equal(found, expected)
    assert not list(scratch.iterdir())


def test_the_weights_are_unpacked_only_when_they_are_read(tmp_path, scratch):
    path = pack(tmp_path / "a.tar", [*files(), ("readme", b"x")])
    with open_checkpoint(path) as checkpoint:
        assert checkpoint.shapes[NAME] == (5,)
        (folder,) = scratch.iterdir()
        assert [file.name for file in folder.iterdir()] == ["checkpoint.index"]
        checkpoint.read(NAME)
        assert len(list(folder.iterdir())) == 2
    assert not list(scratch.iterdir())


@pytest.mark.parametrize(
    "name", ["../evil", "/tmp/evil", "a/../../evil", "a/b/../../../evil", "..\\evil"]
)
def test_a_path_that_leaves_its_folder_is_refused(name, tmp_path, scratch):
    path = pack(tmp_path / "a.tar", [*files(), (name, b"evil")])
    with pytest.raises(ValueError, match="leaves its folder"):
        read(path)
    assert not list(scratch.iterdir())
    assert not list(tmp_path.rglob("*evil*"))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_a_link_or_device_is_refused(kind, tmp_path, scratch):
    """Also one that would give a checkpoint's file another content."""
    for name in (DATA, "other"):
        path = pack(tmp_path / "a.tar", [files()[0], link(name, str(FOLDER / DATA), kind)])
        with pytest.raises(ValueError, match="is a link or a device"):
            read(path)
    assert not list(scratch.iterdir())


def test_of_several_checkpoints_the_newest_of_the_folder_is_taken(copied):
    for name in (INDEX, DATA):
        shutil.copyfile(copied / name, copied / name.replace("1000", "2000"))
    with pytest.raises(ValueError, match="one checkpoint. Found: model.ckpt-1000, model.ckpt-2000"):
        read(copied)
    state = copied / "checkpoint"
    for folder in ("", "/home/somebody/train/", "C:\\train\\"):
        named = f"{folder}model.ckpt-2000"
        state.write_text(f'model_checkpoint_path: "{named}"\n')
        assert read(copied)[0] == 2000
    state.write_text('model_checkpoint_path: "../copied/model.ckpt-3000"\n')
    with pytest.raises(ValueError, match="one checkpoint"):
        read(copied)


def test_a_step_without_a_number_in_the_name_is_the_variables(copied):
    for name in (INDEX, DATA):
        (copied / name).rename(copied / name.replace(PREFIX, "trio.ckpt"))
    assert read(copied)[0] == 1000


@pytest.mark.parametrize("how", ["folder", "tar"])
def test_missing_weights_are_named(how, copied, tmp_path):
    (copied / DATA).unlink()
    path = copied
    if how == "tar":
        path = pack(tmp_path / "a.tar", [files()[0]])
    with pytest.raises(ValueError, match=f"incomplete. Missing: {DATA}"):
        read(path)


def test_every_shard_is_needed(copied):
    (copied / DATA).rename(copied / f"{PREFIX}.data-00001-of-00003")
    with pytest.raises(ValueError, match="data-00000-of-00003.*data-00002-of-00003"):
        read(copied)


def test_damage_is_named(copied, tmp_path):
    whole = (copied / DATA).read_bytes()
    (copied / DATA).write_bytes(whole[:1000])
    with (
        open_checkpoint(str(copied)) as checkpoint,
        pytest.raises(ValueError, match="copied is damaged"),
    ):
        for name in checkpoint.shapes:
            checkpoint.read(name)
    (copied / DATA).write_bytes(bytes(255 - byte for byte in whole))
    with pytest.raises(ValueError, match=f"damaged: {NAME}.*Checksum"):
        read(copied)
    (copied / INDEX).write_bytes(b"nothing")
    with pytest.raises(ValueError, match="damaged index"):
        read(copied)
    packed = Path(pack(tmp_path / "a.tar.gz", files(), "w:gz"))
    packed.write_bytes(packed.read_bytes()[:-3000])
    with pytest.raises(ValueError, match=r"a\.tar\.gz is damaged"):
        read(packed)


def test_what_is_not_there_is_answered_with_what_may_be(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere is no tar, no folder .* no prefix"):
        read(tmp_path / "nowhere")
    other = tmp_path / "song.mid"
    other.write_bytes(b"MThd")
    with pytest.raises(FileNotFoundError, match="song.mid is no tar"):
        read(other)
    with pytest.raises(ValueError, match="one checkpoint. Found: none"):
        read(tmp_path)


def test_too_little_space_is_said_before_anything_is_unpacked(tmp_path, scratch, monkeypatch):
    path = pack(tmp_path / "a.tar", files())
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda folder: usage._replace(free=5000))
    with pytest.raises(OSError, match="bytes must be unpacked into .* 5,000 are free"):
        read(path)


def test_weights_that_are_no_numbers_are_refused(tmp_path):
    import tensorflow as tf

    prefix = str(tmp_path / "other")
    tf.raw_ops.SaveV2(
        prefix=prefix,
        tensor_names=["nan", "text"],
        shape_and_slices=["", ""],
        tensors=[tf.constant([1.0, np.nan]), tf.constant(["x"])],
    )
    with open_checkpoint(prefix) as checkpoint:
        for name in ("nan", "text"):
            with pytest.raises(ValueError, match=f"{name} holds what is not a number"):
                checkpoint.read(name)


@pytest.mark.parametrize("opener", [gzip.open, open], ids=["packed", "cut off"])
def test_a_tar_that_claims_too_much_is_refused_in_little_memory(tmp_path, opener):
    """Its only header claims names of a gibibyte, which are nothing but zeros."""
    path = tmp_path / "bomb.tar"
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, 2**30
    with opener(path, "wb") as file:
        file.write(header.tobuf())
        for _ in range(0 if opener is open else 2**7):
            file.write(bytes(2**20))
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"bomb.tar is refused: .* of 1,073,741,824 bytes"):
            open_checkpoint(str(path)).__enter__()
        assert tracemalloc.get_traced_memory()[1] < 2**25
    finally:
        tracemalloc.stop()


def test_a_tar_that_unpacks_to_far_more_than_it_is_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(packing, "MIN_UNPACKED_BYTES", 2**20)
    path = tmp_path / "bomb.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        info = tarfile.TarInfo(INDEX)
        info.size = 2**25
        tar.addfile(info, io.BytesIO(bytes(info.size)))
    with pytest.raises(ValueError, match=r"bomb.tar.gz is refused: it claims more than [\d,]+ byt"):
        open_checkpoint(str(path)).__enter__()


@pytest.mark.parametrize("kind", ["gz", "bz2", "xz"])
def test_a_packed_tar_is_read(tmp_path, kind):
    path = pack(tmp_path / "model.tar", files(), f"w:{kind}")
    with open_checkpoint(str(path)) as checkpoint:
        assert checkpoint.read(NAME).shape == checkpoint.shapes[NAME]


def test_a_tar_of_files_without_number_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(magenta_checkpoint, "MAX_MEMBERS", 5)
    path = pack(tmp_path / "many.tar", [(f"{number}.data-x", b"") for number in range(6)])
    with pytest.raises(ValueError, match="many.tar is refused: it holds more than 5 files"):
        open_checkpoint(str(path)).__enter__()
