"""The decoders' differences at several lengths are those of the studies' claims."""

import json
import shutil
from pathlib import Path

import lengths
import pytest

from magenta_vae.workflows import study, study_report

STUDY = Path(__file__).parents[1] / "docs" / "studies" / "few_visits"


@pytest.fixture(scope="module")
def thirty_two_bars(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    for column in ("scheduled", "flat"):
        for seed in (0, 1):
            name = f"hierdec_mel_32bar-{column}-seed{seed}"
            shutil.copytree(STUDY / name, folder / "runs" / name)
    study_report.write(study.Study(str(folder), "no_data"))
    return folder


def test_a_study_gives_the_difference_with_its_interval(thirty_two_bars):
    found = lengths.read(thirty_two_bars)
    hierarchical, flat = found["recon"]
    assert found["bars"] == 32 and found["seeds"] == [0, 1]
    assert found["mean"] == pytest.approx(hierarchical - flat)
    assert found["low"] < found["mean"] < found["high"] < 0
    assert found["f1"][1] == pytest.approx(0.122, abs=5e-4)


def test_a_study_without_both_decoders_is_refused(tmp_path):
    (tmp_path / "table1.json").write_text(json.dumps({"claims": []}))
    with pytest.raises(ValueError, match=r"--studies must name .*no difference of the two"):
        lengths.read(tmp_path)
