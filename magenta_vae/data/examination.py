"""A song -> its windows, or the reason that there are none."""

import collections
import hashlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from magenta_vae.data import shards, workers
from magenta_vae.data.settings import Settings
from magenta_vae.data.sources import Source
from magenta_vae.data.splits import split_of
from magenta_vae.music import songs, windows
from magenta_vae.music.errors import VocabularyError

AS_4_4, AS_DRUMS = "taken as 4/4", "parts taken as drums"  # Files; parts off channel 10.
LEFT_OUT = "parts with notes left out"  # Of scores: percussion that nothing tells, cues, slashes.
CRASHED, SLOW, GREEDY = "crashed the reader", "too slow", "too much memory"


class Outcome(NamedTuple):
    """What became of one song.

    Attributes:
        name: the file, or the place within it.
        reason, detail: the rule that dropped it and how, both empty where it was used.
        split: `train`, `eval` or `test`.
        num_cut, num_dropped_rests: windows cut, and those of them the rests rule dropped.
        taken: (what, how often) a rule did to the song: `AS_4_4`, `AS_DRUMS`, `LEFT_OUT`.
        left_out: of each part with notes left out, which it is and what they are.
        sha256: of its bytes, in hexadecimal digits; empty where they could not be read.
        rows: [windows, row_size] tokens of those that remain, each once.
        bars: the bar at which each of them begins first, int32 [windows].
    """

    name: str
    reason: str
    detail: str
    split: str
    num_cut: int
    num_dropped_rests: int
    taken: Sequence[tuple[str, int]] = ()
    left_out: Sequence[str] = ()
    sha256: str = ""
    rows: np.ndarray | None = None
    bars: np.ndarray | None = None

    @property
    def verdict(self) -> list:
        """All but the windows, as JSON values: what `Outcome` is made of again."""
        return list(self[:-2])

    def __str__(self) -> str:
        if self.reason:
            fate = f"dropped, {self.reason}" + f": {self.detail}" * bool(self.detail)
        else:
            fate = (
                f"used for {self.split}, {self.num_cut} windows cut, "
                f"{self.num_dropped_rests} of them dropped by the rests rule"
            )
        taken = "".join(f"; {what}: {number}" for what, number in self.taken)
        left_out = f" ({'; '.join(self.left_out)})" * bool(self.left_out)
        return _printable(f"{self.name}: {fate}{taken}{left_out}")


def examine(source: Source | str, settings: Settings) -> Outcome:
    """Reads one song and cuts its windows; whatever is wrong with it becomes the reason."""
    source = Source(source) if isinstance(source, str) else source
    cut = dropped_rests = 0
    rows, bars = [], []
    split = sha256 = ""
    taken: list[tuple[str, int]] = []
    left_out: tuple[str, ...] = ()

    def outcome(reason: str, detail: str) -> Outcome:
        counts = cut, dropped_rests, taken, left_out
        return Outcome(source.name, reason, detail, split, *counts, sha256)

    try:
        data = source.read()
        sha256 = hashlib.sha256(data).hexdigest()
        split = source.split or split_of(data, settings.eval_fraction, settings.test_fraction)
        read = source.parse(data, settings.reader)
        song = windows.in_common_time(read, settings.accepted_metres)
        left_out = song.left_out
        counts = (
            (AS_4_4, int(song is not read)),
            (AS_DRUMS, song.num_rhythm_parts),
            (LEFT_OUT, len(left_out)),
        )
        taken += [(what, number) for what, number in counts if number]
        for combination in windows.song_windows(
            song, settings.window_format, settings.max_rest_steps
        ):
            cut += combination.num_cut
            dropped_rests += combination.num_cut - len(combination.tokens)
            rows.append(
                combination.tokens.astype(settings.token_dtype).reshape(-1, settings.row_size)
            )
            bars.append(combination.bars.astype(np.int32))
        if cut == dropped_rests:
            raise songs.SongError("only rests", f"none of {cut} windows passes the rests rule")
        cut_rows = np.concatenate(rows)
        first, _ = shards.first_of_equals(cut_rows)
    except songs.SongError as error:
        return outcome(error.reason, error.detail)
    except VocabularyError as error:
        cut = dropped_rests = 0
        return outcome(error.reason, error.detail)
    except MemoryError:
        cut = dropped_rests = 0
        return outcome(GREEDY, "more than a file may take")
    except Exception as error:  # One file never ends a build; an unforeseen one is counted too.
        cut = dropped_rests = 0
        return outcome(CRASHED, f"{type(error).__name__}: {error}")
    return outcome("", "")._replace(rows=cut_rows[first], bars=np.concatenate(bars)[first])


def failed(task: tuple[Source, Settings], reason: str) -> Outcome:
    """Returns the outcome of a song that its process did not survive."""
    died = reason == workers.DIED
    return Outcome(task[0].name, CRASHED if died else SLOW, reason, "", 0, 0)


def count_outcomes(outcomes: Iterable[Outcome]) -> dict:
    """Returns what outcomes add to the counts of a data set, `taken` only where there is any."""
    dropped: collections.Counter = collections.Counter()
    taken: collections.Counter = collections.Counter()
    read = cut = dropped_rests = 0
    for outcome in outcomes:
        read += 1
        cut += outcome.num_cut
        dropped_rests += outcome.num_dropped_rests
        taken.update(dict(outcome.taken))
        if outcome.reason:
            dropped[outcome.reason] += 1
    counts = {
        "files_read": read,
        "files_dropped": dict(sorted(dropped.items())),
        "windows_cut": cut,
        "windows_dropped_rests": dropped_rests,
    }
    return counts | ({"taken": dict(sorted(taken.items()))} if taken else {})


def _printable(text: str) -> str:
    """Returns a line that a terminal prints as it is: names may hold newlines and escapes."""
    return "".join(
        character if character.isprintable() else repr(character)[1:-1] for character in text
    )
