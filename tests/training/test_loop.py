"""The loop: how steps are split, what stops a run, and that a resumed run is the same run."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from toy import Pull, batches, run

from magenta_vae.training import divergence, loop, steps
from magenta_vae.training.held_out import HeldOut
from magenta_vae.training.progress import Progress, format_seconds


def test_split_steps_stops_at_every_boundary():
    assert loop.split_steps(0, 10, 3, (4, 100)) == [(0, 3), (3, 1), (4, 2), (6, 2), (8, 1), (9, 1)]


def test_split_steps_of_a_resumed_run_are_a_tail_of_the_whole():
    whole = loop.split_steps(0, 1000, 7, (50, 30))
    assert loop.split_steps(60, 1000, 7, (50, 30)) == [c for c in whole if c[0] >= 60]


def test_split_steps_stops_where_batches_change():
    assert loop.split_steps(0, 9, 4, (99, 99), (5, 6)) == [(0, 4), (4, 1), (5, 1), (6, 2), (8, 1)]


def test_split_steps_refuses_zero():
    with pytest.raises(ValueError, match="at least 1"):
        loop.split_steps(0, 10, 0, (4, 100))


def test_rows_cover_the_batch_once():
    rows = steps.replica_rows(12, 3)
    assert [list(range(12))[part] for part in rows] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]


def test_a_batch_that_does_not_divide_is_refused_with_both_numbers():
    with pytest.raises(ValueError, match="number of replicas, 3. Received: batch_size=512"):
        steps.replica_rows(512, 3)


def test_steps_are_adams(tmp_path):
    model, _, _ = run(tmp_path, max_steps=5, clip_norm=1e9)
    # The same five steps by hand: same batches, same noise, Keras' Adam.
    weight = tf.Variable(tf.zeros(3))
    optimizer = keras.optimizers.Adam(0.1)
    for step in range(5):
        tokens = ((step + np.arange(8)) % 5).astype(np.float32)[:, None]
        noise = tf.random.stateless_normal([8, 3], tf.constant([0, step], tf.int64))
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum((tokens - weight + 0.1 * noise) ** 2) / 8
        optimizer.apply([tape.gradient(loss, weight)], [weight])
    np.testing.assert_allclose(model.weight.numpy(), weight.numpy(), rtol=1e-6)


def test_gradients_are_clipped_to_the_norm():
    gradients = [tf.constant([3.0, 4.0])]
    clipped, norm = steps._clipped_global_gradients(gradients, 1.0)
    assert float(norm) == 5.0
    np.testing.assert_allclose(clipped[0], [0.6, 0.8], rtol=1e-6)


def test_progress_that_may_be_replaced_is_shown_and_what_stays_is_reported(tmp_path):
    shown, reported = [], []
    model, optimizer = Pull(), keras.optimizers.Adam(0.1)
    loop.train(
        steps.TrainingSteps(
            model, optimizer, tf.distribute.get_strategy(), batch_size=8, seed=0, clip_norm=1.0
        ),
        batches,
        HeldOut(lambda step: {"loss": 1.0}),
        str(tmp_path),
        8,
        steps_per_call=1,
        eval_every=4,
        checkpoint_every=3,
        report=reported.append,
        show=shown.append,
    )
    assert [line.split()[1] for line in shown] == ["1/8", "2/8", "5/8", "7/8"]
    assert [line.split()[1] for line in reported] == ["3/8", "4/8", "6/8", "8/8"]


def test_evaluates_and_reports_on_time(tmp_path):
    _, lines, evaluated = run(tmp_path, max_steps=10)
    assert evaluated == [4, 8, 10]
    assert lines[-1].startswith("step 10/10  loss ")
    assert "steps/s" in lines[-1]
    assert "left" in lines[-1]


def test_an_interrupted_run_ends_with_the_same_bits(tmp_path):
    whole, _, _ = run(tmp_path / "whole", max_steps=10)
    run(tmp_path / "parts", max_steps=6)
    resumed, lines, _ = run(tmp_path / "parts", max_steps=10)
    assert "resumed at step 6" in lines[0]
    np.testing.assert_array_equal(whole.weight.numpy(), resumed.weight.numpy())


def test_a_finished_run_takes_no_step(tmp_path):
    first, _, _ = run(tmp_path, max_steps=4)
    again, lines, evaluated = run(tmp_path, max_steps=4)
    assert evaluated == [4]  # Whether it was evaluated before it ended is not known.
    assert len(lines) == 1
    np.testing.assert_array_equal(first.weight.numpy(), again.weight.numpy())


def test_nan_stops_with_the_step_and_the_last_good_checkpoint(tmp_path):
    with pytest.raises(
        divergence.TrainingDiverged, match="step 8 is nan.*step-6.*learning rate.*--init_from="
    ) as caught:
        run(tmp_path, max_steps=12, model=Pull(breaks_at=7))
    assert "step-6" in tf.train.latest_checkpoint(str(tmp_path / "checkpoints"))
    assert "loss" in str(caught.value)


def test_a_gradient_that_loss_scaling_may_have_broken_does_not_stop_the_run():
    metrics = {"loss": np.ones(2), "gradient_norm": np.array([3.0, np.inf])}
    divergence.check(metrics | {"loss_scale": np.array([4.0, 2.0])}, 0, None, "run")
    for scaled in ({}, {"loss_scale": np.array([2.0, 1.0])}):
        with pytest.raises(divergence.TrainingDiverged, match="gradient_norm of step 2 is inf"):
            divergence.check(metrics | scaled, 0, None, "run")


def test_nan_before_the_first_checkpoint_says_so(tmp_path):
    with pytest.raises(divergence.TrainingDiverged, match="No step was saved yet"):
        run(tmp_path, max_steps=4, model=Pull(breaks_at=0))


def test_too_little_memory_is_told_with_what_takes_less(tmp_path, monkeypatch):
    def take(*_):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor [8,3]")

    monkeypatch.setattr(steps.TrainingSteps, "_take", take)
    with pytest.raises(
        MemoryError, match=r"after step 0: OOM when.*\[8,3\]. Try.*micro_batch_size"
    ):
        run(tmp_path, max_steps=4)


def test_summaries_hold_every_metric(tmp_path):
    run(tmp_path, max_steps=4)
    names = {}
    for split in ("train", "eval"):
        (file,) = (tmp_path / split).iterdir()
        names[split] = {
            value.tag
            for event in tf.compat.v1.train.summary_iterator(str(file))
            for value in event.summary.value
        }
    expected = {"loss", "kl", "beta", "learning_rate", "gradient_norm"}
    assert names["train"] == expected | {"steps_per_second", "input_wait_share"}
    assert names["eval"] == {"loss"}


@pytest.mark.parametrize(
    ("show_every", "expected"), [(1, [4, 8, 10]), (2, [8, 10]), (0, []), (5, [10])]
)
def test_shows_at_its_evaluations_and_at_the_last(tmp_path, show_every, expected):
    run(
        tmp_path,
        max_steps=10,
        show_every=show_every,
        show=lambda: tf.summary.scalar("shown", 1),
    )
    (file,) = (tmp_path / "eval").iterdir()  # TensorBoard reads the newest file of a folder alone.
    shown = [
        event.step
        for event in tf.compat.v1.train.summary_iterator(str(file))
        for value in event.summary.value
        if value.tag == "shown"
    ]
    assert shown == expected


def test_progress_counts_waiting():
    progress = Progress(0, 10)
    with progress.waiting():
        pass
    rates = progress.update(5)
    assert 0 <= rates["input_wait_share"] <= 1
    assert rates["steps_per_second"] > 0


def test_seconds_are_formatted_for_people():
    assert [format_seconds(s) for s in (0, 61, 3723)] == ["0:00", "1:01", "1:02:03"]


def test_a_kl_that_is_nonsense_stops_as_nan_does():
    metrics = {"loss": np.ones(3), "gradient_norm": np.ones(3), "kl": np.array([1e3, 9e5, 7e16])}
    with pytest.raises(divergence.TrainingDiverged, match="KL, in nats .* of step 13 is 7e\\+16"):
        divergence.check(metrics, 10, None, "run")
    divergence.check({**metrics, "kl": np.array([1e3, 9e5, 0.0])}, 10, None, "run")


def test_an_evaluation_of_nonsense_says_so():
    with pytest.warns(UserWarning, match="KL is 7e\\+16 nats an example, more than"):
        divergence.warn_of_nonsense(7e16)
