"""A model in use: what it accepts, what it refuses, and that the same seed gives the same music."""

import subprocess
import sys
import warnings
from concurrent import futures
from pathlib import Path

import keras
import numpy as np
import pytest
from inference_models import tiny_model

from magenta_vae import threads
from magenta_vae.inference import attributes, generation, graphs
from magenta_vae.model import decoders, encoders, music_vae, schedules
from magenta_vae.music import note_sequences, synthetic, tokens, window_format
from magenta_vae.music.songs import SongError
from magenta_vae.music.window_format import Playback, WindowFormat

TRACKS = (tokens.Melody("lead", 0, 31), tokens.Melody("bass", 32, 39), tokens.Drums())


def make(tracks, num_bars=2, **options):
    """Returns an untrained model of 2 bars, large enough that its samples differ."""
    classes = tokens.num_classes(tracks)
    model = music_vae.MusicVAE(
        encoders.BidirectionalLSTM(classes, 8, z_size=4),
        decoders.FlatDecoder(classes, 16 * num_bars, 4, 8, 1),
        tokens.names(tracks),
        free_bits=0,
        beta=schedules.Constant(1.0),
    )
    return generation.TrainedModel(model, WindowFormat(tracks, num_bars), **options)


@pytest.fixture(scope="module")
def model():
    return make([tokens.Melody()])


@pytest.fixture(scope="module")
def trio():
    return make(TRACKS)


def test_a_baseline_encodes_nothing():
    model, settings = tiny_model("mel_2bar", "variants/baseline.gin")
    baseline = generation.TrainedModel(model, settings.window_format)
    (music,) = baseline.sample(1, 1.0)
    for use in (
        lambda: baseline.encode(music),
        lambda: baseline.reconstruct(music),
        lambda: baseline.interpolate(music, music, 3),
        lambda: baseline.similar(music, 2, 0.5),
        lambda: attributes.learn(baseline, baseline.tokenize(music)),
    ):
        with pytest.raises(ValueError, match="cannot be encoded: the model is a baseline"):
            use()


def serialized(sequences):
    return [sequence.SerializeToString(deterministic=True) for sequence in sequences]


def test_samples_do_not_depend_on_their_number(model):
    few, many = model.sample(3, 1.0, seed=7), model.sample(generation.MAX_BATCH + 6, 1.0, seed=7)
    assert serialized(few) == serialized(many[:3])
    assert len(many) == generation.MAX_BATCH + 6
    assert len(set(serialized(many))) > generation.MAX_BATCH // 2


def test_another_seed_gives_other_music(model):
    assert serialized(model.sample(3, 1.0, seed=1)) != serialized(model.sample(3, 1.0, seed=2))


@pytest.mark.parametrize("kind", ["model", "trio"])
def test_what_is_sampled_can_be_encoded(kind, request):
    model = request.getfixturevalue(kind)
    samples = model.sample(20, 1.0)
    assert model.encode(samples).shape == (20, model.z_size)
    assert len(model.reconstruct(samples[0])) == 1


def test_a_window_with_a_silent_track_is_a_window(trio):
    silent = tokens.detokenize(np.array([[129, 129, 0]] * 32), TRACKS)
    np.testing.assert_array_equal(trio.tokenize(silent), [[[129, 129, 0]] * 32])


def test_files_and_sequences_give_the_same_windows(trio, tmp_path):
    song = synthetic.synthesize_song(3, num_bars=8)
    path = tmp_path / "song.mid"
    note_sequences.write_midi(song, path)
    windows = trio.tokenize(path)
    assert windows.shape == (4, 32, 3)  # eight bars are four windows of two
    np.testing.assert_array_equal(windows, trio.tokenize(song))
    both = trio.encode([path, song])
    np.testing.assert_allclose(both, np.tile(trio.encode(song), (2, 1)), atol=1e-6)


def test_encode_gives_the_mean(trio):
    song = synthetic.synthesize_song(3, num_bars=8)
    mu, _ = trio._model.encode(trio.tokenize(song))
    np.testing.assert_allclose(trio.encode(song), mu, atol=1e-6)


def test_interpolation_begins_and_ends_with_the_reconstructions(trio):
    a, b = synthetic.synthesize_song(1, 4), synthetic.synthesize_song(2, 4)
    between = trio.interpolate(a, b, num_steps=5, temperature=0.1)
    ends = [trio.encode(song)[:1] for song in (a, b)]
    assert len(between) == 5
    playbacks = trio.read(a)[:1].playbacks
    assert serialized(between[:1]) == serialized(trio.decode(ends[0], 0.1, 0, playbacks))


def test_similar_music_lies_between_the_prior_and_the_window(model):
    song = synthetic.synthesize_song(1, 4)
    mean, playbacks = model.encode(song)[:1], model.read(song)[:1].playbacks * 3
    samples = model.decode(model.sample_z(3, seed=5), 0.2, 5, playbacks)
    assert serialized(model.similar(song, 3, 0.0, 0.2, seed=5)) == serialized(samples)
    itself = model.decode(np.repeat(mean, 3, axis=0), 0.2, 5, playbacks)
    assert serialized(model.similar(song, 3, 1.0, 0.2, seed=5)) == serialized(itself)


def test_what_is_made_of_music_has_its_tempo_and_its_programs(trio):
    slow, fast = (
        trio.window_format.detokenize(np.full((32, 3), 60), window_format.Playback(qpm, programs))
        for qpm, programs in ((80.0, (5, 33, 0)), (120.0, (7, 38, 0)))
    )
    made = [*trio.reconstruct(slow, 1.0), *trio.similar(slow, 2, 0.5, 1.0)]
    made += trio.apply_attribute(slow, np.ones(4), 1.0, 1.0)
    assert {music.tempos[0].qpm for music in made} == {80.0}
    assert {(n.instrument, n.program) for music in made for n in music.notes if not n.is_drum} == {
        (0, 5),
        (1, 33),
    }
    way = trio.interpolate(slow, fast, 5, 1.0)
    assert [music.tempos[0].qpm for music in way] == [80, 90, 100, 110, 120]
    grid = trio.interpolate_grid([slow, fast, fast, fast], 3, 3, 1.0)
    assert [[music.tempos[0].qpm for music in row] for row in grid] == [
        [80, 100, 120],
        [100, 110, 120],
        [120, 120, 120],
    ]
    last = note_sequences.note_sequence_to_song(way[-1])
    assert {part.program for part in last.instruments if not part.is_drum} <= {7, 38}
    assert {music.tempos[0].qpm for music in trio.sample(2)} == {120.0}


def test_what_was_read_is_music_too(trio):
    song = synthetic.synthesize_song(3, num_bars=8)
    reading = trio.read(song)
    assert serialized(trio.reconstruct(reading)) == serialized(trio.reconstruct(song))
    np.testing.assert_array_equal(trio.tokenize(reading[1:3]), reading.tokens[1:3])


def test_a_grid_has_the_corners_and_the_sides_of_its_windows(model, monkeypatch):
    corners = [synthetic.synthesize_song(seed, 4) for seed in range(4)]
    points = []

    def decode(z, temperature, seed, playbacks):
        points.append(z)
        return list(range(len(z)))

    monkeypatch.setattr(model, "decode", decode)
    assert model.interpolate_grid(corners, 3, 4) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    grid = points.pop().reshape(3, 4, model.z_size)
    for at, corner in zip([(0, 0), (0, 3), (2, 0), (2, 3)], corners, strict=True):
        np.testing.assert_allclose(grid[at], model.encode(corner)[0], atol=1e-6)
    model.interpolate(corners[1], corners[3], 3)
    np.testing.assert_allclose(grid[:, 3], points.pop(), atol=1e-6)
    model.interpolate(corners[0], corners[1], 4)
    np.testing.assert_allclose(grid[0], points.pop(), atol=1e-6)


def test_threads_get_what_one_would(model):
    song = synthetic.synthesize_song(1, 8)
    fresh = make([tokens.Melody()])  # so that threads also build the graphs at once
    fresh._model.set_weights(model._model.get_weights())
    calls = [
        lambda model: model.sample(5, 1.0, seed=1),
        lambda model: model.reconstruct(song, 1.0, seed=2),
        lambda model: model.interpolate(song, song, 7, 1.0, seed=3),
        lambda model: model.similar(song, 3, 0.5, 1.0, seed=4),
    ]
    alone = [serialized(call(model)) for call in calls]
    with futures.ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda call: serialized(call(fresh)), calls * 4))
    assert together == alone * 4


def test_one_window_has_a_graph_and_batches_of_every_other_size_share_one(monkeypatch):
    traced = []
    decode = graphs.decode_rows
    monkeypatch.setattr(graphs, "decode_rows", lambda *row: traced.append(row[1]) or decode(*row))
    model = make([tokens.Melody()])
    for number in (2, 1, 3, generation.MAX_BATCH + 1):
        model.decode(np.zeros((number, model.z_size)))
    assert model.decode(np.zeros((0, model.z_size))) == []
    assert [z.shape[0] for z in traced] == [None, 1]


@pytest.mark.parametrize("tracks", [TRACKS, TRACKS[:1]], ids=["trio", "melody"])
@pytest.mark.parametrize("number", [1, 3])
def test_layers_in_parts_make_the_music_of_whole_ones(tracks, number, monkeypatch):
    made = []
    for num_cores in (1, 2):
        monkeypatch.setattr(threads, "count_cores", lambda: num_cores)  # noqa: B023
        classes = tokens.num_classes(tracks)
        keras.utils.set_random_seed(1)
        conductor = decoders.Conductor(4, 2, 8, 64, 1)
        vae = music_vae.MusicVAE(
            encoders.BidirectionalLSTM(classes, 8, z_size=4),
            decoders.HierarchicalDecoder(classes, 32, conductor, 64, 2),
            tokens.names(tracks),
            free_bits=0,
            beta=schedules.Constant(1.0),
        )
        model = generation.TrainedModel(vae, WindowFormat(tracks, 2))
        made.append(model.decode_tokens(model.sample_z(number, seed=1), 1.0, seed=2))
    np.testing.assert_array_equal(*made)
    assert len(np.unique(made)) > 10


def test_compiled_it_makes_the_same_music(trio):
    compiled = make(TRACKS, jit_compile=True)
    compiled._model.set_weights(trio._model.get_weights())
    z = trio.sample_z(7, seed=3)
    expected = trio.decode_tokens(z, 0.7, seed=4)
    tokens = compiled.decode_tokens(z, 0.7, seed=4)
    assert len(np.unique(tokens)) > 50
    assert (tokens == expected).mean() > 0.99  # One draw at a border would change what follows.
    np.testing.assert_array_equal(compiled.decode_tokens(z, 0.7, seed=4), tokens)
    np.testing.assert_array_equal(compiled.decode_tokens(z[:5], 0.7, seed=4), tokens[:5])
    assert compiled.decode(z[:0]) == []


def test_music_that_does_not_fit_is_refused_with_its_rule_and_name(model, trio, tmp_path):
    short = tmp_path / "short.mid"
    note_sequences.write_midi(tokens.detokenize(np.full((16, 1), 60), [tokens.Melody()]), short)
    with pytest.raises(SongError, match=r"short\.mid: too short.*at least 2 bars, found 1"):
        model.encode(short)
    with pytest.raises(SongError, match="no bass track"):
        trio.encode(tokens.detokenize(np.full((64, 1), 60), [tokens.Melody()]))
    with pytest.raises(SongError, match="cannot be opened"):
        model.encode("nowhere.mid")


def test_wrong_arguments_are_refused_with_what_was_received(model):
    with pytest.raises(
        ValueError, match="temperature must be finite and above 0. Received: temperature=0"
    ):
        model.sample(1, temperature=0)
    with pytest.raises(ValueError, match="num_samples must be at least 1"):
        model.sample(0)
    with pytest.raises(ValueError, match=r"z must be \[points, 4\]. Received: shape \(2, 3\)"):
        model.decode(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="num_steps must be at least 2"):
        model.interpolate("a.mid", "b.mid", 1)
    with pytest.raises(ValueError, match="similarity must be in 0-1. Received: similarity=2"):
        model.similar("a.mid", 1, similarity=2)
    with pytest.raises(ValueError, match="four corners. Received: 2"):
        model.interpolate_grid(["a.mid", "b.mid"], 3, 3)
    with pytest.raises(ValueError, match="Received: num_rows=1, num_columns=3"):
        model.interpolate_grid(["a.mid"] * 4, 1, 3)
    with pytest.raises(ValueError, match="z must be finite. Received: 1 that are not"):
        model.decode([[0, 0, 0, float("nan")]])


WINDOW = np.full([1, 32, 1], 60)


@pytest.mark.parametrize(
    ("tokens", "says"),
    [
        (WINDOW + 70, r"0 to 129. Received first: 130 in row 0"),
        (WINDOW - 61, r"0 to 129. Received first: -1 in row 0"),
        (WINDOW[:, :31], r"have the shape \[batch, 32, 1\]. Received: \(1, 31, 1\)"),
        (WINDOW[0], r"have the shape \[batch, 32, 1\]. Received: \(32, 1\)"),
        (WINDOW * 1.5, "be whole numbers. Received: float64"),
        (np.array(60), r"have the shape .* Received: \(\)"),
    ],
)
def test_tokens_are_checked_as_a_server_checks_them(model, tokens, says):
    for call in (model.encode_tokens, model.posterior):
        with pytest.raises(ValueError, match=f"tokens must.* {says}"):
            call(tokens)


@pytest.mark.parametrize("seed", [-1, 2**63, 1.0, "0", None, True])
def test_a_seed_is_a_whole_number_from_0_on(model, seed):
    with pytest.raises(ValueError, match="seed must be in 0 to 2\\^63 - 1. Received: seed="):
        model.sample(1, seed=seed)
    with pytest.raises(ValueError, match="seed must be in 0"):
        model.decode(np.zeros([1, 4]), seed=seed)


def test_the_largest_seed_and_numbers_of_numpy_are_taken(model):
    assert len(model.sample(np.int64(2), temperature=np.float32(1), seed=2**63 - 1)) == 2


POINTS = np.zeros([2, 4])


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda m: m.sample(1.5), "num_samples must be a whole number .*Received: num_samples=1.5"),
        (lambda m: m.sample("3"), "num_samples must be a whole number"),
        (lambda m: m.sample(1, temperature="1"), "temperature must be finite and above 0"),
        (lambda m: m.sample(1, temperature=float("inf")), "temperature must be finite and above"),
        (lambda m: m.similar("a.mid", 1, float("nan")), "similarity must be in 0-1"),
        (lambda m: m.interpolate("a.mid", "b.mid", 2.5), "num_steps must be a whole number"),
        (lambda m: m.interpolate_grid(["a"] * 4, 2.5, 2), "num_rows must be a whole number"),
        (lambda m: m.apply_attribute("a", [0] * 4, float("inf")), "strength must be a finite"),
        (lambda m: m.apply_attribute("a", [0] * 4, 10**400), "strength must be a finite number"),
        (lambda m: m.apply_attribute("a", [1] * 4, 3e38), "strength times the vector must be at"),
        (
            lambda m: m.apply_attribute("a", "abc"),
            r"vector must be of this model: \[4\]. .* str",
        ),
        (lambda m: m.apply_attribute("a", ["a"] * 4), "vector must be numbers. Received: str"),
        (lambda m: m.apply_attribute("a", [np.nan] * 4), "vector must be finite .* Received.*nan"),
        (lambda m: m.sample(10**12), r"num_samples must be at most 2,147,483,647. Received: num_s"),
        (lambda m: m.sample_z(2**70), "num_samples must be at most 2,147,483,647. Received: num_s"),
        (lambda m: m.similar("a.mid", 2**70, 0.5), "num_samples must be at most 2,147,483,647"),
        (lambda m: m.interpolate("a", "b", 10**12), "num_steps must be at most 2,147,483,647"),
        (lambda m: m.interpolate_grid(["a"] * 4, 10**6, 10**6), r"num_rows \* num_columns must be"),
        (lambda m: m.interpolate_grid(None, 3, 3), "corners must be a list .* Received: NoneType"),
        (lambda m: m.interpolate_grid((c for c in "abcd"), 3, 3), "four pieces .*d: generator"),
        (lambda m: m.interpolate_grid("abcd", 3, 3), "corners must be a list .* Received: str"),
        (lambda m: m.decode(POINTS, playbacks=[]), "Playback for each of 2 points. Received: 0"),
        (lambda m: m.decode(POINTS, playbacks=[Playback()]), "each of 2 points. Received: 1"),
        (lambda m: m.decode(POINTS, playbacks=[1, 2]), "each of 2 points. Received: 1 among them"),
        (lambda m: m.decode(POINTS, playbacks=3), "each of 2 points. Received: int"),
        (lambda m: m.decode([[0, 0, 0, 3e38]]), "z must be finite and at most 1e.06 in size"),
        (lambda m: m.decode([["a"] * 4]), "z must be numbers"),
        (lambda m: m.encode(b"song.mid"), "path of a file. Received: bytes"),
        (lambda m: m.encode([3]), "path of a file. Received: int"),
        (lambda m: m.encode(3), "path of a file. Received: int"),
        (
            lambda m: m.encode(["a.mid", None]),
            "path of a file. Received: NoneType|cannot be opened",
        ),
    ],
)
def test_what_cannot_be_is_refused_before_tensorflow_sees_it(model, call, says):
    with warnings.catch_warnings(), pytest.raises(ValueError, match=says):
        warnings.simplefilter("error")
        call(model)


def test_a_flag_is_true_or_false():
    with pytest.raises(ValueError, match="pad must be True or False. Received: pad='yes'"):
        make(TRACKS, pad="yes")
    with pytest.raises(ValueError, match="jit_compile must be True or False. Received: jit_compi"):
        make(TRACKS, jit_compile="x")


def test_of_no_points_there_is_no_music(model):
    assert model.decode(POINTS[:0]) == model.decode(POINTS[:0], playbacks=[]) == []
    assert model.decode_tokens(POINTS[:0]).shape == (0, 32, 1)


FORKED = """
import os, sys
import numpy as np
sys.path.insert(0, sys.argv[1])
from inference_models import tiny_model
from magenta_vae.inference import generation

model, settings = tiny_model("mel_2bar")
trained = generation.TrainedModel(model, settings.window_format)
trained.decode_tokens(np.zeros([1, 8]))
child = os.fork()
if child:
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
try:
    trained.decode_tokens(np.zeros([1, 8]))
except RuntimeError as error:
    print(error, flush=True)
    os._exit(7)
os._exit(0)
"""


def test_a_forked_child_is_told_what_to_do_instead_of_hanging(tmp_path):
    tests = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", FORKED, tests], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 7, done.stderr
    assert "was forked from process" in done.stdout and "get_context('spawn')" in done.stdout
