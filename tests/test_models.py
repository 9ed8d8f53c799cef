"""The paper's four models and the variants of Table 1, as the gin files build them."""

import itertools

import numpy as np
import pytest
import symusic
import tensorflow as tf
from bindings import query

from magenta_vae import configuration
from magenta_vae.data import input_pipeline
from magenta_vae.inference import generation, outputs
from magenta_vae.music import tokens
from magenta_vae.training import table1
from magenta_vae.workflows import runs, text_tables, training

FLAT = ["mel_2bar", "drums_2bar"]
HIERARCHICAL = ["hierdec_mel_32bar", "hierdec_trio_16bar"]
CLASSES = dict(zip(FLAT + HIERARCHICAL, [(130,), (512,), (130,), (130, 130, 512)], strict=True))
NUM_BARS = dict(zip(FLAT + HIERARCHICAL, [2, 2, 32, 16], strict=True))
VARIANTS = ["as_is", "teacher_forcing", "baseline"]
COLUMNS = dict(zip(VARIANTS, [table1.SCHEDULED, table1.VAE, table1.BASELINE], strict=True))
TINY = "scale/tiny.gin"
WHOLE_ROUNDS = ["mel_2bar", *HIERARCHICAL]  # through `runs`; the other combinations without files
SLOW_ROUNDS = [
    pytest.param(name, marks=[pytest.mark.slow] if name == "hierdec_mel_32bar" else [])
    for name in WHOLE_ROUNDS
]
SEED = tf.constant([1, 2], tf.int64)


def parse(model, variant="as_is", *more, params=()):
    variants = [] if variant == "as_is" else [f"variants/{variant}.gin"]
    return configuration.parse([f"{model}.gin", *variants, *more], params)


@pytest.mark.parametrize("name", CLASSES)
def test_the_papers_training_details(name):
    configured = parse(name)
    parts = configured.experiment
    max_steps = {"hierdec_mel_32bar": 150_000, "hierdec_trio_16bar": 50_000}
    assert parts.batch_size == 512
    assert parts.max_steps == max_steps.get(name, 100_000)
    assert query(configured, "music_vae.MusicVAE.free_bits") == (48 if name in FLAT else 256)
    assert query(configured, "schedules.InverseSigmoid.rate") == 1000
    optimizer = parts.make_optimizer()
    assert float(optimizer._learning_rate(0)) == pytest.approx(1e-3)
    # 1e-5 + (1e-3 - 1e-5) * 0.9999^10000 = 1e-5 + 9.9e-4 * 0.367861
    assert float(optimizer._learning_rate(10_000)) == pytest.approx(3.741824e-4, rel=1e-5)
    assert parts.settings.num_steps == 16 * NUM_BARS[name]
    assert parts.settings.max_rest_steps == 16
    assert tokens.num_classes(parts.settings.tracks) == CLASSES[name]


@pytest.mark.parametrize("name", CLASSES)
def test_beta_is_annealed_as_in_the_paper(name):
    with tf.Graph().as_default():
        beta = parse(name).experiment.make_model()._beta
    if name == "hierdec_mel_32bar":
        assert float(beta(0)) == float(beta(150_000)) == 1.0
        return
    assert float(beta(0)) == 0.0
    # 0.2 * (1 - 0.99999^100000) = 0.2 * (1 - 0.367878), 0.2 * (1 - 0.99999^50000)
    assert float(beta(100_000)) == pytest.approx(0.1264245, rel=1e-5)
    assert float(beta(50_000)) == pytest.approx(0.0786942, rel=1e-5)


@pytest.mark.parametrize("name", CLASSES)
def test_only_melodies_are_transposed(name):
    configured = parse(name)
    augment = configured.experiment.augment
    assert isinstance(augment, input_pipeline.Transposition) == ("mel" in name)
    assert query(configured, "input_pipeline.Transposition.min_shift") == -5
    assert query(configured, "input_pipeline.Transposition.max_shift") == 6


def test_the_tracks_of_a_trio():
    lead, bass, drums = parse("hierdec_trio_16bar").experiment.settings.tracks
    assert (lead.name, lead.min_program, lead.max_program) == ("lead", 0, 31)
    assert (bass.name, bass.min_program, bass.max_program) == ("bass", 32, 39)
    assert (drums.name, drums.is_drum) == ("drums", True)


@pytest.mark.parametrize("name", HIERARCHICAL)
def test_the_papers_hierarchical_architecture(name):
    """Reads the sizes from the weights themselves: [inputs, 4 gates x units] of each kernel."""
    with tf.Graph().as_default():
        model = parse(name).experiment.make_model()
        shapes = {variable.path: tuple(variable.shape) for variable in model.variables}
    # "The one-hot encodings of the lead, bass, and drum labels are concatenated": 772 for a trio
    width = sum(CLASSES[name])
    assert width == (772 if "trio" in name else 130)
    assert (
        shapes["encoder/forward/kernel"] == shapes["encoder/backward/kernel"] == (width, 4 * 2048)
    )
    assert shapes["encoder/mu_and_sigma/kernel"] == (2 * 2048, 1024)
    # "z goes through a linear layer to initialize ... a 2-layer LSTM with 1024 units per layer,
    # which outputs 16 embeddings of size 512 each"
    assert shapes["conductor/initial_state/kernel"] == (512, 2 * 2 * 1024)
    assert shapes["conductor/lstm_1/kernel"] == (1024, 4 * 1024)
    assert "conductor/lstm_0/kernel" not in shapes  # It reads nothing.
    assert shapes["conductor/embedding/kernel"] == (1024, 512)
    assert model.decoder.conductor.num_segments == 16
    # "passed through a linear layer to produce 16 initial states for another 2-layer LSTM with 1024
    # units per layer"; "the embedding is concatenated with the previous output"
    for track, classes in enumerate(CLASSES[name]):
        assert shapes[f"decoder/track_{track}/initial_state/kernel"] == (512, 2 * 2 * 1024)
        assert shapes[f"decoder/track_{track}/lstm_0/kernel"] == (classes + 512, 4 * 1024)
        assert shapes[f"decoder/track_{track}/lstm_1/kernel"] == (1024, 4 * 1024)
        assert shapes[f"decoder/track_{track}/logits/kernel"] == (1024, classes)


def lstm(inputs, units):
    """Four gates: a row for each input and each state, and a bias."""
    return 4 * units * (inputs + units + 1)


def linear(inputs, outputs):
    return (inputs + 1) * outputs


def parameters_of_the_papers_text(name, variant):
    classes = CLASSES[name]
    if variant == "baseline":  # "a decoder-only autoregressive model": 3 x 2048, no z, no encoder
        flat = lstm(sum(classes), 2048) + 2 * lstm(2048, 2048)
        return flat + linear(2048, sum(classes))
    # "a single-layer bidirectional LSTM, with 2048 units per cell"; "a linear layer to produce" mu
    # and sigma of N_256 in the 2-bar models, of N_512 in the others
    z_size = 256 if name in FLAT else 512
    encoder = 2 * lstm(sum(classes), 2048) + linear(2 * 2048, 2 * z_size)
    if name in FLAT:
        # "z is passed through a linear layer to initialize the state of a 3-layer LSTM with 2048
        # units per layer", a hidden and a cell vector each; "z is concatenated with the previous
        # output"; "a linear layer and softmax" over the classes
        decoder = linear(256, 3 * 2 * 2048)
        decoder += lstm(classes[0] + 256, 2048) + 2 * lstm(2048, 2048)
        return encoder + decoder + linear(2048, classes[0])
    # "z goes through a linear layer to initialize the state of a 2-layer LSTM with 1024 units per
    # layer, which outputs 16 embeddings of size 512 each": one linear layer for all 16
    conductor = linear(512, 2 * 2 * 1024) + lstm(0, 1024) + lstm(1024, 1024) + linear(1024, 512)
    # "a linear layer to produce 16 initial states for another 2-layer LSTM with 1024 units per
    # layer", "its output through a linear layer and softmax"; for a trio "3 independent" ones
    lower = 0
    for own_classes in classes:
        lower += linear(512, 2 * 2 * 1024)
        lower += lstm(own_classes + 512, 1024) + lstm(1024, 1024)
        lower += linear(1024, own_classes)
    return encoder + conductor + lower


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", CLASSES)
def test_parameter_counts_derived_from_the_papers_text(name, variant):
    with tf.Graph().as_default():  # Variables of a graph are not allocated.
        model = parse(name, variant).experiment.make_model()
        count = sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)
    assert count == parameters_of_the_papers_text(name, variant)


@pytest.mark.parametrize("name", SLOW_ROUNDS)
def test_a_model_trains_evaluates_and_samples_files_at_tiny_scale(name, data_dirs, tmp_path):
    run_dir = str(tmp_path / "run")
    lines = []
    configured = parse(name, "as_is", TINY)
    tracks = configured.experiment.settings.tracks
    figures = training.train(configured, run_dir, data_dirs[name], 2, report=lines.append)
    assert figures["step"] == 2
    assert "windows to train" in lines[0]
    assert tuple(figures["tracks"]) == tokens.names(tracks)
    run = runs.open(run_dir)
    evaluated = run.metrics(run.windows("eval"))
    assert evaluated["tracks"] == figures["tracks"]
    text = text_tables.format_metrics(evaluated, run.experiment)
    assert f"Table 1, VAE w/ scheduled sampling, {NUM_BARS[name]} bars" in text
    samples = run.model().sample(3, temperature=0.5, seed=1)
    paths = outputs.write_music(samples, str(tmp_path / "samples"), "sample")
    assert len(paths) == 3
    for path in paths:  # read by another program than wrote it
        score = symusic.Score(path)
        programs = {(part.is_drum, part.program) for part in score.tracks}
        expected = {"hierdec_trio_16bar": {(False, 0), (False, 33), (True, 0)}}
        assert programs == expected.get(name, {(False, 0)})
        assert len(score.tracks) == len(tracks)
        assert score.end() <= NUM_BARS[name] * 4 * score.ticks_per_quarter


@pytest.mark.parametrize(
    ("name", "variant"),
    [
        each
        for each in itertools.product(CLASSES, VARIANTS)
        if each not in [(name, "as_is") for name in WHOLE_ROUNDS]
    ],
)
def test_a_variant_trains_evaluates_and_samples_at_tiny_scale(name, variant):
    parts = parse(name, variant, TINY).experiment
    model, optimizer = parts.make_model(), parts.make_optimizer()
    optimizer.build(model.trainable_variables)
    rng = np.random.default_rng(0)
    columns = [rng.integers(n, size=(2, parts.settings.num_steps)) for n in CLASSES[name]]
    music = tf.constant(np.stack(columns, axis=-1), tf.int32)
    step = tf.constant(10, tf.int64)

    @tf.function
    def train():
        with tf.GradientTape() as tape:
            terms = model.training_terms(music, step, SEED)
            loss = tf.reduce_mean(terms["loss"])
        optimizer.apply(tape.gradient(loss, model.trainable_variables))
        return terms

    before = [variable.numpy() for variable in model.trainable_variables]
    terms = train()
    for variable, old in zip(model.trainable_variables, before, strict=True):
        assert np.abs(variable - old).max() > 0, variable.path
    assert np.isfinite(terms["loss"]).all()
    assert (terms["sampling_probability"] > 0) == (variant == "as_is")
    assert (np.max(terms["kl"]) == 0) == (variant == "baseline") == (model.z_size == 0)

    figures = tf.function(model.held_out_terms)(music, step, SEED)
    for accuracy in ("next", "reconstructed", "greedy"):
        assert figures[accuracy].shape == (2, len(CLASSES[name]))
    for track in parts.settings.tracks:  # `evaluate` knows the run's cells of Table 1.
        row = (track.name, len(CLASSES[name]), parts.settings.num_bars)
        assert COLUMNS[variant] in table1.PAPER[row]
    assert parts.table1_column == COLUMNS[variant]

    tracks = parts.settings.tracks
    (sequence,) = generation.TrainedModel(model, parts.settings.window_format).sample(1)
    assert {note.instrument for note in sequence.notes} == set(range(len(tracks)))


@pytest.mark.parametrize("variant", VARIANTS[1:])
@pytest.mark.parametrize("name", CLASSES)
def test_a_variant_is_the_same_before_and_after_the_scale(name, variant):
    after = configuration.parse([f"{name}.gin", f"variants/{variant}.gin", TINY]).text
    assert configuration.parse([f"{name}.gin", TINY, f"variants/{variant}.gin"]).text == after


@pytest.mark.parametrize(
    ("num_bars", "num_segments"),
    [(4, 4), (8, 2), (16, 8), pytest.param(64, 32, marks=pytest.mark.slow), (3, 12)],
)
def test_any_other_length_from_gin_alone(num_bars, num_segments):
    lengths = [f"num_bars = {num_bars}", f"num_segments = {num_segments}"]
    for name in HIERARCHICAL:
        model = parse(name, "as_is", TINY, params=lengths).experiment.make_model()
        music = np.zeros([2, 16 * num_bars, len(CLASSES[name])], np.int32)
        assert [track.shape for track in model(music)] == [
            (2, 16 * num_bars, classes) for classes in CLASSES[name]
        ]
        assert model.decoder.conductor(tf.zeros([2, 8])).shape == (2, num_segments, 8)


def test_a_length_that_does_not_divide_is_refused_with_both_numbers():
    parts = parse("hierdec_mel_32bar", params=["num_bars = 5", "num_segments = 7"]).experiment
    with (
        tf.Graph().as_default(),
        pytest.raises(ValueError, match=r"num_segments=7\. Received: num_steps=80"),
    ):
        parts.make_model()


def test_class_counts_come_from_the_tokens():
    model = parse("mel_2bar", "as_is", TINY).experiment.make_model()
    assert model(np.zeros([2, 32, 1], np.int32))[0].shape == (2, 32, tokens.Melody().num_classes)


@pytest.mark.parametrize("name", ["demo", "demo_drums", "demo_mel_32bar", "demo_trio_16bar"])
def test_the_demos_build_on_the_bundled_songs(name):
    parts = parse(name).experiment
    assert parts.make_model().count_params() < 5_000_000
    assert list(configuration.bundled(parts.midi).glob("*.mid"))


@pytest.mark.parametrize("name", CLASSES)
def test_schedules_in_proportion_to_fewer_steps_are_the_papers(name):
    few, paper = (parse(name, "as_is", *file) for file in ([f"scale/few_visits/{name}.gin"], []))
    with tf.Graph().as_default():
        models = [each.experiment.make_model() for each in (few, paper)]
    most, papers_most = (each.experiment.max_steps for each in (few, paper))
    for share in (0.0, 0.046, 0.069, 0.138, 1.0):
        for schedule in ("_sampling_probability", "_beta"):
            values = [
                float(getattr(model, schedule)(round(share * steps)))
                for model, steps in zip(models, (most, papers_most), strict=True)
            ]
            assert values[0] == pytest.approx(values[1], abs=2e-3), (share, schedule)
    if name in HIERARCHICAL:
        settings, curriculum = few.experiment.settings, few.experiment.curriculum
        assert curriculum.until[-1] < most
        assert len(curriculum.stages(settings.num_bars)) == 2
