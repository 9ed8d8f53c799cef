"""Runs of the parsed configuration."""

import contextlib
import json
import zlib
from collections.abc import Callable, Mapping, Sequence

from magenta_vae import configuration
from magenta_vae.workflows import runs


def train(
    run_dir: str,
    data_dir: str,
    max_steps: int | None = None,
    num_virtual_devices: int = 0,
    report: Callable[[str], None] = lambda line: None,
    origin: runs.Origin | None = None,
    skip_corrupt: bool = False,
) -> dict:
    """Trains the experiment of the parsed configuration and returns its last figures.

    Args:
        run_dir: the run's folder, new or to go on from.
        data_dir: a data set of the same settings.
        max_steps: overrides the configuration's.
        num_virtual_devices: replicas on the CPU; 0 for the machine's own devices.
        report: is given lines about the progress, in the one process that also writes.
        origin: another run whose weights a new run starts from.
        skip_corrupt: whether to go on without damaged records.

    Returns:
        The figures of the held-out split; none where another process writes.
    """
    from magenta_vae.training import devices

    num_workers = devices.count_workers()
    if num_workers > 1:
        report(f"TF_CONFIG names {num_workers} workers: waiting for all of them")
    with devices.watching_workers():
        strategy = devices.make_strategy(num_virtual_devices)  # Before any tensor is made.
        if not devices.is_chief(strategy):
            report = _say_nothing
        options = {"origin": origin, "skip_corrupt": skip_corrupt}
        return _train(strategy, run_dir, data_dir, max_steps, report, **options)


def make_show(parts: configuration.Experiment, model, tokens) -> Callable[[], None]:
    """Returns what writes pictures and sound of held-out windows; see `media.Media`."""
    from magenta_vae.inference import generation

    trained_model = generation.TrainedModel(model, parts.settings.tracks, parts.settings.num_bars)
    return configuration.make_media()(trained_model, tokens)


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


def _train(
    strategy, run_dir: str, data_dir: str, max_steps: int | None, report, origin, skip_corrupt
) -> dict:
    import tensorflow as tf

    from magenta_vae.data import input_pipeline
    from magenta_vae.training import devices, precision

    is_chief = devices.is_chief(strategy)
    parts = configuration.experiment()
    splits = {
        split: input_pipeline.load_tokens(data_dir, split, parts.settings, skip_corrupt)
        for split in ("train", "eval")
    }
    # Refuses what does not fit before anything is made.
    with tf.Graph().as_default(), precision.dtype_policy(parts.dtype_policy):
        make_show(parts, parts.make_model(), splits["eval"][: parts.eval_examples])
    with runs.locked(run_dir) if is_chief else contextlib.nullcontext():
        record = runs.start_run(run_dir, data_dir, origin, is_chief)
        return _go_on(strategy, run_dir, record, splits, max_steps, report)


def _go_on(
    strategy, run_dir: str, record: dict, splits: dict, max_steps: int | None, report
) -> dict:
    """Trains a run that is started, from where it stands."""
    import keras

    from magenta_vae.data import input_pipeline
    from magenta_vae.training import checkpoint_files, devices, evaluation, precision, summaries

    is_chief = devices.is_chief(strategy)
    parts = configuration.experiment()
    held_out_tokens = splits["eval"][: parts.eval_examples]
    devices.require_agreement(strategy, _digest(record, splits), "configuration, data and origin")
    keras.utils.set_random_seed(parts.seed)
    with strategy.scope(), precision.dtype_policy(parts.dtype_policy):
        model = parts.make_model()
        optimizer = precision.scale_losses(parts.make_optimizer(), parts.dtype_policy)
        _start_from(record["origin"], run_dir, model, report)
    report(
        f"{model.count_params():,} parameters, {strategy.num_replicas_in_sync} replicas; "
        + ", ".join(f"{len(tokens):,} windows to {split}" for split, tokens in splits.items())
    )
    held_out = evaluation.Evaluation(model, held_out_tokens, parts.eval_batch_size)
    if is_chief:
        config, hyperparameters = configuration.config_text(), configuration.hyperparameters()
        is_new = not checkpoint_files.is_begun(run_dir)
        summaries.describe_run(run_dir, config, hyperparameters, is_new)
    figures = {}

    def evaluate_step(step: int) -> dict[str, float]:
        figures.update(held_out(step))
        report(f"held out: {evaluation.format_table(figures)}")
        return evaluation.scalars(figures)

    max_steps = max_steps or parts.max_steps
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
        max_steps=max_steps,
        seed=parts.seed,
        clip_norm=parts.clip_norm,
        micro_batch_size=parts.micro_batch_size,
        jit_compile=parts.jit_compile,
        report=report,
        show=make_show(parts, model, held_out_tokens),
    )
    if is_chief and not figures:
        report(f"nothing to do: the run stands at step {step:,}, beyond max_steps={max_steps:,}")
        evaluate_step(step)
    return figures


def _start_from(origin: dict | None, run_dir: str, model, report: Callable[[str], None]) -> None:
    """Gives a run that has no checkpoint of its own yet the weights of the run it starts from."""
    from magenta_vae.training import checkpoint_files, weights

    if origin and not checkpoint_files.is_begun(run_dir):
        weights.initialize(model, origin["checkpoint"], origin["partial"], report)


def _digest(record: dict, splits: Mapping[str, Sequence]) -> int:
    """Returns a number that is the same where workers do the same."""
    what = [record["data"], record["origin"], *map(len, splits.values())]
    return zlib.crc32((configuration.config_text() + json.dumps(what)).encode())


def _say_nothing(line: str) -> None:
    """Takes the lines of the processes that do not write."""
