"""What tokens and kinds of hit are called, of any vocabulary, by the pitches that they are."""

import numpy as np

from magenta_vae.contracts import Vocabulary
from magenta_vae.music import classes

# General MIDI's percussion map, in the words of the paper's nine kinds where it has them.
_PITCH_NAMES = {
    **{27: "high Q", 28: "slap", 29: "scratch push", 30: "scratch pull", 31: "sticks"},
    **{32: "square click", 33: "metronome", 34: "metronome bell", 35: "kick", 36: "kick"},
    **{37: "side stick", 38: "snare", 39: "clap", 40: "snare", 41: "floor tom"},
    **{42: "closed hi-hat", 43: "floor tom", 44: "pedal hi-hat", 45: "low tom"},
    **{46: "open hi-hat", 47: "low mid tom", 48: "mid tom", 49: "crash", 50: "high tom"},
    **{51: "ride", 52: "china", 53: "ride bell", 54: "tambourine", 55: "splash"},
    **{56: "cowbell", 57: "crash", 58: "vibraslap", 59: "ride", 60: "high bongo"},
    **{61: "low bongo", 62: "mute conga", 63: "high conga", 64: "low conga"},
    **{65: "high timbale", 66: "low timbale", 67: "high agogo", 68: "low agogo"},
    **{69: "cabasa", 70: "maracas", 71: "short whistle", 72: "long whistle"},
    **{73: "short guiro", 74: "long guiro", 75: "claves", 76: "high wood block"},
    **{77: "low wood block", 78: "mute cuica", 79: "open cuica", 80: "mute triangle"},
    **{81: "triangle", 82: "shaker", 83: "jingle bell", 84: "bell tree", 85: "castanets"},
    **{86: "mute surdo", 87: "surdo"},
}


def hit_names(track: Vocabulary) -> list[str]:
    """Returns what each kind of hit of a track is called, in their order; none of a line.

    The name is that of the pitch that is written for the kind. Names that several kinds would have
    are told apart by that pitch.
    """
    if not track.is_drum:
        return []
    pitches = [onset.pitches[0] for onset in classes.onsets(track)]
    names = [_PITCH_NAMES.get(pitch, f"pitch {pitch}") for pitch in pitches]
    return [
        f"{name} {pitch}" if names.count(name) > 1 else name
        for name, pitch in zip(names, pitches, strict=True)
    ]


def token_name(track: Vocabulary, token: int) -> str:
    """Returns what a token is called in tables, as `rest`, `pitch 60` or `kick + ride`."""
    if token == track.rest:
        return "rest" if track.is_drum or track.rest != track.sustain else "no event"
    if track.is_drum:
        names = hit_names(track)
        return " + ".join(names[kind] for kind in np.flatnonzero(classes.hits(track)[token]))
    if token == track.sustain:
        return "hold"
    pitch = classes.pitches(track)[token]
    return f"pitch {pitch}" if pitch != classes.NO_PITCH else "release"
