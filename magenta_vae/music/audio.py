"""NoteSequences -> sound: through a SoundFont where one can be played, else by numpy alone."""

import importlib
import itertools
import os
import wave
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pretty_midi
from note_seq.drums_encoder_decoder import DEFAULT_DRUM_TYPE_PITCHES
from note_seq.protobuf import music_pb2

from magenta_vae import files

WHEEL = os.path.dirname(pretty_midi.__file__)  # carries TimGM6mb.sf2
SOUNDFONT_FOLDERS = ("/usr/share/sounds/sf2", "/usr/share/soundfonts", WHEEL)
INSTALL = "pip install pyfluidsynth, and its libfluidsynth: apt-get install libfluidsynth3"
MAX_SECONDS = 1_200  # Arrays of 0.4 GB at 44,100 Hz: no stray event sizes a larger one.
TAIL_SECONDS = 1.5  # after the last note, for releases, cymbals and reverberation
FADE_SECONDS = 0.5  # the end of the tail, so that nothing is cut off
SILENCE = 1e-3  # Of the peak, -60 dB: what reverberation is timed by.
TRIM_FADE_SECONDS = 0.005  # The end of what is trimmed.
FLUIDSYNTH_GAIN = 0.5  # Songs tried peak at 0.35 of its 16 bits. Less is tried where they clip.
TARGET_RMS = 0.15  # -16.5 dBFS, near the -14 LUFS of streaming services
KNEE, CEILING = 0.7, 0.95  # Peaks above the knee are bent to stay below the ceiling.
MIDDLE_C_HZ = 261.63
SILENT_AFTER = 7  # time constants: e^-7 is -61 dB


class Timbre(NamedTuple):
    """How the built-in synthesizer plays a family of programs."""

    harmonics: tuple[float, ...]  # amplitudes from the fundamental up
    attack_seconds: float
    decay_seconds: float  # time constant at middle C; a low string decays slower
    sustain: float  # what the decay tends to, of 1
    release_seconds: float
    darkening_hz: float  # Harmonic k decays by this times k too: a plucked tone grows mellow.
    level: float


class Drum(NamedTuple):
    """How the built-in synthesizer plays a kind of hit: decaying partials and decaying noise."""

    partials_hz: tuple[float, ...]
    sweep: float  # Partials start so many times higher.
    tone_seconds: float  # time constant, as that of the noise
    noise_hz: float  # where the noise is loudest
    noise_seconds: float
    noise_level: float  # where each partial has 1
    level: float


# fmt: off
PLUCKED = Timbre((1, .55, .35, .22, .14, .09, .06, .04), .004, .9, 0, .12, .5, .42)
MALLET = Timbre((1, 0, 0, .35, 0, 0, 0, 0, 0, .1), .002, .5, 0, .25, 1, .42)
ORGAN = Timbre((1, .7, .5, .4, 0, .25, 0, .2), .012, 1, 1, .05, 0, .24)
BASS = Timbre((1, .7, .45, .3, .18, .1, .06), .006, .8, .3, .06, .3, .34)
STRINGS = Timbre((1, .5, .33, .25, .2, .16, .12), .06, 1, 1, .2, 0, .19)
BRASS = Timbre((1, .8, .7, .5, .35, .25, .15), .03, .1, .8, .08, 0, .25)
REED = Timbre((1, .15, .6, .1, .35, .05, .15), .02, .1, .85, .06, 0, .25)
PIPE = Timbre((1, .15, .06), .04, .1, .9, .1, 0, .27)
LEAD = Timbre((1, .5, .33, .25, .2, .17, .14, .12, .11, .1), .008, .2, .8, .06, 0, .24)
PAD = Timbre((1, .4, .2, .1, .05), .12, 1, 1, .4, 0, .16)
# General MIDI's 16 families of 8 programs, from pianos to sound effects.
FAMILIES = (PLUCKED, MALLET, ORGAN, PLUCKED, BASS, STRINGS, STRINGS, BRASS,
            REED, PIPE, LEAD, PAD, PAD, PLUCKED, MALLET, PAD)
DRUMS = (  # in the order of the drum token's bits
    Drum((58,), 4, .09, 2_000, .004, .15, .75),  # kick
    Drum((185, 330), 1.3, .06, 3_500, .08, 1, .55),  # snare
    Drum((), 1, .03, 9_000, .03, 1, .2),  # closed hi-hat
    Drum((), 1, .17, 8_000, .17, 1, .2),  # open hi-hat
    Drum((95,), 1.7, .18, 800, .02, .1, .55),  # low tom
    Drum((135,), 1.7, .16, 800, .02, .1, .55),  # mid tom
    Drum((190,), 1.7, .14, 800, .02, .1, .55),  # high tom
    Drum((2_980, 4_230, 5_410), 1, .4, 5_000, .5, 4, .35),  # crash
    Drum((3_370, 4_560, 5_470, 7_130), 1, .3, 8_000, .15, .7, .2),  # ride
)
# fmt: on
DRUM_RAMP_SECONDS = 0.001  # at both ends
SWEEP_SECONDS = 0.03  # time constant of a drum's fall in pitch
DRUM_KINDS = {p: kind for kind, pitches in enumerate(DEFAULT_DRUM_TYPE_PITCHES) for p in pitches}


def synthesize(
    sequence: music_pb2.NoteSequence,
    sample_rate_hz: int = 44_100,
    soundfont: str | os.PathLike | None = None,
) -> np.ndarray:
    """Plays the notes of a NoteSequence, by their seconds; `describe_synthesizer` says on what.

    The loudness is normalised, and peaks are bent below 0.95. On one synthesizer the same notes
    always give the same samples. Pitch bends and control changes are not played.

    Args:
        sequence: notes with seconds, pitch, velocity, program and is_drum, in any order.
        sample_rate_hz: 8,000 to 96,000, as FluidSynth has it.
        soundfont: a `.sf2` or `.sf3` file; an installed one is looked for if not given.

    Returns:
        float32 [samples], mono: `total_time`, or the last note's end, and 1.5 seconds to ring.

    Raises:
        ValueError: for another sample rate, a SoundFont that is none or cannot be played, and
            music outside of 0 to 1,200 seconds.
    """
    if not 8_000 <= sample_rate_hz <= 96_000:
        raise ValueError(f"sample_rate_hz must be in 8,000-96,000. Received: {sample_rate_hz:,}.")
    soundfont = _choose_soundfont(soundfont)
    num_samples = round((_num_seconds(sequence) + TAIL_SECONDS) * sample_rate_hz)
    notes = [note for note in sequence.notes if note.end_time > note.start_time]
    if soundfont:
        samples = _play_soundfont(notes, num_samples, sample_rate_hz, soundfont)
    else:
        samples = _play_built_in(notes, num_samples, sample_rate_hz)
    fade = _ramp(FADE_SECONDS, sample_rate_hz)[::-1]
    samples[-len(fade) :] *= fade
    return _normalize(samples).astype(np.float32)


def trim(samples: np.ndarray, num_seconds: float, sample_rate_hz: int = 44_100) -> np.ndarray:
    """Returns sound without the silence at its end, but not shorter than the music.

    Where nothing rings beyond it, the sound is as long as the music, and loops.

    Args:
        samples: float [samples], as `synthesize` returns them.
        num_seconds: of the music, its rests included: `total_time`.
        sample_rate_hz: of the samples.
    """
    magnitude = np.abs(samples)
    sounding = np.flatnonzero(magnitude > magnitude.max(initial=0) * SILENCE)
    last = int(sounding[-1]) + 1 if len(sounding) else 0
    kept = np.array(samples[: max(last, round(num_seconds * sample_rate_hz))])
    fade = _ramp(min(TRIM_FADE_SECONDS, len(kept) / sample_rate_hz), sample_rate_hz)[::-1]
    if len(kept):
        kept[-len(fade) :] *= fade
    return kept


def describe_synthesizer(soundfont: str | os.PathLike | None = None) -> str:
    """Says in one sentence what `synthesize` plays on. Raises `ValueError` where it would."""
    soundfont = _choose_soundfont(soundfont)
    if soundfont:
        return f"FluidSynth plays the SoundFont {soundfont}."
    missing = "name a SoundFont" if _import_fluidsynth() else INSTALL
    return f"The built-in synthesizer plays; for sampled instruments {missing}."


def write_wav(samples: np.ndarray, path: str | os.PathLike, sample_rate_hz: int = 44_100) -> None:
    """Writes float [samples] in [-1, 1] as a mono WAV file of 16-bit PCM, whole or not at all.

    Raises `ValueError` where the shape is another or a sample is not finite.
    """
    if np.ndim(samples) != 1 or not np.isfinite(samples).all():
        found = f"shape {np.shape(samples)}, {np.sum(~np.isfinite(samples))} not finite"
        raise ValueError(f"samples must be finite, of shape [samples]. Received: {found}.")
    with files.replacing(path) as beside, wave.open(beside, "wb") as file:
        file.setparams((1, 2, sample_rate_hz, 0, "NONE", ""))
        file.writeframes(np.rint(np.clip(samples, -1, 1) * 32_767).astype("<i2").tobytes())


def _num_seconds(sequence: music_pb2.NoteSequence) -> float:
    of_notes = [time for note in sequence.notes for time in (note.start_time, note.end_time)]
    times = np.array([0.0, sequence.total_time, *of_notes])
    if not (times.min() >= 0 and times.max() <= MAX_SECONDS):  # NaN fails too.
        found = f"{times.min():,.1f} to {times.max():,.1f}"
        raise ValueError(f"Music must be within 0 to {MAX_SECONDS:,} seconds. Received: {found}.")
    return float(times.max())


def _import_fluidsynth():
    """Returns pyfluidsynth's module, None where it or the library it binds is missing."""
    try:
        return importlib.import_module("fluidsynth")
    except (ImportError, OSError, AttributeError):
        return None


def _choose_soundfont(soundfont: str | os.PathLike | None) -> str | None:
    """Returns the path of the SoundFont to play, None for the built-in synthesizer."""
    fluidsynth = _import_fluidsynth()
    if soundfont is None:
        paths = [path for at in SOUNDFONT_FOLDERS for path in sorted(Path(at).glob("*.sf[23]"))]
        found = [str(path) for path in paths if fluidsynth and _is_soundfont(path)]
        return found[0] if found else None
    received = f"Received: soundfont={os.fspath(soundfont)!r}"
    if not _is_soundfont(soundfont):
        kind = "a file of another kind" if os.path.isfile(soundfont) else "which is no file"
        raise ValueError(f"soundfont must be a SoundFont file (.sf2, .sf3). {received}, {kind}.")
    if not fluidsynth:
        raise ValueError(f"soundfont must be None without FluidSynth: {INSTALL}. {received}.")
    return os.fspath(soundfont)


def _is_soundfont(path: str | os.PathLike) -> bool:
    if not os.path.isfile(path):
        return False
    with open(path, "rb") as file:
        header = file.read(12)
    return header[:4] == b"RIFF" and header[8:] == b"sfbk"


def _play_soundfont(notes, num_samples, sample_rate_hz, soundfont, gain=FLUIDSYNTH_GAIN):
    """Returns float64 [samples], the mean of FluidSynth's two channels, not clipped."""
    synth = _import_fluidsynth().Synth(gain=gain, samplerate=float(sample_rate_hz))
    try:
        soundfont_id = synth.sfload(soundfont)
        if soundfont_id < 0:
            raise ValueError(f"soundfont must be whole. Received: soundfont={soundfont!r}.")
        parts = sorted({(note.is_drum, note.program) for note in notes})  # a channel each
        for channel, (is_drum, program) in enumerate(parts):
            bank = 128 if is_drum else 0
            if synth.program_select(channel, soundfont_id, bank, program) < 0:  # It has none.
                synth.program_select(channel, soundfont_id, bank, 0)
        turns = [(note.start_time, True, note) for note in notes]
        turns += [(note.end_time, False, note) for note in notes]
        turns = [(round(seconds * sample_rate_hz), *turn) for seconds, *turn in turns]
        turns.sort(key=lambda turn: turn[:2])  # At one sample a note ends, the next begins.
        pieces, now = [], 0
        for at, is_on, note in turns:
            pieces.append(synth.get_samples(at - now))
            channel, now = parts.index((note.is_drum, note.program)), at
            synth.noteon(channel, note.pitch, note.velocity * is_on)  # 0 is a note off.
        pieces.append(synth.get_samples(num_samples - now))
    finally:
        synth.delete()
    pcm = np.concatenate(pieces)  # int16 [2 * samples]
    if pcm.max() == 32_767 or pcm.min() == -32_768:
        return _play_soundfont(notes, num_samples, sample_rate_hz, soundfont, gain / 4)
    samples = pcm.reshape(-1, 2).mean(axis=1)
    # FluidSynth dithers silence by one bit, which must not be made louder.
    return samples / 32_768 * (np.abs(samples).max() > 1)


def _play_built_in(
    notes: list[music_pb2.NoteSequence.Note], num_samples: int, sample_rate_hz: int
) -> np.ndarray:
    """Returns float64 [samples]. What sounds twice is rendered once."""
    events = []
    for note in notes:
        start, end = (round(at * sample_rate_hz) for at in (note.start_time, note.end_time))
        gain = (note.velocity / 127) ** 2  # General MIDI: 40 log10(velocity / 127) dB
        if not note.is_drum:
            events.append((False, note.program // 8, note.pitch, end - start, start, gain))
        elif note.pitch in DRUM_KINDS:  # A hit rings as long as it will.
            events.append((True, DRUM_KINDS[note.pitch], 0, 0, start, gain))
    mix = np.zeros(num_samples)
    for sound, same in itertools.groupby(sorted(events), key=lambda event: event[:4]):
        is_drum, kind, pitch, num_held = sound
        render = _render_drum if is_drum else _render_tone
        rendered = render(kind, pitch, num_held, sample_rate_hz)
        for *_, start, gain in same:
            mix[start : start + len(rendered)] += gain * rendered[: num_samples - start]
    return mix


def _render_tone(family: int, pitch: int, num_held: int, sample_rate_hz: int) -> np.ndarray:
    """Returns the harmonics below 0.45 of the sample rate in their envelope: float64 [samples]."""
    timbre, f0_hz = FAMILIES[family], 440 * 2 ** ((pitch - 69) / 12)
    decay_seconds = timbre.decay_seconds * np.sqrt(MIDDLE_C_HZ / f0_hz)
    if not timbre.sustain:
        num_held = min(num_held, round(SILENT_AFTER * decay_seconds * sample_rate_hz))
    attack, release = (
        _ramp(seconds, sample_rate_hz)
        for seconds in (timbre.attack_seconds, timbre.release_seconds)
    )
    seconds = np.arange(num_held + len(release)) / sample_rate_hz
    # The sum of a_k r^k sin(k x) is the imaginary part of a polynomial in r exp(ix).
    point = np.exp((2j * np.pi * f0_hz - timbre.darkening_hz) * seconds)
    tone = np.zeros_like(point)
    for amplitude in timbre.harmonics[: int(0.45 * sample_rate_hz / f0_hz)][::-1]:
        tone = (tone + amplitude) * point
    envelope = timbre.sustain + (1 - timbre.sustain) * np.exp(-seconds / decay_seconds)
    envelope[: len(attack)] *= attack[: len(envelope)]
    envelope[num_held:] *= release[::-1]
    return timbre.level / np.linalg.norm(timbre.harmonics) * envelope * tone.imag


def _render_drum(kind: int, pitch: int, num_held: int, sample_rate_hz: int) -> np.ndarray:
    """Returns one hit of a kind, float64 [samples]."""
    drum = DRUMS[kind]
    num_samples = SILENT_AFTER * max(drum.tone_seconds, drum.noise_seconds) * sample_rate_hz
    seconds = np.arange(round(num_samples)) / sample_rate_hz
    fallen = (drum.sweep - 1) * SWEEP_SECONDS * (1 - np.exp(-seconds / SWEEP_SECONDS))
    partials_hz = np.array([hz for hz in drum.partials_hz if hz < 0.45 * sample_rate_hz])
    tone = np.sin(2 * np.pi * partials_hz[:, None] * (seconds + fallen)).sum(axis=0)
    hit = tone * np.exp(-seconds / drum.tone_seconds)
    # Noise that falls by 12 dB an octave to both sides.
    spectrum = np.fft.rfft(np.random.default_rng(kind).standard_normal(len(seconds)))
    center_hz = min(drum.noise_hz, sample_rate_hz / 4)
    ratio = (np.fft.rfftfreq(len(seconds), 1 / sample_rate_hz) / center_hz) ** 2
    noise = np.fft.irfft(spectrum * ratio / (1 + ratio**2), len(seconds))
    noise *= drum.noise_level / np.abs(noise).max()
    hit += noise * np.exp(-seconds / drum.noise_seconds)
    ramp = _ramp(DRUM_RAMP_SECONDS, sample_rate_hz)
    hit[: len(ramp)] *= ramp
    hit[-len(ramp) :] *= ramp[::-1]
    return hit * (drum.level / np.abs(hit).max())


def _ramp(seconds: float, sample_rate_hz: int) -> np.ndarray:
    """Returns half a cosine from above 0 to below 1: no corners, hence no clicks."""
    num_samples = max(1, round(seconds * sample_rate_hz))
    return 0.5 - 0.5 * np.cos(np.pi * (np.arange(num_samples) + 0.5) / num_samples)


def _normalize(samples: np.ndarray) -> np.ndarray:
    """Returns samples of the target loudness, taken where they sound, bent below the ceiling."""
    magnitude = np.abs(samples)
    sounding = samples[magnitude > magnitude.max() / 100]
    if not len(sounding):
        return samples
    samples = samples * (TARGET_RMS / np.sqrt(np.mean(sounding**2)))
    above = np.maximum(np.abs(samples) - KNEE, 0) / (CEILING - KNEE)
    return np.copysign(
        np.minimum(np.abs(samples), KNEE) + (CEILING - KNEE) * np.tanh(above), samples
    )
