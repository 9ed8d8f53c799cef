"""A model -> a folder that TensorFlow Serving loads: SavedModel, description and model card."""

import errno
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import tensorflow as tf

from magenta_vae import display, file_errors, files
from magenta_vae.contracts import LatentModel
from magenta_vae.data import vocabularies
from magenta_vae.inference.data_prior import DataPrior
from magenta_vae.inference.fields import Field
from magenta_vae.music import songs
from magenta_vae.music.note_sequences import DEFAULT_QPM
from magenta_vae.music.window_format import WindowFormat
from magenta_vae.serving import javascript, runtimes, warm_up, web
from magenta_vae.serving.seeds import ROWS_PER_REQUEST, SEED_BITS
from magenta_vae.serving.signatures import MAX_ROWS, Signatures

# What else a model can be written as, beside its SavedModel.
FORMATS = ("onnx", "litert", "web", "magenta_js")
DESCRIPTION_FILE = "model.json"
CARD_FILE = "model_card.md"


def write(
    model: LatentModel,
    window_format: WindowFormat,
    output_dir: str,
    facts: Mapping | None = None,
    make_card: Callable[[dict], str] = lambda described: "",
    formats: Sequence[str] = (),
    litert_batch_size: int = 1,
    max_rows: int = MAX_ROWS,
    prior: DataPrior | None = None,
    site: web.Site | None = None,
    quantize_bytes: int | None = None,
    gin_text: str | None = None,
) -> str:
    """Writes a model as the next version under a folder and returns the version's path.

    The version is written beside its place and renamed: a server never sees a part of one.

    Args:
        model: a `MusicVAE` with its weights.
        window_format: the tracks and the length of its windows.
        output_dir: the model's folder, whose integer names are versions.
        facts: what else the description should say, as JSON values.
        make_card: the model's description -> the model card, Markdown.
        formats: of `FORMATS`.
        litert_batch_size: rows of a batch in LiteRT, which takes batches of one size only.
        max_rows: the most rows of a request to a server.
        prior: where its training windows lie, which adds the signature `sample_from_data`.
        site: what the page of the format web is made of.
        quantize_bytes: 1 or 2, of each weight for magenta_js; None for float32.
        gin_text: the model's configuration, which stands beside the weights for magenta_js.

    Raises:
        OSError: where the folder cannot be written, with its path.
        ValueError: for a model without latent space, for formats that are not known, for a model
            that cannot be written as one, and for the format web without a site.
    """
    check(model, formats, window_format, quantize_bytes)
    if "web" in formats and site is None:
        raise ValueError("The format web takes a site. Received: None.")
    if max_rows < ROWS_PER_REQUEST:
        raise ValueError(
            f"max_rows must be at least {ROWS_PER_REQUEST}, what a client asks for at a time. "
            f"Received: max_rows={max_rows}."
        )
    signatures = Signatures(model, window_format, max_rows=max_rows, prior=prior)
    described = describe(signatures, window_format)
    text = json.dumps({**described, **(facts or {})}, indent=2)
    signatures.description = text
    # What is staged is called by no integer, so that no server takes it for a version.
    with files.staging(output_dir) as beside:
        display.show("writing the SavedModel")
        with file_errors.writing(output_dir):
            write_saved_model(model, signatures, beside)
        if "onnx" in formats:
            display.show("writing ONNX")
            runtimes.write_onnx(signatures, os.path.join(beside, "onnx"), text)
        if "litert" in formats:
            display.show("writing LiteRT")
            runtimes.write_litert(signatures, os.path.join(beside, "litert"), litert_batch_size)
        if "web" in formats and site is not None:
            display.show("writing the page")
            web.write(signatures, site, os.path.join(beside, "web"), text)
        if "magenta_js" in formats:
            display.show("writing magenta_js")
            place = os.path.join(beside, "magenta_js")
            javascript.write(model, window_format, place, quantize_bytes, facts, gin_text)
        display.show("writing requests to warm up with")
        name = os.path.basename(os.path.abspath(output_dir))
        with file_errors.writing(output_dir):
            warm_up.write_requests(signatures, name, beside)
        assets = Path(beside, "assets")
        assets.mkdir(exist_ok=True)
        (assets / DESCRIPTION_FILE).write_text(text + "\n")
        (assets / CARD_FILE).write_text(make_card(described))
        path = _place(beside, output_dir)
    batching = warm_up.batching_parameters(max_rows)
    files.write_text(os.path.join(output_dir, warm_up.BATCHING_FILE), batching)
    return path


def check(
    model: LatentModel,
    formats: Sequence[str] = (),
    window_format: WindowFormat | None = None,
    quantize_bytes: int | None = None,
) -> None:
    """Raises `ValueError` for what cannot be exported; arguments are those of `write`."""
    unknown = sorted(set(formats) - set(FORMATS))
    if unknown:
        raise ValueError(f"formats must be of {', '.join(FORMATS)}. Received: {unknown}.")
    if {"onnx", "web"}.intersection(formats):
        runtimes.require_onnx()
    if not model.z_size:
        raise ValueError(
            "Only a model with a latent space can be exported. Received: a baseline, a decoder "
            "alone, which has nothing to encode to or to decode from."
        )
    if "magenta_js" in formats and window_format is not None:
        javascript.check(model, window_format, quantize_bytes)
    elif quantize_bytes is not None:
        raise ValueError(
            f"quantize_bytes is of the format magenta_js. Received: quantize_bytes="
            f"{quantize_bytes}, formats={list(formats)}."
        )


def next_version(output_dir: str) -> int:
    """Returns the integer after the greatest that names anything in a folder, 1 where none does."""
    numbers = [int(name) for name in os.listdir(output_dir) if name.isdecimal()]
    return max(numbers, default=0) + 1


def write_saved_model(model: LatentModel, signatures: Signatures, path: str) -> None:
    """Writes a SavedModel of every signature."""
    # The values of the variables alone: where a Keras model or variable can be reached, loaders
    # other than Python's, TensorFlow Serving among them, find no variables.
    module = tf.Module()
    module.weights = [variable.value for variable in model.variables]
    tf.saved_model.save(
        module,
        path,
        signatures={name: signatures.served(name) for name in signatures.inputs},
        # Nothing is trained further; the LSTM's own gradient could not be saved either.
        options=tf.saved_model.SaveOptions(experimental_custom_gradients=False),
    )


def describe(signatures: Signatures, window_format: WindowFormat) -> dict:
    """Returns what a client must know of a model, as JSON values."""
    return {
        "tracks": [vocabularies.describe_fully(track) for track in window_format.tracks],
        "num_bars": window_format.num_bars,
        "num_steps": window_format.num_steps,
        "steps_per_bar": songs.STEPS_PER_BAR,
        "steps_per_quarter": songs.STEPS_PER_QUARTER,
        "time_signature": "4/4",
        "quarters_per_minute": DEFAULT_QPM,
        "z_size": signatures.z_size,
        "max_rows": signatures.max_rows,
        "seed": f"row number x 2^{SEED_BITS} + seed of the call",
        "signatures": {
            name: {field: _describe_field(signatures.fields[field]) for field in inputs}
            for name, inputs in signatures.inputs.items()
        },
    }


def _place(beside: str, output_dir: str) -> str:
    """Renames a folder to the next version and returns its path."""
    while True:
        path = os.path.join(output_dir, str(next_version(output_dir)))
        try:
            os.rename(beside, path)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
            continue  # Another export has taken the number meanwhile.
        return path


def _describe_field(field: Field) -> dict:
    return {
        "dtype": field.dtype,
        "shape": ["batch", *field.shape],
        "values": field.expected,
    }
