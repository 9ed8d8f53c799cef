"""What the paper says of Table 1, in a study: how its columns differ, with intervals over songs."""

import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from magenta_vae.training import table1
from magenta_vae.training.song_intervals import Interval
from magenta_vae.workflows import difference_pictures, study_songs
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
    "songs, of the mean over seeds. A claim holds where the interval and the difference of every "
    "seed lie on the paper's side of zero (without a paper's number: above zero). The claim fails "
    "where both lie on the other side. Else, and of a single seed, the claim is open."
)
HOLDS, FAILS, OPEN = "holds", "fails", "open"


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

    @property
    def name(self) -> str:
        """The metric and the two columns."""
        return f"{self.difference.metric}: {self.difference.column} - {self.other_column}"

    @property
    def verdict(self) -> str:
        """Whether the claim holds, fails or is open, as `OF_DIFFERENCES` says."""
        values, paper = self.difference.values, self.difference.paper
        if self.interval is None or len(values) < 2:
            return OPEN
        sign = -1 if paper is not None and paper < 0 else 1
        signed = [sign * value for value in (*values, *self.interval)]
        return HOLDS if min(signed) > 0 else FAILS if max(signed) < 0 else OPEN

    def described(self) -> dict:
        """Returns the claim as JSON has it; `low` and `high` are None where songs are not known."""
        low, high = self.interval or (None, None)
        return {
            "model": self.difference.model,
            "track": self.difference.track,
            "metric": self.difference.metric,
            "column": self.difference.column,
            "other_column": self.other_column,
            "values": self.difference.values,
            "seeds": self.difference.seeds,
            "mean": self.difference.mean,
            "deviation": self.difference.deviation,
            "paper": self.difference.paper,
            "low": low,
            "high": high,
            "verdict": self.verdict,
        }


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
        lines = [OF_DIFFERENCES, "", lines[0] + " over songs | claim |", lines[1] + "---|---|"]
    for claim in claims:
        row, interval = claim.difference, claim.interval
        cells = [row.model, row.track, claim.name, str(len(row.seeds)), str(row)]
        if has_intervals:
            cells.append(" to ".join(map(row.format, interval)) if interval else "-")
            cells.append(claim.verdict)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def draw(claims: Iterable[Claim], folder: str) -> None:
    """Draws each claim into a folder, as `claim-METRIC-COLUMN-OTHER.png`, a line for each track."""
    short = {name: column for column, (name, _) in COLUMNS.items()}
    for _, group in itertools.groupby(claims, key=lambda claim: claim.name):
        of_claim = list(group)
        row = of_claim[0].difference
        parts = row.metric.lower(), short[row.column], short[of_claim[0].other_column]
        is_kl = row.metric == "KL"  # Of all tracks together.
        difference_pictures.draw(
            [_as_line(claim, has_track=not is_kl) for claim in of_claim],
            title=of_claim[0].name,
            path=os.path.join(folder, f"claim-{'-'.join(parts)}.png"),
            is_in_nats=is_kl,
        )


def _as_line(claim: Claim, has_track: bool) -> difference_pictures.Line:
    row = claim.difference
    of_track = f", {row.track}" if has_track else ""
    name = f"{row.model}{of_track}: {claim.verdict}"
    return difference_pictures.Line(name, row.values, claim.interval, row.paper)
