"""Songs -> a data set: what is counted, what is kept, and that it is the same every time."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import written
from corpora import SETTINGS, SONGS, die
from musical import DRUMS, MELODY, TRIO, midi, play, time_signature, track
from note_seq.protobuf import music_pb2

from magenta_vae.data import builder, descriptions, shards
from magenta_vae.data.builder import Settings, build, examine, find_files
from magenta_vae.data.examination import split_of
from magenta_vae.music import readers, songs, tokens, windows

COUNTS = [
    "files_read",
    "files_dropped",
    "windows_cut",
    "windows_dropped_rests",
    "windows_duplicate",
    "windows_kept_train",
    "windows_kept_eval",
]
TWO_BARS = "C4 -*15 D4 -*15 "
MELODY_2 = Settings(MELODY, 2)


def write(folder, **files):
    """Writes {name: bytes} and returns the paths."""
    paths = []
    for name, data in files.items():
        paths.append(str(folder / f"{name}.mid"))
        Path(paths[-1]).write_bytes(data)
    return paths


def tune(text, *more):
    return midi(track(play(text), *more))


def contents(folder):
    """Returns the files of a data set that depend on its songs alone."""
    return {path.name: path.read_bytes() for path in Path(folder).iterdir() if path.is_file()}


def read_windows(folder, split, settings):
    """Returns the set of a split's windows, as bytes of their tokens, and their number."""
    paths = sorted(str(path) for path in Path(folder).glob(f"{split}-*.tfrecord"))
    found = []
    for record in tf.data.TFRecordDataset(paths) if paths else []:
        sequence = music_pb2.NoteSequence.FromString(record.numpy())
        found.append(tokens.tokenize(sequence, settings.tracks, settings.num_steps).tobytes())
    return set(found), len(found)


def windows_of(path, settings):
    parts = windows.song_windows(songs.read_song(path), settings.window_format)
    return {window.tobytes() for part in parts for window in part.tokens}


def test_the_bytes_depend_on_nothing_but_the_songs(tmp_path):
    """Two workers or one, other names, another order, another folder: the same files."""
    settings = SETTINGS["trio"]
    renamed = []
    for index, path in enumerate(reversed(SONGS[:24])):
        renamed.append(str(tmp_path / f"{index * 7919 % 100:02d}.mid"))
        shutil.copy(path, renamed[-1])
    one = build(SONGS[:24], str(tmp_path / "one"), settings, num_workers=1)
    two = build(renamed, str(tmp_path / "two" / "deeper"), settings, num_workers=2)
    assert one == two
    written = contents(tmp_path / "one"), contents(tmp_path / "two" / "deeper")
    named = [each.pop("songs.csv") for each in written]
    assert written[0] == written[1] and len(written[0]) == 3  # train, eval, dataset.json
    assert named[0] != named[1]


@pytest.mark.parametrize("kind", SETTINGS)
def test_what_is_kept_is_what_the_songs_hold(built, kind):
    settings = SETTINGS[kind]
    expected = {"train": set(), "eval": set()}
    for path in SONGS[:14]:
        split = split_of(songs.read_bytes(path), settings.eval_fraction)
        expected[split] |= windows_of(path, settings)
    expected["eval"] -= expected["train"]
    description = json.loads((Path(built[kind]) / "dataset.json").read_text())
    for split in ("train", "eval"):
        found, number = read_windows(built[kind], split, settings)
        assert found == expected[split] and len(found) == number > 0
        assert description["counts"][f"windows_kept_{split}"] == number
        assert sum(description["shards"][split].values()) == number


@pytest.mark.parametrize("kind", SETTINGS)
def test_counts_add_up(as_built, kind):
    description = json.loads((Path(as_built[kind]) / "dataset.json").read_text())
    counts = description["counts"]
    assert list(description) == ["settings", "counts", "shards"] and list(counts) == COUNTS
    assert counts["files_read"] == 14 and counts["files_dropped"] == {}
    assert counts["windows_cut"] == sum(counts[name] for name in COUNTS[3:]) > 0
    assert description["settings"] == SETTINGS[kind].describe()
    names = {*description["shards"]["train"], *description["shards"]["eval"]}
    assert set(os.listdir(as_built[kind])) == {*names, "dataset.json", "songs.csv", "windows"}


def test_small_numbers_by_hand(tmp_path, in_process):
    files = write(
        tmp_path,
        a=tune(TWO_BARS * 2),  # 3 windows: CD DC CD, of which two are different.
        b=tune(TWO_BARS + ".*17 E4 -*14"),  # CD, D and 16 rests, 17 rests.
        waltz=tune(TWO_BARS, time_signature(0, 3, 4)),
        short=tune("C4"),
        text=b"not MIDI at all",
        drums=tune("K . S . " * 8),
        late=tune(".*40 C4 -*23"),
    )
    settings = Settings(MELODY, 2, eval_fraction=0)
    files.append(str(tmp_path / "missing.mid"))
    lines = []
    counts = build(files, str(tmp_path / "out"), settings, explain=lines.append)["counts"]
    assert counts == {
        "files_read": 8,
        "files_dropped": {
            "cannot be opened": 1,
            "no melody track": 1,
            "not 4/4": 1,
            "not MIDI": 1,
            "too short": 1,
        },
        "windows_cut": 9,  # a, b and late: four bars each.
        "windows_dropped_rests": 3,  # The last of b, the first two of late.
        "windows_duplicate": 2,  # CD is in a twice and in b.
        "windows_kept_train": 4,
        "windows_kept_eval": 0,
    }
    assert [line.partition(":")[0] for line in lines] == files
    assert lines[0].endswith("used for train, 3 windows cut, 0 of them dropped by the rests rule")
    assert lines[2].endswith("dropped, not 4/4: found a 3/4 time signature")
    assert lines[7].endswith("dropped, cannot be opened: No such file or directory")
    table = descriptions.table(counts)
    assert "dropped: too short" in table and "kept for train" in table


def test_an_instrument_without_a_window_costs_the_others_nothing(tmp_path):
    silent = play("C4 .*62 C4", channel=1)
    outcome = examine(
        *write(tmp_path, song=midi(track(play(TWO_BARS * 2)), track(silent))), MELODY_2
    )
    assert (outcome.reason, outcome.num_cut, outcome.num_dropped_rests) == ("", 6, 3)
    assert outcome.rows.shape == (2, 32)  # CD, DC, CD: each once.


def test_only_rests(tmp_path):
    outcome = examine(*write(tmp_path, song=tune("C4 .*40 C4")), MELODY_2)
    assert (outcome.reason, outcome.num_cut, outcome.num_dropped_rests) == ("only rests", 2, 2)
    assert outcome.rows is None


def test_what_nobody_foresaw_is_counted(tmp_path, in_process, monkeypatch):
    bad, good = write(tmp_path, bad=tune("E4 " * 32), good=tune(TWO_BARS))

    def parse(midi):
        if midi == Path(bad).read_bytes():
            raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "odd")
        return original(midi)

    original = songs.parse_song
    monkeypatch.setitem(readers.MIDI_READERS, "symusic", parse)
    lines = []
    description = build([bad, good], str(tmp_path / "out"), MELODY_2, explain=lines.append)
    assert description["counts"]["files_dropped"] == {"crashed the reader": 1}
    assert "UnicodeDecodeError" in lines[0]


def test_a_file_that_kills_its_worker_costs_one_file(tmp_path, monkeypatch):
    files = write(tmp_path, a=tune(TWO_BARS), deadly=tune("E4 " * 32), z=tune("F4 " * 32))
    monkeypatch.setattr(builder, "examine", die)
    counts = build(files, str(tmp_path / "out"), MELODY_2, num_workers=1)["counts"]
    assert counts["files_read"] == 3 and counts["files_dropped"] == {"crashed the reader": 1}
    assert counts["windows_kept_train"] + counts["windows_kept_eval"] == 2


def test_a_folder_that_holds_something_is_refused(tmp_path, in_process):
    files = write(tmp_path, a=tune(TWO_BARS))
    for taken in (str(tmp_path), files[0]):
        with pytest.raises(FileExistsError, match="--output_dir=.*never overwritten"):
            build(files, taken, MELODY_2)
    (tmp_path / "empty").mkdir()
    build(files, str(tmp_path / "empty") + "/", MELODY_2)
    assert "dataset.json" in os.listdir(tmp_path / "empty")


def test_a_link_to_an_empty_folder_and_the_folder_one_is_in(tmp_path, in_process, monkeypatch):
    files = write(tmp_path, a=tune(TWO_BARS))
    (tmp_path / "disk" / "linked").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "linked")
    build(files, str(tmp_path / "link"), MELODY_2)
    assert "dataset.json" in os.listdir(tmp_path / "link")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    build(files, ".", MELODY_2)
    assert "dataset.json" in os.listdir(tmp_path / "here")


def test_where_a_disk_is_mounted_is_refused_before_the_work(tmp_path, in_process, monkeypatch):
    files = write(tmp_path, a=tune(TWO_BARS))
    (tmp_path / "disk").mkdir()
    monkeypatch.setattr(os.path, "ismount", lambda path: path == str(tmp_path / "disk"))
    with pytest.raises(FileExistsError, match="--output_dir=.*disk is where a disk is mounted"):
        build(files, str(tmp_path / "disk"), MELODY_2)
    build(files, str(tmp_path / "disk" / "songs"), MELODY_2)


def test_nothing_left(tmp_path, in_process):
    files = write(tmp_path, a=tune("C4"))
    with pytest.raises(ValueError, match="(?s)No window is left of 1 files.*too short"):
        build(files, str(tmp_path / "out"), MELODY_2)
    assert os.listdir(tmp_path) == ["a.mid"]


def test_what_takes_too_long_costs_one_file(tmp_path, monkeypatch):
    files = write(tmp_path, a=tune(TWO_BARS), endless=tune("E4 " * 32), z=tune("F4 " * 32))
    monkeypatch.setattr(builder, "examine", die)
    lines = []
    counts = build(
        files, str(tmp_path / "out"), MELODY_2, 2, explain=lines.append, seconds_per_file=1
    )["counts"]
    assert counts["files_read"] == 3 and counts["files_dropped"] == {"too slow": 1}
    assert lines[1].endswith("endless.mid: dropped, too slow: took more than 1 seconds")


def test_what_takes_too_much_memory_costs_one_file(tmp_path, monkeypatch):
    (path,) = write(tmp_path, a=tune(TWO_BARS))

    def greedy(*_):
        raise MemoryError

    monkeypatch.setattr(windows, "song_windows", greedy)
    outcome = examine(path, MELODY_2)
    assert (outcome.reason, outcome.num_cut) == ("too much memory", 0)


def test_another_reader(tmp_path, in_process):
    settings = Settings(MELODY, 2, reader="note_seq")
    built = [build(SONGS[:3], str(tmp_path / s.reader), s) for s in (MELODY_2, settings)]
    assert built[0]["counts"] == built[1]["counts"]
    assert [each["settings"]["reader"] for each in built] == ["symusic", "note_seq"]
    for name in built[0]["shards"]["train"]:
        found = [(tmp_path / reader / name).read_bytes() for reader in ("symusic", "note_seq")]
        assert found[0] == found[1]


def test_shards_of_bounded_size(tmp_path, in_process, monkeypatch):
    whole = build(SONGS[:3], str(tmp_path / "whole"), SETTINGS["drums"])
    monkeypatch.setattr(shards, "WINDOWS_PER_SHARD", 20)
    parted = build(SONGS[:3], str(tmp_path / "parted"), SETTINGS["drums"])
    sizes = list(parted["shards"]["train"].values())
    assert set(sizes[:-1]) == {20} and 0 < sizes[-1] <= 20 and len(sizes) > 1
    assert list(parted["shards"]["train"])[1] == f"train-00001-of-{len(sizes):05d}.tfrecord"
    assert parted["counts"] == whole["counts"]
    found = read_windows(tmp_path / "parted", "train", SETTINGS["drums"])
    assert found == read_windows(tmp_path / "whole", "train", SETTINGS["drums"])


def test_the_split_is_by_song_and_near_its_share():
    rng = np.random.default_rng(0)
    drawn = [rng.bytes(40) for _ in range(2000)]
    held_out = [split_of(data, 0.1) == "eval" for data in drawn]
    assert 150 < sum(held_out) < 250  # 200 +- 13.4, the binomial's deviation.
    assert held_out == [split_of(data, 0.1) == "eval" for data in drawn]
    assert {split_of(data, 0) for data in drawn} == {"train"}


def test_files_are_found_at_any_depth_each_once(tmp_path):
    (tmp_path / "a[1]" / "deep").mkdir(parents=True)
    for name in ("b.mid", "a[1]/x.MIDI", "a[1]/deep/y.Mid", "a[1]/z.txt"):
        (tmp_path / name).touch()
    everything = find_files([str(tmp_path), str(tmp_path / "*.mid")])
    assert [os.path.relpath(p, tmp_path) for p in everything] == [
        "a[1]/deep/y.Mid",
        "a[1]/x.MIDI",
        "b.mid",
    ]
    assert len(find_files([str(tmp_path / "a[1]")])) == 2
    (tmp_path / "Song [v2].mid").touch()
    assert find_files([str(tmp_path / "Song [v2].mid")]) == [str(tmp_path / "Song [v2].mid")]
    for nothing in (str(tmp_path / "none"), str(tmp_path / "*.wav")):
        with pytest.raises(FileNotFoundError, match="names no MIDI file"):
            find_files([str(tmp_path), nothing])


def test_a_metre_is_taken_as_4_4_by_request(tmp_path, in_process):
    files = write(
        tmp_path,
        a=tune("E4 -*15 F4 -*15", time_signature(0, 1, 4)),
        b=tune(TWO_BARS, time_signature(0, 3, 4)),
        c=tune("G4 -*15 F4 -*15"),
    )
    settings = Settings(MELODY, 2, eval_fraction=0, taken_as_4_4=("1/4", "2/4"))
    lines = []
    made = build(files, str(tmp_path / "out"), settings, explain=lines.append)
    assert made["counts"]["files_dropped"] == {"not 4/4": 1}
    assert made["counts"]["taken"] == {"taken as 4/4": 1}
    assert "  taken as 4/4" in descriptions.table(made["counts"])
    assert lines[0].endswith("by the rests rule; taken as 4/4: 1")
    assert made["settings"]["taken_as_4_4"] == ["1/4", "2/4"]
    assert builder.settings_of(made["settings"]).accepted_metres == {(1, 4), (2, 4)}


def test_parts_that_are_taken_as_drums_are_counted(tmp_path, in_process):
    sysex = (0, b"\xf0\x0a\x41\x10\x42\x12\x40\x1b\x15\x01\x0f\xf7")
    data = midi(track(play(TWO_BARS), [sysex], play("K . S . " * 8, channel=11)))
    lines = []
    made = build(write(tmp_path, a=data), str(tmp_path / "out"), MELODY_2, explain=lines.append)
    assert made["counts"]["taken"] == {"parts taken as drums": 1}
    assert lines[0].endswith("; parts taken as drums: 1")
    assert made["counts"]["windows_cut"] == 1


def test_parts_of_a_score_with_notes_left_out_are_counted_and_named(tmp_path, in_process):
    melody = written.FOUR_FOUR + written.note("C4", 16), written.note("D4", 16)
    drums = written.FOUR_FOUR + written.note("unpitched", 8) * 2
    data = written.score(written.part(*melody), written.part(drums, name="P2"))
    (tmp_path / "a.musicxml").write_bytes(data)
    lines = []
    files = [str(tmp_path / "a.musicxml")]
    made = build(files, str(tmp_path / "out"), MELODY_2, explain=lines.append)
    assert made["counts"]["taken"] == {"parts with notes left out": 1}
    assert lines[0].endswith(
        "; parts with notes left out: 1 (P2: 2 unpitched notes that name no known drum)"
    )


def test_what_a_version_without_the_metres_wrote_is_read(built):
    described = SETTINGS["melody"].describe()
    assert "taken_as_4_4" not in described  # As it was, so that both open what the other builds.
    assert builder.settings_of(described).taken_as_4_4 == ()
    description = descriptions.read(built["melody"])
    assert description["settings"] == described and "taken" not in description["counts"]


def test_settings_say_what_is_wrong():
    for wrong in ({"tracks": ()}, {"num_bars": 0}, {"eval_fraction": 1.1}, {"eval_fraction": -0.1},
                  {"test_fraction": 0.95}, {"reader": "mido"}, {"taken_as_4_4": ("3/4",)},
                  {"taken_as_4_4": "1/4"}, {"taken_as_4_4": (4,)}):  # fmt: skip
        with pytest.raises(ValueError, match=f"{next(iter(wrong))}.*Received"):
            Settings(**{"tracks": MELODY, "num_bars": 2, **wrong})
    assert Settings(TRIO, 16).token_dtype == np.uint16 and MELODY_2.token_dtype == np.uint8
    assert Settings(DRUMS, 2).row_size == 32 and Settings(TRIO, 16).row_size == 768
