"""Hierarchical Variational Autoencoders for Music (Roberts, Engel, Eck, 2017) on Keras 3."""

__version__ = "0.1.0"


def load(run_dir: str):
    """Returns a trained run's model, ready to make music: an `inference.generation.TrainedModel`.

    Example:
        >>> model = magenta_vae.load("runs/mel_2bar")
        >>> between = model.interpolate("a.mid", "b.mid", num_steps=15)
    """
    from magenta_vae.workflows import generation

    return generation.load(run_dir)
