"""Cells -> a table for people."""

from collections.abc import Sequence


def align(rows: Sequence[Sequence[str]]) -> str:
    """Returns rows as lines, each column as wide as its widest cell and two spaces apart."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
