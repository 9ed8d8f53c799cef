"""Tables: the metrics of a run for people, rows for programs."""

import csv
import io
from collections.abc import Mapping, Sequence

from magenta_vae.configuration import Experiment
from magenta_vae.inference import data_prior, sample_words, samples
from magenta_vae.training import evaluation, song_intervals, table1
from magenta_vae.workflows.runs import Run


def compare_samples(run: Run, tokens, **options) -> dict:
    """Returns how samples of a run differ from windows of its data.

    Args:
        run: an opened run.
        tokens: windows, as `Run.windows` returns them.
        **options: of `samples.compare`.
    """
    return samples.compare(run.model(), tokens, **options)


def format_comparison(comparison: dict) -> str:
    """Returns what `compare_samples` returns as tables and in words."""
    words = "\n".join(sample_words.describe(comparison))
    tables = samples.format_table(comparison), samples.format_oddities(comparison)
    return "\n\n".join((*tables, words))


def format_metrics(metrics: dict, experiment: Experiment) -> str:
    """Returns the metrics of `Run.metrics` as tables, and the paper's beside ours.

    Args:
        metrics: of a run; their intervals follow where they have any.
        experiment: what the run is.
    """
    cells = table1.format_cells(metrics, experiment.settings.num_bars, experiment.table1_column)
    accuracies = [evaluation.format_table(metrics)]
    if "data_prior" in metrics:
        accuracies.append(data_prior.format_description(metrics["data_prior"]))
    intervals = song_intervals.format_table(metrics) if "intervals" in metrics else ""
    tables = ("\n".join(accuracies), evaluation.format_notes(metrics), intervals, cells)
    return "\n\n".join(filter(None, tables))


def format_csv(rows: Sequence[Mapping], fields: Sequence[str]) -> str:
    """Returns rows as CSV; a list's values stand in one field."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fields, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        lists = {
            name: " ".join(map(str, row[name]))
            for name in fields
            if type(row[name]) in (list, tuple)
        }
        writer.writerow({**row, **lists})
    return text.getvalue()
