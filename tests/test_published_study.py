"""The runs of the study that the docs publish: their tables, and their decoders by length."""

import json
import shutil
from pathlib import Path

import beside
import lengths
import pytest

from magenta_vae.workflows import study, study_report

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """Returns the folder of a study of the runs, and what it prints."""
    return write("few_visits", tmp_path_factory.mktemp("study"))


def write(name, folder):
    """Returns the folder of a study that the docs have, and what it prints, made in a folder."""
    shutil.copytree(DOCS / "studies" / name, folder / "runs")
    return folder, study_report.write(study.Study(str(folder), "no_data"))


def test_the_page_has_the_figures_and_the_claims_of_the_runs(report):
    _, text = report
    page = (DOCS / "reproduction.md").read_text()
    readme = (DOCS.parent / "README.md").read_text()
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("|")]
    rows = [row for row in rows if len(row) == 7 and row[3].isdecimal()]
    claims = [row for row in rows if row[-1].split()[0] in ("holds", "fails", "open")]
    figures = [row for row in rows if row not in claims]
    assert len(figures) >= 19 and len(claims) >= 30
    for row in figures:  # Seeds, next, recon and KL.
        assert f" | {' | '.join(row[3:]).removesuffix(' |')} | " in page, row
        assert row[2].startswith("Flat") or f" {row[5]} " in readme, row
    for row in claims:  # The difference, its interval and the verdict.
        assert f" | {' | '.join(row[4:])}\n" in page, row


def test_the_page_has_the_differences_of_the_decoders_by_length(report, tmp_path):
    folders = [write(f"lengths/bars{bars}", tmp_path / str(bars))[0] for bars in (2, 8, 16)]
    found = [lengths.read(folder) for folder in (*folders, report[0])]
    assert [each["bars"] for each in found] == [2, 8, 16, 32]
    page = (DOCS / "reproduction.md").read_text()
    for each in found:
        hierarchical, flat = each["recon"]
        assert each["seeds"] == [0, 1] and each["mean"] == pytest.approx(hierarchical - flat)
        assert each["low"] < each["mean"] < each["high"]
        assert f"\n{lengths.format_row(each)}\n" in page


@pytest.mark.parametrize(
    ("base", "others"),
    [
        ("hierdec_mel_32bar-vae-seed0", ["chance"]),
        ("hierdec_trio_16bar-scheduled-seed0", ["gap/units", "gap/steps", "gap/songs"]),
    ],
)
def test_the_page_has_runs_that_differ_from_the_study_in_one_thing(base, others):
    page = (DOCS / "reproduction.md").read_text()
    folders = [str(DOCS / "studies" / study / base) for study in ("few_visits", *others)]
    for folder in folders:
        for row in beside.format_rows(folder, folders[0]):
            _, figures = row.removeprefix("| ").split(" | ", 1)
            assert f" | {figures}\n" in page


def test_a_study_without_both_decoders_is_refused(tmp_path):
    (tmp_path / "table1.json").write_text(json.dumps({"claims": []}))
    with pytest.raises(ValueError, match=r"--studies must name .*no difference of the two"):
        lengths.read(tmp_path)
