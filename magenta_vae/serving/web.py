"""A page that plays a model's latent space without a server: a folder for any static host.

It is the page of `explorer`, with the decoder as ONNX in the place of the server's routes:

    index.html, ...        the page, told to ask the model in this folder
    model/model.json       what `/model` answers
    model/map.json         what `/map` answers, where there is a map
    model/data_prior.json  where the training windows lie, where that is known
    model/decode.onnx      z, temperature, draws -> tokens; see `Signatures.decode_with_draws`
"""

import gzip
import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from magenta_vae.inference import data_prior
from magenta_vae.inference.data_prior import DataPrior
from magenta_vae.serving import runtimes
from magenta_vae.serving.signatures import Signatures

FOLDER, INDEX_FILE, PACKED = "model", "index.html", ".gz"
MODEL_FILE, MAP_FILE = "model.json", "map.json"
DECODER = "decode_with_draws"
DECODER_FILE = "decode.onnx"
SETUP = re.compile(r'(<script type="application/json" id="setup">).*?(</script>)', re.DOTALL)
BACKEND = {"backend": "onnx"}


class Site(NamedTuple):
    """What a page is made of, beside the model itself.

    Attributes:
        page: the folder of the page.
        facts: what is said of the model, as JSON values.
        map: of its latent space, as `page_answers.describe_map` returns it; None for none.
        prior: where its training windows lie; None where that is not known.
    """

    page: str
    facts: Mapping[str, Any]
    map: Mapping[str, Any] | None
    prior: DataPrior | None


def write(signatures: Signatures, site: Site, folder: str, description: str) -> None:
    """Writes the page and its model into a new folder.

    Args:
        signatures: of the model.
        site: the rest.
        folder: does not exist yet.
        description: of the model, as metadata of the decoder.

    Raises:
        ValueError: for a folder that is not a page's.
    """
    copy_page(site.page, folder)
    model = Path(folder, FOLDER)
    model.mkdir()
    contents = {MODEL_FILE: site.facts, MAP_FILE: site.map}
    for name, content in contents.items():
        if content is not None:
            text = json.dumps(content, allow_nan=False, ensure_ascii=False)
            (model / name).write_bytes(text.encode("utf-8", "replace"))
    if site.prior is not None:
        data_prior.write(model / data_prior.FILE, site.prior)
    runtimes.convert_to_onnx(signatures, DECODER, str(model / DECODER_FILE), description)


def copy_page(page: str, folder: str) -> None:
    """Copies a page, packed files unpacked, and tells it to ask the model beside it."""
    text = Path(page, INDEX_FILE).read_text(encoding="utf-8")
    told, count = SETUP.subn(rf"\g<1>{json.dumps(BACKEND)}\g<2>", text)
    if count != 1:
        raise ValueError(
            f"{os.path.join(page, INDEX_FILE)} must have one element of JSON with the id setup. "
            f"Received: {count}."
        )
    shutil.copytree(page, folder)
    Path(folder, INDEX_FILE).write_text(told, encoding="utf-8")
    for packed in Path(folder).rglob(f"*{PACKED}"):
        packed.with_suffix("").write_bytes(gzip.decompress(packed.read_bytes()))
        packed.unlink()
