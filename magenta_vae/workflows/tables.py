"""The figures of a run."""

from magenta_vae import configuration
from magenta_vae.workflows import runs


def evaluate(
    run_dir: str,
    data_dir: str | None,
    split: str,
    checkpoint: str = "latest",
    skip_corrupt: bool = False,
) -> dict:
    """Returns the figures of a run on a whole split; see `evaluation.Evaluation`."""
    from magenta_vae.training import evaluation

    runs.open_run(run_dir)
    tokens = runs.load_windows(run_dir, data_dir, split, skip_corrupt)
    model, step = runs.restore_model(run_dir, checkpoint)
    batch_size = configuration.experiment().eval_batch_size
    return evaluation.Evaluation(model, tokens, batch_size)(step)


def compare_samples(
    run_dir: str,
    data_dir: str | None,
    split: str,
    checkpoint: str = "latest",
    skip_corrupt: bool = False,
    **options,
) -> dict:
    """Returns how a run's samples differ from the windows of a split; see `samples.compare`."""
    from magenta_vae.inference import samples

    runs.open_run(run_dir)
    tokens = runs.load_windows(run_dir, data_dir, split, skip_corrupt)
    model, _ = runs.load_opened(run_dir, checkpoint)
    return samples.compare(model, tokens, **options)


def format_comparison(comparison: dict) -> str:
    """Returns what `compare_samples` returns as a table."""
    from magenta_vae.inference import samples

    return samples.format_table(comparison)


def format_figures(figures: dict) -> str:
    """Returns the figures of `evaluate` as a table, and the paper's beside them."""
    from magenta_vae.training import evaluation, table1

    parts = configuration.experiment()
    cells = table1.format_cells(figures, parts.settings.num_bars, parts.table1_column)
    return evaluation.format_table(figures) + (f"\n\n{cells}" if cells else "")
