"""A run as a folder: `config.gin` says what it is, `run.json` what it was made of and with."""

import dataclasses
import difflib
import json
import os
import platform
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from magenta_vae import configuration

# TensorFlow is imported within functions: `--help` must be instant.

CONFIG_FILE = "config.gin"
RUN_FILE = "run.json"
LOCK_FILE = "lock"


@dataclasses.dataclass(frozen=True)
class Origin:
    """Another run whose weights a new run starts from.

    Args:
        run_dir: its folder.
        checkpoint: which of its weights: `latest`, `best` or a step.
        partial: whether weights that do not fit may be left out.
    """

    run_dir: str
    checkpoint: str = "latest"
    partial: bool = False


def start_run(
    run_dir: str, data_dir: str, origin: Origin | None = None, is_writer: bool = True
) -> dict:
    """Writes the configuration and its surroundings into a new run, or checks those of an old one.

    A run that has no checkpoint yet has nothing to lose: another command may begin it anew.

    Args:
        run_dir: the run's folder.
        data_dir: its data set.
        origin: where its first weights come from; an old run may go on without naming it again.
        is_writer: whether to write at all; of several machines only one does.

    Returns:
        The record that `run.json` holds.

    Raises:
        ValueError: where the folder holds a run of another configuration, other data or another
            origin, with the difference.
    """
    from magenta_vae.training import checkpoint_files

    record = _record(data_dir)
    is_begun, old = checkpoint_files.is_begun(run_dir), None
    if os.path.isfile(os.path.join(run_dir, CONFIG_FILE)):
        old = read_record(run_dir)
        difference = _find_difference(run_dir, old, record)
        if difference and is_begun:
            raise ValueError(difference)
        old = None if difference else old
    if old:
        record["imported"] = old.get("imported")
    record["origin"] = _find_origin(run_dir, origin, old, is_begun)
    if is_writer:
        _write(run_dir, record)
    return record


def locked(run_dir: str):
    """Keeps other processes from writing a run, within.

    Raises:
        FileExistsError: where another process is at it.
    """
    from magenta_vae.music import files

    busy = f"Another process trains the run in {run_dir}: wait for it, end it or choose another."
    return files.locked(os.path.join(run_dir, LOCK_FILE), busy)


def start_imported_run(run_dir: str, imported: dict) -> None:
    """Writes a new run of the parsed configuration whose weights were not trained here.

    Args:
        run_dir: the run's folder.
        imported: what its record should say of where they come from.
    """
    _write(run_dir, {**_record(None), "imported": imported})


def open_run(run_dir: str) -> dict:
    """Parses the configuration of a run and returns what its `run.json` records."""
    path = os.path.join(run_dir, CONFIG_FILE)
    if not os.path.isfile(path):
        raise FileNotFoundError(
            f"--run_dir={run_dir} holds no {CONFIG_FILE}: it is not a folder written by `train`."
        )
    configuration.parse([path])
    return read_record(run_dir)


def load(run_dir: str, checkpoint: str | int = "latest", **options):
    """Returns a run's model with its weights, ready to make music: a `TrainedModel`.

    Args:
        run_dir: the run's folder.
        checkpoint: `latest`, `best` (by held-out loss) or a step.
        **options: of `inference.generation.TrainedModel`.
    """
    open_run(run_dir)
    return load_opened(run_dir, checkpoint, **options)[0]


def load_opened(run_dir: str, checkpoint: str | int = "latest", **options):
    """Returns the `TrainedModel` of an opened run, and the step of its weights; see `load`."""
    model, step = restore_model(run_dir, checkpoint)
    return trained(model, **options), step


def trained(model, **options):
    """Returns a model of the parsed configuration as a `TrainedModel`, with options of that."""
    from magenta_vae.inference import generation

    settings = configuration.experiment().settings
    return generation.TrainedModel(model, settings.tracks, settings.num_bars, **options)


def restore_model(run_dir: str, checkpoint: str | int = "latest"):
    """Returns the model of an opened run with the weights of a checkpoint, and its step."""
    from magenta_vae.training import weights

    model = weights.make_empty(configuration.experiment().make_model)
    return model, weights.load_weights(run_dir, model, checkpoint)


def read_record(run_dir: str) -> dict:
    """Returns what `run.json` records. Raises `ValueError` where it is damaged."""
    from magenta_vae.music import files

    return files.read_json(os.path.join(run_dir, RUN_FILE), ("data_dir", "data", "packages"))


def data_dir_of(run_dir: str) -> str:
    """Returns the data set that a run was trained on.

    Raises:
        ValueError: where it was imported and has none, with the command that builds one.
    """
    data_dir = read_record(run_dir)["data_dir"]
    if data_dir is None:
        raise ValueError(
            f"--data_dir is needed: the run in {run_dir} was imported, without data. Build a data "
            f"set for it, then give it:\n  {configuration.command('build_dataset')}"
            f" --input=MIDI_FOLDER --output_dir=data/mine"
            f" --gin_file={os.path.join(run_dir, CONFIG_FILE)}"
        )
    return data_dir


def load_windows(run_dir: str, data_dir: str | None, split: str, skip_corrupt: bool = False):
    """Returns a split of an opened run's data, or of another data set: [windows, steps, tracks]."""
    from magenta_vae.data import input_pipeline

    settings = configuration.experiment().settings
    data_dir = data_dir or data_dir_of(run_dir)
    return input_pipeline.load_tokens(data_dir, split, settings, skip_corrupt)


def name_of(gin_files: Sequence[str]) -> str:
    """Returns the name of a configuration of several files, as in mel_2bar-small."""
    return "-".join(Path(name).stem for name in gin_files)


def _write(run_dir: str, record: dict) -> None:
    """Writes a run's record and the parsed configuration."""
    from magenta_vae.music import files

    # config.gin last: it is what makes the folder a run.
    files.write_text(os.path.join(run_dir, RUN_FILE), json.dumps(record, indent=2) + "\n")
    files.write_text(os.path.join(run_dir, CONFIG_FILE), configuration.config_text())


def _record(data_dir: str | None) -> dict:
    """Returns what a run should remember of its surroundings."""
    from magenta_vae.data import descriptions

    packages = ("magenta_vae", "tensorflow", "keras", "tensorflow-probability", "numpy")
    return {
        "data_dir": os.path.abspath(data_dir) if data_dir else None,
        "data": descriptions.read(data_dir) if data_dir else None,
        "packages": {name: metadata.version(name) for name in packages},
        "python": platform.python_version(),
    }


def _find_origin(
    run_dir: str, origin: Origin | None, old: dict | None, is_begun: bool
) -> dict | None:
    """Returns the record of where a run's first weights come from."""
    from magenta_vae.training import weights

    recorded = (old or {}).get("origin")
    if origin is None:
        return recorded
    origin_dir = os.path.abspath(origin.run_dir)
    if is_begun and (recorded or {}).get("run_dir") != origin_dir:
        started = f"from {recorded['run_dir']}" if recorded else "from weights of its own"
        raise ValueError(
            f"--run_dir={run_dir} holds a run that started {started}. Received: "
            f"--init_from={origin.run_dir}. Choose another --run_dir."
        )
    if is_begun:
        return recorded  # The run goes on: its origin may be gone by now.
    path, step = weights.find_checkpoint(origin_dir, origin.checkpoint)
    return {"run_dir": origin_dir, "checkpoint": path, "step": step, "partial": origin.partial}


def _find_difference(run_dir: str, old: dict, new: dict) -> str | None:
    """Returns how a run differs from what a command asks for, None where it does not."""
    lines = list(
        difflib.unified_diff(
            _lines_but_length(Path(run_dir, CONFIG_FILE).read_text()),
            _lines_but_length(configuration.config_text()),
            "the run",
            "this command",
            n=0,
            lineterm="",
        )
    )
    if lines:
        return (
            f"{run_dir} holds a run of another configuration:\n"
            + "\n".join(lines)
            + "\nChoose another folder, or give the configuration it was started with."
        )
    if old["data"] not in (None, new["data"]):
        return (
            f"{run_dir} holds a run that was started on other data: {old['data_dir']}, with the "
            f"counts {old['data']['counts']}. This command gives {new['data_dir']}, with the "
            f"counts {new['data']['counts']}."
        )
    return None


def _lines_but_length(config: str) -> list[str]:
    """Returns the lines of a configuration without that of `max_steps`: a run may go on longer."""
    return [line for line in config.splitlines() if ".Experiment.max_steps = " not in line]
