"""Serialized windows -> tokens, within TensorFlow: a hundred thousand a second on a core.

Of different notes a data set has few, each many times: a note's bytes are parsed once a batch.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from google.protobuf import descriptor_pb2
from note_seq.protobuf import music_pb2

from magenta_vae.contracts import Vocabulary


class _Notes(NamedTuple):
    """Notes as int32 [notes] tensors; the rows of steps and tracks are counted within a window."""

    pitch: tf.Tensor
    start: tf.Tensor
    end: tf.Tensor
    track: tf.Tensor


def tokenize_records(records: tf.Tensor, tracks: Sequence[Vocabulary], num_steps: int) -> tf.Tensor:
    """Returns int32 [batch, num_steps, tracks] tokens of serialized windows, string [batch].

    The formula of `magenta_vae.music.tokens`, for all windows of the batch at once.

    Raises:
        tf.errors.InvalidArgumentError: for bytes that are no NoteSequence, or one with notes of
            pitches, tracks or steps that the windows have not.
    """
    windows, distinct, which = _parse(records)
    notes = _parse_notes(distinct, len(tracks), num_steps)
    rest = tf.constant([t.rest for t in tracks])  # [K]
    sustain = tf.constant([t.sustain for t in tracks])
    release = tf.constant([t.release for t in tracks])
    onsets = tf.constant(np.stack([t.onsets for t in tracks]))  # [K, 128]
    onset = tf.gather_nd(onsets, tf.stack([notes.track, notes.pitch], axis=-1))
    onset -= tf.gather(rest, notes.track)

    # Places in tokens laid end to end, with a step more than a window has: notes end there.
    shape = [tf.shape(records)[0], num_steps + 1, len(tracks)]
    first = windows * ((num_steps + 1) * len(tracks))
    start = first + tf.gather(notes.start * len(tracks) + notes.track, which)
    end = first + tf.gather(notes.end * len(tracks) + notes.track, which)

    def scatter(place, value):  # -> [B, T + 1, K]
        flat = tf.math.unsorted_segment_sum(value, place, tf.reduce_prod(shape))
        return tf.reshape(flat, shape)

    ones = tf.ones_like(start)
    changes = scatter(
        tf.concat([start + len(tracks), end], axis=0), tf.concat([ones, -ones], axis=0)
    )
    sustained = tf.cumsum(changes, axis=1)
    tokens = rest + scatter(start, tf.gather(onset, which)) + sustained * (sustain - rest)
    if any(t.release != t.rest for t in tracks):
        released = scatter(end, ones) * (1 - tf.minimum(scatter(start, ones), 1))
        tokens += released * (release - rest)
    return tokens[:, :num_steps]


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
        ["pitch", "quantized_start_step", "quantized_end_step", "instrument"],
        [tf.int32, tf.int64, tf.int64, tf.int32],
        descriptor_source=_descriptor_source(),
    )
    found = _Notes(*(tf.cast(value[:, 0], tf.int32) for value in values))
    bounds = {"pitch": 128, "start": num_steps, "end": num_steps + 1, "track": num_tracks}
    checks = [
        tf.debugging.Assert(
            tf.reduce_all((value >= 0) & (value < bounds[name])),
            [
                f"A note's {name} must be from 0 to {bounds[name] - 1}. Received, from and to:",
                tf.reduce_min(value),
                tf.reduce_max(value),
            ],
        )
        for name, value in found._asdict().items()
    ]
    with tf.control_dependencies([each for each in checks if each is not None]):
        return _Notes(*map(tf.identity, found))


@functools.cache
def _descriptor_source() -> bytes:
    """Returns note_seq's message definitions in the form that `tf.io.decode_proto` wants."""
    file = descriptor_pb2.FileDescriptorProto()
    music_pb2.DESCRIPTOR.CopyToProto(file)
    return b"bytes://" + descriptor_pb2.FileDescriptorSet(file=[file]).SerializeToString()
