"""Beam gives the windows that the local builder gives."""

import zipfile
from pathlib import Path

import pytest
from corpora import SETTINGS, SONGS

from magenta_vae.data import beam, builder, records

pytest.importorskip("apache_beam")


def windows(folder, split):
    return sorted(
        record
        for path in sorted(Path(folder).glob(f"{split}-*"))
        for record in records.read_records(str(path))
    )


@pytest.mark.parametrize("kind", ["melody", "trio"])
def test_beam_gives_the_windows_of_the_local_builder(tmp_path, in_process, kind):
    with zipfile.ZipFile(tmp_path / "more.zip", "w") as archive:
        for path in SONGS[:4]:  # Two of them again.
            archive.write(path, Path(path).name)
    (tmp_path / "bad.mid").write_bytes(b"not MIDI")
    (tmp_path / "beam.incomplete" / "data").mkdir(parents=True)  # Of a build that was killed.
    (tmp_path / "beam.incomplete" / "data" / "train-00000-of-00002").write_bytes(b"half")
    files = [*SONGS[2:8], str(tmp_path / "more.zip"), str(tmp_path / "bad.mid")]
    lines = {"local": [], "beam": []}
    local = builder.build(
        files, str(tmp_path / "local"), SETTINGS[kind], explain=lines["local"].append
    )
    made = beam.build(
        files,
        str(tmp_path / "beam"),
        SETTINGS[kind],
        "DirectRunner",
        ["--direct_num_workers=1"],
        lines["beam"].append,
    )
    assert made["counts"] == local["counts"] and made["settings"] == local["settings"]
    for split in ("train", "eval"):
        assert windows(tmp_path / "beam", split) == windows(tmp_path / "local", split)
        assert sum(made["shards"][split].values()) == local["counts"][f"windows_kept_{split}"]
    assert sorted(lines["beam"]) == sorted(lines["local"])
    names = {path.name for path in (tmp_path / "beam").iterdir()}
    assert names == {"dataset.json", *made["shards"]["train"], *made["shards"]["eval"]}
    assert not (tmp_path / "beam.incomplete").exists()


def test_beam_compresses_records(tmp_path, in_process):
    made = {}
    for name, compression in (("plain", None), ("packed", records.GZIP)):
        folder = tmp_path / name
        made[name] = beam.build(
            SONGS[2:6], str(folder), SETTINGS["melody"], "DirectRunner",
            ["--direct_num_workers=1"], compression=compression,
        )  # fmt: skip
        for path in folder.glob("*.tfrecord"):
            assert records.is_compressed(str(path)) == bool(compression)
    assert made["packed"] == {**made["plain"], "compression": "GZIP"}
    for split in ("train", "eval"):
        assert windows(tmp_path / "packed", split) == windows(tmp_path / "plain", split)


def test_what_a_local_build_has_done_is_left_alone(tmp_path):
    (tmp_path / "out.incomplete").mkdir()
    (tmp_path / "out.incomplete" / "job.json").write_text("{}")
    with pytest.raises(FileExistsError, match="out.incomplete holds what a build without --runner"):
        beam.build(SONGS[:1], str(tmp_path / "out"), SETTINGS["melody"], "DirectRunner")
    assert (tmp_path / "out.incomplete" / "job.json").exists()


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "a").touch()
    with pytest.raises(FileExistsError, match="never overwritten"):
        beam.build(SONGS[:1], str(tmp_path), SETTINGS["melody"], "DirectRunner")
