"""Which song each window is of, and what became of each song."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from corpora import SETTINGS, SONGS

from magenta_vae.data import builder, input_pipeline, provenance, splits
from magenta_vae.data.builder import Settings
from magenta_vae.data.splits import split_of
from magenta_vae.music import songs, windows


def read_songs(folder):
    with open(Path(folder) / "songs.csv", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("kind", SETTINGS)
def test_a_window_is_of_the_first_song_that_holds_it(built, kind):
    settings = SETTINGS[kind]
    first = {"train": {}, "eval": {}}
    for number, path in enumerate(SONGS[:14]):
        data = songs.read_bytes(path)
        found = first[split_of(data, settings.eval_fraction)]
        for part in windows.song_windows(songs.parse_song(data), settings.window_format):
            for tokens, bar in zip(part.tokens, part.bars.tolist(), strict=True):
                number_before, bar_before = found.get(tokens.tobytes(), (number, bar))
                if number_before == number:  # Of several instruments the first one's.
                    found[tokens.tobytes()] = number, bar_before
    for split, found in first.items():
        tokens = input_pipeline.load_tokens(built[kind], split, settings)
        known = provenance.read(built[kind], split, len(tokens))
        assert known.songs.dtype == known.bars.dtype == np.int32
        assert known.paths == [Path(path).name for path in SONGS[:14]]
        places = zip(known.songs.tolist(), known.bars.tolist(), strict=True)
        assert list(places) == [found[each.astype(np.int32).tobytes()] for each in tokens]


@pytest.mark.parametrize("kind", SETTINGS)
def test_what_became_of_each_song_adds_up(built, kind):
    lines = read_songs(built[kind])
    counts = json.loads((Path(built[kind]) / "dataset.json").read_text())["counts"]
    assert tuple(lines[0]) == provenance.COLUMNS and len(lines) == 14
    for line in lines:
        cut = int(line["windows_cut"])
        assert cut == sum(int(line[name]) for name in provenance.COLUMNS[6:])
        assert line["verdict"] == "used" and int(line["windows_kept"]) >= 0
    for split in ("train", "eval"):
        kept = sum(int(line["windows_kept"]) for line in lines if line["split"] == split)
        assert kept == counts[f"windows_kept_{split}"]
    total = sum(int(line["windows_cut"]) for line in lines)
    assert total == counts["windows_cut"]


def test_a_song_that_is_dropped_has_its_reason_and_its_bytes(tmp_path, in_process):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "b, c.mid").write_bytes(b"not MIDI")
    (tmp_path / "in" / "a.mid").write_bytes(Path(SONGS[0]).read_bytes())
    files = [*builder.find_files([str(tmp_path / "in")]), str(tmp_path / "in" / "missing.mid")]
    builder.build(files, str(tmp_path / "out"), SETTINGS["melody"])
    used, broken, missing = read_songs(tmp_path / "out")
    assert used["verdict"] == "used" and used["path"] == "a.mid"
    assert broken["verdict"] == "not MIDI" and broken["path"] == "b, c.mid"
    assert len(broken["sha256"]) == 64 and int(broken["windows_kept"]) == 0
    assert missing["verdict"] == "cannot be opened" and missing["sha256"] == ""


def test_names_may_hold_anything(tmp_path, in_process):
    """A carriage return in a name once ended a line: every later song was another."""
    (tmp_path / "in").mkdir()
    names = ["a\rb.mid", "c\nd.mid", 'e,"f".mid', "g\udcff.mid", "h.mid"]
    for name, path in zip(names, SONGS, strict=False):
        (tmp_path / "in" / name).write_bytes(Path(path).read_bytes())
    files = builder.find_files([str(tmp_path / "in")])
    settings = Settings(SETTINGS["melody"].tracks, 2, eval_fraction=0)
    number = builder.build(files, str(tmp_path / "out"), settings)["counts"]["windows_kept_train"]
    known = provenance.read(tmp_path / "out", "train", number)
    assert known.paths == names
    own = splits.read_file(str(tmp_path / "out" / "songs.csv"), [str(tmp_path / "in")])
    assert [own.find(path) for path in files] == names  # Also as a split file.


def test_a_data_set_of_an_earlier_version_does_not_say(tmp_path):
    assert provenance.read(tmp_path, "train", 3) is None


def test_what_is_damaged_is_named(tmp_path, in_process):
    out = tmp_path / "out"
    counts = builder.build(SONGS[:3], str(out), SETTINGS["melody"])["counts"]
    number = counts["windows_kept_train"]
    path = out / "windows" / "train.npy"
    assert provenance.read(out, "train", number).songs.shape == (number,)
    with pytest.raises(ValueError, match="train.npy is not of the 1 windows of train"):
        provenance.read(out, "train", 1)
    whole = path.read_bytes()
    lines = (out / "songs.csv").read_text().splitlines()
    path.write_bytes(whole[:-8])
    with pytest.raises(ValueError, match="train.npy is damaged"):
        provenance.read(out, "train", number)
    np.save(path, np.full((number, 2), 3, np.int32))
    with pytest.raises(ValueError, match="names songs that .*songs.csv does not have"):
        provenance.read(out, "train", number)
    path.write_bytes(whole)
    (out / "songs.csv").write_text("path\na.mid\n")
    with pytest.raises(ValueError, match="songs.csv is damaged: its columns must be path, sha256"):
        provenance.read(out, "train", number)
    (out / "songs.csv").write_text("\n".join(lines[:-1]) + "\n")
    with pytest.raises(ValueError, match="data set is of 3 songs, and the file has 2"):
        provenance.read(out, "train", number)
