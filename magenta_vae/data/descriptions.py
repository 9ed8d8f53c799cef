"""What a data set says of itself: `dataset.json`, the last of its files to be written."""

import json
import os

from magenta_vae.data.settings import Settings
from magenta_vae.data.shards import SPLITS
from magenta_vae.music import files

FILE = "dataset.json"
NAMES = ("settings", "counts", "shards")


def describe(settings: Settings, counts: dict, shards: dict[str, dict[str, int]]) -> dict:
    """Returns the description of a data set.

    Args:
        settings: what a window is.
        counts: what became of its songs; see `verdicts.count_verdicts`.
        shards: the windows in each shard, by split and file name.

    Raises:
        ValueError: where no window is left.
    """
    kept = {split: sum(shards[split].values()) for split in SPLITS}
    num_kept = sum(kept.values())
    duplicate = counts["windows_cut"] - counts["windows_dropped_rests"] - num_kept
    counts = {**counts, "windows_duplicate": duplicate}
    counts |= {f"windows_kept_{split}": number for split, number in kept.items()}
    if not num_kept:
        raise ValueError(f"No window is left of {counts['files_read']} files.\n{table(counts)}")
    return {"settings": settings.describe(), "counts": counts, "shards": shards}


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
        ("  kept for train", counts["windows_kept_train"]),
        ("  kept for eval", counts["windows_kept_eval"]),
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
            f"--data_dir={data_dir} holds no {FILE}: it is not a folder written by "
            "scripts/build_dataset."
        )
    description = files.read_json(os.path.join(data_dir, FILE), NAMES)
    return {name: description[name] for name in NAMES}
