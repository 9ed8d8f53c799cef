"""Composes songs from a seed, for tests, the demo and a first training run.

Rhythms are strings with one character a sixteenth step: `-` holds the sounding note, `.` is
silent, any other character starts a note.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
from note_seq.protobuf import music_pb2

from magenta_vae.music.note_sequences import seconds_per_step
from magenta_vae.music.songs import STEPS_PER_BAR

BARS_PER_PHRASE = 4  # a section is two phrases: an antecedent and a consequent
STEPS_PER_PHRASE = BARS_PER_PHRASE * STEPS_PER_BAR

Chords = tuple[int, ...]  # One a bar.
Played = tuple[int, int, int, int]  # A note's first step in its phrase, its end, pitch, velocity.
Option = TypeVar("Option")


class Key(NamedTuple):
    """A scale and the progressions it likes: tuples of one chord a bar, scale degrees from 0."""

    scale: tuple[int, ...]  # semitones above the tonic
    antecedents: tuple[Chords, ...]  # phrases that end open
    consequents: tuple[Chords, ...]  # phrases that end on the tonic
    raised_seventh: int = 0  # semitones; minor borrows its leading tone over chord V
    tonic: int = 60  # MIDI pitch of scale step 0


class Style(NamedTuple):
    """What the players of a style choose from."""

    tempo_qpm: tuple[int, int]  # lowest and highest, quarter notes per minute
    cells: tuple[str, ...]  # half bars of the lead
    basses: tuple[str, ...]  # bars; 1 root, 3 third, 5 fifth, 8 octave, A approach to the next root
    comps: tuple[str, ...]  # bars of the pad; 0 the nearest voicing, 1 the inversion above it
    kicks: tuple[str, ...]  # bars of the drums, in the letters of DRUM_PITCHES
    snares: tuple[str, ...]
    cymbals: tuple[str, ...]


class Section(NamedTuple):
    """What returns with a letter of the form."""

    progressions: tuple[Chords, Chords]  # antecedent and consequent
    rhythms: tuple[str, str, str, str]  # of the lead's four bars
    moves: list[int]  # for an onset on each step of two bars, scale steps from the note before
    center: int  # scale step around which the lead moves
    has_ghost: np.ndarray  # bool [32]: the steps of two bars on which ghost notes sound
    bass: str
    comp: str
    kick: str
    snare: str
    cymbal: str


class Phrase(NamedTuple):
    """Four bars of the song."""

    start_step: int
    section: Section
    chords: Chords  # five: the last is that of the bar after


TRIADS = [(chord, (chord + 2) % 7, (chord + 4) % 7) for chord in range(7)]
# fmt: off
# C major, minor, dorian, mixolydian; a song transposes one.
KEYS = (
    Key((0, 2, 4, 5, 7, 9, 11),
        ((0, 5, 3, 4), (0, 3, 0, 4), (0, 4, 5, 3), (0, 2, 3, 4), (5, 3, 0, 4), (3, 0, 1, 4)),
        ((0, 5, 4, 0), (3, 4, 0, 0), (0, 3, 4, 0), (1, 4, 5, 0), (5, 3, 4, 0), (3, 2, 4, 0))),
    Key((0, 2, 3, 5, 7, 8, 10),
        ((0, 5, 2, 6), (0, 3, 0, 4), (0, 6, 5, 4), (3, 0, 5, 4), (5, 6, 0, 4)),
        ((0, 5, 4, 0), (3, 6, 4, 0), (0, 3, 4, 0), (5, 6, 0, 0), (2, 5, 4, 0)), raised_seventh=1),
    Key((0, 2, 3, 5, 7, 9, 10),
        ((0, 3, 0, 3), (0, 2, 6, 3), (0, 6, 0, 3), (2, 6, 0, 4)),
        ((0, 3, 6, 0), (2, 3, 0, 0), (0, 6, 3, 0), (3, 0, 6, 0))),
    Key((0, 2, 4, 5, 7, 9, 10),
        ((0, 6, 3, 4), (0, 4, 6, 3), (3, 0, 6, 3), (0, 3, 0, 6)),
        ((6, 3, 0, 0), (0, 6, 3, 0), (3, 6, 0, 0), (1, 3, 6, 0))),
)
# Rock, pop, bossa nova, funk, ballad.
STYLES = (
    Style((104, 150),
        ("x-x-x-x-", "x---x---", "x---x-x-", "x-x-x---", "..x-x-x-", "x--x--x-", "--x-x-x-"),
        ("1-1-1-1-1-1-1-1-", "1---1-1-1---5-A-", "1-1-8-1-1-1-8-A-", "1---1---5---5---"),
        ("0---------------", "0-------1-------", "0-----0---0-----", "0-0-0-0-1-1-1-1-"),
        ("K.......K.K.....", "K.....K.K.....k.", "K.K.....K.K...k.", "K......KK......."),
        ("....S.......S...", "....S.......S..s", "....S.......S.s."),
        ("C.C.C.C.C.C.C.C.", "R.R.R.R.R.R.R.R.", "C.C.C.O.C.C.C.O.", "O...O...O...O...")),
    Style((96, 128),
        ("x--x--x-", "x-x-x-x-", "x---x-x-", "--x-x---", "..x-x-x-", "x--x----", "x-xxx-x-"),
        ("1--1--1-1--1--5-", "1.8.1.8.1.8.1.A.", "1-----1-5---1-A-", "1--1--8-----5-A-"),
        ("0---------------", "0--0--0-1--1--1-", "..0-..0-..1-..0-", "0-----1---------"),
        ("K...K...K...K...", "K..K..K...K.....", "K.....K...K..k..", "K..K....K..K...."),
        ("....S.......S...", "....S..s....S...", "....S.......S.ss"),
        ("..O...O...O...O.", "C.CcC.CcC.CcC.Cc", "C.C.C.C.C.C.C.C.", "C.O.C.O.C.O.C.O.")),
    Style((110, 144),
        ("x--x--x-", "--x-x---", "..x--x--", "x-----x-", "x-x--x--", "--x--x--", "..x-x-x-"),
        ("1-----5-5-----1-", "1-----551-----5A", "1---..5-5---..A-", "1-----5-8-----5-"),
        ("0--0--0---0--0--", "0-----1--0--1---", "..0-..0--0--0---", "0--1----0--1----"),
        ("K..KK..KK..KK..K", "K.....KKK.....KK", "K...k..KK...k..K"),
        ("S..S..S...S..S..", "..S.S...S..S..S.", "..S...S..S..S..s"),
        ("C.C.C.C.C.C.C.C.", "CcCcCcCcCcCcCcCc", "R.R.R.R.R.R.R.Rr")),
    Style((88, 116),
        ("x-xx-x..", "..xxx-x-", "x..xx-..", "xx.x--x-", "x---x-xx", "..x-.xx-", "x-x-x--x"),
        ("1--1..8.1..18.A.", "1.11..5.8..81.A.", "1...1.8...1.3.5.", "11..8..1..8.1.5A"),
        ("0...0..0....1.0.", "..0-...0..1-....", "....0--.....1--.", "0-------..0.0---"),
        ("K.K.......K..K..", "K..K..k...K.....", "K.K...K..K....k.", "K......K..KK...."),
        ("....S..s.s..S..s", "....S..s.s.sS...", "....S....s..S.s."),
        ("CCCCCCCCCCCCCCCC", "C.CCC.CCC.CCC.CC", "C.C.C.O.C.C.C.Oc", "C.CcC.CcR.R.R.R.")),
    Style((70, 92),
        ("x---x---", "x-------", "x-----x-", "x---x-x-", "..x-x-x-", "----x---", "x-x-x---"),
        ("1-----------5---", "1-------5-------", "1-----1-5-------", "1-------8---5-A-"),
        ("0---------------", "0-------1-------", "0---1---0---1---", "0-----1-----0---"),
        ("K.........K.....", "K.......K.....k.", "K.....k.K......."),
        ("........S.......", "....S.......S...", "....S.......S..s"),
        ("C.C.C.C.C.C.C.C.", "R...R...R...R...", "R.r.R.r.R.r.R.r.", "C.c.C.c.C.c.C.Oc")),
)
# Last bars of the lead in a phrase, each with one long note.
CADENCES = ("x-x-x-----------", "x---x-------....", "x-----------....", "x-x-x-x-x-------",
            "x--x--x-----....", "x-------....x-x-")
# Last beats of the drums in a phrase.
FILLS = ("SSSS", "H.ML", "SSHM", "S.SS", "SOSO", "K.SS", "S.SSHHML", "HHMMLLKK", "S.S.H.L.",
         "H.HM.ML.", "S..H..L.", "SSHHMMLL", "K.SSK.HL", "S.S.H.H.M.M.LLLL", "K.S.K.S.HHMMLLSS")
# fmt: on
TURNAROUNDS = ("5-A-", "3-A-", "8-5-", "1.A.", "A---")  # last beat of the bass in a phrase
FORMS = ("AABA", "ABAB", "AABB", "ABAC", "ABCA")  # sections of eight bars
MOVE_SIZES = (0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 3)  # scale steps: mostly 1, seldom a leap
# Each of MusicVAE's nine drum classes by its first pitch. A lower case letter is a ghost note.
DRUM_PITCHES = {"K": 36, "S": 38, "C": 42, "O": 46, "L": 45, "M": 48, "H": 50, "X": 49, "R": 51}
# General MIDI programs from 0. A trio's lead is in 0-31 and its bass in 32-39 (paper), a pad above.
LEAD_PROGRAMS = (0, 1, 4, 5, 11, 12, 16, 17, 21, 22, 24, 25, 26, 27, 29, 30)
BASS_PROGRAMS = (32, 33, 34, 35, 36, 38, 39)
PAD_PROGRAMS = (48, 49, 50, 52, 61, 88, 89, 90)
LEAD_PITCH, BASS_PITCH, PAD_PITCH = 71, 36, 67  # middles of the registers


def synthesize_song(seed: int, num_bars: int = 32) -> music_pb2.NoteSequence:
    """Composes the song of a seed, the same on every machine.

    Args:
        seed: at least 0.
        num_bars: a positive multiple of 4, for phrases have 4 bars.

    Returns:
        Unquantized notes on the sixteenth grid of one tempo: a monophonic lead (program 0-31),
        a bass (32-39), drums and, in three songs of four, a pad. None rests longer than a bar.

    Raises:
        ValueError: if `num_bars` is not a positive multiple of 4.
    """
    if num_bars < 1 or num_bars % BARS_PER_PHRASE:
        raise ValueError(
            f"num_bars must be a positive multiple of 4. Received: num_bars={num_bars}."
        )
    rng = np.random.default_rng(seed)
    key = _pick(rng, KEYS)._replace(tonic=int(rng.integers(55, 67)))  # next to middle C
    style = _pick(rng, STYLES)
    phrases = _draw_phrases(rng, key, style, num_bars)
    band = [(_play_lead, 0, LEAD_PROGRAMS), (_play_bass, 1, BASS_PROGRAMS), (_play_drums, 9, (0,))]
    if rng.random() < 3 / 4:
        band.append((_play_pad, 2, PAD_PROGRAMS))
    sequence = music_pb2.NoteSequence(ticks_per_quarter=220)
    sequence.tempos.add(qpm=int(rng.integers(*style.tempo_qpm, endpoint=True)))
    sequence.time_signatures.add(numerator=4, denominator=4)
    for play, instrument, programs in band:
        program = _pick(rng, programs)
        for phrase in phrases:
            for note in play(rng, key, style, phrase):
                _add_note(sequence, rng, phrase.start_step, note, instrument, program)
    return sequence


def _draw_phrases(rng: np.random.Generator, key: Key, style: Style, num_bars: int) -> list[Phrase]:
    form = _pick(rng, FORMS)
    sections = {letter: _draw_section(rng, key, style) for letter in "ABC"}
    phrases: list[Phrase] = []
    next_chord = 0
    for i in reversed(range(num_bars // BARS_PER_PHRASE)):
        section = sections[form[i // 2 % len(form)]]
        is_consequent = i % 2 == 1 or not phrases  # the last phrase closes
        chords = (*section.progressions[is_consequent], next_chord)
        phrases.insert(0, Phrase(i * STEPS_PER_PHRASE, section, chords))
        next_chord = chords[0]
    return phrases


def _draw_section(rng: np.random.Generator, key: Key, style: Style) -> Section:
    motif = _pick(rng, style.cells) + _pick(rng, style.cells)
    answer = motif[:8] + _pick(rng, style.cells)
    # A contour keeps its direction for a while, then turns.
    directions = np.cumprod(np.where(rng.random(2 * STEPS_PER_BAR) < 0.2, -1, 1))
    return Section(
        (_pick(rng, key.antecedents), _pick(rng, key.consequents)),
        (motif, answer, _pick(rng, (motif, motif, answer)), _pick(rng, CADENCES)),
        [int(direction) * _pick(rng, MOVE_SIZES) for direction in directions],
        _nearest_step(key, LEAD_PITCH) + int(rng.integers(-1, 3)),
        rng.random(2 * STEPS_PER_BAR) < 1 / 3,
        *(_pick(rng, bars) for bars in style[2:]),  # basses to cymbals
    )


def _play_lead(
    rng: np.random.Generator, key: Key, style: Style, phrase: Phrase
) -> Iterator[Played]:
    """Follows the section's moves, on strong beats and long notes to the nearest chord tone."""
    section = phrase.section
    step = section.center
    bars = [*_vary(rng, section.rhythms[:3], style.cells), section.rhythms[3]]
    for start, end, _ in _parse_rhythm(bars):
        move = section.moves[start % len(section.moves)]
        # Turn back before the register's end.
        step += move if abs(step + move - section.center) <= 4 else -move
        # A note held over the bar line anticipates the next chord.
        chord = phrase.chords[(end - 1) // STEPS_PER_BAR]
        is_long = end - start > 4
        if is_long or start % 8 == 0:
            comes_home = is_long and chord == 0 and start >= 3 * STEPS_PER_BAR
            step = _nearest_tone(step, (0,) if comes_home else TRIADS[chord])
        yield start, end, _pitch(key, step, chord), 88


def _play_bass(
    rng: np.random.Generator, key: Key, style: Style, phrase: Phrase
) -> Iterator[Played]:
    center = _nearest_step(key, BASS_PITCH)
    bars = _vary(rng, [phrase.section.bass] * BARS_PER_PHRASE, style.basses)
    bars[-1] = bars[-1][:-4] + _pick(rng, TURNAROUNDS)
    for start, end, symbol in _parse_rhythm(bars):
        chord, next_chord = phrase.chords[start // STEPS_PER_BAR :][:2]
        root = _nearest_tone(center, (next_chord if symbol == "A" else chord,))
        step = root + (_pick(rng, (-1, 1)) if symbol == "A" else int(symbol) - 1)
        yield start, end, _pitch(key, step, chord), 84


def _play_pad(rng: np.random.Generator, key: Key, style: Style, phrase: Phrase) -> Iterator[Played]:
    center = _nearest_step(key, PAD_PITCH)
    bars = _vary(rng, [phrase.section.comp] * BARS_PER_PHRASE, style.comps)
    for start, end, symbol in _parse_rhythm(bars):
        chord = phrase.chords[start // STEPS_PER_BAR]
        top = _nearest_tone(center + 2 * int(symbol), TRIADS[chord])
        for step in range(top - 5, top + 1):
            if step % 7 in TRIADS[chord]:
                yield start, end, _pitch(key, step, chord), 66


def _play_drums(
    rng: np.random.Generator, key: Key, style: Style, phrase: Phrase
) -> Iterator[Played]:
    """Plays two bars twice, with a crash where the section starts and a fill at the end."""
    section = phrase.section
    kick = "".join(_vary(rng, [section.kick] * 2, style.kicks) * 2)
    snare, cymbal = section.snare * BARS_PER_PHRASE, section.cymbal * BARS_PER_PHRASE
    if phrase.start_step % (2 * STEPS_PER_PHRASE) == 0:
        cymbal = "X" + cymbal[1:]
    fill = _pick(rng, FILLS)
    groove = [line[: -len(fill)] for line in (kick, snare, cymbal)]
    for line in (*groove, fill.rjust(STEPS_PER_PHRASE, ".")):
        for start, _, symbol in _parse_rhythm(line):
            is_ghost = symbol.islower()
            if not is_ghost or section.has_ghost[start % len(section.has_ghost)]:
                yield start, start + 1, DRUM_PITCHES[symbol.upper()], 50 if is_ghost else 92


def _pick(rng: np.random.Generator, options: Sequence[Option]) -> Option:
    return options[int(rng.integers(len(options)))]


def _vary(rng: np.random.Generator, bars: Sequence[str], others: Sequence[str]) -> list[str]:
    """Keeps each bar's first half; one time in four ends it like another."""
    return [bar[:8] + _pick(rng, others)[-8:] if rng.random() < 0.25 else bar for bar in bars]


def _parse_rhythm(bars: Iterable[str]) -> list[tuple[int, int, str]]:
    """Lists `(start_step, end_step, symbol)` of each note."""
    return [(m.start(), m.end(), m[0][0]) for m in re.finditer("[^.-]-*", "".join(bars))]


def _pitch(key: Key, step: int, chord: int) -> int:
    """Returns the MIDI pitch of a scale step; 0 is the tonic, 7 its octave."""
    octave, degree = divmod(step, 7)
    raised = key.raised_seventh if chord == 4 and degree == 6 else 0
    return key.tonic + 12 * octave + key.scale[degree] + raised


def _nearest_step(key: Key, pitch: int) -> int:
    return round((pitch - key.tonic) * 7 / 12)


def _nearest_tone(step: int, degrees: Sequence[int]) -> int:
    tones = [s for s in range(step - 3, step + 4) if s % 7 in degrees]
    return min(tones, key=lambda tone: abs(tone - step))


def _add_note(
    sequence: music_pb2.NoteSequence,
    rng: np.random.Generator,
    phrase_start: int,
    note: Played,
    instrument: int,
    program: int,
) -> None:
    start, end, pitch, velocity = note
    accent = 14 if start % 16 == 0 else 9 if start % 8 == 0 else 4 if start % 4 == 0 else 0
    scale = seconds_per_step(sequence.tempos[0].qpm)
    sequence.notes.add(
        start_time=(phrase_start + start) * scale,
        end_time=(phrase_start + end) * scale,
        pitch=pitch,
        velocity=velocity + accent + int(rng.integers(-5, 6)),
        instrument=instrument,
        program=program,
        is_drum=instrument == 9,
    )
    sequence.total_time = max(sequence.total_time, sequence.notes[-1].end_time)
