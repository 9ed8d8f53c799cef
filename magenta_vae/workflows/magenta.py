"""Released weights of Magenta -> runs."""

import os
import shutil
from collections.abc import Callable

import tensorflow as tf

from magenta_vae import configuration, files
from magenta_vae.configuration import Configuration
from magenta_vae.contracts import LatentModel
from magenta_vae.magenta import weights as magenta_weights
from magenta_vae.magenta.checkpoint import open_checkpoint
from magenta_vae.training import checkpoints, weights
from magenta_vae.workflows import run_files


def import_checkpoint(
    checkpoint: str,
    config: str,
    run_dir: str,
    report: Callable[[str], None] = lambda line: None,
) -> None:
    """Writes a run with the weights of a checkpoint of Magenta's.

    Its `config.gin` is that of `gin_configs/magenta` with the widths of the checkpoint. It stands
    at the checkpoint's step, with a new optimizer: the old one's slots are not read. Nothing is
    written unless every weight fits.

    Args:
        checkpoint: a tar as Magenta publishes them, a folder, or a checkpoint's prefix.
        config: the name of its configuration, see `configuration.magenta_configurations`.
        run_dir: a folder that does not exist or is empty.
        report: is given lines about the progress.

    Raises:
        FileExistsError: where `run_dir` holds something already.
        FileNotFoundError: where there is no checkpoint.
        ValueError: where the configuration is unknown, or the checkpoint another's or damaged.
    """
    known = configuration.magenta_configurations()
    if config not in known:
        raise ValueError(f"--config must be one of {', '.join(known)}. Received: {config}.")
    run_dir = os.path.realpath(run_dir)
    files.require_new_folder("--run_dir", run_dir)
    with open_checkpoint(checkpoint) as source:
        widths, configured = _fit(config, source)
        report(f"{config}, " + ", ".join(f"{name} = {value}" for name, value in widths.items()))
        model = weights.make_empty(configured.experiment.make_model)
        magenta_weights.load_weights(magenta_weights.model_layers(model), source)
        step = source.step
    imported = {"checkpoint": os.path.abspath(checkpoint), "config": config, "step": step}
    _write_run(configured, run_dir, model, step, imported)
    report(f"wrote {run_dir}: {model.count_params():,} parameters of step {step:,}")


def _fit(config: str, source) -> tuple[dict, Configuration]:
    """Returns a checkpoint's widths, and the configuration with them.

    Raises:
        ValueError: where the checkpoint is of another configuration.
    """
    gin_file = f"{configuration.MAGENTA_FOLDER}/{config}.gin"
    widths = magenta_weights.find_widths(_sketch(configuration.parse([gin_file])), source.shapes)
    params = [f"{name} = {value}" for name, value in widths.items()]
    configured = configuration.parse([gin_file], params)
    magenta_weights.check_shapes(_sketch(configured), source)
    return widths, configured


def _sketch(configured: Configuration) -> list:
    """Returns the layers of a configuration's model, whose weights are not made."""
    with tf.Graph().as_default():
        return magenta_weights.model_layers(configured.experiment.make_model())


def _write_run(
    configured: Configuration, run_dir: str, model: LatentModel, step: int, imported: dict
) -> None:
    """Writes a run whole or not at all."""
    optimizer = configured.experiment.make_optimizer()
    optimizer.build(model.trainable_variables)
    optimizer.iterations.assign(step)
    partial_dir = run_dir + ".incomplete"
    shutil.rmtree(partial_dir, ignore_errors=True)
    try:
        checkpoints.Checkpoints(partial_dir, model, optimizer).save()
        run_files.start_imported(configured, partial_dir, imported)
        os.replace(partial_dir, run_dir)
    except BaseException:
        shutil.rmtree(partial_dir, ignore_errors=True)
        raise
