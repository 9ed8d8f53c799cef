"""A run as a folder for others: weights in float16, figures measured with these, and a card."""

import dataclasses
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from magenta_vae import configuration, files
from magenta_vae.inference import attributes, data_prior, sample_words
from magenta_vae.inference.samples import NUM_SAMPLES
from magenta_vae.training import published_weights, summaries
from magenta_vae.workflows import (
    attributes as learning,
)
from magenta_vae.workflows import (
    model_cards,
    model_files,
    model_places,
    run_files,
    runs,
    text_tables,
)
from magenta_vae.workflows.runs import Run

LICENCE = "Apache-2.0"
NUM_WINDOWS = 100_000  # Of `--prior=data`: more than after a training, and samples are nearer.
PRIORS = {data_prior.STANDARD: "samples", data_prior.DATA: "samples_of_data_prior"}


def publish(
    run: Run,
    output_dir: str,
    name: str,
    description: str,
    licence: str | None = None,
    attribution: Sequence[str] = (),
    data_dir: str | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> dict:
    """Writes a run as a published model and returns its card; see `model_files`.

    All figures are those of the weights as they are published, on the held-out windows.

    Args:
        run: an opened run.
        output_dir: a folder that does not exist or is empty.
        name: of the model.
        description: what it was trained on, in a sentence.
        licence: of the weights; by default that of the model that it started from, if any, else
            `LICENCE`.
        attribution: a line for each source of the data: what it is, from where, its licence. Those
            of the model that it started from come first.
        data_dir: the data set that it was trained on, by default where the run says it lies.
        report: is given lines about the result.

    Raises:
        FileExistsError: where `output_dir` holds something already.
        ValueError: where a weight does not fit into float16, for a data set that the run was not
            trained on, and as `Run.windows` does.
    """
    if not (name.strip() and description.strip()):
        raise ValueError("A model has a name and a description. Received: an empty one.")
    output_dir = os.path.realpath(output_dir)
    files.require_new_folder("--output_dir", output_dir)
    if output_dir == os.getcwd():
        raise ValueError("--output_dir is the working directory: choose a folder in it.")
    windows = {split: _own_windows(run, split, data_dir) for split in ("train", "eval")}
    origin = _find_card(run) or {}
    with files.staging(os.path.dirname(output_dir)) as staged:
        published = _write_weights(run, staged)
        stages = _write_stages(run, staged)
        figures = _measure(published, windows, report)
        text = json.dumps(figures, indent=2) + "\n"
        files.write_text(os.path.join(staged, model_files.FIGURES_FILE), text)
        if published.network.z_size:
            _learn_attributes(published, windows, name, staged, report)
        card = {
            "name": name,
            "description": description,
            "license": licence or origin.get("license", LICENCE),
            "attribution": list(dict.fromkeys([*origin.get("attribution", ()), *attribution])),
            "step": run.step,
            "parameters": run.network.count_params(),
            "seed": run.experiment.seed,
            "stages": stages,
            "packages": run.record["packages"],
            "data": dict(run.record["data"] or {}),
            "figures": figures,
        }
        readme = _format_readme(card, published)
        files.write_text(os.path.join(staged, model_files.README_FILE), readme)
        model_files.write_card(staged, card)
        os.replace(staged, output_dir)
    report(f"wrote {output_dir}: {model_files.size_of(output_dir) / 1e6:.1f} MB, step {run.step:,}")
    return card


def _own_windows(run: Run, split: str, data_dir: str | None) -> np.ndarray:
    """Returns a split of the data set that a run was trained on; another is refused."""
    tokens = run.windows(split, data_dir)
    if run.is_own(split, tokens) is False:
        raise ValueError(
            f"--data_dir={data_dir} is not the data set that the run in {run.folder} was trained "
            "on: figures and card would be of other music."
        )
    return tokens


def _find_card(run: Run) -> dict | None:
    """Returns the card of the published model that a run, or one before it, started from."""
    if model_files.is_published(run.folder):
        return model_files.read_card(run.folder)
    record = run.record
    while origin := record.get("origin"):
        place = origin["run_dir"]
        folder = model_places.find(place) if model_places.is_name(place) else place
        if model_files.is_published(folder):
            return model_files.read_card(folder)
        if not os.path.isdir(folder):
            break
        record = run_files.read_record(folder)
    return None


def _write_weights(run: Run, folder: str) -> Run:
    """Writes what a run is and its weights, and returns the run that they make."""
    config = configuration.CONFIG_FILE
    shutil.copyfile(os.path.join(run.folder, config), os.path.join(folder, config))
    # Of the machine that trained it nothing is told: where the data lay, what it started from.
    record = {
        **{key: run.record.get(key) for key in ("data", "data_digests", "packages", "modules")},
        **{"data_dir": None, "imported": run.record.get("imported"), "origin": None},
    }
    text = json.dumps(record, indent=2) + "\n"
    files.write_text(os.path.join(folder, configuration.RUN_FILE), text)
    path = os.path.join(folder, published_weights.FILE)
    published_weights.write(path, run.network, run.step)
    return dataclasses.replace(run, folder=folder, record=record)


def _write_stages(run: Run, folder: str) -> list[dict]:
    """Writes the configurations of the runs that a run started from, the first run's first.

    Returns:
        What each stage was, the run itself last: `config`, `num_bars`, `step` and `seconds` of its
        training steps (None where it has not kept them); of a model that it started from, `model`.
    """
    modules = run.configured.modules
    stages = [_describe_stage(run.folder, run.step, modules)]
    configs: list[str] = []
    record = run.record
    while (origin := record.get("origin")) and len(configs) < len(model_files.STAGE_FILES):
        place = origin["run_dir"]
        is_model = model_places.is_name(place) or model_files.is_published(place)
        if is_model or not os.path.isdir(place):
            named = model_places.label(place) if is_model else None
            stages.insert(0, {"model": named, "step": origin["step"]})
            break
        stages.insert(0, _describe_stage(place, origin["step"], modules))
        configs.insert(0, os.path.join(place, configuration.CONFIG_FILE))
        record = run_files.read_record(place)
    of_runs = [stage for stage in stages if "seconds" in stage]
    for stage, config, name in zip(of_runs, configs, model_files.STAGE_FILES, strict=False):
        shutil.copyfile(config, os.path.join(folder, name))
        stage["config"] = name
    return stages


def _describe_stage(folder: str, step: int, modules: Sequence[str]) -> dict:
    config = configuration.CONFIG_FILE
    experiment = configuration.parse_run(os.path.join(folder, config), modules).experiment
    seconds = summaries.seconds_of_steps(folder, step)
    return {
        "config": config,
        "num_bars": experiment.settings.num_bars,
        "step": step,
        "seconds": seconds,
    }


def _measure(published: Run, windows: Mapping, report: Callable[[str], None]) -> dict:
    """Returns the figures of a model; where its training windows lie is written."""
    model, held_out = published.model(), windows["eval"]
    if published.network.z_size:
        fitted = runs.fit_data_prior(model, windows["train"], published.step, NUM_WINDOWS)
        data_prior.write(os.path.join(published.folder, data_prior.FILE), fitted)
    figures = {"step": published.step, **published.metrics(held_out)}
    report(text_tables.format_metrics(figures, published.experiment))
    priors = PRIORS if published.network.z_size else [data_prior.STANDARD]
    for prior in priors:
        compared = text_tables.compare_samples(
            published,
            held_out,
            num_samples=NUM_SAMPLES,
            training=windows["train"],
            prior=prior,
        )
        figures[PRIORS[prior]] = compared
        report(f"\nprior: {prior}\n{text_tables.format_comparison(compared)}")
    return figures


def _learn_attributes(
    published: Run, windows: Mapping, name: str, folder: str, report: Callable[[str], None]
) -> None:
    """Writes the attribute vectors of a model, where its windows differ in any attribute."""
    path = os.path.join(folder, model_files.VECTORS_FILE)
    try:
        learned = learning.learn_from(published, windows["train"], windows["eval"], None)
    except ValueError as error:  # Windows that are all alike.
        report(f"no attribute vectors: {error}")
        return
    attributes.write(path, dataclasses.replace(learned, run_dir=name))
    report("\n" + attributes.format_effects(learned, learned.effects))


def _format_readme(card: Mapping, run: Run) -> str:
    """Returns the card of a model for people, in Markdown with what the Hugging Face Hub reads."""
    name, settings = card["name"], run.settings
    sections = {
        "What it is": f"{card['description']}\n\nA recurrent variational autoencoder (Roberts, "
        f"Engel and Eck, 2017) of {settings.num_bars} bars of 4/4, sixteen steps a bar: "
        f"{', '.join(track.name for track in settings.tracks)}. {card['parameters']:,} parameters "
        f"in float16, of which z has {run.network.z_size} dimensions.",
        "Use": "```python\nimport magenta_vae\n\n"
        f'model = magenta_vae.load("FOLDER")  # or "{name}", where it comes with the package\n'
        "music = model.sample(4, temperature=0.5, seed=0)\n```",
        "Intended use": model_cards.describe_use(settings.num_bars),
        "Limits": model_cards.describe_limits(settings),
        "Training": _describe_training(card),
        "Data": "\n\n".join(
            filter(
                None,
                (
                    "\n".join(f"- {line}" for line in card["attribution"]),
                    model_cards.format_data(card["data"] or None),
                ),
            )
        ),
        "Evaluation": "On held-out songs, with the weights as they are here: `magenta_vae evaluate "
        "--samples --model=FOLDER --data_dir=DATA`.\n\n"
        + model_cards.format_figures(card["figures"], run.experiment)
        + _format_other_prior(card["figures"])
        + _compare_priors(card["figures"]),
        "Licence": f"Weights: {card['license']}. That of the data stands beside it above.",
        "Made with": ", ".join(f"{key} {value}" for key, value in card["packages"].items()),
    }
    head = f"---\nlicense: {json.dumps(card['license'].lower())}\ntags: [music, musicvae]\n---\n\n"
    return head + model_cards.format_card(name, sections)


def _format_other_prior(figures: Mapping) -> str:
    """Returns how samples differ from held-out windows that are drawn by `--prior=data`."""
    compared = figures.get(PRIORS[data_prior.DATA])
    if compared is None:
        return ""
    table = text_tables.format_comparison(compared)
    return f"\n\nThe samples above are of N(0, I). Those of `--prior=data`:\n\n```\n{table}\n```"


def _describe_training(card: Mapping) -> str:
    """Returns how a model is trained again: the commands of its stages."""
    lines: list[str] = []
    sentences, built = [], set()
    before = ""
    # Of windows of one length the last stage says how music is read.
    of_data = {stage["num_bars"]: stage["config"] for stage in card["stages"] if "config" in stage}
    for number, stage in enumerate(card["stages"], start=1):
        if "config" not in stage:
            before = f" --init_from={stage['model'] or 'ANOTHER_RUN'}"
            continue
        took = f" ({stage['seconds'] / 3600:.1f} hours of steps)" if stage["seconds"] else ""
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
