"""The text of an ABC tune -> its lines, and the music of a line without what is no note."""

import re
from collections.abc import Iterator

_BLOCK = re.compile(r"%%begin(\w+)")  # Up to `%%end` and the same word: words, PostScript.
# The decorations of the standard 2.1 that could be notes, as `!f!`: loudness and a fingering.
_LIKE_NOTES = frozenset(("f", "ff", "fff", "ffff", *"012345", "<", ">", "(", ")", "/", "//"))
_NOTES = re.compile(r"[\^_=A-Ga-gzxZX,'0-9/()<>~.\-]*")
_CHORD = re.compile(
    r"(?:[\^_=]*[A-Ga-g][,']*[0-9]*/*[0-9]*)(?:\s*[\^_=]*[A-Ga-g][,']*[0-9]*/*[0-9]*)*"
)
_WORDS = re.compile(
    r"""
    (?P<field> \[[A-Za-z]:[^\]]*\] )
  | "[^"]*"
  | !(?P<new>[^!\s|":\[\]]*)!
  | \+(?P<old>[^+|":\[\]]*)\+
    """,
    re.VERBOSE,
)
_VOICE = re.compile(r"\[V:\s*([^\]]*)\]")


def lines(text: str) -> Iterator[str]:
    """Yields the lines of a tune without comments, blocks of words and what continues words."""
    block = None
    for line in text.split("\n"):
        begun = _BLOCK.match(line)
        if block is not None:
            block = None if line.startswith(f"%%end{block}") else block
        elif begun:
            block = begun.group(1)
        elif line.startswith("%%MIDI"):
            yield line
        else:
            bare = re.split(r"(?<!\\)%", line, maxsplit=1)[0].strip()
            if not bare.startswith("+:") and (bare or not line.strip()):
                yield bare


def by_voice(line: str) -> list[tuple[str | None, str]]:
    """Returns the pieces of a line that [V:...] parts.

    Each comes with what stands behind the colon, None where it is the voice of the line before.
    """
    head, *others = _VOICE.split(line)
    pairs = zip(others[::2], others[1::2], strict=True)
    return [(None, head)] * bool(head.strip()) + list(pairs)


def without_words(line: str) -> str:
    """Returns a line of music without chord symbols and decorations.

    An old program breaks lines by `!`, and old tunes have `+CEG+` for a chord: what stands between
    two such signs is a decoration where it is the name of one, or cannot be notes.
    """
    return _WORDS.sub(_without, line)


def _without(match: re.Match) -> str:
    new, old = match["new"], match["old"]
    if match["field"]:
        return match[0]
    if new is not None:
        return f" {new} " if _is_music(new) else ""
    if old is not None and _is_music(old):
        return f"[{old}]" if _CHORD.fullmatch(old.strip()) else f" {old} "
    return ""


def _is_music(text: str) -> bool:
    return text not in _LIKE_NOTES and bool(_NOTES.fullmatch(text.replace(" ", "")))
