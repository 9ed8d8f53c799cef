"""Generated music -> files: MIDI, pictures and sound."""

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from magenta_vae import display, files
from magenta_vae.music import note_sequences, playing

SUFFIXES = (".mid", ".png", ".wav")

# Pictures and sound are imported where they are asked for: matplotlib alone takes half a second.


def write_music(
    sequences: Sequence,
    output_dir: str,
    name: str,
    continuous: bool = False,
    plot: bool = False,
    audio: bool = False,
    soundfont: str | None = None,
    report: Callable[[str], None] = lambda line: None,
    made_by: Mapping | None = None,
    strip: bool = False,
    qpm: float | None = None,
    accents: bool = False,
    draw: Callable[[int], Any] | None = None,
    draw_all: Callable[[], Any] | None = None,
) -> list[str]:
    """Writes NoteSequences as numbered MIDI files and returns their paths.

    What an earlier call wrote under the same name is replaced, as its `name`.json says: no picture
    or sound of other music stays beside the new files. All are written before any is replaced.

    Args:
        sequences: the music.
        output_dir: made where it is missing.
        name: what the files' names begin with.
        continuous: whether to write them also one after another, as `name`.mid.
        plot: whether to write a picture beside each.
        audio: whether to write sound beside each MIDI file.
        soundfont: what plays it; one that is found, or the built-in synthesizer, by default.
        report: is told what plays it.
        made_by: how it was made, as JSON values: written beside as `name`.json, with the names of
            the MIDI files.
        strip: whether to write a picture of all side by side, as `name`.png.
        qpm: the tempo, in quarters a minute; that of each NoteSequence for None.
        accents: whether strong beats are louder.
        draw: returns the figure of the picture beside a MIDI file, by its number; a score for None.
        draw_all: returns the figure of all; an interpolation for None.
    """
    write = _piece_writer(audio, soundfont, report, qpm, accents)
    with files.staging(output_dir) as beside:
        for index, sequence in enumerate(display.track(sequences, "writing pieces")):
            base = os.path.join(beside, f"{name}-{index:03d}")
            write(sequence, base)
            if plot:
                from magenta_vae.music import plots

                figure = draw(index) if draw else plots.draw_score(sequence)
                plots.write_picture(figure, f"{base}.png")
        if continuous:
            write(note_sequences.concatenate(sequences), os.path.join(beside, name))
        if strip:
            write_strip(sequences, os.path.join(beside, f"{name}.png"), draw_all)
        written = sorted(os.listdir(beside))
        _remove_earlier(output_dir, name)
        for file in written:
            os.replace(os.path.join(beside, file), os.path.join(output_dir, file))
    paths = [os.path.join(output_dir, f"{name}-{index:03d}.mid") for index in range(len(sequences))]
    report(f"wrote {len(paths)} MIDI files: {paths[0]}" + f" ... {paths[-1]}" * (len(paths) > 1))
    if continuous:
        paths.append(os.path.join(output_dir, f"{name}.mid"))
        report(f"wrote them one after another: {paths[-1]}")
    if made_by is not None:
        record = {**made_by, "files": [os.path.basename(path) for path in paths]}
        text = json.dumps(record, indent=2) + "\n"
        files.write_text(os.path.join(output_dir, f"{name}.json"), text)
    return paths


def _remove_earlier(output_dir: str, name: str) -> None:
    """Removes the music of an earlier call, as its record says, with its pictures and sounds."""
    path = Path(output_dir, f"{name}.json")
    try:
        recorded = json.loads(path.read_text(encoding="utf-8"))["files"]
        bases = {Path(file).stem for file in recorded}
    except (OSError, ValueError, LookupError, TypeError):
        return  # There is none, or it is no record of ours: nothing is known to be stale.
    # A name of the numbered kind alone: a record is data, which must not remove anything else.
    kind = re.compile(rf"{re.escape(name)}(-\d+)?")
    for base in filter(kind.fullmatch, {*bases, name}):
        for suffix in SUFFIXES:
            Path(output_dir, f"{base}{suffix}").unlink(missing_ok=True)
    path.unlink()


def write_piece(
    sequence,
    base: str,
    audio: bool = False,
    soundfont: str | None = None,
    report: Callable[[str], None] = lambda line: None,
    qpm: float | None = None,
    accents: bool = False,
) -> str:
    """Writes one NoteSequence as `base`.mid, with its sound as `base`.wav, as `write_music` does.

    Returns:
        The path of the MIDI file.
    """
    return _piece_writer(audio, soundfont, report, qpm, accents)(sequence, base)


def write_strip(sequences: Sequence, path: str, draw_all: Callable[[], Any] | None = None) -> None:
    """Writes the picture of all, an interpolation by default: PNG, PDF or SVG by its suffix."""
    from magenta_vae.music import plots

    figure = draw_all() if draw_all else plots.draw_interpolation(sequences)
    plots.write_picture(figure, path)


def _piece_writer(
    audio: bool, soundfont: str | None, report: Callable, qpm: float | None, accents: bool
) -> Callable:
    """Returns a function of a NoteSequence and a path without its suffix, which writes both."""
    if audio:
        from magenta_vae.music import audio as sound

        report(sound.describe_synthesizer(soundfont))

    def write(sequence, base: str) -> str:
        if qpm is not None:
            sequence = playing.at_tempo(sequence, qpm)
        if accents:
            sequence = playing.with_accents(sequence)
        note_sequences.write_midi(sequence, f"{base}.mid")
        if audio:
            samples = sound.synthesize(sequence, soundfont=soundfont)
            sound.write_wav(sound.trim(samples, sequence.total_time), f"{base}.wav")
        return f"{base}.mid"

    return write
