"""The composed songs are repeatable, on the grid, and shaped like music."""

import collections
import itertools

import note_seq
import numpy as np
import pytest

from magenta_vae.music import synthetic

SEEDS = range(12)
STEPS_PER_BAR = 16
MAJOR_SCALE = (0, 2, 4, 5, 7, 9, 11)
DRUM_PITCHES = {kind[0] for kind in note_seq.drums_encoder_decoder.DEFAULT_DRUM_TYPE_PITCHES}


@pytest.fixture(scope="module")
def songs():
    return [synthetic.synthesize_song(seed) for seed in SEEDS]


def steps(song, seconds):
    """Converts seconds to sixteenth steps, not rounded."""
    return np.asarray(seconds) * song.tempos[0].qpm / 60 * 4


def tracks(song):
    """Returns `{instrument: [(start_step, end_step, pitch)]}` in order of time."""
    notes = collections.defaultdict(list)
    for note in song.notes:
        start, end = steps(song, [note.start_time, note.end_time]).round().astype(int).tolist()
        notes[note.instrument].append((start, end, note.pitch))
    return {instrument: sorted(track) for instrument, track in notes.items()}


def longest_rest(track, num_steps):
    sounding = np.zeros(num_steps, bool)
    for start, end, _ in track:
        sounding[start:end] = True
    edges = np.flatnonzero(np.concatenate([[True], sounding, [True]]))
    return int(np.diff(edges).max()) - 1


def rhythms(track, num_bars):
    """Returns each bar's onsets, as the tuple of steps on which a note starts."""
    bars = [[] for _ in range(num_bars)]
    for start in sorted({start for start, _, _ in track}):
        bars[start // STEPS_PER_BAR].append(start % STEPS_PER_BAR)
    return [tuple(bar) for bar in bars]


def share_in_best_scale(pitches):
    """Returns the largest share of the pitches that one of the twelve diatonic scales holds."""
    classes = np.bincount(np.asarray(pitches) % 12, minlength=12)
    return max(np.roll(classes, -k)[list(MAJOR_SCALE)].sum() for k in range(12)) / len(pitches)


def test_same_seed_same_song():
    first, second = synthetic.synthesize_song(3), synthetic.synthesize_song(3)
    assert first.SerializeToString() == second.SerializeToString()


def test_every_seed_has_its_own_song(songs):
    assert len({song.SerializeToString() for song in songs}) == len(songs)


def test_first_notes_of_a_known_song():
    # Written down from a run. If this fails, seeds no longer mean the songs they used to.
    song = synthetic.synthesize_song(0)
    lead = tracks(song)[0]
    assert song.tempos[0].qpm == 121
    assert lead[:6] == [
        (2, 5, 74),
        (5, 8, 76),
        (8, 11, 74),
        (11, 14, 72),
        (14, 16, 71),
        (18, 21, 69),
    ]


def test_songs_differ_in_key_tempo_and_band(songs):
    assert len({song.tempos[0].qpm for song in songs}) > 6
    assert len({tracks(song)[1][0][2] % 12 for song in songs}) > 4
    assert len({song.notes[0].program for song in songs}) > 4
    assert {len(tracks(song)) for song in songs} == {3, 4}


def test_songs_are_in_four_four_at_one_whole_tempo(songs):
    for song in songs:
        assert [(s.numerator, s.denominator) for s in song.time_signatures] == [(4, 4)]
        assert [tempo.qpm == round(tempo.qpm) for tempo in song.tempos] == [True]
        assert 70 <= song.tempos[0].qpm <= 150
        assert song.total_time == max(note.end_time for note in song.notes)
        assert not song.HasField("quantization_info")


def test_every_note_starts_and_ends_on_the_grid(songs):
    for song in songs:
        times = steps(song, [(note.start_time, note.end_time) for note in song.notes])
        np.testing.assert_allclose(times, times.round(), atol=1e-6)
        assert (times[:, 1].round() > times[:, 0].round()).all()
        assert times.min() == 0
        assert times.max() <= 32 * STEPS_PER_BAR + 1e-6


def test_players_have_the_programs_of_a_trio(songs):
    programs = {0: range(32), 1: range(32, 40), 2: range(40, 128), 9: range(1)}
    for song in songs:
        for note in song.notes:
            assert note.program in programs[note.instrument]
            assert note.is_drum == (note.instrument == 9)
            assert 1 <= note.velocity <= 127


@pytest.mark.parametrize("num_bars", [4, 16, 32])
def test_no_player_rests_longer_than_a_bar(num_bars):
    for seed in SEEDS:
        for track in tracks(synthetic.synthesize_song(seed, num_bars)).values():
            assert longest_rest(track, num_bars * STEPS_PER_BAR) <= STEPS_PER_BAR


@pytest.mark.parametrize("instrument", [0, 1])
def test_lead_and_bass_are_monophonic(songs, instrument):
    for song in songs:
        track = tracks(song)[instrument]
        assert all(first[1] <= second[0] for first, second in itertools.pairwise(track))


def test_registers_do_not_mix(songs):
    for song in songs:
        lead, bass = ([pitch for *_, pitch in tracks(song)[i]] for i in (0, 1))
        assert min(lead) >= 56 and max(lead) <= 89
        assert min(bass) >= 24 and max(bass) <= 55


def test_lead_moves_by_step_more_than_by_leap(songs):
    pitches = [[pitch for *_, pitch in tracks(song)[0]] for song in songs]
    intervals = np.abs(np.concatenate([np.diff(p) for p in pitches]))
    assert np.mean((intervals > 0) & (intervals <= 2)) > 0.5
    assert np.mean(intervals > 7) < 0.03


def test_rhythms_return_and_vary(songs):
    for song in songs:
        bars = rhythms(tracks(song)[0], 32)
        counts = collections.Counter(bars)
        assert sum(counts[bar] > 1 for bar in bars) / len(bars) > 0.6
        assert len(counts) >= 5


def test_phrases_end_on_longer_notes(songs):
    for song in songs:
        durations = collections.defaultdict(list)
        for start, end, _ in tracks(song)[0]:
            durations[start // STEPS_PER_BAR % 4].append(end - start)
        assert max(durations[3]) >= 7
        assert np.mean(durations[3]) > np.mean(durations[0])


def test_songs_come_home(songs):
    # The last long note of the lead is the root under it.
    for song in songs:
        lead, bass = tracks(song)[0], tracks(song)[1]
        start, _, pitch = [note for note in lead if note[1] - note[0] > 4][-1]
        roots = [p for s, _, p in bass if s // STEPS_PER_BAR == start // STEPS_PER_BAR]
        assert pitch % 12 in {p % 12 for p in roots}


def test_pitches_stay_in_the_key(songs):
    for song in songs:
        pitches = [note.pitch for note in song.notes if not note.is_drum]
        assert share_in_best_scale(pitches) > 0.9


def test_drums_speak_the_nine_classes(songs):
    used = {pitch for song in songs for *_, pitch in tracks(song)[9]}
    assert used == DRUM_PITCHES


def test_every_section_starts_with_a_crash(songs):
    crash = note_seq.drums_encoder_decoder.DEFAULT_DRUM_TYPE_PITCHES[7][0]
    for song in songs:
        starts = [start for start, _, pitch in tracks(song)[9] if pitch == crash]
        assert starts == [bar * STEPS_PER_BAR for bar in (0, 8, 16, 24)]


@pytest.mark.parametrize("num_bars", [0, -4, 3, 30])
def test_num_bars_must_be_whole_phrases(num_bars):
    message = f"num_bars must be a positive multiple of 4. Received: num_bars={num_bars}."
    with pytest.raises(ValueError, match=message):
        synthetic.synthesize_song(0, num_bars)
