"""How many floating-point operations a training step takes, by formula."""


def count_flops(model, classes, num_steps, batch_size):
    """Returns the floating-point operations of the matrix products of one step, by formula.

    A product of a weight [m, n] with a row costs 2mn forwards, and twice as much backwards: once
    for the row's gradient and once for the weight's. One-hot rows are looked up: they cost nothing.
    An encoder's layer meets batch_size rows at each step of the window; so do a decoder's layers
    and the heads; a conductor's meets them once a segment. A context and an initial state cost one
    product for each embedding, or each window.
    """
    segments = model.decoder.conductor.num_segments if hasattr(model.decoder, "conductor") else 1
    total = 0
    for variable in model.trainable_variables:
        if len(variable.shape) < 2:
            continue
        rows, columns = variable.shape
        visits = num_steps
        if "conductor" in variable.path:
            visits = 1 if "initial_state" in variable.path else segments
        elif "initial_state" in variable.path:
            visits = segments
        elif "mu_and_sigma" in variable.path:
            visits = 1
        elif variable.path.endswith("/kernel") and _reads_tokens(variable.path):
            own = classes if "track_" not in variable.path else [_own_classes(variable, classes)]
            rows, visits = rows - sum(own), segments
        total += 2 * 3 * rows * columns * visits * batch_size
    return total


def _reads_tokens(path):
    return "encoder/" in path or ("decoder/" in path and "lstm_0" in path)


def _own_classes(variable, classes):
    track = variable.path.split("track_")[1].split("/")[0]
    return classes[int(track)]
