"""Notes <-> tokens are inverses, and the tokens are the paper's."""

import numpy as np
import pytest
from musical import DRUMS, MELODY, TRIO, parse, part, pitch, sequence

from magenta_vae.music import synthetic, windows
from magenta_vae.music.note_sequences import note_sequence_to_song
from magenta_vae.music.tokens import (
    Drums,
    Melody,
    Notes,
    detokenize,
    names,
    num_classes,
    tokenize,
    tokenize_notes,
)
from magenta_vae.music.window_format import WindowFormat

HOLD, REST = 128, 129


def tokens_of(text, tracks=MELODY, num_steps=16):
    return tokenize(sequence(part(text)), tracks, num_steps)[:, 0].tolist()


def canonical_melody(rng, num_steps):
    """Returns random tokens that a window can have: no hold without a note."""
    tokens = rng.choice(130, size=num_steps, p=[*[0.3 / 128] * 128, 0.5, 0.2])
    for step in range(num_steps):
        if tokens[step] == HOLD and (step == 0 or tokens[step - 1] == REST):
            tokens[step] = REST
    return tokens.astype(np.int32)


def round_trip(tokens, tracks):
    return tokenize(detokenize(tokens, tracks), tracks, len(tokens))


def test_class_counts_are_the_papers():
    assert num_classes(TRIO) == (130, 130, 512)  # Paper, 2.1.
    assert names(TRIO) == ("lead", "bass", "drums")
    assert (Melody.sustain, Melody.rest, Drums.rest) == (HOLD, REST, 0)


def test_a_melody():
    assert tokens_of("C4 . D4 - E4 -*3 .*8") == [60, 129, 62, 128, 64, 128, 128, 128] + [129] * 8
    assert tokens_of("C-1 G9", num_steps=3) == [0, 127, 129]


def test_the_highest_of_simultaneous_onsets():
    assert tokens_of("C4+E4+G4 - A3", num_steps=4) == [67, 128, 57, 129]
    assert tokens_of("G4+C4 - A3", num_steps=4) == [67, 128, 57, 129]


def test_a_new_onset_ends_the_sounding_note():
    notes = Notes(*np.array([(0, 8, 72), (2, 3, 60)], np.int32).T)  # The low one ends the high one.
    assert tokenize_notes(Melody(), Melody().reduce(notes), 8).tolist() == [72, 128, 60] + [129] * 5


def test_of_equal_notes_the_longest_whatever_their_order():
    short, long = (0, 1, 60), (0, 4, 60)
    for order in ([short, long], [long, short]):
        reduced = Melody().reduce(Notes(*np.array(order, np.int32).T))
        assert tokenize_notes(Melody(), reduced, 4).tolist() == [60, 128, 128, 128]


def test_drums_are_bits_of_nine_kinds():
    # Bit i is kind i, in the order of the paper's nine: K S H O L M T C R.
    assert tokens_of("K S H O L M T C R", DRUMS, 9) == [2**kind for kind in range(9)]
    assert tokens_of("K+H . S+H+C .", DRUMS, 4) == [5, 0, 2 + 4 + 128, 0]
    assert tokens_of("K+S+H+O+L+M+T+C+R", DRUMS, 1) == [511]


def test_two_pitches_of_one_kind_are_one_hit():
    notes = Notes(*np.array([(0, 1, 35), (0, 1, 36), (0, 4, 36), (1, 2, 35)], np.int32).T)
    reduced = Drums().reduce(notes)
    assert reduced.pitches.tolist() == [36, 36]
    assert tokenize_notes(Drums(), reduced, 4).tolist() == [1, 1, 0, 0]


def test_a_pitch_outside_the_nine_kinds_is_no_hit():
    known = {number for kind in Drums().hit_pitches for number in kind}
    others = np.array(sorted(set(range(128)) - known), np.int32)
    steps = np.arange(len(others), dtype=np.int32)
    reduced = Drums().reduce(Notes(steps, steps + 1, others))
    assert len(reduced.starts) == 0
    assert not tokenize_notes(Drums(), reduced, len(others)).any()
    assert len(known) + len(others) == 128


def test_all_drum_tokens_round_trip():
    tokens = np.random.default_rng(0).permutation(512)[:, None]
    np.testing.assert_array_equal(round_trip(tokens, DRUMS), tokens)


def test_random_melodies_round_trip():
    rng = np.random.default_rng(1)
    for _ in range(50):
        tokens = canonical_melody(rng, 32)[:, None]
        np.testing.assert_array_equal(round_trip(tokens, MELODY), tokens)


def test_random_trios_round_trip():
    rng = np.random.default_rng(2)
    for _ in range(20):
        columns = [canonical_melody(rng, 64), canonical_melody(rng, 64), rng.integers(512, size=64)]
        tokens = np.stack(columns, axis=-1)
        np.testing.assert_array_equal(round_trip(tokens, TRIO), tokens)


@pytest.mark.parametrize("tracks", [MELODY, DRUMS, TRIO], ids=["melody", "drums", "trio"])
def test_windows_of_songs_round_trip(tracks):
    for seed in range(3):
        song = note_sequence_to_song(synthetic.synthesize_song(seed))
        for part_windows in windows.song_windows(song, WindowFormat(tracks, num_bars=2)):
            for tokens in part_windows.tokens:
                np.testing.assert_array_equal(round_trip(tokens, tracks), tokens)


def test_a_hold_of_nothing_becomes_a_rest_and_the_rest_stays():
    sampled = np.array([128, 128, 60, 128, 129, 128, 62, 62, 128])[:, None]
    expected = [129, 129, 60, 128, 129, 129, 62, 62, 128]
    assert round_trip(sampled, MELODY)[:, 0].tolist() == expected


def test_any_sampled_tokens_are_canonical_after_one_round_trip():
    rng = np.random.default_rng(3)
    for _ in range(20):
        once = round_trip(rng.integers(130, size=(32, 1)), MELODY)
        np.testing.assert_array_equal(round_trip(once, MELODY), once)


def test_detokenized_tracks_are_playable():
    tokens = np.stack([[60, 128], [36, 129], [1 + 4, 2]], axis=-1)
    sequence = detokenize(tokens, TRIO, qpm=60)
    assert [(n.instrument, n.program, n.is_drum, n.pitch) for n in sequence.notes] == [
        (0, 0, False, 60),
        (1, 32, False, 36),
        (2, 0, True, 36),
        (2, 0, True, 42),
        (2, 0, True, 38),
    ]
    assert sequence.notes[0].end_time == 0.5  # Two sixteenths at 60 quarters a minute.
    assert [info.name for info in sequence.instrument_infos] == ["lead", "bass", "drums"]


def test_silence_keeps_its_length():
    tokens = np.full((32, 1), REST)
    assert detokenize(tokens, MELODY).total_quantized_steps == 32
    np.testing.assert_array_equal(round_trip(tokens, MELODY), tokens)


def test_the_formula_agrees_with_a_walk_over_the_steps():
    rng = np.random.default_rng(4)
    for _ in range(20):
        starts = rng.integers(0, 48, size=30)
        ends = starts + rng.integers(1, 17, size=30)
        notes = Notes(*np.stack([starts, ends, rng.integers(0, 128, size=30)]).astype(np.int32))
        expected, sounding_until = [], 0
        for step in range(64):
            onsets = [(p, e) for s, e, p in zip(*notes, strict=True) if s == step]
            if onsets:
                number, sounding_until = max(onsets)
                expected.append(number)
            else:
                expected.append(HOLD if step < sounding_until else REST)
        assert tokenize_notes(Melody(), Melody().reduce(notes), 64).tolist() == expected


def test_who_may_play_a_track():
    lead, bass, drums = TRIO
    played = [part("C4", program=program) for program in range(128)]
    assert [p for p in range(128) if lead.accepts(played[p])] == list(range(32))
    assert [p for p in range(128) if bass.accepts(played[p])] == list(range(32, 40))
    assert not any(drums.accepts(each) for each in played)
    kit = part("K", program=33)
    assert drums.accepts(kit) and not lead.accepts(kit) and not bass.accepts(kit)
    assert all(Melody().accepts(each) for each in played)


def test_another_kit():
    kit = Drums(hit_pitches=[[60, 61], [64]])
    assert kit.num_classes == 4
    notes = Notes(*np.array([(0, 1, 61), (1, 2, 64), (2, 3, 36)], np.int32).T)
    assert tokenize_notes(kit, kit.reduce(notes), 3).tolist() == [1, 2, 0]


def test_the_helper_itself():
    assert pitch("C4") == 60 and pitch("Bb3") == 58 and pitch("F#5") == 78
    assert parse("C4 -*3 . K+H") == [(0, 4, 60), (5, 6, 36), (5, 6, 42)]
