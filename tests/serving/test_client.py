"""The client against a stand-in for TensorFlow Serving that runs an exported model."""

import functools
import http.client
import json
import socket
import urllib.error
import urllib.request

import numpy as np
import pytest

from magenta_vae.inference import attributes
from magenta_vae.music import tokens
from magenta_vae.music.songs import SongError
from magenta_vae.serving.client import Client
from magenta_vae.serving.seeds import ROWS_PER_REQUEST, row_seeds
from magenta_vae.serving.stand_in import serving
from magenta_vae.serving.transports import ServingError

NAME = "mel_2bar"


@pytest.fixture(scope="module")
def exported(export_of):
    return export_of(NAME)


@pytest.fixture(scope="module")
def addresses(exported):
    with serving(exported.model_dir, NAME) as (rest_address, grpc_address):
        yield {"grpc": grpc_address, "rest": rest_address}


@pytest.fixture(scope="module", params=["grpc", "rest"])
def client(request, addresses):
    with Client(addresses[request.param], NAME) as client:
        yield client


@pytest.fixture(scope="module")
def windows(exported):
    """Two windows as NoteSequences."""
    return exported.trained.sample(2, 1.0, seed=11)


def serialized(sequences):
    return [sequence.SerializeToString(deterministic=True) for sequence in sequences]


def test_the_client_learns_what_the_model_is(client, exported):
    assert client.tracks == tuple(exported.settings.tracks)
    assert (client.num_bars, client.z_size) == (2, exported.model.z_size)
    assert client.description["name"] == NAME


def test_rest_describes_the_signatures(addresses):
    with urllib.request.urlopen(f"{addresses['rest']}/v1/models/{NAME}/metadata") as answer:
        description = json.load(answer)
    assert description["model_spec"] == {"name": NAME, "signature_name": "", "version": "1"}
    signatures = description["metadata"]["signature_def"]["signature_def"]
    seed = signatures["sample"]["inputs"]["seed"]
    assert seed["dtype"] == "DT_INT64" and seed["tensor_shape"]["dim"] == [
        {"size": "-1", "name": ""}
    ]
    assert {"encode", "decode", "sample", "interpolate"} <= set(signatures)


def test_music_is_encoded_as_by_the_model(client, exported, windows):
    np.testing.assert_allclose(
        client.encode(windows), exported.trained.encode(windows), rtol=1e-5, atol=1e-5
    )


def test_the_same_seed_gives_the_models_music(client, exported, windows):
    trained = exported.trained
    z = np.random.default_rng(0).normal(size=[3, trained.z_size])
    assert serialized(client.decode(z, 0.9, seed=5)) == serialized(trained.decode(z, 0.9, seed=5))
    assert serialized(client.sample(4, seed=2**32 - 1)) == serialized(
        trained.sample(4, seed=2**32 - 1)
    )
    assert serialized(client.reconstruct(windows, 0.7)) == serialized(
        trained.reconstruct(windows, 0.7)
    )
    assert serialized(client.interpolate(*windows, 5, seed=3)) == serialized(
        trained.interpolate(*windows, 5, seed=3)
    )


CALLS = {
    "tokenize": lambda model, a, b: model.tokenize([a, b]),
    "posterior": lambda model, a, b: np.stack(model.posterior(model.tokenize([a, b]))),
    "encode_tokens": lambda model, a, b: model.encode_tokens(model.tokenize([a, b])),
    "decode_tokens": lambda model, a, b: model.decode_tokens(np.ones([3, model.z_size]), 2.0, 4),
    "decode_of_no_points": lambda model, a, b: model.decode_tokens(np.ones([0, model.z_size])),
    "encode_tokens_of_none": lambda model, a, b: model.encode_tokens(model.tokenize(a)[:0]),
    "sample_z": lambda model, a, b: model.sample_z(ROWS_PER_REQUEST + 3, seed=5),
    "similar": lambda model, a, b: model.similar(a, 5, 0.4, 0.8, seed=6),
    "similar_in_the_prior": lambda model, a, b: model.similar(a, 3, 0, 0.8, seed=6),
    "similar_by_default": lambda model, a, b: model.similar(b, num_samples=2, similarity=0.9),
    "interpolate_grid": lambda model, a, b: sum(
        model.interpolate_grid([a, b, b, a], 3, 4, 0.8, seed=7), []
    ),
    "attribute_vector": lambda model, a, b: model.attribute_vector([a, b], b),
    "apply_attribute": lambda model, a, b: model.apply_attribute(
        [a, b], model.attribute_vector(a, b), -1.5, 0.8, seed=8
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_every_method_answers_as_the_models_does(name, client, exported, windows):
    answers, expected = (CALLS[name](model, *windows) for model in (client, exported.trained))
    if isinstance(expected, list):
        assert serialized(answers) == serialized(expected)
        return
    assert answers.dtype == expected.dtype
    if expected.dtype == np.int32:
        np.testing.assert_array_equal(answers, expected)
    else:
        np.testing.assert_allclose(answers, expected, rtol=1e-5, atol=1e-5)


def test_rows_draw_with_seeds_of_their_own(client, exported):
    pairs = np.array([[7, 3], [7, 3], [2**32 - 1, 2**31 - 1], [0, 0]])
    z = exported.trained.prior_rows(pairs)
    np.testing.assert_allclose(client.prior_rows(pairs), z, atol=1e-5)
    found = client.decode_rows(z, 0.9, pairs)
    np.testing.assert_array_equal(found, exported.trained.decode_rows(z, 0.9, pairs))
    np.testing.assert_array_equal(found[0], found[1])
    for wrong in ([[2**32, 0]], [[0, 2**31]], [[-1, 0]]):
        with pytest.raises(ValueError, match="Pairs must be of seeds below 2\\^32"):
            client.decode_rows(z[:1], 0.9, np.array(wrong))


def test_what_a_model_offers_a_client_offers(client, exported):
    offered = {name for name in dir(exported.trained) if not name.startswith("_")}
    assert offered - {"encode_dataset"} <= set(dir(client))  # Data sets lie where runs do.
    assert client.window_format == exported.settings.window_format


def test_attributes_are_learned_of_a_served_model(client, exported, windows):
    tokens = exported.trained.tokenize(exported.trained.sample(20, 1.0, seed=1))
    served, own = (attributes.learn(model, tokens) for model in (client, exported.trained))
    assert served.vectors.keys() == own.vectors.keys()
    for name in own.vectors:
        np.testing.assert_allclose(served[name], own[name], atol=1e-5)


def test_more_rows_than_one_request_holds(client):
    many = client.sample(ROWS_PER_REQUEST + 3, 1.0)
    assert len(set(serialized(many))) == ROWS_PER_REQUEST + 3
    assert serialized(client.sample(2, 1.0)) == serialized(many[:2])


def test_wrong_arguments_are_refused_before_anything_is_sent(client, windows):
    with pytest.raises(
        ValueError, match="temperature must be finite and above 0. Received: temperature=0"
    ):
        client.sample(1, temperature=0)
    with pytest.raises(ValueError, match="num_samples must be at most 2,147,483,647"):
        client.sample(10**12)
    with pytest.raises(ValueError, match="seed must be in 0 to 2.32 - 1. Received: seed=-1"):
        client.sample(1, seed=-1)
    with pytest.raises(ValueError, match=r"z must be \[points, 8\]. Received: shape \(2, 3\)"):
        client.decode(np.zeros([2, 3]))
    with pytest.raises(ValueError, match="z must be finite. Received: 1 that are not"):
        client.decode(np.float32([[np.nan, *[0] * 7]]))
    with pytest.raises(ValueError, match="similarity must be in 0-1. Received: similarity=2"):
        client.similar(windows[0], 1, 2)
    with pytest.raises(ValueError, match="seed must be in 0 to 2.32 - 1. Received: seed=42"):
        client.similar(windows[0], 1, 0.5, seed=2**32)
    with pytest.raises(ValueError, match="four corners. Received: 2"):
        client.interpolate_grid(windows, 3, 3)
    with pytest.raises(ValueError, match=r"of this model: \[8\]. Received: \(4,\)"):
        client.apply_attribute(windows[0], np.zeros(4))
    with pytest.raises(ValueError, match="tokens must be classes of their track, 0 to 129"):
        client.encode_tokens(np.full([1, 32, 1], 130))
    with pytest.raises(SongError, match="too short"):
        client.encode(tokens.detokenize(np.full([16, 1], 60), client.tracks))


def test_what_the_server_refuses_names_the_field_and_the_server_lives(client):
    with pytest.raises(
        ServingError, match=r"(?s)refused decode.*temperature must be finite and above"
    ):
        client._ask(
            "decode",
            "tokens",
            z=np.zeros([1, 8], np.float32),
            temperature=np.float32([-1]),
            seed=np.int64([0]),
        )
    with pytest.raises(ServingError, match="z must have the shape"):
        client._ask(
            "decode",
            "tokens",
            z=np.zeros([1, 9], np.float32),
            temperature=np.float32([1]),
            seed=np.int64([0]),
        )
    assert len(client.sample(1)) == 1


@pytest.mark.parametrize("kind", ["grpc", "rest"])
def test_a_server_that_does_not_answer(kind):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        scheme = {"grpc": "grpc", "rest": "http"}[kind]
        address = f"{scheme}://127.0.0.1:{silent.getsockname()[1]}"
        with (
            Client(address, NAME, timeout_seconds=0.3) as client,
            pytest.raises(ServingError, match="did not answer sample within 0.3 seconds"),
        ):
            client.sample(1)
    with Client(address, NAME) as client, pytest.raises(ServingError, match="cannot be reached"):
        client.sample(1)


@pytest.mark.parametrize("kind", ["grpc", "rest"])
def test_a_model_that_is_not_served(kind, addresses):
    with Client(addresses[kind], "other") as client, pytest.raises(ServingError, match="other"):
        client.sample(1)


@pytest.mark.parametrize("address", ["localhost:8501", "ftp://host:1", "grpc://", None, 3])
def test_an_address_must_say_how_to_speak(address):
    with pytest.raises(ValueError, match="address must be as grpc://host:8500"):
        Client(address, NAME)


def post(address, content):
    """Returns the status and the content of an answer, as curl would show it."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    request = urllib.request.Request(f"{address}/v1/models/{NAME}:predict", body)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_rows_and_columns_say_the_same(addresses, exported):
    seeds = row_seeds(1, 2).tolist()
    rows = [{"seed": seed, "temperature": 0.5} for seed in seeds]
    columns = {"seed": seeds, "temperature": [0.5, 0.5]}
    by_row = post(addresses["rest"], {"signature_name": "sample", "instances": rows})
    by_column = post(addresses["rest"], {"signature_name": "sample", "inputs": columns})
    trained = exported.trained
    expected = trained.decode_tokens(trained.sample_z(2, seed=1), 0.5, seed=1).tolist()
    assert by_row == (200, {"predictions": expected})
    assert by_column == (200, {"outputs": expected})
    status, encoded = post(addresses["rest"], {"signature_name": "encode", "instances": expected})
    assert status == 200
    assert [row.keys() for row in encoded["predictions"]] == [{"mu", "sigma"}] * 2


ONE_ROW = {"seed": [1], "temperature": [1]}


def nested(number_of_brackets):
    return functools.reduce(lambda inner, _: [inner], range(number_of_brackets), 1)


@pytest.mark.parametrize(
    ("request_body", "message"),
    [
        (b"{", "Expecting"),
        ({"signature_name": "dream", "inputs": {}}, "dream"),
        ({"signature_name": "sample", "inputs": {"seed": [1]}}, "temperature"),
        ({"signature_name": "sample", "inputs": {"seed": [1, 2], "temperature": [1]}}, "rows"),
        ({"signature_name": "encode", "inputs": [[[130]] * 32]}, "tokens must be classes"),
        (b"", "The body must be JSON"),
        (b"[" * 100_000, "The body must be JSON. Received: too many brackets."),
        ([], "The body must be an object of JSON. Received: []."),
        (None, "The body must be an object of JSON. Received: null."),
        ({}, "signature_name must be one of: decode, "),
        ({"signature_name": ["sample"]}, 'Received: ["sample"].'),
        ({"signature_name": "sample"}, "must have either instances or inputs. Received: ["),
        ({"signature_name": "encode", "instances": [], "inputs": []}, "must have either instances"),
        ({"signature_name": "sample", "inputs": [1]}, "inputs must be an object with seed, temp"),
        ({"signature_name": "encode", "inputs": [[[0]], 0]}, "must have the shape of its neighb"),
        (
            {"signature_name": "decode", "inputs": {"z": [[float("nan")] * 8], **ONE_ROW}},
            "z must be finite",
        ),
    ],
)  # fmt: skip
def test_malformed_requests_get_an_error_of_the_server(addresses, request_body, message):
    status, content = post(addresses["rest"], request_body)
    assert status == 400
    assert message in content["error"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "instances must be a list of at least one row. Received: []."),
        ({}, "instances must be a list of at least one row. Received: {}."),
        ([{"seed": 1}], 'an object with seed, temperature. Received: ["seed"].'),
        ([{"seed": 1, "temperature": 1}, 3], "instances[1] must be an object with seed, temp"),
        ([{"seed": 1, "temperature": 1, "z": 0}], "instances[0] must be an object with seed, temp"),
        ([{"seed": 2**70, "temperature": 1}], "seed[0] must be a whole number of 64 bits"),
        ([{"seed": 1.5, "temperature": 1}], "whole number of 64 bits. Received: 1.5."),
        ([{"seed": 1.0, "temperature": 1}], "whole number of 64 bits. Received: 1.0."),
        ([{"seed": "1", "temperature": 1}], 'seed[0] must be a whole number of 64 bits. Rec'),
        ([{"seed": 1, "temperature": True}], "temperature[0] must be a number of at most 3.4e+38"),
        ([{"seed": 1, "temperature": None}], "in size. Received: null."),
        ([{"seed": 1, "temperature": 10**400}], "temperature[0] must be a number of at most"),
        ([{"seed": 1, "temperature": 1}, {"seed": [1], "temperature": 1}], "shape of its neighb"),
    ],
)  # fmt: skip
def test_rows_of_what_is_no_number_are_refused_with_their_place(addresses, rows, message):
    status, content = post(addresses["rest"], {"signature_name": "sample", "instances": rows})
    assert status == 400
    assert message in content["error"]


@pytest.mark.parametrize(
    ("signature", "inputs", "message"),
    [
        ("encode", {"tokens": [[[60]] * 31 + [[0.5]]]}, "tokens[0][31][0] must be a whole number"),
        ("encode", {"tokens": [[[60]] * 31 + [[2**31]]]}, "must be a whole number of 32 bits"),
        ("decode", {"z": [[0.0] * 7 + [True]], **ONE_ROW}, "z[0][7] must be a number of at most"),
        ("decode", {"z": {"a": 1}, **ONE_ROW}, "z must be a number of at most"),
        ("decode", {"z": nested(900), **ONE_ROW}, "z must have at most 32 axes. Received: more."),
        ("decode", {"z": nested(20), **ONE_ROW}, "z must have the shape [batch, 8]"),
    ],
)  # fmt: skip
def test_columns_of_what_is_no_number_are_refused_with_their_place(
    addresses, signature, inputs, message
):
    status, content = post(addresses["rest"], {"signature_name": signature, "inputs": inputs})
    assert status == 400
    assert message in content["error"]


@pytest.mark.parametrize(
    ("length", "status", "message"),
    [
        ("-5", 400, "Content-Length must be a whole number of at least 0. Received: "),
        ("abc", 400, "Content-Length must be a whole number of at least 0. Received: "),
        (f"{2**40}", 413, "A request may have 67108864 bytes. Received: "),
        ("9" * 5000, 413, "A request may have 67108864 bytes. Received: "),
    ],
)  # fmt: skip
def test_a_body_without_a_length_that_can_be_read_is_refused(addresses, length, status, message):
    connection = http.client.HTTPConnection(addresses["rest"].removeprefix("http://"))
    connection.request("POST", f"/v1/models/{NAME}:predict", headers={"Content-Length": length})
    answer = connection.getresponse()
    assert answer.status == status
    assert message in json.load(answer)["error"]
    connection.close()


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "[" * 5000, '{"num_bars": 2}', '{"num_bars": "2", "z_size": 8, "tracks": []}',
        '{"num_bars": 2, "z_size": -1, "tracks": []}',
        '{"num_bars": 1000000000000, "z_size": 8, "tracks": []}',
        '{"num_bars": 2, "z_size": 8, "tracks": [{"vocabulary": "os.system"}]}',
        '{"num_bars": 2, "z_size": 8, "tracks": [{"vocabulary": "Melody"}]}',
        '{"num_bars": 2, "z_size": 8, "tracks": [3]}',
    ],
)  # fmt: skip
def test_a_server_that_describes_nonsense_is_refused(text, monkeypatch):
    client = Client("http://localhost:1", NAME)
    monkeypatch.setattr(client, "_ask", lambda *_, **__: np.array([text]))
    with pytest.raises(ServingError, match="does not describe its model as an export"):
        client.tokenize("song.mid")
