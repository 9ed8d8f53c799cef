"""The attribute vectors of a run."""

import dataclasses
import os
from collections.abc import Callable, Sequence

import numpy as np

from magenta_vae.inference import attributes, samples
from magenta_vae.inference.reading import Music
from magenta_vae.music import attributes as musical
from magenta_vae.music import statistics
from magenta_vae.workflows import model_files
from magenta_vae.workflows.runs import Run

NUM_SHOWN = 256
# Their means differ from those of more by less than what they are used for.
NUM_LEARNED = 20_000


def learn(
    run: Run,
    data_dir: str | None,
    output: str,
    track: str | None,
    num_windows: int,
    temperature: float = 0.5,
    seed: int = 0,
    report: Callable[[str], None] = lambda line: None,
) -> attributes.AttributeVectors:
    """Learns a run's attribute vectors, writes them, reports what each does, and returns them.

    Args:
        run: an opened run.
        data_dir: a data set; the run's own for None.
        output: the JSON file.
        track: whose attributes; the first melody's for None, or the first track's.
        num_windows: of the train split, at most.
        temperature: of the held-out windows that show the effect.
        seed: of which windows are drawn, and of what is decoded.
        report: is given lines about the result.
    """
    train, held_out = (run.windows(split, data_dir) for split in ("train", "eval"))
    learned = learn_from(run, train, held_out, track, num_windows, temperature, seed)
    attributes.write(output, learned)
    report(
        f"learned from {learned.num_windows:,} windows, shown on "
        f"{min(len(held_out), NUM_SHOWN):,} held out, temperature {temperature:g}"
    )
    report(attributes.format_effects(learned, learned.effects))
    for name in learned.vectors:
        if warning := learned.warning(name):
            report(warning)
    report(f"wrote {output}")
    return learned


def learn_from(
    run: Run,
    train: np.ndarray,
    held_out: np.ndarray,
    track: str | None = None,
    num_windows: int = NUM_LEARNED,
    temperature: float = 0.5,
    seed: int = 0,
) -> attributes.AttributeVectors:
    """Returns the attribute vectors of a run, with what each does to held-out windows.

    Args:
        run: an opened run.
        train, held_out: windows, int [windows, steps, tracks].
        track, num_windows, temperature, seed: see `learn`.
    """
    model = run.model()
    drawn = samples.draw_windows(train, num_windows, seed)
    run_dir = os.path.abspath(run.folder)
    learned = attributes.learn(model, drawn, track, run_dir=run_dir, step=run.step)
    shown = samples.draw_windows(held_out, NUM_SHOWN, seed)
    effects = attributes.measure_effects(model, learned, shown, temperature, seed)
    return dataclasses.replace(learned, effects=effects)


def shipped_with(run: Run) -> str:
    """Returns the file of vectors that a published model comes with.

    Raises:
        FileNotFoundError: where it comes without.
    """
    path = os.path.join(run.folder, model_files.VECTORS_FILE)
    if not os.path.isfile(path):
        raise FileNotFoundError(
            f"--vectors is needed: {run.folder} comes without attribute vectors. Learn them with "
            "--output."
        )
    return path


def apply(
    run: Run,
    vectors: str,
    attribute: str,
    music: Music | Sequence[Music],
    strength: float = 1.0,
    temperature: float = 0.5,
    seed: int = 0,
    report: Callable[[str], None] = lambda line: None,
    **reading,
) -> list:
    """Returns music with an attribute changed: a `NoteSequence` for each window.

    Args:
        run: an opened run.
        vectors: a file that `learn` wrote.
        attribute: the name of the attribute.
        music: as `MusicModel.encode` takes it: paths, or what was read of them.
        strength: how many times the vector is added.
        temperature, seed: of what is decoded.
        report: is given lines about the result.
        **reading: how music is read; see `inference.reading.WindowReader`.
    """
    model = run.model(**reading)
    learned = attributes.read(vectors, model.z_size)
    vector = learned[attribute]
    if warning := learned.warning(attribute):
        report(warning)
    changed = model.apply_attribute(music, vector, strength, temperature, seed)
    run_dir = os.path.abspath(run.folder)
    lies_there = os.path.dirname(os.path.abspath(vectors)) == run_dir
    if learned.step != run.step or not (lies_there or learned.run_dir == run_dir):
        report(
            f"warning: {vectors} was learned from {learned.run_dir} at step {learned.step:,}; this "
            f"is {run_dir} at step {run.step:,}, in whose z the vectors may mean something else"
        )
    means = [
        statistics.mean(musical.measure(windows, model.tracks, learned.track)[attribute])
        for windows in map(model.tokenize, (model.reconstruct(music, temperature, seed), changed))
    ]
    unit = musical.ATTRIBUTES[attribute].unit
    report(
        f"{attribute} of {len(changed)} windows' {learned.track}, in {unit}: "
        f"{means[0]:.3f} where reconstructed, {means[1]:.3f} after adding {strength:g} times"
    )
    return changed
