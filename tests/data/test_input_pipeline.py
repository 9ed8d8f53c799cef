"""A data set -> batches: the same tokens, each once an epoch, the same for the same seed."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from corpora import SETTINGS, SONGS
from musical import DRUMS, MELODY, TRIO, sequence
from note_seq.protobuf import music_pb2

from magenta_vae.data import builder
from magenta_vae.data.input_pipeline import Transposition, load_tokens, training_batches
from magenta_vae.data.tokenization import tokenize_records
from magenta_vae.music import tokens as music_tokens

HOLD, REST = 128, 129


def records_of(folder):
    paths = [str(path) for path in sorted(Path(folder).glob("*.tfrecord"))]
    return [record.numpy() for record in tf.data.TFRecordDataset(paths)]


def numbered(num_windows, num_steps=1):
    """Returns windows that are told apart by their tokens: [[[0]], [[1]], ...]."""
    return np.arange(num_windows * num_steps).reshape(num_windows, num_steps, 1).astype(np.uint16)


def draw(tokens, first, count, batch_size=8, seed=0, rows=(slice(None),), **kwargs):
    """Returns the batches of some steps: [steps, batch, T, K], one for each of `rows`."""
    elements = training_batches(tokens, batch_size, seed, [(first, count)], rows, **kwargs)
    return [element.numpy() for element in elements]


@pytest.mark.parametrize("kind", SETTINGS)
def test_tensorflow_tokenizes_as_numpy_does(built, kind):
    settings = SETTINGS[kind]
    records = records_of(built[kind])
    expected = [
        music_tokens.tokenize(
            music_pb2.NoteSequence.FromString(record), settings.tracks, settings.num_steps
        )
        for record in records
    ]
    found = tokenize_records(tf.constant(records), settings.tracks, settings.num_steps)
    assert found.dtype == tf.int32
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("kind", SETTINGS)
def test_loaded_tokens_are_the_records_in_order(built, kind):
    settings = SETTINGS[kind]
    splits = [load_tokens(built[kind], split, settings) for split in ("eval", "train")]
    expected = tokenize_records(records_of(built[kind]), settings.tracks, settings.num_steps)
    np.testing.assert_array_equal(np.concatenate(splits), expected)
    assert splits[0].dtype == settings.token_dtype


def test_a_silent_track_and_a_note_to_the_last_step():
    records = [sequence("C4 -*15", ".").SerializeToString(), sequence("E4").SerializeToString()]
    found = tokenize_records(tf.constant(records), MELODY * 2, 16)
    assert found[0, :, 0].numpy().tolist() == [60] + [HOLD] * 15
    assert found[1, :, 0].numpy().tolist() == [64] + [REST] * 15
    assert set(found[:, :, 1].numpy().flatten()) == {REST}


@pytest.mark.parametrize("num_windows", [8, 9, 37, 64])
def test_each_epoch_holds_every_window_once(num_windows):
    (batches,) = draw(numbered(num_windows), 0, num_windows)  # Eight epochs in batches of eight.
    epochs = batches.reshape(8, num_windows)
    for epoch in epochs:
        assert sorted(epoch) == list(range(num_windows))
    assert len({tuple(epoch) for epoch in epochs}) == 8  # Each in another order.


def test_one_window():
    (batches,) = draw(numbered(1), 0, 3, batch_size=1)
    assert batches.tolist() == [[[[0]]]] * 3


def test_the_order_is_the_seeds():
    tokens = numbered(50)
    np.testing.assert_array_equal(draw(tokens, 0, 20, seed=3), draw(tokens, 0, 20, seed=3))
    assert (draw(tokens, 0, 20, seed=3)[0] != draw(tokens, 0, 20, seed=4)[0]).any()


@pytest.mark.parametrize("num_windows", [50, 1000])
def test_the_order_is_well_mixed(num_windows):
    """In the first epochs of small seeds, as people choose them."""
    rows = np.arange(num_windows)
    for seed in range(4):
        (batches,) = draw(numbered(num_windows), 0, 5, batch_size=num_windows, seed=seed)
        for order in batches[..., 0, 0]:
            # A random order's correlation deviates by 1 / sqrt(n): 4.5 of those are one in 150,000.
            bound = 4.5 / np.sqrt(num_windows)
            assert abs(np.corrcoef(order, rows)[0, 1]) < bound
            assert abs(np.corrcoef(order[1:], order[:-1])[0, 1]) < bound
            assert (order == rows).sum() < 8  # Poisson of mean 1.


@pytest.mark.parametrize("kind", ["melody", "trio"])
def test_resumed_it_continues_as_it_would_have(built, kind):
    tokens = load_tokens(built[kind], "train", SETTINGS[kind])
    augment = Transposition(SETTINGS[kind].tracks)
    (whole,) = draw(tokens, 0, 12, augment=augment)
    (resumed,) = draw(tokens, 7, 5, augment=augment)
    np.testing.assert_array_equal(resumed, whole[7:])
    chunks = training_batches(tokens, 8, 0, [(0, 3), (3, 4), (7, 5)], augment=augment)
    np.testing.assert_array_equal(np.concatenate([chunk.numpy() for chunk in chunks]), whole)


def test_the_rows_of_replicas_are_the_batch(built):
    tokens = load_tokens(built["melody"], "train", SETTINGS["melody"])
    augment = Transposition(MELODY)
    (whole,) = draw(tokens, 5, 4, augment=augment)
    halves = draw(tokens, 5, 4, rows=[slice(0, 4), slice(4, 8)], augment=augment)
    np.testing.assert_array_equal(np.concatenate(halves, axis=1), whole)
    assert [half.shape for half in halves] == [(4, 4, 32, 1)] * 2
    thirds = draw(tokens, 5, 4, rows=[slice(0, 3), slice(3, 6), slice(6, None)], augment=augment)
    np.testing.assert_array_equal(np.concatenate(thirds, axis=1), whole)


def transposed(tokens, tracks, seed=(0, 0), **kwargs):
    return Transposition(tracks, **kwargs)(tf.constant(tokens, tf.int32), tf.constant(seed)).numpy()


def test_shifts_are_uniform_and_one_for_a_window():
    tokens = np.tile([[60], [HOLD], [REST], [72]], (24_000, 1, 1))
    found = transposed(tokens, MELODY)[:, :, 0]
    shifts = found[:, 0] - 60
    np.testing.assert_array_equal(found[:, 3] - 72, shifts)
    assert (found[:, 1] == HOLD).all() and (found[:, 2] == REST).all()
    values, counts = np.unique(shifts, return_counts=True)
    assert values.tolist() == list(range(-5, 7))  # Paper, Dataset: [-5, 6].
    assert abs(counts - 2000).max() < 5 * 43  # The deviation is sqrt(24000 / 12 * 11 / 12) = 43.


@pytest.mark.parametrize(
    "low, high, expected",
    [(0, 60, range(0, 7)), (3, 60, range(-3, 7)), (60, 127, range(-5, 1)), (0, 127, [0])],
)
def test_shifts_stay_within_the_pitches(low, high, expected):
    tokens = np.tile([[low], [HOLD], [high], [REST]], (2000, 1, 1))
    found = transposed(tokens, MELODY)[:, :, 0]
    assert set(found[:, 0] - low) == set(expected)
    assert (found[:, 2] - high == found[:, 0] - low).all()
    assert (found[:, 1] == HOLD).all() and (found[:, 3] == REST).all()


def test_a_trio_moves_together_and_its_drums_not_at_all():
    rng = np.random.default_rng(0)
    tokens = np.stack(
        [rng.integers(60, 130, (500, 16)), rng.integers(30, 60, (500, 16)),
         rng.integers(512, size=(500, 16))], axis=-1,
    )  # fmt: skip
    found = transposed(tokens, TRIO)
    np.testing.assert_array_equal(found[:, :, 2], tokens[:, :, 2])
    shift = found[:, :1, 1] - tokens[:, :1, 1]
    is_pitch = tokens[:, :, 0] < 128
    np.testing.assert_array_equal(found[:, :, 1], tokens[:, :, 1] + shift)
    np.testing.assert_array_equal(found[:, :, 0], tokens[:, :, 0] + np.where(is_pitch, shift, 0))
    assert len(np.unique(shift)) > 6


def test_what_has_no_pitch_is_left_alone():
    silent = np.full((4, 8, 1), REST)
    np.testing.assert_array_equal(transposed(silent, MELODY), silent)
    drums = np.arange(512).reshape(16, 32, 1)
    np.testing.assert_array_equal(transposed(drums, DRUMS), drums)


def test_every_visit_draws_anew():
    tokens = np.full((4, 2, 1), 60, np.uint8)
    (batches,) = draw(tokens, 0, 40, batch_size=4, augment=Transposition(MELODY))
    assert len({step.tobytes() for step in batches}) > 30


def test_an_interval_without_zero_is_refused():
    for interval in [(1, 6), (-5, -1), (3, 2)]:
        with pytest.raises(ValueError, match=f"min_shift={interval[0]}, max_shift={interval[1]}"):
            Transposition(MELODY, *interval)


def test_fewer_windows_than_a_batch():
    with pytest.raises(ValueError, match="holds 7 windows to train on, fewer than one batch of 8"):
        training_batches(numbered(7), 8, 0, [(0, 1)])


def test_an_empty_split(tmp_path, in_process):
    settings = builder.Settings(MELODY, 2, eval_fraction=0)
    builder.build(SONGS[:1], str(tmp_path / "data"), settings)
    with pytest.raises(ValueError, match="eval split of .*data is empty.*'windows_cut': 62"):
        load_tokens(str(tmp_path / "data"), "eval", settings)


@pytest.fixture
def copied(built, tmp_path):
    """Returns a data set to damage, and its first shard."""
    folder = Path(shutil.copytree(built["melody"], tmp_path / "data"))
    return folder, next(folder.glob("train-*"))


def load(folder, settings=SETTINGS["melody"], **options):
    return load_tokens(str(folder), "train", settings, **options)


def test_not_a_data_set(tmp_path):
    with pytest.raises(FileNotFoundError, match="--data_dir=.*holds no dataset.json"):
        load(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"settings": {}}'])
def test_a_damaged_description(copied, text):
    folder, _ = copied
    (folder / "dataset.json").write_text(text)
    with pytest.raises(ValueError, match="dataset.json is damaged"):
        load(folder)


def test_a_missing_shard(copied):
    folder, shard = copied
    shard.unlink()
    with pytest.raises(FileNotFoundError, match=f"{shard.name} is missing"):
        load(folder)


@pytest.mark.parametrize("num_bytes", [-1, -300, 15])
def test_a_truncated_shard(copied, num_bytes):
    folder, shard = copied
    shard.write_bytes(shard.read_bytes()[:num_bytes])
    with pytest.raises(ValueError, match=f"{shard.name} holds a damaged record"):
        load(folder)


def test_a_flipped_bit(copied):
    folder, shard = copied
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    with pytest.raises(ValueError, match=f"{shard.name} holds a damaged record"):
        load(folder)


def test_a_flipped_bit_costs_one_window_where_it_may(copied):
    folder, shard = copied
    whole = load(folder)
    data = bytearray(shard.read_bytes())
    data[20] ^= 1  # within the first record
    shard.write_bytes(data)
    with pytest.warns(UserWarning, match=f"{shard.name} must hold {len(whole)} .*{len(whole) - 1}"):
        rest = load(folder, skip_corrupt=True)
    np.testing.assert_array_equal(rest, whole[1:])


def test_a_shard_without_a_sound_record(copied):
    folder, shard = copied
    shard.write_bytes(b"\x01" * 200)
    with (
        pytest.warns(UserWarning, match="Found 0 that are not damaged"),
        pytest.raises(ValueError, match="No window of the train split .* is left undamaged"),
    ):
        load(folder, skip_corrupt=True)


@pytest.mark.parametrize("records", [[], [b""], [sequence("C4").SerializeToString()] * 3])
def test_a_shard_of_too_few_windows(copied, records):
    folder, shard = copied
    with tf.io.TFRecordWriter(str(shard)) as writer:
        for record in records:
            writer.write(record)
    expected = json.loads((folder / "dataset.json").read_text())["counts"]["windows_kept_train"]
    message = f"{shard.name} must hold {expected} windows.*Found {len(records)}"
    with pytest.raises(ValueError, match=message):
        load(folder)


def beyond(**fields):
    odd = sequence("C4")
    odd.notes.add(pitch=60, quantized_end_step=1, **fields)
    return odd.SerializeToString()


@pytest.mark.parametrize(
    "record, says",
    [
        (b"not a proto", "skipping"),
        (beyond(quantized_start_step=99), "start must be from 0 to 31.*99"),
        (beyond(quantized_start_step=-1), "start must be from 0 to 31.*-1"),
        (beyond(instrument=1), "track must be from 0 to 0.*1"),
    ],
    ids=["not a proto", "a late note", "an early note", "another track"],
)
@pytest.mark.parametrize("skip_corrupt", [False, True])
def test_a_record_of_something_else(copied, record, says, skip_corrupt):
    """Its checksum is right, so that it is not passed over."""
    folder, shard = copied
    with tf.io.TFRecordWriter(str(shard)) as writer:
        writer.write(record)
    is_damaged = record == b"not a proto" and not skip_corrupt
    what = "a damaged record" if is_damaged else "a record of something else"
    with pytest.raises(ValueError, match=f"(?s){shard.name} holds {what}: .*{says}"):
        load(folder, skip_corrupt=skip_corrupt)


def test_windows_of_another_kind(built):
    for wrong, name in [
        (builder.Settings(MELODY, 4), "num_bars=2"),
        (SETTINGS["drums"], "tracks="),
    ]:
        with pytest.raises(ValueError, match=f"holds windows of {name}.*expects"):
            load(built["melody"], wrong)


def broken(change):
    """Returns a change of the text of `dataset.json`, of its values."""

    def apply(text):
        description = json.loads(text)
        change(description)
        return json.dumps(description)

    return apply


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda text: text.replace('"tracks"', '"tracs"'), "hold no 'tracks'"),
        (broken(lambda d: d["counts"].pop("files_read")), "holds no files_read"),
        (broken(lambda d: d.update(counts=[])), r"counts must be dict. Received: \[\]"),
        (broken(lambda d: d["settings"].update(num_bars="2")), "num_bars must be a whole number"),
        (broken(lambda d: d["settings"].update(extra=1)), "no settings of a data set"),
        (broken(lambda d: d["shards"].update(dev={})), "shards must be of train, eval, test"),
        (broken(lambda d: d["shards"]["eval"].update({"../../etc/passwd": 1})), "etc/passwd, 1"),
        (broken(lambda d: d["shards"]["eval"].update({"/etc/passwd": 1})), "/etc/passwd, 1"),
        (broken(lambda d: d["shards"].update(eval={"eval-00000-of-00001.tfrecord": "9"})), "'9'"),
    ],
)
def test_a_description_of_something_else_is_named(copied, change, says):
    folder, _ = copied
    path = Path(folder, "dataset.json")
    path.write_text(change(path.read_text()))
    with pytest.raises(ValueError, match=f"dataset.json is damaged.*{says}"):
        load(folder)


def test_a_damaged_record_is_told_by_its_number(copied):
    folder, shard = copied
    data = bytearray(shard.read_bytes())
    first = int.from_bytes(data[:8], "little") + 16  # A header of 12 bytes, and 4 behind.
    data[first + 20] ^= 1
    shard.write_bytes(data)
    with pytest.raises(
        ValueError, match="record 1: the checksum of its bytes.*--skip_corrupt"
    ) as e:
        load(folder)
    assert "node" not in str(e.value) and "{{" not in str(e.value)
