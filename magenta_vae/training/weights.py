"""Weights of a run: to use it, and to start another run from them."""

import os
import warnings
from collections.abc import Callable, Container
from typing import Any

import numpy as np
import tensorflow as tf

from magenta_vae import private_apis
from magenta_vae.contracts import LatentModel
from magenta_vae.training import checkpoint_files, published_weights, tracked
from magenta_vae.training.checkpoint_files import BEST, LATEST

# The lower level of a hierarchical model has the shapes of a flat model of one of its segments,
# where the conductor's embeddings are as wide as the flat model's z.
_FLAT_NAMES = {
    "encoder/level_0_forward/": "encoder/forward/",
    "encoder/level_0_backward/": "encoder/backward/",
    "decoder/track_0/": "decoder/flat/",
    "segment_posterior/": "encoder/mu_and_sigma/",
}


def find_checkpoint(run_dir: str, checkpoint: str | int = LATEST) -> tuple[str, int]:
    """Returns the path and step of one of a run's checkpoints, which has been read whole.

    Of a published model it is that of its weights.

    Args:
        run_dir: the run's folder.
        checkpoint: `latest`, `best` or a step. Of the newest, damaged ones are passed over with a
            warning.

    Raises:
        FileNotFoundError: where there is no such checkpoint.
        DamagedCheckpoint: where it cannot be read.
    """
    if path := published_weights.path_in(run_dir):
        published = published_weights.read_step(path)
        if str(checkpoint) in (LATEST, BEST, str(published)):
            return path, published
        raise FileNotFoundError(
            f"The checkpoint of {run_dir} must be {LATEST}, {BEST} or {published}: a published "
            f"model has one. Received: {checkpoint}."
        )
    if checkpoint in (LATEST, BEST):
        folder = checkpoint_files.folder_of(run_dir, checkpoint)
        step = checkpoint_files.newest_readable(
            folder, lambda line: warnings.warn(line, stacklevel=2)
        )
        if step is None:
            raise FileNotFoundError(_explain_missing(run_dir, checkpoint))
        return checkpoint_files.path_of(folder, step), step
    steps: dict[str, tuple[str, int]] = {}
    for kind in (BEST, LATEST):
        folder = checkpoint_files.folder_of(run_dir, kind)
        steps |= {str(step): (folder, step) for step in checkpoint_files.list_steps(folder)}
    if str(checkpoint) not in steps:
        raise FileNotFoundError(
            f"The checkpoint of {run_dir} must be {LATEST}, {BEST} or one of the steps it holds: "
            f"{', '.join(sorted(steps, key=int)) or 'none'}. Received: {checkpoint}."
        )
    path = checkpoint_files.path_of(*steps[str(checkpoint)])
    checkpoint_files.read_whole(path)
    return path, steps[str(checkpoint)][1]


def _explain_missing(run_dir: str, checkpoint: str) -> str:
    """Returns why a run has no latest or best checkpoint, and what to do."""
    missing = f"The run {run_dir} holds no {checkpoint} checkpoint"
    kept = checkpoint_files.list_steps(checkpoint_files.folder_of(run_dir, LATEST))
    if checkpoint == LATEST or not kept:
        return f"{missing}: train it first, with the command `train`."
    return (
        f"{missing}, which an evaluation on held-out windows makes. --checkpoint must be {LATEST} "
        f"or one of the steps that the run holds: {', '.join(map(str, kept))}."
    )


def load_weights(run_dir: str, model: LatentModel, checkpoint: str | int = LATEST) -> int:
    """Restores a model from one of a run's checkpoints and returns its step.

    Raises:
        FileNotFoundError, DamagedCheckpoint: see `find_checkpoint`.
        ValueError: where the checkpoint is another model's.
    """
    path, step = find_checkpoint(run_dir, checkpoint)
    if path == published_weights.path_in(run_dir):
        published_weights.load(path, model)
        return step
    try:
        status = tf.train.Checkpoint(**tracked.checkpointed_objects(model)).read(path)
        status.assert_existing_objects_matched()
    except (AssertionError, ValueError, tf.errors.NotFoundError) as error:
        if not os.path.exists(f"{path}.index"):  # A run that trains has removed it meanwhile.
            return load_weights(run_dir, model, checkpoint)
        raise ValueError(f"{path} does not fit the model of its config.gin: {error}") from error
    status.expect_partial()
    return step


def make_empty(make_model):
    """Returns what `make_model` makes, all weights zero: those that will be loaded need no draws.

    Of a large model they take seconds.
    """
    scratch = tf.Graph()  # Nothing is drawn there: only the shapes are found.

    def create(next_creator, initial_value, **options):
        with scratch.as_default():
            value = initial_value()
        zeros = tf.zeros(value.shape, value.dtype)
        return next_creator(initial_value=zeros, **options)

    with tf.variable_creator_scope(create):
        return make_model()


def initialize(
    model: LatentModel,
    path: str,
    partial: bool = False,
    report: Callable[[str], None] = lambda line: None,
) -> None:
    """Gives a new model the weights of another run's checkpoint.

    Args:
        model, path, partial: see `fit`.
        report: is told what was taken and what was not.

    Raises:
        ValueError: as `fit` does.
    """
    values, differences = fit(model, path, partial)
    for variable, value in values:
        variable.assign(value)
    report(f"{len(values)} of {len(model.variables)} weights are those of {path}{differences}")


def fit(model: LatentModel, path: str, partial: bool = False) -> tuple[list[tuple], str]:
    """Returns the values of a checkpoint that a model can take.

    Args:
        model: a built model.
        path: of the checkpoint.
        partial: whether weights of other shapes, or that only one of the two has, may be left out.
            The lower level of a hierarchical model then takes the weights of a flat one.

    Returns:
        Pairs of a variable and its value; and a line for each difference.

    Raises:
        ValueError: where the two differ and `partial` is not given, with all differences; and as
            `require_fixed_weights` does.
    """
    saved = _saved_values(path, model)
    differences, values = [], []
    for variable in model.variables:
        value = saved.pop(id(variable), None)
        if value is None and partial:
            value = saved.pop(_flat_name(variable.path), None)
        if value is None:
            differences.append(f"{variable.path} {tuple(variable.shape)} is not in the checkpoint")
            continue
        if value.shape != tuple(variable.shape):
            differences.append(f"{variable.path} {tuple(variable.shape)} is {value.shape} there")
            continue
        values.append((variable, value))
    differences += [f"{name} is only in the checkpoint" for name in saved]
    listed = "".join(f"\n  {line}" for line in differences)
    if differences and not partial:
        raise ValueError(
            f"{path} does not fit this configuration:{listed}\n"
            "Give --init_partial to take the weights that fit and leave the others as they begin."
        )
    taken = {id(variable) for variable, _ in values}
    require_fixed_weights(model, path, taken, listed)
    return values, listed


def require_fixed_weights(
    model: LatentModel, path: str | None, taken: Container[int] = (), differences: str = ""
) -> None:
    """Refuses a model with weights that never learn and that no checkpoint gives.

    Args:
        model: a built model; its `fixed_weights`, if it has any, never learn.
        path: of the checkpoint; None without one.
        taken: the identities of the variables that the checkpoint gives.
        differences: what the checkpoint and the model differ in, for the message.

    Raises:
        ValueError: with the names of the weights.
    """
    missing = [one.path for one in getattr(model, "fixed_weights", ()) if id(one) not in taken]
    if missing:
        where = f"{path} has no such weights" if path else "there is no --init_from"
        raise ValueError(
            "Some weights of this model never learn, and must be those of a flat model of one "
            f"segment (--init_from=FLAT --init_partial): {', '.join(missing)}. "
            f"Received: {where}.{differences}"
        )


def _flat_name(path: str) -> str:
    """Returns what a weight of a lower level is called in a flat model."""
    for level, flat in _FLAT_NAMES.items():
        path = path.replace(level, flat)
    return path


def _saved_values(path: str, model: LatentModel) -> dict:
    """Returns a model's saved values, by the identity of the model's variables.

    Those that the model has no place for stand under their own names.
    """
    if path.endswith(published_weights.FILE):
        names = {variable.path: id(variable) for variable in model.variables}
        read = published_weights.read(path)
        return {names.get(name, name): value.astype(np.float32) for name, value in read.items()}
    reader = tf.train.load_checkpoint(path)
    graph = private_apis.read_object_graph(reader)
    root = tf.train.Checkpoint(**tracked.checkpointed_objects(model))
    view = tf.train.TrackableView(root)
    contents = view.children(root)
    matches: dict[int, Any] = {}  # {node: our object, None where there is no such}
    pending = [
        (child.node_id, contents.get(child.local_name))
        for child in graph.nodes[0].children
        if child.local_name in (tracked.MODEL, tracked.OTHERS)
    ]
    while pending:
        number, ours = pending.pop()
        if number in matches and (ours is None or matches[number] is not None):
            continue
        matches[number] = ours
        children = view.children(ours) if ours is not None else {}
        pending += [(c.node_id, children.get(c.local_name)) for c in graph.nodes[number].children]
    return {
        attribute.full_name if ours is None else id(ours): reader.get_tensor(
            attribute.checkpoint_key
        )
        for number, ours in matches.items()
        for attribute in graph.nodes[number].attributes
    }
