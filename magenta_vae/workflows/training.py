"""Runs of the parsed configuration."""

from collections.abc import Callable

from magenta_vae import configuration
from magenta_vae.workflows import runs


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
    runs.start_run(run_dir, data_dir)
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
