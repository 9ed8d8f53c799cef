"""A checkpoint of Magenta's -> which configuration it is of."""

import os
import re
from collections.abc import Mapping

import tensorflow as tf

from magenta_vae import configuration
from magenta_vae.configuration import CONFIG_FILE, Configuration
from magenta_vae.magenta import javascript_spec, layers, weights
from magenta_vae.magenta.javascript_weights import JavaScriptModel
from magenta_vae.magenta.layers import Layer
from magenta_vae.magenta.weights import Variables
from magenta_vae.music import songs

# Of a model of @magenta/music, by its music and whether it is a hierarchy; its lengths and numbers
# of layers are laid over.
_OF_JAVASCRIPT = {
    ("melody", False): "cat-mel_2bar_small",
    ("drums", False): "cat-drums_2bar_small",
    ("melody", True): "hier-mel_16bar",
    ("trio", True): "hier-trio_16bar",
}
_NUM_LAYERS = {  # By the variable of each layer.
    "decoders.FlatDecoder.num_layers": r"decoder/multi_rnn_cell/cell_\d+/lstm_cell/bias",
    "decoders.HierarchicalDecoder.num_layers": (
        r"core_decoder/(core_decoder_0/)?decoder/multi_rnn_cell/cell_\d+/lstm_cell/bias"
    ),
    "decoders.Conductor.num_layers": r"decoder/hierarchical_level_0/cell_\d+/lstm_cell/bias",
}
_GROOVE_OUTPUTS = {27, 3}  # Hits, velocities and offsets, of nine kinds at once or one at a time.
# On and off of 128 pitches, 96 shifts, 8 velocities, 129 programs, an end.
_MULTI_TRACK_OUTPUTS = {490}
_LOWEST = re.compile(
    r"encoder/(hierarchical_level_0/)?cell_0/bidirectional_rnn/fw/multi_rnn_cell/cell_0/lstm_cell/"
    "kernel"
)


def find(source: Variables, config: str | None) -> tuple[str, Configuration]:
    """Returns the name of a checkpoint's configuration, and the configuration with its widths.

    Args:
        source: the checkpoint.
        config: the name; None to find what fits.

    Raises:
        ValueError: where the name is unknown or none fits, with what differs; where several fit,
            with their names; and for models that are not imported, with what they are.
    """
    known = configuration.magenta_configurations()
    if config is not None and config not in known:
        raise ValueError(f"--config must be one of {', '.join(known)}. Received: {config}.")
    if isinstance(source, JavaScriptModel):
        return _find_of_javascript(source, config)
    _refuse_others(source)
    if config is not None:
        return config, fit(config, source)
    return _guess(source, known)


def fit(config: str, source: Variables, params: tuple[str, ...] = ()) -> Configuration:
    """Returns a configuration of `gin_configs/magenta` with the widths of a checkpoint.

    Raises:
        ValueError: where the checkpoint is of another configuration, with all that differs.
    """
    widths = weights.find_widths(sketch(_parse(config, params)), source.shapes)
    found = [f"{name} = {value}" for name, value in widths.items()]
    configured = _parse(config, (*params, *found))
    weights.check_shapes(sketch(configured), source)
    return configured


def sketch(configured: Configuration) -> list[Layer]:
    """Returns the layers of a configuration's model, whose weights are not made."""
    with tf.Graph().as_default():
        return layers_of(configured, configured.experiment.make_model())


def layers_of(configured: Configuration, model) -> list[Layer]:
    """Returns the layers of a model, as Magenta keeps those of its configuration."""
    tracks = configured.experiment.settings.tracks
    return layers.model_layers(model, javascript_spec.class_orders(tracks))


def _guess(source: Variables, known: list[str]) -> tuple[str, Configuration]:
    """Returns the one configuration that fits, by the variables' names, then by their shapes."""
    misnamed = {
        config: sum(map(len, weights.find_misnamed(sketch(_parse(config)), source.shapes)))
        for config in known
    }
    fitting: dict[str, Configuration] = {}
    misfits: dict[str, ValueError] = {}
    for config in known:
        if misnamed[config] == min(misnamed.values()):
            try:
                fitting[config] = fit(config, source)
            except ValueError as error:
                misfits[config] = error
    if not fitting:
        nearest, reason = next(iter(misfits.items()))
        raise ValueError(
            f"{source.source} fits none of {', '.join(known)}. The nearest is {nearest}:\n{reason}"
        )
    # Magenta's own name of a file decides between those that differ in nothing else.
    name = os.path.basename(os.path.normpath(source.source)).removesuffix(".tar")
    if len(fitting) > 1 and name not in fitting:
        raise ValueError(
            f"{source.source} fits several configurations: --config must be one of "
            f"{', '.join(fitting)}."
        )
    config = name if name in fitting else next(iter(fitting))
    return config, fitting[config]


def _parse(config: str, params: tuple[str, ...] = ()) -> Configuration:
    return configuration.parse([f"{configuration.MAGENTA_FOLDER}/{config}.gin"], params)


def _find_of_javascript(source: JavaScriptModel, config: str | None) -> tuple[str, Configuration]:
    own_file = os.path.join(source.source, CONFIG_FILE)
    if config is None and os.path.isfile(own_file):
        configured = configuration.parse_run(own_file)
        weights.check_shapes(sketch(configured), source)
        return source.name, configured
    kind = javascript_spec.read_kind(source.spec, source.source)
    _refuse_nade(source)
    key = kind.music, bool(kind.num_segments)
    if config is None and key not in _OF_JAVASCRIPT:
        what = "a hierarchy" if kind.num_segments else "a flat model"
        raise ValueError(f"{source.source} is not imported: it is {what} of {kind.music}.")
    config = config or _OF_JAVASCRIPT[key]
    return config, fit(config, source, _params(kind, source.shapes))


def _params(kind: javascript_spec.Kind, shapes: Mapping[str, tuple]) -> tuple[str, ...]:
    """Returns the bindings of what @magenta/music says of a model, and how many layers it has."""
    counts = {
        binding: sum(bool(re.fullmatch(pattern, name)) for name in shapes)
        for binding, pattern in _NUM_LAYERS.items()
    }
    params = [f"{binding} = {count}" for binding, count in counts.items() if count]
    params.append(f"num_bars = {kind.num_steps // songs.STEPS_PER_BAR}")
    if kind.num_segments:
        params.append(f"num_segments = {kind.num_segments}")
    if kind.hit_pitches:
        params.append(f"tokens.Drums.hit_pitches = {kind.hit_pitches}")
    if kind.music == "drums" and not kind.reads_hits:
        params.append("magenta_encoders.StackedBidirectionalLSTM.features = None")
    return tuple(params)


def _refuse_nade(source: Variables) -> None:
    if any("nade/" in name for name in source.shapes):
        raise _not_imported(source, "drums by NADE, whose hits are no classes")


def _refuse_others(source: Variables) -> None:
    """Raises `ValueError` for models whose shapes say that they are of another kind."""
    _refuse_nade(source)
    shapes = source.shapes.items()
    outputs = [shape[0] for name, shape in shapes if name.endswith("output_projection/bias")]
    if _GROOVE_OUTPUTS.intersection(outputs):
        raise _not_imported(source, "GrooVAE, which has velocities and micro-timing")
    if _MULTI_TRACK_OUTPUTS.intersection(outputs):
        raise _not_imported(source, "multi-track performances")
    # The input of the lowest layer: more than what is written, where it is given something else.
    kernels = (shape for name, shape in shapes if _LOWEST.fullmatch(name) and len(shape) == 2)
    if any(rows - columns // 4 > sum(outputs) > 0 for rows, columns in kernels):
        raise _not_imported(source, "melodies with chords, or of another control")


def _not_imported(source: Variables, what: str) -> ValueError:
    return ValueError(f"{source.source} is not imported: it is a model of {what}.")
