"""Serialized windows -> tokens, a batch at a time: a hundred thousand a second on a core.

Of different notes a data set has few, each many times: a note's bytes are parsed once a batch.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf
from google.protobuf import descriptor_pb2
from note_seq.protobuf import music_pb2

from magenta_vae.contracts import Vocabulary
from magenta_vae.music.tokens import NUM_PITCHES, WindowNotes, tokenize_windows


class _Notes(NamedTuple):
    """Notes as int32 [notes] tensors, in the order of `WindowNotes`."""

    track: tf.Tensor
    start: tf.Tensor
    end: tf.Tensor
    pitch: tf.Tensor


def tokenize_records(records: tf.Tensor, tracks: Sequence[Vocabulary], num_steps: int) -> tf.Tensor:
    """Returns int32 [batch, num_steps, tracks] tokens of serialized windows, string [batch].

    Raises:
        tf.errors.InvalidArgumentError: for bytes that are no NoteSequence, or one with notes of
            pitches, tracks or steps that the windows have not.
    """
    windows, distinct, which = _parse(records)
    notes = _parse_notes(distinct, len(tracks), num_steps)

    def tokenize(num_windows, windows, which, *notes):
        columns = (column[which] for column in notes)
        return tokenize_windows(WindowNotes(windows, *columns), tracks, num_windows, num_steps)

    tokens = tf.numpy_function(
        tokenize, [tf.shape(records)[0], windows, which, *notes], tf.int32, stateful=False
    )
    return tf.ensure_shape(tokens, [None, num_steps, len(tracks)])


def _parse(records: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns the window of each note, int32 [notes]; the different notes, serialized; which of
    those each note is, int32 [notes].
    """
    sizes, (notes,) = tf.io.decode_proto(
        records,
        music_pb2.NoteSequence.DESCRIPTOR.full_name,
        ["notes"],
        [tf.string],
        descriptor_source=_descriptor_source(),
    )
    distinct, which = tf.unique(tf.reshape(notes, [-1]))  # With one that pads, which nothing uses.
    most = tf.shape(notes)[1]
    places = tf.where(tf.reshape(tf.sequence_mask(sizes[:, 0], most), [-1]))[:, 0]
    places = tf.cast(places, tf.int32)
    return places // most, distinct, tf.gather(which, places)


def _parse_notes(notes: tf.Tensor, num_tracks: int, num_steps: int) -> _Notes:
    _, values = tf.io.decode_proto(
        notes,
        music_pb2.NoteSequence.Note.DESCRIPTOR.full_name,
        ["instrument", "quantized_start_step", "quantized_end_step", "pitch"],
        [tf.int32, tf.int64, tf.int64, tf.int32],
        descriptor_source=_descriptor_source(),
    )
    fields = _Notes(*(tf.cast(value[:, 0], tf.int32) for value in values))
    bounds = {"pitch": NUM_PITCHES, "start": num_steps, "end": num_steps + 1, "track": num_tracks}
    checks = [
        tf.debugging.Assert(
            tf.reduce_all((value >= 0) & (value < bounds[name])),
            [
                f"A note's {name} must be from 0 to {bounds[name] - 1}. Received, from and to:",
                tf.reduce_min(value),
                tf.reduce_max(value),
            ],
        )
        for name, value in fields._asdict().items()
    ]
    with tf.control_dependencies([check for check in checks if check is not None]):
        return _Notes(*map(tf.identity, fields))


@functools.cache
def _descriptor_source() -> bytes:
    """Returns note_seq's message definitions in the form that `tf.io.decode_proto` wants."""
    file = descriptor_pb2.FileDescriptorProto()
    music_pb2.DESCRIPTOR.CopyToProto(file)
    return b"bytes://" + descriptor_pb2.FileDescriptorSet(file=[file]).SerializeToString()
