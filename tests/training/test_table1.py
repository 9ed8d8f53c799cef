"""The paper's Table 1, and a run's figures beside it."""

import pytest

from magenta_vae.training import table1
from magenta_vae.training.table1 import BASELINE, PAPER, SCHEDULED, VAE

# Typed from the paper, row by row. Baseline: next, recon; VAE: next, recon, KL; VAE with scheduled
# sampling: next, recon, KL. A trio has one KL, printed in its first row with ditto marks below.
ROWS = {
    ("drums", 1, 2): "0.722 0.395   0.979 0.917  70.7   0.972 0.963  73.5",
    ("melody", 1, 2): "0.723 0.619   0.986 0.951  72.9   0.989 0.987  76.2",
    ("melody", 1, 32): "0.736 0.579   0.824 0.674 173.2   0.724 0.722 343.8",
    ("lead", 3, 16): "0.735 0.423   0.818 0.653 177.4   0.763 0.761 811.6",
    ("bass", 3, 16): "0.781 0.414   0.882 0.692 177.4   0.824 0.823 811.6",
    ("drums", 3, 16): "0.810 0.221   0.926 0.808 177.4   0.871 0.868 811.6",
}


def figures(**tracks):
    """Returns figures of tracks: (next, reconstruction) each."""
    return {
        "kl_nats": 12.345,
        "tracks": {
            name: {"next_accuracy": first, "reconstruction_accuracy": second}
            for name, (first, second) in tracks.items()
        },
    }


def test_the_papers_values():
    assert list(PAPER) == list(ROWS)
    for row, text in ROWS.items():
        assert list(PAPER[row]) == [BASELINE, VAE, SCHEDULED]
        cells = [value for cell in PAPER[row].values() for value in cell if value is not None]
        assert cells == [float(number) for number in text.split()], row
        assert PAPER[row][BASELINE][2] is None  # A decoder alone has no KL.


def test_a_melodys_cells():
    table = table1.format_cells(figures(melody=(0.5, 0.25)), 32, SCHEDULED)
    assert [line.split() for line in table.splitlines()] == [
        ["Table", "1,", "VAE", "w/", "scheduled", "sampling,", "32", "bars"],
        ["track", "this", "run", "paper"],
        ["melody", "next", "0.500", "0.724"],
        ["melody", "recon", "0.250", "0.722"],
        ["melody", "KL", "(nats)", "12.3", "343.8"],
    ]
    _, heading, *lines = table.splitlines()
    assert {len(line) for line in lines} == {len(heading)}  # The columns stand below their heads.


def test_a_trios_cells_by_track_and_without_a_kl_for_the_baseline():
    trio = figures(lead=(0.1, 0.2), bass=(0.3, 0.4), drums=(0.5, 0.6))
    table = table1.format_cells(trio, 16, BASELINE)
    assert [line.split() for line in table.splitlines()[2:]] == [
        ["lead", "next", "0.100", "0.735"],
        ["lead", "recon", "0.200", "0.423"],
        ["bass", "next", "0.300", "0.781"],
        ["bass", "recon", "0.400", "0.414"],
        ["drums", "next", "0.500", "0.810"],
        ["drums", "recon", "0.600", "0.221"],
    ]
    assert table1.format_cells(trio, 16, VAE).count("177.4") == 3


@pytest.mark.parametrize(
    ("track", "num_bars", "column"),
    [
        ("melody", 4, SCHEDULED),
        ("melody", 16, VAE),
        ("drums", 32, BASELINE),
        ("drums", 16, VAE),  # Drums alone are not the drums of a trio.
        ("bass", 16, VAE),
        ("solo", 2, VAE),
        ("melody", 2, None),
        ("melody", 2, "mine"),
    ],
)
def test_what_the_paper_does_not_show_has_no_cells(track, num_bars, column):
    assert table1.format_cells(figures(**{track: (0.5, 0.5)}), num_bars, column) == ""
