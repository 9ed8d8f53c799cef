"""Which split of a data set each song is in: `train`, `eval` (held out) or `test`."""

import csv
import dataclasses
import fnmatch
import functools
import hashlib
import itertools
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence

from magenta_vae import files
from magenta_vae.data import sources
from magenta_vae.data.sources import Source
from magenta_vae.music.songs import SongError

TRAIN, EVAL, TEST = SPLITS = ("train", "eval", "test")
# What corpora call them.
NAMES = {
    **dict.fromkeys(("train", "training"), TRAIN),
    **dict.fromkeys(("eval", "evaluation", "valid", "validation", "val", "dev"), EVAL),
    **dict.fromkeys(("test", "testing"), TEST),
}
PATH_COLUMNS = ("path", "file", "filename", "file_name", "midi_filename", "pattern")
SPLIT_COLUMN = "split"
UTF_16 = ("\udcff\udcfe", "\udcfe\udcff")  # Its marks, as bytes that are no UTF-8 are read.
NO_SPLIT = "in no split"  # Why a song is dropped that nothing names.


def split_of(data: bytes, eval_fraction: float, test_fraction: float = 0.0) -> str:
    """Returns the split of a song by its bytes: the same wherever and whenever it is read.

    Args:
        data: the song's bytes.
        eval_fraction, test_fraction: the shares of songs in `eval` and `test`.
    """
    digest = hashlib.blake2b(data, digest_size=8).digest()
    place = int.from_bytes(digest, "big")
    if place < eval_fraction * 2**64:
        return EVAL
    return TEST if place < (eval_fraction + test_fraction) * 2**64 else TRAIN


@dataclasses.dataclass(frozen=True)
class OwnSplits:
    """Splits that somebody chose.

    A row names songs by the path of a song, of a file with several songs or of a folder, whole or
    from one of some folders; or by a pattern of such paths, as a shell has them, but that `*` also
    stands for folders. Paths go before patterns, longer paths before shorter ones, earlier patterns
    before later ones.

    Args:
        description: where the splits come from, as `dataset.json` says it.
        paths, patterns: the split of each row.
        roots: the folders that paths may be counted from.
    """

    description: str
    paths: Mapping[str, str]
    patterns: Mapping[str, str] = dataclasses.field(default_factory=dict)
    roots: Sequence[str] = ()

    def find(self, name: str) -> str | None:
        """Returns the row that names a song, None where none does."""
        whole = os.path.abspath(name)
        inside = [root for root in self.roots if whole.startswith(root.rstrip(os.sep) + os.sep)]
        names = [whole, *(os.path.relpath(whole, root) for root in inside)]
        within = list(names)
        while within:
            for path in within:
                if (path or os.curdir) in self.paths:
                    return path or os.curdir
            within = [os.path.dirname(path) for path in within if path not in ("", os.sep)]
        for row, pattern in self._compiled:
            if any(map(pattern.match, names)):
                return row
        return None

    def assign(self, songs: Iterator[Source]) -> Iterator[Source]:
        """Yields songs, each with its split; one without a split is an error in its place."""
        for song in songs:
            row = self.find(song.name)
            if row is not None:
                yield song._replace(split=self.paths.get(row) or self.patterns[row])
            elif song.error is not None:
                yield song
            else:
                yield Source(song.name, error=SongError(NO_SPLIT, f"by {self.description}"))

    @property
    def digest(self) -> str:
        """What tells these splits from others, in hexadecimal digits."""
        content = sorted(self.paths.items()), list(self.patterns.items()), list(self.roots)
        return hashlib.sha256(repr(content).encode(errors="surrogateescape")).hexdigest()

    @functools.cached_property
    def _compiled(self) -> list[tuple[str, re.Pattern]]:
        return [(row, re.compile(fnmatch.translate(row))) for row in self.patterns]


def of_inputs(inputs: Mapping[str, Sequence[str]]) -> tuple[list[str], OwnSplits]:
    """Returns the files of the inputs of each split, sorted, and the splits that they make.

    Raises:
        FileNotFoundError: for an input without music.
        ValueError: for a file that is given for two splits.
    """
    found: list[str] = []
    chosen: dict[str, str] = {}
    given = {split: names for split, names in inputs.items() if names}
    for split, names in given.items():
        for path in sources.find_files(names, f"{split}_input"):
            before = chosen.setdefault(os.path.abspath(path), split)
            if before != split:
                raise ValueError(f"--{split}_input: {path} is one of --{before}_input too.")
            found.append(path)
    return sorted(found), OwnSplits(", ".join(f"--{split}_input" for split in given), chosen)


def read_file(path: str, inputs: Sequence[str], songs: Sequence[str] = ()) -> OwnSplits:
    """Reads a CSV file that says which split each song is in.

    It has a heading with the columns `split` and one of `PATH_COLUMNS`, others being left alone, or
    lines of a path and a split without a heading. Paths are counted from its own folder, from the
    inputs and, as in `songs.csv`, from the deepest folder that holds all songs. Rows with an empty
    split are left alone.

    Args:
        path: of the file.
        inputs: of the data set.
        songs: the files of the inputs.

    Raises:
        OSError: where it cannot be read.
        ValueError: where it is no such table, with the line.
    """
    try:
        # Names of files need be no text; `songs.csv` has them so too.
        with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            if file.read(2) in UTF_16:
                raise ValueError(f"--split_file={path} is UTF-16: save it as UTF-8.")
            file.seek(0)
            lines = csv.reader(file)
            rows = [(lines.line_num, row) for row in lines if any(map(str.strip, row))]
    except csv.Error as error:
        raise ValueError(f"--split_file={path} is no CSV file: {error}.") from error
    except OSError as error:
        raise OSError(f"--split_file={path} cannot be read: {error.strerror}.") from error
    name_at, split_at, rows = _find_columns(path, rows)
    paths: dict[str, str] = {}
    patterns: dict[str, str] = {}
    for number, row in rows:
        where = f"--split_file={path}, line {number}"
        if len(row) <= max(name_at, split_at) or not row[name_at]:
            raise ValueError(f"{where}: expected a path and a split. Received: {','.join(row)}.")
        called = row[split_at].strip().lower()
        if not called:  # As songs have none in `songs.csv` that could not be read.
            continue
        split = NAMES.get(called)
        if split is None:
            raise ValueError(
                f"{where}: a split is train, eval (or validation) or test. "
                f"Received: {row[split_at]!r}."
            )
        name = os.path.normpath(row[name_at])
        before = paths.setdefault(name, split)
        if before != split:
            raise ValueError(f"{where}: {name} is in {split} here and in {before} above.")
        if any(character in name for character in "*?["):
            patterns[name] = split  # It may be a path all the same.
    if not paths:
        raise ValueError(f"--split_file={path} has no row that names a split.")
    roots = [os.path.dirname(os.path.abspath(path)), *map(_root, inputs)]
    roots += [sources.folder_of(songs)] if songs else []
    description = f"--split_file={os.path.basename(path)}"
    return OwnSplits(description, paths, patterns, tuple(dict.fromkeys(roots)))


def format_unused(own_splits: OwnSplits, names: Iterator[str]) -> str:
    """Returns which rows name none of the songs, for people; nothing where all name one."""
    used = {own_splits.find(name) for name in names}
    rows = {**own_splits.paths, **own_splits.patterns}
    unused = list(itertools.filterfalse(used.__contains__, rows))
    if not unused:
        return ""
    return (
        f"{len(unused):,} of {len(rows):,} rows of {own_splits.description} name no song of the "
        f"inputs, the first of them {unused[0]}"
    )


def write(path: str, own_splits: OwnSplits) -> None:
    """Writes splits for processes of other machines."""
    files.write_text(path, json.dumps(dataclasses.asdict(own_splits)))


def read(path: str) -> OwnSplits:
    """Reads what `write` wrote."""
    return OwnSplits(**files.read_json(path))


def _find_columns(
    path: str, rows: list[tuple[int, list[str]]]
) -> tuple[int, int, list[tuple[int, list[str]]]]:
    """Returns the columns of names and splits, and the rows without the heading, if any."""
    if not rows:
        raise ValueError(f"--split_file={path} is empty: expected lines of a path and a split.")
    heading = [cell.strip().lower() for cell in rows[0][1]]
    if len(heading) == 2 and heading[1] in NAMES:
        return 0, 1, rows
    named = [column for column in PATH_COLUMNS if column in heading]
    if SPLIT_COLUMN not in heading or not named:
        raise ValueError(
            f"--split_file={path}: expected a heading with the columns {SPLIT_COLUMN} and one of "
            f"{', '.join(PATH_COLUMNS)}, or lines of a path and a split, with commas between. "
            f"Received: {','.join(rows[0][1])}."
        )
    if twice := [name for name in (SPLIT_COLUMN, named[0]) if heading.count(name) > 1]:
        raise ValueError(
            f"--split_file={path}: expected one column {twice[0]} in the heading, found "
            f"{heading.count(twice[0])}. Received: {','.join(rows[0][1])}."
        )
    return heading.index(named[0]), heading.index(SPLIT_COLUMN), rows[1:]


def _root(name: str) -> str:
    """Returns the folder that the songs of an input may be named from."""
    while name and not os.path.isdir(name):
        name = os.path.dirname(name)
    return os.path.abspath(name)
