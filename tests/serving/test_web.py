"""The page as a folder: its decoder gives the server's tokens, and its files are what they were."""

import gzip
import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from magenta_vae.inference import data_prior
from magenta_vae.inference.generation import TrainedModel
from magenta_vae.model.noise import RowNoise
from magenta_vae.serving import runtimes, web
from magenta_vae.serving.signatures import Signatures
from magenta_vae.workflows import exploring

PAGE = Path(exploring.page_folder())
VENDORED = {
    "LICENSE": "2f07c72751aed99790b8a4869cf2311df85a860b22ded05fa22803587a48922c",
    "ort-wasm-simd-threaded.mjs": (
        "e13f7f94fc51b4ca72b12faeb1ee95f4ace6dfbc8939bc718aabdc0a27c4299b"
    ),
    "ort-wasm-simd-threaded.wasm.gz": (
        "9a202915ab712f2ac4504f9fd8c634d244a11e9f9e734361471a1fe6e7f984c0"
    ),
    "ort.wasm.min.mjs": "219e6a1fc8a9938268d18efca3c91d310bd2f4a59bbd13744df5b2b7fc6cee3b",
}
SLOW = ["drums_2bar", "hierdec_mel_32bar", "hierdec_trio_16bar"]
MODELS = ["mel_2bar", *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)]

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")


@pytest.mark.parametrize("name", MODELS)
def test_the_decoder_gives_the_tokens_of_each_seed(name, tmp_path):
    pytest.importorskip("tf2onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    from inference_models import tiny_model

    model, settings = tiny_model(name)
    trained = TrainedModel(model, settings.window_format)
    signatures = Signatures(model, settings.window_format)
    path = str(tmp_path / "decode.onnx")
    runtimes.convert_to_onnx(signatures, web.DECODER, path, "{}")
    session = onnxruntime.InferenceSession(path)
    assert [each.name for each in session.get_inputs()] == ["z", "temperature", "draws"]
    assert [each.name for each in session.get_outputs()] == ["tokens"]
    z = np.random.default_rng(0).normal(size=[5, model.z_size]).astype(np.float32)
    found = []
    for seed, temperature in [(0, 0.5), (1, 1.0), (2**40 + 7, 0.25), (3, 2.0)]:
        pairs = np.stack([np.full(5, seed), np.arange(5)], axis=-1)
        draws = tf.transpose(model.draw_choices(RowNoise(tf.constant(pairs))), [1, 0, 2]).numpy()
        inputs = {"z": z, "temperature": np.full(5, temperature, np.float32), "draws": draws}
        (tokens,) = session.run(None, inputs)
        np.testing.assert_array_equal(tokens, trained.decode_tokens(z, temperature, seed))
        assert tokens.dtype == np.int32
        found.append(tokens)
        one = {name: value[2:3] for name, value in inputs.items()}
        np.testing.assert_array_equal(session.run(None, one)[0], tokens[2:3])
    assert len(np.unique(np.concatenate(found), axis=0)) > 5


def test_a_folder_holds_the_page_and_its_model(tmp_path, monkeypatch):
    from inference_models import tiny_model

    model, settings = tiny_model("mel_2bar")
    converted = []
    monkeypatch.setattr(runtimes, "convert_to_onnx", lambda *asked: converted.append(asked[1:3]))
    rng = np.random.default_rng(0)
    prior = data_prior.fit(rng.normal(size=[99, 8]), np.ones([99, 8]))
    site = web.Site(str(PAGE), {"name": "café \udce9"}, {"windows": []}, prior)
    folder = tmp_path / "web"
    web.write(Signatures(model, settings.window_format), site, str(folder), "{}")
    assert converted == [(web.DECODER, str(folder / "model" / "decode.onnx"))]
    assert json.loads((folder / "model" / "model.json").read_bytes()) == {"name": "café ?"}
    assert json.loads((folder / "model" / "map.json").read_text()) == {"windows": []}
    kept = data_prior.read(folder / "model" / data_prior.FILE, 8)
    np.testing.assert_array_equal(kept.mixture.roots, prior.mixture.roots)
    text = (folder / "index.html").read_text()
    (setup,) = re.findall(r'<script type="application/json" id="setup">(.*?)</script>', text)
    assert json.loads(setup) == {"backend": "onnx"}
    runtime = folder / "vendor" / "onnxruntime-web"
    assert (runtime / "ort-wasm-simd-threaded.wasm").read_bytes()[:4] == b"\0asm"
    assert not list(folder.rglob("*.gz"))
    names = {path.name for path in folder.iterdir()}
    assert names == {path.name for path in PAGE.iterdir()} | {"model"}


def test_without_a_map_or_a_mixture_there_is_no_file_of_them(tmp_path, monkeypatch):
    monkeypatch.setattr(runtimes, "convert_to_onnx", lambda *_: None)
    web.write(None, web.Site(str(PAGE), {}, None, None), str(tmp_path / "web"), "{}")
    assert [path.name for path in (tmp_path / "web" / "model").iterdir()] == ["model.json"]


@pytest.mark.parametrize("text", ["<html>", '<script type="application/json" id="setup">{}'])
def test_a_page_that_cannot_be_told_is_refused(tmp_path, text):
    page = tmp_path / "page"
    page.mkdir()
    (page / "index.html").write_text(text)
    with pytest.raises(ValueError, match="must have one element of JSON with the id setup"):
        web.copy_page(str(page), str(tmp_path / "web"))
    assert not (tmp_path / "web").exists()


@pytest.mark.parametrize("name", VENDORED)
def test_what_others_made_is_as_they_made_it(name):
    data = (PAGE / "vendor" / "onnxruntime-web" / name).read_bytes()
    assert hashlib.sha256(data).hexdigest() == VENDORED[name]


def test_the_packed_file_is_packed_as_it_says():
    path = PAGE / "vendor" / "onnxruntime-web" / "ort-wasm-simd-threaded.wasm.gz"
    packed = path.read_bytes()
    assert packed[4:8] == b"\0\0\0\0"  # No time.
    unpacked = hashlib.sha256(gzip.decompress(packed)).hexdigest()
    assert unpacked == "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2"
