"""The paper's supplemental figures 2 to 5, drawn from a run's own model and data."""

import os
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from magenta_vae.inference import outputs
from magenta_vae.music import note_sequences, plots, sheets
from magenta_vae.music.window_format import WindowFormat
from magenta_vae.workflows.comparisons import caption
from magenta_vae.workflows.runs import Run

EXAMPLES, RECONSTRUCTIONS = "examples", "reconstructions"  # What an interpolation's sound ends on.


class Content(NamedTuple):
    """What one of the paper's figures shows.

    Attributes:
        num_bars: of each window.
        vocabularies: of each track.
        num_steps: of an interpolation between two evaluation examples; None for a sample.
    """

    num_bars: int
    vocabularies: tuple[str, ...]
    num_steps: int | None = None

    def __str__(self) -> str:
        return f"{self.num_bars} bars of {', '.join(self.vocabularies)}"


FIGURES = {  # paper, Supplemental Figures
    2: Content(2, ("Melody",), num_steps=15),
    3: Content(2, ("Drums",), num_steps=9),
    4: Content(32, ("Melody",)),
    5: Content(16, ("Melody", "Melody", "Drums")),
}


def write_figure(
    run: Run,
    output_dir: str,
    figure: int | None = None,
    data_dir: str | None = None,
    suffixes: Sequence[str] = (".png",),
    dots_per_inch: int = 150,
    end_points: str = RECONSTRUCTIONS,
    temperature: float = 0.5,
    seed: int = 0,
    report: Callable[[str], None] = lambda line: None,
    **sound,
) -> list[str]:
    """Writes one of the paper's figures as pictures and a MIDI file, and returns their paths.

    The end points of an interpolation are drawn as they are in the data; what is heard there is
    the model's reconstruction of them, or the examples themselves.

    Args:
        run: an opened run.
        output_dir: made where it is missing.
        figure: 2 to 5; the one that fits the run if not given.
        data_dir: the data set of an interpolation's examples; the run's own if not given.
        suffixes: of the pictures; see `plots.write_picture`.
        dots_per_inch: of a PNG.
        end_points: what an interpolation's MIDI begins and ends with, `EXAMPLES` or
            `RECONSTRUCTIONS`.
        temperature, seed: of the samples; the seed also chooses the examples.
        report: is given lines about what is drawn and written.
        sound: `audio`, `soundfont`, `qpm` and `accents`, as `outputs.write_piece` takes them.

    Raises:
        ValueError: for a run whose windows no figure shows, or not this one.
    """
    figure = choose_figure(run.folder, run.settings.window_format, figure)
    model = run.model()
    if not model.z_size:
        raise ValueError(f"A figure needs a latent space. {run.folder} is a baseline, without one.")
    num_steps = FIGURES[figure].num_steps
    how = caption(run, temperature, seed)
    title = f"{how}\na sample, {FIGURES[figure]}"
    if num_steps:
        title = (
            f"{how}\n{num_steps} steps from one held-out window to another, {FIGURES[figure]} each"
        )
        start, end = _choose_examples(run, data_dir, seed, report)
        music = model.interpolate(start, end, num_steps, temperature, seed)
        shown = [start, *music[1:-1], end]
        drawing = plots.draw_interpolation(shown, title)
    else:
        music = shown = model.sample(1, temperature, seed)
        drawing = plots.draw_score(shown[0], title, sheets.GENERATED)
    base = os.path.join(output_dir, f"figure{figure}")
    paths = [f"{base}{suffix}" for suffix in suffixes]
    for path in paths:
        plots.write_picture(drawing, path, dots_per_inch)
    heard = note_sequences.concatenate(shown if end_points == EXAMPLES else music)
    paths.append(outputs.write_piece(heard, base, report=report, **sound))
    report(f"figure {figure}, by the weights of step {run.step:,}: wrote {', '.join(paths)}")
    return paths


def choose_figure(run_dir: str, window_format: WindowFormat, figure: int | None = None) -> int:
    """Returns the figure that shows a run's windows, or checks that the given one does.

    Raises:
        ValueError: with the windows that a figure shows, and the run's.
    """
    vocabularies = tuple("Drums" if track.is_drum else "Melody" for track in window_format.tracks)
    shown = Content(window_format.num_bars, vocabularies)
    wanted = FIGURES if figure is None else {figure: FIGURES[figure]}
    for number, content in wanted.items():
        if content._replace(num_steps=None) == shown:
            return number
    expected = "; ".join(f"figure {number} shows {content}" for number, content in wanted.items())
    raise ValueError(f"{expected}. Received: {run_dir}, a model of {shown}.")


def _choose_examples(run: Run, data_dir: str | None, seed: int, report: Callable) -> list:
    """Returns two windows of the evaluation split, drawn by a seed, as NoteSequences."""
    tokens = run.windows("eval", data_dir)
    if len(tokens) < 2:
        raise ValueError(
            "An interpolation is between two evaluation examples. "
            f"--data_dir={data_dir or run.data_dir()} holds {len(tokens)}."
        )
    chosen = np.random.default_rng(seed).choice(len(tokens), 2, replace=False)
    report(f"between the evaluation examples {chosen[0]} and {chosen[1]} of {len(tokens):,}")
    return [run.settings.window_format.detokenize(tokens[index]) for index in chosen]
