"""A run that is opened, as a value: what it is, and the model, windows and metrics of it."""

import dataclasses
import functools
import os
import warnings
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from magenta_vae import configuration, start_up_lines
from magenta_vae.contracts import LatentModel
from magenta_vae.data import input_pipeline
from magenta_vae.data.settings import Settings
from magenta_vae.inference import forked_processes, generation
from magenta_vae.training import evaluation, weights
from magenta_vae.workflows import run_files


@dataclasses.dataclass(frozen=True)
class Run:
    """A run that is opened. Threads may open and use several at a time.

    Args:
        folder: where it lies.
        checkpoint: which of its weights are meant: `latest`, `best` (by held-out loss) or a step.
        configured: what it is; see `configuration.Configuration`.
        record: what it was made of and with, as `run.json` says.
    """

    folder: str
    checkpoint: str | int
    configured: configuration.Configuration
    record: Mapping

    @property
    def experiment(self) -> configuration.Experiment:
        """Everything that defines the run."""
        return self.configured.experiment

    @property
    def settings(self) -> Settings:
        """What its windows are."""
        return self.experiment.settings

    @functools.cached_property
    def _weights(self) -> tuple[LatentModel, int]:
        forked_processes.claim()
        try:
            network = weights.make_empty(self.experiment.make_model)
        except tf.errors.ResourceExhaustedError as error:
            raise MemoryError(
                f"The model that {self.folder} describes does not fit into the memory there is."
            ) from error
        start_up_lines.settle()
        return network, weights.load_weights(self.folder, network, self.checkpoint)

    @property
    def network(self) -> LatentModel:
        """The `MusicVAE` with the weights of the checkpoint, which are read once."""
        return self._weights[0]

    @property
    def step(self) -> int:
        """The training step of the weights."""
        return self._weights[1]

    def model(self, **options) -> generation.TrainedModel:
        """Returns the model, ready to make music, with options of `TrainedModel`."""
        return generation.TrainedModel(self.network, self.settings.window_format, **options)

    def data_dir(self) -> str:
        """Returns the data set that the run was trained on; see `run_files.data_dir_of`."""
        return run_files.data_dir_of(self.folder, self.record)

    def windows(
        self, split: str, data_dir: str | None = None, skip_corrupt: bool = False
    ) -> np.ndarray:
        """Returns a split of the run's data, or of another data set: [windows, steps, tracks].

        Of a data set that is given and is not the run's own a warning says so.

        Raises:
            FileNotFoundError: where there is no data set.
            ValueError: for a data set of other windows than the run's, a damaged one, or, where
                none is given, one that is no longer what the run was trained on.
        """
        place = data_dir or self.data_dir()
        tokens = input_pipeline.load_tokens(place, split, self.settings, skip_corrupt)
        expected = (self.record.get("data_digests") or {}).get(split)
        if expected and not skip_corrupt and input_pipeline.digest_of(tokens) != expected:
            message = f"The {split} windows in {place} are not those of the run in {self.folder}"
            if data_dir is None:
                raise ValueError(f"{message}. To take them as they are, give --data_dir={place}.")
            warnings.warn(f"{message}: its figures are of other music.", stacklevel=2)
        return tokens

    def metrics(self, tokens: np.ndarray) -> dict:
        """Returns the metrics of Table 1 of windows; see `evaluation.Evaluation`."""
        batch_size = self.experiment.eval_batch_size
        return evaluation.Evaluation(self.network, tokens, batch_size)(self.step)


def open(run_dir: str, checkpoint: str | int = "latest", modules: Collection[str] = ()) -> Run:
    """Opens a run, whoever made it: its configuration is data, of which nothing is run.

    Args:
        run_dir: a folder written by `train` or `import_magenta`.
        checkpoint: which of its weights: `latest`, `best` (by held-out loss) or a step.
        modules: of one's own whose configurables the run may name: they are imported.

    Raises:
        FileNotFoundError: where the folder is no run.
        UntrustedConfiguration: where its configuration names anything but configurables.
        ValueError: where a file of it is damaged, with its name.
    """
    if not isinstance(run_dir, str | os.PathLike):
        raise ValueError(f"run_dir must be a path. Received: {run_dir!r}.")
    run_dir = os.fspath(run_dir)
    path = run_files.require_config(run_dir)
    configured = configuration.parse_run(path, modules)
    return Run(run_dir, checkpoint, configured, run_files.read_record(run_dir))


def name_of(gin_files: Sequence[str]) -> str:
    """Returns the name of a configuration of several files, as in mel_2bar-small."""
    return "-".join(Path(name).stem for name in gin_files)
