"""Models for runtimes without TensorFlow: ONNX, and LiteRT on phones and small devices.

Both get the signatures that draw nothing at random: `encode` and `decode_with_noise`. A page in the
browser gets `decode_with_draws`.
"""

import logging
import os
import sys
import tempfile
from pathlib import Path

import tensorflow as tf

from magenta_vae import private_apis
from magenta_vae.serving.signatures import PORTABLE, Signatures

ONNX_OPSET = 18  # what onnxruntime has run since 1.14
LITERT_FILE = "model.tflite"


def write_onnx(signatures: Signatures, folder: str, description: str) -> None:
    """Writes `<signature>.onnx` of those that draw nothing; see `convert_to_onnx`.

    Raises:
        ValueError: where the packages that this takes are not installed.
    """
    require_onnx()
    os.makedirs(folder)
    for name in PORTABLE:
        convert_to_onnx(signatures, name, os.path.join(folder, f"{name}.onnx"), description)


def require_onnx() -> None:
    """Raises `ValueError` where the packages that ONNX takes are not installed."""
    try:
        import onnx  # noqa: F401
        import tf2onnx  # noqa: F401
    except ImportError as error:
        raise ValueError(
            f"The formats onnx and web take packages that are missing ({error}): "
            "pip install 'magenta_vae[onnx]'."
        ) from error


def convert_to_onnx(signatures: Signatures, name: str, path: str, description: str) -> None:
    """Writes a signature for batches of any size, the description among its metadata."""
    import onnx
    import tf2onnx

    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    specs = signatures.specs(name)
    graph = signatures.portable(name)
    function = tf.function(lambda *values: graph(*values), specs, autograph=False)
    model, _ = tf2onnx.convert.from_function(function, specs, opset=ONNX_OPSET)
    _name_the_batch(model.graph)
    onnx.checker.check_model(model)  # tf2onnx goes on after what it cannot convert.
    onnx.helper.set_model_props(model, {"description": description})
    onnx.save(model, path)


def write_litert(signatures: Signatures, folder: str, batch_size: int) -> None:
    """Writes `model.tflite` with a signature for each function, for batches of one size."""
    graphs = {name: _frozen(signatures, name, batch_size) for name in PORTABLE}
    with tempfile.TemporaryDirectory() as saved:
        tf.saved_model.save(
            tf.Module(),
            saved,
            signatures=graphs,
            options=tf.saved_model.SaveOptions(experimental_custom_gradients=False),
        )
        converter = tf.lite.TFLiteConverter.from_saved_model(saved, signature_keys=list(PORTABLE))
        converted = _quietly(converter.convert)
    os.makedirs(folder)
    Path(folder, LITERT_FILE).write_bytes(converted)


def _frozen(signatures: Signatures, name: str, batch_size: int):
    """Returns the graph of a signature with its weights as constants."""
    graph = signatures.portable(name, batch_size)
    # Loops stay loops: lowered to switches and merges, nested ones are not understood.
    frozen = private_apis.freeze(graph, lower_control_flow=False)
    outputs = sorted(graph.structured_outputs)  # The order in which graphs flatten dictionaries.
    return signatures.graph(
        lambda *values: dict(zip(outputs, frozen(*values), strict=True)), name, batch_size
    )


def _name_the_batch(graph) -> None:
    """Calls the first dimension of inputs and outputs `batch`, where tf2onnx counts them."""
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"


def _quietly(function):
    """Calls a function without what the converter's C++ writes to the process's standard error."""
    sys.stderr.flush()
    stderr = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
        try:
            return function()
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
