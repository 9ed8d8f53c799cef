"""Unpitched notes of a score -> the General MIDI pitches of the drums that they strike."""

import re

# What instruments are called, in the names of parts and in MusicXML's list of sounds, with the
# pitch of General MIDI's percussion map. The first that is found counts: the special before the
# general.
_NAMES = (
    (r"kick|bass drum|gran cassa|grosse caisse|gro(ss|ß)e trommel", 36),
    (r"side ?stick|rim ?(shot|click)|cross ?stick", 37),
    (r"snare|side drum|caisse claire|kleine trommel|rullante", 38),
    (r"clap", 39),
    (r"open hi ?hat|hi ?hat.* open", 46),
    (r"(pedal|foot) hi ?hat|hi ?hat.* (pedal|foot)", 44),
    (r"hi ?hat|charleston", 42),
    (r"splash", 55),
    (r"china|chinese", 52),
    (r"ride bell|bell of ride|ride.* bell", 53),
    (r"ride", 51),
    (r"crash|cymbal|becken|piatti", 49),
    (r"floor tom", 41),
    (r"(high|hi) mid tom", 48),
    (r"(low|lo) mid tom|mid(dle)? tom|medium tom", 47),
    (r"(high|hi) tom|tom.* high", 50),
    (r"(low|lo) tom|tom.* low", 45),
    (r"\btom\b|\btoms\b", 47),
    (r"tambourin", 54),
    (r"cowbell", 56),
    (r"vibra ?slap", 58),
    (r"low bongo|bongo.* low", 61),
    (r"bongo", 60),
    (r"low conga|conga.* low", 64),
    (r"conga", 63),
    (r"timbale", 65),
    (r"agogo", 67),
    (r"cabasa", 69),
    (r"maraca", 70),
    (r"whistle", 71),
    (r"g[uü]iro", 73),
    (r"claves?\b", 75),
    (r"wood ?block|temple block", 76),
    (r"cuica", 79),
    (r"triang", 81),
    (r"shaker", 82),
    (r"sleigh|jingle", 83),
    (r"castanet", 85),
    (r"surdo", 87),
)
_DRUM_PITCHES = tuple((re.compile(name), pitch) for name, pitch in _NAMES)

# Where a drum kit's notes stand on the five lines, as most programs and the Percussive Arts
# Society's guide have it (N. Weinberg, Guidelines for Drumset Notation).
KIT_POSITIONS = {
    "D4": 44, "E4": 35, "F4": 36, "G4": 41, "A4": 41, "B4": 45, "C5": 38, "D5": 47, "E5": 50,
    "F5": 51, "G5": 42, "A5": 49, "B5": 57, "C6": 55,
}  # fmt: skip
# The same position with another head: a stick across the snare's rim, an open hi-hat.
_OTHER_HEADS = {("C5", "x"): 37, ("G5", "circle-x"): 46}

_KIT = re.compile(r"drum|percussi|\bkit\b|batter|schlag(zeug|werk)|trap set")


def pitch_of_name(name: str) -> int | None:
    """Returns the pitch of the one drum that a name says, as `Snare Drum` or `metal.hi-hat`."""
    plain = re.sub(r"[^a-zäöüß0-9]+", " ", name.lower())
    pitches = (pitch for pattern, pitch in _DRUM_PITCHES if pattern.search(plain))
    return next(pitches, None)


def is_percussion(name: str) -> bool:
    """Says whether a name is that of a drum kit or of one drum."""
    return bool(_KIT.search(name.lower())) or pitch_of_name(name) is not None


def pitch_of_position(position: str | None, head: str | None = None) -> int | None:
    """Returns the pitch of a place on a drum kit's staff, as `C5`, and of a note's head there."""
    if position is None:
        return None
    usual = KIT_POSITIONS.get(position)
    return usual if head is None else _OTHER_HEADS.get((position, head), usual)
