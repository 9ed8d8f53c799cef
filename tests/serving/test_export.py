"""Exports as servers run them: by a v1 Session, the command line tool and the C API."""

import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import c_api
import numpy as np
import pytest
import tensorflow as tf
from inference_models import Exported, tiny_model

from magenta_vae.data import vocabularies as track_values
from magenta_vae.inference import generation, interpolation
from magenta_vae.model import autoregressor
from magenta_vae.music import tokens as music_tokens
from magenta_vae.serving import export
from magenta_vae.serving.seeds import row_seeds
from magenta_vae.serving.signatures import INPUTS
from magenta_vae.serving.stand_in import Servable

MODELS = [
    *("mel_2bar", "drums_2bar", "hierdec_trio_16bar"),
    pytest.param("hierdec_mel_32bar", marks=pytest.mark.slow),  # A trio's parts.
]
SEED = 7
TEMPERATURES = np.float32([0.8, 0.8, 0.8])


def random_tokens(settings, num_rows=3, seed=0):
    rng = np.random.default_rng(seed)
    shape = [num_rows, settings.num_steps]
    classes = music_tokens.num_classes(settings.tracks)
    return np.stack([rng.integers(0, size, shape) for size in classes], -1).astype(np.int32)


def random_z(model, num_rows=3):
    return np.random.default_rng(1).normal(size=[num_rows, model.z_size]).astype(np.float32)


@pytest.fixture(scope="module", params=MODELS)
def exported(request, export_of):
    return export_of(request.param)


@pytest.fixture(scope="module")
def served(exported):
    return Servable(exported.model_dir)


@pytest.fixture(scope="module")
def melody(export_of):
    return export_of("mel_2bar")


@pytest.fixture(scope="module")
def melody_served(melody):
    return Servable(melody.model_dir)


def drawn(z):
    return {"z": z, "temperature": TEMPERATURES, "seed": row_seeds(SEED, len(z))}


def test_decode_is_the_models(exported, served):
    z = random_z(exported.model)
    tokens = served.run("decode", drawn(z))["tokens"]
    np.testing.assert_array_equal(tokens, exported.trained.decode_tokens(z, 0.8, SEED))
    other = served.run("decode", drawn(-z))["tokens"]
    assert np.mean(tokens != other) > 0.2  # What is tested here depends on the weights.


def test_encode_and_reconstruct_are_the_models(exported, served):
    tokens = random_tokens(exported.settings)
    encoded = served.run("encode", {"tokens": tokens})
    mu, sigma = exported.model.encode(tokens)
    np.testing.assert_allclose(encoded["mu"], mu, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(encoded["sigma"], sigma, rtol=1e-5, atol=1e-5)
    request = {"tokens": tokens, "temperature": TEMPERATURES, "seed": row_seeds(SEED, 3)}
    expected = exported.trained.decode_tokens(exported.trained.encode_tokens(tokens), 0.8, SEED)
    np.testing.assert_array_equal(served.run("reconstruct", request)["tokens"], expected)


def test_samples_are_the_models(exported, served):
    request = {"temperature": TEMPERATURES, "seed": row_seeds(SEED, 3)}
    expected = exported.trained.decode_tokens(exported.trained.sample_z(3, SEED), 0.8, SEED)
    np.testing.assert_array_equal(served.run("sample", request)["tokens"], expected)


def test_interpolation_is_the_models(exported, served):
    start, end = (random_tokens(exported.settings, 1, seed) for seed in (3, 4))
    request = {
        "start": np.repeat(start, 3, axis=0),
        "end": np.repeat(end, 3, axis=0),
        "position": np.float32([0, 0.5, 1]),
        "temperature": TEMPERATURES,
        "seed": row_seeds(SEED, 3),
    }
    ends = (exported.trained.encode_tokens(tokens)[0] for tokens in (start, end))
    z = interpolation.slerp(*ends, [0, 0.5, 1])
    expected = exported.trained.decode_tokens(z, 0.8, SEED)
    np.testing.assert_array_equal(served.run("interpolate", request)["tokens"], expected)


def test_given_noise_decides(exported, served):
    """Zeros choose the most likely token; noise that outdoes every logit chooses its own."""
    z, settings = random_z(exported.model), exported.settings
    classes = music_tokens.num_classes(settings.tracks)
    wanted = random_tokens(settings)
    noise = {
        "none": np.zeros([3, settings.num_steps, sum(classes)], np.float32),
        "all": np.concatenate(
            [1e6 * np.eye(size)[wanted[..., track]] for track, size in enumerate(classes)], -1
        ).astype(np.float32),
    }
    tokens = {
        name: served.run(
            "decode_with_noise", {"z": z, "temperature": TEMPERATURES, "gumbel": gumbel}
        )["tokens"]
        for name, gumbel in noise.items()
    }
    likely = exported.model.sample(z, autoregressor.greedy)
    np.testing.assert_array_equal(tokens["none"], likely)
    np.testing.assert_array_equal(tokens["all"], wanted)


def test_the_description_is_the_models(exported, served):
    text = Path(exported.path, "assets", "model.json").read_text()
    answers = served.run("describe", {"row": np.int64([0, 0])})["json"]
    assert [answer.decode() + "\n" for answer in answers] == [text, text]
    described = json.loads(text)
    tracks = track_values.from_description(described["tracks"])
    assert tracks == tuple(exported.settings.tracks)
    assert [t["num_classes"] for t in described["tracks"]] == [t.num_classes for t in tracks]
    assert described["num_bars"] == exported.settings.num_bars
    assert described["signatures"].keys() == served.signatures.keys() == INPUTS.keys()
    for name, inputs in described["signatures"].items():
        info = served.signatures[name].inputs
        for field, value in inputs.items():
            shape = [dim.size for dim in info[field].tensor_shape.dim]
            assert ["batch", *shape[1:]] == value["shape"]
            assert shape[0] == -1
            assert tf.as_dtype(info[field].dtype).name == value["dtype"]


def test_nothing_of_python_is_in_the_graph(exported):
    graph = saved_graph(exported.path)
    operations = {node.op for function in graph.library.function for node in function.node_def}
    operations |= {node.op for node in graph.node}
    assert "While" in operations | {name.removeprefix("Stateless") for name in operations}
    assert not {name for name in operations if "PyFunc" in name}
    random = {name for name in operations if "Random" in name}
    assert all(name.startswith("StatelessRandom") for name in random)  # Functions of the seeds.


def saved_graph(path):
    from tensorflow.core.protobuf import saved_model_pb2

    content = Path(path, "saved_model.pb").read_bytes()
    return saved_model_pb2.SavedModel.FromString(content).meta_graphs[0].graph_def


def test_a_row_does_not_depend_on_its_batch(melody, melody_served):
    request = drawn(random_z(melody.model))
    together = melody_served.run("decode", request)["tokens"]
    alone = [
        melody_served.run("decode", {name: value[row : row + 1] for name, value in request.items()})
        for row in range(3)
    ]
    np.testing.assert_array_equal(together, np.concatenate([one["tokens"] for one in alone]))
    none = melody_served.run("decode", {name: value[:0] for name, value in request.items()})
    assert none["tokens"].shape == (0, 32, 1)


def test_each_row_has_its_temperature(melody, melody_served):
    z = np.repeat(random_z(melody.model, 1), 3, axis=0)
    request = {"z": z, "temperature": np.float32([1e-4, 1, 1e4]), "seed": np.int64([5, 5, 5])}
    cold, warm, hot = melody_served.run("decode", request)["tokens"]
    likely = melody.model.sample(z[:1], autoregressor.greedy)[0]
    np.testing.assert_array_equal(cold, likely)
    assert np.mean(warm != hot) > 0.2


def decode_by_command_line(path, request, folder):
    """Returns the tokens that TensorFlow's `saved_model_cli` decodes."""
    for name, value in request.items():
        np.save(folder / name, value)
    inputs = ";".join(f"{name}={folder / name}.npy" for name in request)
    program = "from tensorflow.python.tools.saved_model_cli import main; main()"
    subprocess.run(
        [
            sys.executable, "-c", program, "run", "--dir", path, "--tag_set", "serve",
            "--signature_def", "decode", "--inputs", inputs, "--outdir", folder,
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return np.load(folder / "tokens.npy")


def test_the_command_line_tool_runs_it(melody, tmp_path):
    request = drawn(random_z(melody.model))
    expected = melody.trained.decode_tokens(request["z"], 0.8, SEED)
    tokens = decode_by_command_line(melody.path, request, tmp_path)
    np.testing.assert_array_equal(tokens, expected)


def c_request(exported, info, **values):
    """Returns a request of a signature as `c_api.py` reads it; what is not given is right."""
    right = {
        **drawn(random_z(exported.model)),
        "tokens": random_tokens(exported.settings),
        "start": random_tokens(exported.settings),
        "end": random_tokens(exported.settings),
        "position": np.float32([0, 0.5, 1]),
    }
    return {
        "inputs": {
            tensor.name: [
                tf.as_dtype(tensor.dtype).name,
                np.asarray(values.get(name, right[name])).tolist(),
            ]
            for name, tensor in info.inputs.items()
        },
        "outputs": [info.outputs[name].name for name in sorted(info.outputs)],
    }


def run_by_c_api(path, requests, folder):
    """Returns the answers of a process that has TensorFlow's library alone."""
    (folder / "requests.json").write_text(json.dumps(requests))
    library = os.path.join(tf.sysconfig.get_lib(), "libtensorflow_cc.so.2")
    ran = subprocess.run(
        [sys.executable, c_api.__file__, library, path, folder / "requests.json"],
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(ran.stdout)


SIZE = "z must be finite and at most 1e+06 in size. Received first:]"
SHAPE = "must have the shape [batch"
WRONG = [
    ("decode", {"z": np.zeros([3, 7])}, f"z {SHAPE}, 8]. Received:] [3 7]"),
    ("decode", {"z": np.zeros(8)}, f"z {SHAPE}, 8]. Received:] [8]"),
    ("decode", {"z": 0.0}, f"z {SHAPE}, 8]. Received:] []"),
    ("decode", {"z": np.full([3, 8], np.nan)}, f"{SIZE} [nan]"),
    ("decode", {"z": np.full([3, 8], np.inf)}, f"{SIZE} [inf]"),
    ("decode", {"z": np.full([3, 8], 3e38)}, f"{SIZE} [3e+38] [in row] [0]"),
    ("decode", {"temperature": [1, 0, 1]}, "temperature must be finite and above 0. Received "
                                           "first:] [0] [in row] [1]"),
    ("decode", {"temperature": [1, 1, np.nan]}, "temperature must be finite and above 0."),
    ("decode", {"temperature": [1]}, "temperature must have as many rows as z,] [3]"),
    ("decode", {"temperature": [[1]] * 3}, f"temperature {SHAPE}]. Received:] [3 1]"),
    ("decode", {"seed": [1, 2, -3]}, "seed must be 0 or above. Received first:] [-3] [in row] [2]"),
    ("decode", {"seed": [1, 2]}, "seed must have as many rows as z,] [3] [Received:] [2]"),
    ("encode", {"tokens": np.full([3, 32, 1], 130)}, "tokens must be classes of their track, 0 to "
                                                     "129. Received first:] [130] [in row] [0]"),
    ("encode", {"tokens": np.full([3, 32, 1], -1)}, "tokens must be classes of their track"),
    ("encode", {"tokens": np.zeros([3, 31, 1])}, f"tokens {SHAPE}, 32, 1]. Received:] [3 31 1]"),
    ("encode", {"tokens": np.zeros([3, 32])}, f"tokens {SHAPE}, 32, 1]. Received:] [3 32]"),
    ("encode", {"tokens": np.zeros([3, 32, 1, 1])}, f"tokens {SHAPE}, 32, 1]. Received:] [3 32 1"),
    ("interpolate", {"position": [0, 0.5, 1.5]}, "position must be in 0 to 1. Received first:] "),
    ("interpolate", {"position": [0, 0.5, np.nan]}, "position must be in 0 to 1."),
    ("interpolate", {"end": np.zeros([1, 32, 1])}, "end must have as many rows as start,] [3]"),
]  # fmt: skip


def test_the_c_api_runs_it_and_wrong_requests_are_refused_by_field(melody, melody_served, tmp_path):
    infos = melody_served.signatures
    requests = [c_request(melody, infos[name], **values) for name, values, _ in WRONG]
    requests += [c_request(melody, infos[name]) for name in ("decode", "encode", "interpolate")]
    answers = run_by_c_api(melody.path, requests, tmp_path)
    for (name, values, message), answer in zip(WRONG, answers, strict=False):
        assert isinstance(answer, str), (name, values)
        assert message in answer
    decoded, encoded, between = answers[len(WRONG) :]
    z, tokens = random_z(melody.model), random_tokens(melody.settings)
    np.testing.assert_array_equal(decoded[0], melody.trained.decode_tokens(z, 0.8, SEED))
    np.testing.assert_allclose(encoded, melody.model.encode(tokens), rtol=1e-5, atol=1e-5)
    same_ends = {"tokens": tokens, **drawn(z)}
    del same_ends["z"]
    np.testing.assert_array_equal(between[0], melody_served.run("reconstruct", same_ends)["tokens"])


def write(exported, model_dir):
    settings = exported.settings
    return export.write(exported.model, settings.window_format, str(model_dir))


def test_a_version_is_the_next_integer_and_whole(melody, tmp_path, monkeypatch):
    written = []

    def write_part(model, signatures, path):
        assert not os.path.basename(path).isdecimal()  # A server loads what is named so.
        Path(path, "saved_model.pb").touch()
        written.append(path)
        if len(written) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(export, "write_saved_model", write_part)
    (tmp_path / "7").mkdir()
    (tmp_path / "8.0123.partial").mkdir()  # left by an export that was killed
    assert write(melody, tmp_path) == str(tmp_path / "8")
    with pytest.raises(KeyboardInterrupt):
        write(melody, tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["7", "8", "8.0123.partial", "batching.pbtxt"]
    assert write(melody, tmp_path) == str(tmp_path / "9")


def test_a_version_that_another_export_took_meanwhile_is_left_alone(melody, tmp_path, monkeypatch):
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "theirs").touch()
    numbers = iter([1, 2])
    monkeypatch.setattr(export, "write_saved_model", lambda model, signatures, path: None)
    monkeypatch.setattr(export, "next_version", lambda output_dir: next(numbers))
    assert write(melody, tmp_path) == str(tmp_path / "2")
    assert os.listdir(tmp_path / "1") == ["theirs"]


def test_a_full_disk_is_named_and_nothing_is_left_on_it(melody, small_disk):
    with pytest.raises(
        OSError, match=f"^{small_disk}/new could not be written: .*[Nn]o space left"
    ):
        write(melody, small_disk / "new")
    assert list(small_disk.iterdir()) == []


def test_a_baseline_is_refused():
    model, settings = tiny_model("mel_2bar", "variants/baseline.gin")
    with pytest.raises(ValueError, match="Only a model with a latent space"):
        export.write(model, settings.window_format, "nowhere")
    assert not os.path.exists("nowhere")


def test_an_unknown_format_is_refused(melody):
    with pytest.raises(
        ValueError, match=r"formats must be of onnx, litert, web, magenta_js. Received: \['tfjs'\]"
    ):
        export.check(melody.model, ["onnx", "tfjs"])


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_small_models_answer_through_all_loaders(name, tmp_path):
    model, settings = tiny_model(name, scale="small")
    path = export.write(model, settings.window_format, str(tmp_path / "served"))
    trained = generation.TrainedModel(model, settings.window_format)
    small = Exported(model, trained, settings, str(tmp_path / "served"), path)
    request = drawn(random_z(model))
    expected = trained.decode_tokens(request["z"], 0.8, SEED)
    servable = Servable(small.model_dir)
    np.testing.assert_array_equal(servable.run("decode", request)["tokens"], expected)
    np.testing.assert_array_equal(decode_by_command_line(path, request, tmp_path), expected)
    requests = [c_request(small, servable.signatures[each]) for each in ("decode", "encode")]
    decoded, encoded = run_by_c_api(path, requests, tmp_path)
    np.testing.assert_array_equal(decoded[0], expected)
    tokens = random_tokens(settings)
    np.testing.assert_allclose(encoded, model.encode(tokens), rtol=1e-4, atol=1e-5)


EXPORT = """
import sys
from inference_models import Exported, tiny_model
from magenta_vae.serving import export
model, settings = tiny_model("mel_2bar")
print("ready", flush=True)
export.write(model, settings.window_format, sys.argv[1])
"""


@pytest.mark.slow
def test_a_killed_export_leaves_no_version(tmp_path):
    """Killed at ten moments from the first to the last of the writing."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}

    def run(folder, seconds=None):
        process = subprocess.Popen(
            [sys.executable, "-c", EXPORT, folder], stdout=subprocess.PIPE, env=environment
        )
        assert process.stdout.readline() == b"ready\n"
        start = time.monotonic()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
        process.kill()
        process.wait()
        return time.monotonic() - start

    whole = tmp_path / "whole"
    seconds = run(whole)
    # `batching.pbtxt` lies beside the versions, and is none of theirs.
    names = {path.relative_to(whole) for path in (whole / "1").rglob("*") if path.is_file()}
    assert Path("1/saved_model.pb") in names
    num_absent = 0
    for moment in np.linspace(0, seconds, 10):
        folder = tmp_path / f"{moment:.2f}"
        run(folder, moment)
        versions = [path for path in folder.glob("*") if path.name.isdecimal()]
        num_absent += not versions
        for version in versions:
            files = {path.relative_to(folder) for path in version.rglob("*") if path.is_file()}
            assert files == names
    assert num_absent


def test_a_request_has_no_more_rows_than_the_model_says(melody, tmp_path):
    settings = melody.settings
    what = melody.model, settings.window_format
    with pytest.raises(ValueError, match="max_rows must be at least 64.* Received: max_rows=63"):
        export.write(*what, str(tmp_path / "served"), max_rows=63)
    path = export.write(*what, str(tmp_path / "served"), max_rows=64)
    assert json.loads(Path(path, "assets", "model.json").read_text())["max_rows"] == 64
    encode = tf.saved_model.load(path).signatures["encode"]
    assert encode(tokens=tf.zeros([64, 32, 1], tf.int32))["mu"].shape == (64, 8)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"at most 64 rows.*\[65\]"):
        encode(tokens=tf.zeros([65, 32, 1], tf.int32))


def test_a_server_is_warmed_up_with_requests_that_are_answered(export_of):
    """Each is what TensorFlow Serving reads it as, and each signature has one of a row."""
    prediction_log_pb2 = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")
    exported = export_of("mel_2bar")
    path = Path(exported.path, "assets.extra", "tf_serving_warmup_requests")
    servable = Servable(exported.model_dir)
    rows = {}
    for record in tf.data.TFRecordDataset(str(path)):
        log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
        assert log.WhichOneof("log_type") == "predict_log"
        request = log.predict_log.request
        assert request.model_spec.name == "mel_2bar"
        inputs = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
        name = request.model_spec.signature_name
        servable.run(name, inputs)
        rows.setdefault(name, []).append(len(next(iter(inputs.values()))))
    assert set(rows) == set(servable.signatures)
    assert all(numbers[0] == 1 for numbers in rows.values()) and rows["sample"] == [1, 64]
    assert "max_batch_size" in Path(exported.model_dir, "batching.pbtxt").read_text()
