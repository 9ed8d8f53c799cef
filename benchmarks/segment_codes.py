#!/usr/bin/env python3
"""Prints how many dimensions of z a long model needs to hold what a flat one makes of its segments.

benchmarks/segment_codes.py --model=mel_2bar --data_dir=data/mel_16bar

The flat model's encoder reads each segment of each window. `recon`, as in Table 1, is of held-out
windows that its decoder gives back: from the means of the posteriors, from points drawn from these,
and from the best linear codes of whole windows. The codes are the principal components of the means
of training windows, in units of the posteriors' standard deviations; `explained` is the share of
the squared distance from the mean that they keep. A linear bottleneck of so many dimensions can
give no more.
"""

from absl import flags

from magenta_vae import command_flags, commands

RUN = command_flags.define_run_flags()
DATA_DIR = flags.DEFINE_string("data_dir", None, "A data set of long windows.", required=True)
SIZES = flags.DEFINE_list("sizes", ["128", "256", "384", "512", "768"], "Dimensions of the codes.")
NUM_WINDOWS = flags.DEFINE_integer("num_windows", 10_000, "Training windows of the components.")
NUM_HELD_OUT = flags.DEFINE_integer("num_held_out", 512, "Held-out windows of the figures.")
BATCH_SIZE = 512


def reconstruct(run, z, segments):
    """Returns the share of steps that are right where the decoder reads its own samples."""
    import numpy as np

    from magenta_vae.model import losses

    sampled = run.model().decode_tokens(z, 1.0, 0)
    shares = []
    for first in range(0, len(z), BATCH_SIZE):
        rows = slice(first, first + BATCH_SIZE)
        said = losses.most_likely(run.network.decode(z[rows], sampled[rows]))
        shares.append(np.mean(said == segments[rows], axis=(1, 2)))
    return float(np.concatenate(shares).mean())


def main(_):
    import numpy as np

    from magenta_vae.data import descriptions, input_pipeline
    from magenta_vae.data.settings import settings_of
    from magenta_vae.inference import samples

    run = RUN.open()
    num_steps = run.settings.window_format.num_steps
    settings = settings_of(descriptions.read(DATA_DIR.value)["settings"])

    def read(split, number):
        tokens = input_pipeline.load_tokens(DATA_DIR.value, split, settings)
        tokens = samples.draw_windows(tokens, number).astype(np.int32)
        segments = tokens.reshape(-1, num_steps, tokens.shape[-1])
        mu, sigma = run.model().posterior(segments)
        return len(tokens), segments, mu, sigma

    num_train, _, means, sigma = read("train", NUM_WINDOWS.value)
    num_held_out, segments, held_out, noise = read("eval", NUM_HELD_OUT.value)
    center, scale = means.mean(axis=0), np.sqrt(np.mean(np.square(sigma), axis=0))
    _, _, components = np.linalg.svd(
        ((means - center) / scale).reshape(num_train, -1), full_matrices=False
    )
    windows = ((held_out - center) / scale).reshape(num_held_out, -1)
    commands.report(f"{'code':<24}{'explained':>10}{'recon':>8}")

    def report(label, z, explained=""):
        commands.report(f"{label:<24}{explained:>10}{reconstruct(run, z, segments):>8.3f}")

    report("means", held_out)
    drawn = np.random.default_rng(0).normal(size=held_out.shape)
    report("posteriors", (held_out + noise * drawn).astype(np.float32))
    for size in map(int, SIZES.value):
        kept = windows @ components[:size].T @ components[:size]
        explained = 1 - np.sum(np.square(windows - kept)) / np.sum(np.square(windows))
        z = kept.reshape(held_out.shape) * scale + center
        report(f"{size} dimensions", z.astype(np.float32), f"{explained:.3f}")


if __name__ == "__main__":
    commands.run(main)
