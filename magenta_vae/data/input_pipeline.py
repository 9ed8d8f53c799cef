"""TFRecords of windows -> batches of tokens.

Every window is tokenized once, when the data set is loaded, and kept as the smallest integers that
hold its classes: 28 million 2-bar melodies (paper, Dataset) are 0.9 GB. From there on the order is
a function of (seed, step) alone, whatever the number of replicas, so that a run resumed at any step
reads what it would have read.
"""

import hashlib
import os
import re
import warnings
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from magenta_vae import display
from magenta_vae.data import descriptions
from magenta_vae.data.records import read_records, read_sound_records
from magenta_vae.data.settings import Settings
from magenta_vae.data.tokenization import tokenize_records
from magenta_vae.music import classes
from magenta_vae.music import tokens as music_tokens
from magenta_vae.music.songs import SongError

RECORDS_PER_READ, BYTES_PER_READ = 1024, 2**20
PARALLEL_CALLS = tf.data.AUTOTUNE
SHUFFLE_ROUNDS = 16  # With the op's default of 4, seeds as small as 0 leave the order half sorted.


def load_tokens(
    data_dir: str, split: str, settings: Settings, skip_corrupt: bool = False
) -> np.ndarray:
    """Reads a split whole: unsigned int [windows, steps, tracks].

    Args:
        data_dir: a folder written by `scripts/build_dataset`.
        split: `train` or `eval`.
        settings: what the model expects a window to be.
        skip_corrupt: whether to go on without damaged records, with a warning that counts them.

    Raises:
        FileNotFoundError: where the data set or one of its shards is missing.
        ValueError: where it holds other windows, no windows, or damaged ones.
    """
    description = descriptions.read(data_dir)
    _check_settings(data_dir, description["settings"], settings.describe())
    shards = description["shards"].get(split, {})
    if not sum(shards.values()):
        raise ValueError(
            f"The {split} split of {data_dir} is empty. Its counts: {description['counts']}. "
            "Build it of more songs, or hold out another share of them: "
            "--gin_param='builder.Settings.eval_fraction=0.3'."
        )

    def tokenize(records):
        return tokenize_records(records, settings.tracks, settings.num_steps)

    shard_tokens = []
    for name, num_windows in display.track(list(shards.items()), f"reading {split} shards"):
        path = os.path.join(data_dir, name)
        shard = _load_shard(path, tokenize, settings.token_dtype, skip_corrupt)
        num_found = sum(map(len, shard))
        if num_found != num_windows:
            says = (
                f"{path} must hold {num_windows} windows, as {descriptions.FILE} says. "
                f"Found {num_found}"
            )
            if not skip_corrupt:
                raise ValueError(f"{says}.")
            warnings.warn(f"{says} that are not damaged; going on with them.", stacklevel=2)
        shard_tokens += shard
    if not shard_tokens:
        raise ValueError(f"No window of the {split} split of {data_dir} is left undamaged.")
    return np.concatenate(shard_tokens)


def digest_of(tokens: np.ndarray) -> str:
    """Returns the SHA-256 of windows, [windows, steps, tracks], in hexadecimal digits."""
    shape = f"{tokens.shape} {tokens.dtype.str} ".encode()
    return hashlib.sha256(shape + np.ascontiguousarray(tokens).data).hexdigest()


def training_batches(
    tokens: np.ndarray,
    batch_size: int,
    seed: int,
    chunks: Sequence[tuple[int, int]],
    rows: Sequence[slice] = (slice(None),),
    augment: Callable[[tf.Tensor, tf.Tensor], tf.Tensor] | None = None,
) -> tf.data.Dataset:
    """Returns the batches of a run of steps, shuffled anew each epoch, every window once an epoch.

    Args:
        tokens: [windows, steps, tracks].
        batch_size: windows of the global batch of one training step.
        seed: of the order and of the augmentation.
        chunks: (first step, number of steps) of each element, in order.
        rows: the rows of the global batch that each replica gets.
        augment: (tokens [B, T, K], seed [2]) -> tokens, drawn anew at every visit.

    Returns:
        For each chunk and then each of `rows`, int32 [steps of the chunk, rows, T, K].

    Raises:
        ValueError: where there are fewer windows than one batch.
    """
    num_windows = len(tokens)
    if num_windows < batch_size:
        raise ValueError(
            f"The train split holds {num_windows} windows, fewer than one batch of {batch_size}. "
            "Add songs or lower the batch size."
        )
    # A captured tensor, not a constant of the graph: graphs are limited to 2 GB.
    with tf.device("CPU"):
        tokens = tf.constant(tokens)

    def step_batch(step, first_row, last_row):
        positions = step * batch_size + tf.range(batch_size, dtype=tf.int64)
        epochs = positions // num_windows
        seeds = tf.stack([tf.fill([batch_size], np.int64(seed)), epochs, 0 * epochs], axis=-1)
        # The op itself: `tf.random.experimental.index_shuffle` takes one seed, not one an index.
        order = tf.raw_ops.RandomIndexShuffle(
            index=positions % num_windows,
            seed=seeds,
            max_index=np.int64(num_windows - 1),
            rounds=SHUFFLE_ROUNDS,
        )
        batch = tf.cast(tf.gather(tokens, order), tf.int32)
        if augment is not None:
            # For the whole batch: the draws must not depend on the number of replicas.
            batch = augment(batch, tf.stack([np.int64(seed), step]))
        return batch[first_row:last_row]

    def chunk_batch(first_step, num_steps, first_row, last_row):
        return tf.map_fn(
            lambda step: step_batch(step, first_row, last_row),
            first_step + tf.range(num_steps),
            fn_output_signature=tf.TensorSpec([None, *tokens.shape[1:]], tf.int32),
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
    options = tf.data.Options()
    # What a strategy would split is split already, by rows.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return (
        dataset.map(chunk_batch, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
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
        is_pitch = (tokens >= self._first) & (tokens <= self._last)

        def least(distance):  # [B, T, K] -> [B], over the pitches; far where there are none
            return tf.reduce_min(tf.where(is_pitch, distance, music_tokens.NUM_PITCHES), [1, 2])

        low = tf.maximum(self._min_shift, -least(tokens - self._first))
        high = tf.minimum(self._max_shift, least(self._last - tokens))
        uniform = tf.random.stateless_uniform([tf.shape(tokens)[0]], seed)
        shift = low + tf.cast(uniform * tf.cast(high - low + 1, tf.float32), tf.int32)
        return tf.where(is_pitch, tokens + shift[:, None, None], tokens)


def _load_shard(
    path: str, tokenize: Callable, dtype: np.dtype, skip_corrupt: bool
) -> list[np.ndarray]:
    if not os.path.isfile(path):
        raise FileNotFoundError(f"{path} is missing: {descriptions.FILE} names it.")

    def load(dataset):
        batches = (
            dataset.batch(RECORDS_PER_READ)
            .prefetch(2)  # Records are read, one after another, while others are decoded.
            .map(lambda rows: tf.cast(tokenize(rows), dtype), num_parallel_calls=PARALLEL_CALLS)
            .prefetch(2)
        )
        return list(batches.as_numpy_iterator())

    records = tf.data.TFRecordDataset(path, buffer_size=BYTES_PER_READ)
    try:
        try:
            return load(records)
        except tf.errors.DataLossError as error:
            if not skip_corrupt:
                raise ValueError(
                    f"{path} holds a damaged record: {_first_damage(path) or _plain(error)}. "
                    "--skip_corrupt goes on without."
                ) from error
        sound = read_sound_records(path)
        return load(tf.data.Dataset.from_tensor_slices(sound)) if sound else []
    except (tf.errors.DataLossError, tf.errors.InvalidArgumentError) as error:
        raise ValueError(
            f"{path} holds a record of something else: expected windows as build_dataset writes "
            f"them, serialized NoteSequences. Received what cannot be read so: {_plain(error)}."
        ) from error
    except tf.errors.OpError as error:
        raise OSError(f"{path} could not be read: {error.message}") from error


def _first_damage(path: str) -> str:
    """Returns which record of a file is not what was written, "" where each one is."""
    try:
        for _ in read_records(path):
            pass
    except SongError as error:
        return error.detail
    return ""


def _plain(error: tf.errors.OpError) -> str:
    """Returns what TensorFlow says of a record, without where in its graph that was."""
    text = re.sub(r"\{\{.*?\}\}|\[\[.*?\]\]|\[Op:.*?\]", "", error.message)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(error).__name__


def _check_settings(data_dir: str, settings: dict, expected: dict) -> None:
    for name in ("tracks", "num_bars"):
        if settings[name] != expected[name]:
            raise ValueError(
                f"--data_dir={data_dir} holds windows of {name}={settings[name]}; this "
                f"configuration expects {name}={expected[name]}."
            )
