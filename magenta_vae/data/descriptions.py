"""What a data set says of itself: `dataset.json`, the last of its files to be written."""

import json
import os
import re

from magenta_vae import files
from magenta_vae.data import records
from magenta_vae.data.settings import Settings, settings_of
from magenta_vae.data.splits import SPLITS, TEST

FILE = "dataset.json"
NAMES = ("settings", "counts", "shards")
COMPRESSION = "compression"  # Where the shards are compressed.
OWN_SPLITS = "splits"  # Where somebody chose them: by what.
ELSEWHERE = "windows_in_earlier_split"
_COUNTS = {
    "files_read": int,
    "files_dropped": dict,
    "windows_cut": int,
    "windows_dropped_rests": int,
    "windows_duplicate": int,
    **{f"windows_kept_{split}": int for split in SPLITS if split != TEST},
}
_LATER_COUNTS = {ELSEWHERE: int, f"windows_kept_{TEST}": int}
_SHARD = re.compile(r"[a-z]+-\d{5}-of-\d{5}\.tfrecord")  # A plain name: it leads nowhere else.


def describe(
    settings: Settings,
    counts: dict,
    shards: dict[str, dict[str, int]],
    compression: str | None = None,
    own_splits: str | None = None,
    num_elsewhere: int = 0,
) -> dict:
    """Returns the description of a data set.

    Args:
        settings: what a window is.
        counts: what became of its songs; see `examination.count_outcomes`.
        shards: the windows in each shard, by split and file name.
        compression: of the shards, `records.GZIP` or None.
        own_splits: what says which song is in which split; None for the hash of its bytes.
        num_elsewhere: the windows that are left out since an earlier split has them. Of train and
            eval by the hash they count as duplicates, as in the first version.

    Raises:
        ValueError: where no window is left.
    """
    has_test = own_splits is not None or bool(settings.test_fraction)
    shards = {split: shards[split] for split in SPLITS if has_test or split != TEST}
    num_windows = {split: sum(shards[split].values()) for split in shards}
    num_kept = sum(num_windows.values())
    duplicate = counts["windows_cut"] - counts["windows_dropped_rests"] - num_kept
    elsewhere = {ELSEWHERE: num_elsewhere} if has_test else {}
    duplicate -= sum(elsewhere.values())
    counts = {**counts, "windows_duplicate": duplicate, **elsewhere}
    counts |= {f"windows_kept_{split}": number for split, number in num_windows.items()}
    if not num_kept:
        raise ValueError(f"No window is left of {counts['files_read']} files.\n{table(counts)}")
    compressed = {COMPRESSION: compression} if compression else {}
    chosen = {OWN_SPLITS: own_splits} if own_splits else {}
    described = {"settings": settings.describe(), "counts": counts, "shards": shards}
    return described | compressed | chosen


def table(counts: dict) -> str:
    """Returns the counts of a data set as a table for people."""
    rows = [("files read", counts["files_read"])]
    for reason, number in counts["files_dropped"].items():
        rows.append((f"  dropped: {reason}", number))
    rows += [(f"  {what}", number) for what, number in counts.get("taken", {}).items()]
    rows += [
        ("windows cut", counts["windows_cut"]),
        ("  dropped by the rests rule", counts["windows_dropped_rests"]),
        ("  duplicates", counts["windows_duplicate"]),
    ]
    if ELSEWHERE in counts:
        rows.append(("  in an earlier split too", counts[ELSEWHERE]))
    rows += [
        (f"  kept for {split}", counts[f"windows_kept_{split}"])
        for split in SPLITS
        if f"windows_kept_{split}" in counts
    ]
    return "\n".join(f"{name:<36}{number:>12,}" for name, number in rows)


def is_data_set(data_dir: str) -> bool:
    """Says whether a folder holds a whole data set."""
    return os.path.isfile(os.path.join(data_dir, FILE))


def write(data_dir: str, description: dict) -> None:
    """Writes `dataset.json`: from then on there is a data set."""
    files.write_text(os.path.join(data_dir, FILE), json.dumps(description, indent=2) + "\n")


def read(data_dir: str) -> dict:
    """Returns the description of a data set.

    Raises:
        FileNotFoundError: where there is none.
        ValueError: where it is not what `write` writes.
    """
    if not is_data_set(data_dir):
        raise FileNotFoundError(
            f"--data_dir={data_dir} holds no {FILE}: it is not a folder written by the command "
            "`build_dataset`."
        )
    path = os.path.join(data_dir, FILE)
    description = files.read_json(path, NAMES)
    check(path, description)
    names = (*NAMES, COMPRESSION, OWN_SPLITS)
    return {name: description[name] for name in names if name in description}


def check(path: str, description: dict) -> None:
    """Raises `ValueError` where a file that holds a description holds something else there.

    Args:
        path: of the file, for messages.
        description: what `describe` returned once.
    """
    files.check_types(path, description, dict.fromkeys(NAMES, dict), NAMES)
    files.check_types(path, description["counts"], _COUNTS | _LATER_COUNTS, _COUNTS)
    files.check_types(path, description, {OWN_SPLITS: str})
    try:
        settings_of(description["settings"])
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    if COMPRESSION in description and description[COMPRESSION] != records.GZIP:
        raise ValueError(
            f"{path} is damaged: {COMPRESSION} must be {records.GZIP}, or not be there. "
            f"Received: {description[COMPRESSION]!r}."
        )
    for split, shards in description["shards"].items():
        if split not in SPLITS or not isinstance(shards, dict):
            raise ValueError(f"{path} is damaged: shards must be of {', '.join(SPLITS)}, by name.")
        for name, number in shards.items():
            if not _SHARD.fullmatch(name) or type(number) is not int or number < 0:
                raise ValueError(
                    f"{path} is damaged: a shard must be as {split}-00000-of-00001.tfrecord, with "
                    f"a number of windows. Received: {name}, {number!r}."
                )
