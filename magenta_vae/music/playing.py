"""How quantized music is played: its tempo, and how loud its notes are."""

import numpy as np
from note_seq.protobuf import music_pb2

from magenta_vae.music.note_sequences import seconds_per_step
from magenta_vae.music.songs import STEPS_PER_BAR

# The velocity of a note by the strength of its step in a bar of 4/4: the first beat, the third, the
# other two, the eighths between beats, the sixteenths (metrical levels as Longuet-Higgins and Lee,
# 1984, count them). Without accents all are 80.
VELOCITIES = np.array([104, 64, 78, 64, 90, 64, 78, 64, 97, 64, 78, 64, 90, 64, 78, 64])


def at_tempo(sequence: music_pb2.NoteSequence, qpm: float) -> music_pb2.NoteSequence:
    """Returns a quantized NoteSequence at one tempo throughout, in quarters a minute."""
    result = music_pb2.NoteSequence()
    result.CopyFrom(sequence)
    del result.tempos[:]
    result.tempos.add(qpm=qpm)
    seconds = seconds_per_step(qpm)
    for note in result.notes:
        note.start_time = note.quantized_start_step * seconds
        note.end_time = note.quantized_end_step * seconds
    result.total_time = result.total_quantized_steps * seconds
    return result


def with_accents(sequence: music_pb2.NoteSequence) -> music_pb2.NoteSequence:
    """Returns a quantized NoteSequence whose notes are the louder the stronger their step is."""
    result = music_pb2.NoteSequence()
    result.CopyFrom(sequence)
    for note in result.notes:
        note.velocity = int(VELOCITIES[note.quantized_start_step % STEPS_PER_BAR])
    return result
