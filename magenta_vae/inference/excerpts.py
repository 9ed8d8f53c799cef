"""Which part of a piece of music is meant, and which part of it was read."""

import dataclasses
import os
import sys
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple, TypeAlias

from note_seq.protobuf import music_pb2

from magenta_vae.contracts import Vocabulary
from magenta_vae.inference import validation
from magenta_vae.music.described_vocabulary import NUM_PROGRAMS
from magenta_vae.music.songs import Instrument, Song, SongError
from magenta_vae.music.window_format import Playback

Choice: TypeAlias = "int | str | Sequence[int | str] | None"


@dataclasses.dataclass(frozen=True)
class Excerpt:
    """A part of a piece of music: whatever takes music takes one.

    The tracks of a file are counted from 1, in its order; those without notes do not count, and
    what plays several channels or programs counts as several. A model of several tracks is told
    which of its own is meant: `["lead=3", "bass=piano left"]`; without, each of its tracks takes
    the first that fits of those that are named, and what none is named for is chosen as always.

    Args:
        music: a NoteSequence, the path of a file, or a song.
        track: the number or the name of a track of it, or several.
        program: a General MIDI program, 0 to 127, or several: tracks of other programs are left.
        start_bar: the bar that the first window begins with, from 1.
        num_windows: how many windows are read at most; all for None.
        source: what the music is called in messages; its path for None.

    Example:
        >>> model.reconstruct(Excerpt("song.mid", track=2, start_bar=9, num_windows=2))
    """

    music: music_pb2.NoteSequence | Song | str | os.PathLike
    track: Choice = None
    program: Choice = None
    start_bar: int = 1
    num_windows: int | None = None
    source: str | None = None

    def __post_init__(self):
        for name in ("start_bar", "num_windows"):
            value = getattr(self, name)
            if value is not None and (not validation.is_whole(value) or value < 1):
                raise ValueError(f"{name} must be a whole number from 1. Received: {value!r}.")
        _check_choice("track", self.track, 1, sys.maxsize, "a number from 1, or a name")
        last = NUM_PROGRAMS - 1
        _check_choice("program", self.program, 0, last, f"of 0 to {last}")

    @property
    def is_whole(self) -> bool:
        """Says whether nothing is chosen: all windows of the tracks that are read by default."""
        chosen = self.track, self.program, self.num_windows
        return self.start_bar == 1 and all(each is None for each in chosen)


class ReadTrack(NamedTuple):
    """Which track of a piece was read as one of a model's tracks.

    Attributes:
        track: the model's track.
        number: of the track of the piece, from 1; None where none was, and rests were read.
        name: of the track of the piece, as the file has it.
        program: what plays it; None for drums and rests.
    """

    track: str
    number: int | None
    name: str
    program: int | None

    def __str__(self) -> str:
        if self.number is None:
            return "rests"
        parts = [f"track {self.number}", *([repr(self.name)] if self.name else [])]
        return ", ".join([*parts, "drums" if self.program is None else f"program {self.program}"])


class ReadWindow(NamedTuple):
    """Where a window that was read is from.

    Attributes:
        source: the piece: a path, or what it was called; empty for a NoteSequence.
        first_bar, last_bar: of the piece, from 1.
        tracks: one for each of the model's tracks.
        playback: the tempo at its first step, and the programs.
    """

    source: str
    first_bar: int
    last_bar: int
    tracks: tuple[ReadTrack, ...]
    playback: Playback

    def __str__(self) -> str:
        return describe([self])

    def as_json(self) -> dict[str, Any]:
        """Returns it as JSON values."""
        return {
            "source": self.source,
            "bars": [self.first_bar, self.last_bar],
            "tracks": [each._asdict() for each in self.tracks],
            "qpm": round(self.playback.qpm, 3),
        }


def describe(read: Sequence[ReadWindow], with_tempo: bool = True) -> str:
    """Returns where neighbouring windows of a piece are from, as a line."""
    first, last = read[0], read[-1]
    bars = f"bars {first.first_bar}-{last.last_bar}"
    if first.first_bar == last.last_bar:
        bars = f"bar {first.first_bar}"
    whole = f" of {first.source}" if first.source else ""
    tempo = f", at {first.playback.qpm:.4g} quarters a minute" if with_tempo else ""
    if len(first.tracks) == 1:
        return f"{bars} of {first.tracks[0]}{whole}{tempo}"
    return f"{bars}{whole}{tempo}: " + "; ".join(
        f"{each.track} from {each}" if each.number else f"{each.track} of rests"
        for each in first.tracks
    )


def choose(song: Song, tracks: Sequence[Vocabulary], excerpt: Excerpt) -> list[list[int] | None]:
    """Returns the places of the instruments that each track of a model may be read from.

    Args:
        song: the song.
        tracks: those of the model.
        excerpt: the choice.

    Returns:
        For each track the places in the order of the song, None where nothing is chosen for it.

    Raises:
        SongError: where a choice names no instrument of the song, or one that cannot be the track;
            the message lists the tracks of the song.
    """
    wishes = _wishes(excerpt, tracks)
    for wish in wishes:
        if not wish.places(song):
            raise _no_such_track(song, f"expected {wish}")
    chosen = [_choose(song, track, wishes) for track in tracks]
    for wish in wishes:
        if not any(places and wish.places(song) & set(places) for places in chosen):
            names = ", ".join(track.name for track in tracks)
            raise _no_such_track(song, f"{wish} can be none of: {names}")
    return chosen


def list_tracks(song: Song) -> str:
    """Returns the tracks of a song, a line each: number, name, program and number of notes."""
    width = len(str(len(song.instruments)))
    lines = []
    for number, part in enumerate(song.instruments, 1):
        program = "drums" if part.is_drum else f"program {part.program}"
        name = f"{part.name!r}, " if part.name else ""
        lines.append(f"  {number:>{width}}  {name}{program}, {len(part.starts):,} notes")
    return "\n".join(lines)


class _Wish(NamedTuple):
    """One thing that is chosen: of which of the model's tracks (None for any), what, and which."""

    of: str | None
    what: str
    value: int | str

    def __str__(self) -> str:
        value = repr(self.value) if isinstance(self.value, str) else self.value
        return f"a track of program {value}" if self.what == "program" else f"the track {value}"

    def matches(self, number: int, part: Instrument) -> bool:
        if self.what == "program":
            return not part.is_drum and part.program == self.value
        if isinstance(self.value, int):
            return number == self.value
        return part.name.strip().casefold() == self.value.strip().casefold()

    def places(self, song: Song) -> set[int]:
        parts = enumerate(song.instruments)
        return {place for place, part in parts if self.matches(place + 1, part)}


def _wishes(excerpt: Excerpt, tracks: Sequence[Vocabulary]) -> list[_Wish]:
    names = [track.name for track in tracks]
    wishes = []
    for what in ("track", "program"):
        for each in _listed(getattr(excerpt, what)):
            name, separator, value = str(each).partition("=")
            if not separator or name not in names:
                name, value = "", str(each)
            if what == "program" and not (value.isdecimal() and int(value) < NUM_PROGRAMS):
                raise ValueError(f"program must be of 0 to {NUM_PROGRAMS - 1}. Received: {each!r}.")
            of = name or (names[0] if len(names) == 1 else None)
            wishes.append(_Wish(of, what, int(value) if value.isdecimal() else value))
    return wishes


def _check_choice(name: str, choice: Any, least: int, most: int, expected: str) -> None:
    """Raises `ValueError` where what is chosen is neither a text nor a number within bounds."""
    for each in _listed(choice):
        is_number = validation.is_whole(each) and least <= each <= most
        if not is_number and not isinstance(each, str):
            raise ValueError(f"{name} must be {expected}. Received: {each!r}.")


def _listed(choice: Any) -> Collection:
    """Returns what is chosen, none or one or several, as a list."""
    if choice is None:
        return []
    return choice if validation.is_list(choice) else [choice]


def _choose(song: Song, track: Vocabulary, wishes: Sequence[_Wish]) -> list[int] | None:
    """Returns the places that are chosen for one track, None where nothing is."""
    chosen: set[int] | None = None
    for what in ("track", "program"):
        of_kind = [wish for wish in wishes if wish.what == what]
        # Whoever says which track it is means it, whatever program the file gives it.
        named = [wish for wish in of_kind if wish.of == track.name]
        places = {place for wish in named for place in wish.places(song)}
        if not named:
            free = {place for wish in of_kind if not wish.of for place in wish.places(song)}
            places = {place for place in free if track.accepts(song.instruments[place])}
            if not places:
                continue
        chosen = places if chosen is None else chosen & places
        fitting = {place for place in chosen if song.instruments[place].is_drum == track.is_drum}
        if not fitting:
            kind = "drums" if track.is_drum else "no drums"
            asked = " and ".join(map(str, [wish for wish in wishes if wish.of == track.name]))
            raise _no_such_track(song, f"expected {asked} with {kind}, for the {track.name}")
        chosen = fitting
    return None if chosen is None else sorted(chosen)


def _no_such_track(song: Song, detail: str) -> SongError:
    return SongError("no such track", f"{detail}; its tracks are\n{list_tracks(song)}")
