"""The runs of the study that the docs publish: their tables, and their decoders by length."""

import json
import shutil
import statistics
from pathlib import Path

import beside
import lengths
import numpy as np
import pytest
import scaling
from scipy import stats

from magenta_vae.workflows import study, study_report

DOCS = Path(__file__).parents[1] / "docs"
README_COLUMNS = "Baseline", "VAE", "VAE w/ scheduled sampling"
UNITS, STEPS = (64, 128, 256), (1500, 3000, 6000)  # Of the scaling.


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """Returns the folder of a study of the runs, and what it prints."""
    return write("few_visits", tmp_path_factory.mktemp("study"))


def write(name, folder):
    """Returns the folder of a study that the docs have, and what it prints, made in a folder."""
    shutil.copytree(DOCS / "studies" / name, folder / "runs")
    return folder, study_report.write(study.Study(str(folder), "no_data"))


def label(model, track):
    """Returns how the page calls a track of a model."""
    names = {
        "drums_2bar": "2-bar drums",
        "mel_2bar": "2-bar melodies",
        "hierdec_mel_32bar": "32-bar melodies",
        "hierdec_trio_16bar": "trio",
    }
    return f"{names[model]}, {track}" if model == "hierdec_trio_16bar" else names[model]


def rows_of(text, num_cells):
    """Returns the rows of Markdown tables that have so many cells, without the headings."""
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    return [line for line in lines if len(line) == num_cells and line[-1] not in ("", "---")]


def section(heading, following):
    """Returns the part of the page from a heading to the next one."""
    page = (DOCS / "reproduction.md").read_text()
    return page[page.index(f"\n{heading}\n") : page.index(f"\n{following}\n")]


def test_the_page_has_the_figures_of_the_runs(report):
    folder, _ = report
    described = json.loads((folder / "table1.json").read_text())
    in_readme = {row[0].replace("trio:", "trio,"): row[1:] for row in readme_rows()}
    table = section("## The table", "## The paper's claims")
    found, model = {}, None
    for line in (line for line in table.splitlines() if line.count("|") == 9):
        first, column, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        model = first or model
        found[model, column] = cells
    f1 = {
        (label(row["model"], row["track"]), row["column"]): row["mean"]
        for row in described["notes"]
        if row["metric"] == "notes F1"
    }
    assert len(f1) >= 19
    for key, mean in f1.items():
        assert found[key][-1] == f"{mean:.3f}", key
    for row in described["table"]:
        key = label(row["model"], row["track"]), row["column"]
        place = ["next", "recon", "KL"].index(row["metric"])
        paper = "" if row["paper"] is None else f" ({table1_format(row, row['paper'])})"
        spread = f" ± {table1_format(row, row['deviation'])}"
        cell = f"{table1_format(row, row['mean'])}{spread}{paper}"
        assert found[key][0] == str(len(row["seeds"])) and found[key][1 + place] == cell, key
        if row["metric"] == "recon":
            assert found[key][4] == f"{row['low']:.3f} to {row['high']:.3f}", key
            if not key[1].startswith("Flat"):
                assert in_readme[key[0]][README_COLUMNS.index(key[1])] == f"{cell}", key


def readme_rows():
    """Returns the rows of the study in the README's table."""
    readme = (DOCS.parent / "README.md").read_text()
    start = readme.index("| `recon` | baseline | VAE | VAE with scheduled sampling |")
    rows = rows_of(readme[start:].partition("\n\n")[0], 4)[1:]
    assert len(rows) == 7 and "folk tunes" in rows[-1][0]  # The last one is of the older study.
    return rows[:-1]


def table1_format(row, value):
    """Returns a number with the digits of its metric."""
    return f"{value:.1f}" if row["metric"] == "KL" else f"{value:.3f}"


def test_the_page_has_the_claims_of_the_runs(report):
    folder, text = report
    claims = json.loads((folder / "table1.json").read_text())["claims"]
    printed = [row for row in rows_of(text, 7) if row[-1] in ("holds", "fails", "open")]
    assert len(printed) == len(claims) >= 30
    expected = []
    for claim, row in zip(claims, printed, strict=True):
        name = label(claim["model"], claim["track"])
        if claim["metric"] == "KL":
            name = name.partition(",")[0]
        expected.append([name, *row[4:]])
    assert rows_of(section("## The paper's claims", "## 2-bar melodies"), 4) == expected


@pytest.mark.parametrize(
    ("model", "tracks", "seed", "num_known"),
    [
        ("drums_2bar", ["drums"], 3, 3),
        ("mel_2bar", ["melody"], 3, 3),
        ("mel_2bar", ["melody"], 5, 3),
        ("hierdec_mel_32bar", ["melody"], 2, 2),
        ("hierdec_trio_16bar", ["lead", "bass", "drums"], 2, 2),
        ("hierdec_trio_16bar", ["lead", "bass", "drums"], 3, 3),
    ],
)
def test_the_page_has_the_ranges_of_further_seeds_and_what_they_gave(
    model, tracks, seed, num_known
):
    page = (DOCS / "reproduction.md").read_text()
    rows = rows_of(page[page.index("\n### Further seeds\n") :], 8)
    found = {tuple(row[:2]): row[2:] for row in rows}
    runs = DOCS / "studies" / "few_visits"
    known = [runs / f"{model}-scheduled-seed{number}" for number in range(num_known)]
    known = [each if each.exists() else runs / "further" / each.name for each in known]
    further = figures(runs / "further" / f"{model}-scheduled-seed{seed}")
    width = {2: 15.6, 3: 5.0}[num_known]  # The rule of the page.
    for track in tracks:
        names = [(track, "next_accuracy"), (track, "reconstruction_accuracy")]
        names += [] if tracks.index(track) else ["kl_nats"]
        cells = []
        for name in names:
            values = [figures(each)[name] for each in known]
            mean, spread = statistics.fmean(values), width * statistics.stdev(values)
            digits = 1 if name == "kl_nats" else 3
            given, low, high = further[name], mean - spread, mean + spread
            mark = "" if low < given < high else "**"
            cells.append(f"{low:.{digits}f} to {high:.{digits}f}")
            cells.append(f"{mark}{given:.{digits}f}{mark}")
        assert found[label(model, track), str(seed)][: len(cells)] == cells


def figures(folder):
    """Returns the figures of a run, by track and name."""
    read = json.loads((folder / "result.json").read_text())["figures"]
    tracks = {(track, name): each[name] for track, each in read["tracks"].items() for name in each}
    return {"kl_nats": read["kl_nats"], **tracks}


def test_the_page_has_the_differences_of_the_decoders_by_length(report, tmp_path):
    folders = [write(f"lengths/bars{bars}", tmp_path / str(bars))[0] for bars in (2, 8, 16)]
    equal = [write_equal(name, tmp_path / name) for name in ("equal_time", "equal_parameters")]
    found = [lengths.read(folder) for folder in (*folders, report[0], *equal)]
    assert [each["bars"] for each in found] == [2, 8, 16, 32, 32, 32]
    names = ["2", "8", "16", "32", "32, flat in equal time", "32, flat of equal parameters"]
    expected = []
    for name, each in zip(names, found, strict=True):
        hierarchical, flat = each["recon"]
        assert each["seeds"] == [0, 1] and each["mean"] == pytest.approx(hierarchical - flat)
        expected.append([name, *lengths.format_row(each).strip("| ").split(" | ")[1:]])
    assert rows_of(section("## Hierarchical against flat, by length", "## Trio"), 7)[1:] == expected


def write_equal(name, folder):
    """Returns the folder of a study of the page's hierarchical decoders and other flat ones."""
    for seed in (0, 1):
        run = f"hierdec_mel_32bar-scheduled-seed{seed}"
        shutil.copytree(DOCS / "studies" / "few_visits" / run, folder / "runs" / run)
    shutil.copytree(DOCS / "studies" / "flat" / name, folder / "runs", dirs_exist_ok=True)
    study_report.write(study.Study(str(folder), "no_data"))
    return folder


def test_the_page_has_the_scaling_of_the_runs():
    folders = [DOCS / "studies" / "scaling" / f"{u}-{n}" for u in UNITS for n in STEPS]
    read = [scaling.read(folder) for folder in folders]
    law = scaling.fit(*np.array(read, float).T)
    text = section("## Scaling", "## How")
    assert f"\n{scaling.format_law(law)}\n" in text
    assert f"estimate:** {law.loss(128e6, 51.2e6):.1f} (95 %: " in text
    expected = []
    for folder, (parameters, windows, loss) in zip(folders, read, strict=True):
        units, steps = map(int, folder.name.split("-"))
        described = json.loads((folder / "result.json").read_text())
        track = described["figures"]["tracks"]["melody"]
        fitted = law.loss(parameters, windows)
        expected.append(
            [f"{units}", f"{parameters:,}", f"{windows:,}", f"{described['seconds'] / 60:.1f}"]
            + [f"{loss:.2f}", f"{fitted:.2f}", f"{track['next_accuracy']:.3f}"]
            + [f"{track['reconstruction_accuracy']:.3f}"]
        )
        assert windows == 64 * steps
        bound = dict(bindings(folder))
        rate = float(bound["learning_rate/schedules.ExponentialDecay.initial"])
        assert rate == pytest.approx(0.192 / units)
    assert rows_of(text, 8)[1:] == expected


def test_the_page_has_the_losses_of_the_widths_at_one_rate():
    falling, same = (
        np.array([[loss_of(name, units, steps) for steps in STEPS] for units in UNITS])
        for name in ("scaling", "rates")
    )
    text = " ".join(section("## Scaling", "## How").split())
    *narrower, widest = (", ".join(f"{loss:.2f}" for loss in losses) for losses in same)
    assert f"| 7.5e-4 | {' | '.join(narrower)} | **{widest}** |" in text
    for rate, losses in zip(("3e-3", "1.5e-3"), falling[:2], strict=True):
        (row,) = (row for row in rows_of(section("## Scaling", "## How"), 4) if row[0] == rate)
        assert "**" + ", ".join(f"{loss:.2f}" for loss in losses) + "**" in row
    of_units, of_windows = gains(same, axis=0), gains(same, axis=1)
    assert (
        f"twice the units lower the loss by {of_units}, twice the windows by {of_windows} (" in text
    )
    of_units, of_windows = gains(falling, axis=0), gains(falling, axis=1)
    assert (
        f"twice the units lower the loss by {of_units}, twice the windows by {of_windows}." in text
    )


def loss_of(name, units, steps):
    """Returns the held-out loss of a width after some steps; 256 units have the lowest rate."""
    name = "scaling" if units == UNITS[-1] else name
    path = DOCS / "studies" / name / f"{units}-{steps}" / "result.json"
    return json.loads(path.read_text())["figures"]["loss"]


def gains(losses, axis):
    """Returns by how much the losses fall along an axis, as the geometric mean, in percent."""
    return f"{100 * (1 - np.exp(np.diff(np.log(losses), axis=axis).mean())):.1f} %"


@pytest.mark.parametrize(
    ("name", "between", "runs"),
    [
        (
            "hierdec_mel_32bar-vae-seed0",
            ("## Learning long windows", "## Hierarchical against flat, by length"),
            {
                "few_visits": ("growing", []),
                "chance": ("whole", ["configuration.Experiment.curriculum", "pace"]),
            },
        ),
        (
            "hierdec_trio_16bar-scheduled-seed0",
            ("## The trio's gap", "## Scaling"),
            {
                "few_visits": ("as in the table", []),
                "gap/half_units": (
                    "half the units",
                    [
                        "decoders.Conductor.num_units",
                        "decoders.HierarchicalDecoder.num_units",
                        "encoders.BidirectionalLSTM.num_units",
                    ],
                ),
                "gap/half_steps": ("half the steps", ["curriculum.GrowingWindows.until", "pace"]),
                "gap/half_songs": ("half the songs", []),
                "gap/twice_steps": ("twice the steps", ["curriculum.GrowingWindows.until", "pace"]),
            },
        ),
    ],
)
def test_the_page_has_runs_that_differ_from_the_study_in_one_thing(name, between, runs):
    base = DOCS / "studies" / "few_visits" / name
    expected = []
    for other, (called, differing) in runs.items():
        folder = DOCS / "studies" / other / name
        for row in beside.format_rows(str(folder), str(base)):
            expected.append([called, *row.strip("| ").split(" | ")[1:]])
        changed = bindings(folder) ^ bindings(base)
        assert sorted({binding for binding, _ in changed}) == differing
    assert rows_of(section(*between), 8)[1:] == expected


def test_the_page_has_how_far_seeds_of_the_trio_lie_apart():
    runs = DOCS / "studies" / "few_visits"
    names = [f"hierdec_trio_16bar-scheduled-seed{seed}" for seed in range(4)]
    folders = [next(runs.glob(f"**/{name}")) for name in names]
    losses = [json.loads((each / "result.json").read_text())["figures"]["loss"] for each in folders]
    text = " ".join(section("## The trio's gap", "## Scaling").split())
    first, second, third, fourth = (f"{loss:,.0f}" for loss in losses)
    assert f"losses are {first}, {second}, {third} and {fourth} nats" in text
    low, high = one_more(losses)
    assert f"expected between {low:,.0f} and {high:,.0f} (Student's t, 95 %)" in text
    for track, words in (
        ("lead", "between {} and {} of the lead's `recon`"),
        ("bass", "{} and {} of the bass's"),
        ("drums", "{} and {} of the drums'"),
    ):
        values = [figures(each)[track, "reconstruction_accuracy"] for each in folders]
        assert words.format(*(f"{bound:.3f}" for bound in one_more(values))) in text, track


def one_more(values):
    """Returns where one more value is expected, by Student's t at 95 %."""
    t = stats.t.ppf(0.975, len(values) - 1)
    spread = t * statistics.stdev(values) * (1 + 1 / len(values)) ** 0.5
    mean = statistics.fmean(values)
    return mean - spread, mean + spread


def test_half_the_songs_were_half_of_those_to_train_on():
    name = "hierdec_trio_16bar-scheduled-seed0"
    whole, half = (
        json.loads((DOCS / "studies" / folder / name / "result.json").read_text())["data"]["counts"]
        for folder in ("few_visits", "gap/half_songs")
    )
    songs_to_train = 0.9 * whole["files_read"]
    assert half["files_dropped"]["in no split"] == pytest.approx(songs_to_train / 2, rel=0.03)
    assert half["windows_kept_train"] == pytest.approx(whole["windows_kept_train"] / 2, rel=0.05)


def bindings(folder):
    """Returns the (name, value) of a run's configuration."""
    lines = (folder / "config.gin").read_text().splitlines()
    return {tuple(line.split(" = ")) for line in lines if " = " in line}


def test_a_study_without_both_decoders_is_refused(tmp_path):
    (tmp_path / "table1.json").write_text(json.dumps({"claims": []}))
    with pytest.raises(ValueError, match=r"--studies must name .*no difference of the two"):
        lengths.read(tmp_path)


@pytest.mark.parametrize(
    "read", [lengths.read, scaling.read, lambda each: beside.format_rows(each, each)]
)
def test_a_folder_that_table1_did_not_make_is_named(read, tmp_path):
    with pytest.raises(FileNotFoundError, match=f"--.* must .* There is no {tmp_path}/"):
        read(str(tmp_path))


def test_runs_of_one_size_have_no_scaling():
    runs = [DOCS / "studies" / "scaling" / f"64-{num_steps}" for num_steps in STEPS]
    with pytest.raises(
        ValueError, match=r"--runs must name at least 9 .*Received: 3, of 1 and 3\."
    ):
        scaling.read_all(runs)


def test_runs_of_other_windows_are_refused():
    runs = DOCS / "studies" / "few_visits"
    folders = (str(runs / f"{model}-vae-seed0") for model in ("mel_2bar", "drums_2bar"))
    with pytest.raises(ValueError, match="must be runs of one model, measured on the same windows"):
        beside.format_rows(*folders)
