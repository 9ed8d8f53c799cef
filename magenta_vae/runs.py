"""What the commands do: data sets, runs and music of the parsed configuration.

A run is a folder: `config.gin` says what it is, `run.json` what it was made of and with.
"""

import difflib
import json
import os
import platform
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path

from magenta_vae import configuration

# TensorFlow is imported within functions: `--help` must be instant.

CONFIG_FILE = "config.gin"
RUN_FILE = "run.json"


def build_dataset(inputs: Sequence[str], output_dir: str, **options) -> dict:
    """Builds the data set that the parsed configuration describes; see `builder.build`."""
    from magenta_vae.data import builder

    settings = configuration.experiment().settings
    return builder.build(builder.find_files(inputs), output_dir, settings, **options)


def find_data(
    data_dir: str | None, run_dir: str, gin_files: Sequence[str], report: Callable[[str], None]
) -> str:
    """Returns the data set of a run: the given one, its own, or one built of its bundled songs.

    Raises:
        ValueError: where there is none, with the commands that make and give one.
    """
    if data_dir:
        return data_dir
    if os.path.isfile(os.path.join(run_dir, RUN_FILE)):
        return _read_record(run_dir)["data_dir"]
    midi = configuration.experiment().midi
    if midi is None:
        name = name_of(gin_files)
        given = " ".join(f"--gin_file={file}" for file in gin_files)
        raise ValueError(
            f"--data_dir is needed: a data set for this configuration. Build one, then train on it:"
            f"\n  {configuration.command('build_dataset')} --input=MIDI_FOLDER"
            f" --output_dir=data/{name} {given}"
            f"\n  {configuration.command('train')} {given} --data_dir=data/{name}"
        )
    data_dir = os.path.join(run_dir, "data")
    if not os.path.isdir(data_dir):
        midi = midi if os.path.exists(midi) else str(configuration.bundled(midi))
        report(f"building a data set of the songs in {midi}")
        report(format_counts(build_dataset([midi], data_dir)["counts"]))
    return data_dir


def train(
    run_dir: str,
    data_dir: str,
    max_steps: int | None = None,
    num_virtual_devices: int = 0,
    report: Callable[[str], None] = lambda line: None,
) -> dict:
    """Trains the experiment of the parsed configuration and returns its last figures.

    Args:
        run_dir: the run's folder, new or to go on from.
        data_dir: a data set of the same settings.
        max_steps: overrides the configuration's.
        num_virtual_devices: replicas on the CPU; 0 for the machine's own devices.
        report: is given lines about the progress.
    """
    import keras
    import tensorflow as tf

    from magenta_vae.data import input_pipeline
    from magenta_vae.training import devices, evaluation

    strategy = devices.make_strategy(num_virtual_devices)  # Before anything is put on a device.
    parts = configuration.experiment()
    splits = {
        split: input_pipeline.load_tokens(data_dir, split, parts.settings)
        for split in ("train", "eval")
    }
    with tf.Graph().as_default():  # Refuses sizes that do not fit before anything is made.
        parts.make_model()
    start_run(run_dir, data_dir)
    keras.utils.set_random_seed(parts.seed)
    with strategy.scope():
        model = parts.make_model()
        optimizer = parts.make_optimizer()
    report(
        f"{model.count_params():,} parameters, {strategy.num_replicas_in_sync} replicas; "
        + ", ".join(f"{len(tokens):,} windows to {split}" for split, tokens in splits.items())
    )
    held_out = evaluation.Evaluation(
        model, splits["eval"][: parts.eval_examples], parts.eval_batch_size
    )
    figures = {}

    def evaluate_step(step: int) -> dict[str, float]:
        figures.update(held_out(step))
        report(f"held out: {evaluation.format_table(figures)}")
        return evaluation.scalars(figures)

    step = configuration.make_train()(
        model,
        optimizer,
        strategy,
        lambda chunks, rows: input_pipeline.training_batches(
            splits["train"], parts.batch_size, parts.seed, chunks, rows, parts.augment
        ),
        evaluate_step,
        run_dir,
        batch_size=parts.batch_size,
        max_steps=max_steps or parts.max_steps,
        seed=parts.seed,
        clip_norm=parts.clip_norm,
        report=report,
    )
    return figures or held_out(step)


def evaluate(run_dir: str, data_dir: str | None, split: str) -> dict:
    """Returns the figures of a run on a whole split; see `evaluation.Evaluation`."""
    from magenta_vae.data import input_pipeline
    from magenta_vae.training import evaluation

    record = open_run(run_dir)
    data_dir = data_dir or record["data_dir"]
    parts = configuration.experiment()
    model, step = restore_model(run_dir)
    tokens = input_pipeline.load_tokens(data_dir, split, parts.settings)
    return evaluation.Evaluation(model, tokens, parts.eval_batch_size)(step)


def load(run_dir: str):
    """Returns a run's model with its newest weights, ready to make music: a `TrainedModel`."""
    from magenta_vae.inference import generation

    open_run(run_dir)
    model, _ = restore_model(run_dir)
    settings = configuration.experiment().settings
    return generation.TrainedModel(model, settings.tracks, settings.num_bars)


def restore_model(run_dir: str):
    """Returns the model of an opened run with its newest weights, and its step."""
    from magenta_vae.training import checkpoints

    model = configuration.experiment().make_model()
    return model, checkpoints.load_weights(run_dir, model)


def open_run(run_dir: str) -> dict:
    """Parses the configuration of a run and returns what its `run.json` records."""
    path = os.path.join(run_dir, CONFIG_FILE)
    if not os.path.isfile(path):
        raise FileNotFoundError(
            f"--run_dir={run_dir} holds no {CONFIG_FILE}: it is not a folder written by `train`."
        )
    configuration.parse([path])
    return _read_record(run_dir)


def start_run(run_dir: str, data_dir: str) -> None:
    """Writes the configuration and its surroundings into a new run, or checks those of an old one.

    Raises:
        ValueError: where the folder holds a run of another configuration or other data, with the
            difference.
    """
    from magenta_vae.music import files

    text = configuration.config_text()
    path = os.path.join(run_dir, CONFIG_FILE)
    record = _record(data_dir)
    if os.path.isfile(path):
        _check_same_run(run_dir, Path(path).read_text(), text, record)
    os.makedirs(run_dir, exist_ok=True)
    # config.gin last: it is what makes the folder a run.
    files.write_text(os.path.join(run_dir, RUN_FILE), json.dumps(record, indent=2) + "\n")
    files.write_text(path, text)


def describe_next_steps(run_dir: str) -> str:
    """Returns what can be done with a trained run, as commands to type."""
    rows = {
        "hear 16 samples": ("sample", f"--run_dir={run_dir} --output_dir={run_dir}/samples"),
        "the paper's figures": ("evaluate", f"--run_dir={run_dir}"),
        "data of your music": (
            "build_dataset",
            "--input=MIDI_FOLDER --output_dir=data/mine --gin_file=mel_2bar.gin",
        ),
        "a model of it": (
            "train",
            "--gin_file=mel_2bar.gin --gin_file=scale/small.gin --data_dir=data/mine",
        ),
    }
    lines = [
        f"  {purpose + ':':<22}{configuration.command(name)} {given}"
        for purpose, (name, given) in rows.items()
    ]
    lines.insert(2, f"  {'the curves:':<22}tensorboard --logdir={run_dir}")
    return "\n".join([f"The run is in {run_dir}. What next:", *lines])


def format_counts(counts: dict) -> str:
    """Returns the counts of a data set as a table."""
    from magenta_vae.data import builder

    return builder.format_counts(counts)


def format_figures(figures: dict) -> str:
    """Returns the figures of `evaluate` as a table, and the paper's beside them."""
    from magenta_vae.training import evaluation, table1

    parts = configuration.experiment()
    cells = table1.format_cells(figures, parts.settings.num_bars, parts.table1_column)
    return evaluation.format_table(figures) + (f"\n\n{cells}" if cells else "")


def name_of(gin_files: Sequence[str]) -> str:
    """Returns the name of a configuration of several files, as in mel_2bar-small."""
    return "-".join(Path(name).stem for name in gin_files)


def _record(data_dir: str) -> dict:
    """Returns what a run should remember of its surroundings."""
    from magenta_vae.data import input_pipeline

    packages = ("magenta_vae", "tensorflow", "keras", "tensorflow-probability", "numpy")
    return {
        "data_dir": os.path.abspath(data_dir),
        "data": input_pipeline.read_description(data_dir),
        "packages": {name: metadata.version(name) for name in packages},
        "python": platform.python_version(),
    }


def _read_record(run_dir: str) -> dict:
    return json.loads(Path(run_dir, RUN_FILE).read_text())


def _check_same_run(run_dir: str, old_text: str, new_text: str, record: dict) -> None:
    differences = list(
        difflib.unified_diff(
            old_text.splitlines(),
            new_text.splitlines(),
            "the run",
            "this command",
            n=0,
            lineterm="",
        )
    )
    if differences:
        raise ValueError(
            f"--run_dir={run_dir} holds a run of another configuration:\n"
            + "\n".join(differences)
            + "\nChoose another --run_dir, or give the configuration it was started with."
        )
    old = _read_record(run_dir)
    if old["data"] != record["data"]:
        raise ValueError(
            f"--run_dir={run_dir} was started on other data: {old['data_dir']}, with the counts "
            f"{old['data']['counts']}. This command gives {record['data_dir']}, with the counts "
            f"{record['data']['counts']}."
        )
