"""TFRecords of windows -> batches of tokens.

Every window is tokenized once, the first time a data set is loaded, and kept beside the records as
the smallest integers that hold its classes (`data/token_files`): 28 million 2-bar melodies (paper,
Dataset) are 0.9 GB. From there on they are mapped into memory, and a step reads the windows of its
batch. Their order is a function of (seed, step) alone, whatever the number of replicas, so that a
run resumed at any step reads what it would have read.
"""

import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np
import tensorflow as tf

from magenta_vae import display
from magenta_vae.data import descriptions, shard_reading, token_files
from magenta_vae.data.curriculum import Piece
from magenta_vae.data.settings import Settings
from magenta_vae.data.token_files import digest_of
from magenta_vae.music import classes
from magenta_vae.music import tokens as music_tokens

__all__ = ["Transposition", "check_batch", "count_windows", "digest_of", "load_tokens"]
__all__ += ["training_batches"]

PARALLEL_CALLS = 2  # A chunk is drawn in far less time than trained on.
WINDOWS_PER_RELEASE = 64  # Of a large data set each lies on pages of its own, of 64 KB.
_SHARES = {"train": "eval_fraction=0.1", "eval": "eval_fraction=0.3", "test": "test_fraction=0.3"}
SHUFFLE_ROUNDS = 16  # With the op's default of 4, seeds as small as 0 leave the order half sorted.


def load_tokens(
    data_dir: str,
    split: str,
    settings: Settings,
    skip_corrupt: bool = False,
    checked: int | None = None,
) -> np.ndarray:
    """Returns a split whole: unsigned int [windows, steps, tracks].

    They are mapped, `token_files.Tokens`, and made of the records where none are kept, or where
    those that are kept are not of the records as they are now. Where they cannot be kept, as in a
    folder that is read-only, a warning says so, and they are read into memory.

    Args:
        data_dir: a folder written by `scripts/build_dataset`.
        split: `train`, `eval` or `test`.
        settings: what the model expects a window to be.
        skip_corrupt: whether to go on without damaged records, with a warning that counts them.
            What is read so is not kept.
        checked: see `TokenFiles.open`.

    Raises:
        FileNotFoundError: where the data set or one of its shards is missing.
        ValueError: where it holds other windows, no windows, or damaged ones.
    """
    description = descriptions.read(data_dir)
    shards = _check(data_dir, split, description, settings)
    kept = token_files.TokenFiles(data_dir, split, shards, settings)
    tokens = kept.open(checked)
    if tokens is not None:
        return tokens
    compression = description.get(descriptions.COMPRESSION)
    if not skip_corrupt:
        try:
            return kept.write(_read_shards(data_dir, split, shards, settings, compression))
        except OSError as error:
            warnings.warn(
                f"The tokens of {split} cannot be kept beside the records, which are read at each "
                f"start: {error}.",
                stacklevel=2,
            )
    batches = list(_read_shards(data_dir, split, shards, settings, compression, skip_corrupt))
    if not batches:
        raise ValueError(f"No window of the {split} split of {data_dir} is left undamaged.")
    return np.concatenate(batches)


def has_windows(data_dir: str, split: str) -> bool:
    """Says whether a data set holds any window of a split."""
    return bool(sum(descriptions.read(data_dir)["shards"].get(split, {}).values()))


def count_windows(data_dir: str, split: str, settings: Settings) -> int:
    """Returns the windows of a split as its data set tells them, which reads none of them.

    It refuses what `load_tokens` refuses before it reads windows.
    """
    return sum(_check(data_dir, split, descriptions.read(data_dir), settings).values())


def check_batch(num_windows: int, batch_size: int, data_dir: str | None = None) -> None:
    """Raises `ValueError` where a train split has fewer windows than one batch.

    Args:
        num_windows: of the split.
        batch_size: windows of a batch.
        data_dir: the data set, for the error.
    """
    if num_windows < batch_size:
        where = f"--data_dir={data_dir}" if data_dir else "The train split"
        fitting = 1 << max(num_windows, 1).bit_length() - 1
        raise ValueError(
            f"{where} holds {num_windows} windows to train on, fewer than one batch of "
            f"{batch_size}. Add songs, or lower batch_size: --gin_param=batch_size={fitting}."
        )


def training_batches(
    tokens: np.ndarray,
    batch_size: int,
    seed: int,
    chunks: Sequence[tuple[int, int]],
    rows: Sequence[slice] = (slice(None),),
    augment: Callable[[tf.Tensor, tf.Tensor], tf.Tensor] | None = None,
    piece: Piece | None = None,
) -> tf.data.Dataset:
    """Returns the batches of a run of steps, shuffled anew each epoch, every window once an epoch.

    Args:
        tokens: [windows, steps, tracks].
        batch_size: windows of the global batch of one training step.
        seed: of the order and of the augmentation.
        chunks: (first step, number of steps) of each element, in order.
        rows: the rows of the global batch that each replica gets.
        augment: (tokens [B, T, K], seed [2]) -> tokens, drawn anew at every visit. Where it has
            `of_rows`, as `Transposition` has, no other rows are read than those of `rows`.
        piece: what is cut of each window before; None for whole windows.

    Returns:
        For each chunk and then each of `rows`, int32 [steps of the chunk, rows, T, K], where T is
        that of the windows or of the pieces.

    Raises:
        ValueError: where there are fewer windows than one batch.
    """
    num_windows = len(tokens)
    check_batch(num_windows, batch_size)
    array = np.asarray(tokens)  # An array like any other: `Tokens` takes longer to index.
    release = getattr(tokens, "release", lambda: None)

    def read(order):
        # Of tokens that are mapped, these windows alone are read, and the pages around them.
        windows = np.empty((len(order), *array.shape[1:]), array.dtype)
        for first in range(0, len(order), WINDOWS_PER_RELEASE):
            rows = slice(first, first + WINDOWS_PER_RELEASE)
            windows[rows] = array.take(order[rows], axis=0)
            release()
        return windows

    augment_rows = getattr(augment, "of_rows", None)

    def read_rows(step, first_row, last_row):
        windows = read_windows(step, first_row, last_row)
        if piece is None:
            return windows
        draws = tf.stack([np.int64(seed), -1 - step])  # Others than the augmentation's.
        return piece.of_rows(windows, draws, batch_size, first_row)

    def read_windows(step, first_row, last_row):
        positions = step * batch_size + tf.range(first_row, last_row, dtype=tf.int64)
        epochs = positions // num_windows
        seeds = tf.stack([tf.fill(tf.shape(epochs), np.int64(seed)), epochs, 0 * epochs], axis=-1)
        # The op itself: `tf.random.experimental.index_shuffle` takes one seed, not one an index.
        order = tf.raw_ops.RandomIndexShuffle(
            index=positions % num_windows,
            seed=seeds,
            max_index=np.int64(num_windows - 1),
            rounds=SHUFFLE_ROUNDS,
        )
        windows = tf.numpy_function(read, [order], array.dtype, stateful=False)
        return tf.cast(tf.ensure_shape(windows, [None, *array.shape[1:]]), tf.int32)

    def step_batch(step, first_row, last_row):
        draws = tf.stack([np.int64(seed), step])
        if augment is None:
            return read_rows(step, first_row, last_row)
        if augment_rows is not None:
            own = read_rows(step, first_row, last_row)
            return augment_rows(own, draws, batch_size, first_row)
        # The whole batch: the draws must not depend on the number of replicas.
        return augment(read_rows(step, 0, batch_size), draws)[first_row:last_row]

    num_steps_of_each = array.shape[1] if piece is None else piece.num_steps

    def chunk_batch(first_step, num_steps, first_row, last_row):
        return tf.map_fn(
            lambda step: step_batch(step, first_row, last_row),
            first_step + tf.range(num_steps),
            fn_output_signature=tf.TensorSpec([None, num_steps_of_each, array.shape[2]], tf.int32),
        )

    elements = np.array(
        [
            (start, count, *share.indices(batch_size)[:2])
            for start, count in chunks
            for share in rows
        ],
        np.int64,
    ).reshape(-1, 4)
    dataset = tf.data.Dataset.from_tensor_slices(tuple(elements.T))
    options = shard_reading.untuned()
    # What a strategy would split is split already, by rows.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return (
        dataset.map(chunk_batch, num_parallel_calls=PARALLEL_CALLS, deterministic=True)
        .prefetch(2 * len(rows))
        .with_options(options)
    )


class Transposition:
    """Shifts all pitches of a window by one random interval (paper, Dataset).

    Args:
        tracks: the vocabularies; drums are left alone.
        min_shift, max_shift: the interval in semitones, both ends included. Each draw is limited
            so that every pitch of the window stays among those its vocabulary has tokens of.
    """

    def __init__(
        self, tracks: Sequence[music_tokens.Vocabulary], min_shift: int = -5, max_shift: int = 6
    ):
        if not min_shift <= 0 <= max_shift:
            raise ValueError(
                "The interval of transposition must hold 0. "
                f"Received: min_shift={min_shift}, max_shift={max_shift}."
            )
        # No tensors: with the first one TensorFlow's devices are settled.
        ranges = [classes.pitch_tokens(track) for track in tracks]
        self._first = np.array([tokens.start for tokens in ranges], np.int32)  # [K]
        self._last = np.array([tokens.stop - 1 for tokens in ranges], np.int32)
        self._min_shift = min_shift
        self._max_shift = max_shift

    def __call__(self, tokens: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Returns int32 [batch, T, K] tokens, each window in another key; seed: int [2]."""
        return self.of_rows(tokens, seed, tf.shape(tokens)[0])

    def of_rows(self, tokens: tf.Tensor, seed: tf.Tensor, num_rows, first_row=0) -> tf.Tensor:
        """Returns what some rows of a batch become in the whole of it: int32 [rows, T, K].

        Args:
            tokens: those rows.
            seed: int [2], of the batch.
            num_rows: rows of the whole batch.
            first_row: the place of the first of these in it.
        """
        is_pitch = (tokens >= self._first) & (tokens <= self._last)

        def least(distance):  # [B, T, K] -> [B], over the pitches; far where there are none
            return tf.reduce_min(tf.where(is_pitch, distance, music_tokens.NUM_PITCHES), [1, 2])

        low = tf.maximum(self._min_shift, -least(tokens - self._first))
        high = tf.minimum(self._max_shift, least(self._last - tokens))
        uniform = tf.random.stateless_uniform([num_rows], seed)
        uniform = uniform[first_row:][: tf.shape(tokens)[0]]
        shift = low + tf.cast(uniform * tf.cast(high - low + 1, tf.float32), tf.int32)
        return tf.where(is_pitch, tokens + shift[:, None, None], tokens)


def _read_shards(
    data_dir: str,
    split: str,
    shards: Mapping[str, int],
    settings: Settings,
    compression: str | None,
    skip_corrupt: bool = False,
) -> Iterator[np.ndarray]:
    """Yields the windows of shards, in batches, and compares their number with that of each."""
    for name, num_windows in display.track(shards.items(), f"reading {split} shards", len(shards)):
        path = os.path.join(data_dir, name)
        read = _read_undamaged if skip_corrupt else shard_reading.read_shard
        num_found = 0
        for batch in read(path, settings, compression):
            num_found += len(batch)
            yield batch
        if num_found != num_windows:
            says = (
                f"{path} must hold {num_windows} windows, as {descriptions.FILE} says. "
                f"Found {num_found}"
            )
            if not skip_corrupt:
                shard_reading.refuse_damage(path)
                raise ValueError(f"{says}.")
            warnings.warn(f"{says} that are not damaged; going on with them.", stacklevel=2)


def _read_undamaged(path: str, settings: Settings, compression: str | None) -> Iterable[np.ndarray]:
    try:
        return list(shard_reading.read_shard(path, settings, compression))
    except shard_reading.DamagedShard:
        return shard_reading.read_sound(path, settings)


def _check(
    data_dir: str, split: str, description: Mapping, settings: Settings
) -> Mapping[str, int]:
    """Returns the windows in each shard of a split, whose shards are there."""
    _check_settings(data_dir, description["settings"], settings.describe())
    shards = description["shards"].get(split, {})
    if not sum(shards.values()):
        raise ValueError(
            f"The {split} split of {data_dir} is empty. Its counts: {description['counts']}. "
            "Build it of more songs, or with another share of them: "
            f"--gin_param='builder.Settings.{_SHARES[split]}'."
        )
    for name in shards:
        path = os.path.join(data_dir, name)
        if not os.path.isfile(path):
            raise FileNotFoundError(f"{path} is missing: {descriptions.FILE} names it.")
    return shards


def _check_settings(data_dir: str, settings: dict, expected: dict) -> None:
    for name in ("tracks", "num_bars"):
        if settings[name] != expected[name]:
            raise ValueError(
                f"--data_dir={data_dir} holds windows of {name}={settings[name]}; this "
                f"configuration expects {name}={expected[name]}."
            )
