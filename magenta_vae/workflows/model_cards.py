"""What a model says of itself to people: sections of Markdown."""

import json
from collections.abc import Mapping

from magenta_vae import display
from magenta_vae.configuration import Experiment
from magenta_vae.data.settings import Settings
from magenta_vae.inference import data_prior, sample_words
from magenta_vae.workflows import text_tables

# Where figures have what samples of each prior are like.
PRIORS = {data_prior.STANDARD: "samples", data_prior.DATA: "samples_of_data_prior"}


def format_card(title: str, sections: Mapping[str, str]) -> str:
    """Returns a model card in Markdown, of sections by their titles."""
    lines = [f"# {title}"]
    for name, text in sections.items():
        lines += ["", f"## {name}", "", text]
    return "\n".join(lines) + "\n"


def describe_use(num_bars: int) -> str:
    """Returns what a model of windows of so many bars is for."""
    return (
        f"Sketches for a person to choose from: pieces of {num_bars} bars, variations "
        "of a piece, ways from one to another, more or less of an attribute. Not for telling who "
        "composed something, nor for music that nobody listens to before it is used."
    )


def describe_limits(settings: Settings) -> str:
    """Returns what a model of such windows cannot do."""
    lines = [track.name for track in settings.tracks if not track.is_drum]
    limits = [
        f"Windows of {settings.num_bars} bars of 4/4, sixteen steps "
        "a bar: nothing lies between the steps, no triplets.",
        "All notes are equally loud; the tempo is not part of the music.",
        *([f"One note at a time in {', '.join(lines)}: no chords."] if lines else []),
        "What it makes is like its data, whose kinds of music it knows alone; other music is "
        "reconstructed as the nearest of these.",
        "A sample may be a piece of its data: `Evaluation` says how many were, where that was "
        "counted. Those of temperatures above 1 are mostly noise.",
    ]
    return "\n".join(f"- {limit}" for limit in limits)


def format_data(data: Mapping | None) -> str:
    """Returns what became of the songs and windows that a model was trained on, as a list."""
    if data is None:
        return "Not known here: the weights were imported."
    lines = []
    for name, count in data["counts"].items():
        reasons = count if isinstance(count, dict) else {}
        if name != "taken":  # Whose reasons overlap: they have no sum.
            total = sum(reasons.values()) if isinstance(count, dict) else count
            why = ", ".join(f"{reason} {number:,}" for reason, number in reasons.items())
            lines.append(f"- {name.replace('_', ' ')}: {total:,}{f' ({why})' if why else ''}")
        else:
            lines += [f"- {reason}: {number:,}" for reason, number in reasons.items()]
    return "\n".join(lines)


def format_figures(figures: Mapping | None, experiment: Experiment) -> str:
    """Returns the metrics of a run as tables, and those of its samples where they hold them."""
    if figures is None:
        return "Not evaluated."
    parts = [f"```\n{text_tables.format_metrics(dict(figures), experiment)}\n```"]
    if "samples" in figures:
        parts.append(f"```\n{text_tables.format_comparison(figures['samples'])}\n```")
    return "\n\n".join(parts)


def format_readme(card: Mapping, experiment: Experiment, z_size: int) -> str:
    """Returns the card of a published model for people, with what the Hugging Face Hub reads.

    Args:
        card: what `model_files.read_card` returns.
        experiment: what the model was trained as.
        z_size: dimensions of its latent space.
    """
    name, settings = card["name"], experiment.settings
    temperature = card["figures"][PRIORS[data_prior.STANDARD]]["temperature"]
    prior = f', prior="{data_prior.DATA}"' if z_size else ""
    sections = {
        "What it is": f"{card['description']}\n\nA recurrent variational autoencoder (Roberts, "
        f"Engel and Eck, 2017) of {settings.num_bars} bars of 4/4, sixteen steps a bar: "
        f"{', '.join(track.name for track in settings.tracks)}. {card['parameters']:,} parameters "
        f"in float16, and a z of {z_size} dimensions.",
        "Use": "```python\nimport magenta_vae\n\n"
        f'model = magenta_vae.load("FOLDER")  # or "{name}", where it comes with the package\n'
        f"music = model.sample(4, temperature={temperature:g}, seed=0{prior})\n```",
        "Intended use": describe_use(settings.num_bars),
        "Limits": describe_limits(settings),
        "Training": _describe_training(card),
        "Data": _describe_data(card),
        "Evaluation": "On held-out songs, with the weights as they are here: `magenta_vae evaluate "
        "--samples --model=FOLDER --data_dir=DATA`.\n\n"
        + format_figures(card["figures"], experiment)
        + _format_other_prior(card["figures"])
        + _compare_priors(card["figures"]),
        "Licence": f"Weights: {card['license']}. That of the data stands beside it above.",
        "Made with": ", ".join(f"{key} {value}" for key, value in card["packages"].items()),
    }
    head = f"---\nlicense: {json.dumps(card['license'].lower())}\ntags: [music, musicvae]\n---\n\n"
    return head + format_card(name, sections)


def _format_other_prior(figures: Mapping) -> str:
    """Returns how samples differ from held-out windows that are drawn by `--prior=data`."""
    compared = figures.get(PRIORS[data_prior.DATA])
    if compared is None:
        return ""
    table = text_tables.format_comparison(compared)
    return f"\n\nThe samples above are of N(0, I). Those of `--prior=data`:\n\n```\n{table}\n```"


def _describe_data(card: Mapping) -> str:
    """Returns what a model learnt from: its sources and counts, and the sources of its origin."""
    of_origin = card.get("attribution_of_origin")
    parts = [
        "\n".join(f"- {line}" for line in card["attribution"]),
        format_data(card["data"] or None),
        "The weights that the training started from had learnt from:" if of_origin else "",
        "\n".join(f"- {line}" for line in of_origin or ()),
    ]
    return "\n\n".join(filter(None, parts))


def _describe_training(card: Mapping) -> str:
    """Returns how a model is trained again: the commands of its stages."""
    lines: list[str] = []
    sentences, built = [], set()
    before = ""
    # Of windows of one length the last stage says how music is read.
    of_data = {stage["num_bars"]: stage["config"] for stage in card["stages"] if "config" in stage}
    number = 0
    for stage in card["stages"]:
        if "config" not in stage:
            before = f" --init_from={stage['model'] or 'ANOTHER_RUN'}"
            continue
        number += 1
        if stage.get("partial"):
            before += " --init_partial"
        seconds = stage["seconds"]
        took = f" ({display.format_duration(seconds)} of steps)" if seconds else ""
        num_bars, config = stage["num_bars"], f"--gin_file={stage['config']}"
        sentences.append(f"{stage['step']:,} steps of `{stage['config']}`{took}")
        if num_bars not in built:
            built.add(num_bars)
            lines.append(
                f"magenta_vae build_dataset --input=MUSIC --output_dir=DATA{num_bars} "
                f"--gin_file={of_data[num_bars]}"
            )
        lines.append(
            f"magenta_vae train {config} --data_dir=DATA{num_bars} "
            f"--run_dir=RUN{number}{before} --max_steps={stage['step']}"
        )
        before = f" --init_from=RUN{number}"
    commands = "\n".join(lines)
    return (
        f"{', then '.join(sentences)}; seed {card['seed']}. A configuration says everything but "
        f"where the music lies:\n\n```bash\n{commands}\n```"
    )


def _compare_priors(figures: Mapping) -> str:
    """Says in how many statistics samples of each prior lie near held-out windows."""
    lines = []
    for prior, key in PRIORS.items():
        if key not in figures:
            continue
        found = [
            near
            for track in figures[key]["tracks"]
            for near in sample_words.near(figures[key], track).values()
        ]
        lines.append(f"- `--prior={prior}`: {sum(found)} of {len(found)} statistics")
    return (
        "\n\nStatistics in which samples lie no farther from the held-out windows than training "
        "windows do, or than as many other held-out windows would:\n\n" + "\n".join(lines)
    )
