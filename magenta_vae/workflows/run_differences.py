"""What several runs differ in: their configurations, their data, the versions that made them."""

from collections.abc import Mapping, Sequence
from typing import Any

from magenta_vae.workflows import columns
from magenta_vae.workflows.runs import Run

DIGEST_DIGITS = 12  # Of a SHA-256, in tables.
MAX_WIDTH = 40  # Of a value in a table.
KINDS = ("configuration", "data", "versions")

# Name -> the value in each run, None where a run has none.
Differences = dict[str, list]


def find(runs: Sequence[Run]) -> dict[str, Differences]:
    """Returns what differs, by the KINDS.

    Configurations are compared as they are parsed, binding by binding: the order of files, comments
    and how numbers are written make no difference.
    """
    described: dict[str, list[Mapping[str, Any]]] = {
        "configuration": [run.configured.bindings for run in runs],
        "data": [_describe_data(run) for run in runs],
        "versions": [_describe_versions(run) for run in runs],
    }
    return {kind: _differences(described[kind]) for kind in KINDS}


def format_table(differences: Mapping[str, Differences], labels: Sequence[str]) -> str:
    """Returns what differs as a table for people, or says that nothing does."""
    blocks = []
    for kind, found in differences.items():
        if not found:
            blocks.append(f"{kind}: the same")
            continue
        rows = [[kind, *labels]]
        rows += [[name, *map(_show, values)] for name, values in found.items()]
        blocks.append(columns.align(rows))
    return "\n".join(blocks)


def _differences(described: Sequence[Mapping[str, Any]]) -> Differences:
    names = dict.fromkeys(name for each in described for name in each)
    values = {name: [each.get(name) for each in described] for name in sorted(names)}
    return {name: each for name, each in values.items() if any(one != each[0] for one in each)}


def _describe_data(run: Run) -> dict[str, Any]:
    """Returns what is known of a run's data, flat; nothing of a run without."""
    described = run.record["data"] or {}
    digests = run.record.get("data_digests") or {}
    return {
        **_flatten({name: described.get(name, {}) for name in ("settings", "counts")}),
        **{f"sha256.{split}": digest for split, digest in digests.items()},
    }


def _describe_versions(run: Run) -> dict[str, Any]:
    return {**run.record["packages"], "python": run.record.get("python")}


def _flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Returns nested values under names with dots."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flatten(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def _show(value: Any) -> str:
    """Returns a value as it stands in a table."""
    if value is None:
        return "-"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    text = str(value)
    if len(text) == 64 and set(text) <= set("0123456789abcdef"):
        return text[:DIGEST_DIGITS]
    return text if len(text) <= MAX_WIDTH else f"{text[: MAX_WIDTH - 4]} ..."
