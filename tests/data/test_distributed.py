"""What many processes build has the bytes of what one builds, whatever happens to them."""

import os
import signal
import time
import zipfile
from pathlib import Path

import pytest
from corpora import SETTINGS, SONGS

from magenta_vae.data import assembly, beam, builder, dask, distributed, records, splits, workers
from magenta_vae.data.journal import Journal


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in Path(folder).rglob("*")
        if path.is_file()
    }


def inline(function, tasks, what):
    for task in tasks:
        function(*task)


@pytest.fixture
def files(tmp_path):
    """Returns songs in files and an archive, two of them twice, and what is none."""
    with zipfile.ZipFile(tmp_path / "more.zip", "w") as archive:
        for path in SONGS[:4]:
            archive.write(path, Path(path).name)
    (tmp_path / "bad.mid").write_bytes(b"not MIDI")
    return builder.find_files([*SONGS[2:8], str(tmp_path / "more.zip"), str(tmp_path / "bad.mid")])


@pytest.fixture
def local(files, tmp_path, in_process):
    lines = []
    builder.build(files, str(tmp_path / "local"), SETTINGS["melody"], explain=lines.append)
    return contents(tmp_path / "local"), lines


def build(files, folder, run_tasks, **options):
    options = {"files_per_part": 3, **options}
    return distributed.build(files, str(folder), SETTINGS["melody"], run_tasks, **options)


def test_it_has_the_bytes_of_the_local_build(files, local, tmp_path, monkeypatch):
    monkeypatch.setattr(assembly, "MERGE_BYTES", 2**12)
    monkeypatch.setattr(assembly, "SONGS_PER_ENTRY", 2)
    lines = []
    build(files, tmp_path / "out", inline, explain=lines.append)
    assert (contents(tmp_path / "out"), lines) == local
    assert not (tmp_path / "out.incomplete").exists()


def test_it_has_the_bytes_of_the_local_build_with_splits_of_ones_own(files, tmp_path, in_process):
    chosen = {"train": files[:3], "eval": files[3:5], "test": files[5:]}
    found, own_splits = splits.of_inputs(chosen)
    for name, run in (("one", builder.build), ("many", distributed.build)):
        options = {"run_tasks": inline} if name == "many" else {}
        run(found, str(tmp_path / name), SETTINGS["trio"], own_splits=own_splits, **options)
    assert contents(tmp_path / "one") == contents(tmp_path / "many")
    assert any(name.startswith("test-") for name in contents(tmp_path / "one"))


@pytest.mark.parametrize("number", range(4))
def test_stopped_at_any_task_it_goes_on(files, local, tmp_path, number):
    done = []

    def stopping(function, tasks, what):
        for task in reversed(tasks):  # In no order that could be relied on.
            if len(done) == number:
                raise KeyboardInterrupt
            function(*task)
            done.append(task)

    with pytest.raises(KeyboardInterrupt):
        build(files, tmp_path / "out", stopping)
    assert not (tmp_path / "out").exists()
    again = []

    def counting(function, tasks, what):
        again.extend(tasks)
        inline(function, tasks, what)

    build(files, tmp_path / "out", counting)
    assert contents(tmp_path / "out") == local[0]
    assert len(again) + number == 4  # Three parts and a range.


def test_a_task_that_is_run_twice_changes_nothing(files, local, tmp_path):
    build(files, tmp_path / "out", lambda function, tasks, what: inline(function, tasks * 2, what))
    assert contents(tmp_path / "out") == local[0]


def test_another_number_of_files_to_a_part_is_refused(files, tmp_path):
    def stop(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(files, tmp_path / "out", stop)
    with pytest.raises(ValueError, match="was begun with files_per_part=3, now 2"):
        build(files, tmp_path / "out", inline, files_per_part=2)
    with pytest.raises(ValueError, match="files_per_part=3, now None"):
        builder.build(files, str(tmp_path / "out"), SETTINGS["melody"])


def test_a_process_that_does_not_see_the_disk_is_noticed(files, tmp_path):
    def lose(function, tasks, what):
        inline(function, tasks[:1] + tasks[2:], what)  # The others wrote on a disk of their own.

    with pytest.raises(FileNotFoundError, match=r"part-00001.done: all processes must see"):
        build(files, tmp_path / "out", lose)
    elsewhere = str(tmp_path / "elsewhere")
    with pytest.raises(FileNotFoundError, match="elsewhere.incomplete is not seen by a process"):
        distributed.examine_part(elsewhere, 0, files, SETTINGS["melody"], False)
    assert not os.path.exists(elsewhere + ".incomplete")


def test_killed_after_its_last_step_it_is_done(files, local, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "remove", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            build(files, tmp_path / "out", inline)
    build(files, tmp_path / "out", inline)
    assert contents(tmp_path / "out") == local[0]
    assert not (tmp_path / "out.incomplete").exists()


def kill_once(flag, function, *task):
    """Kills the worker that is given this first, in the middle of a part."""
    if not os.path.exists(flag):
        Path(flag).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    function(*task)


def test_dask_gives_the_part_of_a_worker_that_is_killed_to_another(files, local, tmp_path):
    cluster_of = pytest.importorskip("distributed").LocalCluster
    flag = str(tmp_path / "killed")
    with (
        cluster_of(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        dask.connected(cluster.scheduler_address) as run_tasks,
    ):

        def run(function, tasks, what):
            run_tasks(kill_once, [(flag, function, *task) for task in tasks], what)

        build(files, tmp_path / "out", run)
    assert os.path.exists(flag)
    assert contents(tmp_path / "out") == local[0]


def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.slow
def test_dask_names_what_kills_every_worker(tmp_path):
    cluster_of = pytest.importorskip("distributed").LocalCluster
    with (
        cluster_of(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster,
        dask.connected(cluster.scheduler_address) as run_tasks,
        pytest.raises(workers.WorkerError, match="reading parts at .*die"),
    ):
        run_tasks(die, [(1,)], "reading parts")


def test_no_scheduler(monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr(dask, "SECONDS_TO_CONNECT", 0.5)
    begun = time.monotonic()
    with pytest.raises(OSError, match="--scheduler=tcp://127.0.0.1:9: no scheduler of Dask"):
        dask.connected("tcp://127.0.0.1:9").__enter__()
    with pytest.raises(ValueError, match="--scheduler is an address as in .* Received: nowhere"):
        dask.connected("nowhere").__enter__()
    assert time.monotonic() - begun < 60


@pytest.mark.parametrize("mode", ["in_memory", "multi_processing"])
def test_beam_gives_the_bytes_of_the_local_build(files, local, tmp_path, mode):
    pytest.importorskip("apache_beam")
    flags = [f"--direct_running_mode={mode}", "--direct_num_workers=2"]
    build(files, tmp_path / "out", beam.make_run_tasks("DirectRunner", flags))
    assert contents(tmp_path / "out") == local[0]


def test_records_may_be_compressed(files, tmp_path, in_process):
    settings = SETTINGS["melody"]
    builder.build(files, str(tmp_path / "local"), settings, compression=records.GZIP)
    build(files, tmp_path / "out", inline, compression=records.GZIP)
    assert contents(tmp_path / "out") == contents(tmp_path / "local")


def test_what_a_local_build_has_done_is_left_alone(files, tmp_path):
    (tmp_path / "out.incomplete").mkdir()
    (tmp_path / "out.incomplete" / "job.json").write_text('{"format": 2}')
    with pytest.raises(ValueError, match="out.incomplete was begun with"):
        build(files, tmp_path / "out", inline)
    assert (tmp_path / "out.incomplete" / "job.json").exists()
    (tmp_path / "out.incomplete" / "job.json").write_text('{"settings": {}}')
    with pytest.raises(ValueError, match="begun by another version of this package"):
        build(files, tmp_path / "out", inline)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "a").touch()
    with pytest.raises(FileExistsError, match="--output_dir=.*never overwritten"):
        build(files, tmp_path / "taken", inline)
