"""Magenta's classes, as note_seq's own encoders number them."""

import note_seq
import numpy as np
import pytest
from musical import part, sequence, song
from note_seq import melodies_lib

from magenta_vae.magenta.vocabulary import NoteOffMelody, hit_rolls
from magenta_vae.music import attributes, statistics, tokens, windows
from magenta_vae.music.tokens import Drums, Melody, Notes
from magenta_vae.music.window_format import WindowFormat

MELODY = (NoteOffMelody(),)
ENCODING = note_seq.MelodyOneHotEncoding(21, 109)


def token(name):
    """Returns a pitch's class: its distance from A0, after the two that are no pitches."""
    return pitch_of(name) - 21 + 2


def pitch_of(name):
    return {"C4": 60, "D4": 62, "E4": 64, "A0": 21, "C8": 108}[name]


def tokens_of(text, num_steps):
    return tokens.tokenize(sequence(part(text)), MELODY, num_steps)[:, 0].tolist()


def random_window(rng, num_steps=64):
    """Returns tokens that a window can have: a note-off only where something sounds."""
    window = rng.choice(90, num_steps, p=[0.5, 0.2, *[0.3 / 88] * 88]).astype(np.int32)
    sounds = False
    for step, event in enumerate(window):
        if event == 1 and not sounds:
            window[step] = 0
        sounds = event > 1 or (sounds and event != 1)
    return window


def events_of(window):
    return [ENCODING.decode_event(event) for event in window]


def test_a_note_off_ends_a_note_and_silence_goes_on_by_itself():
    c, d, e = map(token, ("C4", "D4", "E4"))
    assert tokens_of(". C4 - . . D4 E4 -", 8) == [0, c, 0, 1, 0, d, e, 0]
    assert tokens_of("C4", 3) == [c, 1, 0]


def test_the_lowest_and_the_highest_class():
    assert tokens_of("A0 C8", 2) == [2, 89]
    assert (MELODY[0].num_classes, ENCODING.num_classes) == (90, 90)


def test_pitches_that_a_piano_does_not_have_do_not_hide_others():
    notes = Notes(*np.array([(0, 4, 60), (0, 4, 109), (2, 4, 20)], np.int32).T)
    (melody,) = MELODY
    window = tokens.tokenize_notes(melody, melody.reduce(notes), 6)
    assert window.tolist() == [token("C4"), 0, 0, 0, 1, 0]


def test_every_event_is_the_class_that_note_seq_gives_it():
    for window in map(random_window, map(np.random.default_rng, range(20))):
        ours = tokens.detokenize(window[:, None], MELODY)
        theirs = melodies_lib.Melody(events_of(window)).to_sequence(qpm=120)
        assert [(n.pitch, n.quantized_start_step, n.quantized_end_step) for n in ours.notes] == [
            (n.pitch, round(8 * n.start_time), round(8 * n.end_time)) for n in theirs.notes
        ]


def test_note_seq_extracts_the_same_events():
    for window in map(random_window, map(np.random.default_rng, range(20))):
        music = tokens.detokenize(window[:, None], MELODY)
        melody = melodies_lib.Melody()
        melody.from_quantized_sequence(music, gap_bars=100)
        melody.set_length(len(melody) + melody.start_step, from_left=True)
        melody.set_length(64)
        assert [ENCODING.encode_event(event) for event in melody] == window.tolist()


def test_windows_round_trip():
    for window in map(random_window, map(np.random.default_rng, range(50))):
        sequence = tokens.detokenize(window[:, None], MELODY)
        np.testing.assert_array_equal(tokens.tokenize(sequence, MELODY, 64)[:, 0], window)


def test_silence_is_found_by_what_sounds():
    (melody,) = MELODY
    paper = Melody()
    for window in map(random_window, map(np.random.default_rng, range(20))):
        sequence = tokens.detokenize(window[:, None], MELODY)
        as_paper = tokens.tokenize(sequence, [paper], 64)[:, 0]
        np.testing.assert_array_equal(melody.is_silent(window), as_paper == paper.rest)


def test_windows_are_those_of_the_papers_vocabulary():
    """Cuts a song in both vocabularies: the same windows pass, and hold the same notes."""
    line = "C4 -*20 . D4 -*3 .*20 E4 -*3 .*8 C4 .*3 D4 -*30 E4 .*3"
    music = song(part(line))
    ours, theirs = (
        next(windows.song_windows(music, WindowFormat([track], num_bars=2)))
        for track in (*MELODY, Melody())
    )
    np.testing.assert_array_equal(ours.bars, theirs.bars)
    assert 0 < len(ours.bars) < ours.num_cut
    for own, paper in zip(ours.tokens, theirs.tokens, strict=True):
        assert tokens.detokenize(own, MELODY).notes == tokens.detokenize(paper, [Melody()]).notes


def test_a_window_does_not_begin_with_the_end_of_a_note():
    music = song(part("C4 -*17 .*14 D4 -*15"))  # Sounds into the second bar, and ends in it.
    (cut,) = windows.song_windows(music, WindowFormat(MELODY, 1), max_rest_steps=16)
    assert cut.bars.tolist() == [0, 1, 2]
    assert not cut.tokens[1].any()


def test_hits_are_fed_as_note_seq_feeds_them():
    (rolls,) = hit_rolls([Drums()])
    encoder = note_seq.PianorollEncoderDecoder(9)
    for combination in (0, 1, 5, 256, 341, 511):
        event = [kind for kind in range(9) if combination >> kind & 1]
        expected = encoder.events_to_input([event], 0)
        np.testing.assert_array_equal(rolls[combination, :9], expected)
        assert rolls[combination, 9] == (not event)
    assert rolls.shape == (512, 10)


def test_melodies_are_not_fed_as_hits():
    with pytest.raises(ValueError, match=r"Only drums.*\['melody'\]"):
        hit_rolls([Drums(), Melody()])


def test_the_papers_classes_say_the_same():
    paper = (Melody(),)
    text = ". C4 - . . D4 E4 - A0 C8"
    window = tokens.tokenize(sequence(part(text)), MELODY, 12)
    found, tracks = tokens.in_paper_classes(window[None], MELODY)
    assert tracks == paper
    np.testing.assert_array_equal(found[0], tokens.tokenize(sequence(part(text)), paper, 12))


def test_statistics_and_attributes_are_of_the_notes():
    rng = np.random.default_rng(0)
    windows_of_both = [], []
    for _ in range(20):
        music = tokens.detokenize(random_window(rng)[:, None], MELODY)
        for found, track in zip(windows_of_both, (NoteOffMelody(), Melody()), strict=True):
            found.append(tokens.tokenize(music, [track], 64))
    for measure in (statistics.measure, attributes.measure):
        ours, theirs = (
            measure(np.stack(found), [track])
            for found, track in zip(windows_of_both, (NoteOffMelody(), Melody()), strict=True)
        )
        assert str(ours) == str(theirs) and "note_density" in str(ours)
