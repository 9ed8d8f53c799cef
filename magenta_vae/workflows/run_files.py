"""The files of a run: `config.gin` says what it is, `run.json` what it was made of and with."""

import dataclasses
import difflib
import itertools
import json
import os
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from magenta_vae import configuration, files
from magenta_vae.configuration import CONFIG_FILE, RUN_FILE, Configuration
from magenta_vae.data import descriptions
from magenta_vae.training import checkpoint_files, weights
from magenta_vae.workflows import model_files, model_places

LOCK_FILE = "lock"
DATA_FOLDER = "data"  # Of a run whose data set was built for it.

_TYPES = {  # Of what `run.json` holds; the first three since the first version.
    "data_dir": str | None,
    "data": dict | None,
    "packages": dict,
    "data_dir_from_run": str | None,
    "data_digests": dict | None,
    "imported": dict | None,
    "micro_batch_size": int | None,
    "modules": list | None,
    "origin": dict | None,
}
_REQUIRED = ("data_dir", "data", "packages")
_ORIGIN_TYPES = {"run_dir": str, "checkpoint": str, "step": int, "partial": bool}


@dataclasses.dataclass(frozen=True)
class Origin:
    """Another run whose weights a new run starts from.

    Args:
        run_dir: its folder, or the name or address of a model; see `model_places`.
        checkpoint: which of its weights: `latest`, `best` or a step.
        partial: whether weights that do not fit may be left out.
    """

    run_dir: str
    checkpoint: str = "latest"
    partial: bool = False


def start(
    configured: Configuration,
    run_dir: str,
    data_dir: str,
    origin: Origin | None = None,
    is_writer: bool = True,
    data_digests: Mapping[str, str] | None = None,
    micro_batch_size: int | None = None,
) -> dict:
    """Writes the configuration and its surroundings into a new run, or checks those of an old one.

    A run that has no checkpoint yet has nothing to lose: another command may begin it anew.

    Args:
        configured: what the run is.
        run_dir: the run's folder.
        data_dir: its data set.
        origin: where its first weights come from; an old run may go on without naming it again.
        is_writer: whether to write at all; of several machines only one does.
        data_digests: of each split's windows, None where they are not read.
        micro_batch_size: windows that a replica takes at a time, None for all of its share of a
            batch; of a run that has taken steps it stays what it was.

    Returns:
        The record that `run.json` holds.

    Raises:
        ValueError: where the folder holds a published model; or a run of another configuration,
            other data or another origin, with the difference.
    """
    if model_files.is_published(run_dir):
        raise ValueError(
            f"--run_dir={run_dir} holds a published model, which a training would damage. Choose "
            f"another folder; --init_from={run_dir} starts from the weights of the model."
        )
    record = _record(configured, run_dir, data_dir, data_digests)
    record["micro_batch_size"] = micro_batch_size
    is_begun, old = checkpoint_files.is_begun(run_dir), None
    if os.path.isfile(os.path.join(run_dir, CONFIG_FILE)):
        old = read_record(run_dir)
        difference = _find_difference(run_dir, configured.text, old, record)
        if difference and is_begun:
            raise ValueError(difference)
        old = None if difference else old
    if old:
        record["imported"] = old.get("imported")
        if has_steps(run_dir):
            record["micro_batch_size"] = old.get("micro_batch_size")
        record["data_digests"] = record["data_digests"] or old.get("data_digests")
    record["origin"] = _find_origin(run_dir, origin, old, is_begun)
    if is_writer:
        _write(run_dir, configured, record)
    return record


def has_steps(run_dir: str) -> bool:
    """Says whether a run has taken steps here: how its batches are cut is settled then."""
    if not (checkpoint_files.is_begun(run_dir) and os.path.isfile(_record_path(run_dir))):
        return False
    record = read_record(run_dir)
    # What was imported has a checkpoint before its first step here.
    return record.get("imported") is None or "micro_batch_size" in record


def start_imported(configured: Configuration, run_dir: str, imported: dict) -> None:
    """Writes a new run whose weights were not trained here.

    Args:
        configured: what the run is.
        run_dir: the run's folder.
        imported: what its record should say of where they come from.
    """
    _write(run_dir, configured, {**_record(configured, run_dir, None), "imported": imported})


def locked(run_dir: str):
    """Keeps other processes from writing a run, within.

    Raises:
        FileExistsError: where another process is at it.
    """
    busy = f"Another process trains the run in {run_dir}: wait for it, end it or choose another."
    return files.locked(os.path.join(run_dir, LOCK_FILE), busy)


def require_config(run_dir: str, given: str | None = None) -> str:
    """Returns the path of a run's configuration.

    Args:
        run_dir: the run's folder.
        given: how the folder was given, where that was by a flag.

    Raises:
        FileNotFoundError: where the folder has none.
    """
    path = os.path.join(run_dir, CONFIG_FILE)
    if not os.path.isfile(path):
        raise FileNotFoundError(
            f"{given or run_dir} holds no {CONFIG_FILE}: it is neither a run nor a model that was "
            "published."
        )
    return path


def read_record(run_dir: str) -> dict:
    """Returns what `run.json` records. Raises `ValueError` where it is damaged."""
    path = _record_path(run_dir)
    record = files.read_json(path, _REQUIRED)
    files.check_types(path, record, _TYPES)
    if record["data"] is not None:
        descriptions.check(path, record["data"])
    if record.get("origin") is not None:
        files.check_types(path, record["origin"], _ORIGIN_TYPES, _ORIGIN_TYPES)
    return record


def data_dir_of(run_dir: str, record: Mapping) -> str:
    """Returns the data set that a run was trained on, also where both were moved together.

    Args:
        run_dir: the run's folder.
        record: what its `run.json` holds.

    Raises:
        FileNotFoundError: where the data set is found nowhere.
        ValueError: where the run was imported and has none, with the command that builds one; where
            another data set is found in its place.
    """
    if record["data_dir"] is None:
        raise ValueError(
            f"--data_dir is needed: {run_dir} comes without data. Build a data "
            f"set for it, then give it:\n  {configuration.command('build_dataset')}"
            f" --input=MIDI_FOLDER --output_dir=data/mine"
            f" --gin_file={os.path.join(run_dir, CONFIG_FILE)}"
        )
    data_sets = [
        place for place in _data_places(run_dir, record) if descriptions.is_data_set(place)
    ]
    if not data_sets:
        raise FileNotFoundError(
            f"--data_dir is needed: the data set of the run in {run_dir} lies neither in "
            f"{record['data_dir']} nor beside the run. Give the folder that it is in now."
        )
    for data_set in data_sets:
        if record["data"] is None or descriptions.read(data_set) == record["data"]:
            return data_set
    raise ValueError(
        f"--data_dir is needed: {data_sets[0]} holds another data set than the run in {run_dir} "
        f"was trained on. Its counts are {descriptions.read(data_sets[0])['counts']}; those of the "
        f"run's data were {record['data']['counts']}. Give a folder to take what it holds."
    )


def _data_places(run_dir: str, record: Mapping) -> list[str]:
    """Returns where a run's data set may lie: where it was, or as it lay, seen from the run."""
    recorded, folder = Path(record["data_dir"]), Path(run_dir).resolve()
    places = [recorded, folder / (record.get("data_dir_from_run") or DATA_FOLDER)]
    places.append(folder / DATA_FOLDER)
    # Runs of the first version do not say how their data lay: by its last names, near the run.
    for above in folder.parents[:2]:
        places += [above.joinpath(*recorded.parts[-count:]) for count in (1, 2)]
    return list(dict.fromkeys(map(os.path.normpath, places)))


def _record_path(run_dir: str) -> str:
    return os.path.join(run_dir, RUN_FILE)


def _write(run_dir: str, configured: Configuration, record: dict) -> None:
    """Writes a run's record and its configuration."""
    # config.gin last: it is what makes the folder a run.
    files.write_text(_record_path(run_dir), json.dumps(record, indent=2) + "\n")
    files.write_text(os.path.join(run_dir, CONFIG_FILE), configured.text)


def _record(
    configured: Configuration,
    run_dir: str,
    data_dir: str | None,
    data_digests: Mapping[str, str] | None = None,
) -> dict:
    """Returns what a run should remember of its surroundings."""
    packages = ("magenta_vae", "tensorflow", "keras", "tensorflow-probability", "numpy")
    return {
        "data_dir": os.path.abspath(data_dir) if data_dir else None,
        "data_dir_from_run": os.path.relpath(data_dir, run_dir) if data_dir else None,
        "data": descriptions.read(data_dir) if data_dir else None,
        "data_digests": data_digests,
        "modules": list(configured.modules),
        "packages": {name: metadata.version(name) for name in packages},
        "python": platform.python_version(),
    }


def _find_origin(
    run_dir: str, origin: Origin | None, old: dict | None, is_begun: bool
) -> dict | None:
    """Returns the record of where a run's first weights come from."""
    recorded = (old or {}).get("origin")
    if origin is None:
        return recorded
    # A name stays one: the package may lie elsewhere when the run goes on.
    is_name = model_places.is_name(origin.run_dir)
    origin_dir = origin.run_dir if is_name else os.path.abspath(origin.run_dir)
    if is_begun and (recorded or {}).get("run_dir") != origin_dir:
        started = f"from {recorded['run_dir']}" if recorded else "from weights of its own"
        raise ValueError(
            f"--run_dir={run_dir} holds a run that started {started}. Received: "
            f"--init_from={origin.run_dir}. Choose another --run_dir."
        )
    if is_begun:
        return recorded  # The run goes on: its origin may be gone by now.
    folder = os.path.abspath(model_places.find(origin.run_dir))
    if model_files.is_published(folder):
        model_files.check(folder)
    path, step = weights.find_checkpoint(folder, origin.checkpoint)
    return {"run_dir": origin_dir, "checkpoint": path, "step": step, "partial": origin.partial}


def _find_difference(run_dir: str, text: str, old: dict, new: dict) -> str | None:
    """Returns how a run differs from what a command asks for, None where it does not."""
    lines = list(
        difflib.unified_diff(
            _lines_but_length(configuration.read_text(os.path.join(run_dir, CONFIG_FILE))),
            _lines_but_length(text),
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
    digests = old.get("data_digests"), new["data_digests"]
    if all(digests) and digests[0] != digests[1]:
        return (
            f"{run_dir} holds a run that was started on other windows than those which "
            f"{new['data_dir']} holds now, though they are as many. Choose another folder."
        )
    return None


def _lines_but_length(config: str) -> list[str]:
    """Returns the lines of a configuration without that of `max_steps`: a run may go on longer."""
    lines = [line for line in config.splitlines() if ".Experiment.max_steps = " not in line]
    # Imports first, sorted: modules that have other names now stood elsewhere among them.
    is_import = [line.startswith(("from ", "import ")) for line in lines]
    imports = sorted(itertools.compress(lines, is_import))
    return imports + [line for line, skipped in zip(lines, is_import, strict=True) if not skipped]
