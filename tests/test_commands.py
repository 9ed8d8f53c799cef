"""The commands as their users run them, in processes of their own."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import magenta_vae
from magenta_vae.music.songs import read_song
from magenta_vae.workflows import model_places

ROOT = Path(__file__).parent.parent
SONG = ROOT / "testdata" / "song-0000.mid"
COMMANDS = [
    "attributes", "build_dataset", "compare", "encode", "evaluate", "explore", "export", "figures",
    "import_magenta", "inspect_dataset", "interpolate", "models", "publish", "reconstruct",
    "sample", "serve", "similar", "synthesize", "table1", "train",
]  # fmt: skip


def run(name, *flags, expect=0):
    """Runs a command and returns what it printed; fails where its exit status is unexpected."""
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / name, *flags], capture_output=True, text=True
    )
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout if expect == 0 else done.stderr


@pytest.fixture(scope="module")
def songs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("songs")
    run("synthesize", f"--output_dir={folder}", "--num_songs=12", "--num_bars=8", "--seed=1000")
    (folder / "broken.mid").write_bytes(b"not a MIDI file")
    return folder


@pytest.fixture(scope="module")
def data_dir(songs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "mel_2bar"
    run(
        "build_dataset", f"--input={songs}", f"--output_dir={folder}", "--gin_file=mel_2bar.gin",
        "--gin_param=builder.Settings.eval_fraction=0.3",
    )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def run_dir(data_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    run(
        "train", "--gin_file=mel_2bar.gin", "--gin_file=scale/tiny.gin", f"--data_dir={data_dir}",
        f"--run_dir={folder}",
    )  # fmt: skip
    return folder


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_a_program(name):
    """Its first line finds Python, that of training with large pages of memory."""
    python = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        [ROOT / "scripts" / name, "--help"],
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": python},
    )
    assert "--[no]traceback" in done.stdout, done.stderr
    assert done.returncode == 0


@pytest.mark.parametrize("name", COMMANDS)
def test_help_needs_no_tensorflow(name):
    done = subprocess.run(
        [sys.executable, "-X", "importtime", ROOT / "scripts" / name, "--help"],
        capture_output=True,
        text=True,
    )
    assert "--[no]traceback" in done.stdout
    assert "tensorflow" not in done.stderr
    assert "note_seq" not in done.stderr


def test_the_commands_are_listed_here():
    names = sorted(p.name for p in (ROOT / "scripts").iterdir() if not p.name.startswith("__"))
    assert names == COMMANDS
    assert all(os.access(ROOT / "scripts" / name, os.X_OK) for name in names)


def test_the_package_runs_its_commands():
    done = magenta_vae_program("train", "--help")
    assert "--gin_file" in done.stdout
    assert done.returncode == 0
    assert magenta_vae_program("help", "train").stdout == done.stdout


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"], ["help"]], ids=str)
def test_the_package_says_which_commands_it_has(arguments):
    done = magenta_vae_program(*arguments)
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    for name in COMMANDS:
        (line,) = (line for line in lines if line.split()[:1] == [name])
        assert len(line.split()) > 4
    assert lines[0] == "usage: magenta_vae COMMAND [--flag=value ...]"
    assert [line for line in lines if line.startswith(("Data:", "More:"))] == ["Data:"]


def test_the_package_says_its_version():
    assert magenta_vae_program("--version").stdout == f"magenta_vae {magenta_vae.__version__}\n"


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("sampel", "The most similar command is sample."),
        ("build-dataset", "The most similar command is build_dataset."),
        ("--gin_file=demo.gin", ""),
    ],
)
def test_a_mistyped_command_is_refused_with_the_nearest(typed, hint):
    done = magenta_vae_program(typed)
    assert done.returncode == 1 and not done.stdout
    first, second = done.stderr.splitlines()
    assert first == f"magenta_vae: {typed!r} is not a command. {hint}".rstrip()
    assert second == "magenta_vae --help says which commands there are."


@pytest.mark.parametrize("asked", ["sampel", "no_such"])
def test_help_with_a_command_that_there_is_not_is_refused_too(asked):
    for arguments in (["help", asked], ["--help", asked]):
        done = magenta_vae_program(*arguments)
        assert done.returncode == 1
        assert f"{asked!r} is not a command" in done.stderr


def test_what_is_interrupted_says_what_is_kept():
    program = (
        "import os, signal\nfrom magenta_vae import commands\n"
        "def main(_):\n"
        "    for _ in commands.display.track(range(9), 'making'):\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "commands.run(main, when_interrupted=lambda: 'all is kept')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (130, "interrupted: all is kept\n")


def test_a_command_that_is_interrupted_says_so_to_the_shell(tmp_path):
    program = (
        "import os, signal\nfrom magenta_vae import commands\n"
        "commands.run(lambda _: os.kill(os.getpid(), signal.SIGINT))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (130, "interrupted\n")


def magenta_vae_program(*arguments):
    command = [sys.executable, "-m", "magenta_vae", *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def quiet_environment():
    """Returns this environment without what the tests tell TensorFlow, and with this Python."""
    environment = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    folders = [str(Path(sys.executable).parent), environment["PATH"]]
    return {**environment, "PATH": os.pathsep.join(folders)}


def test_what_commands_end_with_is_typed_as_it_is_and_runs_without_a_word_of_tensorflow(
    run_dir, tmp_path
):
    def sh(line):
        return subprocess.run(
            line, shell=True, capture_output=True, text=True, cwd=tmp_path, env=quiet_environment()
        )

    sample = shlex.quote(str(ROOT / "scripts" / "sample"))
    done = sh(f"{sample} --run_dir={run_dir} --output_dir='my samples' --num_samples=2")
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line for line in done.stdout.splitlines() if line.startswith(" " * 4)]
    assert [os.path.basename(shlex.split(line)[0]) for line in lines] == [
        "sample",
        "interpolate",
        "similar",
        "explore",
    ]
    for line in lines[1:3]:  # The last would serve a page until it is stopped.
        done = sh(line)
        assert (done.returncode, done.stderr) == (0, ""), line
    assert list((tmp_path / "my samples" / "between").glob("*.mid"))
    assert list((tmp_path / "my samples" / "variations").glob("*.mid"))


def test_figures_of_each_window_latents_and_runs_beside_each_other(run_dir, tmp_path):
    lines = [
        ["evaluate", f"--run_dir={run_dir}", f"--per_example={tmp_path}/results.csv"],
        ["encode", f"--run_dir={run_dir}", f"--output={tmp_path}/z.npz", f"--map={tmp_path}/m.png"],
        ["compare", str(run_dir), str(run_dir), f"--json={tmp_path}/compared.json"],
    ]
    program = [sys.executable, ROOT / "tests" / "command_lines.py", json.dumps(lines)]
    done = subprocess.run(program, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = (tmp_path / "results.csv").read_text().splitlines()
    latents = np.load(tmp_path / "z.npz")
    assert rows[0].startswith('"window","song","bar","loss",') and len(rows) == 1 + len(
        latents["mu"]
    )
    assert (tmp_path / "m.png").stat().st_size > 10_000
    found = json.loads((tmp_path / "compared.json").read_text())
    assert found["differences"]["configuration"] == {}
    assert found["figures"]["loss"]["differences"] == [0]


@pytest.mark.parametrize(
    ("name", "flags", "message"),
    [
        ("compare", ["runs/a"], "Give at least two runs"),
        ("encode", ["--model=mel_2bar"], "--output or --map is needed"),
        ("encode", ["--model=mel_2bar", "--map=map.jpg"], "must end in .png, .pdf, .svg"),
        (
            "encode",
            ["--model=mel_2bar", "--input=a", "--split=eval", "--map=m.png"],
            "give no --da",
        ),
    ],
)
def test_what_a_command_lacks_is_said_at_once(name, flags, message):
    assert message in run(name, *flags, expect=1)


def test_explain_gives_every_file_a_line(songs, tmp_path):
    out = run(
        "build_dataset", f"--input={songs}/*.mid", f"--output_dir={tmp_path / 'data'}",
        "--gin_file=drums_2bar.gin", "--explain", "--num_workers=1",
    )  # fmt: skip
    lines = [line for line in out.splitlines() if ".mid: " in line]
    assert len(lines) == 13
    assert any(line.endswith("broken.mid: dropped, not MIDI: expected a 14-byte header that begins "
                             "with MThd, found b'not '") for line in lines)  # fmt: skip
    assert sum("windows cut" in line for line in lines) == 12
    counts = json.loads((tmp_path / "data" / "dataset.json").read_text())["counts"]
    assert counts["files_read"] == 13
    assert counts["files_dropped"] == {"not MIDI": 1}


def test_a_look_at_a_data_set(data_dir, tmp_path):
    out = run("inspect_dataset", f"--data_dir={data_dir}", f"--output_dir={tmp_path}/look",
              f"--json={tmp_path}/figures.json")  # fmt: skip
    assert "kept for train" in out and "classes used" in out and "melody: hold" in out
    names = sorted(path.name for path in (tmp_path / "look").iterdir())
    assert names == [
        f"{split}-{what}.png" for split in ("eval", "train") for what in ("histograms", "windows")
    ]
    figures = json.loads((tmp_path / "figures.json").read_text())
    counts = json.loads((data_dir / "dataset.json").read_text())["counts"]
    assert figures["train"]["windows"] == counts["windows_kept_train"]
    assert sum(figures["eval"]["tracks"]["melody"]["tokens_per_class"]) == (
        32 * counts["windows_kept_eval"]
    )


@pytest.mark.slow
def test_two_replicas_take_the_same_steps_as_one_also_in_micro_batches(data_dir, tmp_path):
    common = ["--gin_file=mel_2bar.gin", "--gin_file=scale/tiny.gin", f"--data_dir={data_dir}"]
    weights = []
    for number, micro_batch_size in ((0, None), (2, 2)):
        run_dir = tmp_path / str(number)
        micro = f"--gin_param=configuration.Experiment.micro_batch_size={micro_batch_size}"
        run("train", *common, micro, f"--run_dir={run_dir}", f"--num_virtual_devices={number}")
        path = tf.train.latest_checkpoint(str(run_dir / "checkpoints"))
        assert path.endswith("step-4")
        reader = tf.train.load_checkpoint(path)
        tensors = {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}
        weights.append(
            {n: value for n, value in tensors.items() if getattr(value, "dtype", 0) == np.float32}
        )
    assert weights[0].keys() == weights[1].keys()
    assert len(weights[0]) == 3 * 18  # every weight, and both of its moments
    for name, value in weights[0].items():
        # Four steps of Adam at 1e-3: sums over halves of the batch round differently.
        np.testing.assert_allclose(value, weights[1][name], atol=2e-6, err_msg=name)


def test_a_batch_larger_than_the_data_is_refused_with_the_numbers(data_dir, tmp_path):
    error = run(
        "train", "--gin_file=mel_2bar.gin", "--gin_file=scale/tiny.gin", f"--data_dir={data_dir}",
        f"--run_dir={tmp_path}", "--gin_param=batch_size=4096", expect=1,
    )  # fmt: skip
    assert "fewer than one batch of 4096" in error
    assert "Traceback" not in error


@pytest.mark.slow
def test_a_study_goes_on_with_the_seeds_that_are_asked_for(data_dir, tmp_path):
    command = [
        "table1", f"--data_dir={data_dir.parent}", f"--output_dir={tmp_path}", "--scale=tiny",
        "--models=mel_2bar", "--columns=baseline", "--max_steps=1",
    ]  # fmt: skip
    for first, num_seeds in ((3, 1), (2, 2)):
        run(*command, f"--first_seed={first}", f"--seeds={num_seeds}")
    names = sorted(os.listdir(tmp_path / "runs"))
    assert names == ["mel_2bar-baseline-seed2", "mel_2bar-baseline-seed3"]
    assert "| Baseline | 2 |" in (tmp_path / "table1.md").read_text()


def test_music_is_written_with_pictures_and_sound(run_dir, tmp_path):
    first = tmp_path / "first"
    out = run(
        "sample", f"--run_dir={run_dir}", f"--output_dir={first}", "--num_samples=2",
        "--temperature=1", "--plot", "--audio",
    )  # fmt: skip
    assert "plays" in out  # which synthesizer
    names = sorted(path.name for path in first.iterdir())
    files = [f"sample-seed0-00{n}.{kind}" for n in (0, 1) for kind in ("mid", "png", "wav")]
    assert names == [*files, "sample-seed0.json", "sample-seed0.png"]
    made_by = json.loads((first / "sample-seed0.json").read_text())
    assert made_by.pop("version")
    assert made_by == {
        "command": "sample", "run_dir": str(run_dir), "step": 4, "num_samples": 2,
        "temperature": 1.0, "seed": 0, "files": ["sample-seed0-000.mid", "sample-seed0-001.mid"],
    }  # fmt: skip
    between = tmp_path / "between"
    run(
        "interpolate", f"--run_dir={run_dir}", f"--output_dir={between}", "--num_steps=3", "--plot",
        f"--start={SONG}", f"--end={SONG}", "--continuous",
    )  # fmt: skip
    assert (between / "interpolation.png").is_file()
    assert (between / "interpolation.mid").is_file()
    made_by = json.loads((between / "interpolation.json").read_text())
    assert (made_by["start"], made_by["step"], len(made_by["files"])) == (str(SONG), 4, 4)
    assert len(list(between.glob("*-*.mid"))) == 3
    out = run(
        "figures", f"--run_dir={run_dir}", f"--output_dir={tmp_path / 'figures'}", "--picture=png",
        "--picture=svg",
    )  # fmt: skip
    assert "between the evaluation examples" in out
    names = sorted(path.name for path in (tmp_path / "figures").iterdir())
    assert names == ["figure2.mid", "figure2.png", "figure2.svg"]
    error = run(
        "figures", f"--run_dir={run_dir}", f"--output_dir={tmp_path / 'none'}", "--figure=5",
        expect=1,
    )  # fmt: skip
    assert "figure 5 shows 16 bars of Melody, Melody, Drums" in error
    assert "a model of 2 bars of Melody" in error


def test_what_was_read_is_said_and_kept(run_dir, tmp_path):
    folder = tmp_path / "songs"
    folder.mkdir()
    for number in (0, 1):
        shutil.copy(ROOT / "testdata" / f"song-000{number}.mid", folder)
    (folder / "broken.mid").write_text("no music")
    out = run(
        "reconstruct", f"--run_dir={run_dir}", f"--input={folder}", f"--input={SONG}",
        "--start_bar=3", "--num_windows=2", f"--output_dir={tmp_path / 'out'}", "--plot",
        "--qpm=90",
    )  # fmt: skip
    assert "left out 1 of 4 pieces:\n  1 not MIDI, as " in out
    assert f"read bars 3-6 of track 1, program 25 of {folder}/song-0000.mid, at 121" in out
    assert out.count("read bars 3-6 of track 1, ") == 3
    assert "onsets right (pitch and step): " in out
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"reconstruction-005.mid", "reconstruction-005.png", "reconstruction.png"} <= names
    made_by = json.loads((tmp_path / "out" / "reconstruction.json").read_text())
    assert made_by["start_bar"] == 3 and made_by["qpm"] == 90
    assert [each["bars"] for each in made_by["read"]] == [[3, 4], [5, 6]] * 3
    assert made_by["read"][5]["source"] == str(SONG)
    assert [each["read"] for each in made_by["onsets"]] == list(range(6))
    for each in made_by["onsets"]:
        assert each["share"] == pytest.approx(each["right"] / each["of"], abs=1e-4)
    written = read_song(tmp_path / "out" / "reconstruction-005.mid")
    assert written.qpm_at(0) == pytest.approx(90, abs=0.01)


@pytest.mark.slow
def test_music_is_chosen_by_track_and_bar(run_dir, tmp_path):
    out = run(
        "similar", f"--run_dir={run_dir}", f"--input={SONG}", "--track=2", "--start_bar=9",
        "--num_samples=2", f"--output_dir={tmp_path}", "--plot",
    )  # fmt: skip
    assert "read bars 9-10 of track 2, 'Synth Bass 2', program 39 of" in out
    made_by = json.loads((tmp_path / "similar.json").read_text())
    assert [each["read"] for each in made_by["onsets"]] == [0, 0]
    assert made_by["read"][0]["tracks"][0]["number"] == 2
    assert (tmp_path / "similar.png").is_file()
    written = read_song(tmp_path / "similar-000.mid")
    assert written.qpm_at(0) == pytest.approx(121, abs=0.1)
    assert {each.program for each in written.instruments} == {39}
    out = run(
        "interpolate", f"--run_dir={run_dir}", f"--start={SONG}", f"--end={SONG}", "--track=2",
        "--end_track=Piano", "--end_start_bar=5", f"--output_dir={tmp_path}", expect=1,
    )  # fmt: skip
    assert f"{SONG}: no such track: expected the track 'Piano'; its tracks are\n  1  " in out
    assert "Traceback" not in out
    error = run(
        "interpolate", f"--run_dir={run_dir}", f"--start={SONG.parent}", f"--end={SONG}",
        f"--output_dir={tmp_path}", expect=1,
    )  # fmt: skip
    assert "--start must name one piece." in error


def test_samples_are_compared_with_held_out_music(run_dir, tmp_path):
    path = tmp_path / "figures.json"
    out = run(
        "evaluate", f"--run_dir={run_dir}", "--samples", "--num_samples=6", "--temperature=1",
        f"--json={path}",
    )  # fmt: skip
    assert "6 held-out windows, their reconstructions and 6 samples, temperature 1" in out
    figures = json.loads(path.read_text())
    assert figures["examples"] > 6  # those of Table 1 are of the whole split
    row = figures["samples"]["tracks"]["melody"]["note_density"]
    assert f"{row['distance']['samples']:.3f}" in out
    assert sorted(row["mean"]) == ["held_out", "reconstructions", "samples", "training"]


def test_attributes_are_learned_and_applied(run_dir, tmp_path):
    vectors = tmp_path / "made" / "attributes.json"
    out = run("attributes", f"--run_dir={run_dir}", f"--output={vectors}", "--num_windows=100")
    assert "learned from 100 windows" in out
    content = json.loads(vectors.read_text())
    assert (content["z_size"], content["track"], content["step"]) == (8, "melody", 4)
    assert len(content["vectors"]["note_density"]["vector"]) == 8
    assert all(f"{name} (" in out for name in content["vectors"])
    folder = tmp_path / "denser"
    apply = [f"--run_dir={run_dir}", f"--vectors={vectors}", f"--input={SONG}"]
    out = run(
        "attributes", *apply, "--attribute=note_density", "--strength=-2", "--plot",
        f"--output_dir={folder}",
    )  # fmt: skip
    assert "where reconstructed" in out
    assert "note:" not in out  # the vectors are this run's
    assert (folder / "note_density-2-000.mid").is_file()
    assert json.loads((folder / "note_density-2.json").read_text())["strength"] == -2
    assert len(list(folder.glob("*.png"))) == len(list(folder.glob("*.mid"))) > 1
    error = run("attributes", *apply, "--attribute=x", f"--output_dir={folder}", expect=1)
    assert "Received: x" in error
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["train"], "--gin_file is needed"),
        (["build_dataset", "--input=x", "--output_dir=y", "--", "--region=z"], "--region=z: flags"),
        (
            ["build_dataset", "--input=x", "--output_dir=y", "--runner=z", "--num_workers=2"],
            "--num_workers: a --runner has workers",
        ),
        (
            ["attributes", "--run_dir=nowhere", "--vectors=x", "--data_dir=lead"],
            "--data_dir: of learning alone",
        ),
        (["evaluate", "--run_dir=nowhere", "--seed=1"], "--seed: of --samples alone"),
        (
            ["evaluate", "--run_dir=nowhere", "--samples", "--temperature=0"],
            "flag --temperature=0.0: must be above 0",
        ),
        (
            ["sample", "--run_dir=nowhere", "--output_dir=x", "--qpm=nan"],
            "flag --qpm=nan: nan is not a finite number in the range [4, 1000]",
        ),
        (
            ["similar", "--run_dir=x", "--input=x", "--output_dir=x", "--similarity=nan"],
            "flag --similarity=nan: nan is not a finite number in the range [0, 1]",
        ),
        (["attributes", "--run_dir=x", "--strength=inf"], "--strength=inf: inf is not a finite"),
        (
            ["publish", "--run_dir=x", "--output_dir=x", "--description=x", "--temperature=nan"],
            "flag --temperature=nan: nan is not a finite number",
        ),
        (
            ["build_dataset", "--output_dir=x", "--seconds_per_file=nan"],
            "flag --seconds_per_file=nan: nan is not",
        ),
        (
            ["export", "--run_dir=x", "--output_dir=x", "--evaluate", "--figures=y"],
            "The model card takes either",
        ),
        (
            ["sample", "--run_dir=x", "--output_dir=x", "--soundfont=y"],
            "--soundfont is what plays --audio",
        ),
        (["inspect_dataset", "--data_dir=nowhere"], "--data_dir=nowhere holds no dataset.json"),
        (["train", "--gin_file=mel_3bar.gin"], "--gin_file=mel_3bar.gin is neither"),
        (["train", "--gin_file=mel_2bar.gin"], "--output_dir=data/mel_2bar"),
        (["train", "--gin_file=demo.gin", "--init_partial"], "--init_from is read: give it"),
        (["attributes", "--run_dir=nowhere"], "To learn give --output; to apply give --attribute"),
        (["attributes", "--run_dir=nowhere", "--output=x"], "--run_dir=nowhere holds no config"),
        (["evaluate", "--run_dir=nowhere"], "--run_dir=nowhere holds no config.gin"),
        (["evaluate", "--run_dir=mel_2bar"], "--model=mel_2bar opens the model of this name"),
        (["encode", "--model=mel_2bar", "--output=z.npz"], "--input or --data_dir is needed"),
        (["train", "--init_from=."], "--init_from=. holds no config.gin: it is neither a run"),
        (["train", "--gin_file=demo.gin", "--init_from=mel_2bear"], "There is no model mel_2bear"),
        (
            ["publish", "--model=mel_2bar", "--output_dir=x", "--description= "],
            "--description must",
        ),
        (["models", "--name=."], "--name=. holds no card.json: a card comes with a model"),
        (["table1", "--data_dir=x", "--output_dir=y", "--models="], "Received: none"),
        (["sample", "--run_dir=nowhere", "--output_dir=x"], "--run_dir=nowhere holds no config"),
        (["sample", "--run_dir=x", "--output_dir=x", "--checkpoint=new"], "latest, best or a step"),
    ],
)
def test_errors_fit_in_a_message(command, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    error = run(*command, expect=1)
    assert f"error: {message}" in error or message in error
    assert "Traceback" not in error
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "flag"),
    [
        *((name, "output_dir") for name in ("figures", "inspect_dataset", "publish", "sample")),
        *(("table1", "output_dir"), ("train", "run_dir")),
    ],
)
def test_a_file_in_the_place_of_a_folder_is_named_before_the_work(name, flag, tmp_path):
    path = tmp_path / "file"
    path.write_text("kept")
    for folder in (path, path / "new"):
        error = run(name, f"--{flag}={folder}", expect=1)
        message = f"flag --{flag}={folder}: expected a folder, new or not. {path} is no folder.\n"
        assert message in error
    assert path.read_text() == "kept"


@pytest.mark.slow
def test_a_wheel_carries_its_gin_files_songs_and_models(tmp_path):
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", tmp_path, ROOT], check=True
    )
    (wheel,) = tmp_path.glob("*.whl")
    target = tmp_path / "installed"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "-t", target, wheel], check=True
    )
    done = subprocess.run(
        [sys.executable, "-m", "magenta_vae", "train", "--gin_file=demo.gin", "--max_steps=20"],
        env={**os.environ, "PYTHONPATH": str(target)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert str(target) in done.stdout  # the songs are the wheel's
    assert (tmp_path / "runs" / "demo" / "config.gin").is_file()
    vendored = target / "magenta_vae" / "page" / "vendor" / "onnxruntime-web"
    assert (vendored / "ort-wasm-simd-threaded.wasm.gz").is_file()
    for name in model_places.shipped():
        subprocess.run(
            [
                sys.executable,
                "-m",
                "magenta_vae",
                "sample",
                f"--model={name}",
                "--output_dir=music",
            ],
            env={**os.environ, "PYTHONPATH": str(target)},
            cwd=tmp_path,
            check=True,
        )


@pytest.mark.slow
def test_the_demo_reconstructs_held_out_windows(tmp_path):
    run("train", "--gin_file=demo.gin", f"--run_dir={tmp_path}")
    run("evaluate", f"--run_dir={tmp_path}", f"--json={tmp_path / 'figures.json'}")
    figures = json.loads((tmp_path / "figures.json").read_text())
    track = figures["tracks"]["melody"]
    # It is of leads and made for its samples: see workflows/test_demos.py.
    assert track["greedy_reconstruction_accuracy"] > track["most_frequent_token_share"] + 0.08
    assert figures["kl_nats"] > 10
