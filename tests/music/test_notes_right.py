"""Notes right: onsets counted by hand, of the paper's vocabularies and of one's own."""

import numpy as np
import pytest

from magenta_vae.magenta.vocabulary import NoteOffMelody
from magenta_vae.music import notes_right
from magenta_vae.music.names import hit_names, token_name
from magenta_vae.music.tokens import Drums, Melody

HOLD, REST = Melody.sustain, Melody.rest


def counted(made, true, track):
    windows = (np.array(each, np.int32)[None, :, None] for each in (made, true))
    (counts,) = notes_right.count(*windows, [track])
    return counts


def test_held_steps_and_rests_count_for_nothing():
    true = [60, HOLD, HOLD, HOLD, 64, HOLD, REST, REST]
    made = [60, HOLD, HOLD, HOLD, 65, HOLD, REST, REST]  # 7 of 8 steps, 1 of 2 notes
    counts = counted(made, true, Melody())
    assert [each.tolist() for each in counts] == [[1], [2], [2]]
    assert notes_right.scores(counts) == {"precision": 0.5, "recall": 0.5, "f1": 0.5}


def test_precision_and_recall_tell_too_many_notes_from_too_few():
    true, made = [60, HOLD, 62, HOLD], [60, 61, 62, 63]
    assert notes_right.scores(counted(made, true, Melody())) == {
        "precision": 0.5,
        "recall": 1.0,
        "f1": pytest.approx(2 / 3),
    }
    assert notes_right.scores(counted(true, made, Melody()))["recall"] == 0.5


def test_a_right_pitch_a_step_late_is_wrong():
    counts = counted([REST, 60, HOLD, HOLD], [60, HOLD, HOLD, HOLD], Melody())
    assert notes_right.scores(counts)["f1"] == 0


def test_each_kind_of_hit_is_counted():
    # kick + closed hi-hat for kick + snare; a hi-hat that is right; a kick too many
    counts = counted([0b101, 0b100, 0b001, 0], [0b011, 0b100, 0, 0], Drums())
    assert [each.tolist()[:3] for each in counts] == [[1, 0, 1], [2, 0, 2], [1, 1, 1]]
    assert notes_right.scores(counts) == {
        "precision": 2 / 4,
        "recall": 2 / 3,
        "f1": pytest.approx(4 / 7),
    }
    kick, snare, hat, *others = notes_right.scores_by_kind(counts)
    assert kick == {"precision": 0.5, "recall": 1.0, "f1": pytest.approx(2 / 3)}
    assert snare == {"precision": None, "recall": 0.0, "f1": 0.0}
    assert hat["precision"] == 0.5
    assert all(value is None for scores in others for value in scores.values())


def test_what_starts_is_asked_of_the_vocabulary():
    track = NoteOffMelody()
    pitch = int(track.onsets[60])
    counts = counted([pitch, 0, track.release, 0], [pitch, 0, 0, track.release], track)
    assert notes_right.scores(counts)["f1"] == 1  # silence that begins late is no note
    claps = Drums(hit_pitches=((39,), (54, 69)))
    counts = counted([0b11, 0], [0b01, 0b10], claps)
    assert [each.tolist() for each in counts] == [[1, 0], [1, 1], [1, 1]]


def test_counts_add_up_over_batches():
    rng = np.random.default_rng(0)
    tracks = [Melody(), Drums()]
    made, true = (
        np.stack([rng.choice([60, 62, HOLD, REST], (20, 32)), rng.integers(8, size=(20, 32))], -1)
        for _ in range(2)
    )
    whole = notes_right.count(made, true, tracks)
    parts = [notes_right.count(made[half], true[half], tracks) for half in (slice(7), slice(7, 20))]
    for track, counts in enumerate(whole):
        np.testing.assert_array_equal(parts[0][track] + parts[1][track], counts)


def test_hits_are_called_as_in_pictures_whatever_the_kit():
    assert hit_names(Drums())[:4] == ["kick", "snare", "closed hi-hat", "open hi-hat"]
    assert hit_names(Drums())[4:] == ["low tom", "mid tom", "high tom", "crash", "ride"]
    assert hit_names(Drums(hit_pitches=((36,), (35,), (120,)))) == [
        "kick 36",
        "kick 35",
        "pitch 120",
    ]
    assert hit_names(Melody()) == []
    assert token_name(Drums(), 0b101) == "kick + closed hi-hat"
