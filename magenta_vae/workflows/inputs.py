"""Files, folders and globs -> the windows of the music in them, and what is said of it."""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from magenta_vae.contracts import Vocabulary
from magenta_vae.data import sources
from magenta_vae.inference import excerpts, reading
from magenta_vae.inference.excerpts import Excerpt, ReadWindow
from magenta_vae.inference.music_model import MusicModel
from magenta_vae.inference.reading import Reading
from magenta_vae.music import notes_right
from magenta_vae.music.songs import SongError

MAX_LINES = 8  # Of pieces that were read, and of reasons why others were not.


def read(
    model: MusicModel,
    inputs: Sequence[str],
    choice: Mapping,
    report: Callable[[str], None],
    flag: str = "input",
) -> Reading:
    """Returns the windows of files, folders, globs and archives, and reports what was read.

    A file that is named by itself must fit; of the pieces of a folder, a glob or an archive those
    that do not are left out, and counted by their reasons.

    Args:
        model: what they are read for.
        inputs: the paths, in their order.
        choice: of the tracks and bars of each piece, as the arguments of `Excerpt`.
        report: is given lines about what was read.
        flag: the name of the flag that gave the paths.

    Raises:
        FileNotFoundError: for a path that names nothing.
        SongError: for a file that does not fit, and where no piece of several does.
    """
    readings, left_out = [], []
    for source, is_alone in _find(inputs, flag):
        try:
            readings.append(_read_one(model, source, choice))
        except SongError as error:
            if is_alone:
                raise
            left_out.append(error)
    if left_out:
        report_left_out(left_out, len(readings), report)
    if not readings:
        raise SongError(f"--{flag}: none of {len(left_out):,} pieces fits", "see the reasons above")
    joined = reading.join(readings)
    for line in describe(joined.windows):
        report(f"read {line}")
    if silent := sum(not _has_onsets(tokens, model.tracks) for tokens in joined.tokens):
        windows = (
            f"{silent:,} of {len(joined.tokens):,} windows" if len(joined.tokens) > 1 else "it"
        )
        report(f"no note begins in {windows}: --start_bar=N reads from another bar on")
    return joined


def read_first(
    model: MusicModel, path: str, choice: Mapping, report: Callable[[str], None], flag: str
) -> Reading:
    """Returns the first window of one piece, and reports what was read; see `read`.

    Raises:
        ValueError: where the path names several pieces.
    """
    found = [source for source, _ in _find([path], flag)]
    if len(found) > 1:
        raise ValueError(
            f"--{flag} must name one piece. {path} holds {len(found):,}, of which the first is "
            f"{found[0].name}."
        )
    return read(model, [path], {**choice, "num_windows": 1}, report, flag)


def describe(windows: Sequence[ReadWindow]) -> list[str]:
    """Returns where windows are from, neighbours together, in a few lines."""
    groups: list[list[ReadWindow]] = []
    for window in windows:
        last = groups[-1][-1] if groups else None
        if last and _goes_on(last, window):
            groups[-1].append(window)
        else:
            groups.append([window])
    lines = [excerpts.describe(group) + _count(group) for group in groups]
    if len(lines) > MAX_LINES:
        lines[MAX_LINES - 1 :] = [f"{len(lines) - MAX_LINES + 1:,} more pieces"]
    return lines


def report_left_out(
    errors: Sequence[SongError], num_read: int, report: Callable[[str], None]
) -> None:
    """Says how many pieces of several do not fit, and why, with an example of each reason."""
    reasons = Counter(_reason(error) for error in errors)
    examples = {_reason(error): str(error).splitlines()[0] for error in reversed(errors)}
    report(f"left out {len(errors):,} of {len(errors) + num_read:,} pieces:")
    for reason, count in reasons.most_common(MAX_LINES):
        report(f"  {count:,} {reason}, as {examples[reason]}")


def _has_onsets(tokens: np.ndarray, tracks: Sequence[Vocabulary]) -> bool:
    """Says whether a note begins in a window, int [steps, tracks]."""
    counts = notes_right.count(tokens[np.newaxis], tokens[np.newaxis], tracks)
    return any(of_track.true.any() for of_track in counts)


def _goes_on(last: ReadWindow, window: ReadWindow) -> bool:
    same = (last.source, last.tracks) == (window.source, window.tracks)
    return same and last.last_bar + 1 == window.first_bar


def _count(group: Sequence[ReadWindow]) -> str:
    return f", {len(group):,} windows" if len(group) > 1 else ""


def _find(inputs: Sequence[str], flag: str) -> Iterator[tuple[sources.Source, bool]]:
    """Yields each piece, and whether it is a file that was named by itself."""
    for name in inputs:
        found = sources.find_files([name], flag)
        is_alone = os.path.isfile(name) and not sources.has_several_songs(name)
        for source in sources.read_sources(found):
            yield source, is_alone


def _read_one(model: MusicModel, source: sources.Source, choice: Mapping) -> Reading:
    try:
        song = source.parse(source.read(), "symusic")
    except SongError as error:
        raise SongError(f"{source.name}: {error.reason}", error.detail) from error
    return model.read(Excerpt(song, source=source.name, **choice))


def _reason(error: SongError) -> str:
    return error.reason.rpartition(": ")[2]
