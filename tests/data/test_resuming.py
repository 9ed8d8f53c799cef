"""A build that is interrupted, killed or out of room goes on, and ends with the same bytes."""

import errno
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from corpora import SETTINGS, SONGS

from magenta_vae.data import assembly, builder, shards
from magenta_vae.data.builder import build
from magenta_vae.data.journal import Journal

ROOT = Path(__file__).parents[2]
SETTING = SETTINGS["melody"]


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in Path(folder).rglob("*")
        if path.is_file()
    }


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(assembly, "SONGS_PER_ENTRY", 3)
    monkeypatch.setattr(assembly, "MERGE_BYTES", 2**13)


@pytest.fixture
def songs(tmp_path):
    """Returns paths of eight songs that may be changed."""
    folder = tmp_path / "songs"
    folder.mkdir()
    return [shutil.copy(path, folder) for path in SONGS[:8]]


@pytest.fixture
def expected(songs, tmp_path, in_process):
    lines = []
    build(songs, str(tmp_path / "expected"), SETTING, explain=lines.append)
    return contents(tmp_path / "expected"), lines


WHERE = [(Journal, "write"), (shards.ShardWriter, "write"), (shards.ShardWriter, "close")]


@pytest.mark.parametrize("owner, method", WHERE, ids=lambda each: getattr(each, "__name__", each))
@pytest.mark.parametrize("call", [0, 1, 2])
@pytest.mark.parametrize("after", [False, True])
def test_interrupted_anywhere_it_goes_on(songs, expected, tmp_path, owner, method, call, after):
    original, calls = getattr(owner, method), []

    def interrupt(*arguments):
        calls.append(arguments)
        if len(calls) == call + 1:
            if after:
                original(*arguments)
            raise KeyboardInterrupt
        return original(*arguments)

    out = tmp_path / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, method, interrupt)
        with pytest.raises(KeyboardInterrupt):
            build(songs, str(out), SETTING)
    assert not out.exists() and (tmp_path / "out.incomplete").is_dir()
    lines = []
    build(songs, str(out), SETTING, explain=lines.append)
    assert (contents(out), lines) == expected
    assert not (tmp_path / "out.incomplete").exists()


def test_what_is_done_is_not_done_again(songs, expected, tmp_path, monkeypatch):
    examined = []
    original = builder.examine

    def examine(source, settings):
        examined.append(source.name)
        if len(examined) == 8:
            raise KeyboardInterrupt
        return original(source, settings)

    monkeypatch.setattr(builder, "examine", examine)
    with pytest.raises(KeyboardInterrupt):
        build(songs, str(tmp_path / "out"), SETTING)
    build(songs, str(tmp_path / "out"), SETTING)
    assert examined == songs + songs[6:]  # Two parts of three were done.
    assert contents(tmp_path / "out") == expected[0]


def test_killed_after_its_last_step_it_is_done(songs, expected, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "remove", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            build(songs, str(tmp_path / "out"), SETTING)
    assert contents(tmp_path / "out") == expected[0]
    description = build(songs, str(tmp_path / "out"), SETTING)
    assert sum(description["shards"]["train"].values()) > 0
    assert not (tmp_path / "out.incomplete").exists()
    with pytest.raises(FileExistsError, match="never overwritten"):
        build(songs, str(tmp_path / "out"), SETTING)


@pytest.fixture
def begun(songs, tmp_path, in_process, monkeypatch):
    """Leaves a build of `songs` interrupted after its first part."""

    def interrupt(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shards.ShardWriter, "write", interrupt)
        with pytest.raises(KeyboardInterrupt):
            build(songs, str(tmp_path / "out"), SETTING)


def test_inputs_changed_in_between_are_noticed(songs, begun, tmp_path):
    out = str(tmp_path / "out")
    os.utime(songs[1], ns=(0, 0))
    with pytest.raises(ValueError, match=f"1 changed \\({songs[1]}\\).*begin anew"):
        build(songs, out, SETTING)
    other = [*songs[2:], songs[0], str(tmp_path / "other.mid")]
    with pytest.raises(ValueError, match="was begun with files=8, now 9"):
        build([*songs, "more.mid"], out, SETTING)
    with pytest.raises(ValueError, match=r"1 new \(.*other.mid\), 1 gone \(.*song-0001.mid\)"):
        build(other, out, SETTING)
    with pytest.raises(ValueError, match="was begun with memory_mb_per_file=2048, now 1"):
        build(songs, out, SETTING, memory_mb_per_file=1)
    with pytest.raises(ValueError, match="was begun with settings="):
        build(songs, out, SETTINGS["drums"])


def test_two_builds_do_not_share_a_folder(songs, begun, tmp_path):
    work = Journal(str(tmp_path / "out"), SETTING.token_dtype, SETTING.row_size)
    with work.locked(), pytest.raises(FileExistsError, match="Another build is at work"):
        build(songs, str(tmp_path / "out"), SETTING)


def test_a_full_disk_is_explained(songs, expected, tmp_path, monkeypatch):
    def write(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(shards.ShardWriter, "write", write)
        with pytest.raises(OSError, match="The disk is full.*out.incomplete.*same command again"):
            build(songs, str(tmp_path / "out"), SETTING)
    build(songs, str(tmp_path / "out"), SETTING)
    assert contents(tmp_path / "out") == expected[0]


def command(songs, out, *flags):
    return [
        sys.executable, str(ROOT / "scripts" / "build_dataset"), f"--input={songs}",
        f"--output_dir={out}", "--gin_file=hierdec_trio_16bar.gin", "--num_workers=2", *flags,
    ]  # fmt: skip


def many_songs(folder, number):
    """Writes the bundled songs under other names, each with a text of its own."""
    folder.mkdir()
    for index in range(number):
        data = Path(SONGS[index % len(SONGS)]).read_bytes()
        text = b"\x00\xff\x01\x04%04d" % index
        size = int.from_bytes(data[18:22], "big") + len(text)
        data = data[:18] + size.to_bytes(4, "big") + text + data[22:]
        (folder / f"{index:04d}.mid").write_bytes(data)
    return folder


@pytest.mark.slow
def test_killed_at_ten_random_moments_it_ends_with_the_same_bytes(tmp_path):
    songs = many_songs(tmp_path / "songs", 300)
    begun = time.monotonic()
    subprocess.run(command(songs, tmp_path / "whole"), check=True, capture_output=True)
    seconds = time.monotonic() - begun
    rng = random.Random(0)
    kills = 0
    while kills < 10:
        process = subprocess.Popen(
            command(songs, tmp_path / "out"), start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            # Of what may be left of it: each attempt goes on from the one before.
            process.wait(timeout=rng.uniform(0.3, 0.7) * seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        else:  # It came to its end: the next begins anew.
            assert process.returncode == 0
            assert contents(tmp_path / "out") == contents(tmp_path / "whole")
            shutil.rmtree(tmp_path / "out")
        kills += 1
    if not (tmp_path / "out").exists():
        subprocess.run(command(songs, tmp_path / "out"), check=True, capture_output=True)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.parametrize("kilobytes", [100, 900, 2500])
def test_a_disk_that_is_full_leaves_nothing_that_could_be_taken_for_whole(tmp_path, kilobytes):
    songs = many_songs(tmp_path / "songs", 200)
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "none", str(disk)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("only root mounts a small disk")
    try:
        done = subprocess.run(command(songs, disk / "out"), capture_output=True, text=True)
        assert done.returncode == 1, done.stdout
        assert "error: " in done.stderr and "The disk is full" in done.stderr
        assert "Traceback" not in done.stderr
        assert not (disk / "out").exists()
        assert not list(disk.rglob("dataset.json"))
        subprocess.run(["mount", "-o", "remount,size=1g", str(disk)], check=True)
        subprocess.run(command(songs, disk / "out"), check=True, capture_output=True)
        subprocess.run(command(songs, tmp_path / "out"), check=True, capture_output=True)
        assert contents(disk / "out") == contents(tmp_path / "out")
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.slow
def test_a_file_that_may_not_grow_is_a_full_disk(tmp_path):
    songs = many_songs(tmp_path / "songs", 100)

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))

    done = subprocess.run(
        command(songs, tmp_path / "out"), capture_output=True, text=True, preexec_fn=limit
    )
    assert done.returncode == 1 and "The disk is full: File too large" in done.stderr
    assert os.listdir(tmp_path) == ["songs", "out.incomplete"] or not (tmp_path / "out").exists()
    subprocess.run(command(songs, tmp_path / "out"), check=True, capture_output=True)
    assert (tmp_path / "out" / "dataset.json").is_file()
