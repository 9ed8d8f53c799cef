"""Songs <-> NoteSequences, and MIDI files of them."""

import os
import warnings
from collections.abc import Sequence

import note_seq
import numpy as np
import pretty_midi
from google.protobuf.message import DecodeError
from note_seq.protobuf import music_pb2

from magenta_vae import files
from magenta_vae.music import metres
from magenta_vae.music.midi_chunks import bare_midi
from magenta_vae.music.songs import (
    DEFAULT_QPM,
    MAX_BARS,
    STEPS_PER_BAR,
    STEPS_PER_QUARTER,
    Instrument,
    Song,
    SongError,
    check_bars,
    check_num_notes,
    quantize,
    read_song,
    settle_metre,
)

_COMMON_TIME = music_pb2.NoteSequence.TimeSignature(numerator=4, denominator=4)
VELOCITY = 80  # Of every note that is made.
TICKS_PER_QUARTER = 960_000  # Finer than any file: seconds of a tick stay on their side of a tie.
# note_seq's reader makes an array of every tick up to the last event's. pretty_midi, within it, has
# this bound; note_seq raises it to 10 billion ticks, which are 80 GB.
MAX_TICKS = 10_000_000


def read_midi(path: str | os.PathLike) -> music_pb2.NoteSequence:
    """Reads a MIDI file into a quantized NoteSequence. Raises `SongError` with the reason."""
    return song_to_note_sequence(read_song(path))


def write_midi(note_sequence: music_pb2.NoteSequence, path: str | os.PathLike) -> None:
    """Writes a NoteSequence as a MIDI file, whole or not at all; `ValueError` for what is none."""
    if not isinstance(note_sequence, music_pb2.NoteSequence):
        raise ValueError(
            f"note_sequence must be one NoteSequence. Received: {type(note_sequence).__name__}."
        )
    with files.replacing(path) as beside:
        note_seq.note_sequence_to_midi_file(note_sequence, beside)


def song_to_note_sequence(song: Song) -> music_pb2.NoteSequence:
    """Returns a song as a quantized NoteSequence, in steps and in seconds of its own tempo map."""
    sequence = empty_note_sequence()
    del sequence.tempos[:], sequence.time_signatures[:]
    tempos = _tempo_map(song.tempos)
    for _, seconds, qpm in tempos:
        sequence.tempos.add(time=seconds, qpm=qpm)
    for step, (numerator, denominator) in _placed_signatures(song):
        seconds = float(_steps_to_seconds(np.array(step), tempos)) if step else 0.0
        sequence.time_signatures.add(time=seconds, numerator=numerator, denominator=denominator)
    for index, part in enumerate(song.instruments):
        sequence.instrument_infos.add(instrument=index, name=part.name)
        add_notes(
            sequence,
            part.starts,
            part.ends,
            part.pitches,
            velocities=part.velocities,
            seconds=[_steps_to_seconds(steps, tempos) for steps in (part.starts, part.ends)],
            instrument=index,
            program=part.program,
            is_drum=part.is_drum,
        )
    return sequence


def parse_song_with_note_seq(midi: bytes) -> Song:
    """Parses the bytes of a MIDI file as `songs.parse_song` does, with note_seq's own reader.

    It is two hundred times as slow. Where the two differ, and why, `benchmarks/compare_readers.py`
    shows. Raises `SongError` with the reason where the file cannot be read.
    """
    midi = bare_midi(midi)
    pretty_midi.pretty_midi.MAX_TICK = MAX_TICKS
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Of signatures outside the first track.
            sequence = note_seq.midi_to_note_sequence(midi)
    except (note_seq.MIDIConversionError, ValueError) as error:  # Also of a proto's own bounds.
        raise SongError("damaged MIDI", " ".join(str(error).split())) from error
    return note_sequence_to_song(sequence)


def parse_record(record: bytes) -> Song:
    """Parses a serialized NoteSequence. Raises `SongError` with the reason where that fails."""
    try:
        sequence = music_pb2.NoteSequence.FromString(record)
    except DecodeError as error:
        raise SongError("not a NoteSequence", str(error)) from error
    return note_sequence_to_song(sequence)


def note_sequence_to_song(sequence: music_pb2.NoteSequence) -> Song:
    """Returns the song of a NoteSequence: its own steps where it is quantized, else its seconds.

    Raises `SongError` where it holds no notes, too many, or one that no MIDI file can hold.
    """
    check_num_notes(len(sequence.notes))
    starts, ends = _note_steps(sequence)
    parts: dict[tuple, list[int]] = {}
    for index, note in enumerate(sequence.notes):
        parts.setdefault((note.instrument, note.program, note.is_drum), []).append(index)
    names = {info.instrument: info.name for info in sequence.instrument_infos}
    pitches = np.array([note.pitch for note in sequence.notes], np.int32)
    velocities = np.array([note.velocity for note in sequence.notes], np.int32)
    lowest, highest = np.min(pitches), np.max(pitches)
    if lowest < 0 or highest > 127:
        raise SongError("not a pitch", f"expected 0-127, found {lowest} to {highest}")
    for _, program, _ in parts:
        if not 0 <= program <= 127:
            raise SongError("not a program", f"expected 0-127, found {program}")
    song = Song(
        instruments=tuple(
            Instrument(
                program=program,
                is_drum=is_drum,
                name=names.get(number, ""),
                starts=starts[rows],
                ends=ends[rows],
                pitches=pitches[rows],
                velocities=velocities[rows],
            )
            for (number, program, is_drum), rows in parts.items()
        ),
        time_signatures=tuple((s.numerator, s.denominator) for s in sequence.time_signatures),
        tempos=_tempo_steps(sequence),
        signature_steps=_signature_steps(sequence),
    )
    return settle_metre(song)


def empty_note_sequence(qpm: float = DEFAULT_QPM, num_steps: int = 0) -> music_pb2.NoteSequence:
    """Returns a quantized 4/4 NoteSequence of `num_steps` without notes."""
    sequence = music_pb2.NoteSequence(ticks_per_quarter=220)
    sequence.tempos.add(qpm=qpm)
    sequence.time_signatures.add(numerator=4, denominator=4)
    sequence.quantization_info.steps_per_quarter = STEPS_PER_QUARTER
    sequence.total_quantized_steps = num_steps
    sequence.total_time = num_steps * seconds_per_step(qpm)
    return sequence


def add_notes(
    sequence: music_pb2.NoteSequence,
    starts,
    ends,
    pitches,
    *,
    velocities=None,
    seconds=None,
    instrument: int = 0,
    program: int = 0,
    is_drum: bool = False,
) -> None:
    """Appends one instrument's notes, given in steps, to the sequence itself.

    Args:
        sequence: a quantized NoteSequence.
        starts, ends: steps, [notes].
        pitches: MIDI pitches, [notes].
        velocities: [notes], `VELOCITY` for every note if not given.
        seconds: (start, end) seconds, each [notes]; by the sequence's first tempo if not given.
        instrument, program, is_drum: the same for every note.
    """
    if seconds is None:
        scale = seconds_per_step(sequence.tempos[0].qpm)
        seconds = np.asarray(starts) * scale, np.asarray(ends) * scale
    if velocities is None:
        velocities = np.full(len(starts), VELOCITY)
    columns = (starts, ends, pitches, velocities, *seconds)
    for start, end, pitch, velocity, start_time, end_time in zip(
        *(np.asarray(column).tolist() for column in columns), strict=True
    ):
        sequence.notes.add(
            pitch=pitch,
            velocity=velocity,
            start_time=start_time,
            end_time=end_time,
            quantized_start_step=start,
            quantized_end_step=end,
            instrument=instrument,
            program=program,
            is_drum=is_drum,
        )
        sequence.total_quantized_steps = max(sequence.total_quantized_steps, end)
        sequence.total_time = max(sequence.total_time, end_time)


def transpose(sequence: music_pb2.NoteSequence, num_semitones: int) -> music_pb2.NoteSequence:
    """Returns a copy with every pitch shifted, drums left as they are.

    Raises `ValueError` where a pitch would leave 0-127.
    """
    shifted = music_pb2.NoteSequence()
    shifted.CopyFrom(sequence)
    for note in shifted.notes:
        if note.is_drum:
            continue
        if not 0 <= note.pitch + num_semitones <= 127:
            raise ValueError(
                "Transposed pitches must stay in 0-127. "
                f"Received: pitch {note.pitch}, num_semitones={num_semitones}."
            )
        note.pitch += num_semitones
    return shifted


def concatenate(sequences: Sequence[music_pb2.NoteSequence]) -> music_pb2.NoteSequence:
    """Returns quantized NoteSequences one after another in time, each beginning on a bar.

    Notes of one number are one track, with their programs and its name; tempos and time signatures
    are repeated only where they change.

    Raises:
        ValueError: if there is no sequence, one is not quantized to 4 steps a quarter, or a track
            has two names.
    """
    if not sequences:
        raise ValueError("There must be at least one sequence. Received: none.")
    result = empty_note_sequence()
    del result.tempos[:], result.time_signatures[:]
    for sequence in sequences:
        _append(result, sequence)
    return result


def num_whole_bars(sequence: music_pb2.NoteSequence) -> int:
    """Returns the bars, at least one, that hold a NoteSequence; `ValueError` if not quantized."""
    steps_per_quarter = sequence.quantization_info.steps_per_quarter
    if steps_per_quarter != STEPS_PER_QUARTER:
        raise ValueError(
            f"Expected a NoteSequence quantized to {STEPS_PER_QUARTER} steps a quarter. "
            f"Received: steps_per_quarter={steps_per_quarter}."
        )
    ends = [note.quantized_end_step for note in sequence.notes]
    last = max(1, sequence.total_quantized_steps, *ends)
    return -(-last // STEPS_PER_BAR)


def seconds_per_step(qpm: float) -> float:
    """Returns the length of a sixteenth note in seconds."""
    return 60.0 / qpm / STEPS_PER_QUARTER


def _append(result: music_pb2.NoteSequence, sequence: music_pb2.NoteSequence) -> None:
    """Appends a quantized NoteSequence in place, from the end of the last bar on."""
    first_step, first_seconds = result.total_quantized_steps, result.total_time
    num_steps = num_whole_bars(sequence) * STEPS_PER_BAR
    for note in sequence.notes:
        moved = result.notes.add()
        moved.CopyFrom(note)
        moved.quantized_start_step += first_step
        moved.quantized_end_step += first_step
        moved.start_time += first_seconds
        moved.end_time += first_seconds
    for seconds, qpm in _ordered_tempos(sequence.tempos):
        if not result.tempos or result.tempos[-1].qpm != qpm:
            result.tempos.add(time=first_seconds + seconds, qpm=qpm)
    for signature in sequence.time_signatures or [_COMMON_TIME]:
        metres = [(each.numerator, each.denominator) for each in result.time_signatures]
        if metres[-1:] != [(signature.numerator, signature.denominator)]:
            result.time_signatures.add().CopyFrom(signature)
            result.time_signatures[-1].time += first_seconds
    names = {info.instrument: info.name for info in result.instrument_infos}
    for info in sequence.instrument_infos:
        if names.get(info.instrument, info.name) != info.name:
            found = f"{names[info.instrument]!r} and {info.name!r}"
            raise ValueError(f"Track {info.instrument} must have one name. Received: {found}.")
        if info.instrument not in names:
            result.instrument_infos.add().CopyFrom(info)
    result.total_quantized_steps += num_steps
    result.total_time += _seconds_of_step(sequence, num_steps)


def _seconds_of_step(sequence: music_pb2.NoteSequence, step: int) -> float:
    """Returns when a step begins, by a NoteSequence's own tempos."""
    times, qpms = zip(*_ordered_tempos(sequence.tempos), strict=True)
    steps = _seconds_to_quarters(np.array(times), sequence.tempos) * STEPS_PER_QUARTER
    changes = _tempo_map(zip(steps.tolist(), qpms, strict=True))
    return float(_steps_to_seconds(np.array(step), changes))


def _placed_signatures(song: Song) -> list[metres.Signature]:
    """Returns the time signatures of a song with their steps, at least one.

    Of those that stand nobody knows where, other metres come last: they are not to be replaced.
    """
    if song.signatures is None:
        ordered = sorted(song.time_signatures, key=lambda metre: metre != metres.COMMON_TIME)
        return [metres.Signature(0, metre) for metre in ordered]
    return song.signatures or [metres.Signature(0, metres.COMMON_TIME)]


def _tempo_steps(sequence: music_pb2.NoteSequence) -> tuple[tuple[float, float], ...]:
    """Returns the tempos of a NoteSequence as those of a song: (step, quarters a minute)."""
    times = np.array([tempo.time for tempo in sequence.tempos], np.float64)
    steps = _seconds_to_quarters(times, sequence.tempos) * STEPS_PER_QUARTER
    pairs = zip(steps.tolist(), (tempo.qpm for tempo in sequence.tempos), strict=True)
    return tuple((step, qpm) for step, qpm in pairs if 0 < qpm < float("inf"))


def _signature_steps(sequence: music_pb2.NoteSequence) -> tuple[int, ...]:
    """Returns the step nearest to each time signature."""
    seconds = np.array([signature.time for signature in sequence.time_signatures], np.float64)
    steps = _seconds_to_quarters(seconds, sequence.tempos) * STEPS_PER_QUARTER
    bound = MAX_BARS * STEPS_PER_BAR
    return tuple(np.floor(np.clip(np.nan_to_num(steps), 0, bound) + 0.5).astype(int).tolist())


def _note_steps(sequence: music_pb2.NoteSequence) -> tuple[np.ndarray, np.ndarray]:
    if sequence.quantization_info.steps_per_quarter == STEPS_PER_QUARTER:
        starts = np.array([note.quantized_start_step for note in sequence.notes])
        ends = np.array([note.quantized_end_step for note in sequence.notes])
        check_bars(
            min(starts.min(), ends.min()) / STEPS_PER_BAR,
            max(starts.max(), ends.max()) / STEPS_PER_BAR,
        )
        return starts.astype(np.int32), np.maximum(ends, starts + 1).astype(np.int32)
    quarters = _seconds_to_quarters(
        np.array([(note.start_time, note.end_time) for note in sequence.notes]), sequence.tempos
    )
    check_bars(quarters.min() / 4, quarters.max() / 4)
    # Whole ticks first, as in a file: seconds carry rounding errors that would break ties.
    ticks = np.rint(quarters * TICKS_PER_QUARTER).astype(np.int64)
    return quantize(ticks[:, 0], ticks[:, 1], TICKS_PER_QUARTER)


def _seconds_to_quarters(seconds: np.ndarray, tempos) -> np.ndarray:
    """Returns quarters since the start for times in seconds, by a NoteSequence's tempos."""
    ordered = _ordered_tempos(tempos)
    times, qpms = (np.array(column, np.float64) for column in zip(*ordered, strict=True))
    quarters = np.concatenate([[0.0], np.cumsum(np.diff(times) * qpms[:-1] / 60)])
    segment = np.maximum(np.searchsorted(times, seconds, side="right") - 1, 0)
    return quarters[segment] + (seconds - times[segment]) * qpms[segment] / 60


def _ordered_tempos(tempos) -> list[tuple[float, float]]:
    """Returns (seconds, qpm) of a NoteSequence's tempos, from second 0 on."""
    ordered = sorted((tempo.time, tempo.qpm) for tempo in tempos if tempo.qpm > 0)
    if not ordered or ordered[0][0] > 0:
        ordered.insert(0, (0.0, DEFAULT_QPM))
    return ordered


def _tempo_map(tempos) -> list[tuple[float, float, float]]:
    """Returns (step, seconds, qpm) for each tempo, from step 0 on."""
    ordered = sorted(tempos, key=lambda tempo: tempo[0])
    if not ordered or ordered[0][0] > 0:
        ordered.insert(0, (0.0, DEFAULT_QPM))
    result = [(ordered[0][0], 0.0, ordered[0][1])]
    for step, qpm in ordered[1:]:
        last_step, last_seconds, last_qpm = result[-1]
        seconds = last_seconds + (step - last_step) * seconds_per_step(last_qpm)
        result.append((step, seconds, qpm))
    return result


def _steps_to_seconds(steps: np.ndarray, tempos: list[tuple[float, float, float]]) -> np.ndarray:
    at, seconds, qpms = (np.array(column, np.float64) for column in zip(*tempos, strict=True))
    segment = np.maximum(np.searchsorted(at, steps, side="right") - 1, 0)
    return seconds[segment] + (steps - at[segment]) * (60.0 / STEPS_PER_QUARTER) / qpms[segment]
