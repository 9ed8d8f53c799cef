"""The figures of Table 1, and how they are written."""

import numpy as np
import pytest
import tensorflow as tf

from magenta_vae.training import evaluation


class Figures:
    """A model whose figures are functions of its tokens, to check the averaging."""

    track_names = ("lead", "bass")

    def held_out_terms(self, tokens, step, seed):
        del seed
        first = tf.cast(tokens[:, 0], tf.float32)  # [B, K]
        return {
            "loss": first[:, 0] + tf.cast(step, tf.float32),
            "reconstruction": first[:, 0],
            "kl": 2 * first[:, 0],
            "next": first,
            "reconstructed": first / 2,
            "greedy": first / 4,
        }


@pytest.fixture
def figures():
    # Five windows in batches of two: the last batch is smaller.
    tokens = np.zeros([5, 4, 2], np.uint8)
    tokens[:, 0, 0] = [1, 2, 3, 4, 5]
    return evaluation.Evaluation(Figures(), tokens, batch_size=2)(step=100)


def test_every_window_counts_once(figures):
    assert figures["examples"] == 5
    assert figures["step"] == 100
    assert figures["reconstruction_nats"] == 3.0  # (1 + 2 + 3 + 4 + 5) / 5
    assert figures["loss"] == 103.0
    assert figures["kl_nats"] == 6.0
    assert figures["tracks"]["lead"]["next_accuracy"] == 3.0
    assert figures["tracks"]["lead"]["reconstruction_accuracy"] == 1.5
    assert figures["tracks"]["lead"]["greedy_reconstruction_accuracy"] == 0.75
    assert figures["tracks"]["bass"]["next_accuracy"] == 0.0


def test_the_most_frequent_token_is_what_a_constant_would_score(figures):
    assert figures["tracks"]["lead"]["most_frequent_token_share"] == 15 / 20
    assert figures["tracks"]["bass"]["most_frequent_token_share"] == 1.0


def test_the_table_names_tracks_and_units(figures):
    table = evaluation.format_table(figures)
    assert "step 100, 5 windows" in table
    assert "lead" in table
    assert "bass" in table
    assert "KL 6.00 nats" in table


def test_scalars_share_their_names_with_training(figures):
    scalars = evaluation.scalars(figures)
    assert scalars["kl"] == 6.0
    assert scalars["next_accuracy/lead"] == 3.0
