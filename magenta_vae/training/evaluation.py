"""The metrics of Table 1: next-step and reconstruction accuracy, KL, loss."""

import numpy as np
import tensorflow as tf

from magenta_vae import display
from magenta_vae.contracts import LatentModel
from magenta_vae.training import divergence

# The names that training gives the same quantities.
SCALAR_NAMES = {"loss": "loss", "reconstruction": "reconstruction_nats", "kl": "kl_nats"}


class Evaluation:
    """Evaluates a model on tokens; the graph is built once.

    Args:
        model: has `held_out_terms` and `track_names`.
        tokens: [windows, steps, tracks].
        batch_size: windows at a time.
        seed: of the draws; the same metrics for the same seed and weights.
    """

    def __init__(self, model: LatentModel, tokens: np.ndarray, batch_size: int, seed: int = 0):
        self._model = model
        self._tokens = tokens
        self._batch_size = batch_size
        self._seed = seed
        shape = [None, *tokens.shape[1:]]
        self._measure = tf.function(
            model.held_out_terms,
            autograph=False,
            input_signature=[
                tf.TensorSpec(shape, tf.int32),
                tf.TensorSpec([], tf.int64),
                tf.TensorSpec([2], tf.int64),
            ],
        )

    def __call__(self, step: int) -> dict:
        """Returns the metrics, averaged over all windows, as JSON values.

        Accuracies are shares of steps. `next_accuracy` is teacher-forced, z drawn from the
        posterior. `reconstruction_accuracy` is of the most likely token while the decoder reads its
        own samples (temperature 1) from the same z; `greedy_reconstruction_accuracy` while it reads
        its most likely tokens. `most_frequent_token_share` is what one constant token would score.

        Args:
            step: the training step, for beta and for the record.
        """
        sums: dict[str, np.ndarray] = {}
        firsts = range(0, len(self._tokens), self._batch_size)
        for first in display.track(firsts, "evaluating batches"):
            batch = tf.constant(self._tokens[first : first + self._batch_size], tf.int32)
            seed = tf.constant([self._seed, first], tf.int64)
            metrics = self._measure(batch, tf.constant(step, tf.int64), seed)
            for name, values in metrics.items():
                total = np.sum(values.numpy().astype(np.float64), axis=0)
                sums[name] = sums.get(name, 0.0) + total
        means = {name: total / len(self._tokens) for name, total in sums.items()}
        divergence.warn_of_nonsense(float(means["kl"]))
        return {
            "step": step,
            "examples": len(self._tokens),
            "loss": float(means["loss"]),
            "reconstruction_nats": float(means["reconstruction"]),
            "kl_nats": float(means["kl"]),
            "tracks": {
                name: {
                    "next_accuracy": float(means["next"][track]),
                    "reconstruction_accuracy": float(means["reconstructed"][track]),
                    "greedy_reconstruction_accuracy": float(means["greedy"][track]),
                    "most_frequent_token_share": _most_frequent_share(self._tokens[..., track]),
                }
                for track, name in enumerate(self._model.track_names)
            },
        }


def format_table(metrics: dict) -> str:
    """Returns the metrics as a table for people."""
    lines = [
        f"step {metrics['step']:,}, {metrics['examples']:,} windows",
        f"{'track':<10}{'next':>8}{'recon':>8}{'recon':>10}{'most frequent':>16}",
        f"{'':<10}{'':>8}{'(own)':>8}{'(greedy)':>10}{'token alone':>16}",
    ]
    for name, track in metrics["tracks"].items():
        lines.append(
            f"{name:<10}{track['next_accuracy']:>8.3f}{track['reconstruction_accuracy']:>8.3f}"
            f"{track['greedy_reconstruction_accuracy']:>10.3f}"
            f"{track['most_frequent_token_share']:>16.3f}"
        )
    lines.append(
        f"loss {metrics['loss']:.2f} nats"
        f", reconstruction {metrics['reconstruction_nats']:.2f} nats"
        f", KL {metrics['kl_nats']:.2f} nats"
    )
    return "\n".join(lines)


def scalars(metrics: dict) -> dict[str, float]:
    """Returns the metrics under flat names, as TensorBoard wants them."""
    flat = {name: metrics[key] for name, key in SCALAR_NAMES.items()}
    for track, values in metrics["tracks"].items():
        flat.update({f"{name}/{track}": value for name, value in values.items()})
    return flat


def _most_frequent_share(tokens: np.ndarray) -> float:
    return float(np.bincount(tokens.reshape(-1)).max() / tokens.size)
