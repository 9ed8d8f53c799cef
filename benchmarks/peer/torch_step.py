"""MusicVAE in PyTorch: a training step on random tokens, at a quarter of the paper's widths.

What most would write today: nn.LSTM, or nn.LSTMCell in a loop where the decoder reads its own
samples. The parts, their sizes and what enters where are those of ours. Arguments: the model
(mel_2bar, hierdec_mel_32bar, hierdec_trio_16bar), the batch, and what the decoder reads: `sampled`
(half of the tokens are its own samples) or `teacher` (the true tokens).
Prints a line once the first step is done; then, for each number read, that many steps' seconds.
"""

import math
import os
import sys
from typing import NamedTuple

import torch
from answers import serve_steps
from torch import nn
from torch.nn import functional

SAMPLING_PROBABILITY = 0.5
BETA = 0.2


class Sizes(NamedTuple):
    """What a model is made of."""

    classes: tuple  # of each track
    num_steps: int
    z_size: int
    free_bits: float
    decoder_units: int
    decoder_layers: int
    num_segments: int = 0  # 0 for a flat decoder
    embedding_size: int = 512
    conductor_units: int = 256
    encoder_units: int = 512


MODELS = {
    "mel_2bar": Sizes((130,), 32, 256, 48, 512, 3),
    "hierdec_mel_32bar": Sizes((130,), 512, 512, 256, 256, 2, num_segments=16),
    "hierdec_trio_16bar": Sizes((130, 130, 512), 256, 512, 256, 256, 2, num_segments=16),
}


class Encoder(nn.Module):
    """One-hot tokens of all tracks -> mu and sigma."""

    def __init__(self, sizes):
        super().__init__()
        classes, units = sum(sizes.classes), sizes.encoder_units
        self.lstm = nn.LSTM(classes, units, bidirectional=True, batch_first=True)
        self.mu_and_sigma = nn.Linear(2 * units, 2 * sizes.z_size)

    def forward(self, one_hot):
        _, (hidden, _) = self.lstm(one_hot)  # [2, B, U]
        final = torch.cat([hidden[0], hidden[1]], dim=-1)
        mu, sigma_pre = self.mu_and_sigma(final).chunk(2, dim=-1)
        return mu, torch.exp(2 * sigma_pre)


class InitialState(nn.Module):
    """A context -> the first hidden and cell states of an LSTM's layers."""

    def __init__(self, context_size, units, num_layers):
        super().__init__()
        self.linear = nn.Linear(context_size, 2 * num_layers * units)
        self.shape = (-1, 2, num_layers, units)

    def forward(self, context):
        states = self.linear(context).view(self.shape)  # [B, 2, layers, U]
        hidden, cell = states.permute(1, 2, 0, 3).contiguous()
        return hidden, cell  # [layers, B, U] each


class TeacherForcedDecoder(nn.Module):
    """A track's decoder, which reads the true tokens joined with a context."""

    def __init__(self, classes, context_size, units, num_layers):
        super().__init__()
        self.initial_state = InitialState(context_size, units, num_layers)
        self.lstm = nn.LSTM(classes + context_size, units, num_layers, batch_first=True)
        self.logits = nn.Linear(units, classes)

    def forward(self, context, previous, is_own):
        """[rows, context], [rows, steps, classes] -> logits, [rows, steps, classes]."""
        del is_own
        at_each_step = context[:, None].expand(-1, previous.shape[1], -1)
        inputs = torch.cat([previous, at_each_step], dim=-1)
        outputs, _ = self.lstm(inputs, self.initial_state(context))
        return self.logits(outputs)


class SampledDecoder(nn.Module):
    """A track's decoder, which reads its own samples in the place of some of the true tokens."""

    def __init__(self, classes, context_size, units, num_layers):
        super().__init__()
        self.initial_state = InitialState(context_size, units, num_layers)
        widths = [classes + context_size] + [units] * (num_layers - 1)
        self.cells = nn.ModuleList([nn.LSTMCell(width, units) for width in widths])
        self.logits = nn.Linear(units, classes)

    def forward(self, context, previous, is_own):
        """Does so too; `is_own`, [rows, steps], says where the own sample is read."""
        hidden, cell = self.initial_state(context)
        states = list(zip(hidden, cell))
        token, outputs = previous[:, 0], []
        for step in range(previous.shape[1]):
            below = torch.cat([token, context], dim=-1)
            for layer, lstm_cell in enumerate(self.cells):
                states[layer] = lstm_cell(below, states[layer])
                below = states[layer][0]
            outputs.append(self.logits(below))
            if step + 1 < previous.shape[1]:
                own = is_own[:, step + 1, None]
                token = torch.where(own, draw(outputs[-1]), previous[:, step + 1])
        return torch.stack(outputs, dim=1)


@torch.no_grad()
def draw(logits):
    """Returns a sample of each row, one-hot."""
    sample = torch.multinomial(torch.softmax(logits, dim=-1), 1)[:, 0]
    return functional.one_hot(sample, logits.shape[-1]).float()


class Conductor(nn.Module):
    """z -> an embedding for each segment, by an LSTM that reads zeros."""

    def __init__(self, sizes):
        super().__init__()
        units, self.num_segments = sizes.conductor_units, sizes.num_segments
        self.initial_state = InitialState(sizes.z_size, units, 2)
        self.lstm = nn.LSTM(1, units, 2, batch_first=True)
        self.embedding = nn.Linear(units, sizes.embedding_size)
        self.lstm.weight_ih_l0.requires_grad_(False)  # It is multiplied by zeros.

    def forward(self, z):
        outputs, _ = self.lstm(z.new_zeros(len(z), self.num_segments, 1), self.initial_state(z))
        return self.embedding(outputs)  # [B, S, embedding]


class MusicVAE(nn.Module):
    """The model and its loss."""

    def __init__(self, sizes, decoder):
        super().__init__()
        self.sizes = sizes
        self.encoder = Encoder(sizes)
        self.conductor = Conductor(sizes) if sizes.num_segments else None
        context_size = sizes.embedding_size if sizes.num_segments else sizes.z_size
        units, num_layers = sizes.decoder_units, sizes.decoder_layers
        self.decoders = nn.ModuleList(
            [decoder(classes, context_size, units, num_layers) for classes in sizes.classes]
        )
        for name, parameter in self.named_parameters():
            if "bias_hh" in name:  # PyTorch adds two biases; ours, as the paper's, has one.
                nn.init.zeros_(parameter).requires_grad_(False)

    def forward(self, tokens):
        """int64 [B, T, tracks] -> the loss, a scalar."""
        one_hot = [
            functional.one_hot(tokens[..., track], classes).float()
            for track, classes in enumerate(self.sizes.classes)
        ]
        mu, sigma = self.encoder(torch.cat(one_hot, dim=-1))
        z = mu + sigma * torch.randn_like(sigma)
        # The segments are rows of one batch: each begins with the true token before it.
        rows = len(tokens) * max(1, self.sizes.num_segments)
        context = z if self.conductor is None else self.conductor(z).flatten(0, 1)
        is_own = torch.rand(tokens.shape[:2]).view(rows, -1) < SAMPLING_PROBABILITY
        cross_entropy = 0.0
        for track, decoder in enumerate(self.decoders):
            previous = functional.pad(one_hot[track], (0, 0, 1, -1))
            logits = decoder(context, previous.reshape(rows, -1, previous.shape[-1]), is_own)
            cross_entropy = cross_entropy + functional.cross_entropy(
                logits.flatten(0, 1), tokens[..., track].flatten(), reduction="sum"
            )
        kl = 0.5 * (mu**2 + sigma**2 - 1 - 2 * torch.log(sigma)).sum(dim=-1)
        free_nats = self.sizes.free_bits * math.log(2)
        kl_cost = BETA * torch.clamp(kl - free_nats, min=0).mean()
        return cross_entropy / len(tokens) + kl_cost


def make_step(model, batch):
    """Returns a function that takes one training step."""
    parameters = [each for each in model.parameters() if each.requires_grad]
    optimizer = torch.optim.Adam(parameters, lr=1e-3, fused=True)
    shape = (batch, model.sizes.num_steps)
    tokens = torch.stack([torch.randint(n, shape) for n in model.sizes.classes], dim=-1)

    def step():
        optimizer.zero_grad()
        loss = model(tokens)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        return loss.item()

    return step


def main(name, batch, reads):
    torch.set_num_threads(len(os.sched_getaffinity(0)))  # As TensorFlow does.
    torch.manual_seed(0)
    decoder = {"sampled": SampledDecoder, "teacher": TeacherForcedDecoder}[reads]
    model = MusicVAE(MODELS[name], decoder)
    trained = sum(each.numel() for each in model.parameters() if each.requires_grad)
    serve_steps(make_step(model, int(batch)), trained)


if __name__ == "__main__":
    main(*sys.argv[1:])
