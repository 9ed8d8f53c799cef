"""Attribute vectors: ways in latent space that give music more of an attribute, or less."""

import dataclasses
import json
import os
from typing import NamedTuple

import numpy as np

from magenta_vae import files
from magenta_vae.inference.music_model import MusicModel
from magenta_vae.inference.validation import TEMPERATURE
from magenta_vae.music import attributes, statistics


@dataclasses.dataclass(frozen=True)
class AttributeVector:
    """The vector of one attribute and what it was learned from.

    Args:
        vector: mean z of the windows with most of it minus that of those with least, [z_size].
        num_bottom, num_top: how many windows these were.
        quartiles: the lowest value, the three quartiles and the highest of all windows.
    """

    vector: np.ndarray
    num_bottom: int
    num_top: int
    quartiles: tuple[float, ...]


_TYPES = {
    "vectors": dict,
    "z_size": int,
    "track": str,
    "num_windows": int,
    "run_dir": str,
    "step": int,
}
OPPOSITE = "does the opposite"


class Effect(NamedTuple):
    """The mean of an attribute in some windows and in what becomes of them.

    Attributes:
        held_out: in the windows themselves.
        subtracted, reconstructed, added: where -1, 0 and 1 times its vector is added to their z.
    """

    held_out: float
    subtracted: float
    reconstructed: float
    added: float

    @property
    def is_opposite(self) -> bool:
        """Whether adding the vector gives less of the attribute than taking it away."""
        return self.added < self.subtracted


@dataclasses.dataclass(frozen=True)
class AttributeVectors:
    """The attribute vectors of a model.

    Args:
        vectors: by the attributes' names.
        z_size: dimensions of the model's latent space.
        track: the name of the track whose attributes they are.
        num_windows: of how many windows they were learned.
        run_dir, step: the run they come from, and the training step of its weights.
        effects: what each does to held-out windows, by the attributes' names; empty where that was
            not measured.
    """

    vectors: dict[str, AttributeVector]
    z_size: int
    track: str
    num_windows: int
    run_dir: str = ""
    step: int = 0
    effects: dict[str, Effect] = dataclasses.field(default_factory=dict)

    def __getitem__(self, name: str) -> np.ndarray:
        """Returns the vector of an attribute, float32 [z_size]; an unknown one is refused."""
        if name not in self.vectors:
            known = ", ".join(self.vectors)
            raise ValueError(f"The attribute must be one of: {known}. Received: {name}.")
        return self.vectors[name].vector

    def warning(self, name: str) -> str | None:
        """Returns what to say before a vector is used that does not do what its name says."""
        effect = self.effects.get(name)
        if effect is None or not effect.is_opposite:
            return None
        return (
            f"warning: on held-out windows the vector of {name} {OPPOSITE} of what it says: its "
            f"mean was {effect.added:.3f} after adding it and {effect.subtracted:.3f} after taking "
            "it away"
        )


def learn(
    model: MusicModel, tokens: np.ndarray, track: str | None = None, **source
) -> AttributeVectors:
    """Learns the vector of each attribute that varies (Roberts et al., 2018).

    It is the mean z of the windows in the top quartile of the attribute minus that of those in the
    bottom quartile, where z is the posterior's mean.

    Args:
        model: a model with a latent space.
        tokens: windows, int [windows, steps, tracks].
        track: the track whose attributes are learned; see `attributes.choose_track`.
        **source: `run_dir` and `step`, for the record.

    Raises:
        ValueError: for a model without a latent space, a track it does not have, or windows that do
            not differ in any attribute.
    """
    z = model.encode_tokens(tokens)
    values = attributes.measure(tokens, model.tracks, track)
    learned = {name: _learn(z, each) for name, each in values.items()}
    vectors = {name: vector for name, vector in learned.items() if vector is not None}
    if not vectors:
        raise ValueError(f"The {len(tokens)} windows must differ in an attribute. They do not.")
    name = model.tracks[attributes.choose_track(model.tracks, track)].name
    return AttributeVectors(vectors, model.z_size, name, len(tokens), **source)


def quartile_masks(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Says which windows are in the bottom and in the top quartile: bool [windows] each.

    Windows of equal values are on one side together. Where most are equal, so that both quartiles
    are that value, they stand against those that are above it, or below. Windows without a value
    are in neither; where all values are equal, none is.
    """
    if np.isnan(values).all():
        return np.zeros_like(values, bool), np.zeros_like(values, bool)
    low, high = np.nanpercentile(values, [25, 75])
    if low < high:
        return values <= low, values >= high
    below, above = values < low, values > high
    if not below.any() and not above.any():
        return below, above
    return (
        below if below.any() else values == low,
        above if above.any() else values == high,
    )


def write(path: str | os.PathLike, learned: AttributeVectors) -> None:
    """Writes vectors as JSON, whole or not at all."""
    content = dataclasses.asdict(learned)
    for vector in content["vectors"].values():
        vector["vector"] = vector["vector"].tolist()
    content["effects"] = {
        name: {key: None if np.isnan(mean) else mean for key, mean in effect._asdict().items()}
        for name, effect in learned.effects.items()
    }
    files.write_text(path, json.dumps(content, indent=2) + "\n")


def read(path: str | os.PathLike, z_size: int) -> AttributeVectors:
    """Reads what `write` wrote.

    Raises:
        FileNotFoundError: where there is no file.
        ValueError: where it is damaged, or of a model whose z has not `z_size` dimensions.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(f"{path} is missing: `attributes --output={path}` writes it.")
    try:
        content = files.read_json(path)
        files.check_types(path, content, _TYPES, _TYPES)
        vectors = {name: _parse(vector) for name, vector in content.pop("vectors").items()}
        effects = {
            name: Effect(
                **{key: np.nan if mean is None else float(mean) for key, mean in effect.items()}
            )
            for name, effect in content.pop("effects", {}).items()
        }
        learned = AttributeVectors(vectors=vectors, effects=effects, **content)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"{path} is not a file of attribute vectors: {error!r}.") from error
    if learned.z_size != z_size:
        raise ValueError(
            f"{path} holds vectors of z_size={learned.z_size}; the model has z_size={z_size}."
        )
    for name, vector in vectors.items():
        if vector.vector.shape != (z_size,) or not np.isfinite(vector.vector).all():
            raise ValueError(
                f"{path} is damaged: {name} must be {z_size} numbers. Received: "
                f"{np.isfinite(vector.vector).sum()}."
            )
    return learned


def measure_effects(
    model: MusicModel,
    learned: AttributeVectors,
    tokens: np.ndarray,
    temperature: float = TEMPERATURE,
    seed: int = 0,
) -> dict[str, Effect]:
    """Returns what each vector does to its attribute.

    Args:
        model: the model of the vectors.
        learned: the vectors.
        tokens: the windows to reconstruct, int [windows, steps, tracks].
        temperature, seed: see `MusicModel.decode`.
    """
    z = model.encode_tokens(tokens)

    def means(windows: np.ndarray) -> dict[str, float]:
        values = attributes.measure(windows, model.tracks, learned.track)
        return {name: statistics.mean(each) for name, each in values.items()}

    def decoded_means(points: np.ndarray) -> dict[str, float]:
        return means(model.decode_tokens(points, temperature, seed))

    held_out, reconstructed = means(tokens), decoded_means(z)
    return {
        name: Effect(
            held_out[name],
            decoded_means(z - learned[name])[name],
            reconstructed[name],
            decoded_means(z + learned[name])[name],
        )
        for name in learned.vectors
    }


def format_effects(learned: AttributeVectors, effects: dict[str, Effect]) -> str:
    """Returns what `learn` and `measure_effects` found as a table for people."""
    lines = [
        f"{'':<32}{'windows with':>18}{'mean in the':>13}{'mean after adding':>30}",
        f"{learned.track:<32}{'least':>9}{'most':>9}"
        f"{'held out':>13}{'-1 times':>10}{'0 times':>10}{'+1 times':>10}",
    ]
    for name, effect in effects.items():
        row = learned.vectors[name]
        label = f"{name} ({attributes.ATTRIBUTES[name].unit})"
        cells = "".join(f"{mean:>10.3f}" for mean in effect)
        mark = f"  {OPPOSITE}" if effect.is_opposite else ""
        lines.append(f"{label:<32}{row.num_bottom:>9,}{row.num_top:>9,}   {cells}{mark}")
    return "\n".join(lines)


def _learn(z: np.ndarray, values: np.ndarray) -> AttributeVector | None:
    """Returns the vector of one attribute, None where all windows are equal in it."""
    bottom, top = quartile_masks(values)
    if not top.any():
        return None
    return AttributeVector(
        vector=z[top].mean(axis=0) - z[bottom].mean(axis=0),
        num_bottom=int(bottom.sum()),
        num_top=int(top.sum()),
        quartiles=tuple(np.nanpercentile(values, [0, 25, 50, 75, 100]).tolist()),
    )


def _parse(content: dict) -> AttributeVector:
    return AttributeVector(
        **{
            **content,
            "vector": np.array(content["vector"], np.float32),
            "quartiles": tuple(content["quartiles"]),
        }
    )
