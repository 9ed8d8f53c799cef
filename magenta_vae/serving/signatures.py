"""A model as a server calls it: functions of batches whose rows do not depend on one another."""

import functools
from collections.abc import Callable

import tensorflow as tf

from magenta_vae.contracts import LatentModel
from magenta_vae.inference import fields, graphs
from magenta_vae.inference.data_prior import DataPrior
from magenta_vae.model import autoregressor, latent, lstm_steps
from magenta_vae.music.window_format import WindowFormat
from magenta_vae.serving import request_checks
from magenta_vae.serving.prior import SAMPLE_FROM_DATA
from magenta_vae.serving.seeds import SEED_BITS

# The inputs of each signature. All have the same first dimension, the rows of the batch.
INPUTS = {
    "encode": ("tokens",),
    "decode": ("z", "temperature", "seed"),
    "sample": ("seed", "temperature"),
    "reconstruct": ("tokens", "temperature", "seed"),
    "interpolate": ("start", "end", "position", "temperature", "seed"),
    "decode_with_noise": ("z", "temperature", "gumbel"),
    "describe": ("row",),
}
# What is added where it is known where the training windows lie.
FROM_DATA = {SAMPLE_FROM_DATA: ("seed", "temperature")}
# What no server answers: a part of exports that draw by themselves.
UNSERVED = {"decode_with_draws": ("z", "temperature", "draws")}
# Those without random operations and without assertions: other runtimes have neither.
PORTABLE = ("encode", "decode_with_noise")
# Some seconds of a server's work with the largest models; 16 batches of a client.
MAX_ROWS = 1024


class Signatures:
    """The signatures of a model.

    Args:
        model: a `MusicVAE` with a latent space.
        window_format: the tracks and the length of its windows.
        description: what `describe` answers.
        max_rows: the most rows of a request.
        prior: where its training windows lie, for `sample_from_data`; None for no such signature.
    """

    def __init__(
        self,
        model: LatentModel,
        window_format: WindowFormat,
        description: str = "",
        max_rows: int = MAX_ROWS,
        prior: DataPrior | None = None,
    ):
        self._prior = prior
        self.inputs = {**INPUTS, **(FROM_DATA if prior else {})}
        self._model = model
        # Traced once for all the signatures that call them.
        self._encode = tf.function(model.encode, autograph=False)
        self._decode = tf.function(functools.partial(graphs.decode_rows, model), autograph=False)
        self._num_classes = list(window_format.num_classes)
        self.description = description
        self.max_rows = max_rows
        self.z_size = model.z_size
        window = fields.windows(window_format)
        self.fields = {
            "tokens": window,
            "start": window,
            "end": window,
            "z": fields.points(model.z_size),
            "temperature": fields.positive(),
            "seed": fields.natural(),
            "position": fields.share(),
            "draws": fields.finite((window_format.num_steps, len(window_format.tracks))),
            "gumbel": fields.finite((window_format.num_steps, sum(window_format.num_classes))),
            "row": fields.natural(),
        }

    def specs(self, name: str, batch_size: int | None = None) -> list[tf.TensorSpec]:
        """Returns the inputs of a signature, for batches of one size or of any."""
        return [
            request_checks.spec(field, self.fields[field], batch_size)
            for field in self._inputs_of(name)
        ]

    def served(self, name: str) -> tf.types.experimental.ConcreteFunction:
        """Returns the graph of a signature that refuses wrong requests."""

        def answer(*values):
            checked = request_checks.check(self.fields, self._named(name, values), self.max_rows)
            return getattr(self, name)(**checked)

        return self.graph(answer, name)

    def portable(self, name: str, batch_size: int | None = None):
        """Returns the graph of a signature without checks, for batches of one size or of any."""
        with lstm_steps.in_whole_layers():
            return self.graph(
                lambda *values: getattr(self, name)(**self._named(name, values)), name, batch_size
            )

    def graph(self, function: Callable, name: str, batch_size: int | None = None):
        """Returns the graph of a function of a signature's inputs in their order."""
        specs = self.specs(name, batch_size)
        # Not by AutoGraph, which would spend as long on the source as is spent on the graph.
        return tf.function(function, input_signature=specs, autograph=False).get_concrete_function()

    def encode(self, tokens):
        """Returns the posterior's `mu` and `sigma`, float32 [rows, z_size]."""
        # Not by the shared graph: that is for batches of any size, LiteRT's is for one.
        mu, sigma = self._model.encode(tokens)
        return {"mu": mu, "sigma": sigma}

    def decode(self, z, temperature, seed):
        """Returns `tokens`, int32 [rows, steps, tracks], drawn at a temperature."""
        return {"tokens": self._decode(z, temperature[:, None], seed_pairs(seed))}

    def sample(self, seed, temperature):
        """Returns the `tokens` of points of the prior."""
        return self.decode(graphs.prior_rows(self._model, seed_pairs(seed)), temperature, seed)

    def sample_from_data(self, seed, temperature):
        """Returns points `z` of where the training windows lie, and their `tokens`."""
        assert self._prior is not None
        pairs = seed_pairs(seed)
        standard = graphs.prior_rows(self._model, pairs)
        z = graphs.mixture_rows(self._prior.mixture, standard, graphs.component_rows(pairs))
        return {"z": z, **self.decode(z, temperature, seed)}

    def reconstruct(self, tokens, temperature, seed):
        """Returns the `tokens` of the means of other tokens."""
        return self.decode(self._encode(tokens)[0], temperature, seed)

    def interpolate(self, start, end, position, temperature, seed):
        """Returns the `tokens` of points on the spherical ways between the means of two windows."""
        ends = self._encode(start)[0], self._encode(end)[0]
        return self.decode(latent.slerp(*ends, position), temperature, seed)

    def decode_with_noise(self, z, temperature, gumbel):
        """Returns `tokens` as `decode` does, from draws that are given.

        Args:
            gumbel: float32 [rows, steps, classes of all tracks], independent draws of the standard
                Gumbel distribution; zeros for the most likely token of every step.
        """

        def choose(step, logits):
            draws = tf.split(gumbel[:, step], self._num_classes, axis=-1)
            noisy = [
                tf.cast(track, tf.float32) / temperature[:, None] + draw
                for track, draw in zip(logits, draws, strict=True)
            ]
            return autoregressor.greedy(step, noisy)

        return {"tokens": self._model.sample(z, choose)}

    def decode_with_draws(self, z, temperature, draws):
        """Returns the `tokens` that `decode` returns of the seeds that made these draws.

        Args:
            draws: float32 [rows, steps, tracks] in (0, 1): those of `model.draw_choices`, whose
                steps come first.
        """
        uniform = tf.transpose(draws, [1, 0, 2])
        choose = autoregressor.sampler(temperature[:, None], uniform)
        return {"tokens": self._model.sample(z, choose)}

    def describe(self, row):
        """Returns the description of the model as `json`, string [rows]."""
        return {"json": tf.fill(tf.shape(row), self.description)}

    def _named(self, name: str, values) -> dict[str, tf.Tensor]:
        return dict(zip(self._inputs_of(name), values, strict=True))

    def _inputs_of(self, name: str) -> tuple[str, ...]:
        return UNSERVED[name] if name in UNSERVED else self.inputs[name]


def seed_pairs(seed: tf.Tensor) -> tf.Tensor:
    """Returns the pairs that rows draw from: int64 [rows] -> int64 [rows, 2]; see `seeds`."""
    size = tf.constant(2**SEED_BITS, seed.dtype)
    return tf.stack([seed % size, seed // size], axis=-1)
