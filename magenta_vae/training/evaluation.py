"""The metrics of Table 1, next-step and reconstruction accuracy, KL, loss, and the notes right."""

from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from magenta_vae import display
from magenta_vae.contracts import LatentModel, Vocabulary
from magenta_vae.music import notes_right
from magenta_vae.music.names import hit_names
from magenta_vae.training import divergence
from magenta_vae.training.window_figures import (
    ACCURACIES,
    PREDICTIONS,
    TOTALS,
    Listener,
    WindowFigures,
)

RECONSTRUCTION = PREDICTIONS["reconstructed"][0]


class Evaluation:
    """Evaluates a model on tokens; the graph is built once.

    Args:
        model: has `held_out_terms` and `track_names`. Notes are counted of one that also has
            `held_out_terms_and_tokens`, as a `MusicVAE` has.
        tokens: [windows, steps, tracks].
        batch_size: windows at a time.
        seed: of the draws; the same metrics for the same seed and weights.
        tracks: the vocabularies of the tokens, to count notes by; none for no notes.
    """

    def __init__(
        self,
        model: LatentModel,
        tokens: np.ndarray,
        batch_size: int,
        seed: int = 0,
        tracks: Sequence[Vocabulary] = (),
    ):
        self._model = model
        self._tokens = tokens
        self._batch_size = batch_size
        self._seed = seed
        self._tracks = tracks
        self._kinds = [hit_names(track) for track in tracks]
        both = getattr(model, "held_out_terms_and_tokens", None) if tracks else None
        self._measure = tf.function(
            both or (lambda *batch: (model.held_out_terms(*batch), {})),
            autograph=False,
            input_signature=[
                tf.TensorSpec([None, *tokens.shape[1:]], tf.int32),
                tf.TensorSpec([], tf.int64),
                tf.TensorSpec([2], tf.int64),
            ],
        )

    def __call__(self, step: int, listeners: Sequence[Listener] = ()) -> dict:
        """Returns the metrics, averaged over all windows, as JSON values.

        Accuracies are shares of steps. `next_accuracy` is teacher-forced, z drawn from the
        posterior. `reconstruction_accuracy` is of the most likely token while the decoder reads its
        own samples (temperature 1) from the same z; `greedy_reconstruction_accuracy` while it reads
        its most likely tokens. `most_frequent_token_share` is what one constant token would score.
        `notes` are the precision, recall and F1 of the onsets of the same three, see
        `notes_right.scores`; `hits` those of each kind of hit of drums, of the reconstruction.

        Args:
            step: the training step, for beta and for the record.
            listeners: are given the figures of each window, a batch after another.
        """
        sums: dict[str, np.ndarray] = {}
        counts: dict[str, list[notes_right.Counts]] = {}
        firsts = range(0, len(self._tokens), self._batch_size)
        for first in display.track(firsts, "evaluating batches"):
            batch = np.asarray(self._tokens[first : first + self._batch_size], np.int32)
            seed = tf.constant([self._seed, first], tf.int64)
            terms, predicted = self._measure(batch, tf.constant(step, tf.int64), seed)
            figures = WindowFigures(
                first,
                self._model.track_names,
                self._kinds,
                {name: values.numpy().astype(np.float64) for name, values in terms.items()},
                {
                    name: notes_right.count_each(made.numpy(), batch, self._tracks)
                    for name, made in predicted.items()
                },
            )
            for name, each in figures.terms.items():
                sums[name] = sums.get(name, 0.0) + np.sum(each, axis=0)
            for name, of_tracks in figures.onsets.items():
                found = list(map(notes_right.total, of_tracks))
                if name in counts:
                    found = [sum_ + more for sum_, more in zip(counts[name], found, strict=True)]
                counts[name] = found
            for listen in listeners:
                listen(figures)
        means = {name: total / len(self._tokens) for name, total in sums.items()}
        divergence.warn_of_nonsense(float(means["kl"]))
        return {
            "step": step,
            "examples": len(self._tokens),
            **{name: float(means[term]) for term, name in TOTALS.items()},
            "tracks": {
                name: {
                    **{key: float(means[term][track]) for term, key in ACCURACIES.items()},
                    "most_frequent_token_share": _most_frequent_share(self._tokens[..., track]),
                    **self._notes(track, counts),
                }
                for track, name in enumerate(self._model.track_names)
            },
        }

    def _notes(self, track: int, counts: Mapping[str, Sequence[notes_right.Counts]]) -> dict:
        """Returns the scores of one track's notes, and of the kinds of its hits; none uncounted."""
        if not counts:
            return {}
        notes = {
            name: notes_right.scores(counts[given][track])
            for given, (name, _) in PREDICTIONS.items()
        }
        names = self._kinds[track]
        kinds = notes_right.scores_by_kind(counts["reconstructed"][track]) if names else []
        hits = {"hits": dict(zip(names, kinds, strict=True))} if names else {}
        return {"notes": notes, **hits}


def format_table(metrics: dict) -> str:
    """Returns the metrics as a table for people."""
    songs = f" of {metrics['intervals']['songs']:,} songs" if "intervals" in metrics else ""
    lines = [
        f"step {metrics['step']:,}, {metrics['examples']:,} windows{songs}",
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


def format_notes(metrics: dict) -> str:
    """Returns the notes right as a table for people, of older metrics nothing."""
    lines = []
    for name, track in metrics["tracks"].items():
        for key, label in PREDICTIONS.values():
            if key in track.get("notes", {}):
                lines.append(_scores_line(name, label, track["notes"][key]))
        lines += [
            _scores_line(name, f"recon (own), {kind}", scores)
            for kind, scores in track.get("hits", {}).items()
        ]
    if not lines:
        return ""
    heading = "notes right: share of onsets whose pitch (of drums: hit) and step are right"
    names = "".join(f"{name:>11}" for name in ("precision", "recall", "F1"))
    return "\n".join([heading, f"{'track':<10}{'':<28}{names}", *lines])


def scalars(metrics: dict) -> dict[str, float]:
    """Returns the metrics under flat names, as TensorBoard wants them.

    Of the notes those of the reconstruction: `note_f1/<track>`, `hit_f1/<track>/<kind>`, ...
    """
    flat = {name: metrics[key] for name, key in TOTALS.items()}
    for track, values in metrics["tracks"].items():
        notes = values.get("notes", {}).get(RECONSTRUCTION, {})
        named = {f"note_{score}/{track}": value for score, value in notes.items()}
        for kind, scores in values.get("hits", {}).items():
            named[f"hit_f1/{track}/{kind}"] = scores["f1"]
        # What nothing was counted of has no value.
        flat.update({name: value for name, value in named.items() if value is not None})
        flat.update({
            f"{name}/{track}": value
            for name, value in values.items()
            if name not in ("notes", "hits")
        })  # fmt: skip
    return flat


def _scores_line(track: str, label: str, scores: Mapping[str, float | None]) -> str:
    cells = "".join(
        f"{'-':>11}" if value is None else f"{value:>11.3f}" for value in scores.values()
    )
    return f"{track:<10}{label:<28}{cells}"


def _most_frequent_share(tokens: np.ndarray) -> float:
    return float(np.max(np.bincount(tokens.reshape(-1))) / tokens.size)
