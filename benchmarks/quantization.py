#!/usr/bin/env python3
"""Prints what --quantize_bytes of magenta_js costs a model in size and in music.

benchmarks/quantization.py --model=mel_2bar

The model's own samples, of z of --prior=data at temperature 0.5, are encoded and decoded greedily.
`mu` is how far the mean moves in terms of its posterior's sigma, `same` the share of tokens that
float32 decodes from the same points too, `recon` the share that is the sample's own.
"""

import tempfile
from pathlib import Path

import numpy as np
import tensorflow as tf
from absl import flags

from magenta_vae import command_flags, commands

RUN = command_flags.define_run_flags()
NUM_SAMPLES = flags.DEFINE_integer("num_samples", 512, "Samples.", lower_bound=1)


def main(_):
    from magenta_vae.model import autoregressor
    from magenta_vae.serving import javascript

    run = RUN.open()
    generator = run.model()
    z = generator.sample_z(NUM_SAMPLES.value, seed=1, prior="data")
    tokens = np.asarray(generator.decode_tokens(z, temperature=0.5, seed=2))
    mu, sigma = map(np.asarray, run.network.encode(tf.constant(tokens)))
    decoded = run.network.sample(tf.constant(mu), autoregressor.greedy).numpy()
    print("bytes  size (MB)  mu      same    recon")
    for quantize_bytes in (None, 2, 1):
        with tempfile.TemporaryDirectory() as place:
            folder = f"{place}/magenta_js"
            text = run.configured.text
            window_format = run.settings.window_format
            javascript.write(run.network, window_format, folder, quantize_bytes, gin_text=text)
            size = sum(path.stat().st_size for path in Path(folder).glob("group1-shard*"))
            model = _read(folder)
        moved = np.abs(model.encode(tf.constant(tokens))[0] - mu) / sigma
        again = model.sample(tf.constant(mu), autoregressor.greedy).numpy()
        own = model.sample(model.encode(tf.constant(tokens))[0], autoregressor.greedy).numpy()
        print(
            f"{quantize_bytes or 4:<6} {size / 1e6:<10.1f} {moved.mean():<7.4f} "
            f"{np.mean(again == decoded):<7.4f} {np.mean(own == tokens):.4f}"
        )


def _read(folder):
    from magenta_vae.magenta import weights
    from magenta_vae.magenta.javascript_weights import JavaScriptModel
    from magenta_vae.workflows import magenta_configurations

    source = JavaScriptModel(folder)
    _, configured = magenta_configurations.find(source, None)
    model = configured.experiment.make_model()
    weights.load_weights(magenta_configurations.layers_of(configured, model), source)
    return model


if __name__ == "__main__":
    commands.run(main)
