"""What a request must be: shapes and values checked within the graph that answers it.

A server reads requests of any shape and value. Each check fails with a message that names the
field, what was expected and what was received, before anything is computed of the field.
"""

import dataclasses
from collections.abc import Callable, Mapping

import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Field:
    """An input of a signature, the same for every row of a batch.

    Args:
        shape: of one row.
        dtype: of its values.
        expected: what its values must be, in words.
        is_valid: values -> bool of the same shape, whether they are.
    """

    shape: tuple[int, ...]
    dtype: tf.DType
    expected: str
    is_valid: Callable[[tf.Tensor], tf.Tensor]

    def spec(self, name: str, batch_size: int | None = None) -> tf.TensorSpec:
        """Returns the input of a graph, for batches of one size or of any."""
        return tf.TensorSpec([batch_size, *self.shape], self.dtype, name)


def integers(shape, num_classes) -> Field:
    """Returns a field of classes: int32 in 0 ... num_classes - 1, which is given for each track."""
    last = [classes - 1 for classes in num_classes]
    return Field(
        shape,
        tf.int32,
        f"classes of their track, 0 to {', '.join(map(str, last))}",
        lambda values: (values >= 0) & (values <= last),
    )


def finite(shape) -> Field:
    """Returns a field of numbers."""
    return Field(shape, tf.float32, "finite", tf.math.is_finite)


def positive() -> Field:
    """Returns a field of one number above 0 a row."""
    return Field(
        (),
        tf.float32,
        "finite and above 0",
        lambda values: tf.math.is_finite(values) & (values > 0),
    )


def share() -> Field:
    """Returns a field of one number from 0 to 1 a row."""
    return Field((), tf.float32, "in 0 to 1", lambda values: (values >= 0) & (values <= 1))


def natural() -> Field:
    """Returns a field of one integer a row, 0 or above."""
    return Field((), tf.int64, "0 or above", lambda values: values >= 0)


def check(fields: Mapping[str, Field], values: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Returns the values of a request, which can be read only where all of them are right.

    Args:
        fields: of the signature.
        values: of each field, [rows, ...].
    """
    shaped = {name: _check_shape(name, fields[name], value) for name, value in values.items()}
    first, *others = shaped
    checks = [_check_values(name, fields[name], value) for name, value in shaped.items()]
    checks += [_check_rows(name, shaped[name], first, shaped[first]) for name in others]
    with tf.control_dependencies(checks):
        return {name: tf.identity(value) for name, value in shaped.items()}


def _check_shape(name: str, field: Field, value: tf.Tensor) -> tf.Tensor:
    # Of a placeholder the graph trusts its static shape, and drops a check of it.
    value = tf.raw_ops.PlaceholderWithDefault(input=value, shape=tf.TensorShape(None))
    # Filled up with -1 and cut: shapes of different length cannot be compared. The rank alone is
    # another thing that the graph would trust.
    num_axes = len(field.shape) + 1
    row_shape = tf.concat([tf.shape(value)[1:], [-1] * num_axes], axis=0)[:num_axes]
    is_right = tf.reduce_all(row_shape == [*field.shape, -1])
    expected = ", ".join(map(str, ("batch", *field.shape)))
    assertion = tf.debugging.Assert(
        is_right, [f"{name} must have the shape [{expected}]. Received:", tf.shape(value)]
    )
    with tf.control_dependencies([assertion]):
        return tf.ensure_shape(tf.identity(value), [None, *field.shape])


def _check_values(name: str, field: Field, value: tf.Tensor) -> tf.Operation:
    is_wrong = ~field.is_valid(value)
    return tf.debugging.Assert(
        ~tf.reduce_any(is_wrong),
        [
            f"{name} must be {field.expected}. Received first:",
            tf.boolean_mask(value, is_wrong)[:1],
            "in row",
            tf.where(is_wrong)[:1, 0],
        ],
    )


def _check_rows(name: str, value: tf.Tensor, first: str, of_first: tf.Tensor) -> tf.Operation:
    num_rows, expected = tf.shape(value)[0], tf.shape(of_first)[0]
    return tf.debugging.Assert(
        num_rows == expected,
        [f"{name} must have as many rows as {first},", expected, "Received:", num_rows],
    )
