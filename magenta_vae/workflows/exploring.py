"""What the page in the browser is told of a run: its model, examples of music, and a map."""

import contextlib
import json
import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from magenta_vae import configuration, files
from magenta_vae.data import vocabularies
from magenta_vae.inference import attributes, data_prior
from magenta_vae.inference.excerpts import Excerpt
from magenta_vae.inference.generation import TrainedModel
from magenta_vae.inference.latents import Windows
from magenta_vae.inference.validation import TEMPERATURE
from magenta_vae.music import songs
from magenta_vae.music.note_sequences import DEFAULT_QPM
from magenta_vae.music.songs import SongError
from magenta_vae.serving import page_answers
from magenta_vae.serving.seeds import ROWS_PER_REQUEST
from magenta_vae.workflows import encoding, model_files
from magenta_vae.workflows.runs import Run

PAGE = "page"  # The folder of its files, within the package.
NUM_EXAMPLES = 4
MIN_ON_MAP, NUM_ON_MAP, NUM_SAMPLES = 3, 1_000, 300
NUM_KEPT = 300  # Windows of a published map: a quarter of a megabyte.
ADVICE = ": --data_dir or --input shows songs in their place"
NUM_AT_ONCE = 64  # Windows that are encoded or decoded before it is asked whether to give up.


class Explored(NamedTuple):
    """A run as the page plays it.

    Attributes:
        model: the model.
        facts: what the page is told of it, as JSON values.
        prior: where its training windows lie; None where that is not known.
        windows: what its map shows; None for the kept map, without one for samples.
        what: a line about these.
        kept_map: the map that lies beside a published model.
    """

    model: TrainedModel
    facts: dict[str, Any]
    prior: data_prior.DataPrior | None
    windows: Windows | None
    what: str
    kept_map: dict[str, Any] | None = None

    @property
    def has_map(self) -> bool:
        """Whether there can be one."""
        return self.facts["can"]["map"]

    def make_map(self, is_ending: Callable[[], bool] = lambda: False) -> dict[str, Any]:
        """Returns the map, for which windows are encoded, or samples decoded.

        Args:
            is_ending: says whether to give up; the map is empty then.
        """
        if self.kept_map is not None:
            return self.kept_map
        if self.windows is None:
            z = self.model.sample_z(NUM_SAMPLES, prior=self.facts["priors"][0])
            tokens = _in_parts(self._decode, [z, _first_seeds(len(z))], is_ending)
            places: list[tuple[str | None, str]] = [
                (None, f"sample {row} of seed 0") for row in range(len(z))
            ]
        else:
            tokens = self.windows.tokens
            z = _in_parts(self.model.encode_tokens, [tokens], is_ending)
            places = _places(self.windows, self.model.num_bars)
        if is_ending():
            return {}
        return page_answers.describe_map(z, tokens, self.model.tracks, self.what, places)

    def _decode(self, z: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        return self.model.decode_rows(z, TEMPERATURE, seeds)


def explore(
    run: Run,
    data_dir: str | None = None,
    music: Sequence[str] = (),
    report: Callable[[str], None] = lambda line: None,
    advice: str = ADVICE,
) -> Explored:
    """Returns a run as the page plays it.

    Args:
        run: an opened run.
        data_dir: a data set whose held-out windows the map shows; the run's own for None, and where
            that is gone samples of the run.
        music: files, folders, globs and archives whose windows it shows instead.
        report: is given lines about what was read.
        advice: what is said of a map of samples.

    Raises:
        FileNotFoundError: where there is no such data set or music.
        SongError: where no piece of the music fits.
        ValueError: for a model without a latent space, and for a data set of other windows.
    """
    if not run.network.z_size:
        raise ValueError(
            "Only a model with a latent space can be explored. Received: a baseline, a decoder "
            "alone, which has no space to explore."
        )
    prior = _find_prior(run, data_dir)
    model = run.model(data_dir, find_data_prior=lambda: prior)
    windows, what = _find_windows(run, data_dir, music, report)
    prior_names = [data_prior.DATA, data_prior.STANDARD] if prior else [data_prior.STANDARD]
    kept_map = _read_map(run) if windows is None else None
    if kept_map is not None:
        what = kept_map["what"]
    elif windows is None:
        what = f"{NUM_SAMPLES} samples of --prior={prior_names[0]}{advice}"
    why_not = {}
    if model.z_size < 2:
        why_not["map"] = f"A map takes a z of 2 dimensions. This model has {model.z_size}."
    elif windows is not None and len(windows.tokens) < MIN_ON_MAP:
        why_not["map"] = (
            f"A map is of at least {MIN_ON_MAP} windows. Received: {what}. Start again with more "
            "music by --data_dir or --input."
        )
    facts = {
        **_describe_run(run),
        **describe_model(model),
        "priors": prior_names,
        "attributes": _describe_attributes(run),
        "examples": _find_examples(model),
        "can": {"encode": True, "map": not why_not},
        "why_not": why_not,
    }
    return Explored(model, facts, prior, windows, what, kept_map)


def write_map(published: Run, data_dir: str) -> None:
    """Writes a map of held-out windows beside a model that is being published, where it can be.

    Args:
        published: of the folder.
        data_dir: the data set that it was trained on.
    """
    model = published.model()
    windows = _spread(published.windows_of_songs("eval", data_dir), NUM_KEPT)
    if model.z_size < 2 or len(windows.tokens) < MIN_ON_MAP:
        return
    what = f"{len(windows.tokens):,} held-out windows of the music that it was trained on"
    z = model.encode_tokens(windows.tokens)
    places = _places(windows, model.num_bars)
    made = page_answers.describe_map(z, windows.tokens, model.tracks, what, places)
    path = os.path.join(published.folder, model_files.MAP_FILE)
    files.write_text(path, json.dumps(made, allow_nan=False) + "\n")


def _read_map(run: Run) -> dict[str, Any] | None:
    """Returns the map that lies beside a published model, None for none."""
    path = os.path.join(run.folder, model_files.MAP_FILE)
    if not (model_files.is_published(run.folder) and os.path.isfile(path)):
        return None
    return files.read_json(path)


def page_folder() -> str:
    """Returns the folder of the page's files."""
    return str(configuration.bundled(PAGE))


def _find_prior(run: Run, data_dir: str | None) -> data_prior.DataPrior | None:
    """Returns where the training windows lie: as the run keeps it, else fitted, where it can be."""
    if kept := run.kept_data_prior():
        return kept
    try:
        return run.find_data_prior(data_dir)
    except (OSError, ValueError):
        return None


def _find_windows(
    run: Run, data_dir: str | None, music: Sequence[str], report: Callable[[str], None]
) -> tuple[Windows | None, str]:
    """Returns the windows of the map and a line about them; without any, None and no line."""
    if music:
        read = encoding.together(list(encoding.song_windows(music, run.settings, report)))
        what = f"windows of {', '.join(music)}"
    else:
        try:
            read = run.windows_of_songs("eval", data_dir)
            what = f"held-out windows of {data_dir or run.data_dir()}"
        except (OSError, ValueError):
            if data_dir:
                raise
            return None, ""
    chosen = _spread(read, NUM_ON_MAP)
    number, total = len(chosen.tokens), len(read.tokens)
    return chosen, f"{number:,} of {total:,} {what}" if number < total else f"{number} {what}"


def _spread(windows: Windows, most: int) -> Windows:
    """Returns so many windows at most, chosen evenly of all."""
    rows = np.linspace(0, len(windows.tokens) - 1, min(len(windows.tokens), most)).astype(int)
    return Windows(
        np.array(windows.tokens[rows]),  # No longer those of a file that is mapped into memory.
        None if windows.songs is None else windows.songs[rows],
        None if windows.bars is None else windows.bars[rows],
        windows.paths,
    )


def _describe_run(run: Run) -> dict[str, Any]:
    """Returns what a run says of itself: a published model more, in its card."""
    name = os.path.basename(os.path.abspath(run.folder))
    facts = {"name": name, "step": run.step, "parameters": run.network.count_params()}
    if not model_files.is_published(run.folder):
        return {**facts, "description": "", "licence": "", "attribution": []}
    card = model_files.read_card(run.folder)
    said = {key: card[key] for key in ("name", "description")}
    sources = [*card["attribution"], *card.get("attribution_of_origin", ())]
    attribution = list(dict.fromkeys(sources))
    return {**facts, **said, "licence": card["license"], "attribution": attribution}


def describe_model(model: TrainedModel) -> dict[str, Any]:
    """Returns what every page is told of a model: its tracks, steps and points."""
    return {
        "tracks": [vocabularies.describe_fully(track) for track in model.tracks],
        "num_bars": model.num_bars,
        "num_steps": model.window_format.num_steps,
        "steps_per_bar": songs.STEPS_PER_BAR,
        "steps_per_quarter": songs.STEPS_PER_QUARTER,
        "quarters_per_minute": DEFAULT_QPM,
        "z_size": model.z_size,
        "max_points": ROWS_PER_REQUEST,
    }


def _describe_attributes(run: Run) -> list[dict[str, Any]]:
    """Returns the attribute vectors that lie beside a run's weights and are of them."""
    path = os.path.join(run.folder, model_files.VECTORS_FILE)
    if not os.path.isfile(path):
        return []
    learned = attributes.read(path, run.network.z_size)
    if learned.step != run.step:
        return []
    return [
        {
            **said,
            "track": learned.track,
            "vector": learned[said["name"]].tolist(),
            "works": learned.warning(said["name"]) is None,
            # From the lowest quarter of the windows to the highest.
            "spread": float(np.diff(learned.vectors[said["name"]].quartiles[1:4:2])[0]),
        }
        for said in page_answers.describe_attributes(list(learned.vectors))
    ]


def _find_examples(model: TrainedModel) -> list[dict[str, Any]]:
    """Returns the first windows with music of some of the songs that come with the package."""
    found: list[dict[str, Any]] = []
    for path in sorted(configuration.bundled("testdata").glob("*.mid")):
        with contextlib.suppress(SongError):
            read = model.read(Excerpt(path))
            row = next(row for row, each in enumerate(read.tokens) if _is_full(each, model))
            window = read.windows[row]
            found.append(
                {
                    "title": f"{path.stem}, {_bars(window.first_bar, model.num_bars)}",
                    "point": model.encode_tokens(read.tokens[row : row + 1])[0].tolist(),
                    "qpm": round(window.playback.qpm, 3),
                }
            )
        if len(found) == NUM_EXAMPLES:
            break
    return found


def _is_full(window: np.ndarray, model: TrainedModel) -> bool:
    """Says whether every track of a window, int [steps, tracks], begins with music."""
    silent = [track.is_silent(window[:, place]) for place, track in enumerate(model.tracks)]
    return not any(each[: songs.STEPS_PER_BAR].all() for each in silent)


def _places(windows: Windows, num_bars: int) -> list[tuple[str | None, str]]:
    """Returns the song of each window, None where it is not known, and its bars."""
    if windows.songs is None or windows.bars is None:
        return [(None, f"window {row + 1}") for row in range(len(windows.tokens))]
    return [
        (windows.paths[song], _bars(bar, num_bars))
        for song, bar in zip(windows.songs.tolist(), windows.bars.tolist(), strict=True)
    ]


def _bars(first: int, num_bars: int) -> str:
    return f"bars {first}-{first + num_bars - 1}" if num_bars > 1 else f"bar {first}"


def _first_seeds(num_rows: int) -> np.ndarray:
    """Returns the pairs that samples of seed 0 draw from, int64 [rows, 2]."""
    return np.stack([np.zeros(num_rows, np.int64), np.arange(num_rows)], axis=-1)


def _in_parts(
    function: Callable[..., np.ndarray],
    arrays: Sequence[np.ndarray],
    is_ending: Callable[[], bool],
) -> np.ndarray:
    """Applies a function to rows, some at a time, those that are left when it is to end to none."""
    parts: list[np.ndarray] = []
    for first in range(0, len(arrays[0]), NUM_AT_ONCE):
        if parts and is_ending():
            break
        parts.append(function(*(array[first : first + NUM_AT_ONCE] for array in arrays)))
    return np.concatenate(parts)
