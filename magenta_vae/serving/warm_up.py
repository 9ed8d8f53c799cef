"""What TensorFlow Serving reads beside a model: requests to warm up with, and how to batch.

The first request of a signature builds what the later ones use. TensorFlow Serving replays
`assets.extra/tf_serving_warmup_requests` of a version before it serves the version, so that no user
waits. The file holds `PredictionLog`s, TFRecords; they are written here field by field, since the
package that defines them is needed by nothing else of an export.
"""

import os
from collections.abc import Iterator, Mapping

import numpy as np
import tensorflow as tf

from magenta_vae.inference.fields import Field
from magenta_vae.serving.seeds import ROWS_PER_REQUEST
from magenta_vae.serving.signatures import Signatures

FOLDER, FILE = "assets.extra", "tf_serving_warmup_requests"
BATCHING_FILE = "batching.pbtxt"
LARGE = {"decode_with_noise"}  # A row has megabytes, of a long model: one is enough.

BATCHING = """# For tensorflow_model_server --enable_batching --batching_parameters_file=...
# Rows of a batch do not depend on one another, so that requests may be joined and cut.
max_batch_size {{ value: {max_batch_size} }}
batch_timeout_micros {{ value: 2000 }}
max_enqueued_batches {{ value: 100 }}
num_batch_threads {{ value: 2 }}
"""


def write_requests(signatures: Signatures, name: str, version_dir: str) -> None:
    """Writes a request of one row and one of a client's for each signature of a version.

    Args:
        signatures: of the model.
        name: of the model on the server.
        version_dir: the folder of the version.
    """
    folder = os.path.join(version_dir, FOLDER)
    os.makedirs(folder, exist_ok=True)
    with tf.io.TFRecordWriter(os.path.join(folder, FILE)) as writer:
        for signature, inputs in signatures.inputs.items():
            for num_rows in (1,) if signature in LARGE else (1, ROWS_PER_REQUEST):
                values = {field: _example(signatures.fields[field], num_rows) for field in inputs}
                writer.write(_prediction_log(name, signature, values))


def batching_parameters(max_rows: int) -> str:
    """Returns how TensorFlow Serving batches requests of at most so many rows."""
    return BATCHING.format(max_batch_size=max_rows)


def _example(field: Field, num_rows: int) -> np.ndarray:
    """Returns values that a field allows: zeros, or ones where 0 is not allowed."""
    return np.full([num_rows, *field.shape], 0 if field.least <= 0 else 1, field.dtype)


def _prediction_log(name: str, signature: str, values: Mapping[str, np.ndarray]) -> bytes:
    """Returns a `PredictionLog` of a `PredictRequest` (tensorflow_serving/apis)."""
    spec = _message(1, name.encode()) + _message(3, signature.encode())
    inputs = b"".join(_message(2, entry) for entry in _entries(values))
    request = _message(1, spec) + inputs
    return _message(6, _message(1, request))  # PredictionLog.predict_log.request


def _entries(values: Mapping[str, np.ndarray]) -> Iterator[bytes]:
    """Yields the entries of a map of names to tensors."""
    for field, value in values.items():
        tensor = tf.make_tensor_proto(value).SerializeToString()
        yield _message(1, field.encode()) + _message(2, tensor)


def _message(number: int, content: bytes) -> bytes:
    """Returns a field of a protocol buffer whose value has a length."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    """Returns a number in groups of seven bits, the lowest first."""
    groups = []
    while value > 127:
        groups.append(value & 127 | 128)
        value >>= 7
    return bytes([*groups, value])
