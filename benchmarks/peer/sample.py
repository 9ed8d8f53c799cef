"""Magenta's TrainedModel: decoding, at a quarter of the paper's widths, with random weights.

Python 3.8. Arguments: the configuration, the batch, a folder of the checkpoint. Where there is none
it is written, and that is all. Else prints a line once the first music is there; then, for each
number read, that many
batches' seconds.
"""

import copy
import json
import os
import sys
import time
import warnings

warnings.filterwarnings("ignore")

import numpy as np  # noqa: E402
import tensorflow.compat.v1 as tf  # noqa: E402

tf.disable_v2_behavior()
tf.logging.set_verbosity(tf.logging.ERROR)

from magenta.models.music_vae import configs  # noqa: E402
from magenta.models.music_vae.trained_model import TrainedModel  # noqa: E402


def quarter(name, batch):
    """Returns one of Magenta's configurations at a quarter of its widths."""
    config = copy.deepcopy(configs.CONFIG_MAP[name])
    hparams = config.hparams
    hparams.enc_rnn_size = [size // 4 for size in hparams.enc_rnn_size]
    hparams.dec_rnn_size = [size // 4 for size in hparams.dec_rnn_size]
    hparams.batch_size = batch
    return config


def save_random_weights(config, path):
    """Writes a checkpoint of the configuration's model before any training."""
    config = copy.deepcopy(config)
    hparams, converter, model = config.hparams, config.data_converter, config.model
    batch, steps = hparams.batch_size, hparams.max_seq_len
    with tf.Graph().as_default(), tf.Session() as session:
        model.build(hparams, converter.output_depth, is_training=False)
        model.encode(tf.zeros([batch, steps, converter.input_depth]), tf.fill([batch], steps))
        with tf.variable_scope(tf.get_variable_scope(), reuse=tf.AUTO_REUSE):
            z = tf.zeros([batch, hparams.z_size])
            model.sample(batch, max_length=steps, z=z, temperature=1.0)
        session.run(tf.global_variables_initializer())
        tf.train.Saver().save(session, path, write_meta_graph=False)


def main(name, batch, folder):
    batch, path = int(batch), os.path.join(folder, "model.ckpt")
    config = quarter(name, batch)
    if not os.path.isfile(path + ".index"):
        save_random_weights(config, path)
        return
    steps = config.hparams.max_seq_len
    model = TrainedModel(config, batch_size=batch, checkpoint_dir_or_path=path)
    model.sample(n=batch, length=steps, temperature=0.5)
    print(json.dumps({}), flush=True)
    rng = np.random.RandomState(0)
    for line in sys.stdin:
        seconds = []
        for _ in range(int(line)):
            z = rng.randn(batch, config.hparams.z_size).astype(np.float32)
            start = time.perf_counter()
            model.decode_to_tensors(list(z), length=steps, temperature=0.5)
            seconds.append(time.perf_counter() - start)
        print(json.dumps({"seconds": seconds}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
