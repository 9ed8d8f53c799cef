"""A server of one exported model on this machine, as TensorFlow Serving answers: REST and gRPC.

For trying a client, and for tests and benchmarks: TensorFlow Serving itself is faster, batches
requests and changes versions while it runs. As there, shapes are checked by nothing but the graph's
own checks. gRPC takes the package `tensorflow-serving-api`.
"""

import contextlib
import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from google.protobuf import json_format

from magenta_vae import private_apis
from magenta_vae.serving import rest_requests
from magenta_vae.serving.json_bodies import RequestError, show

PREDICT, METADATA = ":predict", "/metadata"
SIGNATURES_TYPE = "type.googleapis.com/tensorflow.serving.SignatureDefMap"
NUM_THREADS = 4
MAX_BODY = 64 * 2**20  # Bytes of a request.
MAX_DIGITS = 20  # Of the number of these bytes.
FREE = 0  # A port that the system chooses.
HOST = "127.0.0.1"


class Addresses(NamedTuple):
    """Where a model is served.

    Attributes:
        rest: as in `http://127.0.0.1:8501`.
        grpc: as in `grpc://127.0.0.1:8500`; None where it is not served so.
    """

    rest: str
    grpc: str | None


class Servable:
    """The signatures of a model's newest version.

    Args:
        model_dir: the folder of versions.

    Raises:
        FileNotFoundError: where there is no version.
    """

    def __init__(self, model_dir: str):
        names = os.listdir(model_dir) if os.path.isdir(model_dir) else []
        versions = [int(name) for name in names if name.isdecimal()]
        if not versions:
            raise FileNotFoundError(
                f"{model_dir} holds no version of a model: it is not a folder that `export` wrote."
            )
        self.version = max(versions)
        path = os.path.join(model_dir, str(self.version))
        self._session = tf.compat.v1.Session(graph=tf.Graph())
        with self._session.graph.as_default(), _without_advice():
            loaded = tf.compat.v1.saved_model.load(self._session, ["serve"], path)
        self.signatures: dict[str, Any] = {
            name: signature
            for name, signature in loaded.signature_def.items()
            if not name.startswith("__")
        }
        self._callables = {
            name: self._make_callable(signature) for name, signature in self.signatures.items()
        }

        self.dtypes: dict[str, dict[str, np.dtype]] = {
            name: {
                each: np.dtype(tf.as_dtype(info.dtype).as_numpy_dtype)
                for each, info in signature.inputs.items()
            }
            for name, signature in self.signatures.items()
        }

    def run(self, signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Returns the outputs by name. Raises `LookupError` or `ValueError` with a message."""
        if signature not in self.signatures:
            raise LookupError(f'Serving signature name: "{signature}" not found in signature def')
        dtypes = self.dtypes[signature]
        if set(inputs) != set(dtypes):
            raise ValueError(f"input keys must be {sorted(dtypes)}. Received: {sorted(inputs)}.")
        for name, value in inputs.items():
            if value.dtype != dtypes[name]:
                raise ValueError(f"{name} must be {dtypes[name]}. Received: {value.dtype}.")
        try:
            return self._callables[signature](inputs)
        except tf.errors.OpError as error:
            raise ValueError(error.message) from error

    def _make_callable(self, signature) -> Callable[[Mapping[str, np.ndarray]], dict]:
        """Returns a function of the inputs, by name, to the outputs by name."""
        inputs, outputs = sorted(signature.inputs), sorted(signature.outputs)
        call = private_apis.session_callable(
            self._session,
            feed=[signature.inputs[name].name for name in inputs],
            fetch=[signature.outputs[name].name for name in outputs],
        )
        return lambda values: dict(zip(outputs, call(*(values[n] for n in inputs)), strict=True))


@contextlib.contextmanager
def serving(
    model_dir: str, name: str, rest_port: int = FREE, grpc_port: int | None = FREE
) -> Iterator[Addresses]:
    """Serves the newest version of a model until the end of a `with`.

    Args:
        model_dir: the folder of versions.
        name: of the model, in requests.
        rest_port, grpc_port: 0 for free ones; None for no gRPC.

    Raises:
        FileNotFoundError: where there is no version.
        OSError: for ports that are taken.
    """
    servable = Servable(model_dir)
    rest = ThreadingHTTPServer((HOST, rest_port), _rest_handler(name, servable))
    thread = threading.Thread(target=rest.serve_forever, daemon=True)
    thread.start()
    try:
        with _serving_grpc(name, servable, grpc_port) as grpc_address:
            yield Addresses(f"http://{HOST}:{rest.server_address[1]}", grpc_address)
    finally:
        rest.shutdown()
        rest.server_close()
        thread.join()


@contextlib.contextmanager
def _without_advice() -> Iterator[None]:
    """Keeps TensorFlow from advising its newer loader, which checks shapes before the graph."""
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel("ERROR")
    try:
        yield
    finally:
        logger.setLevel(level)


def has_grpc() -> bool:
    """Says whether the packages of gRPC are installed."""
    try:
        import tensorflow_serving.apis.predict_pb2  # noqa: F401
    except ImportError:
        return False
    return True


@contextlib.contextmanager
def _serving_grpc(name: str, servable: Servable, port: int | None) -> Iterator[str | None]:
    if port is None:
        yield None
        return
    import grpc
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
        def Predict(self, request, context):  # noqa: N802
            spec = request.model_spec
            if spec.name != name:
                message = f"Servable not found for request: {spec.name}"
                context.abort(grpc.StatusCode.NOT_FOUND, message)
            inputs = {key: tf.make_ndarray(value) for key, value in request.inputs.items()}
            try:
                outputs = servable.run(
                    spec.signature_name or rest_requests.DEFAULT_SIGNATURE, inputs
                )
            except (LookupError, ValueError) as error:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
            answer = predict_pb2.PredictResponse()
            answer.model_spec.CopyFrom(spec)
            answer.model_spec.version.value = servable.version
            for key, value in outputs.items():
                answer.outputs[key].CopyFrom(tf.make_tensor_proto(value))
            return answer

    # Else two servers may share a port, and each answers some of the requests.
    alone = [("grpc.so_reuseport", 0)]
    server = grpc.server(futures.ThreadPoolExecutor(NUM_THREADS), options=alone)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(PredictionService(), server)
    try:
        bound = server.add_insecure_port(f"{HOST}:{port}")
    except RuntimeError as error:
        raise OSError(f"The port {port} of {HOST} is taken: {error}") from error
    server.start()
    try:
        yield f"grpc://{HOST}:{bound}"
    finally:
        server.stop(0).wait()


def _rest_handler(name: str, servable: Servable) -> type[BaseHTTPRequestHandler]:
    """Returns the handler of the REST API: `inputs` in columns, `instances` in rows."""
    places = (f"/v1/models/{name}", f"/v1/models/{name}/versions/{servable.version}")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):  # noqa: N802
            try:
                body = self.rfile.read(_length(self.headers.get("Content-Length")))
            except RequestError as error:
                self.close_connection = True  # Nobody knows where the next request begins.
                return self.answer(error.status, {"error": str(error)})
            if not any(self.path == place + PREDICT for place in places):
                return self.answer(404, {"error": f"Malformed request: POST {self.path}"})
            try:
                return self.answer(200, _predict(servable, body))
            except (LookupError, ValueError) as error:
                return self.answer(400, {"error": str(error)})

        def do_GET(self):  # noqa: N802
            """Answers whether the model can be asked, or what its signatures are."""
            if self.path in [place + METADATA for place in places]:
                return self.answer(200, _metadata(name, servable))
            if self.path not in places:
                return self.answer(404, {"error": f"Malformed request: GET {self.path}"})
            status = {"version": str(servable.version), "state": "AVAILABLE"}
            return self.answer(200, {"model_version_status": [status]})

        def answer(self, status, content):
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    return Handler


def _metadata(name: str, servable: Servable) -> dict:
    """Describes inputs and outputs of each signature, as TensorFlow Serving does."""
    signatures = {
        signature: json_format.MessageToDict(
            definition, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
        )
        for signature, definition in servable.signatures.items()
    }
    spec = {"name": name, "signature_name": "", "version": str(servable.version)}
    definitions = {"@type": SIGNATURES_TYPE, "signature_def": signatures}
    return {"model_spec": spec, "metadata": {"signature_def": definitions}}


def _length(declared: str | None) -> int:
    """Returns the bytes of a body, as its header says. Raises `RequestError`."""
    text = declared or "0"
    if not (text.isascii() and text.isdecimal()):
        raise RequestError(
            f"Content-Length must be a whole number of at least 0. Received: {show(text)}."
        )
    if len(text) > MAX_DIGITS or int(text) > MAX_BODY:
        raise RequestError(f"A request may have {MAX_BODY} bytes. Received: {show(text)}.", 413)
    return int(text)


def _predict(servable: Servable, body: bytes) -> dict:
    """Answers a request of the REST API, in the format it came in."""
    asked = rest_requests.read(body, servable.dtypes)
    answer = servable.run(asked.signature, asked.inputs)
    outputs = {name: _values(value) for name, value in answer.items()}
    single = len(outputs) == 1
    if not asked.in_rows:
        return {"outputs": next(iter(outputs.values())) if single else outputs}
    rows = [dict(zip(outputs, row, strict=True)) for row in zip(*outputs.values(), strict=True)]
    return {"predictions": [next(iter(row.values())) for row in rows] if single else rows}


def _values(array: np.ndarray) -> list:
    if array.dtype == object:
        return [text.decode() for text in array]
    return array.tolist()
