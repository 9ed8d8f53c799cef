"""Table 1 as a study: each model, column and seed is a run of its own."""

import contextlib
import json
import os
import shutil
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import keras

from magenta_vae import configuration, display, files
from magenta_vae.data import descriptions, input_pipeline
from magenta_vae.inference import outputs
from magenta_vae.training import checkpoint_files, song_intervals
from magenta_vae.workflows import run_files, runs, study_songs, training
from magenta_vae.workflows.study_cells import COLUMNS, MODELS, SCALES, Cell

RESULT_FILE, SECONDS_FILE = "result.json", "seconds.json"
_RESULT_TYPES = {"cell": list, "seconds": (int, float), "figures": dict, "data": dict}
_FIGURE_TYPES = {"step": int, "examples": int, "tracks": dict}
NUM_SAMPLES = 8
NO_PICTURES = "loop.train.show_every = 0"  # Nobody watches dozens of runs; samples come at the end.


class Study:
    """The runs of a study, in a folder of their own.

    A run that was stopped goes on where it stood, one that is done is left as it is. Several
    processes may work on other cells of one study.

    Args:
        output_dir: the study's folder.
        data_dir: a folder with a data set for each model, by the model's name.
        scale: one of `study_cells.SCALES`.
        gin_params: further bindings, for every run.
        max_steps: instead of the configurations'.
        init_from: the folder of another study: a new run starts from the weights of the same
            model, column and seed there.
        gin_files: laid over the configuration of every run.
        eval_examples: held-out windows that the figures are of, which lie in random order; None
            for all.
        report: is given lines about the progress.

    Raises:
        ValueError: for a binding of the seed, which is the cell's.
    """

    def __init__(
        self,
        output_dir: str,
        data_dir: str,
        scale: str = "small",
        gin_params: Sequence[str] = (),
        max_steps: int | None = None,
        init_from: str | None = None,
        gin_files: Sequence[str] = (),
        eval_examples: int | None = None,
        report: Callable[[str], None] = lambda line: None,
    ):
        if any("Experiment.seed" in binding for binding in gin_params):
            raise ValueError(
                "--gin_param must not bind the seed of the runs: --first_seed and --seeds say "
                f"which seeds there are. Received: {', '.join(gin_params)}."
            )
        self.output_dir = output_dir
        self._data_dir = data_dir
        self._scale = scale
        self._gin_params = list(gin_params)
        self._max_steps = max_steps
        self._init_from = init_from
        self._gin_files = list(gin_files)
        self._eval_examples = eval_examples
        self._report = report

    def run(self, cells: Sequence[Cell]) -> Iterator[Cell]:
        """Trains and evaluates what is not done yet of some cells, and yields each when it is.

        Data sets, configurations and origins of all cells are checked before the first training.

        Raises:
            FileNotFoundError: where a model's data set is missing, with the command that builds it;
                where the study to start from has no run of a cell.
            ValueError: where a data set does not fit its model or holds no windows out; where the
                folder has runs of these models of another scale, binding, number of steps, data set
                or number of held-out windows: they would share rows of the table.
        """
        models = {cell.model for cell in cells}
        for model in models:
            self._find_data(model)
        cells_done = [cell for cell in self.done() if cell.model in models]
        done = {cell for cell in cells_done if self._is_whole(cell)}
        pending = [cell for cell in cells if cell not in done]
        for cell in pending:
            self._check(cell)
        self._report(f"{len(cells) - len(pending)} of {len(cells)} runs are done")
        for index, cell in enumerate(pending):
            rest = self._seconds_left(pending[index:])
            self._report(f"{cell}: {len(pending) - index} runs to go{rest}")
            self._run(cell)
            yield cell

    def result(self, cell: Cell) -> dict:
        """Returns what `result.json` says of a cell. Raises where the cell is not done."""
        return _read_result(os.path.join(self.run_dir(cell), RESULT_FILE))

    def done(self) -> Iterator[Cell]:
        """Yields all cells that are done, of whichever call."""
        for path in sorted(Path(self.output_dir, "runs").glob(f"*/{RESULT_FILE}")):
            yield Cell(*_read_result(path)["cell"])

    def run_dir(self, cell: Cell) -> str:
        """Returns the run's folder."""
        return _run_dir(self.output_dir, cell)

    def _origin(self, cell: Cell) -> run_files.Origin | None:
        """Returns what a cell starts from, None where that is chance."""
        if not self._init_from:
            return None
        run_dir = _run_dir(self._init_from, cell)
        is_begun = checkpoint_files.is_begun(self.run_dir(cell))
        if not (is_begun or os.path.isdir(run_dir)):  # A run that goes on needs no origin.
            raise FileNotFoundError(
                f"--init_from={self._init_from} has no run {cell}. Give a study that has the runs "
                "of all these models, columns and seeds."
            )
        return run_files.Origin(run_dir)

    def _find_data(self, model: str) -> str:
        data_dir = os.path.join(self._data_dir, model)
        if not descriptions.is_data_set(data_dir):
            raise FileNotFoundError(
                f"--data_dir={self._data_dir} holds no data set {model}. Build it first:\n"
                f"  {configuration.command('build_dataset')} --input=MIDI_FOLDER"
                f" --output_dir={data_dir} --gin_file={model}.gin"
            )
        return data_dir

    def _configure(self, cell: Cell) -> configuration.Configuration:
        """Returns the configuration of a cell."""
        name = SCALES[self._scale]
        scale = [name.format(model=cell.model)] if name else []
        gin_files = [f"{cell.model}.gin", *scale, *self._gin_files, *COLUMNS[cell.column][1]]
        seed = f"configuration.Experiment.seed = {cell.seed}"
        return configuration.parse(gin_files, [NO_PICTURES, *self._gin_params, seed])

    def _check(self, cell: Cell) -> tuple[configuration.Experiment, int]:
        """Refuses what a cell's training or evaluation would refuse, before either.

        Returns:
            The cell's experiment, and the number of held-out windows.
        """
        configured, data_dir = self._configure(cell), self._find_data(cell.model)
        origin, experiment = self._origin(cell), configured.experiment
        run_files.start(configured, self.run_dir(cell), data_dir, origin, is_writer=False)
        number = input_pipeline.count_windows(data_dir, "train", experiment.settings)
        input_pipeline.check_batch(number, experiment.batch_size, data_dir)
        return experiment, input_pipeline.count_windows(data_dir, "eval", experiment.settings)

    def _is_whole(self, cell: Cell) -> bool:
        """Says whether a cell that has a result has all its steps; they may have become more."""
        experiment, expected = self._check(cell)
        max_steps = self._max_steps or experiment.max_steps
        figures = self.result(cell)["figures"]
        step, examples = figures["step"], figures["examples"]
        expected = min(self._eval_examples or expected, expected)
        if examples != expected:
            raise ValueError(
                f"{self.run_dir(cell)} has figures of {examples:,} held-out windows; this study "
                f"asks for those of {expected:,}. Choose another --output_dir, or --eval_examples."
            )
        if step > max_steps:
            raise ValueError(
                f"{self.run_dir(cell)} holds a run of {step:,} steps; this study asks for "
                f"{max_steps:,}. Choose another --output_dir."
            )
        return step == max_steps

    def _run(self, cell: Cell) -> None:
        """Trains, evaluates and samples one cell; `result.json` is the last of its files."""
        keras.backend.clear_session()  # Of the run before.
        run_dir, configured = self.run_dir(cell), self._configure(cell)
        data_dir = self._find_data(cell.model)
        with _counted(os.path.join(run_dir, SECONDS_FILE)):
            training.train(
                *(configured, run_dir, data_dir, self._max_steps),
                report=self._report,
                show=display.show,
                origin=self._origin(cell),
            )
        run = runs.open(run_dir)
        metrics = measure(run, data_dir, self._eval_examples, run_dir)
        samples_dir = os.path.join(run_dir, "samples")
        shutil.rmtree(samples_dir, ignore_errors=True)
        music = run.model().sample(NUM_SAMPLES, seed=cell.seed)
        outputs.write_music(music, samples_dir, name="sample", plot=True)
        result = {
            "cell": cell,
            "seconds": _read_seconds(os.path.join(run_dir, SECONDS_FILE)),
            "figures": metrics,
            "data": run.record["data"],
        }
        files.write_text(os.path.join(run_dir, RESULT_FILE), json.dumps(result, indent=2) + "\n")

    def _seconds_left(self, cells: Sequence[Cell]) -> str:
        """Returns how long some cells take, by those of their models that are done."""
        seconds: dict[str, list[float]] = {}
        for cell in self.done():
            seconds.setdefault(cell.model, []).append(self.result(cell)["seconds"])
        known = [cell for cell in cells if cell.model in seconds]
        if not known:
            return ""
        total = sum(sum(seconds[cell.model]) / len(seconds[cell.model]) for cell in known)
        of = "" if len(known) == len(cells) else f" for {len(known)} of them"
        return f", about {total / 3600:.1f} hours{of}"


def measure(run: runs.Run, data_dir: str, num_windows: int | None, output_dir: str) -> dict:
    """Returns the figures of held-out windows, and writes the sums of their songs.

    Args:
        run: whose figures.
        data_dir: whose held-out windows.
        num_windows: how many of them; None for all.
        output_dir: where `study_songs` writes, where the data set says which songs they are of.
    """
    held_out = run.windows("eval", data_dir)
    known = run.provenance("eval", len(held_out), data_dir)
    songs = known and known.first(num_windows)
    sums = song_intervals.SongSums(songs.songs) if songs else None
    metrics = run.metrics(held_out[:num_windows], songs, [sums] if sums else [])
    if sums:
        study_songs.write(output_dir, sums.sums)
    return metrics


def _run_dir(study_dir: str, cell: Cell) -> str:
    return os.path.join(study_dir, "runs", str(cell))


@contextlib.contextmanager
def _counted(path: str) -> Iterator[None]:
    """Adds the seconds that something takes to those in a file, also where it is stopped."""
    start = time.monotonic()
    try:
        yield
    finally:
        if os.path.isdir(os.path.dirname(path)):
            total = _read_seconds(path) + time.monotonic() - start
            files.write_text(path, json.dumps(total) + "\n")


def _read_result(path: str | os.PathLike) -> dict:
    """Returns what `result.json` says. Raises `ValueError` where it is damaged."""
    result = files.read_json(path)
    files.check_types(path, result, _RESULT_TYPES, _RESULT_TYPES)
    files.check_types(path, result["figures"], _FIGURE_TYPES, _FIGURE_TYPES)
    cell = result["cell"]
    is_cell = list(map(type, cell)) == [str, str, int]
    if not is_cell or cell[0] not in MODELS or cell[1] not in COLUMNS:
        raise ValueError(
            f"{os.fspath(path)} is damaged: cell must be a model, a column and a seed. "
            f"Received: {cell}."
        )
    return result


def _read_seconds(path: str) -> float:
    """Returns the seconds in a file; none, with a warning, of a file that is damaged."""
    if not os.path.exists(path):
        return 0.0
    try:
        return float(files.read_json(path))
    except (TypeError, ValueError):  # It is a note beside the run: no reason to stop.
        warnings.warn(f"{path} is damaged: what it counted is left out.", stacklevel=2)
        return 0.0
