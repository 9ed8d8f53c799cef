"""Magenta's MusicVAE: its own training step on random tokens, at a quarter of the paper's widths.

Python 3.8. Arguments: the model (mel_2bar, hierdec_mel_32bar, hierdec_trio_16bar) and the batch.
Prints a line once the first step is done; then, for each number read, that many steps' seconds.
"""

import sys
import warnings

warnings.filterwarnings("ignore")

import numpy as np  # noqa: E402
import tensorflow.compat.v1 as tf  # noqa: E402
from answers import serve_steps  # noqa: E402

tf.disable_v2_behavior()
tf.logging.set_verbosity(tf.logging.ERROR)

from magenta.common import merge_hparams  # noqa: E402
from magenta.contrib.training import HParams  # noqa: E402
from magenta.models.music_vae import lstm_models  # noqa: E402
from magenta.models.music_vae.base_model import MusicVAE  # noqa: E402

# classes of each track, steps, decoder, z, decoder's units a layer
SIZES = {
    "mel_2bar": ((130,), 32, 256, [512] * 3),
    "hierdec_mel_32bar": ((130,), 512, 512, [256] * 2),
    "hierdec_trio_16bar": ((130, 130, 512), 256, 512, [256] * 2),
}


def make_decoder(model, classes, num_steps):
    """Returns Magenta's decoder, as its released configurations put it together."""
    core = lstm_models.CategoricalLstmDecoder
    if model == "mel_2bar":
        return core()
    lower = core()
    if len(classes) > 1:
        each = [core() for _ in classes]
        lower = lstm_models.SplitMultiOutLstmDecoder(core_decoders=each, output_depths=classes)
    return lstm_models.HierarchicalLstmDecoder(
        lower, level_lengths=[16, num_steps // 16], disable_autoregression=True
    )


def make_step(model, batch):
    """Returns a function that takes one training step, and the number of parameters."""
    classes, num_steps, z_size, decoder_units = SIZES[model]
    hparams = merge_hparams(
        lstm_models.get_default_hparams(),
        HParams(
            batch_size=batch,
            max_seq_len=num_steps,
            z_size=z_size,
            enc_rnn_size=[512],
            dec_rnn_size=decoder_units,
            free_bits=48,
            max_beta=0.2,
            beta_rate=0.99999,
            sampling_schedule="constant",
            sampling_rate=0.5,
        ),
    )
    vae = MusicVAE(lstm_models.BidirectionalLstmEncoder(), make_decoder(model, classes, num_steps))
    vae.build(hparams, sum(classes), is_training=True)
    inputs = tf.placeholder(tf.float32, [batch, num_steps, sum(classes)])
    optimizer = vae.train(inputs, inputs, tf.fill([batch], num_steps), None)
    gradients, variables = zip(*optimizer.compute_gradients(vae.loss))
    gradients, _ = tf.clip_by_global_norm(gradients, hparams.grad_clip)
    train = optimizer.apply_gradients(zip(gradients, variables), global_step=vae.global_step)
    session = tf.Session()
    session.run(tf.global_variables_initializer())
    rng = np.random.RandomState(0)
    one_hot = [np.eye(n, dtype=np.float32)[rng.randint(0, n, (batch, num_steps))] for n in classes]
    feed = {inputs: np.concatenate(one_hot, axis=-1)}
    num_parameters = sum(int(np.prod(each.shape)) for each in variables)
    return lambda: session.run(train, feed), num_parameters


def main(model, batch):
    serve_steps(*make_step(model, int(batch)))


if __name__ == "__main__":
    main(*sys.argv[1:])
