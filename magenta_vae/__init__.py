"""Hierarchical Variational Autoencoders for Music (Roberts, Engel, Eck, 2017) on Keras 3.

What programs use most lies here, and is imported when it is used: TensorFlow takes seconds.
"""

import importlib
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # What `__getattr__` finds, for type checkers and editors.
    from magenta_vae.inference.excerpts import Excerpt as Excerpt
    from magenta_vae.inference.generation import TrainedModel as TrainedModel
    from magenta_vae.inference.reading import WindowReader as WindowReader
    from magenta_vae.model import schedules as schedules
    from magenta_vae.model.decoders import Conductor as Conductor
    from magenta_vae.model.decoders import FlatDecoder as FlatDecoder
    from magenta_vae.model.decoders import HierarchicalDecoder as HierarchicalDecoder
    from magenta_vae.model.encoders import BidirectionalLSTM as BidirectionalLSTM
    from magenta_vae.model.music_vae import MusicVAE as MusicVAE
    from magenta_vae.music.note_sequences import read_midi as read_midi
    from magenta_vae.music.note_sequences import write_midi as write_midi
    from magenta_vae.music.tokens import Drums as Drums
    from magenta_vae.music.tokens import Melody as Melody
    from magenta_vae.music.window_format import Playback as Playback
    from magenta_vae.music.window_format import WindowFormat as WindowFormat
    from magenta_vae.serving.client import Client as Client

__version__ = "0.1.0"

# Where each name of the public shelf comes from.
_SHELF = {
    "BidirectionalLSTM": "model.encoders",
    "Client": "serving.client",
    "Conductor": "model.decoders",
    "Drums": "music.tokens",
    "Excerpt": "inference.excerpts",
    "FlatDecoder": "model.decoders",
    "HierarchicalDecoder": "model.decoders",
    "Melody": "music.tokens",
    "MusicVAE": "model.music_vae",
    "Playback": "music.window_format",
    "TrainedModel": "inference.generation",
    "WindowFormat": "music.window_format",
    "WindowReader": "inference.reading",
    "read_midi": "music.note_sequences",
    "schedules": "model",
    "write_midi": "music.note_sequences",
}
__all__ = ["load", *_SHELF]


def __getattr__(name: str) -> Any:
    if name not in _SHELF:
        raise AttributeError(f"magenta_vae has no {name}. It has: {', '.join(__all__)}.")
    module = importlib.import_module(f"{__name__}.{_SHELF[name]}")
    found = getattr(module, name, None) or importlib.import_module(f"{module.__name__}.{name}")
    globals()[name] = found  # Found at once the next time.
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def load(
    model: str,
    checkpoint: str | int = "latest",
    polyphony: str = "refuse",
    pad: bool = False,
    jit_compile: bool = False,
    modules: Collection[str] = (),
    data_dir: str | None = None,
) -> "TrainedModel":
    """Returns a trained model, ready to make music: an `inference.generation.TrainedModel`.

    It may be anybody's: its configuration is data, of which nothing is run. Threads may load and
    use models side by side.

    Args:
        model: the name of a model that comes with the package, as `magenta_vae models` lists them;
            the folder of a run, or of a model that `publish` wrote; or an address, as in
            `hf://OWNER/REPOSITORY`. A run in a folder of a name is nearer than the name.
        checkpoint: which of its weights: `latest`, `best` (by held-out loss) or a step.
        polyphony: what to do with music of several notes at once where a melody is expected:
            `refuse`, or `highest` to read the highest of them.
        pad: whether bars and tracks that music lacks are read as rests instead of being refused.
        jit_compile: whether XLA compiles decoding, for a program that decodes single windows of
            several tracks many times: the first batch of each size takes seconds more, each further
            one less (`docs/performance.md`).
        modules: of your own whose functions and classes the run may name beside this package's.
            Those that it does name are imported, so that their code is run: give those that you
            trust.
        data_dir: a data set whose training windows `sample(prior="data")` is fitted to; by default
            what the run has kept of its own.

    Example:
        >>> model = magenta_vae.load("mel_2bar")
        >>> between = model.interpolate("a.mid", "b.mid", num_steps=15)
    """
    from magenta_vae.workflows import model_places, runs

    run = runs.open(model_places.find(model), checkpoint, modules)
    return run.model(data_dir, polyphony=polyphony, pad=pad, jit_compile=jit_compile)
