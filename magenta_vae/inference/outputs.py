"""Generated music -> files: MIDI, pictures and sound."""

import os
from collections.abc import Callable, Sequence

from magenta_vae.music import note_sequences

# Pictures and sound are imported where they are asked for: matplotlib alone takes half a second.


def write_music(
    sequences: Sequence,
    output_dir: str,
    name: str,
    plot: bool = False,
    audio: bool = False,
    soundfont: str | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> list[str]:
    """Writes NoteSequences as numbered MIDI files and returns their paths.

    Args:
        sequences: the music.
        output_dir: made where it is missing.
        name: what the files' names begin with.
        plot: whether to write a picture beside each.
        audio: whether to write sound beside each.
        soundfont: what plays it; one that is found, or the built-in synthesizer, by default.
        report: is told what plays it.
    """
    if audio:
        from magenta_vae.music import audio as sound

        report(sound.describe_synthesizer(soundfont))
    os.makedirs(output_dir, exist_ok=True)
    paths = []
    for index, sequence in enumerate(sequences):
        base = os.path.join(output_dir, f"{name}-{index:03d}")
        paths.append(f"{base}.mid")
        note_sequences.write_midi(sequence, paths[-1])
        if plot:
            from magenta_vae.music import plots

            plots.write_picture(plots.draw_score(sequence), f"{base}.png")
        if audio:
            sound.write_wav(sound.synthesize(sequence, soundfont=soundfont), f"{base}.wav")
    report(f"wrote {len(paths)} MIDI files: {paths[0]}" + f" ... {paths[-1]}" * (len(paths) > 1))
    return paths


def write_strip(sequences: Sequence, path: str) -> None:
    """Writes the picture of an interpolation, all its windows side by side."""
    from magenta_vae.music import plots

    plots.write_picture(plots.draw_interpolation(sequences), path)
