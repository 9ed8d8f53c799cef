"""Exports of runs: the model of a run as a version for a server, with its card."""

from collections.abc import Sequence
from pathlib import Path

from magenta_vae import configuration
from magenta_vae.workflows import runs, tables

LICENCE = (
    "The software that made this model is under the Apache License 2.0, which says nothing of the "
    "music it was trained on: what may be done with the model, and with music made by it, depends "
    "on the rights in that music too."
)


def export(
    run_dir: str,
    output_dir: str,
    checkpoint: str | int = "latest",
    formats: Sequence[str] = (),
    litert_batch_size: int = 1,
    figures_file: str | None = None,
    evaluate: bool = False,
) -> str:
    """Writes the model of a run as the next version under a folder and returns its path.

    Args:
        run_dir: the run.
        output_dir: the folder of versions.
        checkpoint: `latest`, `best` (by held-out loss) or a step.
        formats: what it is written as beside a SavedModel; see `export.FORMATS`.
        litert_batch_size: rows of a batch in LiteRT.
        figures_file: what `evaluate --json` wrote, for the model card.
        evaluate: whether to evaluate the run on its own held-out windows for the card.
    """
    from magenta_vae.inference import export as exporting

    if figures_file and evaluate:
        raise ValueError(
            "The model card takes either the figures of --figures or those of --evaluate. "
            f"Received: --figures={figures_file} --evaluate."
        )
    record = runs.open_run(run_dir)
    parts = configuration.experiment()
    model, step = runs.restore_model(run_dir, checkpoint)
    exporting.check(model, formats)
    figures = _read_figures(figures_file) if figures_file else None
    if evaluate:
        figures = tables.evaluate(run_dir, None, "eval", checkpoint)
    name = Path(run_dir).resolve().name
    facts = {
        "name": name,
        "step": step,
        "data": record["data"],
        "packages": record["packages"],
        "figures": figures,
        "licence": LICENCE,
    }
    return exporting.write(
        model,
        parts.settings.tracks,
        parts.settings.num_bars,
        output_dir,
        facts,
        model_card(
            facts, exporting.describe(model, parts.settings.tracks, parts.settings.num_bars)
        ),
        formats,
        litert_batch_size,
    )


def _read_figures(path: str) -> dict:
    """Returns what `evaluate --json` wrote. Raises `ValueError` for anything else."""
    from magenta_vae.music import files

    figures = files.read_json(path)
    if not isinstance(figures, dict) or not {"step", "examples", "tracks"} <= figures.keys():
        raise ValueError(f"--figures={path} is not what `evaluate --json` writes.")
    return figures


def model_card(facts: dict, described: dict) -> str:
    """Returns the model card of the parsed configuration's model, in Markdown.

    Args:
        facts: name, step, data, packages, figures or None, licence.
        described: see `inference.export.describe`.
    """
    tracks = ", ".join(f"{t['name']} ({t['num_classes']} classes)" for t in described["tracks"])
    sections = {
        "What it is": f"A recurrent variational autoencoder (Roberts, Engel and Eck, 2017) of "
        f"{described['num_bars']} bars of {described['time_signature']}, sixteen steps a bar: "
        f"{tracks}. Its latent space has {described['z_size']} dimensions. "
        f"It was trained for {facts['step']:,} steps.",
        "What it takes and gives": _format_signatures(described),
        "Data": _format_data(facts["data"]),
        "Evaluation": _format_figures(facts["figures"]),
        "Licence": facts["licence"],
        "Made with": ", ".join(f"{name} {version}" for name, version in facts["packages"].items()),
        "Configuration": f"```\n{configuration.config_text().strip()}\n```",
    }
    lines = [f"# {facts['name']}"]
    for title, text in sections.items():
        lines += ["", f"## {title}", "", text]
    return "\n".join(lines) + "\n"


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


def _format_data(data: dict | None) -> str:
    if data is None:
        return "Not known here: the weights were imported."
    counts = {
        name: sum(count.values()) if isinstance(count, dict) else count
        for name, count in data["counts"].items()
    }
    return "\n".join(f"- {name.replace('_', ' ')}: {count:,}" for name, count in counts.items())


def _format_figures(figures: dict | None) -> str:
    if figures is None:
        return "Not evaluated."
    return f"```\n{tables.format_figures(figures)}\n```"
