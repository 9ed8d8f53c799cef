"""Checkpoints on disk: what is kept, and what becomes of damage, as disks really make it."""

import contextlib
import os
import resource
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from toy import Pull, run

from magenta_vae.training import checkpoint_files, checkpoints, weights

WEIGHT = "model/weight/.ATTRIBUTES/VARIABLE_VALUE"


def data_file(folder, step):
    return folder / f"step-{step}.data-00000-of-00001"


def truncate(folder, step):
    os.truncate(data_file(folder, step), 10)


def empty(folder, step):
    os.truncate(data_file(folder, step), 0)


def flip(path, position):
    content = bytearray(path.read_bytes())
    content[position] ^= 0x10
    path.write_bytes(content)


def flip_a_weight(folder, step):
    flip(data_file(folder, step), 5)


def flip_the_last_byte(folder, step):
    flip(data_file(folder, step), -1)


def flip_the_index(folder, step):
    flip(folder / f"step-{step}.index", 20)


def truncate_the_index(folder, step):
    os.truncate(folder / f"step-{step}.index", 30)


def lose_the_index(folder, step):
    (folder / f"step-{step}.index").unlink()


def lose_the_data(folder, step):
    data_file(folder, step).unlink()


DAMAGES = [
    truncate, empty, flip_a_weight, flip_the_last_byte, flip_the_index, truncate_the_index,
    lose_the_index, lose_the_data,
]  # fmt: skip


@pytest.fixture(scope="module")
def six_steps(tmp_path_factory):
    """A run of six steps."""
    folder = tmp_path_factory.mktemp("six")
    run(folder, max_steps=6)
    return folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The weights of eight steps that nothing disturbed."""
    return run(tmp_path_factory.mktemp("whole"), max_steps=8)[0].weight.numpy()


@pytest.fixture
def run_dir(six_steps, tmp_path):
    """A run of six steps, to be damaged."""
    return Path(shutil.copytree(six_steps, tmp_path / "run"))


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_found_and_named_and_the_checkpoint_before_taken(damage, run_dir):
    damage(run_dir / "checkpoints", 6)
    lines = []
    assert checkpoint_files.newest_readable(str(run_dir / "checkpoints"), lines.append) == 4
    (line,) = lines
    assert line.startswith(f"{run_dir / 'checkpoints' / 'step-6'} is damaged: ")
    assert "{{" not in line


def test_a_run_goes_on_from_the_checkpoint_before_a_damaged_one(run_dir, whole):
    flip_a_weight(run_dir / "checkpoints", 6)
    model, lines, _ = run(run_dir, max_steps=8)
    assert "step-6 is damaged: " in lines[0]
    assert "resumed at step 4" in lines[1]
    np.testing.assert_array_equal(model.weight.numpy(), whole)
    for step in (4, 6, 8):  # The damaged one was written anew.
        checkpoint_files.read_whole(str(run_dir / "checkpoints" / f"step-{step}"))


def test_weights_are_loaded_from_the_one_before_with_a_warning(run_dir):
    truncate(run_dir / "checkpoints", 6)
    model = Pull()
    with pytest.warns(UserWarning, match="step-6 is damaged"):
        assert weights.load_weights(str(run_dir), model) == 4
    saved = tf.train.load_checkpoint(str(run_dir / "checkpoints" / "step-4"))
    np.testing.assert_array_equal(model.weight.numpy(), saved.get_tensor(WEIGHT))


def test_the_state_file_does_not_matter(run_dir, whole):
    path = run_dir / "checkpoints" / "checkpoint"
    path.write_bytes(b"\x00\xff garbage {{{")
    model, lines, _ = run(run_dir, max_steps=8)
    assert "resumed at step 6" in lines[0]
    np.testing.assert_array_equal(model.weight.numpy(), whole)
    assert tf.train.latest_checkpoint(str(run_dir / "checkpoints")).endswith("step-8")
    path.unlink()
    assert weights.load_weights(str(run_dir), Pull()) == 8


def test_nothing_but_damage_is_an_error_that_lists_it(run_dir):
    for step in (2, 4, 6):
        truncate(run_dir / "checkpoints", step)
    before = sorted((run_dir / "checkpoints").iterdir())
    message = "None of the checkpoints in .*checkpoints can be read: steps 2, 4, 6"
    with pytest.raises(checkpoint_files.DamagedCheckpoint, match=message):
        run(run_dir, max_steps=8)
    with (
        pytest.warns(UserWarning, match="step-6 is damaged"),
        pytest.raises(OSError, match=message),
    ):
        weights.load_weights(str(run_dir), Pull())
    assert sorted((run_dir / "checkpoints").iterdir()) == before


@pytest.fixture
def saved(tmp_path):
    """Returns the checkpoints of a toy, and a function that saves it at a step."""
    model, optimizer = Pull(), keras.optimizers.Adam()
    optimizer.build(model.trainable_variables)
    those = checkpoints.Checkpoints(str(tmp_path), model, optimizer)

    def save(step):
        optimizer.iterations.assign(step)
        those.save()

    return those, save


def test_the_newest_three_are_kept(saved, tmp_path):
    for step in (2, 4, 6, 8):
        saved[1](step)
    assert checkpoint_files.list_steps(tmp_path / "checkpoints") == [4, 6, 8]
    state = tf.train.get_checkpoint_state(str(tmp_path / "checkpoints"))
    assert [path.rsplit("-", 1)[1] for path in state.all_model_checkpoint_paths] == ["4", "6", "8"]


def test_initial_weights_are_saved_where_that_is_asked_for(saved, tmp_path):
    assert saved[0].resume() == 0
    saved[1](0)
    assert checkpoint_files.list_steps(tmp_path / "checkpoints") == [0]


def test_what_a_broken_off_write_left_is_cleared(saved, tmp_path):
    unfinished = tmp_path / "checkpoints" / "step-2_temp"
    unfinished.mkdir(parents=True)
    (unfinished / "part-00000-of-00001.data-00000-of-00001").write_bytes(b"half")
    assert saved[0].resume() == 0
    saved[1](2)
    assert not unfinished.exists()


def test_a_second_process_does_not_write(tmp_path):
    model, optimizer = Pull(), keras.optimizers.Adam()
    optimizer.build(model.trainable_variables)
    optimizer.iterations.assign(2)
    those = checkpoints.Checkpoints(str(tmp_path), model, optimizer, is_writer=False)
    those.save()
    assert those.latest.endswith("step-2")
    assert not list(tmp_path.iterdir())


def evaluate_as(losses):
    return lambda step: {"loss": losses[step]}


LOSSES = {4: 3.0, 8: 1.0, 12: 2.0, 16: 2.5}


def test_the_best_outlives_the_newest_three(tmp_path):
    run(tmp_path, max_steps=16, evaluate=evaluate_as(LOSSES))
    assert checkpoint_files.list_steps(tmp_path / "checkpoints" / "best") == [8]
    assert checkpoint_files.list_steps(tmp_path / "checkpoints") == [12, 14, 16]
    at_eight, _, _ = run(tmp_path / "eight", max_steps=8)
    model = Pull()
    assert weights.load_weights(str(tmp_path), model, "best") == 8
    np.testing.assert_array_equal(model.weight.numpy(), at_eight.weight.numpy())
    assert weights.load_weights(str(tmp_path), model, "14") == 14
    assert weights.load_weights(str(tmp_path), model, "8") == 8
    with pytest.raises(FileNotFoundError, match="steps it holds: 8, 12, 14, 16. Received: 10"):
        weights.load_weights(str(tmp_path), model, "10")


class Killed(Exception):
    """Stands for the end of a process."""


def test_a_resumed_run_remembers_the_best_and_evaluates_what_it_was_killed_in(tmp_path):
    def die_at_twelve(step):
        if step == 12:
            raise Killed
        return {"loss": LOSSES[step]}

    with pytest.raises(Killed):
        run(tmp_path, max_steps=16, evaluate=die_at_twelve)
    assert checkpoint_files.list_steps(tmp_path / "checkpoints")[-1] == 12
    _, _, evaluated = run(tmp_path, max_steps=16, evaluate=evaluate_as(LOSSES))
    assert evaluated == [12, 16]
    assert checkpoint_files.list_steps(tmp_path / "checkpoints" / "best") == [8]


def test_a_damaged_best_is_reported_and_counts_for_nothing(tmp_path):
    lines = []
    checkpoints.BestCheckpoint(str(tmp_path), Pull()).offer(8, 1.0)
    flip(data_file(tmp_path / "checkpoints" / "best", 8), 5)
    checkpoints.BestCheckpoint(str(tmp_path), Pull(), lines.append).offer(12, 2.0)
    assert "best/step-8 is damaged" in lines[0]
    assert checkpoint_files.list_steps(tmp_path / "checkpoints" / "best") == [12]
    checkpoints.BestCheckpoint(str(tmp_path), Pull()).offer(16, 2.0)  # No lower: not better.
    assert checkpoint_files.list_steps(tmp_path / "checkpoints" / "best") == [12]
    checkpoints.BestCheckpoint(str(tmp_path), Pull()).offer(20, float("nan"))
    assert checkpoint_files.list_steps(tmp_path / "checkpoints" / "best") == [12]


@pytest.mark.parametrize("moment", ["read_whole", "find_checkpoint"])
def test_a_best_that_is_replaced_while_it_is_read(tmp_path, moment, monkeypatch):
    """As by a run that trains on meanwhile."""

    def offer(step, loss):
        pull = Pull()
        pull.weight.assign([step] * 3)
        checkpoints.BestCheckpoint(str(tmp_path), pull).offer(step, loss)

    offer(8, 1.0)
    later = [(12, 0.5)]
    module = checkpoint_files if moment == "read_whole" else weights
    original = getattr(module, moment)

    def meanwhile(*arguments):
        found = None if moment == "read_whole" else original(*arguments)
        if later:
            offer(*later.pop())
        return found or original(*arguments)

    monkeypatch.setattr(module, moment, meanwhile)
    model = Pull()
    assert weights.load_weights(str(tmp_path), model, "best") == 12
    assert model.weight.numpy().tolist() == [12, 12, 12]


def test_a_run_without_checkpoints_says_so(tmp_path):
    for kind in ("latest", "best"):
        with pytest.raises(FileNotFoundError, match=f"holds no {kind} checkpoint"):
            weights.load_weights(str(tmp_path), Pull(), kind)


@contextlib.contextmanager
def files_of_at_most(num_bytes):
    """Has the system refuse longer files, which to a program is a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_checkpoint_that_does_not_fit_is_an_error_that_names_it(saved, tmp_path):
    _, save = saved
    save(2)
    with files_of_at_most(100), pytest.raises(OSError, match="step-4 could not be written: "):
        save(4)
    # The one before is whole, and nothing takes up room.
    assert checkpoint_files.newest_readable(str(tmp_path / "checkpoints"), lambda line: None) == 2
    assert not [path for path in (tmp_path / "checkpoints").iterdir() if "step-4" in path.name]
    save(4)
    assert checkpoint_files.list_steps(tmp_path / "checkpoints") == [2, 4]


def test_a_run_on_a_full_disk_ends_with_the_path_and_goes_on_when_there_is_room(small_disk, whole):
    run(small_disk, max_steps=4)
    filler = small_disk / "filler"
    with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as file:
        while file.write(b"\0" * 512):
            pass
    with pytest.raises(OSError, match=f"{small_disk}.* could not be written: .*No space left"):
        run(small_disk, max_steps=8)
    filler.unlink()
    model, lines, _ = run(small_disk, max_steps=8)
    assert "resumed at step 4" in lines[0] or "resumed at step 6" in lines[0]
    np.testing.assert_array_equal(model.weight.numpy(), whole)


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "checkpoints").write_text("in its place")
    with pytest.raises(OSError, match="checkpoints/step-2 could not be written"):
        run(tmp_path, max_steps=2)


class Wider(keras.Model):
    """`Pull`, with a weight of another shape and one more."""

    def __init__(self):
        super().__init__()
        self.weight = self.add_weight(shape=(5,), name="weight")
        self.bias = self.add_weight(shape=(2,), initializer="ones", name="bias")
        self.built = True


class More(keras.Model):
    """`Pull`, and one weight more."""

    def __init__(self):
        super().__init__()
        self.weight = self.add_weight(shape=(3,), name="weight")
        self.bias = self.add_weight(shape=(2,), initializer="ones", name="bias")
        self.built = True


@pytest.mark.parametrize(("kind", "expected"), [("latest", 6), ("best", 4)])
def test_a_model_starts_from_the_weights_of_another_run(kind, expected, six_steps):
    path, step = weights.find_checkpoint(str(six_steps), kind)
    assert step == expected  # The toy's held-out losses are all 1: the first is the best.
    model, lines = Pull(), []
    weights.initialize(model, path, report=lines.append)
    assert lines == [f"1 of 1 weights are those of {path}"]
    restored = Pull()
    weights.load_weights(str(six_steps), restored, step)
    np.testing.assert_array_equal(model.weight.numpy(), restored.weight.numpy())
    assert np.abs(model.weight.numpy()).max() > 0


def test_weights_that_do_not_fit_are_refused_with_all_of_them(six_steps):
    path, _ = weights.find_checkpoint(str(six_steps))
    with pytest.raises(ValueError, match="does not fit this configuration") as caught:
        weights.initialize(Wider(), path)
    message = str(caught.value)
    assert "weight (5,) is (3,) there" in message
    assert "bias (2,) is not in the checkpoint" in message
    assert "--init_partial" in message


def test_weights_that_only_the_checkpoint_has_are_refused_too(tmp_path):
    model, optimizer = More(), keras.optimizers.Adam()
    optimizer.build(model.trainable_variables)
    optimizer.iterations.assign(1)
    checkpoints.Checkpoints(str(tmp_path), model, optimizer).save()
    path, _ = weights.find_checkpoint(str(tmp_path))
    with pytest.raises(ValueError, match="bias is only in the checkpoint"):
        weights.initialize(Pull(), path)
    weights.initialize(Pull(), path, partial=True)


def test_partly_takes_what_fits_and_leaves_the_rest(six_steps):
    path, _ = weights.find_checkpoint(str(six_steps))
    model, lines = More(), []
    weights.initialize(model, path, partial=True, report=lines.append)
    saved = tf.train.load_checkpoint(path).get_tensor(WEIGHT)
    np.testing.assert_array_equal(model.weight.numpy(), saved)
    np.testing.assert_array_equal(model.bias.numpy(), [1, 1])
    assert lines[0].startswith("1 of 2 weights")
    assert "bias (2,) is not in the checkpoint" in lines[0]
