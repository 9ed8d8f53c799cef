"""What to do after a command, as lines to type that fit what it has done.

Each function returns the text that its command ends with. What stands there in capitals is for the
reader to fill in; everything else runs as it is printed.
"""

import itertools
import json
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from magenta_vae import configuration

SMALL = "scale/small.gin"
PAPER_FILES = (
    "mel_2bar.gin",
    "drums_2bar.gin",
    "hierdec_mel_32bar.gin",
    "hierdec_trio_16bar.gin",
)


class Given(NamedTuple):
    """How a configuration was given.

    Attributes:
        files: values of `--gin_file`.
        params: values of `--gin_param`.
        modules: values of `--allow_module`.
    """

    files: Sequence[str]
    params: Sequence[str] = ()
    modules: Sequence[str] = ()

    def flags(self) -> list[str]:
        """Returns the flags that give it again."""
        return [
            *(f"--gin_file={file}" for file in self.files),
            *(f"--gin_param={param}" for param in self.params),
            *(f"--allow_module={module}" for module in self.modules),
        ]

    def fit_batch(self, num_windows: int) -> list[str]:
        """Returns the flag that lowers the batch size, where there are fewer windows than it."""
        batch_size = configuration.parse(*self).experiment.batch_size
        if num_windows >= batch_size or not num_windows:
            return []
        return [f"--gin_param=batch_size={1 << num_windows.bit_length() - 1}"]


def after_synthesize(songs: str) -> str:
    """After songs were written."""
    return _format(
        {"a data set of them": _line("build_dataset", input=songs, **_new_data("mel_2bar"))}
    )


def after_build_dataset(
    given: Given, inputs: Sequence[str], data_dir: str, counts: Mapping[str, int]
) -> str:
    """After a data set was built.

    Args:
        given: the configuration that it was built for.
        inputs: folders, globs and files that it was built of; none where its splits were chosen.
        data_dir: where it lies.
        counts: what became of its songs and windows.
    """
    look = _line("inspect_dataset", data_dir=data_dir, output_dir=f"{_plain(data_dir)}-look")
    if not counts["windows_kept_train"]:
        return _format({"look at it": look}, "It has no windows to train on.")
    steps, note = {"look at it": look}, ""
    if not counts["windows_kept_eval"]:
        note = "No window is held out: a training on it has no evaluations."
        if inputs:
            params = [*given.params, "builder.Settings.eval_fraction=0.3"]
            flags = [f"--input={each}" for each in inputs] + given._replace(params=params).flags()
            more = _line("build_dataset", *flags, output_dir=_new_folder(data_dir))
            steps = {"hold more songs out": more, **steps}
    name = os.path.basename(_plain(data_dir))
    trainings = {"a model, on a GPU" if _is_of_paper(given.files) else "a model": given}
    if _is_of_paper(given.files):
        small = given._replace(files=[*given.files, SMALL])
        trainings = {"a small model, on a CPU": small, **trainings}
    for purpose, each in trainings.items():
        run_dir = _new_folder(f"runs/{name}{'-small' if SMALL in each.files else ''}")
        batch = each.fit_batch(counts["windows_kept_train"])
        steps[purpose] = _line("train", *each.flags(), *batch, data_dir=data_dir, run_dir=run_dir)
    return _format(steps, note)


def after_inspect_dataset(data_dir: str, settings: Mapping, counts: Mapping) -> str:
    """After a look at a data set.

    Args:
        data_dir: where it lies.
        settings, counts: as its description has them.
    """
    kinds = ("tracks", "num_bars")
    for file in PAPER_FILES:
        found = configuration.parse([file]).experiment.settings.describe()
        if all(found[kind] == settings[kind] for kind in kinds):
            given = Given([file, SMALL])
            batch = given.fit_batch(counts["windows_kept_train"])
            run_dir = _new_folder(f"runs/{os.path.basename(_plain(data_dir))}-small")
            line = _line("train", *given.flags(), *batch, data_dir=data_dir, run_dir=run_dir)
            return _format({"train a small model of it": line})
    line = _line("train", "--gin_file=CONFIGURATION_OF_IT", data_dir=data_dir)
    return _format({"train a model of it": line})


def after_dry_run() -> str:
    """After it was said what a training would be: the same command without that flag."""
    name, *given = sys.argv
    flags = [each for each in given if each.lstrip("-").partition("=")[0] != "dry_run"]
    return _format({"train it": _line(os.path.basename(name), *flags)})


def after_train(run: Sequence[str], run_dir: str, is_demo: bool, has_held_out: bool = True) -> str:
    """After a training.

    Args:
        run: the flags that name it.
        run_dir: its folder.
        is_demo: whether its data are the bundled songs, which come without a data set of one's own.
        has_held_out: whether its data have held-out windows.
    """
    steps = {
        "hear 16 samples": _line("sample", *run, output_dir=os.path.join(run_dir, "samples")),
        **({"the paper's figures": _line("evaluate", *run)} if has_held_out else {}),
        "the curves": shlex.join(["tensorboard", f"--logdir={run_dir}"]),
    }
    if is_demo:
        data = _new_data("mine")
        steps["data of your music"] = _line("build_dataset", input="MIDI_FOLDER", **data)
        steps["a model of it"] = _line(
            "train",
            *Given([data["gin_file"], SMALL]).flags(),
            data_dir=data["output_dir"],
            run_dir=_new_folder("runs/mine"),
        )
    elif has_held_out:
        steps["how samples differ"] = _line("evaluate", "--samples", *run)
    return _format(steps, f"The run is in {run_dir}.")


def after_evaluate(
    run: Sequence[str],
    run_dir: str,
    z_size: int,
    figures: str | None,
    has_samples: bool,
    is_far: bool = False,
    has_data: bool = True,
) -> str:
    """After an evaluation.

    Args:
        run: the flags that name the run.
        run_dir: its folder.
        z_size: of its model.
        figures: the file that they were written to, if any.
        has_samples: whether samples were compared.
        is_far: whether its training windows lie far from N(0, I).
        has_data: whether the run says where its data lie.
    """
    steps = {} if has_samples else {"how its samples differ": again("--samples")}
    output_dir = os.path.join(run_dir, "samples")
    prior = ["--prior=data"] * is_far
    steps["hear samples"] = _line("sample", *run, *prior, output_dir=output_dir)
    if z_size:
        card = [f"--figures={figures}"] if figures else ["--evaluate"] * has_data
        served = f"served/{os.path.basename(_plain(run_dir))}"
        steps["serve it, with the figures"] = _line("export", *run, *card, output_dir=served)
    return _format(steps)


def after_compare(compared: Sequence[Mapping], split: str) -> str:
    """After runs were compared.

    Args:
        compared: what is known of each run: what it was given by (`run`), which weights were taken
            (`checkpoint`) and the data set that it was measured on (`data_dir`).
        split: of the data sets.
    """
    steps = {}
    for run in compared:
        name, flags = os.path.basename(_plain(run["run"])), [f"--model={run['run']}"]
        if run["checkpoint"] != "latest":
            name += f"-{run['checkpoint']}"
            flags.append(f"--checkpoint={run['checkpoint']}")
        steps[f"the figures of each window, of {name}"] = _line(
            *("evaluate", *flags, f"--split={split}"),
            data_dir=run["data_dir"],
            per_example=_new_folder(f"{name}.csv"),
        )
    return _format(steps)


def after_encode(output: str | None, picture: str | None) -> str:
    """After windows were encoded.

    Args:
        output: the file of posteriors, if one was written.
        picture: the map, if one was drawn.
    """
    steps = {}
    if output:
        program = f"import numpy; print(dict(numpy.load({json.dumps(output)})))"
        steps["read it"] = shlex.join(["python3", "-c", program])
    if picture:
        steps["coloured by another attribute"] = again("--color=eighth_syncopation")
    elif output:
        steps["a picture of them"] = again(f"--map={os.path.splitext(output)[0]}.png")
    return _format(steps)


def after_sample(
    run: Sequence[str],
    z_size: int,
    seed: int,
    paths: Sequence[str],
    output_dir: str,
    has_sound: bool,
) -> str:
    """After music was sampled.

    Args:
        run: the flags that name the run.
        z_size: of its model.
        seed: of the samples.
        paths: the MIDI files.
        output_dir: their folder.
        has_sound: whether sounds lie beside them.
    """
    steps = {} if has_sound else {"hear them": again("--audio")}
    if z_size and len(paths) > 1:
        # A piece that ends in rests is shorter as a file: --pad.
        steps["music between two of them"] = _line(
            *("interpolate", *run, "--pad", f"--start={paths[0]}", f"--end={paths[1]}"),
            output_dir=os.path.join(output_dir, "between"),
        )
    if z_size:
        steps["variations of the first"] = _line(
            *("similar", *run, "--pad", f"--input={paths[0]}"),
            output_dir=os.path.join(output_dir, "variations"),
        )
        steps["play with its model in the browser (the extra `explore`)"] = _line("explore", *run)
    else:
        steps["others"] = again(f"--seed={seed + 1}")
    return _format(steps, "Any player of MIDI plays the files." if not has_sound else "")


def after_interpolate(
    run: Sequence[str], paths: Sequence[str], output_dir: str, has_sound: bool, is_joined: bool
) -> str:
    """After an interpolation; see `after_sample`, and whether it is in one file too."""
    extra = ["--continuous"] * (not is_joined) + ["--audio"] * (not has_sound)
    steps = {"hear it as one piece": again(*extra)} if extra else {}
    windows = paths[: len(paths) - is_joined]  # The file of all of them is the last.
    middle = windows[len(windows) // 2]
    steps["variations of its middle"] = _line(
        *("similar", *run, "--pad", f"--input={middle}"),
        output_dir=os.path.join(output_dir, "variations"),
    )
    return _format(steps)


def after_reconstruct(
    run: Sequence[str],
    reading: Sequence[str],
    inputs: Sequence[str],
    output_dir: str,
    has_sound: bool,
) -> str:
    """After music was reconstructed; see `after_sample`, and the flags that say how it was read."""
    steps = {} if has_sound else {"hear them": again("--audio")}
    steps["variations of the first window"] = _line(
        *("similar", *run, *reading, f"--input={inputs[0]}"),
        output_dir=os.path.join(output_dir, "variations"),
    )
    return _format(steps)


def after_similar(
    run: Sequence[str], paths: Sequence[str], output_dir: str, has_sound: bool
) -> str:
    """After variations were written; see `after_sample`."""
    steps = {} if has_sound else {"hear them": again("--audio")}
    # Between two of them: which track and bar of the input they were made of is no matter there.
    steps["the way from one to another"] = _line(
        *("interpolate", *run, "--pad", f"--start={paths[0]}", f"--end={paths[-1]}"),
        output_dir=os.path.join(output_dir, "between"),
    )
    return _format(steps)


def after_learning(run: Sequence[str], run_dir: str, vectors: str, attribute: str) -> str:
    """After attribute vectors were learned.

    Args:
        run: the flags that name the run.
        run_dir: its folder.
        vectors: the file.
        attribute: the name of one of them.
    """
    song = sorted(configuration.bundled("testdata").glob("*.mid"))[0]
    output_dir = os.path.join(run_dir, f"more_{attribute}")
    line = _line(
        *("attributes", *run, f"--vectors={vectors}", f"--attribute={attribute}"),
        *("--strength=1", "--polyphony=highest", "--pad", f"--input={song}"),
        output_dir=output_dir,
    )
    return _format({f"give a song, or one of yours, more {attribute}": line})


def after_applying(strength: float, has_sound: bool) -> str:
    """After music was given more of an attribute."""
    steps = {} if has_sound else {"hear it": again("--audio")}
    steps["the other way"] = again(f"--strength={-strength:g}")
    return _format(steps)


def after_figures(seed: int, has_sound: bool) -> str:
    """After a figure was drawn."""
    steps = {} if has_sound else {"hear it": again("--audio")}
    steps["another one"] = again(f"--seed={seed + 1}")
    return _format(steps)


def after_table1(output_dir: str, run_dirs: Sequence[str]) -> str:
    """After a study.

    Args:
        output_dir: its folder.
        run_dirs: those of its runs.
    """
    runs = os.path.join(output_dir, "runs")
    steps = {"the curves of all runs": shlex.join(["tensorboard", f"--logdir={runs}"])}
    if run_dirs:
        run = run_dirs[-1]
        steps["hear one of them"] = _line(
            "sample", run_dir=run, output_dir=os.path.join(run, "more_samples")
        )
    return _format(steps)


def after_import_magenta(run_dir: str, step: int) -> str:
    """After a run was made of a checkpoint of Magenta's.

    Args:
        run_dir: its folder.
        step: where it stands.
    """
    config = os.path.join(run_dir, configuration.CONFIG_FILE)
    data = {**_new_data("mine"), "gin_file": config}
    data_dir = data["output_dir"]
    return _format(
        {
            "hear samples": _line(
                "sample", run_dir=run_dir, output_dir=os.path.join(run_dir, "samples")
            ),
            "data of your music": _line("build_dataset", input="MIDI_FOLDER", **data),
            "go on with it": _line(
                *("train", f"--gin_file={config}", f"--run_dir={run_dir}"),
                data_dir=data_dir,
                max_steps=step + 1000,
            ),
            "from its weights": _line(
                *("train", f"--gin_file={config}", f"--init_from={run_dir}"),
                *(f"--run_dir={_new_folder('runs/mine')}", f"--data_dir={data_dir}"),
                *("--max_steps=1000", "--gin_param=batch_size=32"),
            ),
        }
    )


def before_tuning(config: str) -> str:
    """Before a model goes on with one's own music: how a data set of that is built.

    Args:
        config: the configuration of the model.
    """
    line = _line("build_dataset", input="MIDI_FOLDER", **{**_new_data("mine"), "gin_file": config})
    return f"the music that the model goes on with:\n  {line}"


def after_models(names: Sequence[str]) -> str:
    """After the models that come with the package were listed, by their names."""
    steps = {
        f"hear 16 samples of {name}": _line(
            *("sample", f"--model={name}", f"--output_dir={_new_folder(f'music/{name}')}"),
            *("--prior=data", "--plot", "--audio"),
        )
        for name in names[:1]
    }
    steps |= {
        f"play with {name} in the browser": _line("explore", model=name) for name in names[:1]
    }
    steps["what one of them is"] = _line("models", "--name=NAME")
    return _format(steps)


def after_publish(folder: str, is_far: bool) -> str:
    """After a model was published in a folder; see `after_evaluate`."""
    samples = f"{_plain(folder)}-samples"
    prior = ["--prior=data"] * is_far
    return _format(
        {
            "hear samples of it": _line("sample", *prior, model=folder, output_dir=samples),
            "give it to others": shlex.join(["hf", "upload", "OWNER/REPOSITORY", folder]),
        }
    )


def after_export(version: str) -> str:
    """After a model was exported: how a server takes it, and is asked.

    Args:
        version: the path of the version.
    """
    model = os.path.realpath(os.path.dirname(version))
    name = os.path.basename(model)
    serve = [
        *("docker", "run", "-p", "8500:8500", "-p", "8501:8501", "-v", f"{model}:/models/{name}"),
        *("-e", f"MODEL_NAME={name}", "tensorflow/serving"),
    ]
    steps = {"serve it": shlex.join(serve), **_ways_to_ask(name, "http://localhost:8501")}
    page = os.path.join(version, "web")
    if os.path.isdir(page):
        host = ["python3", "-m", "http.server", "--bind", "127.0.0.1", "--directory", page]
        steps["the page, at http://127.0.0.1:8000"] = shlex.join(host)
    if os.path.isfile(card := os.path.join(version, "magenta_js", "README.md")):
        steps["read how a web page plays it"] = shlex.join(["cat", card])
    return _format(steps)


def to_ask(name: str, address: str) -> str:
    """While a model is served: how it is asked, at an address as in `http://localhost:8501`."""
    return _format(_ways_to_ask(name, address))


def _ways_to_ask(name: str, address: str) -> dict[str, str]:
    row = '{"signature_name": "sample", "instances": [{"seed": 0, "temperature": 0.5}]}'
    ask = ["curl", f"{address}/v1/models/{name}:predict", "-d", row]
    python = (
        "import magenta_vae; "
        f'client = magenta_vae.Client("{address}", "{name}"); '
        'magenta_vae.write_midi(client.sample(1, seed=0)[0], "asked.mid")'
    )
    return {
        "ask for tokens": shlex.join(ask),
        "ask for music, as asked.mid": shlex.join(["python3", "-c", python]),
    }


def again(*extra: str) -> str:
    """Returns the line that runs this command again with more flags, or other values of them."""
    name, *given = sys.argv
    anew = {flag.lstrip("-").partition("=")[0] for flag in extra if "=" in flag}
    kept, words = [], iter(given)
    for word in words:
        flag, equals, _ = word.lstrip("-").partition("=")
        if word.startswith("-") and flag in anew:
            if not equals:
                next(words, None)  # Its value is a word of its own.
        else:
            kept.append(word)
    return f"{configuration.command(os.path.basename(name))} {shlex.join([*kept, *extra])}"


def _line(name: str, *flags: str, **values) -> str:
    """Returns a command as it is typed."""
    given = [*flags, *(f"--{flag}={value}" for flag, value in values.items())]
    return f"{configuration.command(name)} {shlex.join(given)}"


def _format(steps: Mapping[str, str], before: str = "") -> str:
    """Returns the lines to type, each below what it is for, and a sentence above."""
    rows = [f"  {purpose}:\n    {line}" for purpose, line in steps.items()]
    return "\n".join([f"{before} What next:".strip(), *rows])


def _is_of_paper(gin_files: Sequence[str]) -> bool:
    """Says whether a configuration has the paper's widths."""
    return all(file in PAPER_FILES or file.startswith("variants/") for file in gin_files)


def _new_data(name: str) -> dict[str, str]:
    """Returns the flags of a data set of 2-bar melodies, in a folder that is not taken."""
    return {"output_dir": _new_folder(f"data/{name}"), "gin_file": "mel_2bar.gin"}


def _new_folder(path: str) -> str:
    """Returns a path that nothing lies at: this one, or the first with a number behind."""
    path = _plain(path)
    names = itertools.chain([path], (f"{path}-{number}" for number in itertools.count(2)))
    return next(name for name in names if not os.path.lexists(name))


def _plain(folder: str) -> str:
    """Returns a path without a slash at its end."""
    return os.path.normpath(folder)
