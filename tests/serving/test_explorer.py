"""The server of the page: what it answers, what it refuses, and that nobody waits for another."""

import base64
import concurrent.futures
import json
import socket
import threading
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("starlette")
uvicorn = pytest.importorskip("uvicorn")
httpx = pytest.importorskip("httpx")

from starlette.testclient import TestClient  # noqa: E402

from magenta_vae.inference import data_prior, interpolation, latent_maps  # noqa: E402
from magenta_vae.inference.excerpts import Excerpt  # noqa: E402
from magenta_vae.inference.generation import TrainedModel  # noqa: E402
from magenta_vae.music.songs import read_song  # noqa: E402
from magenta_vae.serving import explorer, page_answers  # noqa: E402

SONG = Path(__file__).parents[2] / "testdata" / "song-0000.mid"
HERE = "http://127.0.0.1:8000"
JSON = {"Content-Type": "application/json"}
ROW = 2**32
PRIORS = ["data", "standard"]


def make_model():
    from inference_models import tiny_model

    model, settings = tiny_model("mel_2bar")
    rng = np.random.default_rng(0)
    mu = rng.normal(size=[200, model.z_size]).astype(np.float32)
    fitted = data_prior.fit(mu, np.full_like(mu, 0.1))
    return TrainedModel(model, settings.window_format, find_data_prior=lambda: fitted)


@pytest.fixture(scope="module")
def model():
    return make_model()


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files") / "page"
    (folder / "vendor").mkdir(parents=True)
    (folder.parent / "secret.txt").write_text("secret")
    (folder / "index.html").write_text("<!doctype html>")
    (folder / "main.js").write_text("1;")
    (folder / "vendor" / "code.wasm").write_bytes(b"\0asm")
    (folder / "way_out.txt").symlink_to(folder.parent / "secret.txt")
    return folder


def make_client(model, page, **options):
    facts = {"priors": PRIORS, "z_size": model.z_size}
    app = explorer.make_app(model, facts, page, **options)
    return TestClient(app, base_url=HERE, raise_server_exceptions=False)


@pytest.fixture(scope="module")
def client(model, page):
    return make_client(model, page)


def points(model, number):
    rng = np.random.default_rng(1)
    return rng.normal(size=[number, model.z_size]).astype(np.float32)


def decode(client, **asked):
    answer = client.post("/decode", json=asked)
    assert answer.status_code == 200, answer.text
    return answer.json()


def tokens_of(answer):
    return np.array([window["tokens"] for window in answer["windows"]])


def error_of(answer, status=400):
    assert answer.status_code == status, answer.text
    assert set(answer.json()) >= {"error"}
    return answer.json()["error"]


def test_the_page_is_served_with_what_it_may_do(client):
    answer = client.get("/")
    assert answer.text == "<!doctype html>"
    assert answer.headers["content-security-policy"].startswith("default-src 'self'; script-src")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in answer.headers
    assert client.get("/main.js").headers["content-type"].startswith("text/javascript")
    assert client.get("/vendor/code.wasm").headers["content-type"] == "application/wasm"


def test_the_model_says_what_it_is(client, model):
    assert client.get("/model").json() == {"priors": PRIORS, "z_size": model.z_size}
    assert client.get("/model").headers["content-type"] == "application/json"


def test_points_are_decoded_as_by_the_model(client, model):
    z = points(model, 3)
    answer = decode(client, points=z.tolist(), temperature=0.7, seed=[5, 5 + ROW, 5 + 2 * ROW])
    expected = model.decode_tokens(z, 0.7, seed=5)
    np.testing.assert_array_equal(tokens_of(answer), expected)
    np.testing.assert_array_equal(np.float32(answer["points"]), z)
    for window, sequence in zip(answer["windows"], model.decode(z, 0.7, seed=5), strict=True):
        notes = [
            (each.pitch, each.quantized_start_step, each.quantized_end_step, each.velocity)
            for each in sequence.notes
        ]
        order = ("pitch", "start", "end", "velocity")
        assert [tuple(note[name] for name in order) for note in window["notes"]] == notes
        assert {note["track"] for note in window["notes"]} <= {0}


def test_what_is_at_a_point_does_not_depend_on_its_row(client, model):
    z = points(model, 1).repeat(4, axis=0)
    windows = tokens_of(decode(client, points=z.tolist(), temperature=1, seed=3))
    assert (windows == windows[0]).all()
    alone = tokens_of(decode(client, points=z[:1].tolist(), temperature=1, seed=3))
    np.testing.assert_array_equal(alone[0], windows[0])


@pytest.mark.parametrize("prior", PRIORS)
def test_a_roll_of_the_dice_is_a_sample_of_its_seed(client, model, prior):
    dice = [{"prior": prior, "seed": 7, "index": index} for index in range(3)]
    seeds = [7 + index * ROW for index in range(3)]
    answer = decode(client, points=dice, temperature=0.5, seed=seeds)
    z = model.sample_z(3, seed=7, prior=prior)
    np.testing.assert_array_equal(np.float32(answer["points"]), z)
    np.testing.assert_array_equal(tokens_of(answer), model.decode_tokens(z, 0.5, seed=7))
    first = decode(client, points=[{"prior": prior, "seed": 7}], seed=7)
    np.testing.assert_array_equal(tokens_of(first)[0], tokens_of(answer)[0])


def test_a_path_goes_from_one_point_to_another_or_between_four(client, model):
    z = points(model, 4)
    asked = {"points": z[:2].tolist(), "steps": 5, "temperature": 0.5, "seed": 2}
    answer = client.post("/path", json=asked).json()
    np.testing.assert_array_equal(
        np.float32(answer["points"]), interpolation.slerp(z[0], z[1], np.linspace(0, 1, 5))
    )
    same = decode(client, points=answer["points"], temperature=0.5, seed=2)
    assert same == answer
    grid = client.post("/path", json={**asked, "points": z.tolist(), "steps": 7}).json()
    np.testing.assert_array_equal(np.float32(grid["points"]), interpolation.grid(z, 7, 7))
    assert len(grid["windows"]) == 49


def with_one(model, value):
    return [*[0.0] * (model.z_size - 1), value]


WRONG_BODIES = [
    (b"", "The body must be JSON"),
    (b"{", "The body must be JSON"),
    (b"\xff\xfe\xfd", "The body must be JSON"),
    (b"[" * 30_000, "too many brackets"),
    (b'{"points": ' + b"[" * 20_000, "The body must be JSON"),
    (b"[1]", "an object of JSON. Received: [1]"),
    (b"{}", "must have points. Received: []"),
    (b'{"points": [NaN]}', "NaN is no number of JSON"),
    (b'{"points": [-Infinity]}', "-Infinity is no number of JSON"),
    (b'{"points": [[' + b"1" * 5000 + b"]]}", "The body must be JSON"),
]


@pytest.mark.parametrize(("body", "message"), WRONG_BODIES)
def test_what_is_no_json_is_refused(client, body, message):
    assert message in error_of(client.post("/decode", content=body, headers=JSON))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"points": []}, "points must be a list of 1 to 64 points. Received: 0."),
        ({"points": "all"}, 'points must be a list of 1 to 64 points. Received: "all".'),
        ({"points": [[0.0] * 8] * 65}, "points must be a list of 1 to 64 points. Received: 65."),
        ({"points": [[0.0] * 7]}, "points[0] must be 8 numbers, or an object with prior and seed"),
        ({"points": [[0.0] * 8, None]}, "points[1] must be 8 numbers"),
        ({"points": [[True] * 8]}, "points[0] must be numbers. Received: true."),
        ({"points": [["0"] * 8]}, 'points[0] must be numbers. Received: "0".'),
        ({"points": [[[0]] * 8]}, "points[0] must be numbers. Received: [0]."),
        ({"points": [[1e7] * 8]}, "points[0] must be finite and at most 1e+06 in size. Received"),
        ({"points": [[10**400] * 8]}, "points[0] must be finite"),
        ({"points": [{"prior": "data"}]}, 'points[0] must have seed. Received: ["prior"].'),
        ({"points": [{"prior": "x", "seed": 0}]}, "points[0].prior must be one of: data, standard"),
        ({"points": [{"prior": [], "seed": 0}]}, "points[0].prior must be one of: data, standard"),
        ({"points": [{"prior": "data", "seed": -1}]}, "points[0].seed must be a whole number of"),
        ({"points": [{"prior": "data", "seed": 0, "index": 2**31}]}, "points[0].index must be a"),
        ({"points": [{"prior": "data", "seed": 0, "z": 1}]}, 'Received: "z".'),
        ({"temperature": 0}, "temperature must be finite and above 0. Received: 0."),
        ({"temperature": -1.5}, "temperature must be finite and above 0. Received: -1.5."),
        ({"temperature": "hot"}, 'temperature must be a number. Received: "hot".'),
        ({"temperature": 10**400}, "temperature must be finite and above 0"),
        ({"temperature": None}, "temperature must be a number. Received: null."),
        ({"seed": -1}, "seed must be a whole number of 0 to 9223372036854775807. Received: -1."),
        ({"seed": 2**63}, "seed must be a whole number"),
        ({"seed": 1.0}, "seed must be a whole number"),
        ({"seed": True}, "seed must be a whole number"),
        ({"seed": [1, 2]}, "seed must be one number, or one for each of the points: 1. Received"),
        ({"steps": 3}, 'The body may have points, temperature, seed. Received: "steps".'),
    ],
)
def test_wrong_values_are_refused_by_their_names(client, change, message):
    asked = {"points": [[0.0] * 8], "temperature": 0.5, "seed": 0, **change}
    assert message in error_of(client.post("/decode", content=json.dumps(asked), headers=JSON))


def test_what_overflows_a_float_is_refused(client):
    body = b'{"points": [[1e999, 0, 0, 0, 0, 0, 0, 0]]}'
    assert "finite" in error_of(client.post("/decode", content=body, headers=JSON))
    body = b'{"points": [[0, 0, 0, 0, 0, 0, 0, 0]], "temperature": 1e999}'
    assert "temperature must be finite" in error_of(
        client.post("/decode", content=body, headers=JSON)
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"points": [[0.0] * 8] * 3}, "points must be a list of 2 or 4 points. Received: 3."),
        ({"steps": 1}, "steps must be a whole number of 2 to 64. Received: 1."),
        ({"steps": 65}, "steps must be a whole number of 2 to 64. Received: 65."),
        ({"points": [[0.0] * 8] * 4, "steps": 9}, "steps must be a whole number of 2 to 8."),
        ({"seed": [1, 2]}, "seed must be a whole number"),
        ({"steps": None}, "steps must be a whole number of 2 to 64. Received: null."),
    ],
)
def test_wrong_paths_are_refused(client, change, message):
    asked = {"points": [[0.0] * 8] * 2, "steps": 3, "temperature": 0.5, "seed": 0, **change}
    assert message in error_of(client.post("/path", json=asked))


def test_bodies_are_bounded_and_of_their_type(client, model):
    long = b" " * 100_000
    answer = client.post("/decode", content=long, headers=JSON)
    assert "at most 36,864 bytes. Received: 100,000" in error_of(answer, 413)
    answer = client.post("/decode", content=iter([long]), headers=JSON)  # Of a length not told.
    assert "at most 36,864 bytes" in error_of(answer, 413)
    answer = client.post("/encode?name=a.mid", content=b" " * (explorer.MAX_FILE_BYTES + 1))
    assert "at most 5,000,000 bytes" in error_of(answer, 413)
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        answer = client.post("/decode", content=b"{}", headers={"Content-Type": kind})
        assert "Content-Type must be application/json" in error_of(answer, 415)
    answer = client.post("/encode", files={"file": SONG.read_bytes()})
    assert "must be the bytes of a file. Received: multipart/form-data" in error_of(answer, 415)
    largest = [[-1.2345678901234567e-100] * model.z_size] * 64
    assert len(decode(client, points=largest, seed=[2**63 - 1] * 64)["windows"]) == 64


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/model"), ("PUT", "/decode"), ("DELETE", "/"), ("GET", "/x/y")]
)
def test_other_methods_and_places_are_refused(client, method, path):
    assert client.request(method, path).status_code in (404, 405)
    assert "error" in client.request(method, path).json()


def test_music_is_encoded_as_by_the_model(client, model):
    answer = client.post(f"/encode?name={SONG.name}&bar=5", content=SONG.read_bytes())
    answer = answer.json()
    read = model.read(Excerpt(SONG, start_bar=5, num_windows=16))
    np.testing.assert_array_equal(tokens_of(answer), read.tokens)
    z = np.float32([window["point"] for window in answer["windows"]])
    np.testing.assert_array_equal(z, model.encode_tokens(read.tokens))
    first = answer["windows"][0]
    assert first["text"] == "bars 5-6 of track 1, program 25 of song-0000.mid"
    assert (first["bar"], first["qpm"]) == (5, 121.0)
    assert {note["track"] for note in first["notes"]} == {0}
    assert answer["tracks"][1] == {
        **{"number": 2, "name": "Synth Bass 2", "program": 39, "is_drum": False},
        "notes": len(read_song(SONG).instruments[1].starts),
    }
    other = client.post("/encode?name=a.mid&track=2", content=SONG.read_bytes()).json()
    assert other["windows"][0]["text"].startswith("bars 1-2 of track 2, 'Synth Bass 2'")


def test_music_that_does_not_fit_is_refused_in_the_readers_words(client):
    song = SONG.read_bytes()
    answer = client.post("/encode?name=song.mid&track=9", content=song)
    error = error_of(answer, 422)
    assert error.startswith("song.mid: no such track: expected the track 9; its tracks are\n  1  ")
    assert answer.json()["rule"] == "no such track"
    assert len(answer.json()["tracks"]) == 3
    assert "too short" in error_of(client.post("/encode?name=song.mid&bar=9999", content=song), 422)
    answer = client.post("/encode?name=C:\\music\\..\\a.mid", content=b"no music")
    assert error_of(answer, 422).startswith("a.mid: not MIDI")
    assert error_of(client.post("/encode", content=b""), 422).startswith("the file: ")
    for bar in ("0", "-1", "1.5", "x", "9" * 30, "²"):
        assert "bar must be a whole number from 1" in error_of(
            client.post("/encode", params={"bar": bar}, content=song)
        )
    assert "Received: path" in error_of(client.post("/encode?path=/etc/passwd", content=song))
    assert "polyphony must be one" in error_of(client.post("/encode?polyphony=x", content=song))


def test_no_file_makes_the_server_fail(client):
    """Songs of which some bytes are others, and halves of songs."""
    song = bytearray(SONG.read_bytes())
    rng = np.random.default_rng(0)
    for _ in range(60):
        broken = bytearray(song)
        for place in rng.integers(0, len(song), 8):
            broken[place] = rng.integers(256)
        answer = client.post("/encode?name=x.mid", content=bytes(broken[: rng.integers(20, 5000)]))
        assert answer.status_code in (200, 400, 422), answer.text


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({"Host": "evil.example"}, "Host must be the address that this server was started at"),
        ({"Host": "127.0.0.1.evil.example:8000"}, "Host must be"),
        ({"Host": ""}, "Host must be"),
        ({"Origin": "http://evil.example"}, "Origin must be that of this server's own page, http"),
        ({"Origin": "http://127.0.0.1:9000"}, "Received: http://127.0.0.1:9000"),
        ({"Origin": "https://127.0.0.1:8000"}, "Origin must be"),
        ({"Origin": "http://localhost:8000"}, "Origin must be"),
        ({"Origin": "null"}, "Received: null"),
    ],
)
@pytest.mark.parametrize("path", ["/", "/model", "/decode"])
def test_other_origins_are_refused(client, headers, message, path):
    answer = client.request("POST" if path == "/decode" else "GET", path, headers=headers)
    assert message in error_of(answer, 403)
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:8000", "[::1]:8000", "LOCALHOST"])
def test_the_machine_itself_has_several_names(client, host):
    headers = {"Host": host, "Origin": f"http://{host}"}
    assert client.get("/model", headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("host", "names", "right", "wrong"),
    [
        ("studio.local", (), ["studio.local:1", "Studio.local"], ["127.0.0.1", "studio"]),
        ("0.0.0.0", ("box",), ["box:1", "10.0.0.7:1", "localhost", "[fe80::1]"], ["evil.example"]),
        ("::", (), ["[::1]:80", "192.168.1.2"], ["evil.example", ""]),
        ("192.168.1.2", (), ["192.168.1.2:80"], ["192.168.1.3", "localhost"]),
    ],
)
def test_a_server_for_others_has_the_names_it_was_given(model, page, host, names, right, wrong):
    client = make_client(model, page, host=host, names=names)
    for name in right:
        assert client.get("/", headers={"Host": name}).status_code == 200, name
    for name in wrong:
        assert client.get("/", headers={"Host": name}).status_code == 403, name


def test_the_map_is_made_once_and_waited_for(model, page):
    made = []

    def make_map(is_ending):
        time.sleep(0.2)
        made.append(is_ending())
        return {"what": "windows"}

    with make_client(model, page, make_map=make_map) as client:
        assert client.get("/map").json() == {"what": "windows"} == client.get("/map").json()
    assert made == [False]

    def fail(is_ending):
        raise ValueError("no windows")

    with make_client(model, page, make_map=fail) as client:
        assert error_of(client.get("/map"), 404) == "The map could not be made: no windows"
    answer = make_client(model, page).get("/map")
    assert error_of(answer, 404).startswith("There is no map.")


def test_a_map_is_given_up_when_the_server_ends(model, page):
    def make_map(is_ending):
        while not is_ending():
            time.sleep(0.01)
        return {}

    begun = time.monotonic()
    with make_client(model, page, make_map=make_map) as client:
        assert client.get("/model").status_code == 200
    assert time.monotonic() - begun < 5


def test_a_map_places_points_on_their_axes(model):
    z = points(model, 20)
    tokens = model.decode_tokens(z)
    places = [("a.mid", "bars 1-2")] * 19 + [(None, "bars 3-4")]
    described = page_answers.describe_map(z, tokens, model.tracks, "20 windows", places)
    described = json.loads(json.dumps(described, allow_nan=False))
    sent = np.frombuffer(base64.b64decode(described["points"]), "<f4").reshape(20, -1)
    np.testing.assert_array_equal(sent, z)
    places = [(window["x"], window["y"]) for window in described["windows"]]
    np.testing.assert_allclose(latent_maps.project(z).places, places)
    axes = (sent - np.array(described["mean"])) @ np.array(described["axes"]).T
    np.testing.assert_allclose(axes, places)
    assert described["windows"][-1]["song"] is None
    names = [each["name"] for each in described["attributes"]]
    assert names[0] == "note_density"
    assert len(described["windows"][0]["values"]) == len(names)


class SlowModel:
    """A model that takes long to decode."""

    def __init__(self, model, seconds):
        self._model = model
        self._seconds = seconds

    def __getattr__(self, name):
        return getattr(self._model, name)

    def decode_rows(self, z, temperature, seeds):
        time.sleep(self._seconds)
        return self._model.decode_rows(z, temperature, seeds)


@pytest.fixture
def address_of(page):
    """Returns a function that has a real server serve a model, and returns its address."""
    started = []

    def start(model):
        listening = socket.create_server(("127.0.0.1", 0))
        app = explorer.make_app(model, {"priors": PRIORS}, page)
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", ws="none"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        started.append((server, thread))
        return f"http://127.0.0.1:{listening.getsockname()[1]}"

    yield start
    for server, thread in started:
        server.should_exit = True
        thread.join()


def test_a_hundred_requests_at_once_lose_nothing(address_of, model):
    address = address_of(model)
    z = points(model, 100)
    expected = [
        model.decode_rows(z[row : row + 1], 0.5, np.array([[row, 0]])) for row in range(100)
    ]

    def ask(row):
        asked = {"points": [z[row].tolist()], "temperature": 0.5, "seed": row}
        return httpx.post(f"{address}/decode", json=asked, timeout=60).json()

    with concurrent.futures.ThreadPoolExecutor(100) as pool:
        answers = list(pool.map(ask, range(100)))
    for answer, each in zip(answers, expected, strict=True):
        np.testing.assert_array_equal(tokens_of(answer), each)


def test_a_slow_decode_holds_nobody_up(address_of, model):
    address = address_of(SlowModel(model, seconds=1.0))
    asked = {"points": [[0.0] * model.z_size]}
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        slow = [pool.submit(httpx.post, f"{address}/decode", json=asked) for _ in range(2)]
        time.sleep(0.3)
        begun = time.monotonic()
        assert httpx.get(f"{address}/").status_code == 200
        assert httpx.get(f"{address}/model").status_code == 200
        song = httpx.post(f"{address}/encode?name=a.mid", content=SONG.read_bytes())
        assert song.status_code == 200
        assert time.monotonic() - begun < 0.6
        assert all(each.result().status_code == 200 for each in slow)


def test_a_request_that_is_given_up_is_not_worked_on(address_of, model):
    """As where a pointer is dragged on before the last answer has come."""
    slow = SlowModel(model, seconds=0.3)
    num_decoded = []
    slow.decode_rows = lambda *asked: (num_decoded.append(1), SlowModel.decode_rows(slow, *asked))[
        1
    ]
    address = address_of(slow)
    asked = {"points": [[0.0] * model.z_size]}

    def give_up(_):
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{address}/decode", json=asked, timeout=0.2)

    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        list(pool.map(give_up, range(12)))
    assert httpx.post(f"{address}/decode", json=asked, timeout=60).status_code == 200
    assert sum(num_decoded) < 8


def ask_raw(address, path, *headers):
    """Returns what a server answers to a request as it stands, which no client tidies up."""
    host, port = address.removeprefix("http://").split(":")
    lines = [f"GET {path} HTTP/1.1", f"Host: {host}:{port}", *headers, "Connection: close", "", ""]
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall("\r\n".join(lines).encode())
        return b"".join(iter(lambda: connection.recv(4096), b"")).decode()


def test_nothing_outside_the_page_is_served(address_of, model):
    address = address_of(model)
    assert ask_raw(address, "/main.js").startswith("HTTP/1.1 200")
    paths = [
        *("/../secret.txt", "/%2e%2e/secret.txt", "/..%2fsecret.txt", "//secret.txt", "/%00"),
        *("/vendor/../../secret.txt", "/%2e%2e%5csecret.txt", "/way_out.txt", "/nothing.js"),
        *("/vendor", "/etc/passwd", "//etc/passwd", "/" + "a" * 3000, "/./../secret.txt"),
    ]
    for path in paths:
        answer = ask_raw(address, path)
        assert answer.startswith(("HTTP/1.1 404", "HTTP/1.1 307")), path
        assert "\r\n\r\nsecret" not in answer


def test_a_body_that_is_too_long_is_not_read(address_of, model):
    address = address_of(model)
    for content in (bytes(20_000_000), iter([bytes(1_000_000)] * 20)):  # Of a length told or not.
        answer = httpx.post(f"{address}/encode?name=a.mid", content=content, timeout=30)
        assert "at most 5,000,000 bytes. Received: " in error_of(answer, 413)
    assert httpx.get(address).status_code == 200


def test_two_hosts_are_one_too_many(address_of, model):
    answer = ask_raw(address_of(model), "/", "Host: evil.example")
    assert answer.split()[1] in ("400", "403")
