"""A stand-in for TensorFlow Serving: its gRPC PredictionService and its REST API, one model.

Runs the newest version of an exported model by a Session, as the real server does, without a check
of shapes before the graph's own. No part of the package; for tests and `benchmarks/serve.py`.
"""

import contextlib
import json
import os
import threading
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import config_pb2
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

PREDICT = ":predict"


class Servable:
    """The signatures of a model's newest version.

    Args:
        model_dir: the folder of versions.
    """

    def __init__(self, model_dir):
        self.version = max(int(name) for name in os.listdir(model_dir) if name.isdecimal())
        path = os.path.join(model_dir, str(self.version))
        self._session = tf.compat.v1.Session(graph=tf.Graph())
        with self._session.graph.as_default():
            loaded = tf.compat.v1.saved_model.load(self._session, ["serve"], path)
        self.signatures = {
            name: signature
            for name, signature in loaded.signature_def.items()
            if not name.startswith("__")
        }
        self._callables = {
            name: self._make_callable(signature) for name, signature in self.signatures.items()
        }

    def _make_callable(self, signature):
        """Returns a function of the inputs, by name, to the outputs by name."""
        inputs, outputs = sorted(signature.inputs), sorted(signature.outputs)
        options = config_pb2.CallableOptions(
            feed=[signature.inputs[name].name for name in inputs],
            fetch=[signature.outputs[name].name for name in outputs],
        )
        # Not `Session.run`, which compares shapes before the model does, as no server does.
        call = self._session._make_callable_from_options(options)
        return lambda values: dict(zip(outputs, call(*(values[n] for n in inputs)), strict=True))

    def dtype(self, signature, name):
        return tf.as_dtype(self.signatures[signature].inputs[name].dtype).as_numpy_dtype

    def run(self, signature, inputs):
        """Returns the outputs by name. Raises `LookupError` or `ValueError` with a message."""
        if signature not in self.signatures:
            raise LookupError(f'Serving signature name: "{signature}" not found in signature def')
        expected = set(self.signatures[signature].inputs)
        if set(inputs) != expected:
            raise ValueError(f"input keys must be {sorted(expected)}. Received: {sorted(inputs)}.")
        for name, value in inputs.items():
            dtype = self.dtype(signature, name)
            if value.dtype != dtype:
                raise ValueError(f"{name} must be {dtype.__name__}. Received: {value.dtype}.")
        try:
            return self._callables[signature](inputs)
        except tf.errors.OpError as error:
            raise ValueError(error.message) from error


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    """The gRPC side."""

    def __init__(self, name, servable):
        self._name = name
        self._servable = servable

    def Predict(self, request, context):  # noqa: N802
        spec = request.model_spec
        if spec.name != self._name:
            context.abort(grpc.StatusCode.NOT_FOUND, f"Servable not found for request: {spec.name}")
        inputs = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
        try:
            outputs = self._servable.run(spec.signature_name or "serving_default", inputs)
        except (LookupError, ValueError) as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        answer = predict_pb2.PredictResponse()
        answer.model_spec.CopyFrom(spec)
        answer.model_spec.version.value = self._servable.version
        for name, value in outputs.items():
            answer.outputs[name].CopyFrom(tf.make_tensor_proto(value))
        return answer


def rest_handler(name, servable):
    """Returns the handler of the REST API: `inputs` in columns, `instances` in rows."""
    places = (f"/v1/models/{name}", f"/v1/models/{name}/versions/{servable.version}")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):  # noqa: N802
            text = self.rfile.read(int(self.headers["Content-Length"]))
            if not any(self.path == place + PREDICT for place in places):
                return self.answer(404, {"error": f"Malformed request: POST {self.path}"})
            try:
                return self.answer(200, predict(servable, json.loads(text)))
            except (LookupError, ValueError, TypeError) as error:
                return self.answer(400, {"error": str(error)})

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


def predict(servable, request):
    """Answers a request of the REST API, in the format it came in."""
    signature = request.get("signature_name", "serving_default")
    if signature not in servable.signatures:
        raise LookupError(f'Serving signature name: "{signature}" not found in signature def')
    names = sorted(servable.signatures[signature].inputs)
    in_rows = "instances" in request
    columns = _columns(request["instances"], names) if in_rows else request["inputs"]
    if not isinstance(columns, dict):  # A single input may come without its name.
        columns = {names[0]: columns}
    inputs = {
        name: np.asarray(value, servable.dtype(signature, name)) if name in names else value
        for name, value in columns.items()
    }
    outputs = {name: _values(value) for name, value in servable.run(signature, inputs).items()}
    single = len(outputs) == 1
    if not in_rows:
        return {"outputs": next(iter(outputs.values())) if single else outputs}
    rows = [dict(zip(outputs, row, strict=True)) for row in zip(*outputs.values(), strict=True)]
    return {"predictions": [next(iter(row.values())) for row in rows] if single else rows}


@contextlib.contextmanager
def serving(model_dir, name, num_threads=4):
    """Serves a model on two free ports of this machine and gives their addresses."""
    servable = Servable(model_dir)
    pool = futures.ThreadPoolExecutor(num_threads)
    server = grpc.server(pool)
    service = PredictionService(name, servable)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    rest = ThreadingHTTPServer(("127.0.0.1", 0), rest_handler(name, servable))
    thread = threading.Thread(target=rest.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"grpc://127.0.0.1:{port}", f"http://127.0.0.1:{rest.server_address[1]}"
    finally:
        server.stop(0).wait()
        rest.shutdown()
        rest.server_close()
        thread.join()


def _columns(instances, names):
    if not isinstance(instances[0], dict):
        return {names[0]: instances}
    return {name: [row[name] for row in instances] for name in instances[0]}


def _values(array):
    if array.dtype == object:
        return [text.decode() for text in array]
    return array.tolist()
