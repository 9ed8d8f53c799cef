"""Vocabularies <-> JSON values: those of this package, and any that says what it is."""

import dataclasses
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from corpora import SONGS

from magenta_vae.data import builder, vocabularies
from magenta_vae.data.input_pipeline import Transposition
from magenta_vae.data.records import WindowSerializer
from magenta_vae.data.settings import settings_of
from magenta_vae.data.tokenization import tokenize_records
from magenta_vae.magenta.vocabulary import NoteOffMelody
from magenta_vae.music import (
    attributes,
    described_vocabulary,
    histograms,
    statistics,
    token_statistics,
)
from magenta_vae.music import tokens as music_tokens
from magenta_vae.music.described_vocabulary import DescribedVocabulary
from magenta_vae.music.errors import VocabularyError
from magenta_vae.music.songs import Instrument
from magenta_vae.music.tokens import Drums, Melody, Notes

OURS = [Melody("lead", 0, 31, 3), NoteOffMelody("bass", 32, 39, 32), Drums()]
FIXTURES = Path(__file__).parents[1] / "fixtures" / "runs_of_0.1.0"


class Scale:
    """A line of five pitches, a rest first: it meets the protocol and inherits from nothing."""

    name, is_drum, output_program = "scale", False, 12
    pitches = (60, 62, 64, 67, 69)
    rest, sustain, release, num_classes = 0, 6, 0, 7

    @property
    def onsets(self):
        onsets = np.zeros(128, np.int32)
        onsets[list(self.pitches)] = range(1, 6)
        return onsets

    def accepts(self, instrument):
        return instrument.program in (12, 13, 40)

    def reduce(self, notes):
        is_known = self.onsets[notes.pitches] > 0
        return music_tokens.monophonic(Notes(*(column[is_known] for column in notes)))

    def detokenize(self, tokens):
        changes = np.flatnonzero(tokens != self.sustain)
        ends = np.append(changes[1:], len(tokens))[: len(changes)]
        found = tokens[changes] > 0
        pitches = np.array((0, *self.pitches))[tokens[changes]]
        return Notes(*(each[found].astype(np.int32) for each in (changes, ends, pitches)))

    def is_silent(self, tokens):
        return tokens == self.rest


class Hands(Drums):
    """Claps and clicks, the clicks first."""

    hit_pitches = ((75, 76), (39,), (54, 69))

    def __init__(self):
        object.__setattr__(self, "name", "hands")


OWN = [Scale(), Hands()]


def windows_of(track, rng, num_windows=20, num_steps=32):
    """Returns tokens that windows can have: int32 [windows, steps]."""
    if track.is_drum:
        return rng.integers(track.num_classes, size=[num_windows, num_steps]).astype(np.int32)
    notes = []
    for _ in range(num_windows):
        starts = np.sort(rng.choice(num_steps, 8, replace=False)).astype(np.int32)
        ends = np.minimum(starts + rng.integers(1, 7, 8).astype(np.int32), num_steps)
        notes.append(Notes(starts, ends, rng.integers(55, 75, 8).astype(np.int32)))
    return np.stack(
        [music_tokens.tokenize_notes(track, track.reduce(each), num_steps) for each in notes]
    )


def read(tracks):
    """Returns tracks after a journey through JSON, by who knows none of their classes."""
    values = [
        {**vocabularies.describe_fully(track), "vocabulary": "elsewhere.Unknown"}
        for track in tracks
    ]
    return vocabularies.from_description(json.loads(json.dumps(values)))


def test_those_of_this_package_are_written_as_0_1_0_did():
    assert vocabularies.describe(OURS[:2]) == [
        {"vocabulary": "Melody", "name": "lead", "min_program": 0, "max_program": 31,
         "output_program": 3},
        {"vocabulary": "NoteOffMelody", "name": "bass", "min_program": 32, "max_program": 39,
         "output_program": 32},
    ]  # fmt: skip
    (drums,) = vocabularies.describe([Drums()])
    assert drums == {
        "vocabulary": "Drums", "name": "drums", "hit_pitches": [list(e) for e in Drums.hit_pitches],
    }  # fmt: skip
    assert vocabularies.from_description(vocabularies.describe(OURS)) == tuple(OURS)
    full = [vocabularies.describe_fully(track) for track in OURS]
    assert vocabularies.from_description(json.loads(json.dumps(full))) == tuple(OURS)


@pytest.mark.parametrize("path", sorted(FIXTURES.rglob("dataset.json")), ids=str)
def test_data_sets_of_0_1_0_are_read_and_said_as_they_were(path):
    settings = json.loads(path.read_text())["settings"]
    assert settings_of(settings).describe()["tracks"] == settings["tracks"]


@pytest.mark.parametrize("track", [*OURS, *OWN], ids=lambda track: track.name)
def test_what_is_read_without_the_class_does_the_same(track):
    (found,) = read([track])
    assert type(found) is DescribedVocabulary
    windows = windows_of(track, np.random.default_rng(0))
    np.testing.assert_array_equal(found.onsets, track.onsets)
    np.testing.assert_array_equal(found.is_silent(windows), track.is_silent(windows))
    for window in windows:
        for ours, theirs in zip(track.detokenize(window), found.detokenize(window), strict=True):
            np.testing.assert_array_equal(ours, theirs)
    for is_drum in (False, True):
        played = [Instrument(program, is_drum, "", *np.zeros([4, 0])) for program in range(128)]
        if is_drum <= track.is_drum:  # The class may accept more than a line or hits should.
            assert list(map(found.accepts, played)) == list(map(track.accepts, played))
    rng = np.random.default_rng(1)
    starts = np.sort(rng.integers(0, 40, 60)).astype(np.int32)
    ends = starts + rng.integers(1, 5, 60).astype(np.int32)
    notes = Notes(starts, ends, rng.integers(21, 109, 60).astype(np.int32))
    for ours, theirs in zip(track.reduce(notes), found.reduce(notes), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_one_of_ones_own_is_described_by_all_that_it_says():
    settings = builder.Settings(OWN, 2)
    assert settings_of(settings.describe()).describe() == settings.describe()
    scale, hands = settings.describe()["tracks"]
    assert scale == {
        "vocabulary": f"{__name__}.Scale", "name": "scale", "is_drum": False, "num_classes": 7,
        "rest": 0, "sustain": 6, "release": 0, "output_program": 12,
        "programs": [[12, 13], [40, 40]],
        "onsets": {"1": [60], "2": [62], "3": [64], "4": [67], "5": [69]},
    }  # fmt: skip
    assert hands["onsets"] == {"1": [75, 76], "2": [39], "4": [54, 69]}
    assert vocabularies.describe_tokens(Scale()) == {
        "those of onsets": "a note begins: the MIDI pitch is the first of the token in onsets",
        "6": "the note that sounds goes on",
        "0": "nothing sounds",
    }


def test_statistics_ask_the_vocabulary():
    """A line of other classes has the statistics of the same notes in the paper's."""
    rng = np.random.default_rng(0)
    windows = windows_of(Scale(), rng)[..., None]
    music = [music_tokens.detokenize(window, [Scale()]) for window in windows]
    paper = np.stack([music_tokens.tokenize(one, [Melody("scale")], 32) for one in music])
    for measure in (statistics.measure, attributes.measure):
        for track in (Scale(), *read([Scale()])):
            found, expected = measure(windows, [track]), measure(paper, [Melody("scale")])
            assert str(found) == str(expected)
    inspected = token_statistics.describe_track(windows[..., 0], Scale())
    expected = token_statistics.describe_track(paper[..., 0], Melody("scale"))
    same = ("rest_share", "hold_share", "onsets_per_step", "notes_per_pitch", "lowest_pitch")
    assert {key: inspected[key] for key in same} == {key: expected[key] for key in same}
    assert inspected["classes_used"] == 7
    line = token_statistics.most_frequent(inspected, Scale())
    assert {"hold", "rest", "pitch 60"} <= {each[: each.rindex(" ")] for each in
                                            line.removeprefix("scale: ").split(", ")}  # fmt: skip


def test_hits_of_ones_own_are_counted_and_drawn():
    windows = windows_of(Hands(), np.random.default_rng(0))
    found = token_statistics.describe_track(windows, Hands())
    assert found["hits_per_kind"] == [int((windows >> kind & 1).sum()) for kind in range(3)]
    lines = token_statistics.format_hits(found, read([Hands()])[0]).splitlines()
    assert lines[3].endswith("pitches 54, 69")
    density = statistics.measure(windows[..., None], [Hands()])["hands"]["note_density"]
    np.testing.assert_array_equal(density, np.bitwise_count(windows).sum(axis=-1) / 2)
    many = Drums(hit_pitches=tuple((pitch,) for pitch in range(35, 46)))
    counted = token_statistics.describe_track(windows, many)
    histograms.draw_histograms({"drums": counted}, [many], "eleven kinds")


def test_records_hold_them():
    rng = np.random.default_rng(0)
    windows = np.stack([windows_of(track, rng) for track in OWN], axis=-1)
    records = WindowSerializer(OWN, 32)(windows)
    for tracks in (OWN, read(OWN)):
        np.testing.assert_array_equal(tokenize_records(records, tracks, 32), windows)


def test_pitches_that_are_no_semitones_are_not_transposed():
    with pytest.raises(ValueError, match=r"a semitone apart.*Scale.*\[60, 62, 64, 67, 69\]"):
        Transposition([Scale()])


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("name", 3, "a text of 1 to 100 characters. Received: name=3"),
        ("name", "x" * 101, "a text of 1 to 100 characters"),
        ("is_drum", 0, "true or false. Received: is_drum=0"),
        ("num_classes", 2**40, "a whole number from 2 to 65536. Received: num_classes=10"),
        ("num_classes", True, "a whole number"),
        ("num_classes", 5, "onsets must be of tokens below num_classes=5. Received: onsets=5"),
        ("rest", 7, "rest must be below num_classes=7. Received: 7"),
        ("rest", None, "rest must be a whole number"),
        ("sustain", -1, "a whole number from 0"),
        ("sustain", 3, "onsets must be of no token of rest, sustain or release"),
        ("output_program", 128, "a whole number from 0 to 127. Received: output_program=128"),
        ("programs", [[3, 1]], "programs must be the first and last of runs"),
        ("programs", [[0, 10**9]], "programs must be the first and last of runs"),
        ("programs", [3], "programs must be the first and last of runs"),
        ("onsets", [], "onsets must be lists of pitches by token"),
        ("onsets", {}, "no class starts a note"),
        ("onsets", {"1": []}, "lists of MIDI pitches"),
        ("onsets", {"1": [128]}, r"lists of MIDI pitches. Received: onsets=\[128\]"),
        ("onsets", {"1": [60.0]}, "lists of MIDI pitches"),
        ("onsets", {"x": [60]}, "of tokens. Received: onsets='x'"),
        ("onsets", {"9" * 5000: [60]}, "of tokens"),
        ("onsets", {"1": [60], "2": [60]}, "of different pitches"),
    ],
)  # fmt: skip
def test_descriptions_may_come_from_anywhere(field, value, message):
    values = {**vocabularies.describe([Scale()])[0], field: value}
    with pytest.raises(ValueError, match=message):
        vocabularies.from_description([values])
    del values[field]
    with pytest.raises(ValueError, match=f"{field} must be"):
        vocabularies.from_description([values])


@pytest.mark.parametrize("tracks", [None, "Melody", {}, [None] * 65, 3])
def test_tracks_are_a_list(tracks):
    with pytest.raises(ValueError, match="tracks must be a list of at most 64 vocabularies"):
        vocabularies.from_description(tracks)


@pytest.mark.parametrize("token", ["3", "16", "0"])
def test_hits_are_powers_of_two(token):
    values = {**vocabularies.describe([Hands()])[0], "onsets": {token: [60]}}
    with pytest.raises(ValueError, match="onsets must be of"):
        vocabularies.from_description([values])


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        ("Melody", "name", ["x"]),
        ("Melody", "min_program", "0"),
        ("Melody", "output_program", 10**12),
        ("Drums", "hit_pitches", [[60]] * 60),
        ("Drums", "hit_pitches", [[2**70]]),
        ("Drums", "hit_pitches", 3),
    ],
)
def test_those_of_this_package_are_checked_too(kind, field, value):
    track = vocabularies.KINDS[kind]()
    values = {"vocabulary": kind, **dataclasses.asdict(track), field: value}
    with pytest.raises(ValueError, match=f"A vocabulary's {field} must be .* Received: {field}="):
        vocabularies.from_description([values])


class Chords(Scale):
    def detokenize(self, tokens):
        both = np.repeat(np.flatnonzero((tokens > 0) & (tokens < 6)), 2)
        return Notes(both, both + 1, np.tile([60, 64], len(both) // 2))


class Elsewhere(Scale):
    def detokenize(self, tokens):
        found = super().detokenize(tokens)
        return found._replace(pitches=found.pitches + 1)


@pytest.mark.parametrize(
    ("track", "message"),
    [
        ("melody", "str cannot be the vocabulary of a track: it has no name, is_drum"),
        (Chords(), "Chords .*: a class of a line must start one note, not several"),
        (Elsewhere(), "the token 1 writes the pitch 61, which must be read as it. Received"),
    ],
)
def test_what_is_no_vocabulary_is_refused_before_a_data_set_is_built(track, message):
    with pytest.raises(ValueError, match=message):
        builder.Settings([track], 2)


class Faulty(Scale):
    """A vocabulary that fails in one of its methods, given more than an empty line."""

    def __init__(self, method):
        self.method = method

    def reduce(self, notes):
        return self.fail() if self.method == "reduce" else super().reduce(notes)

    def accepts(self, instrument):
        is_song = isinstance(instrument, Instrument)
        return self.fail() if self.method == "accepts" and is_song else True

    def is_silent(self, tokens):
        return self.fail() if self.method == "is_silent" else super().is_silent(tokens)

    def detokenize(self, tokens):
        is_all = len(tokens) > self.num_classes
        return self.fail() if self.method == "detokenize" and is_all else super().detokenize(tokens)

    def fail(self):
        raise KeyError("C minor")


REASON = f"{__name__}.Faulty raised KeyError"


@pytest.mark.parametrize("method", ["accepts", "reduce", "is_silent"])
def test_an_error_of_a_vocabulary_is_no_crash_of_a_reader(method):
    outcome = builder.examine(SONGS[0], builder.Settings([Faulty(method)], 2))
    assert outcome.reason == REASON
    line = Faulty.fail.__code__.co_firstlineno + 1
    assert outcome.detail == f"'C minor' ({__file__}, line {line})"
    assert outcome.num_cut == outcome.num_dropped_rests == 0


def test_a_vocabulary_that_fails_where_windows_are_written_ends_the_build(tmp_path, in_process):
    settings = builder.Settings([Faulty("detokenize")], 2)
    with pytest.raises(VocabularyError, match=f"{REASON}: 'C minor' .*line") as caught:
        builder.build(SONGS[:2], str(tmp_path / "out"), settings)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.reason) == (str(caught.value), REASON)


def test_a_vocabulary_that_fails_where_it_is_checked_is_named():
    class Odd(Scale):
        rest = property(lambda self: 1 // 0)

    with pytest.raises(VocabularyError, match="Odd raised ZeroDivisionError"):
        builder.Settings([Odd()], 2)


def test_a_class_of_ones_own_may_have_a_name_of_ours():
    own = type("Melody", (Melody,), {"__module__": "mine", "first_pitch": 12,
                                     "pitch_tokens": range(116)})()  # fmt: skip
    (values,) = vocabularies.describe([own])
    assert values["vocabulary"] == "mine.Melody"
    (found,) = vocabularies.from_description([values])
    np.testing.assert_array_equal(found.onsets, own.onsets)
    assert described_vocabulary.describe(found) is found
