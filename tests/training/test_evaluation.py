"""The figures of Table 1, and how they are written."""

import numpy as np
import pytest
import tensorflow as tf

from magenta_vae.music.tokens import Drums, Melody
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


class Repeating(Figures):
    """A model that gives every window as it is, but for what it does not hear."""

    track_names = ("melody", "drums")

    def held_out_terms_and_tokens(self, tokens, step, seed):
        deaf = tf.bitwise.bitwise_and(tokens, [0xFF, 0b110])  # to kicks
        named = {"next": tokens, "reconstructed": deaf, "greedy": tf.zeros_like(tokens)}
        return self.held_out_terms(tokens, step, seed), named


@pytest.fixture
def of_notes():
    # Five windows of a note and a hold; a kick and a snare, then a snare.
    tokens = np.tile([[60, 0b011], [Melody.sustain, 0b010]], (5, 1, 1))
    tracks = [Melody(), Drums()]
    return evaluation.Evaluation(Repeating(), tokens, batch_size=2, tracks=tracks)(step=1)


def test_notes_stand_beside_the_papers_figures(of_notes):
    melody, drums = of_notes["tracks"]["melody"], of_notes["tracks"]["drums"]
    assert "next_accuracy" in melody
    assert melody["notes"]["next"] == {"precision": 1.0, "recall": 1.0, "f1": 1.0}
    assert melody["notes"]["greedy_reconstruction"]["recall"] == 0  # the pitch 0, each time
    assert drums["notes"]["reconstruction"] == {"precision": 1.0, "recall": 2 / 3, "f1": 0.8}
    assert drums["hits"]["kick"]["recall"] == 0
    assert drums["hits"]["snare"]["f1"] == 1
    assert "hits" not in melody


def test_notes_have_lines_and_curves(of_notes):
    lines = evaluation.format_notes(of_notes).splitlines()
    (line,) = [line for line in lines if "snare" in line]
    assert line.split()[-3:] == ["1.000", "1.000", "1.000"]
    (line,) = [line for line in lines if "ride" in line]
    assert line.split()[-3:] == ["-", "-", "-"]  # none was made, none was there
    scalars = evaluation.scalars(of_notes)
    assert scalars["note_f1/drums"] == 0.8
    assert scalars["hit_f1/drums/snare"] == 1
    assert "hit_f1/drums/ride" not in scalars
    assert all(isinstance(value, float) for value in scalars.values())


def test_figures_without_notes_have_no_table_of_them(figures):
    assert evaluation.format_notes(figures) == ""
