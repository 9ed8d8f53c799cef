"""Scores made by seed, and music21's notes of each measure: the package reads the same."""

import math
import random
import warnings

import music21
import pytest
from written import FOUR_FOUR, part, score

from magenta_vae.music import scores

DIVISIONS = 12  # Holds triplets: what is rounded is tested by itself.
TRIPLET = (
    "<time-modification><actual-notes>3</actual-notes><normal-notes>2</normal-notes>"
    "</time-modification>"
)
TYPES = {48: "whole", 36: "half", 24: "half", 12: "quarter", 6: "eighth", 3: "16th", 4: "eighth"}
LISTED = "".join(
    f"<score-part id='{name}'><part-name>{name}</part-name></score-part>" for name in ("P1", "P2")
)
NUM_SCORES = 240


def written(rng, duration, *, what=None, inside="", after=""):
    """Returns a note or a rest of a duration in twelfths of a quarter."""
    what = what or rng.choices(("rest", "pitch"), (1, 6))[0]
    if what == "pitch":
        alter = rng.choice(("", "", "<alter>1</alter>", "<alter>-1</alter>"))
        octave = rng.randint(3, 5)
        what = (
            f"<pitch><step>{rng.choice('CDEFGAB')}</step>{alter}<octave>{octave}</octave></pitch>"
        )
    elif what == "rest":
        what = "<rest/>"
    dot = "<dot/>" * (duration == 36)
    last = f"<type>{TYPES[duration]}</type>{dot}{TRIPLET * (duration == 4)}{after}"
    return f"<note>{inside}{what}<duration>{duration}</duration>{last}</note>"


def voice(rng, quarters, *, after=""):
    """Returns notes that fill so many quarters, with chords and grace notes among them."""
    found = []
    while quarters:
        kinds = [[12], [6, 6], [4, 4, 4], [3, 3, 6], [24], [36], [48]]
        chosen = rng.choice([each for each in kinds if sum(each) <= 12 * quarters])
        quarters -= sum(chosen) // 12
        for duration in chosen:
            if rng.random() < 0.05:
                found.append("<note><grace/><pitch><step>C</step><octave>4</octave></pitch></note>")
            what = rng.choices(("rest", "pitch"), (1, 6))[0]
            found.append(written(rng, duration, what=what, after=after))
            if what == "pitch" and rng.random() < 0.15:
                found.append(written(rng, duration, what=what, inside="<chord/>", after=after))
    return "".join(found)


def tied(rng):
    """Returns two measures: a note that is tied over the bar line between them."""
    pitch = (
        f"<pitch><step>{rng.choice('CDEFGAB')}</step><octave>{rng.randint(3, 5)}</octave></pitch>"
    )
    halves = [
        f"<note>{pitch}<duration>24</duration><tie type='{kind}'/><type>half</type>"
        f"<notations><tied type='{kind}'/></notations></note>"
        for kind in ("start", "stop")
    ]
    return [voice(rng, 2) + halves[0], halves[1] + voice(rng, 2)]


def measure(rng):
    """Returns a measure that is written in one of the ways in which programs write them."""
    kind = rng.choice(("plain", "plain", "voices", "empty", "whole rest", "short", "rest over"))
    if kind == "empty":
        return ""
    if kind == "whole rest":
        return f"<note><rest measure='yes'/><duration>{rng.choice((48, 12))}</duration></note>"
    if kind == "short":
        return voice(rng, rng.randint(1, 3))
    first = voice(rng, 4)
    if kind == "voices":
        quarters = rng.randint(1, 3)
        second = f"<forward><duration>{48 - 12 * quarters}</duration></forward>"
        return first + "<backup><duration>48</duration></backup>" + second + voice(rng, quarters)
    if kind == "rest over":
        second = f"<note><rest/><duration>{rng.randint(13, 40)}</duration></note>"
        return first + "<backup><duration>12</duration></backup>" + second
    return first


def made(seed):
    """Returns a score of two parts, and the semitones that its second part sounds lower."""
    rng = random.Random(seed)
    start = FOUR_FOUR.replace("<divisions>4", f"<divisions>{DIVISIONS}")
    semitones = rng.choice((0, 0, 2, 12))
    lower = f"</time><transpose><chromatic>{-semitones}</chromatic></transpose>"
    pick_up = rng.choice((0, 0, 1, 2, 3))
    parts = []
    for name, first in (("P1", start), ("P2", start.replace("</time>", lower))):
        measures = [first + voice(rng, pick_up or 4)]
        for _ in range(rng.randint(2, 4)):
            measures += tied(rng) if rng.random() < 0.2 else [measure(rng)]
        parts.append(part(*measures, voice(rng, 4), name=name))
    return score(*parts, part_list=LISTED), semitones, 4 - pick_up if pick_up else 0


def by_music21(data, semitones, shift):
    """Returns {(start, end, pitch)} of each part that music21 finds, in steps, ties joined.

    Where a measure begins is the package's own rule: of music21 its place within it is taken.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parsed = music21.converter.parseData(data.decode(), format="musicxml")
    found = []
    for index, each in enumerate(parsed.parts):
        notes, begun = [], {}
        for number, bar in enumerate(each.getElementsByClass(music21.stream.Measure)):
            for element in bar.recurse().notes:
                if element.duration.isGrace:
                    continue
                start = 4 * number + shift * (number == 0) + element.getOffsetInHierarchy(bar)
                for one in getattr(element, "notes", [element]):
                    pitch = one.pitch.midi - semitones * index
                    tie = one.tie.type if one.tie else ""
                    if tie == "stop" and pitch in begun:
                        notes[begun.pop(pitch)][1] = start + element.quarterLength
                        continue
                    if tie == "start":
                        begun[pitch] = len(notes)
                    notes.append([start, start + element.quarterLength, pitch])
        found.append(sorted((*steps(start, end), pitch) for start, end, pitch in notes))
    return found


def steps(start, end):
    first, last = (math.floor(4 * each + 0.5) for each in (start, end))
    return first, max(last, first + 1)


def by_package(data):
    return [
        sorted(zip(each.starts.tolist(), each.ends.tolist(), each.pitches.tolist(), strict=True))
        for each in scores.parse_musicxml(data).instruments
    ]


@pytest.mark.parametrize("tenth", range(10))
def test_the_notes_that_music21_finds_at_the_bars_where_they_are(tenth):
    for seed in range(tenth * NUM_SCORES // 10, (tenth + 1) * NUM_SCORES // 10):
        data, semitones, shift = made(seed)
        expected = [each for each in by_music21(data, semitones, shift) if each]
        assert by_package(data) == expected, f"seed {seed}"
