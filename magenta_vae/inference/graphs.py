"""A model's work as graphs of batches of any size: from seeds to points, from points to tokens."""

import functools
from collections.abc import Callable

import tensorflow as tf

from magenta_vae.contracts import LatentModel
from magenta_vae.inference.mixtures import Mixture
from magenta_vae.model import autoregressor
from magenta_vae.model.noise import COMPONENT, LATENT, RowNoise

_ROWS = tf.TensorSpec([None, 2], tf.int64)
_TEMPERATURE = tf.TensorSpec([])

# (z, temperature, seeds) -> tokens, of rows; see `decode_rows`.
RowDecoder = Callable[[tf.Tensor, float, tf.Tensor], tf.Tensor]


def prior_rows(model: LatentModel, seeds: tf.Tensor) -> tf.Tensor:
    """Returns a point of the prior for each seed: int [rows, 2] -> float32 [rows, z_size]."""
    return RowNoise(seeds).normal(LATENT, model.z_size)


def component_rows(seeds: tf.Tensor) -> tf.Tensor:
    """Returns what chooses a Gaussian for each seed: int [rows, 2] -> float32 [rows] in (0, 1)."""
    return RowNoise(seeds).uniform(COMPONENT, 1, 1)[0, :, 0]


def mixture_rows(mixture: Mixture, standard: tf.Tensor, uniform: tf.Tensor) -> tf.Tensor:
    """Returns `Mixture.points` in a graph: float32 [rows, z] of [rows, z] and [rows].

    Every row is a point of all Gaussians, of which one is kept: the roots, gathered for each row,
    would take gigabytes where z is wide.
    """
    standard, uniform = tf.cast(standard, tf.float64), tf.cast(uniform, tf.float64)
    chosen = tf.reduce_sum(tf.cast(uniform[:, None] >= mixture.bounds, tf.int32), axis=1)
    points = tf.zeros_like(standard)
    for component, (mean, root) in enumerate(zip(mixture.means, mixture.roots, strict=True)):
        drawn = mean + tf.linalg.matmul(standard, root, transpose_b=True)
        points = tf.where((chosen == component)[:, None], drawn, points)
    return tf.cast(points, tf.float32)


def decode_rows(
    model: LatentModel, z: tf.Tensor, temperature: tf.Tensor, seeds: tf.Tensor
) -> tf.Tensor:
    """Returns int32 [rows, steps, tracks] tokens of points, each drawn with a seed of its own.

    Args:
        model: a `MusicVAE`.
        z: float [rows, z_size].
        temperature: a number, or one for each row: float [rows, 1].
        seeds: int [rows, 2].
    """
    return model.sample(z, model.sampler(temperature, RowNoise(seeds)))


def make_prior(model: LatentModel) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns `prior_rows` of a model as one graph."""
    return tf.function(functools.partial(prior_rows, model), [_ROWS], autograph=False)


@functools.cache
def make_component() -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns `component_rows` as one graph, the same for all models."""
    return tf.function(component_rows, [_ROWS], autograph=False)


def make_decoder(model: LatentModel, jit_compile: bool = False) -> RowDecoder:
    """Returns `decode_rows` of a model as two graphs, one for a single row and one for any number.

    Args:
        model: a `MusicVAE`.
        jit_compile: whether XLA compiles it, for batches of 1, 2, 4 ... rows.
    """
    z = tf.TensorSpec([None, model.z_size])
    if jit_compile:
        return _in_powers_of_two(_compiled_decoder(model, z))
    single, several = (
        tf.function(
            functools.partial(decode_rows, model),
            [tf.TensorSpec([rows, model.z_size]), _TEMPERATURE, tf.TensorSpec([rows, 2], tf.int64)],
            autograph=False,
        )
        for rows in (1, None)
    )
    return lambda z, temperature, seeds: (single if len(z) == 1 else several)(z, temperature, seeds)


def _compiled_decoder(model: LatentModel, z: tf.TensorSpec) -> RowDecoder:
    """Returns `decode_rows` of a model, compiled but for its draws: XLA would draw others."""

    def draw(seeds):
        return model.draw_choices(RowNoise(seeds))

    def decode(z, temperature, draws):
        return model.sample(z, autoregressor.sampler(temperature, draws))

    draw_graph = tf.function(draw, [_ROWS], autograph=False)
    signature = [z, _TEMPERATURE, tf.TensorSpec(draw_graph.get_concrete_function().output_shapes)]
    decode_graph = tf.function(decode, signature, autograph=False, jit_compile=True)
    return lambda z, temperature, seeds: decode_graph(z, temperature, draw_graph(seeds))


def _in_powers_of_two(decode: RowDecoder) -> RowDecoder:
    """Returns a decoder of rows that meets few numbers of them: XLA compiles for each."""

    def decode_padded(z, temperature, seeds):
        num_rows = z.shape[0]
        padding = [[0, (1 << max(num_rows - 1, 0).bit_length()) - num_rows], [0, 0]]
        return decode(tf.pad(z, padding), temperature, tf.pad(seeds, padding))[:num_rows]

    return decode_padded
