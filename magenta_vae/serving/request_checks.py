"""What a request must be: shapes and values checked within the graph that answers it.

A server reads requests of any shape and value. Each check fails with a message that names the
field, what was expected and what was received, before anything is computed of the field.
"""

from collections.abc import Mapping

import tensorflow as tf

from magenta_vae.inference.fields import Field


def spec(name: str, field: Field, batch_size: int | None = None) -> tf.TensorSpec:
    """Returns the input of a graph, for batches of one size or of any."""
    return tf.TensorSpec([batch_size, *field.shape], field.dtype, name)


def check(
    fields: Mapping[str, Field], values: Mapping[str, tf.Tensor], max_rows: int
) -> dict[str, tf.Tensor]:
    """Returns the values of a request, which can be read only where all of them are right.

    Args:
        fields: of the signature.
        values: of each field, [rows, ...].
        max_rows: the most rows of a request.
    """
    shaped = {name: _check_shape(name, fields[name], value) for name, value in values.items()}
    first, *others = shaped
    with tf.control_dependencies([_check_number(shaped[first], max_rows)]):
        shaped[first] = tf.identity(shaped[first])
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


def _check_number(value: tf.Tensor, max_rows: int) -> tf.Operation:
    num_rows = tf.shape(value)[0]
    return tf.debugging.Assert(
        num_rows <= max_rows,
        [f"A request must have at most {max_rows} rows. Received:", num_rows],
    )


def _check_values(name: str, field: Field, value: tf.Tensor) -> tf.Operation:
    is_right = (value >= field.least) & (value <= field.most)
    if not field.is_integer:
        # Asked for by itself: of NaN, TensorFlow's graphs take "not below" for "above".
        is_right &= tf.math.is_finite(value)
    is_wrong = ~is_right
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
