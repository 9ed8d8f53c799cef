"""The matrix products of a training step: their operations, by formula, and their time alone."""

import statistics
import time
from typing import NamedTuple

ROUNDS = 5
OPERATIONS_A_ROUND = 2e9  # some hundredths of a second


class Product(NamedTuple):
    """[rows, inner] times [inner, columns], `count` times a step.

    `turned` is the factor that is kept the other way around: "first", "second" or "".
    """

    rows: int
    inner: int
    columns: int
    turned: str
    count: int

    @property
    def flops(self):
        """The floating-point operations of all of them."""
        return 2 * self.rows * self.inner * self.columns * self.count


def count_flops(model, classes, num_steps, batch_size):
    """Returns the floating-point operations of the matrix products of one step, by formula.

    A product of a weight [m, n] with a row costs 2mn forwards, and twice as much backwards: once
    for the row's gradient and once for the weight's. One-hot rows are looked up: they cost nothing.
    An encoder's layer meets batch_size rows at each step of the window; so do a decoder's layers
    and the heads; a conductor's meets them once a segment. A context and an initial state cost one
    product for each embedding, or each window.
    """
    return sum(each.flops for each in list_products(model, classes, num_steps, batch_size))


def list_products(model, classes, num_steps, batch_size):
    """Returns the matrix products of one step, those of one shape as one.

    An LSTM layer's product with its state is taken once a step, joined with the one with the layer
    below, and so is the one of the gradient of both: for each part of the layer's units, where the
    model computes them in parts (`lstm_steps.count_parts`). Those of the weights' gradients, of
    contexts, of initial states and of heads are taken over all steps at once. Scheduled sampling
    takes the heads' products forwards once more, which are not among these.
    """
    from magenta_vae.model.lstm_steps import count_parts

    segments = model.decoder.conductor.num_segments if hasattr(model.decoder, "conductor") else 1
    total = {}

    def add(rows, inner, columns, turned="", count=1):
        one = rows, inner, columns, turned
        total[one] = total.get(one, 0) + count

    matrices = {each.path: each.shape for each in model.trainable_variables if len(each.shape) > 1}
    for path, (width, columns) in matrices.items():
        layer, _, name = path.rpartition("/")
        visits = num_steps
        if "conductor" in path:
            visits = 1 if "initial_state" in path else segments
        elif "initial_state" in path:
            visits = segments
        elif "mu_and_sigma" in path:
            visits = 1
        elif name == "kernel" and _reads_tokens(path):
            own = classes if "track_" not in path else [_own_classes(path, classes)]
            width, visits = width - sum(own), segments
        if not width:
            continue
        all_rows = visits * batch_size
        parts = 1
        if "lstm_" in layer and name in ("kernel", "recurrent_kernel"):
            parts = count_parts([matrices[f"{layer}/recurrent_kernel"][0]])
        # The weight's gradient.
        add(width, all_rows, columns // parts, "first", parts)
        if not _is_in_loop(path):
            add(all_rows, width, columns)
            add(all_rows, columns, width, "second")
        elif name == "recurrent_kernel":
            if f"{layer}/kernel" in matrices and not _reads_tokens(path):
                width += matrices[f"{layer}/kernel"][0]
            # While training the segments of a lower level are rows of one batch.
            rows = batch_size * (segments if path.startswith("decoder/") else 1)
            count = all_rows // rows * parts
            add(rows, width, columns // parts, count=count)
            add(rows, columns // parts, width, count=count)
    return [Product(*one, count) for one, count in total.items()]


def seconds_alone(product):
    """Returns the median seconds that products of a shape take without anything else.

    Two loops take them side by side, as a training step does: each operation has half of the cores
    (`threads.share_cores`).
    """
    import tensorflow as tf

    first, second = [product.rows, product.inner], [product.inner, product.columns]
    turns_first, turns_second = product.turned == "first", product.turned == "second"
    first = tf.random.normal(first[::-1] if turns_first else first)
    second = tf.random.normal(second[::-1] if turns_second else second)
    turned = {"transpose_a": turns_first, "transpose_b": turns_second}
    repetitions = max(1, round(OPERATIONS_A_ROUND * product.count / product.flops))

    def repeat():
        _, result = tf.while_loop(
            lambda index, _: index < repetitions,
            lambda index, _: (index + 1, tf.matmul(first, second, **turned)),
            (0, tf.zeros([product.rows, product.columns])),
            parallel_iterations=1,
        )
        return result[0, 0]

    both = tf.function(lambda: repeat() + repeat(), autograph=False)
    both()
    seconds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        both().numpy()
        seconds.append(time.perf_counter() - start)
    return product.count * statistics.median(seconds) / (2 * repetitions)


def _is_in_loop(path):
    """Says whether a weight is multiplied within the loop over steps."""
    layer, _, name = path.rpartition("/")
    if name == "recurrent_kernel":
        return True
    return "lstm_" in layer and not _reads_tokens(path)


def _reads_tokens(path):
    """Says whether a weight is of a layer that reads tokens."""
    return path.startswith("encoder/") or (path.startswith("decoder/") and "lstm_0" in path)


def _own_classes(path, classes):
    track = path.split("track_")[1].split("/")[0]
    return classes[int(track)]
