"""What this package uses of TensorFlow, Keras and TensorFlow Probability that is not documented.

Nothing promises that these stay: each stands here, is looked up when it is first needed, and says
of which versions it was tried if it is not there. Nothing else of the package may use one, which a
test holds. (`tf.raw_ops` is documented; `import_stand_ins` names private modules, and needs none.)
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Sequence
from importlib import metadata
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # Nothing is imported before it is asked for.
    import keras
    import tensorflow as tf

TRIED = {
    "tensorflow": "2.20 and 2.21",
    "keras": "3.15",
    "tensorflow-probability": "0.25",
}


def distributions():
    """Returns `tensorflow_probability.distributions`, by the name of the module that defines it.

    The public name imports all of Keras 2 first; it serves where the other is gone.
    """
    try:
        return importlib.import_module("tensorflow_probability.python.distributions")
    except ImportError:
        return importlib.import_module("tensorflow_probability").distributions


def write_event(event: tf.compat.v1.Event) -> None:
    """Writes an event as it is by the default summary writer; `tf.summary` writes only values."""
    write = _find("tensorflow", "tensorflow.python.ops.summary_ops_v2", "import_event")
    write(event.SerializeToString())


def compiled_by_xla() -> bool:
    """Says whether what is being traced is for XLA, which lacks some of TensorFlow's operations."""
    import tensorflow as tf

    within = _find(
        "tensorflow", "tensorflow.python.ops.control_flow_util", "GraphOrParentsInXlaContext"
    )
    return within(tf.compat.v1.get_default_graph())


def gpu_memory_limits() -> list[int]:
    """Returns the bytes that TensorFlow may take of each GPU; what it tells in public is in use."""
    devices = _find("tensorflow", "tensorflow.python.client.device_lib", "list_local_devices")()
    return [device.memory_limit for device in devices if device.device_type == "GPU"]


def freeze(graph, **options):
    """Returns a concrete function with its variables as constants, which LiteRT takes alone."""
    convert = _find(
        "tensorflow",
        "tensorflow.python.framework.convert_to_constants",
        "convert_variables_to_constants_v2",
    )
    return convert(graph, **options)


def read_object_graph(reader: tf.train.CheckpointReader):
    """Returns the objects that a checkpoint was written of, a `TrackableObjectGraph`."""
    kind = _find(
        "tensorflow",
        "tensorflow.core.protobuf.trackable_object_graph_pb2",
        "TrackableObjectGraph",
    )
    return kind.FromString(reader.get_tensor("_CHECKPOINTABLE_OBJECT_GRAPH"))


def session_callable(session: tf.compat.v1.Session, feed: Sequence[str], fetch: Sequence[str]):
    """Returns what runs a session: values in the order of `feed` -> those of `fetch`.

    Unlike `Session.run` it compares no shapes before the graph does, as a server of C++ does not.
    """
    options = _find("tensorflow", "tensorflow.core.protobuf.config_pb2", "CallableOptions")
    return session._make_callable_from_options(options(feed=feed, fetch=fetch))


@functools.cache
def open_adam() -> type[keras.optimizers.Adam]:
    """Returns Keras' Adam with names for two things that a subclass may not see of it.

    `update_all(gradients, variables, learning_rate)` is what one step does, on all replicas: it
    gives each variable's `update_step` the learning rate, or whatever a subclass gives instead.
    `moments_of(variable)` is the pair of a variable's averages.
    """
    import keras

    for name in ("_backend_update_step", "_get_variable_index"):
        _find("keras", "keras.optimizers", "Adam", name)

    class OpenAdam(keras.optimizers.Adam):
        def update_all(self, gradients, variables, learning_rate):
            super()._backend_update_step(gradients, variables, learning_rate)

        def _backend_update_step(self, grads, trainable_variables, learning_rate):
            self.update_all(grads, trainable_variables, learning_rate)

        def moments_of(self, variable):
            index = self._get_variable_index(variable)
            return self._momentums[index], self._velocities[index]

    return OpenAdam


def _find(package: str, module: str, *names: str):
    """Returns an attribute of a module of a package.

    Raises:
        RuntimeError: where it is not there, with the versions of the package that were tried.
    """
    try:
        return functools.reduce(getattr, names, importlib.import_module(module))
    except (ImportError, AttributeError) as error:
        raise RuntimeError(
            f"{'.'.join((module, *names))} is private to {package}, and gone from its version "
            f"{metadata.version(package)}. Tried: {package} {TRIED[package]}."
        ) from error
