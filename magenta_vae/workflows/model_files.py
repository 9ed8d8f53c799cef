"""The files of a published model: a folder that opens as a run does, with what vouches for it.

Beside a run's `config.gin`, `run.json`, `data_prior.json` and `figures.json` lie the weights, in
float16 (`training.published_weights`), attribute vectors, `card.json`, which says what the model
is, under which licence and what it reaches, with the SHA-256 of every file, and the same for
people, `README.md`.
"""

import json
import os
from collections.abc import Mapping

from magenta_vae import files
from magenta_vae.configuration import CONFIG_FILE, RUN_FILE
from magenta_vae.inference import data_prior
from magenta_vae.training import published_weights

CARD_FILE, README_FILE, VECTORS_FILE = "card.json", "README.md", "attributes.json"
FIGURES_FILE = "figures.json"  # What was measured last, on the held-out split.
MAP_FILE = "map.json"  # Held-out windows, as the page of `explore` shows them.
FORMAT = 1
# All that a published folder holds beside its card, and all that is ever fetched of one.
REQUIRED = (CONFIG_FILE, RUN_FILE, published_weights.FILE, README_FILE)
# The configurations of the runs whose weights it started from, the first run's first.
STAGE_FILES = tuple(f"stage-{number}.gin" for number in range(1, 10))
OPTIONAL = (data_prior.FILE, FIGURES_FILE, VECTORS_FILE, MAP_FILE, *STAGE_FILES)
MAX_BYTES = 2**31  # Of a file that is fetched.
_TYPES = {
    "format": int,
    "name": str,
    "description": str,
    "license": str,
    "attribution": list,
    "step": int,
    "parameters": int,
    "data": dict,
    "figures": dict,
    "files": dict,
}
_OPTIONAL_TYPES = {"attribution_of_origin": list}  # Of a model that started from another one.
_FIGURE_TYPES = {"tracks": dict}
_SHARE = int | float | None
_TRACK_TYPES = {
    "reconstruction_accuracy": int | float,
    "most_frequent_token_share": _SHARE,
    "notes": dict,
}


def is_published(folder: str) -> bool:
    """Says whether a folder holds a published model, sound or not."""
    is_weights = published_weights.path_in(folder) is not None
    return is_weights or os.path.lexists(os.path.join(folder, CARD_FILE))


def read_card(folder: str) -> dict:
    """Returns what a model's `card.json` says.

    Raises:
        FileNotFoundError: where there is none.
        ValueError: where it is damaged or of another version.
    """
    path = os.path.join(folder, CARD_FILE)
    if not os.path.lexists(path):
        raise FileNotFoundError(
            f"{path} is missing: it says what the files beside it must be. Install or download the "
            "model again."
        )
    card = files.read_json(path)
    files.check_types(path, card, _TYPES | _OPTIONAL_TYPES, _TYPES)
    if card["format"] != FORMAT:
        raise ValueError(f"{path} is of format {card['format']}; this version reads {FORMAT}.")
    names = set(card["files"])
    if not (names.issuperset(REQUIRED) and names.issubset(REQUIRED + OPTIONAL)):
        raise ValueError(
            f"{path} is damaged: a model's files are {', '.join(REQUIRED)}, and may be "
            f"{', '.join(OPTIONAL)}. It names {', '.join(sorted(names)) or 'none'}."
        )
    texts = *card["files"].values(), *card["attribution"], *card.get("attribution_of_origin", ())
    if not all(isinstance(each, str) for each in texts):
        raise ValueError(f"{path} is damaged: its attribution and the SHA-256 must be texts.")
    _check_figures(path, card["figures"])
    return card


def _check_figures(path: str, figures: dict) -> None:
    """Raises `ValueError` where a card has no figure that lists of models show."""
    files.check_types(f"{path}: figures", figures, _FIGURE_TYPES, _FIGURE_TYPES)
    for name, track in figures["tracks"].items():
        place = f"{path}: figures.tracks.{name}"
        files.check_types(place, track, _TRACK_TYPES, ["reconstruction_accuracy"])
        notes = track.get("notes", {})
        files.check_types(f"{place}.notes", notes, {"reconstruction": dict})
        of_notes = notes.get("reconstruction", {})
        files.check_types(f"{place}.notes.reconstruction", of_notes, {"f1": _SHARE})


def write_card(folder: str, card: Mapping) -> None:
    """Writes `card.json`, with the SHA-256 of the files that lie in the folder.

    Args:
        folder: the model's, in which all other files lie already.
        card: what `read_card` returns, but for `format` and `files`.
    """
    present = [name for name in REQUIRED + OPTIONAL if os.path.isfile(os.path.join(folder, name))]
    digests = {name: files.sha256_of(os.path.join(folder, name)) for name in present}
    text = json.dumps({"format": FORMAT, **card, "files": digests}, indent=2) + "\n"
    files.write_text(os.path.join(folder, CARD_FILE), text)


def check(folder: str) -> dict:
    """Returns a model's card, once every file that it names has the SHA-256 that it says.

    Raises:
        FileNotFoundError: where a file is missing.
        ValueError: where a file is damaged, or would be read though the card does not name it.
    """
    card = read_card(folder)
    for name, expected in card["files"].items():
        check_file(os.path.join(folder, name), expected)
    for name in OPTIONAL:
        path = os.path.join(folder, name)
        if name not in card["files"] and os.path.lexists(path):
            raise ValueError(
                f"{path} is no file of the model: {CARD_FILE} beside it does not name it. Move it "
                "away, or install or download the model again."
            )
    return card


def check_file(path: str, expected: str) -> None:
    """Raises `FileNotFoundError` or `ValueError` where a file is missing or has another SHA-256."""
    if not os.path.isfile(path):
        raise FileNotFoundError(
            f"{path} is missing: {CARD_FILE} beside it names it. Install or download the model "
            "again."
        )
    found = files.sha256_of(path)
    if found != expected:
        raise ValueError(
            f"{path} is damaged or was changed: its SHA-256 is {found}, and {CARD_FILE} beside it "
            f"says {expected}. Install or download the model again."
        )


def size_of(folder: str) -> int:
    """Returns the bytes of a model's files."""
    return sum(entry.stat().st_size for entry in os.scandir(folder))
