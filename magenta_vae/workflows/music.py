"""Music that a run makes, as files: what is made of it, and what is written of that.

Each function takes an opened run, how music is read (see `inference.reading.WindowReader`), and
what `outputs.write_music` takes beside the music and its name. It returns the paths of the files.
"""

from collections.abc import Callable, Mapping, Sequence

from magenta_vae.inference import data_prior, outputs
from magenta_vae.workflows import attributes
from magenta_vae.workflows.runs import Run


def sample(
    run: Run,
    num_samples: int,
    temperature: float,
    seed: int,
    prior: str = data_prior.STANDARD,
    data_dir: str | None = None,
    *,
    report: Callable[[str], None] = lambda line: None,
    **writing,
) -> list[str]:
    """Writes samples of a prior; says where N(0, I) is far from where the training windows lie.

    Args:
        run: an opened run.
        num_samples, temperature, seed, prior: see `MusicModel.sample`.
        data_dir: see `Run.find_data_prior`.
        report: is given the lines about the result.
        **writing: of `outputs.write_music`.
    """
    kept = run.kept_data_prior() if prior == data_prior.STANDARD else None
    if advice := data_prior.advice(kept) if kept else None:
        report(advice)
    music = run.model(data_dir).sample(num_samples, temperature, seed, prior)
    return outputs.write_music(music, name=f"sample-seed{seed}", report=report, **writing)


def interpolate(
    run: Run,
    start: str,
    end: str,
    num_steps: int,
    temperature: float,
    seed: int,
    reading: Mapping,
    plot: bool = False,
    **writing,
) -> list[str]:
    """Writes music on the way from one file to another, and pictures of each and of all."""
    music = run.model(**reading).interpolate(start, end, num_steps, temperature, seed)
    return outputs.write_music(music, name="interpolation", plot=plot, strip=plot, **writing)


def reconstruct(
    run: Run, inputs: Sequence[str], temperature: float, seed: int, reading: Mapping, **writing
) -> list[str]:
    """Writes each window of some files, encoded and decoded again."""
    music = run.model(**reading).reconstruct(inputs, temperature, seed)
    return outputs.write_music(music, name="reconstruction", **writing)


def similar(
    run: Run,
    path: str,
    num_samples: int,
    similarity: float,
    temperature: float,
    seed: int,
    reading: Mapping,
    **writing,
) -> list[str]:
    """Writes variations of the first window of a file."""
    music = run.model(**reading).similar(path, num_samples, similarity, temperature, seed)
    return outputs.write_music(music, name="similar", **writing)


def apply_attribute(
    run: Run,
    vectors: str,
    attribute: str,
    inputs: Sequence[str],
    strength: float,
    temperature: float,
    seed: int,
    reading: Mapping,
    report: Callable[[str], None],
    **writing,
) -> list[str]:
    """Writes each window of some files with more of an attribute; see `attributes.apply`."""
    music = attributes.apply(
        run, vectors, attribute, inputs, strength, temperature, seed, report, **reading
    )
    name = f"{attribute}{strength:+g}"
    return outputs.write_music(music, name=name, report=report, **writing)
