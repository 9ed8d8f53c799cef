#!/usr/bin/env python3
"""Shows how runs of a study differ from one of them, with 95 % intervals over held-out songs.

benchmarks/beside.py --run=study/runs/RUN --others=other/runs/RUN,...

Of each run the folder needs `result.json` and `songs.json`. The runs must be of one model, and
measured on the same windows: a draw of songs then gives the figures of both.
"""

import json
from pathlib import Path

from absl import flags

from magenta_vae import commands
from magenta_vae.training import song_intervals
from magenta_vae.workflows import difference_pictures, study_songs

RUN = flags.DEFINE_string("run", None, "The run that the others are compared with.", required=True)
OTHERS = flags.DEFINE_list("others", [], "Runs to compare with it.")
IMAGE = flags.DEFINE_string("image", None, "PNG of the differences of `recon`.")

FIGURES = ("next_accuracy", "reconstruction_accuracy")
Differences = dict[tuple[str, str], tuple[float, song_intervals.Interval]]  # Of a track's figure.


def find_differences(folder: str, base: str) -> Differences:
    """Returns how the figures of a run's tracks differ from another's, with intervals.

    Raises:
        ValueError: where the two were not measured on the same windows.
    """
    of_folder, of_base = _read_figures(folder), _read_figures(base)
    sums, sums_of_base = study_songs.read(folder), study_songs.read(base)
    differences = {}
    for track, figures in of_folder["tracks"].items():
        for name in FIGURES:
            interval = study_songs.find_interval(("tracks", track, name), [sums], [sums_of_base])
            if interval is None:
                raise ValueError(
                    "--run and --others must be runs of one model, measured on the same windows, "
                    f"with {study_songs.SONGS_FILE}. {folder} and {base} are not."
                )
            differences[track, name] = figures[name] - of_base["tracks"][track][name], interval
    return differences


def _read_figures(folder: str) -> dict:
    path = Path(folder, "result.json")
    if not path.exists():
        raise FileNotFoundError(f"--run and --others must be runs of table1. There is no {path}.")
    return json.loads(path.read_text())["figures"]


def format_rows(folder: str, base: str) -> list[str]:
    """Returns the rows of a run, a line for each track, beside those of another.

    Raises:
        ValueError: where the two were not measured on the same windows.
    """
    described = _read_figures(folder)
    differences = {} if folder == base else find_differences(folder, base)
    rows = []
    for track, figures in described["tracks"].items():
        cells = [folder, f"{described['step']:,}", f"{described['loss']:.0f}"]
        cells += [f"{described['kl_nats']:.0f}", track]
        for name in FIGURES:
            cells.append(f"{figures[name]:.3f}")
            if differences:
                difference, interval = differences[track, name]
                cells[-1] += f" ({_sign(difference)}: {' to '.join(map(_sign, interval))})"
        rows.append(f"| {' | '.join([*cells, _format_f1(figures)])} |")
    return rows


def _sign(difference: float) -> str:
    return f"{round(difference, 3) + 0:+.3f}"  # What rounds to -0 is 0.


def _format_f1(figures: dict) -> str:
    f1 = figures["notes"]["reconstruction"]["f1"]
    return "-" if f1 is None else f"{f1:.3f}"


def _draw(others: list[str], base: str, path: str) -> None:
    lines = [
        difference_pictures.Line(f"{_name(folder, base)}: {track}", [difference], interval)
        for folder in others
        for (track, name), (difference, interval) in find_differences(folder, base).items()
        if name == "reconstruction_accuracy"
    ]
    difference_pictures.draw(lines, f"recon - recon of {Path(base).name}", path)


def _name(folder: str, base: str) -> str:
    """Returns what tells a run from another: the folder of its study where both are of one name."""
    path = Path(folder)
    study = path.parent.parent if path.parent.name == "runs" else path.parent
    name = study.name if path.name == Path(base).name else path.name
    return name.replace("_", " ")


def main(_):
    folders = RUN.value, *OTHERS.value
    rows = [row for folder in folders for row in format_rows(folder, RUN.value)]
    commands.report("| run | steps | loss, nats | KL, nats | track | next | recon | F1 of notes |")
    commands.report("|---|---|---|---|---|---|---|---|")
    commands.report("\n".join(rows))
    if IMAGE.value:
        _draw(OTHERS.value, RUN.value, IMAGE.value)


if __name__ == "__main__":
    commands.run(main)
