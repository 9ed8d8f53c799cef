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
from magenta_vae.workflows import study_songs

RUN = flags.DEFINE_string("run", None, "The run that the others are compared with.", required=True)
OTHERS = flags.DEFINE_list("others", [], "Runs to compare with it.")

FIGURES = ("next_accuracy", "reconstruction_accuracy")


def format_rows(folder: str, base: str) -> list[str]:
    """Returns the rows of a run, a line for each track, beside those of another.

    Raises:
        ValueError: where the two were not measured on the same windows.
    """
    described, of_base = (
        json.loads(Path(each, "result.json").read_text())["figures"] for each in (folder, base)
    )
    sums, sums_of_base = study_songs.read(folder), study_songs.read(base)
    rows = []
    for track, figures in described["tracks"].items():
        cells = [folder, f"{described['step']:,}", f"{described['loss']:.0f}"]
        cells += [f"{described['kl_nats']:.0f}", track]
        for name in FIGURES:
            cells.append(f"{figures[name]:.3f}")
            if folder == base:
                continue
            interval = study_songs.find_interval(("tracks", track, name), [sums], [sums_of_base])
            if interval is None:
                raise ValueError(
                    "--run and --others must be runs of one model, measured on the same windows, "
                    f"with {study_songs.SONGS_FILE}. {folder} and {base} are not."
                )
            difference = figures[name] - of_base["tracks"][track][name]
            cells[-1] += f" ({_sign(difference)}: {' to '.join(map(_sign, interval))})"
        rows.append(f"| {' | '.join([*cells, _format_f1(figures)])} |")
    return rows


def _sign(difference: float) -> str:
    return f"{round(difference, 3) + 0:+.3f}"  # What rounds to -0 is 0.


def _format_f1(figures: dict) -> str:
    f1 = figures["notes"]["reconstruction"]["f1"]
    return "-" if f1 is None else f"{f1:.3f}"


def main(_):
    folders = RUN.value, *OTHERS.value
    rows = [row for folder in folders for row in format_rows(folder, RUN.value)]
    commands.report("| run | steps | loss, nats | KL, nats | track | next | recon | F1 of notes |")
    commands.report("|---|---|---|---|---|---|---|---|")
    commands.report("\n".join(rows))


if __name__ == "__main__":
    commands.run(main)
