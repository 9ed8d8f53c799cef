"""Archives and records give the songs that are in them, and cost no more than they are worth."""

import gzip
import io
import tarfile
import zipfile
from pathlib import Path

import pytest
from corpora import SETTINGS, SONGS
from musical import midi, play, sequence, track

from magenta_vae.data import archives
from magenta_vae.data.builder import build, examine
from magenta_vae.data.records import frame
from magenta_vae.data.sources import find_files, read_sources
from magenta_vae.music import packing

TUNE = midi(track(play("C4 -*15 D4 -*15")))
SETTING = SETTINGS["melody"]


def write_zip(path, members, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return str(path)


def write_tar(path, members, mode="w:gz"):
    with tarfile.open(path, mode) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return str(path)


def outcomes(*paths):
    return [examine(source, SETTING) for source in read_sources(paths)]


def reasons(*paths):
    return [(outcome.name.rpartition("/")[2], outcome.reason) for outcome in outcomes(*paths)]


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tgz", "tar.xz", "tar.bz2"])
def test_an_archive_is_the_folder_it_was(tmp_path, in_process, kind):
    members = {f"deep/{Path(path).name}": Path(path).read_bytes() for path in SONGS[:5]}
    members |= {"README.txt": b"no song", "__MACOSX/deep/._song-0000.mid": b"no song either"}
    path = tmp_path / f"songs.{kind}"
    if kind == "zip":
        write_zip(path, members)
    else:
        write_tar(path, members, {"tar": "w", "tgz": "w:gz"}.get(kind, kind.replace("tar.", "w:")))
    lines = []
    plain = build(SONGS[:5], str(tmp_path / "plain"), SETTING)
    packed = build([str(path)], str(tmp_path / "packed"), SETTING, explain=lines.append)
    assert packed == plain
    for name in plain["shards"]["train"]:
        assert (tmp_path / "packed" / name).read_bytes() == (tmp_path / "plain" / name).read_bytes()
    assert [line.partition(": ")[0] for line in lines] == [
        f"{path}/deep/{Path(song).name}" for song in SONGS[:5]
    ]


def test_records_of_note_sequences(tmp_path):
    """As Magenta's own data sets have them: in seconds, or quantized; in shards, or compressed."""
    tune = sequence("C4 -*15 D4 -*15").SerializeToString()
    (tmp_path / "songs.tfrecord-00000-of-00001").write_bytes(frame(tune) + frame(b"\xff\xff"))
    (tmp_path / "more.tfrecord").write_bytes(gzip.compress(frame(tune)))
    files = find_files([str(tmp_path)])
    found = outcomes(*files)
    assert [(outcome.name[len(str(tmp_path)) :], outcome.reason) for outcome in found] == [
        ("/more.tfrecord/0", ""),
        ("/songs.tfrecord-00000-of-00001/0", ""),
        ("/songs.tfrecord-00000-of-00001/1", "not a NoteSequence"),
    ]
    (tmp_path / "tune.mid").write_bytes(TUNE)
    assert found[0].rows.tolist() == examine(str(tmp_path / "tune.mid"), SETTING).rows.tolist()


def test_a_window_is_a_song_of_its_own(built):
    """A data set may be made of data sets."""
    (path,) = Path(built["melody"]).glob("train-*")
    found = outcomes(str(path))
    assert len(found) > 100 and {outcome.reason for outcome in found} == {""}
    assert {outcome.num_cut for outcome in found} == {1}


def test_what_is_damaged_costs_what_is_damaged(tmp_path):
    good = write_zip(tmp_path / "good.zip", {"a.mid": TUNE, "b.mid": TUNE * 9, "c.mid": TUNE})
    data = bytearray(Path(good).read_bytes())
    second = data.index(b"PK\x03\x04", 4)
    data[second + 40] ^= 0xFF  # Within the compressed bytes of b.mid.
    (tmp_path / "flipped.zip").write_bytes(data)
    assert reasons(str(tmp_path / "flipped.zip")) == [
        ("a.mid", ""), ("b.mid", "damaged archive"), ("c.mid", ""),
    ]  # fmt: skip
    (tmp_path / "cut.zip").write_bytes(data[:-9])
    assert reasons(str(tmp_path / "cut.zip")) == [("cut.zip", "damaged archive")]
    whole = Path(write_tar(tmp_path / "a.tar.gz", {"a.mid": TUNE, "b.mid": SONGS[0].encode() * 99}))
    (tmp_path / "cut.tar.gz").write_bytes(whole.read_bytes()[:-40])
    found = reasons(str(tmp_path / "cut.tar.gz"))
    assert found[0] == ("a.mid", "") and found[-1] == ("cut.tar.gz", "damaged archive")
    (tmp_path / "noise.tar.gz").write_bytes(b"no archive")
    assert reasons(str(tmp_path / "noise.tar.gz"), str(tmp_path / "none.zip")) == [
        ("noise.tar.gz", "damaged archive"), ("none.zip", "cannot be opened"),
    ]  # fmt: skip
    (tmp_path / "cut.tfrecord").write_bytes(frame(sequence("C4*32").SerializeToString()) + b"123")
    assert reasons(str(tmp_path / "cut.tfrecord")) == [
        ("0", ""), ("cut.tfrecord", "damaged records"),
    ]  # fmt: skip


@pytest.mark.parametrize("packing", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_damage_within_every_way_of_packing(tmp_path, packing):
    good = write_zip(tmp_path / "good.zip", {"a.mid": TUNE, "b.mid": TUNE * 9}, packing)
    data = bytearray(Path(good).read_bytes())
    start = data.index(b"a.mid") + len("a.mid")
    data[start : start + 40] = bytes(40)
    (tmp_path / "damaged.zip").write_bytes(data)
    assert reasons(str(tmp_path / "damaged.zip")) == [("a.mid", "damaged archive"), ("b.mid", "")]


def test_a_locked_archive(tmp_path):
    data = bytearray(Path(write_zip(tmp_path / "a.zip", {"a.mid": TUNE})).read_bytes())
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + at] |= 1  # Says that it is encrypted.
    (tmp_path / "locked.zip").write_bytes(data)
    (outcome,) = outcomes(str(tmp_path / "locked.zip"))
    assert outcome.reason == "damaged archive" and "encrypted" in outcome.detail


@pytest.mark.parametrize("writer, name", [(write_zip, "a.zip"), (write_tar, "a.tar.gz")])
def test_bombs_are_not_unpacked(tmp_path, monkeypatch, writer, name):
    monkeypatch.setattr(archives, "MAX_FILE_BYTES", 2**16)
    large = writer(tmp_path / name, {"a.mid": bytes(2**17), "b.mid": TUNE})
    assert reasons(large) == [("a.mid", "file too large"), ("b.mid", "")]
    monkeypatch.setattr(packing, "MIN_UNPACKED_BYTES", 2**16)
    monkeypatch.setattr(packing, "MAX_GROWTH", 10)
    many = writer(tmp_path / name, {f"{index}.mid": bytes(2**15) for index in range(9)})
    found = reasons(many)
    assert found[-1] == (name, "archive too large") and 1 <= len(found) <= 4


def test_a_tar_header_that_claims_gigabytes(tmp_path):
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, 2**33
    (tmp_path / "a.tar").write_bytes(info.tobuf() + bytes(1024))
    ((name, reason),) = reasons(str(tmp_path / "a.tar"))
    assert (name, reason) in [("a.tar", "damaged archive"), ("a.tar", "archive too large")]


def test_links_in_an_archive_are_not_followed(tmp_path):
    secret = tmp_path / "secret.mid"
    secret.write_bytes(TUNE)
    info = tarfile.TarInfo("link.mid")
    info.type, info.linkname = tarfile.SYMTYPE, str(secret)
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.addfile(info)
    assert reasons(str(tmp_path / "a.tar")) == [("link.mid", "not a file")]


def test_a_folder_gives_everything_that_is_music(tmp_path):
    for name in ("a.mid", "b.KAR", "c.rmi", "d.musicxml", "e.mxl", "f.zip", "g.tar.gz", "h.txt",
                 "i.tfrecord-00001-of-00002", "._j.mid", "k.wav", "l.mid.gz", "m.tar.xz", "n.7z",
                 ".hidden.mid"):  # fmt: skip
        (tmp_path / name).touch()
    assert "".join(Path(path).name[0] for path in find_files([str(tmp_path)])) == ".abcdefgilmn"


def test_tunes_of_a_collection_are_songs_of_their_own(tmp_path, in_process):
    tune = "X:{}\nM:{}\nL:1/4\nK:{}\nCDEF|GABc|cBAG|FEDC|\n"
    tunes = [tune.format(1, "4/4", "C"), tune.format(2, "3/4", "G"), tune.format(3, "C", "D")]
    (tmp_path / "book.abc").write_text("%abc-2.1\n" + "\n".join(tunes))
    (tmp_path / "one.ABC").write_text(tunes[0])
    archive = write_zip(tmp_path / "books.zip", {"deep/book.abc": "\n".join(tunes)})
    assert reasons(str(tmp_path / "book.abc")) == [("0", ""), ("1", "not 4/4"), ("2", "")]
    assert reasons(str(tmp_path / "one.ABC")) == [("one.ABC", "")]
    assert [outcome.name for outcome in outcomes(archive)][1] == f"{archive}/deep/book.abc/1"
    counts = build(find_files([str(tmp_path)]), str(tmp_path / "out"), SETTING)["counts"]
    assert counts["files_read"] == 7 and counts["files_dropped"] == {"not 4/4": 2}
    (tmp_path / "empty.abc").write_text("no tune")
    assert reasons(str(tmp_path / "empty.abc")) == [("empty.abc", "not MIDI")]
