"""The lines that commands end with fit what was done, and can be typed."""

import shlex
import sys

import pytest

from magenta_vae import configuration
from magenta_vae.workflows import next_steps
from magenta_vae.workflows.next_steps import Given

COUNTS = {"windows_kept_train": 4000, "windows_kept_eval": 400}


@pytest.fixture(autouse=True)
def new_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["scripts/none"])


def lines_of(text):
    """Returns what is typed, by what it is for, as the words that a shell makes of it."""
    _, *rows = text.splitlines()
    return {
        purpose.strip().rstrip(":"): shlex.split(line)
        for purpose, line in zip(rows[::2], rows[1::2], strict=True)
    }


def flags_of(words):
    return [word.partition("=")[::2] for word in words[1:]]


def test_a_data_set_is_trained_on_with_the_flags_that_built_it():
    given = Given(["mel_2bar.gin"], ["num_bars=4"], [])
    text = next_steps.after_build_dataset(given, ["songs"], "data/my music/", COUNTS)
    lines = lines_of(text)
    assert list(lines) == ["look at it", "a small model, on a CPU", "a model, on a GPU"]
    assert lines["a small model, on a CPU"][1:] == [
        "--gin_file=mel_2bar.gin", "--gin_file=scale/small.gin", "--gin_param=num_bars=4",
        "--data_dir=data/my music/", "--run_dir=runs/my music-small",
    ]  # fmt: skip
    assert "--gin_file=scale/small.gin" not in lines["a model, on a GPU"]


def test_the_batch_is_made_to_fit_few_windows():
    counts = {"windows_kept_train": 100, "windows_kept_eval": 10}
    given = Given(["mel_2bar.gin"])
    lines = lines_of(next_steps.after_build_dataset(given, ["songs"], "data", counts))
    assert "--gin_param=batch_size=64" in lines["a model, on a GPU"]
    assert not any("batch" in word for word in lines["a small model, on a CPU"])
    configured = configuration.parse(["mel_2bar.gin"], ["batch_size=64"])
    assert configured.experiment.batch_size == 64


def test_without_held_out_windows_more_are_held_out():
    counts = {"windows_kept_train": 100, "windows_kept_eval": 0}
    text = next_steps.after_build_dataset(Given(["mel_2bar.gin"]), ["a", "b"], "data", counts)
    assert text.startswith("No window is held out")
    lines = lines_of(text)
    assert list(lines)[0] == "hold more songs out" and "a model, on a GPU" in lines
    words = lines["hold more songs out"]
    assert words[1:] == [
        "--input=a", "--input=b", "--gin_file=mel_2bar.gin",
        "--gin_param=builder.Settings.eval_fraction=0.3", "--output_dir=data",
    ]  # fmt: skip


def test_without_held_out_windows_nothing_is_evaluated():
    text = next_steps.after_train(["--run_dir=run"], "run", is_demo=False, has_held_out=False)
    assert list(lines_of(text)) == ["hear 16 samples", "the curves"]
    counts = {"windows_kept_train": 0, "windows_kept_eval": 0}
    text = next_steps.after_build_dataset(Given(["mel_2bar.gin"]), [], "data", counts)
    assert text.startswith("It has no windows to train on.") and len(lines_of(text)) == 1


def test_a_configuration_of_ones_own_is_trained_as_it_is():
    lines = lines_of(next_steps.after_build_dataset(Given(["demo.gin"]), ["a"], "data/d", COUNTS))
    assert list(lines) == ["look at it", "a model"]


def test_folders_that_are_taken_are_not_named(tmp_path):
    (tmp_path / "data" / "mel_2bar").mkdir(parents=True)
    (words,) = lines_of(next_steps.after_synthesize("songs")).values()
    assert "--output_dir=data/mel_2bar-2" in words


@pytest.mark.parametrize("name", next_steps.PAPER_FILES)
def test_a_look_at_a_data_set_names_its_configuration(name):
    settings = configuration.parse([name]).experiment.settings.describe()
    (words,) = lines_of(next_steps.after_inspect_dataset("d", settings, COUNTS)).values()
    assert ("--gin_file", name) in flags_of(words)


def test_a_baseline_is_not_asked_for_what_it_cannot_do():
    paths = ["s/0.mid", "s/1.mid"]
    with_z = lines_of(next_steps.after_sample(["--run_dir=r"], 8, 0, paths, "s", False))
    without = lines_of(next_steps.after_sample(["--run_dir=r"], 0, 0, paths, "s", False))
    assert {words[0].split("/")[-1] for words in with_z.values()} >= {
        "interpolate",
        "similar",
        "explore",
    }
    assert {words[0].split("/")[-1] for words in without.values()} == {"none"}
    served = next_steps.after_evaluate(["--run_dir=r"], "r", 0, None, True)
    assert "export" not in served


def test_a_command_is_given_again_as_it_was_typed(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["scripts/sample", "--run_dir=my run", "--seed", "3"])
    assert shlex.split(next_steps.again("--audio"))[1:] == [
        "--run_dir=my run", "--seed", "3", "--audio",
    ]  # fmt: skip
    assert shlex.split(next_steps.again("--seed=4"))[1:] == ["--run_dir=my run", "--seed=4"]
    monkeypatch.setattr(sys, "argv", ["scripts/figures", "--seed=3", "--run_dir=r"])
    assert shlex.split(next_steps.again("--seed=4"))[1:] == ["--run_dir=r", "--seed=4"]


def test_commands_are_named_as_the_running_one_was(monkeypatch):
    scripts = configuration.bundled("scripts")
    monkeypatch.setattr(sys, "argv", [str(scripts / "train")])
    monkeypatch.setattr(sys, "orig_argv", ["python", str(scripts / "train")])
    assert configuration.command("sample") == shlex.quote(str(scripts / "sample"))
    monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "magenta_vae", "train"])
    assert configuration.command("sample") == "magenta_vae sample"
    monkeypatch.setattr(sys, "argv", ["notebook.py"])
    assert configuration.command("sample") == "scripts/sample"
    monkeypatch.setattr(sys, "argv", ["benchmarks/beside.py"])
    assert configuration.command("beside.py") == "benchmarks/beside.py"


def test_an_export_is_served_and_asked_by_its_name():
    lines = lines_of(next_steps.after_export("served/my model/3"))
    serve, ask, python = lines.values()
    assert serve[serve.index("-e") + 1] == "MODEL_NAME=my model"
    assert serve[serve.index("-v") + 1].endswith("/served/my model:/models/my model")
    assert ask[0] == "curl" and '"signature_name": "sample"' in ask[-1]
    compile(python[-1], "asked", "exec")


def test_an_exported_page_is_hosted(tmp_path):
    (tmp_path / "1" / "web").mkdir(parents=True)
    *_, host = lines_of(next_steps.after_export(str(tmp_path / "1"))).values()
    assert host[-2:] == ["--directory", str(tmp_path / "1" / "web")]


def test_what_was_encoded_is_read_and_seen():
    lines = lines_of(next_steps.after_encode("o/z.npz", None))
    assert lines["read it"] == [
        "python3",
        "-c",
        'import numpy; print(dict(numpy.load("o/z.npz")))',
    ]
    assert lines["a picture of them"][-1] == "--map=o/z.png"
    lines = lines_of(next_steps.after_encode(None, "map.png"))
    assert list(lines) == ["coloured by another attribute"]


def test_after_a_comparison_each_run_has_a_table_of_windows():
    compared = [
        {"run": run, "checkpoint": checkpoint, "data_dir": "data"}
        for run, checkpoint in (("runs/a/", "2"), ("runs/a/", "best"), ("mel_2bar", "latest"))
    ]
    words = list(lines_of(next_steps.after_compare(compared, "eval")).values())
    assert [each[1] for each in words] == ["--model=runs/a/", "--model=runs/a/", "--model=mel_2bar"]
    assert [dict(flags_of(each)).get("--checkpoint") for each in words] == ["2", "best", None]
    assert [each[-1] for each in words] == [
        "--per_example=a-2.csv", "--per_example=a-best.csv", "--per_example=mel_2bar.csv",
    ]  # fmt: skip
