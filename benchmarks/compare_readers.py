#!/usr/bin/env python3
"""Compares the windows that both MIDI readers give of every file, and says why they differ.

benchmarks/compare_readers.py --input=MIDI_FOLDER

Each file is cut into 2-bar melodies, 2-bar drums and 16-bar trios by both readers. Where the sets
of windows differ, the cause is looked for in the file's own events; a difference without a known
cause is printed as unexplained, and makes the exit status 1.
"""

import collections
import io
import sys

from absl import flags

from magenta_vae import commands

INPUT = flags.DEFINE_multi_string("input", None, "MIDI: a folder, a glob, a file.", required=True)


def windows_of(data, reader):
    """Returns the set of windows of each kind, or the reason there is none."""
    from magenta_vae.music import readers, tokens
    from magenta_vae.music.songs import SongError
    from magenta_vae.music.window_format import WindowFormat
    from magenta_vae.music.windows import song_windows

    melody, drums = tokens.Melody(), tokens.Drums()
    trio = (tokens.Melody("lead", 0, 31), tokens.Melody("bass", 32, 39), drums)
    try:
        song = readers.parse_music(data, reader)
    except SongError as error:
        return str(error)
    found = []
    for tracks, num_bars in (((melody,), 2), ((drums,), 2), (trio, 16)):
        try:
            parts = list(song_windows(song, WindowFormat(tracks, num_bars)))
            found.append({window.tobytes() for part in parts for window in part.tokens})
        except SongError as error:
            found.append(error.reason)
    return found


def causes(data):
    """Returns what in a file's events the two readers are known to take differently."""
    import mido

    from magenta_vae.music import midi_chunks, midi_events
    from magenta_vae.music.midi_chunks import bare_midi
    from magenta_vae.music.songs import MAX_BARS, MAX_NOTES

    found = set()
    reading = midi_events.read_events(midi_chunks.read_chunks(data), MAX_NOTES, MAX_BARS * 4)
    if reading.num_rhythm_parts:
        found.add("a rhythm part off channel 10: note_seq reads a melody")
    changed, playing = collections.defaultdict(set), collections.defaultdict(set)
    for number, track in enumerate(
        mido.MidiFile(file=io.BytesIO(bare_midi(data)), clip=True).tracks
    ):
        tick, sounding, programs = 0, {}, collections.Counter()
        for event in track:
            tick += event.time
            if event.type == "time_signature" and number:
                found.add("a time signature outside the first track: note_seq does not see it")
            elif event.type == "program_change":
                if any(key[0] == event.channel for key, notes in sounding.items() if notes):
                    found.add("a program change under a note: symusic takes the program at its "
                              "start, note_seq at its end")  # fmt: skip
                programs[event.channel] = event.program
                changed[event.channel].add(number)
            elif event.type in ("note_on", "note_off"):
                notes = sounding.setdefault((event.channel, event.note), [])
                playing[event.channel].add(number)
                if event.type == "note_on" and event.velocity:
                    notes.append(tick)
                    if len(notes) > 1:
                        found.add("a pitch struck again before it is let go: the first note off "
                                  "ends the first note in symusic, both in note_seq")  # fmt: skip
                elif notes:
                    if tick in notes:
                        found.add("a note of no length: a step in symusic, none in note_seq")
                    notes.pop(0)
        if any(sounding.values()):
            found.add("a note that is never let go: it lasts to the end of its track, note_seq "
                      "has none")  # fmt: skip
    if any(len(changed[channel] | playing[channel]) > 1 for channel in changed):
        found.add("a program that is told in another track: note_seq does not see it")
    return found


def main(_):
    import warnings

    from tqdm import tqdm

    from magenta_vae.data import builder
    from magenta_vae.music import songs

    warnings.simplefilter("ignore")
    counts, unexplained = collections.Counter(), 0
    for path in tqdm(builder.find_files(INPUT.value), unit="file"):
        data = songs.read_bytes(path)
        ours, theirs = (windows_of(data, reader) for reader in ("symusic", "note_seq"))
        if ours == theirs:
            counts["the same"] += 1
            continue
        if isinstance(ours, str) or isinstance(theirs, str):
            why = {f"symusic: {ours if isinstance(ours, str) else 'a song'}; "
                   f"note_seq: {theirs if isinstance(theirs, str) else 'a song'}"}  # fmt: skip
            counts["one reader refuses it"] += 1
        else:
            why = causes(data) or {"unexplained"}
            unexplained += why == {"unexplained"}
            counts.update(why)
        commands.report(f"{path}: " + "; ".join(sorted(why)))
    for name, number in counts.most_common():
        commands.report(f"{number:>6}  {name}")
    sys.exit(unexplained > 0)


if __name__ == "__main__":
    commands.run(main)
