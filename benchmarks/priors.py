#!/usr/bin/env python3
"""Prints how near samples of several densities of z come to held-out windows.

benchmarks/priors.py --run_dir=runs/mel_2bar --data_dir=data/mel_2bar
benchmarks/priors.py --model=drums_2bar --data_dir=data/drums_2bar --gaussians=1,10 --seeds=1

A row is a density and a temperature. Of every statistic stands the distance of samples from
held-out windows (`samples.compare`), the mean over the seeds, in terms of the larger of two others:
what chance makes of as many windows as a model's card compares, and the training windows' own.
(The first lines also say what chance makes of as many windows as there are samples: less.)
`worst` is the largest of all statistics and seeds. `unlike` is the share of samples that differ
from one another, `copies` that of those which are a training window, transposed or not.

The first rows are the decoder's own part of the distance: held-out windows decoded from the means
of their posteriors, and from points drawn from these. Then N(0, I), and mixtures of so many
Gaussians, fitted to the means of training windows as `--prior=data` is; with --noise also with the
posteriors' mean variances added to their covariances, and with the --spreads of `publish`.
"""

import dataclasses
import time

from absl import flags

from magenta_vae import command_flags, commands

RUN = command_flags.define_run_flags()
DATA_DIR = flags.DEFINE_string("data_dir", None, "The run's data set, where it is not found.")
GAUSSIANS = flags.DEFINE_list("gaussians", ["1", "4", "10", "20"], "Gaussians of the mixtures.")
TEMPERATURES = flags.DEFINE_list("temperatures", ["0.5", "0.7", "0.85", "1"], "Of the softmax.")
SEEDS = flags.DEFINE_integer("seeds", 3, "Sets of samples of each row.", lower_bound=1)
NUM_SAMPLES = flags.DEFINE_integer("num_samples", 1024, "Of each set.", lower_bound=1)
NUM_WINDOWS = flags.DEFINE_integer(
    "num_windows", 20_000, "Training windows of the fit: by default as many as --prior=data takes."
)
SPREADS = flags.DEFINE_list("spreads", ["1"], "Of the Gaussians, as `publish --spread`.")
NOISE = flags.DEFINE_bool("noise", False, "Whether mixtures are tried with the posteriors' noise.")


class Comparison:
    """Samples beside held-out windows.

    Attributes:
        names: (track, statistic) of each distance.
        chance: the distances that chance makes of as many windows as a model's card compares.
        chance_of_all: those of all these windows.
        of_training: those of training windows.
    """

    def __init__(self, held_out, training, tracks):
        from magenta_vae.inference import samples
        from magenta_vae.music import statistics

        self._statistics, self._tracks = statistics, tracks
        self._own = statistics.measure(held_out, tracks)
        few = statistics.measure(held_out[: samples.NUM_SAMPLES], tracks)
        self.names = [(track, name) for track, rows in few.items() for name in rows]
        self.chance, self.chance_of_all = (
            [statistics.chance_distance(each[track][name]) for track, name in self.names]
            for each in (few, self._own)
        )
        self.of_training = self._distances(training)

    def ratios(self, tokens):
        """Returns the distances of samples, float [statistics], in terms of the larger of both."""
        import numpy as np

        bounds = np.maximum(self.chance, self.of_training)
        with np.errstate(divide="ignore", invalid="ignore"):  # Chance may make none.
            return self._distances(tokens) / bounds

    def _distances(self, tokens):
        found = self._statistics.measure(tokens, self._tracks)
        return [
            self._statistics.wasserstein_distance(self._own[track][name], found[track][name])
            for track, name in self.names
        ]


def densities(run, held_out, training):
    """Yields (label, seed -> float32 [samples, z]) of each density that is measured."""
    import numpy as np

    from magenta_vae.inference import data_prior, generation, samples

    model = run.model()
    mu, sigma = model.posterior(held_out)
    yield "held out: means", lambda seed: mu
    yield (
        "held out: posteriors",
        lambda seed: mu + sigma * np.random.default_rng(seed).normal(size=mu.shape),
    )
    yield "N(0, I)", lambda seed: model.sample_z(NUM_SAMPLES.value, seed)
    posteriors = model.posterior(samples.draw_windows(training, NUM_WINDOWS.value))
    for most in map(int, GAUSSIANS.value):
        start = time.perf_counter()
        fitted = data_prior.fit(*posteriors, run.step, most)
        seconds = time.perf_counter() - start
        variants = {
            "" if spread == 1 else f" x {spread:g}": data_prior.with_spread(fitted, spread)
            for spread in map(float, SPREADS.value)
        }
        if NOISE.value:
            variants[" + noise"] = _with_noise(fitted)
        for variant, prior in variants.items():
            drawn = generation.TrainedModel(
                run.network, run.settings.window_format, find_data_prior=lambda prior=prior: prior
            )
            number = len(fitted.mixture.weights)
            yield (
                f"{number} Gaussians{variant} ({seconds:.0f} s)",
                lambda seed, drawn=drawn: drawn.sample_z(NUM_SAMPLES.value, seed, data_prior.DATA),
            )


def _with_noise(prior):
    """Returns a mixture with the posteriors' mean variances added to its covariances."""
    import numpy as np

    mixture = prior.mixture
    covariances = mixture.roots @ mixture.roots.transpose(0, 2, 1) + np.diag(prior.noise)
    noisy = dataclasses.replace(mixture, roots=np.linalg.cholesky(covariances))
    return dataclasses.replace(prior, mixture=noisy)


def main(_):
    import numpy as np

    from magenta_vae.inference import samples

    run = RUN.open()
    training, held_out = (run.windows(split, DATA_DIR.value) for split in ("train", "eval"))
    held_out, alike = (
        samples.draw_windows(each, NUM_SAMPLES.value) for each in (held_out, training)
    )
    model = run.model()
    comparison = Comparison(held_out, alike, model.tracks)
    distances = comparison.chance, comparison.chance_of_all, comparison.of_training
    for number, ((track, name), *row) in enumerate(
        zip(comparison.names, *distances, strict=True), 1
    ):
        chance, of_all, training_distance = row
        commands.report(
            f"{number}: {track} {name.replace('_', ' ')}, chance {chance:.4f} (of "
            f"{len(held_out):,} windows {of_all:.4f}), training {training_distance:.4f}"
        )
    columns = "".join(f"{number + 1:>7}" for number in range(len(comparison.names)))
    commands.report(f"{'density':<32}{'T':>5}{columns}{'worst':>8}{'unlike':>8}{'copies':>8}")
    for label, draw in densities(run, held_out, training):
        for temperature in map(float, TEMPERATURES.value):
            sets = [
                model.decode_tokens(draw(seed), temperature, seed) for seed in range(SEEDS.value)
            ]
            ratios = np.array([comparison.ratios(tokens) for tokens in sets])
            unlike = np.mean([len(np.unique(tokens, axis=0)) / len(tokens) for tokens in sets])
            made = np.concatenate(sets)
            copies = samples.count_copies({"made": made}, training, model.tracks)["made"]
            cells = "".join(f"{ratio:>7.2f}" for ratio in ratios.mean(axis=0))
            commands.report(
                f"{label:<32}{temperature:>5g}{cells}{ratios.max():>8.2f}{unlike:>8.3f}"
                f"{copies / len(made):>8.3f}"
            )


if __name__ == "__main__":
    commands.run(main)
