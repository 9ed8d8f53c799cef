"""How the music that a model makes differs from held-out music, by statistics of both."""

from collections.abc import Sequence

import numpy as np

from magenta_vae.contracts import Vocabulary
from magenta_vae.inference.data_prior import STANDARD
from magenta_vae.inference.music_model import MusicModel
from magenta_vae.inference.validation import TEMPERATURE
from magenta_vae.music import oddities, statistics
from magenta_vae.music.classes import MAX_CLASSES
from magenta_vae.music.tokens import NUM_PITCHES, in_paper_classes

NUM_SAMPLES = 256
ROWS_AT_A_TIME = 2**16  # Of training windows that are looked through for copies.
HELD_OUT, TRAINING, SAMPLES = "held_out", "training", "samples"
HEADINGS = {
    **{HELD_OUT: "held out", TRAINING: "training"},
    **{"reconstructions": "recon", SAMPLES: "samples"},
}


def compare(
    model: MusicModel,
    tokens: np.ndarray,
    num_samples: int = NUM_SAMPLES,
    temperature: float = TEMPERATURE,
    seed: int = 0,
    prior: str = STANDARD,
    training: np.ndarray | None = None,
    reconstruct: bool = True,
) -> dict:
    """Returns statistics of held-out windows, of their reconstructions, and of prior samples.

    Distances are 1-Wasserstein distances from the held-out windows: they have the statistic's unit,
    need no bins and no kernel, and take the few values that a share of a short window can have as
    they are. The overlap of kernel densities (Yang and Lerch, 2020) depends on the kernel's width,
    and a statistic that is the same in all windows has no density.

    Args:
        model: one without a latent space reconstructs nothing.
        tokens: held-out windows, int [windows, steps, tracks].
        num_samples: how many samples, and held-out windows: all of these, where there are fewer.
        temperature: of the reconstructions and the samples.
        seed: of all draws.
        prior: of the samples; see `MusicModel.sample`.
        training: the windows that the model was trained on, of which as many are compared too. They
            are of other songs than those held out: how far they lie from these tells what can be
            asked of samples, where few songs are held out.
        reconstruct: whether reconstructions are compared too.

    Returns:
        As JSON values: for each track and statistic its `unit`, its `mean` in each kind of music,
        and its `distance` of each from the held-out windows. `chance` is what the distance of as
        many other held-out windows would stay below 95 times of 100. None where no window has the
        statistic. For each track the `oddities` of each kind of music; see `oddities.measure`.
        `unique`, how many windows of each kind differ, and of `training` windows `copies`: how many
        of the held-out windows and of the samples are one of these, transposed or not.
    """
    held_out = draw_windows(tokens, num_samples, seed)
    windows = {HELD_OUT: held_out}
    if training is not None:
        windows[TRAINING] = draw_windows(training, len(held_out), seed)
    if model.z_size and reconstruct:
        z = model.encode_tokens(held_out)
        windows["reconstructions"] = model.decode_tokens(z, temperature, seed)
    z = model.sample_z(num_samples, seed, prior)
    windows[SAMPLES] = model.decode_tokens(z, temperature, seed)
    kinds = {kind: statistics.measure(each, model.tracks) for kind, each in windows.items()}
    odd = {kind: oddities.measure(each, model.tracks) for kind, each in windows.items()}
    sought = {kind: windows[kind] for kind in (HELD_OUT, SAMPLES)}
    return {
        "num_windows": len(held_out),
        "num_samples": num_samples,
        "temperature": temperature,
        "seed": seed,
        "prior": prior,
        "unique": {kind: len(np.unique(each, axis=0)) for kind, each in windows.items()},
        **({} if training is None else {"copies": count_copies(sought, training, model.tracks)}),
        "oddities": {
            track: {name: {kind: odd[kind][track][name] for kind in odd} for name in names}
            for track, names in odd[HELD_OUT].items()
        },
        "tracks": {
            track: {
                name: {
                    "unit": statistics.STATISTICS[name].unit,
                    **_compare({kind: kinds[kind][track][name] for kind in kinds}),
                }
                for name in names
            }
            for track, names in kinds[HELD_OUT].items()
        },
    }


def draw_windows(tokens: np.ndarray, num_windows: int, seed: int = 0) -> np.ndarray:
    """Returns so many different windows, in their order; all, where there are fewer."""
    if num_windows < 1:
        raise ValueError(f"The number of windows must be at least 1. Received: {num_windows}.")
    order = np.random.default_rng(seed).permutation(len(tokens))
    return tokens[np.sort(order[:num_windows])]


def count_copies(
    windows: dict[str, np.ndarray], training: np.ndarray, tracks: Sequence[Vocabulary]
) -> dict[str, int]:
    """Returns how many windows of each kind are a training window, in whatever key.

    Args:
        windows: kind -> int [windows, steps, tracks].
        training: int [windows, steps, tracks], read some at a time.
        tracks: the vocabularies of the tokens.
    """
    sought = {kind: _without_key(each, tracks) for kind, each in windows.items()}
    all_sought = {window for each in sought.values() for window in each}
    found: set[bytes] = set()
    for first in range(0, len(training), ROWS_AT_A_TIME):
        rows = training[first : first + ROWS_AT_A_TIME]
        found |= all_sought.intersection(_without_key(rows, tracks))
    return {kind: sum(window in found for window in each) for kind, each in sought.items()}


def format_table(comparison: dict) -> str:
    """Returns what `compare` returns as a table for people."""
    kinds = [kind for kind in HEADINGS if kind in _any_row(comparison)["mean"]]
    others = kinds[1:]
    means = "".join(f"{HEADINGS[kind]:>10}" for kind in kinds)
    distances = "".join(f"{HEADINGS.get(kind, kind):>10}" for kind in [*others, "chance"])
    lines = [
        f"{comparison['num_windows']:,} held-out windows"
        + (", their reconstructions" if len(others) > 1 else "")
        + f" and {comparison['num_samples']:,} samples, temperature {comparison['temperature']:g}",
        f"{'':<41}{'mean':>{len(means)}}   {'distance from held out':>{len(distances)}}",
        f"{'track':<10}{'statistic':<31}{means}   {distances}",
    ]
    for track, rows in comparison["tracks"].items():
        for name, row in rows.items():
            label = f"{name.replace('_', ' ')} ({row['unit']})"
            cells = "".join(_number(row["mean"][kind]) for kind in kinds)
            apart = "".join(_number(row["distance"][kind]) for kind in [*others, "chance"])
            lines.append(f"{track:<10}{label:<31}{cells}   {apart}")
    return "\n".join(lines)


def format_oddities(comparison: dict) -> str:
    """Returns the oddities of `compare`, and what is alike or copied, as a table for people."""
    kinds = [kind for kind in HEADINGS if kind in comparison["unique"]]
    lines = [f"{'track':<10}{'share of':<41}" + "".join(f"{HEADINGS[kind]:>10}" for kind in kinds)]
    for track, rows in comparison["oddities"].items():
        for name, shares in rows.items():
            lines.append(f"{track:<10}{name:<41}" + "".join(f"{shares[k]:>10.1%}" for k in kinds))
    for label, counts in (
        ("windows that differ", comparison["unique"]),
        ("windows that are a training window's", comparison.get("copies", {})),
    ):
        if counts:
            cells = "".join(f"{counts[k]:>10,}" if k in counts else f"{'-':>10}" for k in kinds)
            lines.append(f"{label:<51}{cells}")
    return "\n".join(lines)


def _without_key(windows: np.ndarray, tracks: Sequence[Vocabulary]) -> list[bytes]:
    """Returns what windows have in common with themselves transposed."""
    windows, tracks = in_paper_classes(np.asarray(windows), tracks)
    windows = windows.astype(np.int32)
    is_line = np.array([not track.is_drum for track in tracks])
    is_onset = (windows < NUM_PITCHES) & is_line
    first_onset = is_onset.reshape(len(windows), -1).argmax(axis=-1)
    first = np.take_along_axis(windows.reshape(len(windows), -1), first_onset[:, None], axis=-1)
    # Beyond all classes, for what is counted from the first pitch is no class.
    moved = np.where(is_onset, windows - first[:, :, None] + 2 * MAX_CLASSES, windows)
    return [window.tobytes() for window in moved]


def _compare(values: dict[str, np.ndarray]) -> dict:
    """Returns the means and distances of one statistic, by the kind of music."""
    held_out = values[HELD_OUT]
    distances = {
        kind: statistics.wasserstein_distance(held_out, made)
        for kind, made in values.items()
        if kind != HELD_OUT
    }
    distances["chance"] = statistics.chance_distance(held_out)
    return {
        "mean": {kind: _json(statistics.mean(each)) for kind, each in values.items()},
        "distance": {kind: _json(distance) for kind, distance in distances.items()},
    }


def _json(value: float) -> float | None:
    """Returns None for NaN, which JSON does not know."""
    return None if np.isnan(value) else value


def _number(value: float | None) -> str:
    return f"{'-':>10}" if value is None else f"{value:>10.3f}"


def _any_row(comparison: dict) -> dict:
    return next(row for rows in comparison["tracks"].values() for row in rows.values())
