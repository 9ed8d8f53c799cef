"""The attribute vectors of a run."""

import dataclasses
import os
from collections.abc import Callable, Sequence

from magenta_vae.inference import attributes, samples
from magenta_vae.inference.reading import Music
from magenta_vae.music import attributes as musical
from magenta_vae.music import statistics
from magenta_vae.workflows.runs import Run

NUM_SHOWN = 256


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
    model = run.model()
    train, held_out = (
        samples.draw_windows(run.windows(split, data_dir), most, seed)
        for split, most in (("train", num_windows), ("eval", NUM_SHOWN))
    )
    run_dir = os.path.abspath(run.folder)
    learned = attributes.learn(model, train, track, run_dir=run_dir, step=run.step)
    effects = attributes.measure_effects(model, learned, held_out, temperature, seed)
    learned = dataclasses.replace(learned, effects=effects)
    attributes.write(output, learned)
    report(
        f"learned from {len(train):,} windows, shown on {len(held_out):,} held out, "
        f"temperature {temperature:g}"
    )
    report(attributes.format_effects(learned, effects))
    for name in learned.vectors:
        if warning := learned.warning(name):
            report(warning)
    report(f"wrote {output}")
    return learned


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
    if (learned.run_dir, learned.step) != (run_dir, run.step):
        report(
            f"note: {vectors} was learned from {learned.run_dir} at step {learned.step:,}; "
            f"this is {run_dir} at step {run.step:,}"
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
