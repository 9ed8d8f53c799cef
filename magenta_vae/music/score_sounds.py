"""What a score says of a part's instruments -> what plays each of its notes."""

import xml.etree.ElementTree as ElementTree

from magenta_vae.music import percussion
from magenta_vae.music.placing import Sound
from magenta_vae.music.songs import SongError

DRUM_CHANNEL = 10


class Sounds:
    """Finds what plays the notes of one part.

    Args:
        score_part: what the score says of the part.
        positions: where its unpitched notes stand on the staff, as `C5`.
    """

    def __init__(self, score_part: ElementTree.Element, positions: set[str]):
        self._name = score_part.findtext("part-name") or ""
        self._names = _names(score_part)
        self._sounds = _midi_sounds(score_part)
        self._first = next(iter(self._sounds.values()), Sound())._replace(pitch=None)
        self._has_one_position = len(positions) < 2
        channels = [sound.is_drum for sound in self._sounds.values()]
        words = [self._name, *self._names.values()]
        # A part of which nothing is said plays what it is written for: drums, if unpitched.
        self._is_percussion = (
            not channels or any(channels) or any(map(percussion.is_percussion, words))
        )

    def of_pitched(self, instrument: str | None) -> Sound:
        """Returns what plays a note with a pitch, by the instrument it names, if it names one.

        Its own pitch counts but for a drum, which the named instrument tells.
        """
        return self._sounds.get(instrument, self._first)

    def of_unpitched(
        self, instrument: str | None, position: str | None, head: str | None, staff_lines: int
    ) -> Sound | None:
        """Returns the drum of a note without a pitch, None where nothing tells it.

        By the instrument that the note names, or that alone is there: its MIDI pitch, else its
        name. Else by its place on the staff of a drum kit.

        Args:
            instrument: what the note names, None for nothing.
            position: where it stands, as `C5`.
            head: the shape of its head, None for the usual one.
            staff_lines: of the staff; one line is no drum kit's.
        """
        known = self._sounds.keys() | self._names.keys()
        if instrument not in known and len(known) == 1 and self._has_one_position:
            instrument = next(iter(known))
        sound = self._sounds.get(instrument)
        if sound is not None and sound.pitch is not None:
            return sound
        pitch = percussion.pitch_of_name(self._names.get(instrument, ""))
        if pitch is None and self._has_one_position:
            pitch = percussion.pitch_of_name(self._name)
        if pitch is None and staff_lines != 1:
            pitch = percussion.pitch_of_position(position, head)
        is_told = pitch is not None and self._is_percussion
        return Sound(0, True, pitch) if is_told else None

    def expect_percussion(self) -> None:
        """Takes the part's unpitched notes as drums, as a percussion clef says."""
        self._is_percussion = True


def _names(score_part: ElementTree.Element) -> dict[str | None, str]:
    """Returns what each instrument of a part is called, and the kind of its sound."""
    return {
        instrument.get("id"): " ".join(
            filter(
                None,
                (instrument.findtext("instrument-name"), instrument.findtext("instrument-sound")),
            )
        )
        for instrument in score_part.iterfind("score-instrument")
    }


def _midi_sounds(score_part: ElementTree.Element) -> dict[str | None, Sound]:
    """Returns the sound of each instrument of a part that has a MIDI entry, in their order."""
    sounds: dict[str | None, Sound] = {}
    for midi in score_part.iterfind("midi-instrument"):
        unpitched = midi.findtext("midi-unpitched")
        is_drum = int(midi.findtext("midi-channel") or 1) == DRUM_CHANNEL or unpitched is not None
        # Counted from 1; some programs write 0 for the first.
        program = 0 if is_drum else max(int(midi.findtext("midi-program") or 1), 1) - 1
        pitch = int(unpitched) - 1 if unpitched is not None else None
        if not (0 <= program <= 127 and 0 <= (pitch or 0) <= 127):
            raise SongError("damaged MusicXML", f"program {program + 1}, unpitched {unpitched}")
        sounds[midi.get("id")] = Sound(program, is_drum, pitch)
    return sounds
