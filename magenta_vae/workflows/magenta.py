"""Released weights of Magenta -> runs."""

import contextlib
import glob
import os
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager

from magenta_vae import display, files
from magenta_vae.configuration import Configuration
from magenta_vae.contracts import LatentModel
from magenta_vae.magenta import javascript_files, javascript_spec
from magenta_vae.magenta import weights as magenta_weights
from magenta_vae.magenta.checkpoint import open_checkpoint
from magenta_vae.magenta.javascript_weights import JavaScriptModel
from magenta_vae.magenta.weights import Variables
from magenta_vae.training import checkpoints, weights
from magenta_vae.workflows import magenta_configurations, run_files


def import_checkpoint(
    checkpoint: str,
    config: str | None,
    run_dir: str,
    report: Callable[[str], None] = lambda line: None,
) -> None:
    """Writes a run with the weights of a checkpoint of Magenta's.

    Its `config.gin` is that of `gin_configs/magenta` with the widths of the checkpoint, or what an
    export of ours says. It stands at the checkpoint's step, with a new optimizer: the old one's
    slots are not read. Nothing is written unless every weight fits.

    Args:
        checkpoint: a tar as Magenta publishes them, a folder, or a checkpoint's prefix; or a folder
            that @magenta/music loads.
        config: the name of its configuration, see `configuration.magenta_configurations`; None to
            find the one that fits.
        run_dir: a folder that does not exist or is empty.
        report: is given lines about the progress.

    Raises:
        FileExistsError: where `run_dir` holds something already.
        FileNotFoundError: where there is no checkpoint.
        ValueError: where the configuration is unknown, none fits or several do; where the
            checkpoint is damaged; and for models of other kinds, with what they are.
    """
    run_dir = os.path.realpath(run_dir)
    files.require_new_folder("--run_dir", run_dir)
    with _open(checkpoint) as source:
        display.show("finding the configuration")
        name, configured = magenta_configurations.find(source, config)
        report(f"{name}, {_describe(configured)}")
        model = weights.make_empty(configured.experiment.make_model)
        magenta_weights.load_weights(magenta_configurations.layers_of(configured, model), source)
        step = source.step
    imported = {"checkpoint": os.path.abspath(checkpoint), "config": name, "step": step}
    _write_run(configured, run_dir, model, step, imported)
    report(f"wrote {run_dir}: {model.count_params():,} parameters of step {step:,}")


def _open(checkpoint: str) -> AbstractContextManager[Variables]:
    if "://" in checkpoint:
        raise ValueError(
            f"--checkpoint={checkpoint} is an address: download what lies there, and name the "
            "folder or the file."
        )
    within = os.path.join(checkpoint, "magenta_js")
    if javascript_files.is_folder(within):
        raise ValueError(f"--checkpoint={checkpoint} holds an export: name {within}.")
    if os.path.isfile(os.path.join(checkpoint, javascript_spec.FILE)):
        manifest = os.path.join(checkpoint, javascript_files.MANIFEST_FILE)
        if not os.path.isfile(manifest) and not glob.glob(os.path.join(checkpoint, "*.index")):
            raise FileNotFoundError(f"{manifest} is missing: it says where the weights lie.")
    if javascript_files.is_folder(checkpoint):
        return contextlib.nullcontext(JavaScriptModel(checkpoint))
    return open_checkpoint(checkpoint)


def _describe(configured: Configuration) -> str:
    """Returns the length of windows and the widths of a configuration, those that are macros."""
    bindings = configured.bindings
    names = ("num_bars", "z_size", "encoder_units", "conductor_units", "decoder_units")
    return ", ".join(f"{name} = {bindings[name]}" for name in names if name in bindings)


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
