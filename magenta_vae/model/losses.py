"""Losses, in nats, and accuracies of each example; no state."""

import math
from collections.abc import Sequence

import tensorflow as tf


def cross_entropy(logits: Sequence[tf.Tensor], tokens: tf.Tensor) -> tf.Tensor:
    """Returns the cross-entropy in nats, summed over steps and tracks: float [batch].

    Args:
        logits: float [batch, steps, classes] for each track.
        tokens: int [batch, steps, tracks].
    """
    per_track = [
        tf.nn.sparse_softmax_cross_entropy_with_logits(tokens[..., track], track_logits)
        for track, track_logits in enumerate(logits)
    ]
    return tf.add_n([tf.reduce_sum(steps, axis=-1) for steps in per_track])


def kl_cost(kl: tf.Tensor, beta: tf.Tensor, free_bits: float) -> tf.Tensor:
    """Returns beta * max(KL - free bits, 0) in nats: float [batch] (paper, Training Details).

    Args:
        kl: nats, [batch].
        beta: the weight of the cost.
        free_bits: the KL that costs nothing, in bits an example.
    """
    return beta * tf.maximum(kl - free_bits * math.log(2.0), 0.0)


def accuracies(predictions: tf.Tensor, tokens: tf.Tensor) -> tf.Tensor:
    """Returns the share of steps predicted right, float [batch, tracks].

    Both arguments are int [batch, steps, tracks].
    """
    return tf.reduce_mean(tf.cast(predictions == tokens, tf.float32), axis=1)


def most_likely(logits: Sequence[tf.Tensor]) -> tf.Tensor:
    """Returns the most likely tokens: int32 [batch, steps, tracks]."""
    return tf.stack([tf.argmax(track, axis=-1, output_type=tf.int32) for track in logits], axis=-1)
