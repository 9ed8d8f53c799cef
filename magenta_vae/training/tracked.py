"""What a checkpoint of a model holds: every variable, also where TensorFlow finds none."""

import tensorflow as tf

from magenta_vae.contracts import LatentModel

MODEL, OTHERS = "model", "others"


def checkpointed_objects(model: LatentModel) -> dict[str, object]:
    """Returns what a checkpoint holds of a model, by its names there.

    The model, and the variables that TensorFlow does not find by its attributes: Keras keeps those
    of lists and dicts of layers, which parts of one's own may have, to itself.
    """
    found = {id(each) for each in tf.train.TrackableView(model).descendants()}
    others = [variable for variable in model.variables if id(variable) not in found]
    return {MODEL: model, **({OTHERS: others} if others else {})}
