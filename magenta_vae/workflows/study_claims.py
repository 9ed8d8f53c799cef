"""What the paper says of Table 1, in a study: how its columns differ, with intervals over songs."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from magenta_vae.training import table1
from magenta_vae.training.song_intervals import Interval
from magenta_vae.workflows import study_songs
from magenta_vae.workflows.study import Study
from magenta_vae.workflows.study_cells import COLUMNS, Cell
from magenta_vae.workflows.study_rows import Row, name_of

# (metric, column, column that it is compared with): what the paper says of Table 1, and its
# hierarchical decoder beside a flat one.
CLAIMS = (
    ("recon", table1.SCHEDULED, table1.VAE),
    ("next", table1.SCHEDULED, table1.VAE),
    ("KL", table1.SCHEDULED, table1.VAE),
    ("recon", table1.VAE, table1.BASELINE),
    ("next", table1.VAE, table1.BASELINE),
    ("recon", table1.SCHEDULED, COLUMNS["flat"][0]),
    ("next", table1.SCHEDULED, COLUMNS["flat"][0]),
)
OF_DIFFERENCES = (
    "Differences of columns, seed by seed, with 95 % intervals by a bootstrap over the held-out "
    "songs, of the mean over seeds."
)


class Claim(NamedTuple):
    """How a column differs from another.

    Attributes:
        difference: seed by seed, with the paper's.
        other_column: what the column of the difference is compared with.
        interval: over songs, of the mean over seeds; None where songs were not kept.
    """

    difference: Row
    other_column: str
    interval: Interval | None


def find(rows: Sequence[Row], study: Study) -> Iterator[Claim]:
    """Yields how columns differ where the paper says that they do, seed by seed."""
    columns = {name: column for column, (name, _) in COLUMNS.items()}
    songs = {cell: study_songs.read(study.run_dir(cell)) for cell in study.done()}
    for metric, column, other_column in CLAIMS:
        for row in (row for row in rows if (row.metric, row.column) == (metric, column)):
            place = (*row[:2], other_column, metric)
            other = next((each for each in rows if each[:4] == place), None)
            difference = row.minus(other) if other else None
            if difference is None:
                continue
            ours, others = (
                [songs[Cell(row.model, columns[each], seed)] for seed in difference.seeds]
                for each in (column, other_column)
            )
            interval = study_songs.find_interval(name_of(metric, row.track), ours, others)
            yield Claim(difference, other_column, interval)


def format_table(claims: Sequence[Claim]) -> str:
    """Returns how columns differ, the mean and spread over seeds, as a Markdown table.

    The difference is taken seed by seed; the paper's stands in brackets. The last column is left
    out where no interval is known. Without a difference the text is empty.
    """
    if not claims:
        return ""
    has_intervals = any(claim.interval for claim in claims)
    lines = ["| model | track | difference | seeds | |", "|---|---|---|---|---|"]
    if has_intervals:
        lines = [OF_DIFFERENCES, "", lines[0] + " over songs |", lines[1] + "---|"]
    for row, other_column, interval in claims:
        name = f"{row.metric}: {row.column} - {other_column}"
        cells = [row.model, row.track, name, str(len(row.seeds)), str(row)]
        if has_intervals:
            cells.append(" to ".join(map(row.format, interval)) if interval else "-")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
