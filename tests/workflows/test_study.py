"""Table 1 as a study: its runs, what is left of one that was stopped, and the table."""

import csv
import json
import os
import shutil
import statistics
import time

import numpy as np
import pytest
from matplotlib.figure import Figure

from magenta_vae import files
from magenta_vae.workflows import (
    run_files,
    runs,
    study,
    study_cells,
    study_claims,
    study_curves,
    study_report,
    study_rows,
    study_songs,
    training,
)


def make_study(folder, data_dirs, report=lambda line: None, **options):
    data_dir = os.path.join(folder, "data")
    os.makedirs(data_dir, exist_ok=True)
    for name, path in data_dirs.items():
        if not os.path.exists(os.path.join(data_dir, name)):
            os.symlink(path, os.path.join(data_dir, name))
    return study.Study(os.path.join(folder, "study"), data_dir, "tiny", report=report, **options)


@pytest.fixture(scope="module")
def melodies(data_dirs, tmp_path_factory):
    """The VAE of 2-bar melodies with two seeds, and the baseline with one."""
    folder, lines = str(tmp_path_factory.mktemp("study")), []
    own = make_study(folder, data_dirs, lines.append)
    cells = study_cells.make_cells(["mel_2bar"], ["baseline", "vae"], [0])
    cells += study_cells.make_cells(["mel_2bar"], ["vae"], [1])
    assert list(own.run(cells)) == cells
    table = study_report.write(own)
    return own, cells, lines, table


def test_each_run_is_of_its_column_and_seed(melodies):
    own, cells, _, _ = melodies
    losses = set()
    for cell in cells:
        with open(os.path.join(own.run_dir(cell), "config.gin")) as file:
            text = file.read()
        assert f"Experiment.seed = {cell.seed}\n" in text
        assert ("NoEncoder" in text) == (cell.column == "baseline")
        name = study_cells.COLUMNS[cell.column][0]
        assert f"table1_column = '{name}'" in text
        losses.add(own.result(cell)["figures"]["loss"])
        samples = os.path.join(own.run_dir(cell), "samples")
        assert len(os.listdir(samples)) == 2 * study.NUM_SAMPLES  # Each with its picture.
    assert len(losses) == len(cells)


def test_what_is_done_is_left_alone(melodies, monkeypatch):
    own, cells, lines, _ = melodies
    monkeypatch.setattr(training, "train", None)  # To call it is an error.
    assert list(own.run(cells)) == []
    assert lines[-1] == "3 of 3 runs are done"
    more = study_cells.make_cells(["mel_2bar"], ["vae"], [2])
    with pytest.raises(TypeError):
        list(own.run(more))
    assert "1 runs to go, about 0.0 hours" in lines[-1]


@pytest.mark.parametrize(
    "options, message",
    [
        ({"gin_params": ["music_vae.MusicVAE.free_bits = 1"]}, "another configuration"),
        ({"max_steps": 1}, "this study asks for 1"),
        ({"eval_examples": 1}, "asks for those of 1. Choose another"),
    ],
)
def test_runs_made_otherwise_do_not_share_a_table(melodies, data_dirs, options, message):
    own, cells, _, _ = melodies
    other = make_study(os.path.dirname(own.output_dir), data_dirs, **options)
    with pytest.raises(ValueError, match=message):
        list(other.run(cells[:1]))


@pytest.mark.slow
def test_more_steps_lengthen_what_is_done(data_dirs, tmp_path):
    cells = study_cells.make_cells(["mel_2bar"], ["baseline"], [0])
    for steps in (1, 2):
        own = make_study(str(tmp_path), data_dirs, max_steps=steps)
        assert list(own.run(cells)) == cells
        assert own.result(cells[0])["figures"]["step"] == steps


@pytest.mark.slow
def test_figures_of_some_held_out_windows_and_a_file_laid_over_every_run(data_dirs, tmp_path):
    cells = study_cells.make_cells(["mel_2bar"], ["scheduled"], [0])
    files = ["variants/tanh_states.gin"]
    own = make_study(str(tmp_path), data_dirs, max_steps=1, gin_files=files, eval_examples=5)
    assert list(own.run(cells)) == cells
    assert own.result(cells[0])["figures"]["examples"] == 5
    assert own.result(cells[0])["figures"]["intervals"]["songs"] <= 5
    config = (tmp_path / "study/runs/mel_2bar-scheduled-seed0/config.gin").read_text()
    assert "FlatDecoder.state_activation = 'tanh'" in config


def weights_of(run_dir):
    return runs.open(run_dir).network.get_weights()


@pytest.mark.slow
def test_runs_start_from_the_same_cells_of_another_study(melodies, data_dirs, tmp_path):
    other, cells, _, _ = melodies
    own = make_study(str(tmp_path), data_dirs, max_steps=1, init_from=other.output_dir)
    assert list(own.run(cells[:1])) == cells[:1]
    origin = run_files.read_record(own.run_dir(cells[0]))["origin"]
    assert origin["run_dir"] == os.path.abspath(other.run_dir(cells[0]))
    before, after = (weights_of(each.run_dir(cells[0])) for each in (other, own))
    # One step at a rate of some 1e-3: near the weights it starts from, not those of its seed.
    difference = max(np.abs(a - b).max() for a, b in zip(before, after, strict=True))
    assert 0 < difference < 0.01
    missing = study_cells.make_cells(["mel_2bar"], ["scheduled"], [0])
    with pytest.raises(FileNotFoundError, match="mel_2bar-scheduled-seed0"):
        list(own.run(missing))
    another = make_study(str(tmp_path), data_dirs, max_steps=1, init_from=own.output_dir)
    with pytest.raises(ValueError, match="Choose another"):
        list(another.run(cells[:1]))


def test_windows_of_another_length_are_not_set_beside_the_papers(melodies, monkeypatch):
    own, cells, _, _ = melodies
    result = own.result(cells[0])
    result["data"]["settings"]["num_bars"] = 8
    monkeypatch.setattr(own, "result", lambda cell: result)
    assert {row.paper for row in study_rows.collect(own)} == {None}


def test_the_table_has_mean_spread_and_the_papers_number(melodies):
    own, _, _, table = melodies
    figures = [own.result(study_cells.Cell("mel_2bar", "vae", seed))["figures"] for seed in (0, 1)]
    kls = [each["kl_nats"] for each in figures]
    accuracies = [each["tracks"]["melody"]["next_accuracy"] for each in figures]
    expected = (
        f"| mel_2bar | melody | VAE | 2 |"
        f" {statistics.fmean(accuracies):.3f} ± {statistics.stdev(accuracies):.3f} (0.986) |"
    )
    (line,) = [line for line in table.splitlines() if "| VAE |" in line]
    assert line.startswith(expected)
    assert f"{statistics.fmean(kls):.1f} ± {statistics.stdev(kls):.1f} (72.9) |" in line
    (baseline,) = [line for line in table.splitlines() if "| Baseline |" in line]
    assert "| 1 |" in baseline and baseline.endswith("| - |") and "±" not in baseline


def test_notes_right_stand_below_the_table_and_in_a_file_of_their_own(melodies):
    own, *_ = melodies
    scores = [
        own.result(study_cells.Cell("mel_2bar", "vae", seed))["figures"]["tracks"]["melody"]
        for seed in (0, 1)
    ]
    f1s = [each["notes"]["reconstruction"]["f1"] for each in scores]
    with open(os.path.join(own.output_dir, "table1.md")) as file:
        _, _, below = file.read().partition("Notes right")
    (line,) = [line for line in below.splitlines() if "| VAE |" in line]
    expected = f"{statistics.fmean(f1s):.3f} ± {statistics.stdev(f1s):.3f} |"
    assert line.startswith("| mel_2bar | melody | VAE | all |") and line.endswith(expected)
    with open(os.path.join(own.output_dir, "notes.csv")) as file:
        rows = list(csv.DictReader(file))
    values = {(row["column"], row["metric"]): float(row["mean"]) for row in rows}
    assert values["VAE", "notes F1"] == statistics.fmean(f1s)


def test_kinds_of_hit_have_rows_and_results_without_notes_have_none():
    kick, snare = ({"precision": p, "recall": 0.5, "f1": 0.5} for p in (0.25, None))
    notes = {"notes": {"reconstruction": kick}, "hits": {"kick": kick, "snare": snare}}
    of_seeds = {seed: {"figures": {"tracks": {"drums": notes}}} for seed in (0, 1)}
    rows = list(study_rows._note_rows("drums_2bar", "vae", of_seeds))
    assert "| drums_2bar | drums | VAE | kick | 0.250 ± 0.000 |" in study_report.format_notes(rows)
    assert "| drums_2bar | drums | VAE | snare | - |" in study_report.format_notes(rows)
    old = {0: {"figures": {"tracks": {"drums": {}}}}}
    assert list(study_rows._note_rows("drums_2bar", "vae", old)) == []
    assert study_report.format_notes([]) == ""


def test_intervals_of_seeds_are_put_together_where_all_have_them():
    def figures(low, high, **more):
        tracks = {"melody": {"next_accuracy": 0.5, "reconstruction_accuracy": 0.5}}
        bounds = {"kl_nats": [low, high], "tracks": {"melody": {"next_accuracy": [low, high]}}}
        return {"kl_nats": 3.0, "tracks": tracks, "intervals": {"figures": bounds}} | more

    data = {"settings": {"num_bars": 2}}
    several = {0: figures(0.25, 0.5), 1: figures(0.5, 1.0)}
    results = {seed: {"figures": each, "data": data} for seed, each in several.items()}
    rows = list(study_rows._rows("mel_2bar", "vae", results))
    assert [(row.metric, row.low, row.high) for row in rows] == [
        ("next", 0.375, 0.75),
        ("recon", None, None),
        ("KL", 0.375, 0.75),
    ]
    line = study_report.format_intervals(rows).splitlines()[-1]
    assert line == "| mel_2bar | melody | VAE | 0.375 to 0.750 | - | 0.4 to 0.8 |"
    del results[1]["figures"]["intervals"]  # Of an older version, or of data without songs.
    rows = list(study_rows._rows("mel_2bar", "vae", results))
    assert study_report.format_intervals(rows) == ""


def test_the_differences_of_columns_are_of_the_seeds_that_both_have(melodies):
    own, _, _, table = melodies
    vae, baseline = (
        own.result(study_cells.Cell("mel_2bar", column, 0))["figures"]["tracks"]["melody"]
        for column in ("vae", "baseline")
    )
    difference = vae["reconstruction_accuracy"] - baseline["reconstruction_accuracy"]
    expected = f"| mel_2bar | melody | recon: VAE - Baseline | 1 | {difference:.3f} (0.332) |"
    assert expected in table.splitlines()
    assert "scheduled" not in table  # No such run is done.


def test_differences_have_intervals_where_the_songs_were_kept(melodies, monkeypatch):
    own = melodies[0]
    name = ("tracks", "melody", "reconstruction_accuracy")
    ones = np.ones([2, 5])
    kept = {
        own.run_dir(study_cells.Cell("mel_2bar", column, 0)): {name: ones * [[share], [1.0]]}
        for column, share in (("vae", 0.75), ("baseline", 0.5))
    }
    monkeypatch.setattr(study_songs, "read", lambda run_dir: kept.get(run_dir, {}))
    table = study_claims.format_table([*study_claims.find(study_rows.collect(own), own)])
    recon, following = table.splitlines()[-2:]
    assert recon.endswith(" (0.332) | 0.250 to 0.250 | open |")  # Of one seed.
    assert following.endswith(" (0.263) | - | open |")


@pytest.mark.parametrize(
    ("values", "paper", "interval", "verdict"),
    [
        ([0.1, 0.2], 0.3, (0.05, 0.25), "holds"),
        ([0.1, 0.2], None, (0.05, 0.25), "holds"),
        ([-0.1, -0.2], -0.3, (-0.25, -0.05), "holds"),
        ([-0.1, -0.2], 0.3, (-0.25, -0.05), "fails"),
        ([0.1, 0.2], -0.3, (0.05, 0.25), "fails"),
        ([0.1, -0.01], 0.3, (0.01, 0.08), "open"),  # One seed lies on the other side.
        ([0.1, 0.2], 0.3, (-0.01, 0.25), "open"),
        ([0.1], 0.3, (0.05, 0.25), "open"),
        ([0.1, 0.2], 0.3, None, "open"),
    ],
)
def test_a_claim_needs_every_seed_and_the_interval(values, paper, interval, verdict):
    parts = ("mel_2bar", "melody", "VAE", "recon")
    row = study_rows.Row(*parts, values, paper, list(range(len(values))))
    assert study_claims.Claim(row, "Baseline", interval).verdict == verdict


def test_each_claim_has_a_picture(melodies, tmp_path):
    claims = [*study_claims.find(study_rows.collect(melodies[0]), melodies[0])]
    study_claims.draw(claims, str(tmp_path))
    names = ["claim-next-vae-baseline.png", "claim-recon-vae-baseline.png"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names


def test_a_column_alone_has_no_table_of_differences(melodies):
    rows = study_rows.collect(melodies[0])
    alone = [row for row in rows if row.column == rows[0].column]
    assert [*study_claims.find(rows, melodies[0])]
    assert study_claims.format_table([*study_claims.find(alone, melodies[0])]) == ""


def test_intervals_of_differences_are_over_songs_that_both_columns_share(tmp_path):
    name, rng = ("kl_nats",), np.random.default_rng(0)
    counts = rng.integers(1, 30, 40).astype(float)
    hard = rng.normal(50, 20, 40) * counts  # Songs differ far more than columns.
    places = {column: [str(tmp_path / column / str(seed)) for seed in range(2)] for column in "ab"}
    for column, gain in (("a", 0.0), ("b", 1.0)):
        for seed, place in enumerate(places[column]):
            noise = rng.normal(0, 0.1, 40) * counts
            of_songs = np.stack([hard + (gain + seed) * counts + noise, counts])
            study_songs.write(place, {name: of_songs, ("loss",): of_songs})
    assert list(study_songs.read(places["a"][0])) == [name]  # Only what Table 1 has.
    a, b = ([study_songs.read(place) for place in places[column]] for column in "ab")
    low, high = study_songs.find_interval(name, b, a)
    assert 0.9 < low < 1.0 < high < 1.1
    assert study_songs.find_interval(name, a, a) == (0, 0)
    assert study_songs.find_interval(name, a, [study_songs.read(str(tmp_path / "older"))]) is None
    study_songs.write(str(tmp_path / "other"), {name: of_songs[:, :30]})
    assert study_songs.find_interval(name, a, [study_songs.read(str(tmp_path / "other"))]) is None


def test_differences_have_the_spread_of_the_seeds():
    parts = ("mel_2bar", "melody", "VAE", "KL")
    row = study_rows.Row(*parts, [40.0, 44.0, 45.0], 76.2, [0, 1, 2])
    other = study_rows.Row(*parts, [33.0, 30.0], 72.9, [2, 0])
    assert str(row.minus(other)) == "11.0 ± 1.4 (3.3)"  # 10 and 12
    assert row.minus(other._replace(values=[1.0], seeds=[3])) is None
    assert str(row.minus(other._replace(paper=None))) == "11.0 ± 1.4"


def test_the_seconds_of_a_run_are_those_of_all_its_starts(data_dirs, tmp_path, monkeypatch):
    own = make_study(str(tmp_path), data_dirs)
    cells = study_cells.make_cells(["mel_2bar"], ["baseline"], [0])
    path = os.path.join(own.run_dir(cells[0]), study.SECONDS_FILE)

    def stopped(configured, run_dir, *_, **__):
        os.makedirs(run_dir, exist_ok=True)
        time.sleep(0.1)
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "train", stopped)
    for starts in (1, 2):
        with pytest.raises(KeyboardInterrupt):
            list(own.run(cells))
        with open(path) as file:
            assert json.load(file) >= 0.1 * starts
    files.write_text(path, '"x"')
    with pytest.raises(KeyboardInterrupt), pytest.warns(UserWarning, match=f"{path} is damaged"):
        list(own.run(cells))


def test_the_study_is_written_in_three_forms(melodies):
    own, cells, _, table = melodies
    with open(os.path.join(own.output_dir, "table1.md")) as file:
        text = file.read()
    assert text.startswith(table) and "windows to train on" in text
    with open(os.path.join(own.output_dir, "table1.json")) as file:
        described = json.load(file)
    assert [study_cells.Cell(*run["cell"]) for run in described["runs"]] == sorted(cells)
    rows = {(row["column"], row["metric"]): row for row in described["table"]}
    for claim in described["claims"]:
        values = [
            dict(zip(row["seeds"], row["values"], strict=True))
            for row in (
                rows[claim[column], claim["metric"]] for column in ("column", "other_column")
            )
        ]
        assert claim["values"] == [values[0][seed] - values[1][seed] for seed in claim["seeds"]]
    assert {claim["metric"] for claim in described["claims"]} == {"next", "recon"}
    with open(os.path.join(own.output_dir, "table1.csv")) as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(described["table"]) == 2 * 3 - 1  # The baseline has no KL.
    assert [float(row["mean"]) for row in rows] == [row["mean"] for row in described["table"]]
    for cell in cells:
        assert os.path.isfile(os.path.join(own.output_dir, "configs", f"{cell}.gin"))
    assert os.path.getsize(os.path.join(own.output_dir, "curves-mel_2bar.png")) > 10_000


def test_curves_are_those_of_the_evaluations(melodies):
    own, cells, _, _ = melodies
    curves = study_curves.read(own.run_dir(cells[1]))
    step, value = curves["kl"][-1]
    figures = own.result(cells[1])["figures"]
    assert step == figures["step"] and value == pytest.approx(figures["kl_nats"], rel=1e-5)
    assert "next_accuracy/melody" in curves


def test_a_peak_leaves_a_panel_that_says_how_high_it_goes():
    axes = Figure().subplots()
    axes.plot([1, 2, 3, 4], [21299.4, 176.0, 179.0, 185.0])
    study_curves.leave_out_peaks(axes)
    low, high = axes.get_ylim()
    assert 175 < low < 176 and 185 < high < 186
    assert [text.get_text() for text in axes.texts] == ["highest value, above: 21,299"]
    empty = Figure().subplots()
    study_curves.leave_out_peaks(empty)  # As the KL of a baseline.
    assert not empty.texts
    accuracies = Figure().subplots()
    accuracies.plot([1, 2, 3], [0.3, 0.5, 0.55])
    before = accuracies.get_ylim()
    study_curves.leave_out_peaks(accuracies)
    assert accuracies.get_ylim() == before and not accuracies.texts


def test_curves_are_written_as_numbers_too(melodies):
    own, cells, _, _ = melodies
    with open(os.path.join(own.output_dir, "curves.csv")) as file:
        rows = list(csv.DictReader(file))
    for cell in cells:
        curve = [row for row in rows if (row["column"], int(row["seed"])) == cell[1:]]
        figures = own.result(cell)["figures"]
        last, accuracy = curve[-1], figures["tracks"]["melody"]["next_accuracy"]
        assert int(last["step"]) == figures["step"]
        assert float(last["next_accuracy"]) == pytest.approx(accuracy, rel=1e-5)
        if cell.column == "baseline":
            assert all(row["kl"] == "" for row in curve)
        else:
            assert float(last["kl"]) == pytest.approx(figures["kl_nats"], rel=1e-5)


def test_a_missing_data_set_is_named_before_anything_is_trained(tmp_path):
    own = study.Study(str(tmp_path / "study"), str(tmp_path), "tiny")
    with pytest.raises(FileNotFoundError, match="no data set mel_2bar.*\n.*build_dataset"):
        list(own.run(study_cells.make_cells(["mel_2bar"], ["vae"], [0])))
    assert not os.path.exists(tmp_path / "study")


def test_all_cells_are_checked_before_one_is_trained(data_dirs, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "train", None)  # To call it is an error.
    wrong = {"drums_2bar": data_dirs["mel_2bar"]}
    cells = study_cells.make_cells(["mel_2bar", "drums_2bar"], ["vae"], [0])
    with pytest.raises(ValueError, match="drums_2bar holds windows of tracks"):
        list(make_study(str(tmp_path), data_dirs | wrong).run(cells))
    other = make_study(str(tmp_path / "other"), data_dirs, init_from=str(tmp_path))
    with pytest.raises(FileNotFoundError, match="--init_from=.* has no run mel_2bar-vae-seed0"):
        list(other.run(cells[:1]))
    path = tmp_path / "data" / "mel_2bar" / "dataset.json"
    path.parent.unlink()
    shutil.copytree(data_dirs["mel_2bar"], path.parent)
    description = json.loads(path.read_text())
    description["shards"]["eval"] = {}
    path.write_text(json.dumps(description))
    with pytest.raises(ValueError, match="The eval split of .* is empty"):
        list(make_study(str(tmp_path), {}).run(cells[:1]))


def test_a_bound_seed_is_refused(data_dirs, tmp_path):
    with pytest.raises(ValueError, match="must not bind the seed.*: --first_seed"):
        make_study(str(tmp_path), data_dirs, gin_params=["configuration.Experiment.seed = 7"])


@pytest.mark.parametrize(
    "change, message",
    [
        ({"cell": ["mel_2bar", "vea", 0]}, "cell must be a model, a column and a seed"),
        ({"cell": ["mel_2bar", [], 0]}, "cell must be a model, a column and a seed"),
        ({"cell": ["mel_2bar", "vae", 0, 1]}, "cell must be a model, a column and a seed"),
        ({"cell": 3}, "cell must be list"),
        ({"figures": {}}, "holds no step"),
    ],
)
def test_a_damaged_result_is_named(change, message, melodies, data_dirs, tmp_path):
    own, cells, _, _ = melodies
    other = make_study(str(tmp_path), data_dirs)
    os.makedirs(other.run_dir(cells[0]))
    path = os.path.join(other.run_dir(cells[0]), study.RESULT_FILE)
    files.write_text(path, json.dumps(own.result(cells[0]) | change))
    with pytest.raises(ValueError, match=f"{path} is damaged.*{message}"):
        other.result(cells[0])


@pytest.mark.parametrize(
    "models, columns, message",
    [(["mel"], ["vae"], "--models must be of drums_2bar"), (["mel_2bar"], ["vea"], "--columns")],
)
def test_what_there_is_not_is_refused(models, columns, message):
    with pytest.raises(ValueError, match=message):
        study_cells.make_cells(models, columns, [0])


def test_a_cell_that_is_named_twice_is_one():
    assert len(study_cells.make_cells(["mel_2bar"], ["vae", "vae"], [0])) == 1


@pytest.mark.slow
def test_the_whole_table(data_dirs, tmp_path):
    own = make_study(str(tmp_path), data_dirs)
    columns = [*study_cells.PAPER_COLUMNS, "flat"]
    cells = study_cells.make_cells(study_cells.MODELS, columns, [0])
    assert list(own.run(cells)) == cells
    table, differences = study_report.write(own).split("\n\n")
    num_tracks = 1 + 1 + 1 + 3  # Three tracks of the trio.
    assert len(table.splitlines()) == 2 + 4 * num_tracks
    # Six of accuracies for each track, and of the KL one for each model.
    assert len(differences.splitlines()) == 2 + 6 * num_tracks + len(study_cells.MODELS)
