"""Corpus -> unique windows -> TFRecords (paper, Dataset).

Two passes, so that memory is bounded by a part of the corpus. The first reads songs in worker
processes and spills the tokens of their windows into partitions by a hash of those tokens; equal
windows meet in one partition. The second makes each partition unique and serializes it. Nothing
depends on file names, their order or the number of workers: the same songs give the same bytes.
"""

import collections
import dataclasses
import glob
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from magenta_vae.data import shards, workers
from magenta_vae.data.shards import NUM_PARTITIONS, SPLITS
from magenta_vae.music import songs, tokens, windows

CRASHED = "crashed the reader"


@dataclasses.dataclass(frozen=True)
class Settings:
    """What defines a data set, beside its songs.

    Args:
        tracks: the vocabularies of a window, in the order of its tokens.
        num_bars: the length of a window.
        max_rest_steps: the longest run of rests allowed in any track of a window.
        eval_fraction: the share of songs that are held out, by a hash of their bytes.
    """

    tracks: Sequence[tokens.Vocabulary]
    num_bars: int
    max_rest_steps: int = songs.STEPS_PER_BAR  # paper, Dataset: "at most a single bar"
    eval_fraction: float = 0.1  # The paper does not say.

    def __post_init__(self):
        if not self.tracks:
            raise ValueError("tracks must name at least one vocabulary. Received: none.")
        if self.num_bars < 1:
            raise ValueError(f"num_bars must be at least 1. Received: num_bars={self.num_bars}.")
        if not 0 <= self.eval_fraction < 1:
            raise ValueError(
                f"eval_fraction must be in [0, 1). Received: eval_fraction={self.eval_fraction}."
            )

    @property
    def num_steps(self) -> int:
        """Sixteenth notes in a window."""
        return num_steps(self.num_bars)

    @property
    def row_size(self) -> int:
        """Tokens in a window."""
        return self.num_steps * len(self.tracks)

    @property
    def token_dtype(self) -> np.dtype:
        """The smallest integer that holds every class."""
        return np.min_scalar_type(max(tokens.num_classes(self.tracks)) - 1)

    def describe(self) -> dict:
        """Returns the settings as JSON values."""
        described = dataclasses.asdict(self)
        described["tracks"] = [
            {"vocabulary": type(track).__name__, **values}
            for track, values in zip(self.tracks, described["tracks"], strict=True)
        ]
        return json.loads(json.dumps(described))


def num_steps(num_bars: int) -> int:
    """Returns the sixteenth notes of a window of so many bars."""
    return num_bars * songs.STEPS_PER_BAR


class Verdict(NamedTuple):
    """What became of one file.

    Attributes:
        path: the file.
        reason, detail: the rule that dropped it and how, both empty where it was used.
        split: `train` or `eval`.
        num_cut, num_dropped_rests: windows cut, and those of them the rests rule dropped.
        rows: [windows, row_size] tokens of those that remain.
    """

    path: str
    reason: str
    detail: str
    split: str
    num_cut: int
    num_dropped_rests: int
    rows: np.ndarray | None

    def __str__(self) -> str:
        if self.reason:
            return f"{self.path}: dropped, {self.reason}" + (f": {self.detail}" * bool(self.detail))
        return (
            f"{self.path}: used for {self.split}, {self.num_cut} windows cut, "
            f"{self.num_dropped_rests} of them dropped by the rests rule"
        )


def find_files(inputs: Sequence[str]) -> list[str]:
    """Returns the MIDI files of folders (at any depth), globs and single paths, sorted, each once.

    Raises `FileNotFoundError` for an input that yields none.
    """
    found: set[str] = set()
    for name in inputs:
        pattern = os.path.join(glob.escape(name), "**") if os.path.isdir(name) else name
        paths = [path for path in glob.iglob(pattern, recursive=True) if os.path.isfile(path)]
        if os.path.isdir(name):
            paths = [path for path in paths if path.lower().endswith((".mid", ".midi"))]
        if not paths:
            raise FileNotFoundError(f"--input={name} names no MIDI file (.mid or .midi).")
        found.update(paths)
    return sorted(found)


def build(
    files: Sequence[str],
    output_dir: str,
    settings: Settings,
    num_workers: int | None = None,
    explain: Callable[[str], None] | None = None,
) -> dict:
    """Builds a data set from MIDI files and returns its description, as in `dataset.json`.

    Args:
        files: paths of MIDI files. One that cannot be used is counted with its reason.
        output_dir: a folder that does not exist or is empty; it is complete or absent.
        settings: what a window is.
        num_workers: processes, by default one a core.
        explain: is given a line for every file, in the order of `files`.

    Raises:
        FileExistsError: where `output_dir` holds something already.
        ValueError: where no window is left.
    """
    if os.path.isfile(output_dir) or (os.path.isdir(output_dir) and os.listdir(output_dir)):
        raise FileExistsError(
            f"--output_dir={output_dir} is not an empty folder: a data set is never overwritten. "
            "Remove it or choose another folder."
        )
    partial_dir = output_dir.rstrip(os.sep) + ".incomplete"
    shutil.rmtree(partial_dir, ignore_errors=True)
    os.makedirs(partial_dir)
    try:
        with workers.Workers(num_workers or os.cpu_count()) as pool:
            counts = _spill(files, partial_dir, settings, pool, explain or (lambda line: None))
            counted_shards = _merge(partial_dir, settings, pool, counts)
        if not counts["windows_kept_train"] + counts["windows_kept_eval"]:
            raise ValueError(f"No window is left of {len(files)} files.\n{format_counts(counts)}")
        description = {"settings": settings.describe(), "counts": counts, "shards": counted_shards}
        with open(os.path.join(partial_dir, "dataset.json"), "w") as file:
            json.dump(description, file, indent=2)
            file.write("\n")
        os.makedirs(output_dir, exist_ok=True)
        os.replace(partial_dir, output_dir)
    except BaseException:
        shutil.rmtree(partial_dir, ignore_errors=True)
        raise
    return description


def examine(path: str, settings: Settings) -> Verdict:
    """Reads one file and cuts its windows; whatever is wrong with it becomes the reason."""
    cut = dropped_rests = 0
    rows = []
    split = ""
    try:
        midi = songs.read_bytes(path)
        split = split_of(midi, settings.eval_fraction)
        for part in windows.song_windows(
            songs.parse_song(midi), settings.tracks, settings.num_bars, settings.max_rest_steps
        ):
            cut += part.num_cut
            dropped_rests += part.num_cut - len(part.tokens)
            rows.append(part.tokens.astype(settings.token_dtype).reshape(-1, settings.row_size))
        if cut == dropped_rests:
            raise songs.SongError("only rests", f"none of {cut} windows passes the rests rule")
    except songs.SongError as error:
        return Verdict(path, error.reason, error.detail, split, cut, dropped_rests, None)
    except Exception as error:  # One file never ends a build; an unforeseen one is counted too.
        return Verdict(path, CRASHED, f"{type(error).__name__}: {error}", split, 0, 0, None)
    return Verdict(path, "", "", split, cut, dropped_rests, np.concatenate(rows))


def split_of(midi: bytes, eval_fraction: float) -> str:
    """Returns the split of a song by its bytes: the same wherever and whenever it is read."""
    digest = hashlib.blake2b(midi, digest_size=8).digest()
    return "eval" if int.from_bytes(digest, "big") < eval_fraction * 2**64 else "train"


def format_counts(counts: dict) -> str:
    """Returns the counts of a data set as a table for people."""
    rows = [("files read", counts["files_read"])]
    for reason, number in counts["files_dropped"].items():
        rows.append((f"  dropped: {reason}", number))
    rows += [
        ("windows cut", counts["windows_cut"]),
        ("  dropped by the rests rule", counts["windows_dropped_rests"]),
        ("  duplicates", counts["windows_duplicate"]),
        ("  kept for train", counts["windows_kept_train"]),
        ("  kept for eval", counts["windows_kept_eval"]),
    ]
    return "\n".join(f"{name:<36}{number:>12,}" for name, number in rows)


def _spill(files, directory: str, settings: Settings, pool, explain) -> dict:
    """Writes every window's tokens to the file of its split and partition; returns the counts."""
    dropped: collections.Counter = collections.Counter()
    cut = dropped_rests = 0
    with shards.SpillFiles(directory) as spill:
        verdicts = pool.map(examine, [(path, settings) for path in files], _crashed)
        for verdict in tqdm(verdicts, "files", len(files), unit="file"):
            explain(str(verdict))
            cut += verdict.num_cut
            dropped_rests += verdict.num_dropped_rests
            if verdict.reason:
                dropped[verdict.reason] += 1
            else:
                spill.append(verdict.split, verdict.rows)
    return {
        "files_read": len(files),
        "files_dropped": dict(sorted(dropped.items())),
        "windows_cut": cut,
        "windows_dropped_rests": dropped_rests,
    }


def _crashed(path: str, settings: Settings) -> Verdict:
    return Verdict(path, CRASHED, "its process died", "", 0, 0, None)


def _merge(directory: str, settings: Settings, pool, counts: dict) -> dict:
    """Writes the unique windows as shards, adds to the counts, and removes the spill files."""
    tasks = [(directory, partition, settings) for partition in range(NUM_PARTITIONS)]
    writers = {split: shards.ShardWriter(directory, split) for split in SPLITS}
    num_duplicates = 0
    merged = pool.map(_serialize_partition, tasks)
    for records, duplicates in tqdm(merged, "windows", len(tasks), unit="part"):
        num_duplicates += duplicates
        for split in SPLITS:
            writers[split].write(records[split])
    counted = {split: writer.close() for split, writer in writers.items()}
    counts["windows_duplicate"] = num_duplicates
    for split in SPLITS:
        counts[f"windows_kept_{split}"] = sum(counted[split].values())
    return counted


def _serialize_partition(directory: str, partition: int, settings: Settings):
    """Returns one partition's serialized unique windows by split, and the number of duplicates."""
    rows = {
        split: shards.read_spill(directory, split, partition, settings.token_dtype).reshape(
            -1, settings.row_size
        )
        for split in SPLITS
    }
    both = np.concatenate([rows[split] for split in SPLITS])
    # The first of equal rows is kept: a window of train is never in eval.
    as_bytes = both.view(np.dtype((np.void, both.shape[1] * both.itemsize)))[:, 0]
    _, first = np.unique(as_bytes, return_index=True)
    # By hash, not by content: neighbours in a shard should not be alike.
    first = first[np.lexsort((first, shards.hash_rows(both[first])))]
    is_train = first < len(rows["train"])
    records = {"train": [], "eval": []}
    for index, train in zip(first, is_train, strict=True):
        window = both[index].reshape(settings.num_steps, len(settings.tracks))
        sequence = tokens.detokenize(window.astype(np.int32), settings.tracks)
        records["train" if train else "eval"].append(sequence.SerializeToString(deterministic=True))
    return records, len(both) - len(first)
