"""The memory of a training step, by formula.

A step holds tensors of the weights' sizes, and for each window what the loops over steps keep for
the gradient (`model/recurrence`). The latter is counted in numbers a unit and step:

- A layer keeps four gates, its cell and its hidden state, and the hidden states once more as one
  tensor. Its gradient adds that of the four gates.
- The memory is highest at one of two moments. While the gradient of the decoder is taken, all
  layers keep theirs; the stacks of several tracks take turns. While that of the encoder is taken,
  what the decoder kept is gone, but of both directions the gradients of the gates lie there twice,
  step by step and as one tensor, and those of the hidden states.
- Beside these lie the outputs of the decoder's stacks, their gradients and both in the order of the
  rows; and the logits, with what the cross-entropy and its gradient make of them.

The counts are of the memory that a process holds, with what TensorFlow's allocator leaves unused
between tensors: the hidden states' place, once they are one tensor, takes no gradient of gates.
`benchmarks/step_memory.py` prints the formula beside what it measures.
"""

import dataclasses
import math
from typing import Any, NamedTuple

from magenta_vae.magenta.encoder import StackedBidirectionalLSTM
from magenta_vae.model.decoders import Conductor, FlatDecoder, HierarchicalDecoder
from magenta_vae.model.encoders import BidirectionalLSTM, NoEncoder
from magenta_vae.model.lstm_stack import units_of_layers

GB = 2**30
# What TensorFlow takes to prepare and run a graph, and for each stack of layers in it: measured
# with models whose tensors are a few megabytes.
GRAPH, GRAPH_OF_A_STACK = 50 * 2**20, 30 * 2**20
COPIES_OF_WEIGHTS = 5  # The weights, Adam's two averages, the gradient and the clipped one.
# Of micro-batches' gradients: the sum so far and the next one; half as much lies unused between.
COPIES_OF_SUMS = 2.5
# Numbers a unit, or a class, and step; see above.
KEPT, GATES, HIDDEN, OUTPUTS, LOGITS = 7, 4, 1, 3, 4
FLOAT32 = 4  # bytes


class Stack(NamedTuple):
    """Layers that run in one loop.

    Attributes:
        units: of each layer.
        steps: of the loop.
        rows: of the loop, for each window: its segments.
        outputs: numbers that it hands on at each step and row.
        recompute: whether its gradient computes the activations again.
    """

    units: tuple[int, ...]
    steps: int
    rows: int
    outputs: int
    recompute: bool

    def kept(self, gradient: int = 0) -> int:
        """Returns the numbers that are kept for a window, and how many while its gradient is taken.

        Args:
            gradient: numbers a unit and step that the gradient adds.
        """
        if not self.recompute:
            return (KEPT + gradient) * sum(self.units) * self.steps * self.rows
        # As `model/recomputation` cuts it: states at the beginning of each block of steps.
        block = max(n for n in range(1, math.isqrt(self.steps) + 1) if self.steps % n == 0)
        starts = 2 * sum(self.units) * (self.steps // block)
        again = (KEPT + gradient) * sum(self.units) * block if gradient else 0
        outputs = self.units[-1] * self.steps * (2 * HIDDEN if gradient else HIDDEN)
        return (starts + again + outputs) * self.rows


@dataclasses.dataclass(frozen=True)
class StepMemory:
    """What a step of a replica takes, in bytes.

    Args:
        weights: whatever the number of windows.
        sums: what micro-batches add to that.
        window: of each window that is differentiated at a time.
        graph: of the system's memory, also where the step runs on a GPU.
    """

    weights: float
    sums: float
    window: float
    graph: float

    def step(self, num_windows: int, in_parts: bool = False) -> float:
        """Returns the bytes of the tensors of a step that takes so many windows at a time."""
        return self.weights + self.sums * in_parts + self.window * num_windows

    def on_cpu(self, num_windows: int, in_parts: bool = False) -> float:
        """Returns the bytes that such steps add to a process."""
        return self.graph + self.step(num_windows, in_parts)


def estimate(model: Any, dtype_policy: str, recompute: bool = False) -> StepMemory | None:
    """Returns the memory of a step, None for a model of parts that the formula does not know.

    Args:
        model: a `MusicVAE`; its weights need not be there.
        dtype_policy: of its layers.
        recompute: whether gradients compute activations again, also where the model does not.
    """
    found = _list_stacks(model, recompute)
    if found is None:
        return None
    encoding, decoding = found
    kept = sum(each.kept() for each in (*encoding, *decoding))
    outputs = sum(OUTPUTS * each.outputs * each.steps * each.rows for each in decoding)
    first = kept + max(each.kept(GATES) - each.kept() for each in decoding) + outputs
    last = sum(each.kept(2 * GATES + HIDDEN) for each in encoding)
    number_bytes = FLOAT32 if dtype_policy == "float32" else FLOAT32 // 2
    steps_of_window = model.decoder.num_steps
    logits = FLOAT32 * LOGITS * sum(model.decoder.get_config()["num_classes"]) * steps_of_window
    window = number_bytes * max(first, last) + logits
    if number_bytes < FLOAT32:  # Sums over steps are taken in float32: of one layer at a time.
        layers = (max(each.units) * each.steps * each.rows for each in (*encoding, *decoding))
        window += FLOAT32 * GATES * max(layers)
    weights = FLOAT32 * model.count_params()
    return StepMemory(
        COPIES_OF_WEIGHTS * weights,
        COPIES_OF_SUMS * weights,
        window,
        GRAPH + GRAPH_OF_A_STACK * (len(encoding) + len(decoding)),
    )


def _list_stacks(model: Any, recompute: bool) -> tuple[list[Stack], list[Stack]] | None:
    """Returns the stacks of encoder and decoder, None where one of them is none of ours."""
    encoder, decoder = getattr(model, "encoder", None), getattr(model, "decoder", None)
    if not isinstance(decoder, FlatDecoder | HierarchicalDecoder):
        return None
    steps, config = decoder.num_steps, decoder.get_config()
    again = recompute or config["recompute"]
    units = tuple(units_of_layers(config["num_units"], config["num_layers"]))
    if isinstance(decoder, FlatDecoder):
        decoding = [Stack(units, steps, 1, units[-1], again)]
    else:
        segments = decoder.conductor.num_segments
        track = Stack(units, steps // segments, segments, units[-1], again)
        decoding = [track] * len(config["num_classes"])
        if isinstance(decoder.conductor, Conductor):
            config = decoder.conductor.get_config()
            units = tuple(units_of_layers(config["num_units"], config["num_layers"]))
            decoding.append(Stack(units, segments, 1, units[-1], recompute=False))
    if isinstance(encoder, NoEncoder):
        return [], decoding
    if not isinstance(encoder, BidirectionalLSTM | StackedBidirectionalLSTM):
        return None
    config = encoder.get_config()
    of_layers = units_of_layers(config["num_units"], config.get("num_layers", 1))
    again = recompute or config["recompute"]
    directions = [Stack((size,), steps, 1, size, again) for size in of_layers] * 2
    return directions, decoding
