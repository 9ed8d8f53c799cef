"""What a training would be, before it is one: memory, time and files. Nothing is written."""

import dataclasses
import os
from collections.abc import Callable

import tensorflow as tf

from magenta_vae import display, start_up_lines
from magenta_vae.configuration import CONFIG_FILE, RUN_FILE, Configuration, Experiment
from magenta_vae.data import builder, input_pipeline, token_files
from magenta_vae.inference import data_prior
from magenta_vae.training import checkpoint_files, devices, precision
from magenta_vae.workflows import micro_batches, model_files, run_files, step_trials, training
from magenta_vae.workflows.micro_batches import Plan
from magenta_vae.workflows.step_memory import FLOAT32, GB

# Of a CPU's steps no more windows are tried than keep so much: in seconds, not in minutes.
TRIED_BYTES = 0.5 * GB
KEPT_CHECKPOINTS = 3  # The newest; see `training.checkpoints.Checkpoints`.


def describe(
    configured: Configuration,
    run_dir: str,
    data_dir: str,
    songs: str | None = None,
    max_steps: int | None = None,
    num_virtual_devices: int = 0,
    report: Callable[[str], None] = lambda line: None,
    origin: run_files.Origin | None = None,
) -> None:
    """Reports what `training.train` would do, having tried some of its steps on random windows.

    Args:
        configured, run_dir, data_dir, max_steps, num_virtual_devices, origin: see `training.train`.
        songs: what the data set would be built of, where there is none yet.
        report: is given the lines.

    Raises:
        ValueError: what `training.train` refuses before it reads windows; several workers.
        MemoryError: where not even one window fits.
    """
    if devices.count_workers() > 1:
        raise ValueError("--dry_run is for one process. Received: TF_CONFIG with several workers.")
    strategy = devices.make_strategy(num_virtual_devices, configured.experiment.jit_compile)
    start_up_lines.settle()
    experiment, is_settled = configured.experiment, run_files.has_steps(run_dir)
    data = _describe_data(experiment, data_dir, songs)
    begins_with = None
    if not songs:  # It refuses a run of another configuration, or of other data.
        record = run_files.start(configured, run_dir, data_dir, origin, is_writer=False)
        experiment = micro_batches.settle(experiment, record, strategy.num_replicas_in_sync)
        begins_with = record["origin"]
    with tf.Graph().as_default(), precision.dtype_policy(experiment.dtype_policy):
        model = experiment.make_model()
        training.check_pieces(experiment, model)
        training.check_origin(model, run_dir, begins_with)
    num_parameters = model.count_params()
    report("Nothing is written. What this training would be:")
    _row(report, "model", f"{num_parameters:,} parameters, {_describe_replicas(strategy)}")
    _row(report, "data", data)
    plan = micro_batches.plan(experiment, model, strategy, is_settled)
    _row(report, "a step", plan.describe())
    display.show("taking some steps")
    tried = _choose_tried(experiment, plan)
    trial = step_trials.try_steps(tried, strategy)
    _row(report, "tried", _describe_trial(trial, tried, plan))
    seconds = trial.seconds * experiment.batch_size / tried.batch_size
    if experiment.curriculum:
        last = max_steps or experiment.max_steps
        _row(report, "windows", f"grow: {experiment.curriculum.describe(last)}")
    _row(report, "time", _describe_time(experiment, seconds, run_dir, max_steps))
    name = "it writes"
    for line in _list_files(run_dir, data_dir, songs, num_parameters, bool(model.z_size)):
        _row(report, name, line)
        name = ""


def _row(report: Callable[[str], None], name: str, text: str) -> None:
    report(f"  {name:<11}{text}")


def _describe_replicas(strategy: tf.distribute.Strategy) -> str:
    number = strategy.num_replicas_in_sync
    kind = "GPU" if devices.on_gpus(strategy) else "CPU"
    return f"on a {kind}" if number == 1 else f"{number} replicas on {kind}s"


def _describe_data(experiment: Experiment, data_dir: str, songs: str | None) -> str:
    """Returns what the windows are, having refused what `training.train` refuses."""
    if songs:
        number = len(builder.find_files([songs]))
        return f"a data set is built first, of the {number:,} files in {songs}"
    number = input_pipeline.count_windows(data_dir, "train", experiment.settings)
    input_pipeline.check_batch(number, experiment.batch_size, data_dir)
    held_out = 0
    if input_pipeline.has_windows(data_dir, "eval"):
        held_out = input_pipeline.count_windows(data_dir, "eval", experiment.settings)
    without = "" if held_out else ": trained without evaluations"
    return f"{number:,} windows to train, {held_out:,} held out, in {data_dir}{without}"


def _choose_tried(experiment: Experiment, plan: Plan) -> Experiment:
    """Returns an experiment whose steps are those of another, or few windows of them."""
    rows = plan.size or plan.num_rows
    in_parts = rows < plan.num_rows
    if plan.memory and not plan.on_gpu and plan.memory.window * rows > TRIED_BYTES:
        rows, in_parts = max(1, int(TRIED_BYTES / plan.memory.window)), False
    return dataclasses.replace(
        experiment,
        # Two parts add up their gradients, as more do.
        batch_size=rows * (2 if in_parts else 1) * experiment.batch_size // plan.num_rows,
        micro_batch_size=rows if in_parts else None,
    )


def _describe_trial(trial: step_trials.Trial, tried: Experiment, plan: Plan) -> str:
    """Returns what was found, beside the formula."""
    num_steps = "a step" if trial.num_steps == 1 else f"{trial.num_steps:,} steps"
    parts = f", {tried.micro_batch_size:,} at a time" if tried.micro_batch_size else ""
    line = f"{num_steps} of {tried.batch_size:,} windows{parts}: {trial.peak / GB:.2f} GB at most"
    if plan.memory is None:
        return line
    at_a_time = tried.micro_batch_size or tried.batch_size // plan.num_replicas
    expected = plan.bytes_of(at_a_time, bool(tried.micro_batch_size))
    return f"{line}, {expected / GB:.2f} by formula"


def _describe_time(
    experiment: Experiment, seconds: float, run_dir: str, max_steps: int | None
) -> str:
    """Returns how long a step on whole windows takes, and all steps that are left."""
    steps = checkpoint_files.list_steps(checkpoint_files.folder_of(run_dir))
    first, last = max(steps, default=0), max_steps or experiment.max_steps
    left = whole = max(0, last - first)
    if left and experiment.curriculum:
        whole = experiment.curriculum.count_whole(experiment.settings.num_bars, first, last)
    what = f"the {left:,} steps{' that are left' if steps else ''}"
    step, all_steps = map(display.format_duration, (seconds, seconds * whole))
    return f"about {step} a step, {all_steps} for {what}, by these, without evaluations"


def _list_files(
    run_dir: str, data_dir: str, songs: str | None, num_parameters: int, has_z: bool
) -> list[str]:
    """Returns what a run writes, in lines."""
    # Adam's two averages are in those from which a run goes on, not in the best.
    size = FLOAT32 * num_parameters * (3 * KEPT_CHECKPOINTS + 1)
    has_eval = bool(songs) or input_pipeline.has_windows(data_dir, "eval")
    names = [CONFIG_FILE, RUN_FILE] + [model_files.FIGURES_FILE] * has_eval
    names += [data_prior.FILE] * has_z
    room = f"{size / GB:.1f} GB" if size >= GB / 10 else f"{size / 2**20:.1f} MB"
    lines = [
        f"{os.path.join(run_dir, '')}: {', '.join(names)}, curves in train/ and eval/,",
        f"checkpoints/ of up to {room}, the newest {KEPT_CHECKPOINTS}{' and the best' * has_eval}",
    ]
    if songs:
        lines.append(f"{os.path.join(data_dir, '')}: the data set")
    elif not os.path.isdir(os.path.join(data_dir, token_files.FOLDER)):
        lines.append(f"{os.path.join(data_dir, token_files.FOLDER, '')}: the tokens of its records")
    return lines
