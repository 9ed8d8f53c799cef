"""Folders give each file once, and what cannot be read is counted, wherever links lead."""

import bz2
import gzip
import io
import lzma
import os
import socket
import tarfile
import time
import zipfile

import pytest
from corpora import SETTINGS
from musical import midi, play, track

from magenta_vae.data import sources
from magenta_vae.data.builder import build, examine
from magenta_vae.data.examination import Outcome
from magenta_vae.data.sources import find_files, read_sources
from magenta_vae.music import packing, readers, songs
from magenta_vae.music.songs import SongError

TUNE = midi(track(play("C4 -*15 D4 -*15")))
SETTING = SETTINGS["melody"]
COMPRESSED = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE),
}


def names(folder, *inputs):
    return [os.path.relpath(path, folder) for path in find_files([str(each) for each in inputs])]


def reasons(*paths):
    found = [examine(source, SETTING) for source in read_sources([str(path) for path in paths])]
    return [(outcome.name.rpartition("/")[2], outcome.reason) for outcome in found]


def zipped(**members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name.replace("_", "."), data)
    return file.getvalue()


def test_links_that_lead_back(tmp_path, in_process):
    loops = tmp_path / "loops"
    (loops / "sub").mkdir(parents=True)
    (loops / "sub" / "a.mid").write_bytes(TUNE)
    (loops / "self").symlink_to(".")
    (loops / "sub" / "up").symlink_to("..")
    (loops / "sub" / "me").symlink_to(loops / "sub")
    assert names(loops, loops) == names(loops, f"{loops}/**/*.mid") == ["sub/a.mid"]
    assert names(loops, f"{loops}/**") == ["sub/a.mid"]
    assert (
        build(find_files([str(loops)]), str(tmp_path / "out"), SETTING)["counts"]["files_read"] == 1
    )


def test_links_to_folders_elsewhere_are_followed_once(tmp_path):
    (tmp_path / "elsewhere" / "deep").mkdir(parents=True)
    (tmp_path / "elsewhere" / "deep" / "a.mid").write_bytes(TUNE)
    (tmp_path / "corpus").mkdir()
    for name in ("one", "two"):
        (tmp_path / "corpus" / name).symlink_to(tmp_path / "elsewhere")
    (tmp_path / "corpus" / "three.mid").symlink_to(tmp_path / "elsewhere" / "deep" / "a.mid")
    assert names(tmp_path, tmp_path / "corpus") == ["corpus/one/deep/a.mid", "corpus/three.mid"]
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "b.mid").write_bytes(TUNE)
    (tmp_path / "first").symlink_to("real")  # The folder itself goes before a link to it.
    assert "real/b.mid" in names(tmp_path, tmp_path)


def test_what_is_no_file_has_a_outcome(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "a.mid")
    os.mkfifo(tmp_path / "b.zip")
    os.mkfifo(tmp_path / "c.tfrecord")
    (tmp_path / "d.mid").symlink_to("nowhere")
    (tmp_path / "e.mid").symlink_to("e.mid")
    monkeypatch.chdir(tmp_path)  # The name of a socket is short.
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("f.mid")
        assert reasons(*find_files([str(tmp_path)])) == [
            ("a.mid", "not a file"), ("b.zip", "not a file"), ("c.tfrecord", "not a file"),
            ("d.mid", "cannot be opened"), ("e.mid", "cannot be opened"), ("f.mid", "not a file"),
        ]  # fmt: skip
        with pytest.raises(SongError, match="not a file: found a socket"):
            songs.read_song(tmp_path / "f.mid")
    assert names(tmp_path, tmp_path / "d.mid") == ["d.mid"]  # Also when it is named itself.


def test_hidden_files_are_files(tmp_path):
    (tmp_path / ".hidden").mkdir()
    for name in (".a.mid", ".hidden/b.mid", "._c.mid"):
        (tmp_path / name).write_bytes(TUNE)
    assert names(tmp_path, tmp_path) == [".a.mid", ".hidden/b.mid"]


@pytest.mark.parametrize(("suffix", "compress"), COMPRESSED.items())
def test_a_compressed_file_is_the_song_in_it(tmp_path, suffix, compress):
    (tmp_path / "a.mid").write_bytes(TUNE)
    packed = compress(TUNE[:40]) + compress(TUNE[40:])  # Such files may be joined.
    (tmp_path / f"a.mid.{suffix}").write_bytes(packed)
    plain, found = (
        examine(source, SETTING) for source in read_sources(find_files([str(tmp_path)]))
    )
    assert found.split == plain.split and found.rows.tolist() == plain.rows.tolist()
    (tmp_path / f"cut.{suffix}").write_bytes(compress(TUNE)[:-9])
    assert reasons(tmp_path / f"cut.{suffix}") == [(f"cut.{suffix}", "damaged archive")]


def test_archives_within_archives(tmp_path):
    inner = zipped(b_mid=TUNE, c_mid_gz=gzip.compress(TUNE))
    with tarfile.open(tmp_path / "outer.tar.xz", "w:xz") as archive:
        for name, data in (("a.mid", TUNE), ("inner.zip", inner), ("bad.zip", b"none"),
                           ("e.rar", b"Rar!"), ("f.mid", TUNE)):  # fmt: skip
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    assert reasons(tmp_path / "outer.tar.xz") == [
        ("a.mid", ""), ("b.mid", ""), ("c.mid.gz", ""), ("bad.zip", "damaged archive"),
        ("e.rar", "cannot be unpacked"), ("f.mid", ""),
    ]  # fmt: skip
    for _ in range(4):
        inner = zipped(inner_zip=inner)
    (tmp_path / "deep.zip").write_bytes(inner)
    assert reasons(tmp_path / "deep.zip") == [("inner.zip", "cannot be unpacked")]


@pytest.mark.parametrize(("suffix", "compress"), COMPRESSED.items())
def test_a_compressed_bomb_is_not_unpacked(tmp_path, monkeypatch, suffix, compress):
    monkeypatch.setattr(packing, "MIN_UNPACKED_BYTES", 2**20)
    monkeypatch.setattr(packing, "MAX_GROWTH", 1)
    packed = compress(bytes(2**25))
    with pytest.raises(SongError, match="file too large"):
        readers.parse_music(packed)
    info = tarfile.TarInfo("a.txt")  # Passed over, which unpacks it.
    info.size = 2**25
    (tmp_path / f"a.tar.{suffix}").write_bytes(compress(info.tobuf() + bytes(2**25)))
    assert reasons(tmp_path / f"a.tar.{suffix}") == [(f"a.tar.{suffix}", "archive too large")]


def test_memory_that_a_stream_may_ask_for(tmp_path):
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": 2**30}]
    greedy = lzma.compress(TUNE, lzma.FORMAT_XZ, filters=[{**filters[0], "dict_size": 2**24}])
    assert readers.parse_music(greedy).num_bars == 2
    header = bytearray(greedy)
    header[16] = 36  # The size of the dictionary: 1 GiB; its checksum is wrong, or the size is.
    with pytest.raises(SongError, match="damaged archive"):
        readers.parse_music(bytes(header))


def test_a_pax_header_of_a_gibibyte(tmp_path):
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, 2**30
    for name, data in (
        ("a.tar", info.tobuf()),
        ("a.tar.gz", gzip.compress(info.tobuf() + bytes(2**20))),
    ):
        (tmp_path / name).write_bytes(data)
        ((found, reason),) = reasons(tmp_path / name)
        assert found == name and reason in ("damaged archive", "archive too large")


def test_an_archive_that_takes_too_long(tmp_path, monkeypatch):
    (tmp_path / "a.zip").write_bytes(zipped(a_mid=TUNE, b_mid=TUNE))
    now = iter(range(0, 1000, 40))
    monkeypatch.setattr(time, "monotonic", lambda: next(now))
    sources_ = list(read_sources([str(tmp_path / "a.zip")], seconds=30))
    assert [source.error.reason for source in sources_] == ["too slow"]
    assert "took more than 30 seconds" in sources_[0].error.detail


def test_names_are_printed_harmlessly(tmp_path, in_process):
    for name in ("new\nline.mid", "bell\a\x1b[31m.mid", "\udcff.mid", "é.mid"):
        (tmp_path / name).write_bytes(TUNE)
    lines = []
    build(find_files([str(tmp_path)]), str(tmp_path / "out"), SETTING, explain=lines.append)
    assert len(lines) == 4 and all(line.isprintable() for line in lines)
    assert {"new\\nline.mid", "bell\\x07\\x1b[31m.mid", "\\udcff.mid", "é.mid"} == {
        line.partition(": ")[0].rpartition("/")[2] for line in lines
    }
    assert str(Outcome("a\r", "odd", "\x1b", "", 0, 0)) == "a\\r: dropped, odd: \\x1b"


def test_every_source_has_a_reason_or_bytes():
    assert sources.Source("a.mid", TUNE).read() == TUNE


def test_other_endings_are_read_or_counted(tmp_path):
    (tmp_path / "a.smf").write_bytes(TUNE)
    for name in ("b.mid.Z", "c.mid.lz4", "d.tar.zst", "e.mscz"):
        (tmp_path / name).write_bytes(b"none")
    for name in ("f.tb2", "g.tz2"):
        with tarfile.open(tmp_path / name, "w:bz2") as archive:
            archive.add(tmp_path / "a.smf", "a.smf")
    unread = [(name, "cannot be unpacked") for name in
              ("b.mid.Z", "c.mid.lz4", "d.tar.zst", "e.mscz")]  # fmt: skip
    assert reasons(*find_files([str(tmp_path)])) == [("a.smf", ""), *unread, *[("a.smf", "")] * 2]


def test_midi_whose_name_has_no_ending(tmp_path):
    for name, data in (("tune", TUNE), ("README", b"MThis is no tune"), (".DS_Store", b"\0\0\0\1")):
        (tmp_path / name).write_bytes(data)
    assert names(tmp_path, tmp_path) == ["tune"]
