"""Two ways to ask a TensorFlow Serving server: REST, which needs nothing, and gRPC."""

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Mapping

import numpy as np

NO_ANSWER = (ValueError, KeyError, TypeError, RecursionError)  # JSON of something else.
MAX_MESSAGE = 2000  # Characters of what a server says that are shown.

Values = dict[str, np.ndarray]


class ServingError(OSError):
    """A server that cannot be reached, does not answer in time, or refuses a request."""


class RESTTransport:
    """Asks by REST, in TensorFlow Serving's column format.

    Args:
        address: as in `http://host:8501`.
        model: its name on the server.
        version: an integer, or None for the server's newest.
        timeout_seconds: the longest wait for the server to say something.
    """

    def __init__(self, address: str, model: str, version: int | None, timeout_seconds: float):
        place = f"/versions/{version}" if version is not None else ""
        self._url = f"{address.rstrip('/')}/v1/models/{model}{place}:predict"
        self._timeout_seconds = timeout_seconds

    def predict(self, signature: str, inputs: Mapping[str, np.ndarray]) -> Values:
        """Returns the outputs of a signature. Raises `ServingError`."""
        columns = {name: value.tolist() for name, value in inputs.items()}
        body = json.dumps({"signature_name": signature, "inputs": columns}, allow_nan=False)
        request = urllib.request.Request(
            self._url, body.encode(), {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=self._timeout_seconds) as answer:
                outputs = json.load(answer)["outputs"]
        except urllib.error.HTTPError as error:
            raise ServingError(f"{self._url} refused {signature}: {_reason(error)}") from error
        except TimeoutError as error:
            raise self._timeout(signature) from error
        except urllib.error.URLError as error:
            if isinstance(error.reason, TimeoutError):
                raise self._timeout(signature) from error
            raise ServingError(f"{self._url} cannot be reached: {error.reason}") from error
        except (OSError, http.client.HTTPException, *NO_ANSWER) as error:
            raise ServingError(
                f"{self._url} does not answer as TensorFlow Serving does: {error!r}"
            ) from error
        # A single output comes without its name.
        named = outputs if isinstance(outputs, dict) else {"": outputs}
        return {name: np.asarray(value) for name, value in named.items()}

    def close(self) -> None:
        """Does nothing: each request has a connection of its own."""

    def _timeout(self, signature: str) -> ServingError:
        return ServingError(
            f"{self._url} did not answer {signature} within {self._timeout_seconds} seconds."
        )


class GRPCTransport:
    """Asks by gRPC; takes the packages of the extra `serving`, and TensorFlow with them.

    Args:
        address: as in `host:8500`.
        model: its name on the server.
        version: an integer, or None for the server's newest.
        timeout_seconds: the longest wait for an answer.
    """

    def __init__(self, address: str, model: str, version: int | None, timeout_seconds: float):
        try:
            import grpc
            from tensorflow_serving.apis import prediction_service_pb2_grpc
        except ImportError as error:
            raise ServingError(
                f"grpc:// takes packages that are missing ({error}): "
                "pip install 'magenta_vae[serving]', or use the server's REST port by http://."
            ) from error
        self._address = address
        self._model = model
        self._version = version
        self._timeout_seconds = timeout_seconds
        self._channel = grpc.insecure_channel(address)
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)

    def predict(self, signature: str, inputs: Mapping[str, np.ndarray]) -> Values:
        """Returns the outputs of a signature. Raises `ServingError`."""
        import grpc
        import tensorflow as tf
        from tensorflow_serving.apis import predict_pb2

        request = predict_pb2.PredictRequest()
        request.model_spec.name = self._model
        request.model_spec.signature_name = signature
        if self._version is not None:
            request.model_spec.version.value = self._version
        for name, value in inputs.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
        try:
            answer = self._stub.Predict(request, timeout=self._timeout_seconds)
        except grpc.RpcError as error:
            raise ServingError(self._explain(signature, error)) from error
        return {name: tf.make_ndarray(value) for name, value in answer.outputs.items()}

    def close(self) -> None:
        """Closes the connection."""
        self._channel.close()

    def _explain(self, signature: str, error) -> str:
        import grpc

        details = (error.details() or error.code().name)[:MAX_MESSAGE]
        if error.code() == grpc.StatusCode.UNAVAILABLE:
            return f"grpc://{self._address} cannot be reached: {details}"
        if error.code() == grpc.StatusCode.DEADLINE_EXCEEDED:
            return (
                f"grpc://{self._address} did not answer {signature} within "
                f"{self._timeout_seconds} seconds."
            )
        return f"grpc://{self._address} refused {signature} of {self._model}: {details}"


def connect(
    address: str, model: str, version: int | None, timeout_seconds: float
) -> RESTTransport | GRPCTransport:
    """Returns the way that the form of an address asks for."""
    kind, _, place = str(address).partition("://")
    is_address = isinstance(address, str) and place
    if is_address and kind in ("http", "https"):
        return RESTTransport(address, model, version, timeout_seconds)
    if is_address and kind == "grpc":
        return GRPCTransport(place, model, version, timeout_seconds)
    raise ValueError(
        "address must be as grpc://host:8500 (gRPC) or http://host:8501 (REST). "
        f"Received: {address!r}."
    )


def _reason(error: urllib.error.HTTPError) -> str:
    text = error.read(MAX_MESSAGE).decode(errors="replace")
    try:
        return json.loads(text)["error"]
    except (ValueError, KeyError, TypeError):
        return f"status {error.code}: {text}"
