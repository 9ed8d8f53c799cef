"""A trained model in use in this process."""

import functools
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from magenta_vae import display
from magenta_vae.contracts import LatentModel
from magenta_vae.inference import data_prior, forked_processes, graphs, latents, validation
from magenta_vae.inference.data_prior import DATA, STANDARD, DataPrior
from magenta_vae.inference.music_model import MusicModel
from magenta_vae.inference.reading import REFUSE, WindowReader
from magenta_vae.music.window_format import WindowFormat

MAX_BATCH = 64


class TrainedModel(MusicModel):
    """Encodes, decodes, samples and interpolates music; see `MusicModel`.

    Each kind of call builds one graph, the first time, for batches of any size; decoding has
    another for one point. Threads may share a model; a process that is forked from one that has
    used a model may not use any, for TensorFlow would hang there: it is refused, see
    `forked_processes`.

    Args:
        model: a `MusicVAE` with its weights.
        window_format: the tracks and the length of its windows.
        polyphony, pad: how music is read that does not fit; see `reading.WindowReader`.
        jit_compile: whether XLA compiles decoding. That takes seconds at the first batch of 1, 2,
            4 ... 64 points; from then on decoding single windows of several tracks is faster. It
            rounds otherwise: of thousands of tokens one may differ, and what follows it.
        find_data_prior: returns the mixture that `prior="data"` draws from; it is asked for once,
            when it is needed. None for a model without.
        find_windows: (data set or None, split) -> the windows that `encode_dataset` encodes. None
            for a model without.

    Example:
        >>> z = model.encode("song.mid")  # float32 [windows, z_size]
        >>> music = model.decode(z, temperature=0.5, seed=0)
        >>> variations = model.similar("song.mid", 4, similarity=0.8)
    """

    def __init__(
        self,
        model: LatentModel,
        window_format: WindowFormat,
        polyphony: str = REFUSE,
        pad: bool = False,
        jit_compile: bool = False,
        find_data_prior: Callable[[], DataPrior] | None = None,
        find_windows: Callable[[str | None, str], latents.Windows] | None = None,
    ):
        validation.check_flag("jit_compile", jit_compile)
        self._model = model
        self._window_format = window_format
        self._find_data_prior = find_data_prior
        self._find_windows = find_windows
        self._window_reader = WindowReader(window_format, polyphony, pad)
        shape = [None, window_format.num_steps, len(window_format.tracks)]
        window = tf.TensorSpec(shape, tf.int32)
        self._encode_graph = tf.function(model.encode, [window], autograph=False)
        self._decode_graph = graphs.make_decoder(model, jit_compile)
        self._prior_graph = graphs.make_prior(model)
        self._component_graph = graphs.make_component()

    @property
    def window_format(self) -> WindowFormat:
        """The tracks and the length of a window."""
        return self._window_format

    @property
    def z_size(self) -> int:
        """Dimensions of the latent space; 0 of a baseline."""
        return self._model.z_size

    def encode_dataset(
        self, data_dir: str | None = None, split: str = "eval"
    ) -> Iterator[latents.Latents]:
        """Yields the posteriors of a split's windows, some at a time: of any number of windows.

        Args:
            data_dir: a data set; the run's own for None.
            split: `train`, `eval` or `test`.

        Raises:
            FileNotFoundError: where there is no data set.
            ValueError: for a data set of other windows than the model's, and for a model without a
                latent space.

        Example:
            >>> mu, sigma, tokens, songs, bars = latents.join(model.encode_dataset("data/mine"))
        """
        if self._find_windows is None:
            raise ValueError("This model knows no data sets. Use one that `magenta_vae.load` gave.")
        return latents.encode(self, self._find_windows(data_dir, split))

    def decode_rows(self, z: np.ndarray, temperature: float, pairs: np.ndarray) -> np.ndarray:
        """Returns int32 [points, steps, tracks] tokens of points, each drawn with its own seed.

        Args:
            z: float32 [points, z_size], finite.
            temperature: of the softmax.
            pairs: their seeds, int64 [points, 2]; `decode_tokens` draws row i with (seed, i).
        """
        return self._batched(
            lambda points, seeds: self._decode_graph(points, temperature, seeds),
            "decoding",
            z,
            pairs,
        )

    def prior_rows(self, pairs: np.ndarray, prior: str = STANDARD) -> np.ndarray:
        """Returns a point of a prior for each seed, float32 [points, z_size]; see `sample_z`.

        Args:
            pairs: the seeds, int64 [points, 2]; `sample_z` draws row i with (seed, i).
            prior: `standard` or `data`.
        """
        data_prior.check(prior)
        standard = self._batched(self._prior_graph, "sampling", pairs)
        if prior == STANDARD:
            return standard
        mixture = self._fitted_prior.mixture
        return mixture.points(standard, self._batched(self._component_graph, "sampling", pairs))

    @property
    def _reader(self) -> WindowReader:
        return self._window_reader

    def _posterior(self, tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        both = self._batched(
            lambda batch: tf.stack(self._encode_graph(batch), axis=1), "encoding", tokens
        )
        return both[:, 0], both[:, 1]

    def _decode(self, z: np.ndarray, temperature: float, seed: int) -> np.ndarray:
        return self.decode_rows(z, temperature, _row_seeds(seed, len(z)))

    def _prior(self, num_samples: int, seed: int) -> np.ndarray:
        return self.prior_rows(_row_seeds(seed, num_samples))

    def _data_prior(self, num_samples: int, seed: int) -> np.ndarray:
        if self._find_data_prior is None or not self.z_size:
            return super()._data_prior(num_samples, seed)
        return self.prior_rows(_row_seeds(seed, num_samples), DATA)

    @functools.cached_property
    def _fitted_prior(self) -> DataPrior:
        assert self._find_data_prior is not None
        return self._find_data_prior()

    def _batched(self, function, what: str, *arrays: np.ndarray) -> np.ndarray:
        """Applies a function of batches to rows of any number; `what` is said of its progress."""
        forked_processes.claim()
        num_rows = max(1, len(arrays[0]))  # No rows are a batch too: it has the result's shape.
        batches = [
            function(*(tf.constant(array[first : first + MAX_BATCH]) for array in arrays)).numpy()
            for first in display.track(range(0, num_rows, MAX_BATCH), f"{what} batches")
        ]
        return np.concatenate(batches)


def _row_seeds(seed: int, num_rows: int) -> np.ndarray:
    """Returns a seed for each row, int64 [rows, 2]. Raises `ValueError` for one that is none."""
    validation.check_seed(seed)
    return np.stack([np.full(num_rows, seed), np.arange(num_rows)], axis=-1).astype(np.int64)
