"""Tokens that are kept: those of the records as they are, or made anew with a line that says so."""

import errno
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from corpora import SETTINGS, SONGS
from in_process import InProcess

from magenta_vae import files
from magenta_vae.data import assembly, builder, input_pipeline, records, token_files, workers
from magenta_vae.data.input_pipeline import digest_of, load_tokens, training_batches

SETTINGS_OF = SETTINGS["melody"]


def load(folder, split="train", **options):
    return load_tokens(str(folder), split, SETTINGS_OF, **options)


def load_quietly(folder, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return load(folder, **options)


def is_mapped(tokens):
    return isinstance(tokens, token_files.Tokens) and not tokens.flags.owndata


def in_memory(folder):
    """Returns the tokens of the records, whatever is kept."""
    shards = json.loads((Path(folder) / "dataset.json").read_text())["shards"]["train"]
    compression = json.loads((Path(folder) / "dataset.json").read_text()).get("compression")
    reading = input_pipeline._read_shards(str(folder), "train", shards, SETTINGS_OF, compression)
    return np.concatenate(list(reading))


def forbid_records(monkeypatch):
    def refuse(*_):
        raise AssertionError("records were read")

    monkeypatch.setattr(input_pipeline, "_read_shards", refuse)


@pytest.fixture
def folder(built, tmp_path):
    """Returns a data set without tokens."""
    folder = Path(shutil.copytree(built["melody"], tmp_path / "data"))
    shutil.rmtree(folder / "tokens", ignore_errors=True)
    return folder


@pytest.fixture
def kept(folder):
    """Returns a data set with tokens, and these."""
    return folder, np.array(load_quietly(folder))


def test_pages_that_are_given_back_are_read_again(built, tmp_path, monkeypatch):
    folder = Path(shutil.copytree(built["melody"], tmp_path / "data"))
    tokens = load(folder)
    released = []
    monkeypatch.setattr(token_files.Tokens, "release", lambda each: released.append(each.mapped))
    chunks = [(0, 4), (4, 4)]
    kept = [each.numpy() for each in training_batches(tokens, 8, 3, chunks)]
    assert released and all(mapped is not None for mapped in released)
    monkeypatch.undo()
    monkeypatch.setattr(token_files, "SMALL_BYTES", 0)
    again = [each.numpy() for each in training_batches(tokens, 8, 3, chunks)]
    np.testing.assert_array_equal(kept, again)
    tokens.release()
    np.testing.assert_array_equal(tokens, np.load(folder / "tokens" / "train.npy"))


@pytest.mark.parametrize("kind", SETTINGS)
def test_the_second_start_maps_the_same_tokens(built, tmp_path, kind, monkeypatch):
    folder = Path(shutil.copytree(built[kind], tmp_path / "data"))
    shutil.rmtree(folder / "tokens", ignore_errors=True)
    for split in ("train", "eval"):
        first = load_tokens(str(folder), split, SETTINGS[kind])
        with monkeypatch.context() as patch:
            forbid_records(patch)
            second = load_tokens(str(folder), split, SETTINGS[kind])
        assert is_mapped(first) and is_mapped(second)
        assert second.dtype == SETTINGS[kind].token_dtype
        np.testing.assert_array_equal(second, first)
        plain = np.array(second)
        assert digest_of(first) == digest_of(second) == digest_of(plain)
        assert digest_of(second[1:]) == digest_of(plain[1:]) != digest_of(second)
    assert {path.name for path in (folder / "tokens").iterdir()} == {
        f"{split}.{kind}" for split in ("train", "eval") for kind in ("npy", "json")
    }


def test_numpy_reads_them_too(kept):
    folder, tokens = kept
    np.testing.assert_array_equal(np.load(folder / "tokens" / "train.npy"), tokens)


def test_they_are_read_only(kept):
    with pytest.raises(ValueError, match="read-only"):
        load(kept[0])[0, 0, 0] = 1


def test_batches_of_mapped_tokens_are_those_of_any(kept):
    folder, tokens = kept
    augment = input_pipeline.Transposition(SETTINGS_OF.tracks)
    given = 8, 3, [(0, 4), (4, 3)], [slice(0, 4), slice(4, 8)], augment
    found = [np.array(batch) for batch in training_batches(load(folder), *given)]
    expected = [np.array(batch) for batch in training_batches(tokens, *given)]
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def flip(path):
    data = bytearray(path.read_bytes())
    data[-7] ^= 1
    path.write_bytes(data)


def cut(path):
    path.write_bytes(path.read_bytes()[:-1])


def lengthen(path):
    path.write_bytes(path.read_bytes() + b"\0")


def empty(path):
    path.write_bytes(b"")


def pickled(path):
    np.save(path, np.array([{"a": 1}], object), allow_pickle=True)


def of_another_type(path):
    np.save(path, np.load(path).astype(np.uint16))


def of_another_shape(path):
    np.save(path, np.load(path)[1:])


def of_another_order(path):
    np.save(path, np.asfortranarray(np.load(path)))


def of_another_corpus(path):
    np.save(path, np.load(path)[::-1].copy())


def of_another_version(path):
    with open(path, "rb+") as file:
        file.seek(6)
        file.write(b"\x02")


def a_pipe(path):
    path.unlink()
    os.mkfifo(path)


def a_folder(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (flip, "is damaged: its SHA-256"),
        (cut, "is damaged: it must have [0-9,]+ bytes and has"),
        (lengthen, "is damaged: it must have"),
        (empty, "is damaged"),
        (pickled, "holds object"),
        (of_another_type, "holds uint16 .*, the data set uint8"),
        (of_another_shape, "holds uint8"),
        (of_another_order, "holds uint8"),
        (of_another_corpus, "is damaged: its SHA-256"),
        (of_another_version, "is damaged"),
        (a_pipe, "is no file"),
        (a_folder, "is no file"),
    ],
)
def test_tokens_that_are_not_what_was_written_are_made_anew(kept, damage, says):
    folder, tokens = kept
    path = folder / "tokens" / "train.npy"
    damage(path)
    with pytest.warns(UserWarning, match=f"not used, but made anew: .*train.npy {says}"):
        found = load(folder)
    np.testing.assert_array_equal(found, tokens)
    if path.is_file():
        np.testing.assert_array_equal(load_quietly(folder), tokens)


def changed(**values):
    def change(text):
        return json.dumps(json.loads(text) | values)

    return change


def of_a_shard(**values):
    def change(text):
        described = json.loads(text)
        for shard in described["shards"].values():
            shard.update(values)
        return json.dumps(described)

    return change


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda text: text[:-20], "train.json is damaged"),
        (lambda text: "", "train.json is damaged"),
        (lambda text: "[]", "train.json is damaged"),
        (changed(digest="0" * 64), "train.npy is damaged: its SHA-256"),
        (changed(format=2), "train.json is of format 2, this is 1"),
        (changed(num_bars=4), "train.json is of num_bars=4, the data set of 2"),
        (changed(tracks=[]), r"train.json is of tracks=\[\]"),
        (changed(shards={}), "train.json is of the shards {}"),
        (changed(shards={"../../etc/passwd": {}}), "train.json is damaged"),
        (of_a_shard(windows=3), "train.json is of the shards .*: 3"),
        (of_a_shard(bytes=3), "tfrecord has changed since"),
        (of_a_shard(mtime_ns=3, sha256="0"), "tfrecord has changed since"),
        (of_a_shard(sha256=None), "train.json is damaged: sha256"),
    ],
)
def test_a_description_of_something_else(kept, change, says):
    folder, tokens = kept
    path = folder / "tokens" / "train.json"
    path.write_text(change(path.read_text()))
    with pytest.warns(UserWarning, match=says):
        np.testing.assert_array_equal(load(folder), tokens)
    np.testing.assert_array_equal(load_quietly(folder), tokens)


@pytest.mark.parametrize("missing", ["train.npy", "train.json"])
def test_what_was_not_written_whole_is_written_again(kept, missing):
    folder, tokens = kept
    (folder / "tokens" / missing).unlink()
    np.testing.assert_array_equal(load_quietly(folder), tokens)
    assert (folder / "tokens" / missing).exists()


def reorder(folder):
    """Writes the records of the first shard in another order; returns its path."""
    shard = next(folder.glob("train-*"))
    found = list(records.read_records(str(shard)))
    shard.write_bytes(b"".join(map(records.frame, reversed(found))))
    return shard


def test_records_that_changed_are_noticed(kept):
    folder, tokens = kept
    size = next(folder.glob("train-*")).stat().st_size
    assert reorder(folder).stat().st_size == size
    with pytest.warns(UserWarning, match=r"train-00000.*has changed since\.$"):
        np.testing.assert_array_equal(load(folder), tokens[::-1])
    np.testing.assert_array_equal(load_quietly(folder), tokens[::-1])


def test_a_copy_is_hashed_once(kept, monkeypatch):
    """Its shards have other times and the same bytes."""
    folder, tokens = kept
    for path in folder.glob("*.tfrecord"):
        os.utime(path, (1, 1))
    forbid_records(monkeypatch)
    np.testing.assert_array_equal(load_quietly(folder), tokens)
    with monkeypatch.context() as patch:
        patch.setattr(files, "sha256_of", None)
        np.testing.assert_array_equal(load_quietly(folder), tokens)
    for path in folder.glob("*.tfrecord"):
        os.utime(path, (2, 2))
    monkeypatch.setattr(files, "write_text", refuse_to_write)  # A copy that is read-only.
    np.testing.assert_array_equal(load_quietly(folder), tokens)


def refuse_to_write(*_, **options):
    raise OSError(errno.EROFS, os.strerror(errno.EROFS))


def test_a_folder_that_is_read_only_is_read_as_it_is(folder, monkeypatch):
    """One that is: the tests may run as a user who may write everywhere."""
    with monkeypatch.context() as patch:
        patch.setattr(token_files.os, "makedirs", refuse_to_write)
        with pytest.warns(UserWarning, match="cannot be kept .*each start: .*Read-only") as lines:
            tokens = load(folder)
    assert len(lines) == 1 and not is_mapped(tokens)
    np.testing.assert_array_equal(tokens, in_memory(folder))
    assert not (folder / "tokens").exists()


def test_a_file_in_the_place_of_the_folder(folder):
    (folder / "tokens").touch()
    with pytest.warns(UserWarning, match="cannot be kept beside the records"):
        np.testing.assert_array_equal(load(folder), in_memory(folder))


def test_a_full_disk(folder, monkeypatch):
    """It is told before the records are read; one that fills up meanwhile leaves nothing."""
    usage = shutil.disk_usage(folder)._replace(free=1000)
    with monkeypatch.context() as patch:
        patch.setattr(token_files.shutil, "disk_usage", lambda _: usage)
        with pytest.warns(UserWarning, match="bytes do not fit on the disk"):
            np.testing.assert_array_equal(load(folder), in_memory(folder))

    def fail(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files, "sync", fail)
    with pytest.warns(UserWarning, match="cannot be kept .*No space left"):
        np.testing.assert_array_equal(load(folder), in_memory(folder))
    assert list((folder / "tokens").iterdir()) == []


def test_damaged_records_leave_nothing_and_are_never_kept(folder):
    shard = next(folder.glob("train-*"))
    flip(shard)
    with pytest.raises(ValueError, match="holds a damaged record"):
        load(folder)
    assert list((folder / "tokens").iterdir()) == []
    with pytest.warns(UserWarning, match="that are not damaged"):
        tokens = load(folder, skip_corrupt=True)
    assert len(tokens) and not is_mapped(tokens)
    assert list((folder / "tokens").iterdir()) == []


def test_what_killed_processes_left_is_removed_once_it_is_old(folder):
    (folder / "tokens").mkdir()
    old, new = (folder / "tokens" / f"train.npy.{name}.partial" for name in ("old", "new"))
    for path in (old, new):
        path.write_bytes(b"half")
    then = time.time() - 2 * token_files.SECONDS_ABANDONED
    os.utime(old, (then, then))
    load_quietly(folder)
    assert not old.exists() and new.exists()


def test_two_that_write_at_once_do_no_harm(folder):
    """Each goes on with what it has written, and either's files are there at the end."""
    batches = [in_memory(folder)]
    shards = json.loads((folder / "dataset.json").read_text())["shards"]["train"]
    both_are_at_it = threading.Barrier(2)
    found = []

    def write():
        def wait():
            both_are_at_it.wait(60)
            yield from batches
            both_are_at_it.wait(60)

        kept = token_files.TokenFiles(str(folder), "train", shards, SETTINGS_OF)
        found.append(kept.write(wait()))

    threads = [threading.Thread(target=write) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 2
    for tokens in (*found, load_quietly(folder)):
        np.testing.assert_array_equal(tokens, batches[0])
    assert sorted(path.name for path in (folder / "tokens").iterdir()) == [
        "train.json", "train.npy",
    ]  # fmt: skip


def test_mapped_tokens_stay_when_others_are_written(kept):
    folder, tokens = kept
    mapped = load(folder)
    reorder(folder)
    with pytest.warns(UserWarning, match="has changed since"):
        load(folder)
    np.testing.assert_array_equal(mapped, tokens)


def test_a_file_that_another_process_has_checked_is_not_read_again(kept, monkeypatch):
    folder, tokens = kept
    checked = load(folder).file_id
    assert 0 < checked < 2**62
    reading = []
    read = token_files.TokenFiles._read_digest
    monkeypatch.setattr(
        token_files.TokenFiles, "_read_digest", lambda *args: reading.append(1) or read(*args)
    )
    found = load_quietly(folder, checked=checked)
    assert not reading
    assert (found.file_id, found.digest) == (checked, digest_of(tokens))
    path = folder / "tokens" / "train.npy"
    shutil.copy(path, path.with_suffix(".copy"))
    os.replace(path.with_suffix(".copy"), path)  # On the disk of another machine.
    assert load_quietly(folder, checked=checked).file_id != checked
    assert len(reading) == 1


def test_a_batch_reads_the_windows_of_its_own_rows(monkeypatch):
    """What other machines train on is not touched."""
    read = []
    numpy_function = tf.numpy_function

    def watch(function, *arguments, **options):
        def watched(order):
            read.append(function(order))
            return read[-1]

        return numpy_function(watched, *arguments, **options)

    monkeypatch.setattr(tf, "numpy_function", watch)
    tokens = np.arange(64).reshape(64, 1, 1).astype(np.uint8)
    (plain,) = training_batches(tokens, 8, 0, [(0, 2)])
    for augment in (None, input_pipeline.Transposition(SETTINGS_OF.tracks)):
        (whole,) = training_batches(tokens, 8, 0, [(0, 2)], augment=augment)
        read.clear()
        (own,) = training_batches(tokens, 8, 0, [(0, 2)], [slice(2, 5)], augment)
        np.testing.assert_array_equal(own, whole[:, 2:5])
        # The steps of a chunk are read in any order.
        np.testing.assert_array_equal(np.sort(read, axis=0), np.sort(plain[:, 2:5], axis=0))


def test_an_augmentation_that_knows_no_rows_gets_the_whole_batch():
    tokens = np.arange(64).reshape(64, 1, 1).astype(np.uint8)
    given = tokens, 8, 0, [(0, 2)]

    def mix(batch, seed):
        return batch + batch[::-1] + tf.cast(seed[1], "int32")

    (whole,) = training_batches(*given, augment=mix)
    (own,) = training_batches(*given, [slice(2, 5)], augment=mix)
    np.testing.assert_array_equal(own, whole[:, 2:5])


# Compressed records.


def build_compressed(folder):
    return builder.build(SONGS[:14], str(folder), SETTINGS_OF, compression=records.GZIP)


@pytest.fixture(scope="module")
def built_compressed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("built") / "compressed"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workers, "Workers", InProcess)
        assert build_compressed(folder)["compression"] == records.GZIP
    return folder


@pytest.fixture
def compressed(built_compressed, tmp_path):
    return Path(shutil.copytree(built_compressed, tmp_path / "compressed"))


def test_compressed_records_give_the_same_tokens(compressed, built, tmp_path, in_process):
    for split in ("train", "eval"):
        np.testing.assert_array_equal(load(compressed, split), load(built["melody"], split))
        (shard,) = compressed.glob(f"{split}-*")
        (plain,) = Path(built["melody"]).glob(f"{split}-*")
        assert list(records.read_records(str(shard))) == list(records.read_records(str(plain)))
        assert shard.stat().st_size < plain.stat().st_size / 2
    build_compressed(tmp_path / "again")
    for path in filter(Path.is_file, (tmp_path / "again").iterdir()):
        assert path.read_bytes() == (compressed / path.name).read_bytes()


@pytest.mark.parametrize("where", [-1, -9, 200, 0, 40])
def test_damaged_compressed_records_are_named(compressed, where):
    shard = next(compressed.glob("train-*"))
    data = bytearray(shard.read_bytes())
    data[where] ^= 255
    shard.write_bytes(data)
    with pytest.raises(ValueError, match=f"{shard.name} (holds a damaged record|is damaged)"):
        load(compressed)


def test_a_truncated_compressed_shard(compressed):
    whole = np.array(load(compressed))
    shard = next(compressed.glob("train-*"))
    shard.write_bytes(shard.read_bytes()[:-2000])
    with (
        pytest.warns(UserWarning, match="has changed since"),
        pytest.raises(ValueError, match=f"{shard.name} holds a damaged record"),
    ):
        load(compressed)
    with pytest.warns(UserWarning, match=f"must hold {len(whole)}"):
        rest = load(compressed, skip_corrupt=True)
    assert 0 < len(rest) < len(whole)
    np.testing.assert_array_equal(rest, whole[: len(rest)])


@pytest.mark.parametrize("value", ["ZLIB", 1, None])
def test_another_compression_is_refused(folder, value):
    path = folder / "dataset.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"compression": value}))
    with pytest.raises(ValueError, match="compression must be GZIP, or not be there. Received"):
        load(folder)


def test_a_shard_is_compressed_as_the_description_says(folder, compressed):
    (folder / "dataset.json").write_text((compressed / "dataset.json").read_text())
    with pytest.raises(ValueError, match="plain: expected records that are compressed with GZIP"):
        load(folder)
    description = json.loads((compressed / "dataset.json").read_text())
    del description["compression"]
    (compressed / "dataset.json").write_text(json.dumps(description))
    with pytest.raises(ValueError, match="is compressed: expected records that are plain"):
        load(compressed)


def test_a_build_goes_on_with_the_compression_it_was_begun_with(tmp_path, in_process, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(assembly, "merge", stop)
        with pytest.raises(KeyboardInterrupt):
            builder.build(SONGS[:2], str(tmp_path / "data"), SETTINGS_OF)
    with pytest.raises(ValueError, match="begun with compression=None, now GZIP"):
        builder.build(SONGS[:2], str(tmp_path / "data"), SETTINGS_OF, compression=records.GZIP)


def test_the_command_compresses(tmp_path):
    root = Path(__file__).parents[2]
    inputs = [f"--input={song}" for song in SONGS[:4]]
    ran = subprocess.run(
        [sys.executable, root / "scripts" / "build_dataset", *inputs,
         f"--output_dir={tmp_path / 'data'}", "--gin_file=mel_2bar.gin", "--num_workers=1",
         "--compression=GZIP"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert json.loads((tmp_path / "data" / "dataset.json").read_text())["compression"] == "GZIP"
    (shard, *_) = (tmp_path / "data").glob("*.tfrecord")
    assert re.match(rb"\x1f\x8b\x08\x00\x00\x00\x00\x00", shard.read_bytes())
