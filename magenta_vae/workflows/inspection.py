"""A look at a data set: what its windows hold, in numbers and pictures."""

import os
from collections.abc import Callable

import numpy as np

from magenta_vae.data import descriptions, input_pipeline
from magenta_vae.data.settings import settings_of
from magenta_vae.music import token_statistics
from magenta_vae.music.window_format import WindowFormat

BARS_OF_SHEET = 48  # Six systems of eight bars.


def inspect_dataset(
    data_dir: str, output_dir: str | None, seed: int, report: Callable[[str], None]
) -> dict:
    """Reports what each split of a data set holds, and draws it; returns the numbers.

    Args:
        data_dir: a folder written by `scripts/build_dataset`.
        output_dir: where `<split>-histograms.png` and `<split>-windows.png` go; None for none.
        seed: of the windows that are drawn.
        report: is given the lines.
    """
    description = descriptions.read(data_dir)
    settings = settings_of(description["settings"])
    report(descriptions.table(description["counts"]))
    described_splits = {}
    for split, shards in description["shards"].items():
        if not sum(shards.values()):
            continue
        tokens, tracks = input_pipeline.load_tokens(data_dir, split, settings), settings.tracks
        described = {
            track.name: token_statistics.describe_track(tokens[:, :, index], track)
            for index, track in enumerate(tracks)
        }
        described_splits[split] = {"windows": len(tokens), "tracks": described}
        report(f"\n{split}: {len(tokens):,} windows of {settings.num_bars} bars")
        report(token_statistics.format_tracks(described, tracks))
        for track in tracks:
            report(token_statistics.most_frequent(described[track.name], track))
            if track.is_drum:
                report(token_statistics.format_hits(described[track.name], track))
        if output_dir is not None:
            for path in _draw(
                tokens, settings.window_format, described, os.path.join(output_dir, split), seed
            ):
                report(f"wrote {path}")
    return described_splits


def _draw(
    tokens: np.ndarray, window_format: WindowFormat, described: dict, prefix: str, seed: int
) -> list[str]:
    """Writes both pictures of a split and returns their paths."""
    from magenta_vae.music import histograms, plots, sheets  # Late, with matplotlib.

    num_bars = window_format.num_bars
    number = min(max(BARS_OF_SHEET // num_bars, 1), len(tokens))
    drawn = np.random.default_rng(seed).choice(len(tokens), number, replace=False)
    line = tokens[drawn].reshape(-1, len(window_format.tracks)).astype(np.int32)
    name = os.path.basename(prefix)
    pictures = {
        "histograms": histograms.draw_histograms(
            described, window_format.tracks, f"{name}: {len(tokens):,} windows"
        ),
        "windows": plots.draw_score(
            window_format.detokenize(line),
            f"{name}: {number} random windows of {num_bars} bars one after another, "
            f"{number * num_bars} bars in all",
            sheets.TRUE,
        ),
    }
    paths = []
    for what, figure in pictures.items():
        paths.append(f"{prefix}-{what}.png")
        plots.write_picture(figure, paths[-1])
    return paths
