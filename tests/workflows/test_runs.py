"""A run as a folder: what it remembers of its origin, and which commands may go on with it."""

import dataclasses
import functools
import json
import shutil
from concurrent import futures

import gin
import keras
import pytest
import tensorflow as tf

from magenta_vae import configuration
from magenta_vae.training import checkpoints
from magenta_vae.workflows import run_files, runs, text_tables, training


@pytest.fixture
def data_dir(tmp_path):
    """What `start_run` reads of a data set."""
    folder = tmp_path / "data"
    folder.mkdir()
    settings = configuration.parse(["mel_2bar.gin"]).experiment.settings
    counts = {"files_read": 1, "files_dropped": {}, "windows_cut": 0, "windows_dropped_rests": 0}
    kept = ("windows_duplicate", "windows_kept_train", "windows_kept_eval")
    counts |= dict.fromkeys(kept, 0)
    description = {"settings": settings.describe(), "counts": counts, "shards": {}}
    (folder / "dataset.json").write_text(json.dumps(description))
    return str(folder)


@pytest.fixture
def start_run(configured):
    return functools.partial(run_files.start, configured)


@pytest.fixture
def configured():
    return configuration.parse(["mel_2bar.gin"])


def save(run_dir, step):
    """Gives a run a checkpoint."""
    model = keras.Sequential([keras.layers.Input([2]), keras.layers.Dense(1)])
    optimizer = keras.optimizers.SGD()
    optimizer.build(model.trainable_variables)
    optimizer.iterations.assign(step)
    checkpoints.Checkpoints(str(run_dir), model, optimizer).save()


@pytest.fixture
def other(tmp_path, data_dir, start_run):
    """A run that others may start from."""
    start_run(str(tmp_path / "other"), data_dir)
    save(tmp_path / "other", 3)
    return tmp_path / "other"


def test_a_run_of_its_own_has_no_origin(tmp_path, data_dir, start_run):
    assert start_run(str(tmp_path / "run"), data_dir)["origin"] is None
    assert run_files.read_record(str(tmp_path / "run"))["origin"] is None


def test_a_run_records_its_origin_and_goes_on_without_it(tmp_path, data_dir, other, start_run):
    run_dir = str(tmp_path / "run")
    record = start_run(run_dir, data_dir, run_files.Origin(str(other)))
    expected = {
        "run_dir": str(other),
        "checkpoint": str(other / "checkpoints" / "step-3"),
        "step": 3,
        "partial": False,
    }
    assert record["origin"] == run_files.read_record(run_dir)["origin"] == expected
    # Killed before its first checkpoint it starts once more, from what is newest then.
    save(other, 5)
    assert start_run(run_dir, data_dir, run_files.Origin(str(other)))["origin"]["step"] == 5
    assert start_run(run_dir, data_dir)["origin"]["step"] == 5
    save(run_dir, 1)
    shutil.rmtree(other)
    assert start_run(run_dir, data_dir, run_files.Origin(str(other)))["origin"]["step"] == 5
    assert start_run(run_dir, data_dir)["origin"]["step"] == 5


def test_another_origin_is_refused_with_both(tmp_path, data_dir, other, start_run):
    run_dir = str(tmp_path / "run")
    start_run(run_dir, data_dir, run_files.Origin(str(other)))
    save(run_dir, 1)
    with pytest.raises(ValueError, match=f"started from {other}. Received: --init_from=elsewhere"):
        start_run(run_dir, data_dir, run_files.Origin("elsewhere"))
    with pytest.raises(ValueError, match="started from weights of its own. Received: --init_from"):
        start_run(str(other), data_dir, run_files.Origin(run_dir))


def test_an_origin_without_the_checkpoint_is_refused_before_a_run_is_made(
    tmp_path, data_dir, other, start_run
):
    run_dir = tmp_path / "run"
    with pytest.raises(FileNotFoundError, match="There is no model .*nowhere"):
        start_run(str(run_dir), data_dir, run_files.Origin(str(tmp_path / "nowhere")))
    with pytest.raises(FileNotFoundError, match="holds no latest checkpoint"):
        start_run(str(run_dir), data_dir, run_files.Origin(str(tmp_path)))
    with pytest.raises(FileNotFoundError, match="steps it holds: 3. Received: 7"):
        start_run(str(run_dir), data_dir, run_files.Origin(str(other), "7"))
    assert not run_dir.exists()


def test_only_one_process_writes(tmp_path, data_dir, start_run):
    record = start_run(str(tmp_path / "run"), data_dir, is_writer=False)
    assert record["data_dir"] == data_dir
    assert not (tmp_path / "run").exists()


def test_a_run_of_another_configuration_is_refused_with_the_difference(tmp_path, data_dir, other):
    smaller = configuration.parse(["mel_2bar.gin"], ["batch_size = 7"])
    with pytest.raises(ValueError, match="another configuration(.|\n)*batch_size = 7"):
        run_files.start(smaller, str(other), data_dir)


def test_a_run_may_be_given_more_steps(data_dir, other):
    more = ["configuration.Experiment.max_steps = 12345"]
    run_files.start(configuration.parse([str(other / "config.gin")], more), str(other), data_dir)
    assert runs.open(str(other)).experiment.max_steps == 12345


def test_a_run_that_learned_nothing_yet_begins_anew(tmp_path, data_dir, other, start_run):
    run_dir = str(tmp_path / "run")
    start_run(run_dir, data_dir, run_files.Origin(str(other)))
    smaller = configuration.parse(["mel_2bar.gin"], ["batch_size = 7"])
    assert run_files.start(smaller, run_dir, data_dir)["origin"] is None
    assert runs.open(run_dir).experiment.batch_size == 7


@pytest.mark.parametrize("text", ["", "[]", '{"data": null}'])
def test_a_damaged_record_is_named(tmp_path, data_dir, other, text):
    (other / "run.json").write_text(text)
    with pytest.raises(ValueError, match="other/run.json is damaged"):
        runs.open(str(other))


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"data_dir": 3}, r"data_dir must be str \| None. Received: 3"),
        ({"data": []}, r"data must be dict \| None. Received: \[\]"),
        ({"data": {"settings": {}}}, "holds no counts, shards"),
        ({"packages": "x"}, 'packages must be dict. Received: "x"'),
        ({"origin": {"run_dir": "x"}}, "holds no checkpoint, step, partial"),
        ({"modules": {}}, r"modules must be list \| None"),
    ],
)
def test_valid_json_of_another_kind_is_named(other, values, says):
    record = json.loads((other / "run.json").read_text())
    (other / "run.json").write_text(json.dumps({**record, **values}))
    with pytest.raises(ValueError, match=f"other/run.json is damaged.*{says}"):
        runs.open(str(other))


def test_a_configuration_that_is_no_text_is_named(other):
    path = other / "config.gin"
    path.write_bytes(path.read_bytes().replace(b"z_size", b"z\xff_size", 1))
    with pytest.raises(ValueError, match="other/config.gin cannot be read: expected UTF-8.*0xff"):
        runs.open(str(other))
    with pytest.raises(ValueError, match="other/config.gin cannot be read: expected UTF-8.*0xff"):
        configuration.parse([str(path)])


@pytest.mark.parametrize("text", ["[" * 5000, "a = (", "a = '", "  a = 1\n b = 2", "a = \0"])
def test_a_configuration_that_is_no_gin_is_named(other, text):
    (other / "config.gin").write_text(text)
    with pytest.raises(ValueError, match="other/config.gin.* cannot be read as gin"):
        runs.open(str(other))


@pytest.mark.parametrize("run_dir", [b"runs/x", 3, None])
def test_a_run_is_opened_by_its_path(run_dir):
    with pytest.raises(ValueError, match="run_dir must be a path. Received:"):
        runs.open(run_dir)


def make_trained(folder, data_dir, *files, params=()):
    """Returns a run of initial weights on a real data set."""
    configured = configuration.parse([*files, "scale/tiny.gin"], params)
    training.train(configured, str(folder), data_dir, max_steps=1)
    return str(folder)


@pytest.fixture(scope="module")
def pair(data_dirs, tmp_path_factory):
    """A baseline of 32 bars, and a VAE of 2."""
    folder = tmp_path_factory.mktemp("pair")
    return [
        make_trained(folder / name, data_dirs[name], f"{name}.gin", *variants)
        for name, *variants in (
            ("hierdec_mel_32bar", "variants/baseline.gin"),
            ("mel_2bar", "variants/teacher_forcing.gin"),
        )
    ]


TITLES = ["Table 1, Baseline, 32 bars", "Table 1, VAE, 2 bars"]


def table_of(run):
    windows = run.windows("eval")[:8]
    return text_tables.format_metrics(run.metrics(windows), run.experiment), windows.shape[1]


def test_two_runs_that_are_open_print_each_its_own_table(pair):
    first, second = map(runs.open, pair)
    for run, title, num_steps in ((first, TITLES[0], 512), (second, TITLES[1], 32)):
        text, found = table_of(run)
        assert title in text and found == num_steps
    assert second.model().num_bars == 2 and first.settings.num_bars == 32


def test_two_runs_are_opened_in_two_threads(pair):
    expected = [table_of(runs.open(folder)) for folder in pair]
    with futures.ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda folder: table_of(runs.open(folder)), [*pair, *pair]))
    assert found == expected * 2
    assert gin.config_str() == ""  # Gin keeps nothing of them.


def test_a_run_is_a_value(pair):
    run = runs.open(pair[1])
    with pytest.raises(dataclasses.FrozenInstanceError):
        run.folder = "elsewhere"
    assert run.network is run.network  # Its weights are read once.


def test_a_run_that_moved_with_its_data_is_evaluated(data_dirs, tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    shutil.copytree(data_dirs["mel_2bar"], old / "data" / "mel")
    folder = make_trained(old / "runs" / "tiny", str(old / "data" / "mel"), "mel_2bar.gin")
    expected = table_of(runs.open(folder))
    old.rename(new)
    moved = new / "runs" / "tiny"
    assert table_of(runs.open(moved)) == expected
    # A run of the first version says neither how its data lay nor what they were, byte for byte.
    record = json.loads((moved / "run.json").read_text())
    del record["data_dir_from_run"], record["data_digests"], record["modules"]
    (moved / "run.json").write_text(json.dumps(record))
    assert table_of(runs.open(moved)) == expected
    (new / "data").rename(new / "elsewhere")
    with pytest.raises(FileNotFoundError, match=f"--data_dir is needed.*neither in {old}/data/mel"):
        runs.open(moved).windows("eval")
    assert len(runs.open(moved).windows("eval", str(new / "elsewhere" / "mel")))


def test_other_data_in_the_place_of_a_runs_own_are_refused(data_dirs, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(data_dirs["mel_2bar"], data)
    run = runs.open(make_trained(tmp_path / "run", str(data), "mel_2bar.gin"))
    (shard,) = data.glob("eval-*.tfrecord")
    records = [record.numpy() for record in tf.data.TFRecordDataset(str(shard))]
    with tf.io.TFRecordWriter(str(shard)) as writer:
        for record in [records[1], *records[1:]]:  # As many, and their description is the same.
            writer.write(record)
    with pytest.raises(ValueError, match="not those of the run in .*--data_dir="):
        run.windows("eval")
    with pytest.warns(UserWarning, match="not those of the run in .* of other music"):
        assert len(run.windows("eval", str(data))) == len(records)
    again = configuration.parse(["mel_2bar.gin", "scale/tiny.gin"])
    with pytest.raises(ValueError, match="started on other windows"):
        training.train(again, str(tmp_path / "run"), str(data), max_steps=2)
    description = json.loads((data / "dataset.json").read_text())
    description["counts"]["files_read"] += 1
    (data / "dataset.json").write_text(json.dumps(description))
    with pytest.raises(ValueError, match="holds another data set than the run"):
        run.windows("eval")


def test_a_configuration_that_grows_without_an_end_is_refused(other):
    path = other / "config.gin"
    text = path.read_text()
    lines = [f"m{n} = [%m{n + 1}, %m{n + 1}]" for n in range(60)] + ["m60 = 1"]
    seed = "configuration.Experiment.seed = "
    path.write_text(text.replace(f"{seed}0", f"{seed}%m0") + "\n".join(lines) + "\n")
    with pytest.raises(ValueError, match="more than 100,000 values"):
        runs.open(str(other))
    path.write_text(text + "#" * 2**20)
    with pytest.raises(ValueError, match="other/config.gin cannot be read: expected at most"):
        runs.open(str(other))


@pytest.mark.parametrize("lines", ["p = %q\nq = %p", "p = %p", "p = %nowhere"])
def test_a_macro_that_nothing_reads_may_lead_nowhere(other, lines):
    path = other / "config.gin"
    path.write_text(path.read_text() + lines + "\n")
    assert "p" not in runs.open(str(other)).configured.hyperparameters
