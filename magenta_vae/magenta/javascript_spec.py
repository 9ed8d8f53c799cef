"""`config.json` of @magenta/music: which of its converters and decoders a model is for."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from magenta_vae import files
from magenta_vae.contracts import LatentModel, Vocabulary
from magenta_vae.magenta.encoder import StackedBidirectionalLSTM
from magenta_vae.magenta.hierarchical_encoder import HierarchicalBidirectionalLSTM
from magenta_vae.magenta.vocabulary import hit_rolls
from magenta_vae.model.decoders import Conductor, FlatDecoder, HierarchicalDecoder
from magenta_vae.model.encoders import BidirectionalLSTM
from magenta_vae.music import classes
from magenta_vae.music.tokens import Drums
from magenta_vae.music.window_format import WindowFormat

FILE = "config.json"
MAX_STEPS, MAX_KINDS = 2**16, 16
OWN = "magenta_vae"  # The key of what @magenta/music does not read.
_NEEDED = "Models for @magenta/music need "
# Converters whose models are not imported, and what their models are of.
_OTHER_CONVERTERS = {
    "MultitrackConverter": "multi-track performances",
    "GrooveConverter": "GrooVAE, which has velocities and micro-timing",
    "DrumRollConverter": "drums by NADE, whose hits are no classes",
    "MelodyRhythmConverter": "rhythms alone",
    "MelodyShapeConverter": "shapes of melodies alone",
    "TrioRhythmConverter": "rhythms alone",
}


class Kind(NamedTuple):
    """What a model of @magenta/music is of.

    Attributes:
        music: `melody`, `drums` or `trio`.
        num_steps: of a window.
        num_segments: of a hierarchy, None of a flat model.
        reads_hits: whether the encoder is fed nine hits and a bit for none, not one-hot rows.
        hit_pitches: the MIDI pitches of each kind of hit, None for those of `tokens.Drums`, and
            where it does not say: Magenta trained its models of those.
    """

    music: str
    num_steps: int
    num_segments: int | None
    reads_hits: bool
    hit_pitches: tuple[tuple[int, ...], ...] | None


def describe(model: LatentModel, window_format: WindowFormat) -> dict:
    """Returns what `config.json` says of a model.

    Raises:
        ValueError: for a model that @magenta/music cannot compute, with what would fit.
    """
    encoder: Any = getattr(model, "encoder", None)
    decoder: Any = model.decoder
    num_segments, reasons = None, []
    for check in (_check_parts, _check_states):  # Both are told: each may take a training.
        try:
            num_segments = check(encoder, decoder) or num_segments
        except ValueError as error:
            reasons.append(str(error))
    if reasons:
        raise ValueError(" ".join(reasons))
    args: dict[str, Any] = {"numSteps": window_format.num_steps}
    if num_segments:
        args["numSegments"] = num_segments
    name, own_args = _describe_tracks(window_format.tracks, encoder, bool(num_segments))
    return {"type": "MusicVAE", "dataConverter": {"type": name, "args": {**args, **own_args}}}


def class_orders(tracks: Sequence[Vocabulary]) -> list[list[int]] | None:
    """Returns which of our classes each of a converter's is, of each track; None where all agree.

    A line's are no event, a note-off, and pitches; hits are the sums that they are here.
    """
    orders = [_class_order(track) for track in tracks]
    return None if all(order == list(range(len(order))) for order in orders) else orders


def encodes_rests_otherwise(tracks: Sequence[Vocabulary]) -> bool:
    """Says whether silence that lasts has a class of its own here, where theirs is no event."""
    return any(not track.is_drum and track.rest != track.sustain for track in tracks)


def read(folder: str) -> dict:
    """Returns what the `config.json` of a folder says.

    Raises:
        FileNotFoundError: where there is none.
        ValueError: where it is damaged.
    """
    path = os.path.join(folder, FILE)
    if not os.path.isfile(path):
        raise FileNotFoundError(f"{folder} holds no {FILE}, which says what the model is.")
    return files.read_json(path, ("type",))


def read_kind(spec: Mapping, source: str) -> Kind:
    """Returns what a model is of, by its `config.json`.

    Raises:
        ValueError: for what cannot be imported, by its name.
    """
    try:
        if spec["type"] != "MusicVAE":
            raise ValueError(f"{source} is no MusicVAE: its {FILE} says {spec['type']!r}.")
        converter, args = spec["dataConverter"]["type"], spec["dataConverter"]["args"]
        _refuse_others(spec, converter, source)
        music = {"MelodyConverter": "melody", "TrioConverter": "trio"}.get(converter, "drums")
        if music == "melody":
            _check_pitches(args, source)
        if music == "trio":
            _check_pitches(args["melArgs"], source)
            _check_pitches(args["bassArgs"], source)
        hit_pitches = _read_kit(args["drumsArgs"] if music == "trio" else args, source)
        num_steps, num_segments = args["numSteps"], args.get("numSegments")
        is_whole = all(
            type(n) is int and 0 < n <= MAX_STEPS for n in (num_steps, num_segments or 1)
        )
        if not is_whole or num_steps % 16 or num_steps % (num_segments or 1):
            raise ValueError(
                f"{source} is not imported: windows are of whole bars, 16 steps each, in segments "
                f"of whole steps. Received: numSteps={num_steps!r:.50}, "
                f"numSegments={num_segments!r:.50}."
            )
        return Kind(music, num_steps, num_segments, converter == "DrumsConverter", hit_pitches)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{source}: its {FILE} is none of @magenta/music's: {error!r}.") from error


def _read_kit(args: Mapping, source: str) -> tuple[tuple[int, ...], ...] | None:
    kinds = args.get("pitchClasses") or ()
    pitches = [pitch for kind in kinds for pitch in kind]
    if len(kinds) > MAX_KINDS or not all(type(p) is int and 0 <= p <= 127 for p in pitches):
        raise ValueError(
            f"{source} is not imported: pitchClasses must be at most {MAX_KINDS} lists of MIDI "
            f"pitches, 0 to 127. Received: {kinds!r:.100}."
        )
    kit = tuple(tuple(kind) for kind in kinds)
    same = [(kind[0], set(kind)) for kind in kit if kind]
    return kit if kit and same != [(kind[0], set(kind)) for kind in Drums.hit_pitches] else None


def _refuse_others(spec: Mapping, converter: str, source: str) -> None:
    reasons = {
        "chords": spec.get("chordEncoder"),
        "keys": spec.get("conditionOnKey"),
        "control signals": spec.get("extraControls"),
        "hits that are no classes": spec.get("useBooleanDecoder"),
    }
    if given := [name for name, value in reasons.items() if value]:
        raise ValueError(f"{source} is not imported: it is a model with {' and '.join(given)}.")
    if what := _OTHER_CONVERTERS.get(converter):
        raise ValueError(f"{source} is not imported: it is a model of {what} ({converter}).")
    known = "MelodyConverter", "DrumsConverter", "DrumsOneHotConverter", "TrioConverter"
    if converter not in known:
        raise ValueError(
            f"{source} is not imported: its converter must be one of {', '.join(known)}. "
            f"Received: {converter}."
        )


def _check_pitches(args: Mapping, source: str) -> None:
    found = args["minPitch"], args["maxPitch"]
    if found != (21, 108):
        raise ValueError(
            f"{source} is not imported: Magenta's melodies have the pitches 21 to 108. Received: "
            f"minPitch={found[0]!r:.50}, maxPitch={found[1]!r:.50}. A folder that `export` wrote "
            "has a config.gin, which must lie beside it."
        )


def _check_states(encoder: Any, decoder: Any) -> None:
    del encoder
    parts = [decoder, getattr(decoder, "conductor", None)]
    activations = [part.get_config().get("state_activation") for part in parts if part]
    if any(activation != "tanh" for activation in activations):
        found = " and ".join(sorted({str(activation or "linear") for activation in activations}))
        raise ValueError(
            f"{_NEEDED}initial states through a tanh: --gin_file=variants/tanh_states.gin trains "
            f"one. Received: {found} initial states."
        )


def _check_parts(encoder: Any, decoder: Any) -> int | None:
    """Returns the segments of a hierarchy, None for a flat model, once both parts are known."""
    found = f"Received: {type(encoder).__name__} and {type(decoder).__name__}."
    if isinstance(decoder, HierarchicalDecoder) and isinstance(decoder.conductor, Conductor):
        if not isinstance(encoder, HierarchicalBidirectionalLSTM):
            raise ValueError(
                f"{_NEEDED}an encoder of two levels beside a hierarchical decoder: --gin_file="
                f"variants/hierarchical_encoder.gin trains one. {found}"
            )
        if encoder.num_segments != decoder.conductor.num_segments:
            raise ValueError(
                f"{_NEEDED}as many segments in the encoder as in the decoder. Received: "
                f"{encoder.num_segments} and {decoder.conductor.num_segments}."
            )
        return encoder.num_segments
    is_flat = isinstance(encoder, BidirectionalLSTM | StackedBidirectionalLSTM)
    if not is_flat or not isinstance(decoder, FlatDecoder):
        raise ValueError(
            f"{_NEEDED}a bidirectional encoder and a flat decoder, or a hierarchy of both. {found}"
        )
    if (num_layers := encoder.get_config().get("num_layers", 1)) != 1:
        raise ValueError(
            f"{_NEEDED}one bidirectional layer in the encoder. Received: num_layers={num_layers}."
        )
    return None


def _describe_tracks(
    tracks: Sequence[Vocabulary], encoder: Any, is_hierarchy: bool
) -> tuple[str, dict]:
    """Returns the name of a converter, and its arguments but for the length."""
    features = encoder.get_config().get("features")
    kinds = [track.is_drum for track in tracks]
    if features is None and kinds == [False, False, True] and is_hierarchy:
        lead, bass, drums = tracks
        args = {"melArgs": _line(lead), "bassArgs": _line(bass), "drumsArgs": _hits(drums)}
        return "TrioConverter", args
    if features is None and kinds == [True]:
        return "DrumsOneHotConverter", _hits(tracks[0])
    if features is None and kinds == [False]:
        return "MelodyConverter", _line(tracks[0])
    if kinds == [True] and features == [roll.tolist() for roll in hit_rolls(tracks)]:
        return "DrumsConverter", _hits(tracks[0])
    names = ", ".join(track.name for track in tracks)
    raise ValueError(
        f"{_NEEDED}one melody or drums, or a hierarchy of two lines and drums; drums read one-hot "
        f"or as hits. Received: {'a hierarchy' if is_hierarchy else 'a flat model'} of {names}"
        f"{'' if features is None else ' with features of its own'}."
    )


def _line(track: Vocabulary) -> dict[str, int]:
    order = classes.pitches(track)[_class_order(track)[2:]]
    return {"minPitch": int(order[0]), "maxPitch": int(order[-1])}


def _hits(track: Vocabulary) -> dict[str, list]:
    kinds = classes.onsets(track)
    if [kind.token for kind in kinds] != [2**bit for bit in range(len(kinds))]:
        raise ValueError(f"{_NEEDED}a bit for each kind of hit. Received: {type(track).__name__}.")
    # Always: what it reads as which kind by default is not what note-seq, and so we, do.
    return {"pitchClasses": [list(kind.pitches) for kind in kinds]}


def _class_order(track: Vocabulary) -> list[int]:
    if track.is_drum:
        return list(range(track.num_classes))
    order = [track.sustain, track.release, *classes.pitch_tokens(track)]
    if sorted(order) != list(range(track.num_classes)):
        raise ValueError(
            f"{_NEEDED}lines of a class that holds, one that ends a note, and one for each pitch "
            f"of a range. Received: {type(track).__name__} with {track.num_classes} classes."
        )
    return [int(token) for token in order]
