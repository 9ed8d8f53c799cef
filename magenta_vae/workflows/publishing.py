"""A run as a folder for others: weights in float16, figures measured with these, and a card."""

import dataclasses
import itertools
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from magenta_vae import configuration, files
from magenta_vae.data.provenance import Provenance
from magenta_vae.inference import attributes, data_prior, validation
from magenta_vae.inference.samples import NUM_SAMPLES
from magenta_vae.training import published_weights, summaries
from magenta_vae.workflows import (
    attributes as learning,
)
from magenta_vae.workflows import (
    exploring,
    model_cards,
    model_files,
    model_places,
    run_files,
    runs,
    text_tables,
)
from magenta_vae.workflows.runs import Run

LICENCE = "Apache-2.0"
# Of `--prior=data`: more than after a training, for minutes of work, and samples are nearer.
NUM_WINDOWS, NUM_GAUSSIANS = 200_000, 64
# Numbers in their means and covariances, at most: those of 64 Gaussians in 128 dimensions, 1.5 MB.
MOST_NUMBERS = 64 * 128 * 131 // 2


def publish(
    run: Run,
    output_dir: str,
    name: str,
    description: str,
    licence: str | None = None,
    attribution: Sequence[str] = (),
    data_dir: str | None = None,
    report: Callable[[str], None] = lambda line: None,
    temperature: float = validation.TEMPERATURE,
    num_gaussians: int | None = None,
    spread: float = 1.0,
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
        attribution: a line for each source of the data: what it is, from where, its licence. The
            card also has those of the model that it started from.
        data_dir: the data set that it was trained on, by default where the run says it lies.
        report: is given lines about the result.
        temperature: of the samples that the card tells of.
        num_gaussians: of `--prior=data`, at most. By default as many as take 1.5 MB, and no more
            than `NUM_GAUSSIANS`.
        spread: what the standard deviations of these Gaussians are multiplied by.

    Raises:
        FileExistsError: where `output_dir` holds something already.
        ValueError: for a temperature that a softmax cannot have, where a weight does not fit into
            float16, for a data set that the run was not trained on, and as `Run.windows` does.
    """
    validation.check_temperature(temperature)
    data_prior.check_spread(spread)
    for flag, text in {"--name": name, "--description": description}.items():
        if not text.strip():
            raise ValueError(f"{flag} must say something. Received: {text!r}.")
    output_dir = os.path.realpath(output_dir)
    files.require_new_folder("--output_dir", output_dir)
    if output_dir == os.getcwd():
        raise ValueError("--output_dir is the working directory: choose a folder in it.")
    windows = {split: _own_windows(run, split, data_dir) for split in ("train", "eval")}
    origin = _find_card(run) or {}
    carried, of_origin = _find_sources(origin, run, name)
    with files.staging(os.path.dirname(output_dir)) as staged:
        published = _write_weights(run, staged)
        stages = _write_stages(run, name, staged)
        known = run.provenance("eval", len(windows["eval"]), data_dir)
        if published.network.z_size:
            _fit_data_prior(published, windows["train"], num_gaussians, spread, report)
        figures = _measure(published, windows, known, temperature, report)
        text = json.dumps(figures, indent=2) + "\n"
        files.write_text(os.path.join(staged, model_files.FIGURES_FILE), text)
        if published.network.z_size:
            _learn_attributes(published, windows, name, staged, report)
            exploring.write_map(published, data_dir or run.data_dir())
        card = {
            "name": name,
            "description": description,
            "license": licence or origin.get("license", LICENCE),
            "attribution": list(dict.fromkeys([*carried, *attribution])),
            **({"attribution_of_origin": of_origin} if of_origin else {}),
            "step": run.step,
            "parameters": run.network.count_params(),
            "seed": run.experiment.seed,
            "stages": stages,
            "packages": run.record["packages"],
            "data": dict(run.record["data"] or {}),
            "figures": figures,
        }
        readme = model_cards.format_readme(card, published.experiment, published.network.z_size)
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


class _Origin(NamedTuple):
    """What a run started from.

    Attributes:
        place: where that was: a folder, a name or an address.
        folder: where it is, None where it is gone.
        step: of the weights that were taken.
        is_model: whether it is a published model.
    """

    place: str
    folder: str | None
    step: int
    is_model: bool


def _origins(run: Run) -> Iterator[_Origin]:
    """Yields what a run started from, what that started from, and so on, up to a model."""
    record = run.record
    while origin := record.get("origin"):
        place = origin["run_dir"]
        folder = model_places.find(place) if model_places.is_name(place) else place
        is_model = model_files.is_published(folder)
        found = folder if is_model or os.path.isdir(folder) else None
        yield _Origin(place, found, origin["step"], is_model)
        if is_model or found is None:
            return
        record = run_files.read_record(found)


def _find_card(run: Run) -> dict | None:
    """Returns the card of the published model that a run is, or started from."""
    if model_files.is_published(run.folder):
        return model_files.read_card(run.folder)
    for origin in _origins(run):
        if origin.is_model and origin.folder:
            return model_files.read_card(origin.folder)
    return None


def _find_sources(origin: Mapping, run: Run, name: str) -> tuple[list[str], list[str]]:
    """Returns the sources that a model has from its origin: those of its own data, and others.

    An earlier model of the name, or one that is published again, is the model itself.

    Args:
        origin: the card of the model that the run is or started from; empty where there is none.
        run: that is published.
        name: that it is published under.
    """
    sources = list(origin.get("attribution", ()))
    others = list(origin.get("attribution_of_origin", ()))
    if model_files.is_published(run.folder) or origin.get("name") == name:
        return sources, others
    return [], list(dict.fromkeys([*sources, *others]))


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


def _write_stages(run: Run, name: str, folder: str) -> list[dict]:
    """Writes the configurations of the runs that a run started from, the first run's first.

    A model that an earlier model of its name started has the stages of that one too: the name
    stands for the later model from then on.

    Returns:
        What each stage was, the run itself last: `config`, `num_bars`, `step` and `seconds` of its
        training steps (None where it has not kept them), `partial` where it took only the weights
        that fit; of a model of another name that it started from, `model`.
    """
    modules = run.configured.modules
    stages = [_describe_stage(run.folder, run.step, modules)]
    configs: list[str] = []
    for origin in itertools.islice(_origins(run), len(model_files.STAGE_FILES)):
        if origin.folder is None or origin.is_model:
            card = model_files.read_card(origin.folder) if origin.folder else {}
            if card.get("name") == name and "stages" in card:
                stages[:0] = earlier = [dict(stage) for stage in card["stages"]]
                named = [stage["config"] for stage in earlier if "config" in stage]
                configs[:0] = [os.path.join(str(origin.folder), each) for each in named]
            else:
                label = model_places.label(origin.place) if origin.is_model else None
                stages.insert(0, {"model": label, "step": origin.step})
        else:
            stages.insert(0, _describe_stage(origin.folder, origin.step, modules))
            configs.insert(0, os.path.join(origin.folder, configuration.CONFIG_FILE))
    of_runs = [stage for stage in stages if "config" in stage]
    for stage, config, file in zip(of_runs, configs, model_files.STAGE_FILES, strict=False):
        shutil.copyfile(config, os.path.join(folder, file))
        stage["config"] = file
    return stages


def _describe_stage(folder: str, step: int, modules: Sequence[str]) -> dict:
    config = configuration.CONFIG_FILE
    experiment = configuration.parse_run(os.path.join(folder, config), modules).experiment
    origin = run_files.read_record(folder).get("origin") or {}
    return {
        "config": config,
        "num_bars": experiment.settings.num_bars,
        "step": step,
        "seconds": summaries.seconds_of_steps(folder, step),
        **({"partial": True} if origin.get("partial") else {}),
    }


def _fit_data_prior(
    published: Run,
    training: np.ndarray,
    num_gaussians: int | None,
    spread: float,
    report: Callable[[str], None],
) -> None:
    """Writes where the training windows of a model lie; see `publish`."""
    report("fitting where the training windows lie, which takes minutes where they are many")
    sizes = NUM_WINDOWS, num_gaussians or _count_gaussians(published.network.z_size)
    fitted = runs.fit_data_prior(published.model(), training, published.step, *sizes)
    path = os.path.join(published.folder, data_prior.FILE)
    data_prior.write(path, data_prior.with_spread(fitted, spread))


def _measure(
    published: Run,
    windows: Mapping,
    known: Provenance | None,
    temperature: float,
    report: Callable[[str], None],
) -> dict:
    """Returns the figures of a model, and of its samples of each prior that it has."""
    held_out = windows["eval"]
    figures = {"step": published.step, **published.metrics(held_out, known)}
    report(text_tables.format_metrics(figures, published.experiment))
    priors = model_cards.PRIORS if published.network.z_size else [data_prior.STANDARD]
    for prior in priors:
        compared = text_tables.compare_samples(
            published,
            held_out,
            num_samples=NUM_SAMPLES,
            temperature=temperature,
            training=windows["train"],
            prior=prior,
        )
        figures[model_cards.PRIORS[prior]] = compared
        report(f"\nprior: {prior}\n{text_tables.format_comparison(compared)}")
    return figures


def _count_gaussians(z_size: int) -> int:
    """Returns how many Gaussians of so many dimensions a model is published with, at most."""
    return max(1, min(NUM_GAUSSIANS, MOST_NUMBERS // (z_size * (z_size + 3) // 2)))


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
