"""Music that a run makes, as files: what is made of it, and what is written of that.

Each function takes an opened run, how music is read (see `inference.reading.WindowReader`), what
part of it (the arguments of `inference.excerpts.Excerpt`), and what `outputs.write_music` takes
beside the music and its name. It returns the paths of the files.
"""

from collections.abc import Callable, Mapping, Sequence

from magenta_vae.inference import data_prior, outputs, reading
from magenta_vae.workflows import attributes, comparisons, inputs
from magenta_vae.workflows.comparisons import GENERATED, RECONSTRUCTED, Made
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
    """Writes samples of a prior, and pictures of each and of all.

    Says where N(0, I) is far from where the training windows lie.

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
    made = Made(music, [GENERATED] * len(music), prior=prior)
    return _write(run, made, f"sample-seed{seed}", "sample", temperature, seed, report, **writing)


def interpolate(
    run: Run,
    start: str,
    end: str,
    num_steps: int,
    temperature: float,
    seed: int,
    reading_options: Mapping,
    of_start: Mapping,
    of_end: Mapping,
    report: Callable[[str], None] = lambda line: None,
    **writing,
) -> list[str]:
    """Writes music on the way from one piece to another, and pictures of each and of all."""
    model = run.model(**reading_options)
    first = inputs.read_first(model, start, of_start, report, "start")
    last = inputs.read_first(model, end, of_end, report, "end")
    music = model.interpolate(first, last, num_steps, temperature, seed)
    between = num_steps - 2
    made = Made(
        music,
        [RECONSTRUCTED, *[GENERATED] * between, RECONSTRUCTED],
        reading.join([first, last]),
        [0, *[None] * between, 1],
        [None, *(step / max(between - 1, 1) for step in range(between)), None],
    )
    return _write(run, made, "interpolation", "step", temperature, seed, report, **writing)


def reconstruct(
    run: Run,
    paths: Sequence[str],
    temperature: float,
    seed: int,
    reading_options: Mapping,
    choice: Mapping,
    report: Callable[[str], None] = lambda line: None,
    **writing,
) -> list[str]:
    """Writes each window of some music, encoded and decoded again, and pictures of both."""
    model = run.model(**reading_options)
    read = inputs.read(model, paths, choice, report)
    music = model.reconstruct(read, temperature, seed)
    made = Made(music, [RECONSTRUCTED] * len(music), read, range(len(music)))
    return _write(run, made, "reconstruction", "window", temperature, seed, report, **writing)


def similar(
    run: Run,
    paths: Sequence[str],
    num_samples: int,
    similarity: float,
    temperature: float,
    seed: int,
    reading_options: Mapping,
    choice: Mapping,
    report: Callable[[str], None] = lambda line: None,
    **writing,
) -> list[str]:
    """Writes variations of each window of some music, and pictures of both."""
    model = run.model(**reading_options)
    read = inputs.read(model, paths, choice, report)
    music, sources = [], []
    for index in range(len(read.windows)):
        window = read[index : index + 1]
        music += model.similar(window, num_samples, similarity, temperature, seed)
        sources += [index] * num_samples
    made = Made(music, [GENERATED] * len(music), read, sources)
    return _write(run, made, "similar", "variation", temperature, seed, report, **writing)


def apply_attribute(
    run: Run,
    vectors: str,
    attribute: str,
    paths: Sequence[str],
    strength: float,
    temperature: float,
    seed: int,
    reading_options: Mapping,
    choice: Mapping,
    report: Callable[[str], None],
    **writing,
) -> list[str]:
    """Writes each window of some music with more of an attribute; see `attributes.apply`."""
    read = inputs.read(run.model(**reading_options), paths, choice, report)
    music = attributes.apply(run, vectors, attribute, read, strength, temperature, seed, report)
    name = f"{attribute}{strength:+g}"
    made = Made(music, [GENERATED] * len(music), read, range(len(music)))
    return _write(run, made, name, name, temperature, seed, report, has_sheet=False, **writing)


def _write(
    run: Run,
    made: Made,
    name: str,
    what: str,
    temperature: float,
    seed: int,
    report: Callable[[str], None],
    has_sheet: bool = True,
    plot: bool = False,
    made_by: Mapping | None = None,
    **writing,
) -> list[str]:
    """Writes music that was made, and pictures of each piece and of all, where they are asked for.

    Args:
        run, made, what, temperature, seed, report, made_by: see `comparisons.options`.
        name: what the names of the files begin with.
        has_sheet: whether all pieces are drawn as one more picture.
        plot, **writing: of `outputs.write_music`.
    """
    shown = comparisons.options(run, made, what, temperature, seed, report, made_by)
    writing |= {"plot": plot, "strip": plot and has_sheet, "report": report}
    return outputs.write_music(made.music, name=name, **shown, **writing)
