"""Trainings: a configuration and a data set -> a run."""

import contextlib
import functools
import json
import os
import zlib
from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from magenta_vae import configuration, files, start_up_lines
from magenta_vae.configuration import Configuration
from magenta_vae.contracts import LatentModel
from magenta_vae.data import input_pipeline
from magenta_vae.data.settings import Settings
from magenta_vae.inference import data_prior, generation, sample_words, samples
from magenta_vae.music.songs import STEPS_PER_BAR
from magenta_vae.training import (
    checkpoint_files,
    devices,
    evaluation,
    loop,
    media,
    precision,
    summaries,
    weights,
)
from magenta_vae.training.held_out import HeldOut
from magenta_vae.workflows import (
    encoding,
    micro_batches,
    model_files,
    run_files,
    runs,
    step_trials,
)


def train(
    configured: Configuration,
    run_dir: str,
    data_dir: str,
    max_steps: int | None = None,
    num_virtual_devices: int = 0,
    report: Callable[[str], None] = lambda line: None,
    origin: run_files.Origin | None = None,
    skip_corrupt: bool = False,
    show: Callable[[str], None] | None = None,
) -> dict:
    """Trains what a configuration describes and returns its last metrics.

    Args:
        configured: what the run is; see `configuration.parse`.
        run_dir: the run's folder, new or to go on from.
        data_dir: a data set of the same settings.
        max_steps: overrides the configuration's.
        num_virtual_devices: replicas on the CPU; 0 for the machine's own devices.
        report: is given lines about the progress, in the one process that also writes.
        origin: another run whose weights a new run starts from.
        skip_corrupt: whether to go on without damaged records.
        show: is given the lines that the next one may replace; `report` by default.

    Returns:
        The metrics of the held-out split, of a data set without one its step alone; none where
        another process writes.
    """
    num_workers = devices.count_workers()
    if num_workers > 1:
        report(f"TF_CONFIG names {num_workers} workers: waiting for all of them")
    with devices.watching_workers():
        # Before any tensor is made.
        jit_compile = configured.experiment.jit_compile
        strategy = devices.make_strategy(num_virtual_devices, jit_compile)
        start_up_lines.settle()
        if not devices.is_chief(strategy):
            report = show = _say_nothing
        return _train(
            configured, strategy, run_dir, data_dir, max_steps, report, origin, skip_corrupt, show
        )


def make_show(
    configured: Configuration, model: LatentModel, tokens: np.ndarray
) -> Callable[[], None]:
    """Returns what writes pictures and sound of held-out windows; see `media.Media`."""
    window_format = configured.experiment.settings.window_format
    trained_model = generation.TrainedModel(model, window_format)
    return media.Media(trained_model, tokens, **configured.media_options)


def _train(
    configured: Configuration,
    strategy: tf.distribute.Strategy,
    run_dir: str,
    data_dir: str,
    max_steps: int | None,
    report: Callable[[str], None],
    origin: run_files.Origin | None,
    skip_corrupt: bool,
    show: Callable[[str], None] | None,
) -> dict:
    is_chief = devices.is_chief(strategy)
    experiment = configured.experiment
    splits = {
        split: _load_tokens(strategy, data_dir, split, experiment.settings, skip_corrupt)
        for split in ("train", "eval")
        if split == "train" or input_pipeline.has_windows(data_dir, split)
    }
    if "eval" not in splits:
        report(f"{data_dir} holds no window out: the run is trained without evaluations")
    # Without its damaged records a data set is not what it was.
    digests = None if skip_corrupt else _digests(splits)
    start = functools.partial(
        run_files.start, configured, run_dir, data_dir, origin, data_digests=digests
    )
    # Refuses what does not fit before anything is made.
    record = start(is_writer=False)
    shown = splits.get("eval", splits["train"])
    with tf.Graph().as_default(), precision.dtype_policy(experiment.dtype_policy):
        model = experiment.make_model()
        make_show(configured, model, shown[: experiment.eval_examples])
        check_pieces(experiment, model)
        check_origin(model, run_dir, record["origin"])
    input_pipeline.check_batch(len(splits["train"]), experiment.batch_size, data_dir)
    plan = micro_batches.plan(experiment, model, strategy, run_files.has_steps(run_dir))
    with run_files.locked(run_dir) if is_chief else contextlib.nullcontext():
        record = start(is_writer=is_chief, micro_batch_size=plan.size)
        if plan.size and experiment.micro_batch_size is None:
            report(f"{plan.describe()}; the run keeps to it")
        return _go_on(configured, strategy, run_dir, record, splits, max_steps, report, show)


def _load_tokens(
    strategy: tf.distribute.Strategy,
    data_dir: str,
    split: str,
    settings: Settings,
    skip_corrupt: bool,
) -> np.ndarray:
    """Returns a split as `input_pipeline.load_tokens` does.

    Of several workers the first makes and checks what is kept of it; the others, where they share
    the folder, then map the same file and read no more of it than what they train on.
    """
    is_chief = devices.is_chief(strategy)
    file_id = 0 if is_chief else max(devices.gather(strategy, 0))
    try:
        tokens = input_pipeline.load_tokens(data_dir, split, settings, skip_corrupt, file_id)
        file_id = getattr(tokens, "file_id", None) or 0
    finally:  # Also where that fails: those who wait find out for themselves what is wrong.
        if is_chief:
            devices.gather(strategy, file_id)
    return tokens


def _go_on(
    configured: Configuration,
    strategy: tf.distribute.Strategy,
    run_dir: str,
    record: Mapping,
    splits: Mapping[str, np.ndarray],
    max_steps: int | None,
    report: Callable[[str], None],
    show: Callable[[str], None] | None,
) -> dict:
    """Trains a run that is started, from where it stands."""
    is_chief = devices.is_chief(strategy)
    num_replicas = strategy.num_replicas_in_sync
    experiment = micro_batches.settle(configured.experiment, record, num_replicas)
    max_steps = max_steps or experiment.max_steps
    curriculum, growth = experiment.curriculum, {}
    if curriculum:
        report(f"windows grow: {curriculum.describe(max_steps)}")
        work = functools.partial(curriculum.count_whole, experiment.settings.num_bars)
        growth = {"changes": curriculum.until, "work": work}
    digest = _digest(configured, record, splits)
    devices.require_agreement(strategy, digest, "configuration, data and origin")
    keras.utils.set_random_seed(experiment.seed)
    steps = step_trials.make_steps(
        experiment,
        strategy,
        functools.partial(_initialize, run_dir=run_dir, origin=record["origin"], report=report),
    )
    report(
        f"{steps.model.count_params():,} parameters, {num_replicas} replicas; "
        + ", ".join(f"{len(tokens):,} windows to {split}" for split, tokens in splits.items())
    )
    if is_chief:
        is_new = not checkpoint_files.is_begun(run_dir)
        summaries.describe_run(run_dir, configured.text, configured.hyperparameters, is_new)
    metrics: dict = {}
    held_out = None
    if "eval" in splits:
        held_out = _hold_out(configured, steps.model, splits["eval"], metrics, report)
    step = loop.train(
        steps,
        functools.partial(_training_batches, experiment, splits["train"]),
        held_out,
        run_dir,
        max_steps,
        report=report,
        show=show,
        **growth,
        **configured.loop_options,
    )
    if is_chief and not metrics:
        if step > max_steps:
            report(
                f"nothing to do: the run stands at step {step:,}, beyond max_steps={max_steps:,}"
            )
        metrics["step"] = step
        if held_out:
            held_out.evaluate(step)
    if is_chief:
        data_dir = record["data_dir"]
        _look_back(configured, run_dir, steps.model, splits, metrics, report, data_dir)
    return metrics


def _hold_out(
    configured: Configuration,
    model: LatentModel,
    tokens: np.ndarray,
    metrics: dict,
    report: Callable[[str], None],
) -> HeldOut:
    """Returns what is asked of held-out windows, whose newest metrics go into `metrics`."""
    experiment = configured.experiment
    tokens = tokens[: experiment.eval_examples]
    measure = evaluation.Evaluation(
        model,
        tokens,
        experiment.eval_batch_size,
        tracks=experiment.settings.window_format.tracks,
    )

    def evaluate(step: int) -> dict[str, float]:
        metrics.update(measure(step))
        report(f"held out: {evaluation.format_table(metrics)}")
        return evaluation.scalars(metrics)

    return HeldOut(evaluate, make_show(configured, model, tokens))


def _look_back(
    configured: Configuration,
    run_dir: str,
    model: LatentModel,
    splits: Mapping[str, np.ndarray],
    metrics: Mapping,
    report: Callable[[str], None],
    data_dir: str,
) -> None:
    """Keeps where windows lie in the latent space, and says what samples are like.

    The last metrics are kept with both: what is exported tells them.
    """
    experiment, figures = configured.experiment, dict(metrics)
    trained_model = generation.TrainedModel(model, experiment.settings.window_format)
    if model.z_size:
        kept = runs.fit_data_prior(trained_model, splits["train"], metrics["step"])
        data_prior.write(os.path.join(run_dir, data_prior.FILE), kept)
        figures["data_prior"] = data_prior.describe(kept)
    if "eval" not in splits:
        return
    if model.z_size and configured.loop_options.get("show_every", 1):
        encoding.show_in_projector(run_dir, trained_model, splits["eval"], data_dir)
    if experiment.compared_samples:
        if "data_prior" in figures:
            report(data_prior.format_description(figures["data_prior"]))
        comparison = samples.compare(
            trained_model,
            splits["eval"],
            experiment.compared_samples,
            training=splits["train"],
            reconstruct=False,
        )
        figures["samples"] = comparison
        for sentence in sample_words.describe(comparison):
            report(sentence)
    path = os.path.join(run_dir, model_files.FIGURES_FILE)
    files.write_text(path, json.dumps(figures, indent=2) + "\n")


def check_pieces(experiment: configuration.Experiment, model: LatentModel) -> None:
    """Refuses pieces of windows that the model does not take, before it is trained on any."""
    settings, curriculum = experiment.settings, experiment.curriculum
    for num_steps in curriculum.stages(settings.num_bars) if curriculum else ():
        try:
            tokens = tf.zeros([1, num_steps, len(settings.tracks)], tf.int32)
            model.encode(tokens)
            model.decoder.predict(tf.zeros([1, model.z_size]), tokens)
        except ValueError as error:
            bars = num_steps // STEPS_PER_BAR
            raise ValueError(
                f"GrowingWindows.num_bars asks for {bars}, which the model does not take. {error}"
            ) from error


def _initialize(
    model: LatentModel, run_dir: str, origin: Mapping | None, report: Callable[[str], None]
) -> None:
    """Gives a new run's model the weights of the run that it starts from, if any."""
    if origin and not checkpoint_files.is_begun(run_dir):
        weights.initialize(model, origin["checkpoint"], origin["partial"], report)


def check_origin(model: LatentModel, run_dir: str, origin: Mapping | None) -> None:
    """Refuses a model that cannot begin with the weights of the run that it starts from, if any.

    Args:
        model: a built model, in a graph or not.
        run_dir: of the new run; a run that has taken steps has weights of its own.
        origin: as `run.json` records where the first weights come from.
    """
    if checkpoint_files.is_begun(run_dir):
        return
    if origin:
        weights.fit(model, origin["checkpoint"], origin["partial"])
    else:
        weights.require_fixed_weights(model, None)


def _training_batches(
    experiment: configuration.Experiment,
    tokens: np.ndarray,
    chunks: Sequence[tuple[int, int]],
    rows: Sequence[slice],
) -> tf.data.Dataset:
    piece = experiment.curriculum and experiment.curriculum.piece_at(chunks[0][0])
    return input_pipeline.training_batches(
        tokens, experiment.batch_size, experiment.seed, chunks, rows, experiment.augment, piece
    )


def _digest(configured: Configuration, record: Mapping, splits: Mapping[str, np.ndarray]) -> int:
    """Returns a number that is the same where workers do the same."""
    what = [
        record["data"],
        record.get("data_digests"),
        record["origin"],
        *map(len, splits.values()),
    ]
    return zlib.crc32((configured.text + json.dumps(what)).encode())


def _digests(splits: Mapping[str, np.ndarray]) -> dict[str, str]:
    """Returns what tells the windows of each split from any others."""
    return {split: input_pipeline.digest_of(tokens) for split, tokens in splits.items()}


def _say_nothing(line: str) -> None:
    """Takes the lines of the processes that do not write."""
