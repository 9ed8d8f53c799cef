"""How the music that a model makes differs from held-out music, by statistics of both."""

import numpy as np

from magenta_vae.inference.music_model import MusicModel
from magenta_vae.inference.validation import TEMPERATURE
from magenta_vae.music import statistics

NUM_SAMPLES = 256
HELD_OUT = "held_out"
HEADINGS = {HELD_OUT: "held out", "reconstructions": "recon", "samples": "samples"}


def compare(
    model: MusicModel,
    tokens: np.ndarray,
    num_samples: int = NUM_SAMPLES,
    temperature: float = TEMPERATURE,
    seed: int = 0,
) -> dict:
    """Returns statistics of held-out windows, of their reconstructions, and of prior samples.

    Distances are 1-Wasserstein distances from the held-out windows: they have the statistic's unit,
    need no bins and no kernel, and take the few values that a share of a short window can have as
    they are. The overlap of kernel densities (Yang and Lerch, 2020) depends on the kernel's width,
    and a statistic that is the same in all windows has no density.

    Args:
        model: one without a latent space reconstructs nothing.
        tokens: held-out windows, int [windows, steps, tracks].
        num_samples: how many of them are drawn, and as many samples; all, where there are fewer.
        temperature: of the reconstructions and the samples.
        seed: of all draws.

    Returns:
        As JSON values: for each track and statistic its `unit`, its `mean` in each kind of music,
        and its `distance` of each from the held-out windows. `chance` is what the distance of as
        many other held-out windows would stay below 95 times of 100. None where no window has the
        statistic.
    """
    held_out = draw_windows(tokens, num_samples, seed)

    def measure(z: np.ndarray) -> dict[str, dict[str, np.ndarray]]:
        return statistics.measure(model.decode_tokens(z, temperature, seed), model.tracks)

    kinds = {HELD_OUT: statistics.measure(held_out, model.tracks)}
    if model.z_size:
        kinds["reconstructions"] = measure(model.encode_tokens(held_out))
    kinds["samples"] = measure(model.sample_z(len(held_out), seed))
    return {
        "num_windows": len(held_out),
        "temperature": temperature,
        "seed": seed,
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


def format_table(comparison: dict) -> str:
    """Returns what `compare` returns as a table for people."""
    kinds = [kind for kind in HEADINGS if kind in _any_row(comparison)["mean"]]
    others = kinds[1:]
    means = "".join(f"{HEADINGS[kind]:>10}" for kind in kinds)
    distances = "".join(f"{HEADINGS.get(kind, kind):>10}" for kind in [*others, "chance"])
    lines = [
        f"{comparison['num_windows']:,} held-out windows"
        + (", their reconstructions" if len(others) > 1 else "")
        + f" and {comparison['num_windows']:,} samples, temperature {comparison['temperature']:g}",
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
