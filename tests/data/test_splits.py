"""Splits that somebody chose, in a file or by inputs."""

import csv
import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from corpora import SETTINGS, SONGS
from musical import MELODY

from magenta_vae.data import builder, descriptions, input_pipeline, provenance, splits
from magenta_vae.data.builder import Settings, build, find_files
from magenta_vae.data.splits import OwnSplits, of_inputs, read_file, split_of


def write(path, *lines):
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def songs_of(folder):
    with open(Path(folder) / "songs.csv", newline="") as file:
        return {line["path"]: line for line in csv.DictReader(file)}


@pytest.fixture
def corpus(tmp_path):
    """Returns a folder of songs in folders and an archive."""
    root = tmp_path / "corpus"
    for index, name in enumerate(["a/1.mid", "a/2.mid", "b/1.mid", "b/deep/3.mid", "c.mid"]):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(SONGS[index], root / name)
    with zipfile.ZipFile(root / "d.zip", "w") as archive:
        for index, name in enumerate(["x/1.mid", "y/1.mid"], start=5):
            archive.write(SONGS[index], name)
    return root


def test_three_shares_by_the_bytes_of_songs():
    rng = np.random.default_rng(0)
    drawn = [rng.bytes(40) for _ in range(3000)]
    found = [split_of(data, 0.1, 0.2) for data in drawn]
    assert 240 < found.count("eval") < 360 and 520 < found.count("test") < 680
    two = [split_of(data, 0.1) for data in drawn]
    assert [each == "eval" for each in found] == [each == "eval" for each in two]
    assert {split_of(data, 0.0, 1.0) for data in drawn} == {"test"}
    assert {split_of(data, 1.0) for data in drawn} == {"eval"}


@pytest.mark.parametrize("shares", [(0, 0), (1, 0), (0, 1), (0.3, 0.3)])
def test_a_set_of_any_shares_is_a_set(tmp_path, in_process, shares):
    eval_fraction, test_fraction = shares
    settings = Settings(MELODY, 2, eval_fraction=eval_fraction, test_fraction=test_fraction)
    made = build(SONGS[:9], str(tmp_path / "out"), settings)
    description = descriptions.read(str(tmp_path / "out"))
    assert description == made and builder.settings_of(made["settings"]) == settings
    found = {split for split, number in made["shards"].items() if number}
    expected = {"eval"} if shares == (1, 0) else {"test"} if shares == (0, 1) else {"train"}
    assert found == (expected if sum(shares) in (0, 1) else set(splits.SPLITS))
    assert ("windows_kept_test" in made["counts"]) == bool(shares[1])
    for split in found:
        tokens = input_pipeline.load_tokens(str(tmp_path / "out"), split, settings)
        assert len(tokens) == made["counts"][f"windows_kept_{split}"]
        assert len(provenance.read(tmp_path / "out", split, len(tokens)).songs) == len(tokens)


def test_a_file_names_songs_folders_archives_and_patterns(corpus, tmp_path, in_process):
    path = write(
        tmp_path / "split.csv",
        "path,split,more",
        "a,test,",
        "a/2.mid,validation,nearer",
        f"{corpus}/c.mid,train,",
        "d.zip/x/1.mid,eval,",
        "d.zip,Test,",
        "*/deep/*.mid,train,",
        "none/*.mid,train,",
        "gone.mid,train,",
    )
    own = read_file(path, [str(corpus)])
    with pytest.warns(UserWarning, match=r"2 of 8 rows of --split_file=split.csv .* none/"):
        made = build(find_files([str(corpus)]), str(tmp_path / "out"), SETTINGS["melody"],
                     own_splits=own)  # fmt: skip
    found = {name: line["split"] for name, line in songs_of(tmp_path / "out").items()}
    assert found == {
        "a/1.mid": "test", "a/2.mid": "eval", "b/1.mid": "", "b/deep/3.mid": "train",
        "c.mid": "train", "d.zip/x/1.mid": "eval", "d.zip/y/1.mid": "test",
    }  # fmt: skip
    assert made["counts"]["files_dropped"] == {"in no split": 1}
    line = songs_of(tmp_path / "out")["b/1.mid"]
    assert (line["verdict"], line["detail"]) == ("in no split", "by --split_file=split.csv")
    assert descriptions.read(str(tmp_path / "out"))["splits"] == "--split_file=split.csv"


def test_a_file_beside_the_songs_with_the_columns_of_groove(corpus, in_process, tmp_path):
    path = write(
        corpus / "info.csv",
        "drummer,midi_filename,split",
        "one,a/1.mid,train",
        'two,"a/2.mid",validation',
        "two,b/1.mid,test",
    )
    own = read_file(path, [str(corpus / "a"), str(corpus / "b" / "1.mid")])
    files = find_files([str(corpus / "a"), str(corpus / "b" / "1.mid")])
    build(files, str(tmp_path / "out"), SETTINGS["melody"], own_splits=own)
    found = {name: line["split"] for name, line in songs_of(tmp_path / "out").items()}
    assert found == {"a/1.mid": "train", "a/2.mid": "eval", "b/1.mid": "test"}


@pytest.mark.parametrize("inputs", [["a", "b"], ["b"]])
def test_the_songs_of_a_data_set_give_their_splits_again(corpus, in_process, tmp_path, inputs):
    (corpus / "b" / "1.mid").unlink()  # All songs of `b` lie in `b/deep`: their paths begin there.
    given = [str(corpus / name) for name in inputs]
    first, again = str(tmp_path / "first"), str(tmp_path / "again")
    files = find_files(given)
    settings = Settings(MELODY, 2, eval_fraction=0.5)
    build(files, first, settings)
    own = read_file(os.path.join(first, "songs.csv"), given, files)
    assert all(map(own.find, files))
    build(files, again, settings, own_splits=own)
    assert songs_of(again) == songs_of(first)


def test_a_file_without_a_heading(tmp_path):
    own = read_file(write(tmp_path / "s.csv", "a.mid,train", "b.mid, Dev "), [])
    assert own.paths == {"a.mid": "train", "b.mid": "eval"}


@pytest.mark.parametrize(
    "lines, message",
    [
        ([], "s.csv is empty: expected lines of a path and a split"),
        (["name,fold", "a.mid,1"], "expected a heading with the columns split and one of path"),
        (
            ["path,split,Split", "a.mid,dev,test"],
            "s.csv: expected one column split .* found 2. Rec",
        ),
        (["path,split,path", "a.mid,dev,b.mid"], "s.csv: expected one column path .* found 2. Rec"),
        (["path,split", "a.mid,dev", "b.mid,both"], "line 3: a split is train, .*'both'"),
        (["path,split", "a.mid"], "line 2: expected a path and a split. Received: a.mid"),
        (["path,split", ",train"], "line 2: expected a path and a split"),
        (["path,split", ",", "a.mid,"], "has no row that names a split"),
        (["path;split", "a;train"], "with commas between. Received: path;split"),
        (["a.mid,train", "./a.mid,test"], "line 2: a.mid is in test here and in train above"),
    ],
)
def test_what_is_wrong_in_a_file_is_said_with_its_line(tmp_path, lines, message):
    with pytest.raises(ValueError, match=f"--split_file=.*{message}"):
        read_file(write(tmp_path / "s.csv", *lines) if lines else empty(tmp_path), [])


def empty(folder):
    (folder / "s.csv").touch()
    return str(folder / "s.csv")


def test_what_cannot_be_read(tmp_path):
    (tmp_path / "s.csv").write_bytes("path,split\na.mid,train\n".encode("utf-16"))
    with pytest.raises(ValueError, match="--split_file=.*s.csv is UTF-16: save it as UTF-8"):
        read_file(str(tmp_path / "s.csv"), [])
    with pytest.raises(OSError, match="--split_file=.*none.csv cannot be read: No such file"):
        read_file(str(tmp_path / "none.csv"), [])


def test_lines_are_counted_as_editors_do(tmp_path):
    path = write(tmp_path / "s.csv", "path,split", '"a', 'b.mid",train', "", "c.mid,dev", "d,no")
    with pytest.raises(ValueError, match="line 6: a split is"):
        read_file(path, [])


def test_rows_that_name_nothing_are_told_also_where_nothing_is_left(tmp_path, in_process):
    own = read_file(write(tmp_path / "s.csv", "X,train"), [])
    with (
        pytest.warns(UserWarning, match="1 of 1 rows of --split_file=s.csv name no song"),
        pytest.raises(ValueError, match="(?s)No window is left.*in no split"),
    ):
        build(SONGS[:2], str(tmp_path / "out"), SETTINGS["melody"], own_splits=own)


def test_a_point_names_all_songs(corpus):
    own = read_file(write(corpus / "s.csv", "path,split", ".,train", "a,test"), [])
    assert own.find(str(corpus / "b/1.mid")) == "." and own.find(str(corpus / "a/1.mid")) == "a"
    assert own.find("/elsewhere/1.mid") is None


def test_inputs_of_each_split(corpus, tmp_path, in_process):
    files, own = of_inputs(
        {"train": [str(corpus / "a"), str(corpus / "d.zip")], "eval": [str(corpus / "b")],
         "test": [str(corpus / "c.mid")]}
    )  # fmt: skip
    assert files == sorted(files) and len(files) == 6
    made = build(files, str(tmp_path / "out"), SETTINGS["melody"], own_splits=own)
    found = {name: line["split"] for name, line in songs_of(tmp_path / "out").items()}
    assert found["d.zip/y/1.mid"] == found["a/1.mid"] == "train"
    assert found["b/deep/3.mid"] == "eval" and found["c.mid"] == "test"
    assert made["splits"] == "--train_input, --eval_input, --test_input"
    with pytest.raises(ValueError, match="--test_input: .*1.mid is one of --train_input too"):
        of_inputs({"train": [str(corpus / "a")], "eval": [], "test": [str(corpus / "a/1.mid")]})
    with pytest.raises(FileNotFoundError, match="--eval_input=.*nowhere names no MIDI"):
        of_inputs({"eval": [str(corpus / "nowhere")]})


def test_a_window_of_two_splits_is_in_the_first_and_counted(tmp_path, in_process):
    for name in ("train", "eval", "test"):
        shutil.copy(SONGS[0], tmp_path / f"{name}.mid")
    shutil.copy(SONGS[1], tmp_path / "test2.mid")
    _, own = of_inputs(
        {"train": [str(tmp_path / "train.mid")], "eval": [str(tmp_path / "eval.mid")],
         "test": [str(tmp_path / "test*.mid")]}
    )  # fmt: skip
    files = find_files([str(tmp_path)])
    counts = build(files, str(tmp_path / "out"), SETTINGS["melody"], own_splits=own)["counts"]
    lines = songs_of(tmp_path / "out")
    kept = int(lines["train.mid"]["windows_kept"])
    assert kept == counts["windows_kept_train"] > 0 == counts["windows_kept_eval"]
    elsewhere = [int(lines[f"{name}.mid"]["windows_in_earlier_split"]) for name in
                 ("train", "eval", "test")]  # fmt: skip
    assert elsewhere == [0, kept, kept]
    assert counts["windows_in_earlier_split"] >= 2 * kept
    total = counts["windows_dropped_rests"] + counts["windows_duplicate"]
    total += counts["windows_in_earlier_split"]
    assert counts["windows_cut"] == total + sum(counts[f"windows_kept_{s}"] for s in splits.SPLITS)
    assert "in an earlier split too" in descriptions.table(counts)


def test_other_splits_do_not_go_on_with_a_build(tmp_path, in_process, monkeypatch):
    own = OwnSplits("one", {os.path.abspath(SONGS[0]): "train"})
    with monkeypatch.context() as patch:
        patch.setattr(descriptions, "write", stop)
        with pytest.raises(KeyboardInterrupt):
            build(SONGS[:1], str(tmp_path / "out"), SETTINGS["melody"], own_splits=own)
    other = OwnSplits("one", {os.path.abspath(SONGS[0]): "test"})
    with pytest.raises(ValueError, match="was begun with splits="):
        build(SONGS[:1], str(tmp_path / "out"), SETTINGS["melody"], own_splits=other)
    build(SONGS[:1], str(tmp_path / "out"), SETTINGS["melody"], own_splits=own)


def stop(*_):
    raise KeyboardInterrupt
