"""Data sets of an experiment."""

import dataclasses
import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from magenta_vae import configuration, import_stand_ins
from magenta_vae.configuration import Experiment
from magenta_vae.data import beam, builder, dask, descriptions, distributed, splits
from magenta_vae.training import devices
from magenta_vae.workflows import run_files, runs


def build_dataset(
    experiment: Experiment,
    inputs: Sequence[str],
    output_dir: str,
    reader: str | None = None,
    runner: str | None = None,
    beam_flags: Sequence[str] = (),
    explain: Callable[[str], None] | None = None,
    compression: str | None = None,
    scheduler: str | None = None,
    split_file: str | None = None,
    split_inputs: Mapping[str, Sequence[str]] | None = None,
    **options,
) -> dict:
    """Builds the data set that an experiment is trained on.

    Args:
        experiment: what says what a window is.
        inputs: folders, globs and files; none with `split_inputs`.
        output_dir: the data set's folder.
        reader: what reads MIDI, instead of the configuration's.
        runner: Apache Beam's, with its own flags; None to build on this machine.
        explain: is given a line for every song.
        compression: of the records: GZIP, or None for none.
        scheduler: the address of Dask's; None to build on this machine.
        split_file: a CSV file that says which split each song is in; see `splits.read_file`.
        split_inputs: the inputs of each split.
        **options: of `builder.build`.
    """
    settings = experiment.settings
    if reader:
        settings = dataclasses.replace(settings, reader=reader)
    own_splits = None
    if split_inputs:
        files, own_splits = splits.of_inputs(split_inputs)
    else:
        files = builder.find_files(inputs)
        if split_file:
            own_splits = splits.read_file(split_file, inputs, files)
    common: dict[str, Any] = {
        "explain": explain,
        "compression": compression,
        "own_splits": own_splits,
    }
    if runner:
        run_tasks = beam.make_run_tasks(runner, beam_flags)
        return distributed.build(files, output_dir, settings, run_tasks, **common)
    if scheduler:
        with dask.connected(scheduler) as run_tasks:
            return distributed.build(files, output_dir, settings, run_tasks, **common)
    return builder.build(
        files, output_dir, settings, prepare=import_stand_ins.install, **common, **options
    )


def find_data(
    experiment: Experiment,
    data_dir: str | None,
    run_dir: str,
    gin_files: Sequence[str],
    report: Callable[[str], None],
    gin_params: Sequence[str] = (),
) -> str:
    """Returns the data set of a run: the given one, its own, or one built of its bundled songs.

    Raises:
        ValueError: where there is none, with the commands that make and give one.
    """
    data_dir, songs = place_data(experiment, data_dir, run_dir, gin_files, gin_params)
    if songs:
        report(f"building a data set of the songs in {songs}")
        report(format_counts(build_dataset(experiment, [songs], data_dir)["counts"]))
    return data_dir


def place_data(
    experiment: Experiment,
    data_dir: str | None,
    run_dir: str,
    gin_files: Sequence[str],
    gin_params: Sequence[str] = (),
) -> tuple[str, str | None]:
    """Returns where the data set of a run lies, and the songs to build it of where it is not there.

    It raises what `find_data` does.
    """
    if data_dir:
        return data_dir, None
    if os.path.isfile(os.path.join(run_dir, configuration.RUN_FILE)):
        return run_files.data_dir_of(run_dir, run_files.read_record(run_dir)), None
    midi = experiment.midi
    if midi is None:
        name = runs.name_of(gin_files)
        options = [f"--gin_file={file}" for file in gin_files]
        options += [f"--gin_param={param}" for param in gin_params]
        given = shlex.join(options)
        raise ValueError(
            f"--data_dir is needed: a data set for this configuration. Build one, then train on it:"
            f"\n  {configuration.command('build_dataset')} --input=MIDI_FOLDER"
            f" --output_dir=data/{name} {given}"
            f"\n  {configuration.command('train')} {given} --data_dir=data/{name}"
        )
    data_dir = os.path.join(run_dir, run_files.DATA_FOLDER)
    if os.path.isdir(data_dir):
        return data_dir, None
    if devices.count_workers() > 1:
        raise ValueError("With TF_CONFIG, --data_dir is needed: workers do not build one.")
    return data_dir, midi if os.path.exists(midi) else str(configuration.bundled(midi))


def format_counts(counts: dict) -> str:
    """Returns the counts of a data set as a table."""
    return descriptions.table(counts)
