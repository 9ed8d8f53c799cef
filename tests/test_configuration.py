"""Gin files and runs: what is reproduced, what is saved, and what is refused."""

import numpy as np
import pytest
import tensorflow as tf
from bindings import query

from magenta_vae import configuration
from magenta_vae.configuration import configurables
from magenta_vae.inference import outputs
from magenta_vae.training import latent_summaries
from magenta_vae.training.weights import load_weights
from magenta_vae.workflows import datasets, runs, training

TINY = "scale/tiny.gin"


def test_the_same_seed_samples_the_same_files_whatever_their_number(data_dirs, tmp_path):
    run_dir = str(tmp_path / "run")
    configured = configuration.parse(["mel_2bar.gin", TINY])
    training.train(configured, run_dir, data_dirs["mel_2bar"], max_steps=2)

    def sample(folder, number, seed):
        music = runs.open(run_dir).model().sample(number, 1.0, seed)
        paths = outputs.write_music(music, str(tmp_path / folder), "sample")
        return [open(path, "rb").read() for path in paths]

    assert sample("a", 3, seed=5) == sample("b", 70, seed=5)[:3]
    assert sample("a", 3, seed=5) != sample("c", 3, seed=6)


OPTIONS = [
    "configuration.Experiment.micro_batch_size = 4",
    "configuration.Experiment.dtype_policy = 'mixed_float16'",
    "recompute = True",
]


XLA = pytest.param(
    [*OPTIONS, "configuration.Experiment.jit_compile = True"], marks=pytest.mark.slow, id="XLA"
)


@pytest.mark.parametrize(
    "params",
    [
        pytest.param([], id="plain"),
        pytest.param(OPTIONS, id="options", marks=pytest.mark.slow),
        XLA,
    ],
)
def test_a_resumed_run_ends_with_the_same_bits(data_dirs, tmp_path, params):
    def weights(run_dir, *stops):
        for stop in stops:
            configured = configuration.parse(["mel_2bar.gin", TINY], params)
            training.train(configured, str(run_dir), data_dirs["mel_2bar"], max_steps=stop)
        run = runs.open(str(run_dir))
        assert run.step == stops[-1]
        return run.network.get_weights()

    whole = weights(tmp_path / "whole", 6)
    parts = weights(tmp_path / "parts", 2, 6)
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_run_of_another_configuration_is_refused_with_the_difference(data_dirs, tmp_path):
    run_dir = str(tmp_path / "run")
    data_dir = data_dirs["mel_2bar"]
    configured = configuration.parse(["mel_2bar.gin", TINY])
    training.train(configured, run_dir, data_dir, max_steps=2)
    other = configuration.parse(["mel_2bar.gin", TINY], ["music_vae.MusicVAE.free_bits = 7"])
    with pytest.raises(ValueError, match=r"free_bits = 48\n\+music_vae.MusicVAE.free_bits = 7"):
        training.train(other, run_dir, data_dir, max_steps=2)
    training.train(configured, run_dir, data_dir, max_steps=2)


def test_a_data_set_of_another_kind_is_refused(data_dirs, tmp_path):
    configured = configuration.parse(["drums_2bar.gin", TINY])
    with pytest.raises(ValueError, match="this configuration expects tracks"):
        training.train(configured, str(tmp_path / "run"), data_dirs["mel_2bar"])
    assert not (tmp_path / "run").exists()


def test_a_checkpoint_of_another_model_is_refused(data_dirs, tmp_path):
    run_dir = tmp_path / "run"
    configured = configuration.parse(["mel_2bar.gin", TINY])
    training.train(configured, str(run_dir), data_dirs["mel_2bar"], max_steps=2)
    other = configuration.parse(["mel_2bar.gin", TINY], ["z_size = 9"]).experiment
    with pytest.raises(ValueError, match="does not fit"):
        load_weights(str(run_dir), other.make_model())


def test_the_saved_configuration_reads_back_as_itself(tmp_path):
    path = tmp_path / "config.gin"
    text = configuration.parse(["mel_2bar.gin", "scale/small.gin"], ["z_size = 33"]).text
    path.write_text(text)
    assert configuration.parse_run(str(path)).text == text
    assert configuration.parse([str(path)]).text == text
    assert "z_size = 33" in text


def test_later_files_win():
    configured = configuration.parse(["mel_2bar.gin", "scale/small.gin"])
    assert query(configured, "encoders.BidirectionalLSTM.num_units") == 128


@pytest.mark.parametrize("binding", ["MusicVEA.free_bits = 3", "music_vae.MusicVAE.freebits = 3"])
def test_a_binding_that_does_not_exist_is_named(binding):
    with pytest.raises(ValueError, match="MusicVEA|freebits"):
        configuration.parse(["mel_2bar.gin"], [binding])


@pytest.mark.parametrize("binding", ["batch_size", "batch_size =", "seed = no_text"])
def test_what_is_no_binding_is_refused(binding):
    with pytest.raises(ValueError, match="--gin_param cannot be read(.|\n)*has quotes"):
        configuration.parse(["mel_2bar.gin"], [binding])


@pytest.mark.parametrize(
    "binding",
    [
        "batch_size = 0",
        "configuration.Experiment.max_steps = 1e5",
        "configuration.Experiment.eval_batch_size = -1",
        "configuration.Experiment.eval_examples = 0",
        "configuration.Experiment.micro_batch_size = 0",
        "configuration.Experiment.clip_norm = None",
    ],
)
def test_sizes_that_are_none_are_refused_by_name(binding):
    name, value = binding.split(".", 2)[-1].split(" = ")
    value = value.replace("1e5", "100000.0")
    with pytest.raises(ValueError, match=f"^{name} must be .*Received: {name}={value}"):
        configuration.parse(["mel_2bar.gin"], [binding])


def test_what_training_refuses_is_said_without_gins_words(data_dirs, tmp_path):
    run_dir = str(tmp_path / "run")
    wrong = configuration.parse(["mel_2bar.gin", TINY], ["loop.train.eval_every = 0"])
    with pytest.raises(ValueError, match="eval_every") as caught:
        training.train(wrong, run_dir, data_dirs["mel_2bar"])
    assert "In call to" not in str(caught.value)
    # Nothing was learned: the same folder takes the command as it should have been.
    configured = configuration.parse(["mel_2bar.gin", TINY])
    assert training.train(configured, run_dir, data_dirs["mel_2bar"], max_steps=2)["step"] == 2


def test_a_run_beyond_the_steps_asked_for_is_evaluated_and_says_so(data_dirs, tmp_path):
    configured = configuration.parse(["mel_2bar.gin", TINY])
    run_dir, data_dir, lines = str(tmp_path / "run"), data_dirs["mel_2bar"], []
    expected = training.train(configured, run_dir, data_dir, max_steps=3)
    found = training.train(configured, run_dir, data_dir, max_steps=2, report=lines.append)
    assert found == expected
    assert "nothing to do: the run stands at step 3, beyond max_steps=2" in lines
    assert lines[-1].startswith("held out: step 3")


def test_an_unknown_file_is_answered_with_the_known_ones():
    with pytest.raises(FileNotFoundError, match="--gin_file=nope.gin .* mel_2bar.gin"):
        configuration.parse(["nope.gin"])


def test_an_incomplete_configuration_is_named():
    with pytest.raises(ValueError, match="incomplete.*settings"):
        configuration.parse([])


def test_a_part_that_lacks_arguments_is_named_with_the_file_that_binds_them():
    files = ["hierdec_mel_32bar.gin", TINY, "variants/upper_levels.gin"]
    experiment = configuration.parse(files).experiment
    with pytest.raises(
        ValueError,
        match=r"^hierarchical_encoder\.HierarchicalBidirectionalLSTM lacks num_classes, num_units, "
        r"num_segments, z_size\. Expected a --gin_file .* as variants/hierarchical_encoder\.gin "
        r"does, or --gin_param='hierarchical_encoder\.HierarchicalBidirectionalLSTM\.num_classes =",
    ):
        experiment.make_model()


def test_another_type_error_of_a_part_is_left_as_it_is():
    class Part:
        def __init__(self, size):
            self.size = len(size)

    with pytest.raises(TypeError, match="has no len"):
        configurables.Configurable(Part, {"size": 3})()


def test_without_data_the_message_holds_the_commands(tmp_path):
    experiment = configuration.parse(["mel_2bar.gin"]).experiment
    with pytest.raises(ValueError, match="scripts/build_dataset --input=MIDI_FOLDER") as caught:
        datasets.find_data(experiment, None, str(tmp_path), ["mel_2bar.gin"], print)
    assert "scripts/train --gin_file=mel_2bar.gin --data_dir=data/mel_2bar" in str(caught.value)


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no config.gin"):
        runs.open(str(tmp_path))


@pytest.mark.slow
def test_a_run_is_shown_the_same_whenever_and_learns_the_same_unshown(data_dirs, tmp_path):
    def train(name, *params):
        run_dir = tmp_path / name
        configured = configuration.parse(["mel_2bar.gin", TINY], params)
        training.train(configured, str(run_dir), data_dirs["mel_2bar"], max_steps=4)
        described, file = sorted((run_dir / "eval").glob("events.*"))
        assert b"config.gin" in described.read_bytes()
        events = tf.compat.v1.train.summary_iterator(str(file))
        values = {v.tag: v for event in events for v in event.summary.value}
        return values, runs.open(str(run_dir)).network.get_weights()

    shown, weights = train("a", "loop.train.show_every = 1")
    again, _ = train("b", "loop.train.show_every = 1")
    scalars, same_weights = train("c")  # `TINY` switches it off.
    pictures = {"pictures/sample", "pictures/reconstruction", "pictures/interpolation"}
    assert shown.keys() - scalars.keys() > pictures
    assert shown == again
    for one, other in zip(weights, same_weights, strict=True):
        np.testing.assert_array_equal(one, other)
    # The bars of its dimensions sum to the curve of the KL.
    run = runs.open(str(tmp_path / "a"))
    each = latent_summaries.kl_per_dimension(*run.model().posterior(run.windows("eval")))
    assert each.sum() == pytest.approx(float(tf.make_ndarray(shown["kl"].tensor)), rel=1e-4)


def test_hyperparameters_are_flat_and_plain():
    files = ["hierdec_mel_32bar.gin", "scale/small.gin"]
    found = configuration.parse(files, ["z_size = 33"]).hyperparameters
    assert found["z_size"] == 33
    assert found["batch_size"] == 32  # a macro of a macro
    assert found["decoder"] == "HierarchicalDecoder"
    assert found["Constant.value"] == 1.0
    assert found["learning_rate/ExponentialDecay.initial"] == 3e-3
    assert found["MusicVAE.sampling_probability"] == "InverseSigmoid"
    assert found["MusicVAE.free_bits"] == 256
    left_out = ("train.eval_every", "Media.num_clips", "Experiment.max_steps", "small_batch_size")
    assert not found.keys() & set(left_out)
    other = configuration.parse(["hierdec_mel_32bar.gin", "variants/teacher_forcing.gin"])
    assert other.hyperparameters["MusicVAE.sampling_probability"] == "None"


def test_sizes_that_do_not_fit_are_refused_before_a_run_is_made(data_dirs, tmp_path):
    configured = configuration.parse(["hierdec_mel_32bar.gin"], ["num_segments = 7"])  # full width
    with pytest.raises(ValueError, match="num_segments=7. Received: num_steps=512"):
        training.train(configured, str(tmp_path / "run"), data_dirs["hierdec_mel_32bar"])
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("param", "says"),
    [
        ("z_sizee=3", "--gin_param='z_sizee=3': z_sizee is no setting .* did you mean z_size\\?"),
        ("num_bar=4", "num_bar is no setting of this configuration; did you mean num_bars\\?"),
        ("num_segments=4", "num_segments is no setting .* there are batch_size, cudnn"),
    ],
)
def test_a_macro_that_nothing_reads_is_refused_with_the_nearest(param, says, tmp_path):
    with pytest.raises(ValueError, match=says):
        configuration.parse(["mel_2bar.gin"], [param])
    own = tmp_path / "own.gin"
    own.write_text(f"include 'mel_2bar.gin'\n\n{param}\n")
    with pytest.raises(ValueError, match=f"own.gin, line 3: {param.split('=')[0]} is no setting"):
        configuration.parse([str(own)])


def test_macros_of_bundled_files_may_wait_for_others(tmp_path):
    text = configuration.parse(["mel_2bar.gin"]).text
    assert "small_batch_size = 64" in text  # `scale/small.gin` alone reads it.
    copied, of_a_run = tmp_path / "copied.gin", tmp_path / "config.gin"
    copied.write_text(text)
    assert configuration.parse([str(copied)]).text == text
    of_a_run.write_text(text + "z_sizee = 3\n")  # As runs of the first version were begun.
    configuration.parse_run(str(of_a_run))
    with pytest.raises(ValueError, match="config.gin, line .*: z_sizee is no setting"):
        configuration.parse([str(of_a_run)])
    copied.write_text(text + "z_sizee = %zz\nzz = %z_sizee\n")
    with pytest.raises(ValueError, match="z_sizee is no setting"):
        configuration.parse([str(copied)])


def test_a_run_names_bundled_songs_alone(tmp_path):
    path = tmp_path / "config.gin"
    for midi, expected in (("testdata", "testdata"), ("/etc", None), ("../songs", None)):
        param = f"configuration.Experiment.midi = '{midi}'"
        path.write_text(configuration.parse(["mel_2bar.gin"], [param]).text)
        assert configuration.parse([str(path)]).experiment.midi == expected


def test_what_a_command_gives_is_not_bound():
    with pytest.raises(ValueError, match="loop.train.run_dir is what a command gives"):
        configuration.parse(["mel_2bar.gin"], ["loop.train.run_dir = '/tmp'"])


@pytest.mark.parametrize("text", ["a = %b\nb = %a\nz_size = %a", "include '{path}'"])
def test_what_refers_to_itself_is_refused(text, tmp_path):
    path = tmp_path / "own.gin"
    path.write_text("include 'mel_2bar.gin'\n" + text.format(path=path))
    with pytest.raises(ValueError, match="itself"):
        configuration.parse([str(path)])


def test_an_included_file_that_is_missing_is_named(tmp_path):
    path = tmp_path / "own.gin"
    path.write_text("include 'nowhere.gin'\n")
    with pytest.raises(FileNotFoundError, match="own.gin includes nowhere.gin, which is no file"):
        configuration.parse([str(path)])


def test_each_call_of_a_part_makes_new_values():
    """A model's schedules and a vocabulary's lists are not shared between two models."""
    experiment = configuration.parse(["hierdec_trio_16bar.gin", TINY]).experiment
    with tf.Graph().as_default():
        first, second = experiment.make_model(), experiment.make_model()
    assert first.encoder is not second.encoder
    assert first._beta is not second._beta
    assert [track.name for track in experiment.settings.tracks] == ["lead", "bass", "drums"]


@pytest.mark.parametrize(
    ("former", "present"),
    [
        (
            "from magenta_vae.music import magenta_tokens",
            "from magenta_vae.magenta import vocabulary as magenta_tokens",
        ),
        (
            "from magenta_vae.model import magenta_encoders as theirs  # Magenta's",
            "from magenta_vae.magenta import encoder as theirs  # Magenta's",
        ),
        (
            "import magenta_vae.music.magenta_tokens as m",
            "import magenta_vae.magenta.vocabulary as m",
        ),
        ("from magenta_vae.music import tokens", "from magenta_vae.music import tokens"),
        ("from mine import magenta_tokens", "from mine import magenta_tokens"),
    ],
)
def test_a_text_imports_modules_by_the_names_they_have_now(former, present, tmp_path):
    path = tmp_path / "mine.gin"
    path.write_text(f"x = 1\n{former}\n")
    assert configuration.read_text(path) == f"x = 1\n{present}\n"
