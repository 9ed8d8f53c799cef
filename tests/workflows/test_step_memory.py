"""The memory of a step by formula: its counts, and beside what steps take."""

import subprocess
import sys
from pathlib import Path

import pytest
import tensorflow as tf

from magenta_vae import configuration
from magenta_vae.training import precision
from magenta_vae.workflows import step_memory
from magenta_vae.workflows.micro_batches import MARGIN

ROOT = Path(__file__).parents[2]
# A quarter of the paper's widths, for 2 bars and for more.
SHORT = ["encoders.BidirectionalLSTM.num_units=512", "decoders.FlatDecoder.num_units=512"]
LONG = [
    "encoders.BidirectionalLSTM.num_units=512",
    "decoders.Conductor.num_units=256",
    "decoders.HierarchicalDecoder.num_units=256",
]
SMALL = "scale/small.gin"


def make(name, *files, params=(), **options):
    experiment = configuration.parse([f"{name}.gin", *files], params).experiment
    policy = experiment.dtype_policy
    with tf.Graph().as_default(), precision.dtype_policy(policy):  # No weights are drawn.
        model = experiment.make_model()
    return model, step_memory.estimate(model, policy, **options)


def test_each_number_of_a_flat_model_is_counted():
    model, found = make("mel_2bar", "scale/tiny.gin")
    # 32 steps; an encoder of 2 x 16 units, a decoder of two layers of 16, 130 classes.
    kept, gates = 7 * (2 * 16 + 2 * 16), 4 * 2 * 16
    assert found.window == 4 * 32 * (kept + gates + 3 * 16 + 4 * 130)
    assert found.weights == 5 * 4 * model.count_params()
    assert found.step(3, in_parts=True) == 7.5 * 4 * model.count_params() + 3 * found.window


def test_a_wide_encoder_has_its_peak_in_its_own_gradient():
    _, found = make("hierdec_mel_32bar")
    assert found.window == 512 * 4 * 16 * 2 * 2048 + 512 * 4 * 4 * 130


def test_the_tracks_of_a_trio_have_their_turns():
    _, found = make("hierdec_trio_16bar", "scale/tiny.gin")
    conductor = 16 * 7 * 16
    tracks = 256 * (7 * 3 * 16 + 4 * 16 + 3 * 3 * 8 + 4 * (130 + 130 + 512))
    embeddings = 3 * 16 * 8
    assert found.window == 4 * (256 * 7 * 2 * 16 + conductor + tracks + embeddings)


@pytest.mark.parametrize("name", ["mel_2bar", "hierdec_mel_32bar"])
def test_recomputing_and_sixteen_bits_keep_less(name):
    _, whole = make(name, SMALL)
    _, again = make(name, SMALL, recompute=True)
    _, bound = make(name, SMALL, params=["recompute=True"])
    _, half = make(name, SMALL, params=["configuration.Experiment.dtype_policy='mixed_bfloat16'"])
    assert again == bound
    assert again.window < 0.6 * whole.window
    assert 0.5 * whole.window < half.window < 0.8 * whole.window
    assert {each.weights for each in (whole, again, half)} == {whole.weights}


def test_of_parts_of_ones_own_nothing_is_known():
    model, _ = make("mel_2bar", "scale/tiny.gin")
    model.decoder = None
    assert step_memory.estimate(model, "float32") is None
    assert step_memory.estimate(object(), "float32") is None


def test_a_baseline_and_a_flat_decoder_are_known():
    _, found = make("mel_2bar", "variants/baseline.gin", "scale/tiny.gin")
    assert found.window == 4 * 32 * (11 * 2 * 16 + 3 * 16 + 4 * 130)
    _, trio = make("hierdec_trio_16bar", "variants/flat_decoder.gin", "scale/tiny.gin")
    assert trio.window > 4 * 256 * 11 * 2 * 16


def measure(*flags):
    """Returns the peak of a step in GB, measured in a process of its own, and by formula."""
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "step_memory.py", *flags],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    _, peak, formula, _ = done.stdout.splitlines()[-1].split()
    return float(peak), float(formula)


def test_the_formula_is_near_the_measured_peak():
    peak, formula = measure("--gin_file=mel_2bar.gin", f"--gin_file={SMALL}", "--batch_sizes=512")
    assert formula == pytest.approx(peak, rel=MARGIN)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "params", "batch_size"),
    [
        ("mel_2bar", SHORT, 128),
        ("drums_2bar", SHORT, 128),
        ("hierdec_mel_32bar", LONG, 48),
        ("hierdec_trio_16bar", LONG, 48),
        ("mel_2bar", [], 32),
        ("drums_2bar", [], 32),
        ("hierdec_mel_32bar", [], 8),
        ("hierdec_trio_16bar", [], 8),
        ("mel_2bar", [*SHORT, "configuration.Experiment.micro_batch_size=64"], 256),
        ("hierdec_mel_32bar", [*LONG, "recompute=True"], 48),
    ],
    ids=str,
)
def test_the_formula_holds_for_all_models_at_two_widths(name, params, batch_size):
    """Up to 5 GB."""
    flags = [f"--gin_param={param}" for param in params]
    peak, formula = measure(f"--gin_file={name}.gin", *flags, f"--batch_sizes={batch_size}")
    assert formula == pytest.approx(peak, rel=MARGIN)
