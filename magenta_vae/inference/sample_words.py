"""How a model's samples compare with its songs, in words: what `samples.compare` found."""

from magenta_vae.inference.samples import HELD_OUT, SAMPLES, TRAINING
from magenta_vae.music import oddities

# Statistic -> what its means say of samples and of songs.
_MEANS = {
    "pitch_range": "span {:.1f} semitones on average, the songs {:.1f}",
    "note_density": "have {:.1f} notes a bar, the songs {:.1f}",
    "repeated_bar_share": "repeat {:.1%} of their bars, the songs {:.1%}",
}
_SHARES = {
    oddities.WIDE: "are wider than two octaves",
    oddities.OFF_PIANO: "leave the piano's range",
    oddities.SILENT_BEATS: "of their beats are silent",
}


def describe(comparison: dict) -> list[str]:
    """Returns sentences, one or two a track and one on all.

    Args:
        comparison: as `samples.compare` returns it.
    """
    sentences = [
        _describe_track(name, rows, comparison) for name, rows in comparison["tracks"].items()
    ]
    copies = comparison.get("copies", {})
    ending = (
        f", {copies[SAMPLES]} of them copies of training windows (of "
        f"{comparison['num_windows']:,} held-out windows {copies[HELD_OUT]})"
        if copies
        else ""
    )
    number, unique = comparison["num_samples"], comparison["unique"][SAMPLES]
    return [*sentences, f"Of {number:,} samples {unique:,} differ{ending}."]


def near(comparison: dict, track: str) -> dict[str, bool]:
    """Says of each statistic of a track whether samples lie near the held-out windows in it.

    They do where they lie no farther than other held-out windows would by chance, or than the
    training windows do, if these were compared.
    """
    found = {}
    for name, row in comparison["tracks"][track].items():
        distance = row["distance"]
        bounds = [distance[kind] for kind in ("chance", TRAINING) if distance.get(kind) is not None]
        if bounds and distance[SAMPLES] is not None:
            found[name] = distance[SAMPLES] <= max(bounds)
    return found


def _describe_track(track: str, rows: dict, comparison: dict) -> str:
    clauses = []
    for name, sentence in _MEANS.items():
        means = rows.get(name, {}).get("mean", {})
        values = [means.get(kind) for kind in (SAMPLES, HELD_OUT)]
        if None not in values:
            clauses.append(sentence.format(*values))
    for name, what in _SHARES.items():
        if shares := comparison["oddities"][track].get(name):
            clauses.append(f"{shares[SAMPLES]:.1%} {what}, of the songs {shares[HELD_OUT]:.1%}")
    is_near = near(comparison, track)
    far = [_name(name) for name, each in is_near.items() if not each]
    verdict = (
        f"They lie farther from held-out songs than chance or other songs in {_join(far)}."
        if far
        else f"They lie as near to held-out songs as others do in all {len(is_near)} statistics."
    )
    return f"{track}: its samples {'; '.join(clauses)}. {verdict}"


def _name(statistic: str) -> str:
    return statistic.replace("_bar_share", " bars").replace("_", " ")


def _join(words) -> str:
    *rest, last = words
    return f"{', '.join(rest)} and {last}" if rest else last
