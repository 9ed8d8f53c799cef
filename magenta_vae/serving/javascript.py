"""A model -> a folder that @magenta/music loads in browsers and in Node."""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

from magenta_vae.contracts import LatentModel
from magenta_vae.magenta import javascript_files, javascript_spec, javascript_weights
from magenta_vae.music.window_format import WindowFormat

CARD_FILE = "README.md"
GIN_FILE = "config.gin"  # What the model is here, for an import.
# Versions that work together. In Node, versions of tone after this one cannot be required.
MUSIC_VERSION, TONE_VERSION = "1.23.1", "14.7.77"
SCRIPT = f"https://cdn.jsdelivr.net/npm/@magenta/music@{MUSIC_VERSION}/dist/magentamusic.js"
_EMBEDDING = re.compile(r"^((?:\w+[./])*Conductor\.embedding_size) = .*$", re.MULTILINE)


def check(
    model: LatentModel, window_format: WindowFormat, quantize_bytes: int | None = None
) -> None:
    """Raises `ValueError` for a model that @magenta/music cannot compute, with what would fit."""
    if quantize_bytes not in (None, *javascript_files.QUANTIZED):
        raise ValueError(f"quantize_bytes must be 1 or 2. Received: {quantize_bytes}.")
    javascript_spec.describe(model, window_format)
    javascript_spec.class_orders(window_format.tracks)


def write(
    model: LatentModel,
    window_format: WindowFormat,
    folder: str,
    quantize_bytes: int | None = None,
    facts: Mapping | None = None,
    gin_text: str | None = None,
) -> None:
    """Writes `config.json`, weights and a card into a new folder.

    Args:
        model: that `check` accepts.
        window_format: the tracks and the length of its windows.
        folder: that does not exist.
        quantize_bytes: 1 or 2, of each weight; None for float32, whose import is exact.
        facts: its name and step, where they are known.
        gin_text: its configuration, which an import reads.
    """
    spec = javascript_spec.describe(model, window_format)
    facts = facts or {}
    spec[javascript_spec.OWN] = {name: facts[name] for name in ("name", "step") if name in facts}
    arrays = javascript_weights.collect(model, window_format.tracks, exact=not quantize_bytes)
    os.makedirs(folder)
    javascript_files.write(folder, arrays, quantize_bytes)
    Path(folder, javascript_spec.FILE).write_text(json.dumps(spec, indent=2) + "\n")
    if gin_text:
        if javascript_weights.has_embedding(model):  # It is within what reads it now.
            gin_text = _EMBEDDING.sub(r"\1 = None", gin_text)
        Path(folder, GIN_FILE).write_text(gin_text)
    card = make_card(spec, window_format, quantize_bytes, model.z_size)
    Path(folder, CARD_FILE).write_text(card)


def make_card(
    spec: Mapping, window_format: WindowFormat, quantize_bytes: int | None, z_size: int
) -> str:
    """Returns what a folder says of its model to people, in Markdown."""
    converter = spec["dataConverter"]
    name = spec[javascript_spec.OWN].get("name", "model")
    precision = f"quantised to {quantize_bytes} byte(s) each" if quantize_bytes else "float32"
    lines = [
        f"# {name}, for @magenta/music",
        "",
        f"A MusicVAE of {window_format.num_bars} bars of 4/4, sixteen steps a bar, z of {z_size} "
        f"dimensions: `{converter['type']}`. Its weights are {precision}. "
        f"@magenta/music {MUSIC_VERSION} loads it, in browsers and in Node (there with tone "
        f"{TONE_VERSION}). A page that plays it, served from this folder's parent by "
        "`python3 -m http.server`:",
        "",
        "```html",
        '<!doctype html><meta charset="utf-8"><button onclick="play()">Play</button>',
        f'<script src="{SCRIPT}"></script>',
        "<script>",
        "  const model = new mm.MusicVAE('magenta_js'), player = new mm.Player();",
        "  async function play() {",
        "    player.resumeContext();  // A page may sound once somebody has clicked.",
        "    if (!model.isInitialized()) await model.initialize();",
        "    player.start((await model.sample(1, 0.5))[0], 120);  // temperature, tempo",
        "  }",
        "</script>",
        "```",
        "",
        *(f"- {limit}" for limit in _describe_limits(converter["type"], window_format)),
    ]
    return "\n".join(lines) + "\n"


def _describe_limits(converter: str, window_format: WindowFormat) -> list[str]:
    limits = [
        "`sample` draws z of the standard normal distribution; `interpolate` goes in straight "
        "lines, where magenta_vae goes along the sphere.",
        "The encoder's sigma is among the weights, but @magenta/music encodes to mu.",
    ]
    if javascript_spec.encodes_rests_otherwise(window_format.tracks):
        limits.append(
            "What is encoded from notes differs where a rest lasts, and before the first note: the "
            "model learnt a rest at every silent step, and `MelodyConverter` says a note-off once "
            "and then no event. What is decoded is the same."
        )
    if any(track.is_drum for track in window_format.tracks):
        limits.append(
            "Drums that are encoded must have each kind of hit at most once a step, and no pitch "
            "of another kind: the converter adds classes without looking."
        )
    if converter == "DrumsConverter":
        limits.append(
            "`DrumsConverter` sets the bit for no hit one step early: what is encoded from notes "
            "differs from what the model learnt."
        )
    return limits
