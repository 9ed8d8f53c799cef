"""Tiny models of the paper's four kinds, exported as a server would load them."""

import functools

import pytest


@pytest.fixture(scope="session")
def export_of(tmp_path_factory):
    """Returns a function of a configuration's name that exports its tiny model once."""
    from inference_models import Exported, tiny_model

    from magenta_vae.inference import generation
    from magenta_vae.serving import export

    @functools.cache
    def make(name):
        model, settings = tiny_model(name)
        model_dir = str(tmp_path_factory.mktemp("served") / name)
        path = export.write(model, settings.window_format, model_dir, {"name": name})
        trained = generation.TrainedModel(model, settings.window_format)
        return Exported(model, trained, settings, model_dir, path)

    return make
