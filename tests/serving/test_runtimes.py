"""Models without TensorFlow: the same tokens from ONNX Runtime and LiteRT."""

import json

import numpy as np
import pytest

from magenta_vae.serving import runtimes
from magenta_vae.serving.signatures import Signatures

FLAT = ["mel_2bar", "drums_2bar"]
SLOW = ["hierdec_mel_32bar", "hierdec_trio_16bar"]
MODELS = [*FLAT, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)]
NUM_ROWS = 2

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")


@pytest.fixture(scope="module", params=MODELS)
def signatures(request):
    from inference_models import tiny_model

    model, settings = tiny_model(request.param)
    return Signatures(model, settings.window_format)


def requests(signatures):
    """Returns inputs of both signatures, and what the model answers."""
    rng = np.random.default_rng(0)
    fields = signatures.fields
    steps, num_tracks = fields["tokens"].shape
    decode = {
        "z": rng.normal(size=[NUM_ROWS, *fields["z"].shape]).astype(np.float32),
        "temperature": np.float32([0.5, 2]),
        "gumbel": rng.gumbel(size=[NUM_ROWS, *fields["gumbel"].shape]).astype(np.float32),
    }
    tokens = rng.integers(0, 130, [NUM_ROWS, steps, num_tracks]).astype(np.int32)
    both = {"decode_with_noise": decode, "encode": {"tokens": tokens}}
    return [(name, inputs, getattr(signatures, name)(**inputs)) for name, inputs in both.items()]


def assert_same(signatures, outputs, expected):
    assert outputs.keys() == expected.keys()
    if "tokens" in expected:
        np.testing.assert_array_equal(outputs["tokens"], expected["tokens"])
        return
    # Over 512 steps rounding grows: half a unit in the last place of each weight moves mu by up
    # to 7e-4.
    is_long = signatures.fields["tokens"].shape[0] >= 512
    tolerances = {"rtol": 1e-3, "atol": 1e-3} if is_long else {"rtol": 1e-4, "atol": 1e-5}
    for name, value in expected.items():
        np.testing.assert_allclose(outputs[name], value, **tolerances)


def test_onnx_gives_the_same(signatures, tmp_path):
    pytest.importorskip("tf2onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    runtimes.write_onnx(signatures, str(tmp_path / "onnx"), '{"num_bars": 2}')
    for name, inputs, expected in requests(signatures):
        session = onnxruntime.InferenceSession(tmp_path / "onnx" / f"{name}.onnx")
        names = [output.name for output in session.get_outputs()]
        assert all(one.shape[0] == "batch" for one in session.get_inputs())
        assert_same(signatures, dict(zip(names, session.run(None, inputs), strict=True)), expected)
        one = {field: value[1:] for field, value in inputs.items()}  # another batch size
        last = {field: value[1:] for field, value in expected.items()}
        assert_same(signatures, dict(zip(names, session.run(None, one), strict=True)), last)
        metadata = session.get_modelmeta().custom_metadata_map
        assert json.loads(metadata["description"]) == {"num_bars": 2}


def test_litert_gives_the_same(signatures, tmp_path):
    interpreter = pytest.importorskip("ai_edge_litert.interpreter")
    runtimes.write_litert(signatures, str(tmp_path / "litert"), NUM_ROWS)
    loaded = interpreter.Interpreter(str(tmp_path / "litert" / "model.tflite"))
    for name, inputs, expected in requests(signatures):
        assert_same(signatures, loaded.get_signature_runner(name)(**inputs), expected)
