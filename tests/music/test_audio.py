"""What is written is what is heard: checked by numbers, on the built-in synthesizer first."""

import os
import stat
import wave

import numpy as np
import pytest
from musical import KITCHEN, TRIO, seconds_only, sequence, song
from note_seq.protobuf import music_pb2

from magenta_vae.music import audio, synthetic
from magenta_vae.music.audio import describe_synthesizer, synthesize, write_wav
from magenta_vae.music.tokens import detokenize

RATE_HZ = 22_050
STEP_SECONDS = 0.125  # a sixteenth at 120 quarters a minute
FIND_FLUIDSYNTH = audio._import_fluidsynth
PROGRAM_OF_EACH_FAMILY = range(0, 128, 8)


@pytest.fixture
def built_in(monkeypatch):
    """The synthesizer of a machine without FluidSynth."""
    monkeypatch.setattr(audio, "_import_fluidsynth", lambda: None)


@pytest.fixture
def fluidsynth():
    if FIND_FLUIDSYNTH() is None:
        pytest.skip("pyfluidsynth or libfluidsynth is not installed")


@pytest.fixture(params=["built_in", "fluidsynth"])
def any_synthesizer(request):
    request.getfixturevalue(request.param)


def notes(*rows, program=0, is_drum=False, velocity=80):
    """Returns the NoteSequence of (pitch, start, end) rows, in seconds."""
    made = music_pb2.NoteSequence()
    for pitch, start, end in rows:
        made.notes.add(
            pitch=pitch,
            start_time=start,
            end_time=end,
            program=program,
            is_drum=is_drum,
            velocity=velocity,
        )
    return made


def hit(pitch):
    return notes((pitch, 0.1, 0.2), is_drum=True)


def between(samples, start, end, rate_hz=RATE_HZ):
    """Returns the samples of an interval in seconds."""
    return samples[round(start * rate_hz) : round(end * rate_hz)]


def level(samples):
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


def spectrum(samples, rate_hz=RATE_HZ):
    """Returns the frequencies in Hz and their magnitudes."""
    windowed = samples * np.hanning(len(samples))
    return np.fft.rfftfreq(len(samples), 1 / rate_hz), np.abs(np.fft.rfft(windowed))


def centroid_hz(samples):
    hz, magnitude = spectrum(samples)
    return float((hz * magnitude).sum() / magnitude.sum())


def hertz(pitch):
    return 440 * 2 ** ((pitch - 69) / 12)


def assert_sound(samples):
    assert samples.dtype == np.float32 and samples.ndim == 1
    assert np.isfinite(samples).all()
    assert np.abs(samples).max() < 1


@pytest.mark.parametrize("rate_hz", [8_000, 22_050, 44_100, 96_000])
def test_a_trio_sounds(any_synthesizer, rate_hz):
    trio = sequence(*song("C5 -*3 E5 . G5 -", "C2 -*7", "K H S H K+C H S+O R").instruments)
    samples = synthesize(trio, rate_hz)
    assert_sound(samples)
    assert len(samples) == round((8 * STEP_SECONDS + audio.TAIL_SECONDS) * rate_hz)
    assert level(between(samples, 0, 8 * STEP_SECONDS, rate_hz)) > 0.05


def test_a_composed_song_sounds_all_through(any_synthesizer):
    composed = synthetic.synthesize_song(1, num_bars=4)
    samples = synthesize(composed, RATE_HZ)
    assert_sound(samples)
    num_seconds = int(composed.total_time)
    assert min(level(between(samples, at, at + 1)) for at in range(num_seconds)) > 0.03
    assert np.mean(np.abs(samples) > audio.KNEE) < 0.005  # The limiter is for exceptions.


def test_sampled_tokens_sound(any_synthesizer):
    tokens = np.random.default_rng(0).integers(0, [130, 130, 512], size=(32, 3))
    assert_sound(synthesize(detokenize(tokens, TRIO), RATE_HZ))


def test_the_end_of_a_window_is_kept_where_it_rests(built_in):
    window = detokenize(np.array([[60]] + [[129]] * 15), TRIO[:1])
    assert len(synthesize(window, RATE_HZ)) == round((2 + audio.TAIL_SECONDS) * RATE_HZ)


def test_sound_ends_with_its_last_note_and_a_loop_is_whole_bars(built_in):
    rests = detokenize(np.array([[60]] * 8 + [[129]] * 8), TRIO[:1])
    samples = audio.trim(synthesize(rests, RATE_HZ), rests.total_time, RATE_HZ)
    assert len(samples) == round(2 * RATE_HZ)  # One bar at 120 quarters a minute.
    held = detokenize(np.array([[60]] + [[128]] * 15), TRIO[:1])
    whole = synthesize(held, RATE_HZ)
    samples = audio.trim(whole, held.total_time, RATE_HZ)
    release = len(samples) / RATE_HZ - 2
    assert 0 < release < audio.TAIL_SECONDS / 2
    assert np.abs(whole[len(samples) :]).max() <= audio.SILENCE * np.abs(whole).max()
    assert np.abs(samples[-1]) < 1e-4
    np.testing.assert_array_equal(samples[: 2 * RATE_HZ], whole[: 2 * RATE_HZ])


@pytest.mark.parametrize("num_seconds", [0, 1e-4, 0.5])
def test_silence_is_as_long_as_its_rests(num_seconds):
    samples = audio.trim(np.zeros(RATE_HZ), num_seconds, RATE_HZ)
    assert len(samples) == round(num_seconds * RATE_HZ)
    assert not samples.any()


def test_no_notes_are_silence(any_synthesizer):
    assert not synthesize(music_pb2.NoteSequence(), RATE_HZ).any()
    assert len(synthesize(detokenize(np.full((16, 1), 129), TRIO[:1]), RATE_HZ)) > 2 * RATE_HZ
    assert not synthesize(notes((60, 1, 1)), RATE_HZ).any()  # It lasts no time.
    assert not synthesize(notes((60, 0, 1), velocity=0), RATE_HZ).any()


def test_rests_are_silent(built_in):
    samples = synthesize(notes((60, 0.5, 1.0), (64, 2.0, 2.5)), RATE_HZ)
    assert not between(samples, 0, 0.499).any()
    assert not between(samples, 1.2, 1.999).any()
    assert level(between(samples, 2.0, 2.5)) > 0.05


def test_the_same_notes_give_the_same_samples(any_synthesizer):
    composed = synthetic.synthesize_song(0, num_bars=4)
    first = synthesize(composed, RATE_HZ)
    np.testing.assert_array_equal(synthesize(composed, RATE_HZ), first)
    np.testing.assert_array_equal(synthesize(seconds_only(composed), RATE_HZ), first)


def test_the_order_of_the_notes_does_not_matter(built_in):
    rows = [(60, 0, 1), (64, 0.5, 1), (67, 0.25, 0.75), (60, 1, 2)]
    np.testing.assert_array_equal(
        synthesize(notes(*rows), RATE_HZ), synthesize(notes(*rows[::-1]), RATE_HZ)
    )


@pytest.mark.parametrize("pitch", [36, 48, 60, 69, 81, 96])
@pytest.mark.parametrize("program", [0, 19, 33, 56, 73])
def test_the_loudest_frequency_is_the_notes(built_in, pitch, program):
    samples = between(synthesize(notes((pitch, 0, 1), program=program), RATE_HZ), 0.1, 1)
    hz, magnitude = spectrum(samples)
    assert hz[magnitude.argmax()] == pytest.approx(hertz(pitch), abs=1.2)  # 1 / 0.9 s
    between_harmonics = np.abs(hz / hertz(pitch) % 1 - 0.5) < 0.1
    assert magnitude[between_harmonics].max() < 0.01 * magnitude.max()  # No aliases.


def test_a_note_too_high_for_the_rate_does_not_alias(built_in):
    assert not synthesize(notes((127, 0, 1)), 8_000).any()  # 12.5 kHz


@pytest.mark.parametrize("program", PROGRAM_OF_EACH_FAMILY)
def test_notes_start_and_end_without_clicks(built_in, program):
    # Ended where its cosine is steep, and too short for its attack.
    samples = synthesize(notes((60, 0.25, 1.0037), (60, 1.75, 1.76), program=program), RATE_HZ)
    steps = np.abs(np.diff(samples))
    inside = between(steps, 0.3, 1.0).max()
    assert 0 < inside < 0.2
    for edge in (0.25, 1.0037, 1.75, 1.76):
        assert between(steps, edge - 0.01, edge + 0.01).max() <= 1.5 * inside
    # A corner is a jump of the second difference.
    bends = np.abs(np.diff(samples, n=2))
    for edge in (0.25, 1.0037):
        at_edge = between(bends, edge - 0.01, edge + 0.01).max()
        assert at_edge <= 1.5 * between(bends, 0.26, 1.0).max()
    assert samples[0] == samples[-1] == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("pitch", KITCHEN.values(), ids=KITCHEN)
def test_a_hit_starts_from_nothing_and_dies_away(built_in, pitch):
    samples = synthesize(hit(pitch), 44_100)
    assert_sound(samples)
    assert not between(samples, 0, 0.099, 44_100).any()
    assert abs(between(samples, 0.1, 0.2, 44_100)[0]) < 0.01
    assert level(between(samples, 0.1, 0.13, 44_100)) > 0.1
    assert abs(samples[-1]) < 1e-4


def test_the_nine_hits_sound_different(any_synthesizer):
    hits = [synthesize(hit(pitch), RATE_HZ) for pitch in KITCHEN.values()]
    unit = np.array(hits) / np.linalg.norm(hits, axis=1, keepdims=True)
    assert np.abs(unit @ unit.T - np.eye(9)).max() < 0.9


def test_hits_sound_as_they_are_called(built_in):
    hits = {name: synthesize(hit(pitch), 44_100) for name, pitch in KITCHEN.items()}
    brightness = {name: centroid_hz(samples) for name, samples in hits.items()}
    assert brightness["K"] < brightness["S"] < brightness["H"]
    assert brightness["L"] < brightness["M"] < brightness["T"] < brightness["S"]
    assert min(brightness[name] for name in "HOCR") > brightness["S"]
    late = {name: level(between(samples, 0.3, 0.6, 44_100)) for name, samples in hits.items()}
    assert late["H"] < 0.01 * late["O"] < 0.01 * late["C"]
    low, _, _ = (spectrum(between(hits[name], 0.2, 0.6, 44_100), 44_100) for name in "LMT")
    assert low[0][low[1].argmax()] == pytest.approx(audio.DRUMS[4].partials_hz[0], abs=5)


def test_all_pitches_of_a_kind_sound_alike_and_others_not_at_all(built_in):
    np.testing.assert_array_equal(synthesize(hit(35), RATE_HZ), synthesize(hit(36), RATE_HZ))
    assert not synthesize(hit(0), RATE_HZ).any()


def test_a_hit_rings_on_after_its_note(built_in):
    np.testing.assert_array_equal(
        synthesize(notes((49, 0, 0.1), (60, 2, 2.1), is_drum=True), RATE_HZ),
        synthesize(notes((49, 0, 1.0), (60, 2, 2.1), is_drum=True), RATE_HZ),
    )


@pytest.mark.parametrize("program", [0, 19, 38, 89])
def test_many_notes_at_once_do_not_clip(any_synthesizer, program):
    rows = [(pitch, 0, 1) for pitch in range(24, 104)]
    samples = synthesize(notes(*rows, *rows, program=program, velocity=127), RATE_HZ)
    assert_sound(samples)
    magnitude = np.abs(samples)
    assert magnitude.max() <= audio.CEILING
    assert np.mean(magnitude > 0.99 * magnitude.max()) < 0.002  # Not flat.
    assert level(between(samples, 0, 1)) > 0.1


def test_one_note_is_not_bent(built_in):
    for program in PROGRAM_OF_EACH_FAMILY:
        assert np.abs(synthesize(notes((60, 0, 1), program=program), RATE_HZ)).max() < audio.KNEE


def test_a_louder_note_sounds_louder(any_synthesizer):
    both = notes((60, 0, 0.5), (60, 1.5, 2.0))
    both.notes[1].velocity = 40
    samples = synthesize(both, RATE_HZ)
    ratio = level(between(samples, 0, 0.5)) / level(between(samples, 1.5, 2))
    assert ratio == pytest.approx(4, rel=0.3)  # (80 / 40)^2


def test_a_plucked_note_decays_and_an_organs_stays(any_synthesizer):
    for program, low, high in ((0, 0.0, 0.7), (19, 0.7, 1.3)):
        samples = synthesize(notes((67, 0, 2), program=program), RATE_HZ)
        ratio = level(between(samples, 1.4, 1.9)) / level(between(samples, 0.1, 0.6))
        assert low < ratio < high


def test_a_release_is_short(any_synthesizer):
    samples = synthesize(notes((60, 0, 1), program=19), RATE_HZ)
    assert level(between(samples, 1.4, 1.6)) < 0.05 * level(between(samples, 0.5, 1.0))


@pytest.mark.parametrize(
    ("rate_hz", "made", "message"),
    [
        (7_999, notes((60, 0, 1)), "sample_rate_hz must be in 8,000-96,000. Received: 7,999"),
        (96_001, notes(), "Received: 96,001"),
        (RATE_HZ, notes((60, 0, 1e9)), "within 0 to 1,200 seconds. Received: 0.0 to 1,000,000,000"),
        (RATE_HZ, notes((60, -1, 1)), "Received: -1.0 to 1.0"),
        (RATE_HZ, notes((60, 0, float("nan"))), "Received: nan"),
        (RATE_HZ, music_pb2.NoteSequence(total_time=1e9), "Received: 0.0 to 1,000,000,000.0"),
    ],
)
def test_what_cannot_be_played(built_in, rate_hz, made, message):
    with pytest.raises(ValueError, match=message.replace(".", r"\.")):
        synthesize(made, rate_hz)


@pytest.mark.parametrize(
    "function", [describe_synthesizer, lambda s: synthesize(notes(), 8_000, s)]
)
def test_what_is_no_soundfont(any_synthesizer, function, tmp_path):
    with pytest.raises(ValueError, match=r"SoundFont file.*missing\.sf2', which is no file"):
        function(tmp_path / "missing.sf2")
    with pytest.raises(ValueError, match="which is no file"):
        function(tmp_path)
    text = tmp_path / "text.sf2"
    text.write_text("not a SoundFont")
    with pytest.raises(ValueError, match=r"SoundFont file.*text\.sf2', a file of another kind"):
        function(str(text))


def test_a_soundfont_that_only_begins_as_one(fluidsynth, tmp_path):
    path = tmp_path / "cut.sf2"
    path.write_bytes(b"RIFF\x00\x00\x00\x00sfbk")
    with pytest.raises(ValueError, match=r"must be whole. Received: soundfont='.*cut\.sf2'"):
        synthesize(notes((60, 0, 1)), RATE_HZ, path)


def test_a_soundfont_without_its_player(built_in):
    with pytest.raises(ValueError, match="without FluidSynth: pip install pyfluidsynth"):
        describe_synthesizer(f"{audio.WHEEL}/TimGM6mb.sf2")


def test_the_built_in_synthesizer_says_how_to_do_better(built_in):
    sentence = describe_synthesizer()
    assert "built-in" in sentence and "pip install pyfluidsynth" in sentence
    assert "libfluidsynth" in sentence and sentence.endswith(".")


def test_an_installed_soundfont_is_found(fluidsynth, monkeypatch):
    monkeypatch.setattr(audio, "SOUNDFONT_FOLDERS", ("/no/such/folder", audio.WHEEL))
    path = f"{audio.WHEEL}/TimGM6mb.sf2"
    assert describe_synthesizer() == f"FluidSynth plays the SoundFont {path}."
    made = notes((60, 0, 1))
    np.testing.assert_array_equal(synthesize(made, RATE_HZ), synthesize(made, RATE_HZ, path))
    monkeypatch.setattr(audio, "SOUNDFONT_FOLDERS", ())
    assert "built-in" in describe_synthesizer()


def test_each_part_plays_its_own_program(fluidsynth):
    """Seventeen parts reach the channel that is for drums."""
    alone = synthesize(notes((69, 2, 3), program=73), RATE_HZ)
    together = notes((69, 2, 3), program=73)
    for program in range(16):
        together.notes.add(pitch=60, start_time=0, end_time=0.1, velocity=80, program=program)
    together.notes.add(pitch=36, start_time=0, end_time=0.1, velocity=80, is_drum=True)
    flute, same = (between(s, 2.2, 2.8) for s in (alone, synthesize(together, RATE_HZ)))
    for samples in (flute, same):
        hz, magnitude = spectrum(samples)
        assert hz[magnitude.argmax()] == pytest.approx(440, abs=5)
    assert centroid_hz(same) == pytest.approx(centroid_hz(flute), rel=0.1)


def test_a_wav_file_is_read_back(tmp_path):
    path = tmp_path / "a song.wav"
    samples = np.float32([0, 0.5, -0.5, 1, -1, 2, -2, 0.25])
    write_wav(samples, path, 48_000)
    with wave.open(str(path)) as file:
        assert file.getparams()[:4] == (1, 2, 48_000, 8)
        read = np.frombuffer(file.readframes(8), "<i2") / 32_767
    np.testing.assert_allclose(read, np.clip(samples, -1, 1), atol=0.5 / 32_767)
    assert os.listdir(tmp_path) == ["a song.wav"]
    assert stat.S_IMODE(path.stat().st_mode) & 0o600 == 0o600


def test_a_wav_file_of_no_samples(tmp_path):
    write_wav(np.zeros(0), tmp_path / "none.wav")
    with wave.open(str(tmp_path / "none.wav")) as file:
        assert (file.getnframes(), file.getframerate()) == (0, 44_100)


def test_a_wav_file_is_whole_or_not_there(tmp_path, monkeypatch):
    path = tmp_path / "song.wav"
    write_wav(np.zeros(10), path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"Received: shape \(3,\), 1 not finite"):
        write_wav([0, np.nan, 1], path)
    with pytest.raises(ValueError, match=r"Received: shape \(2, 2\)"):
        write_wav(np.zeros((2, 2)), path)
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_wav(np.ones(10), path)
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["song.wav"]
