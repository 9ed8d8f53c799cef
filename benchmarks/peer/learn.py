"""Magenta's MusicVAE, trained on given tokens and evaluated on others on request.

Python 3.8. Arguments: the model (mel_2bar, hierdec_mel_32bar), its hyperparameters as JSON, the
seed, and two .npy files of int tokens [windows, steps], to train on and held out. Prints a line
once both graphs have run; then answers `train N` with the seconds of N further steps, and
`evaluate` with the mean held-out terms, teacher forced from a z drawn from the posterior.
"""

import json
import math
import sys
import time

import numpy as np
from train_step import MusicVAE, lstm_models, make_decoder, tf

from magenta.common import merge_hparams  # isort: skip  # After TensorFlow is told what it is.
from magenta.contrib.training import HParams  # isort: skip

NUM_CLASSES = 130


class Graph:
    """A model in a graph of its own: for training, or for evaluation."""

    def __init__(self, model, given, num_steps, seed, is_training):
        with tf.Graph().as_default():
            tf.set_random_seed(seed)
            self.batch_size = given["batch_size"]
            encoder = lstm_models.BidirectionalLstmEncoder()
            vae = MusicVAE(encoder, make_decoder(model, (NUM_CLASSES,), num_steps))
            vae.build(hparams_of(given, num_steps, is_training), NUM_CLASSES, is_training)
            shape = [self.batch_size, num_steps, NUM_CLASSES]
            self._inputs = tf.placeholder(tf.float32, shape)
            arguments = self._inputs, self._inputs, tf.fill(shape[:1], num_steps), None
            if is_training:
                self._fetched = take_step(vae, vae.train(*arguments))
            else:
                _, self._fetched = vae._compute_model_loss(*arguments)
            variables = tf.trainable_variables()
            self._variables = {each.name: each for each in variables}
            self.num_parameters = sum(int(np.prod(each.shape)) for each in variables)
            self._initialize = tf.global_variables_initializer()
            self._session = tf.Session()
        self.reset()

    def reset(self):
        """Gives the variables their initial values."""
        self._session.run(self._initialize)

    def run(self, tokens):
        """Takes a step, or returns the terms, of int [batch, steps]."""
        one_hot = np.eye(NUM_CLASSES, dtype=np.float32)[tokens]
        return self._session.run(self._fetched, {self._inputs: one_hot})

    def weights(self):
        """Returns the values of the variables by their names."""
        return self._session.run(self._variables)

    def load(self, weights):
        """Takes the values of another graph's variables."""
        for name, variable in self._variables.items():
            variable.load(weights[name], self._session)


def hparams_of(given, num_steps, is_training):
    """Returns Magenta's hyperparameters."""
    own = {
        name: given[name] for name in ("batch_size", "z_size", "free_bits", "max_beta", "beta_rate")
    }
    return merge_hparams(
        lstm_models.get_default_hparams(),  # The learning rate's schedule is the paper's.
        HParams(
            max_seq_len=num_steps,
            enc_rnn_size=[given["units"]],
            dec_rnn_size=[given["units"]] * given["layers"],
            sampling_schedule="inverse_sigmoid" if is_training else "constant",
            sampling_rate=float(given["sampling_rate"]) if is_training else 0.0,
            **own,
        ),
    )


def take_step(vae, optimizer):
    """Returns the operation of a training step."""
    gradients, variables = zip(*optimizer.compute_gradients(vae.loss))
    gradients, _ = tf.clip_by_global_norm(gradients, vae.hparams.grad_clip)
    return optimizer.apply_gradients(zip(gradients, variables), global_step=vae.global_step)


def shuffled(tokens, batch_size, seed):
    """Yields batches for ever, shuffled anew each epoch."""
    rng = np.random.RandomState(seed)
    while True:
        order = rng.permutation(len(tokens))
        for first in range(0, len(tokens) - batch_size + 1, batch_size):
            yield tokens[order[first : first + batch_size]]


def evaluate(graph, tokens, max_beta):
    """Returns the mean terms in nats; the loss is that of the whole beta."""
    terms = []
    for first in range(0, len(tokens), graph.batch_size):
        found = graph.run(tokens[first : first + graph.batch_size])
        kl = found["losses/kl_bits"] * math.log(2)
        cost = max_beta * found["losses/kl_loss"]
        reconstruction = found["losses/r_loss"]
        terms.append([reconstruction + cost, reconstruction, kl])
    means = np.mean(terms, axis=(0, 2))
    return {name: float(mean) for name, mean in zip(("loss", "reconstruction", "kl"), means)}


def main(model, hyperparameters, seed, training_file, held_out_file):
    given, seed = json.loads(hyperparameters), int(seed)
    tokens, held_out = np.load(training_file), np.load(held_out_file)
    trained = Graph(model, given, tokens.shape[1], seed, is_training=True)
    evaluated = Graph(model, given, tokens.shape[1], seed, is_training=False)
    trained.run(tokens[: trained.batch_size])  # The first step takes longer than the others.
    trained.reset()
    batches = shuffled(tokens, trained.batch_size, seed)
    print(json.dumps({"parameters": trained.num_parameters}), flush=True)
    for line in sys.stdin:
        request, *number = line.split()
        if request == "train":
            start = time.perf_counter()
            for _ in range(int(number[0])):
                trained.run(next(batches))
            answer = {"seconds": time.perf_counter() - start}
        else:
            evaluated.load(trained.weights())
            answer = evaluate(evaluated, held_out, given["max_beta"])
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
