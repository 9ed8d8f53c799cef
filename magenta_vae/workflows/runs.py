"""A run that is opened, as a value: what it is, and the model, windows and metrics of it."""

import dataclasses
import functools
import os
import warnings
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from magenta_vae import configuration, files, start_up_lines, threads
from magenta_vae.contracts import LatentModel
from magenta_vae.data import input_pipeline, provenance
from magenta_vae.data.provenance import Provenance
from magenta_vae.data.settings import Settings
from magenta_vae.inference import data_prior, forked_processes, generation, latents, samples
from magenta_vae.training import evaluation, song_intervals, weights
from magenta_vae.training.window_figures import Listener
from magenta_vae.workflows import model_files, run_files


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

    def model(self, data_dir: str | None = None, **options) -> generation.TrainedModel:
        """Returns the model, ready to make music.

        Args:
            data_dir: the data set of `find_data_prior`, where the run keeps none, and of
                `encode_dataset`.
            **options: of `TrainedModel`.
        """
        if not options.get("jit_compile"):  # A program of XLA's is one operation.
            threads.share_cores()
        found = {
            "find_data_prior": functools.partial(self.find_data_prior, data_dir),
            "find_windows": lambda place, split: self.windows_of_songs(split, place or data_dir),
        }
        return generation.TrainedModel(
            self.network, self.settings.window_format, **{**found, **options}
        )

    def kept_data_prior(self) -> data_prior.DataPrior | None:
        """Returns the mixture that training kept, None where it is of other weights or missing."""
        path = os.path.join(self.folder, data_prior.FILE)
        if not self.network.z_size or not os.path.exists(path):
            return None
        kept = data_prior.read(path, self.network.z_size)
        return kept if kept.step == self.step else None

    def kept_figures(self) -> dict | None:
        """Returns the metrics that training took last, None where they are of other weights.

        They are those of `metrics`, with `samples`, as `samples.compare` gives them, where the
        experiment compares samples.
        """
        path = os.path.join(self.folder, model_files.FIGURES_FILE)
        if not os.path.exists(path):
            return None
        kept = files.read_json(path, ["step"])
        return kept if kept["step"] == self.step else None

    def find_data_prior(self, data_dir: str | None = None) -> data_prior.DataPrior:
        """Returns the mixture of the training windows, fitted now where training kept none.

        Args:
            data_dir: a data set, whose windows are taken in any case; None for the run's own.

        Raises:
            ValueError: for a model without a latent space, and as `windows` does.
            FileNotFoundError: where there is no data set.
        """
        if not self.network.z_size:
            raise ValueError("There are no Gaussians of z: the model is a baseline, without a z.")
        kept = None if data_dir else self.kept_data_prior()
        return kept or fit_data_prior(self.model(), self.windows("train", data_dir), self.step)

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
        if not skip_corrupt and self.is_own(split, tokens) is False:
            message = f"The {split} windows in {place} are not those of the run in {self.folder}"
            if data_dir is None:
                raise ValueError(f"{message}. To take them as they are, give --data_dir={place}.")
            warnings.warn(f"{message}: its figures are of other music.", stacklevel=2)
        return tokens

    def provenance(
        self, split: str, num_windows: int, data_dir: str | None = None
    ) -> Provenance | None:
        """Returns which songs the windows are of that `windows` returned, None where none says it.

        Args:
            split: which windows.
            num_windows: how many they are.
            data_dir: the data set; the run's own for None.
        """
        return provenance.read(data_dir or self.data_dir(), split, num_windows)

    def windows_of_songs(self, split: str, data_dir: str | None = None) -> latents.Windows:
        """Returns the windows of a split with their songs, where these are known.

        Raises as `windows` does; that those of a data set that is given are others is no news.
        """
        if data_dir is None:
            tokens = self.windows(split)
        else:
            tokens = input_pipeline.load_tokens(data_dir, split, self.settings)
        known = self.provenance(split, len(tokens), data_dir)
        if known is None:
            return latents.Windows(tokens)
        return latents.Windows(tokens, known.songs, known.bars + 1, known.paths)

    def training_windows(
        self, data_dir: str | None = None, skip_corrupt: bool = False
    ) -> np.ndarray | None:
        """Returns the windows that the run was trained on, None where a data set holds others.

        Args:
            data_dir: a data set; the run's own for None.
            skip_corrupt: see `input_pipeline.load_tokens`.
        """
        if data_dir is None:
            return self.windows("train", skip_corrupt=skip_corrupt)
        tokens = input_pipeline.load_tokens(data_dir, "train", self.settings, skip_corrupt)
        return tokens if self.is_own("train", tokens) else None

    def is_own(self, split: str, tokens: np.ndarray) -> bool | None:
        """Says whether windows are those of the run's own split; None where it did not keep which.

        Args:
            split: `train` or `eval`.
            tokens: int [windows, steps, tracks].
        """
        expected = (self.record.get("data_digests") or {}).get(split)
        return input_pipeline.digest_of(tokens) == expected if expected else None

    def evaluate(self, tokens: np.ndarray, listeners: Sequence[Listener] = ()) -> dict:
        """Returns what `evaluation.Evaluation` measures of windows; see `metrics`."""
        measure = evaluation.Evaluation(
            self.network,
            tokens,
            self.experiment.eval_batch_size,
            tracks=self.settings.window_format.tracks,
        )
        return measure(self.step, listeners)

    def metrics(
        self,
        tokens: np.ndarray,
        known: Provenance | None = None,
        listeners: Sequence[Listener] = (),
    ) -> dict:
        """Returns the metrics of Table 1 of windows, and where the training windows lie.

        See `evaluation.Evaluation`; for `data_prior`, which is left out where there is neither
        a mixture that training kept nor the run's data set, `data_prior.describe`; and for
        `intervals`, left out where the songs of the windows are not known, `song_intervals`.

        Args:
            tokens: the windows, int [windows, steps, tracks].
            known: their songs, where these are known.
            listeners: are given the figures of each window too.
        """
        try:
            where = {"data_prior": data_prior.describe(self.find_data_prior())}
        except (OSError, ValueError):  # A baseline, or a run whose data is elsewhere.
            where = {}
        if known is None:
            return self.evaluate(tokens, listeners) | where
        of_songs = song_intervals.SongSums(known.songs)
        metrics = self.evaluate(tokens, [*listeners, of_songs])
        return metrics | where | {"intervals": song_intervals.describe(of_songs)}


def fit_data_prior(
    model: generation.TrainedModel,
    tokens: np.ndarray,
    step: int,
    num_windows: int = data_prior.NUM_WINDOWS,
    num_gaussians: int = data_prior.NUM_GAUSSIANS,
) -> data_prior.DataPrior:
    """Returns Gaussians of where a model puts windows, int [windows, steps, tracks].

    Args:
        model: with a latent space.
        tokens: windows.
        step: the training step of its weights.
        num_windows, num_gaussians: how many of both, at most.
    """
    drawn = samples.draw_windows(tokens, num_windows)
    return data_prior.fit(*model.posterior(drawn), step, num_gaussians)


def open(run_dir: str, checkpoint: str | int = "latest", modules: Collection[str] = ()) -> Run:
    """Opens a run, whoever made it: its configuration is data, of which nothing is run.

    Args:
        run_dir: a folder written by `train`, `import_magenta` or `publish`; `model_places.find`
            has those of names and addresses.
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
    if model_files.is_published(run_dir):
        model_files.check(run_dir)
    path = run_files.require_config(run_dir)
    configured = configuration.parse_run(path, modules)
    return Run(run_dir, checkpoint, configured, run_files.read_record(run_dir))


def name_of(gin_files: Sequence[str]) -> str:
    """Returns the name of a configuration of several files, as in mel_2bar-small."""
    return "-".join(Path(name).stem for name in gin_files)
