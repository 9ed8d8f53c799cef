"""Exports of runs: the model of a run as a version for a server, with its card."""

from collections.abc import Sequence
from pathlib import Path

from magenta_vae import display, files
from magenta_vae.configuration import Configuration
from magenta_vae.inference.data_prior import DataPrior
from magenta_vae.serving import export as exporting
from magenta_vae.serving import web
from magenta_vae.training import evaluation
from magenta_vae.workflows import exploring, model_cards, text_tables
from magenta_vae.workflows.runs import Run

NUM_COMPARED = 256  # Samples, for the card.
NO_READER = (
    "This page has no program that reads music. `magenta_vae explore` opens the same page with one."
)
LICENCE = (
    "The software that made this model is under the Apache License 2.0, which says nothing of the "
    "music it was trained on: what may be done with the model, and with music made by it, depends "
    "on the rights in that music too."
)


def export(
    run: Run,
    output_dir: str,
    formats: Sequence[str] = (),
    litert_batch_size: int = 1,
    figures_file: str | None = None,
    evaluate: bool = False,
    max_rows: int | None = None,
    quantize_bytes: int | None = None,
) -> str:
    """Writes the model of a run as the next version under a folder and returns its path.

    Args:
        run: an opened run.
        output_dir: the folder of versions.
        formats: what it is written as beside a SavedModel; see `export.FORMATS`.
        litert_batch_size: rows of a batch in LiteRT.
        figures_file: what `evaluate --json` wrote, for the model card; by default what training
            measured last, where that was of the same weights.
        evaluate: whether to evaluate the run on its own held-out windows for the card, and to
            compare samples with these.
        max_rows: the most rows of a request to a server; the default of `export.write` if not
            given.
        quantize_bytes: 1 or 2, of each weight for @magenta/music; None for float32.
    """
    exporting.check(run.network, formats, run.settings.window_format, quantize_bytes)
    metrics = _read_metrics(figures_file) if figures_file else run.kept_figures()
    if evaluate:
        metrics = _measure(run)
    facts = {
        "name": Path(run.folder).resolve().name,
        "step": run.step,
        "data": run.record["data"],
        "packages": run.record["packages"],
        "figures": metrics,
        "licence": LICENCE,
    }
    explored = exploring.explore(run, advice="") if "web" in formats else None
    return exporting.write(
        run.network,
        run.settings.window_format,
        output_dir,
        facts,
        lambda described: model_card(facts, described, run.configured),
        formats,
        litert_batch_size,
        prior=explored.prior if explored else _find_data_prior(run),
        site=_make_site(explored) if explored else None,
        quantize_bytes=quantize_bytes,
        gin_text=run.configured.text,
        **({} if max_rows is None else {"max_rows": max_rows}),
    )


def _find_data_prior(run: Run) -> DataPrior | None:
    """Returns where the run's training windows lie, None where neither run nor data say."""
    try:
        return run.find_data_prior()
    except (OSError, ValueError):
        return None


def _make_site(explored: exploring.Explored) -> web.Site:
    """Returns what a run's page without a server is made of."""
    can = {**explored.facts["can"], "encode": False}
    why_not = {**explored.facts["why_not"], "encode": NO_READER}
    facts = {**explored.facts, "can": can, "why_not": why_not}
    display.show("making the map")
    made = explored.make_map() if explored.has_map else None
    return web.Site(exploring.page_folder(), facts, made, explored.prior)


def _measure(run: Run) -> dict:
    """Returns the figures of a run and of its samples, as `evaluate --samples` measures them."""
    held_out, training = run.windows("eval"), run.windows("train")
    compared = text_tables.compare_samples(
        run, held_out, num_samples=NUM_COMPARED, training=training
    )
    known = run.provenance("eval", len(held_out))
    return {**run.metrics(held_out, known), "samples": compared}


def _read_metrics(path: str) -> dict:
    """Returns what `evaluate --json` wrote. Raises `ValueError` for anything else."""
    metrics = files.read_json(path)
    try:
        evaluation.format_table(metrics)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"--figures={path} is not what `evaluate --json` writes.") from error
    return metrics


def model_card(facts: dict, described: dict, configured: Configuration) -> str:
    """Returns the model card of a run, in Markdown.

    Args:
        facts: name, step, data, packages, figures or None, licence.
        described: see `serving.export.describe`.
        configured: what the run is.
    """
    tracks = ", ".join(f"{t['name']} ({t['num_classes']} classes)" for t in described["tracks"])
    sections = {
        "What it is": f"A recurrent variational autoencoder (Roberts, Engel and Eck, 2017) of "
        f"{described['num_bars']} bars of {described['time_signature']}, sixteen steps a bar: "
        f"{tracks}. Its latent space has {described['z_size']} dimensions. "
        f"It was trained for {facts['step']:,} steps.",
        "Intended use": model_cards.describe_use(described["num_bars"]),
        "Limits": model_cards.describe_limits(configured.experiment.settings),
        "What it takes and gives": _format_signatures(described),
        "Data": model_cards.format_data(facts["data"]),
        "Evaluation": model_cards.format_figures(facts["figures"], configured.experiment),
        "Licence": facts["licence"],
        "Made with": ", ".join(f"{name} {version}" for name, version in facts["packages"].items()),
        "Configuration": f"```\n{configured.text.strip()}\n```",
    }
    return model_cards.format_card(facts["name"], sections)


def _format_signatures(described: dict) -> str:
    rows = [
        f"| `{name}` | "
        + ", ".join(
            f"{field} {value['dtype']} [{', '.join(map(str, value['shape']))}]"
            for field, value in fields.items()
        )
        + " |"
        for name, fields in described["signatures"].items()
    ]
    return "\n".join(["| signature | inputs |", "|---|---|", *rows])
