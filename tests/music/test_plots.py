"""The pictures show what sounds, where it sounds, and are written whole or not at all."""

import os
import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import matplotlib
import numpy as np
import pytest
from matplotlib import _pylab_helpers
from matplotlib.colors import to_hex, to_rgb
from matplotlib.image import imread
from musical import DRUMS, MELODY, TRIO, part, seconds_only, sequence
from pictures import note_collections, note_colors, notes

from magenta_vae.music import piano_rolls, picture_layout, plots, sheets
from magenta_vae.music.note_sequences import note_sequence_to_song, song_to_note_sequence
from magenta_vae.music.synthetic import synthesize_song
from magenta_vae.music.tokens import detokenize

TWO_BARS = 32


def melody(text, velocities=None):
    instrument = part(text, name="melody")
    if velocities:
        instrument = instrument._replace(velocities=np.array(velocities, np.int32))
    return sequence(instrument)


def drums(text):
    return sequence(part(text, is_drum=True, name="drums"))


def trio(num_bars):
    lead = part(f"C5 -*15 .*{16 * num_bars - 17} C5", name="lead")
    return sequence(lead, part("C2", 32, name="bass"), part("K", name="drums"))


def rectangles(axes):
    """Returns (first step, steps, row) of what is drawn, the gaps between notes added again."""
    found = []
    for corners in notes(axes):
        (left, low), (right, high) = corners.min(axis=0), corners.max(axis=0)
        num_steps = right - left + picture_layout.NOTE_GAP
        found.append((left, pytest.approx(num_steps), pytest.approx((low + high) / 2)))
    return found


def texts(labels):
    return [label.get_text() for label in labels]


def lines(axes, label):
    """Returns the x of each upright line of a kind, or the y of each line across."""
    (found,) = [each for each in axes.collections if each.get_label() == label]
    across = label in ("rows", "black keys")
    return [segment[0][int(across)] for segment in found.get_segments()]


def read_sizes(path):
    """Returns the width and height of a PNG file in pixels."""
    return struct.unpack(">II", path.read_bytes()[16:24])


def test_a_melody_is_a_piano_roll():
    (axes,) = plots.draw_score(melody("C4 . D4 - E4+G4 -*3 .*8")).axes
    assert rectangles(axes) == [(0, 1, 60), (2, 2, 62), (4, 4, 64), (4, 4, 67)]
    assert axes.get_xlim() == (0, 16)
    assert axes.get_ylabel() == "melody"
    assert axes.get_xlabel() == "bar"


def test_the_pitches_are_cropped_to_what_sounds_and_named():
    (axes,) = plots.draw_score(melody("C4 C6")).axes
    assert axes.get_ylim() == (57.5, 86.5)  # Two free rows on either side.
    assert texts(axes.get_yticklabels()) == ["C4", "G4", "C5", "G5", "C6"]
    assert list(axes.get_yticks()) == [60, 67, 72, 79, 84]


@pytest.mark.parametrize("text", ["C4", "C-1", "G9", "F#4 G4", ".*16"])
def test_a_narrow_melody_still_shows_an_octave_and_its_name(text):
    (axes,) = plots.draw_score(melody(text)).axes
    low, high = axes.get_ylim()
    assert high - low >= piano_rolls.MIN_PITCHES > 12
    assert any(label.startswith("C") for label in texts(axes.get_yticklabels()))


def test_names_of_a_wide_melody_do_not_touch():
    figure = plots.draw_score(melody("C-1 G9"))
    figure.draw_without_rendering()
    boxes = [label.get_window_extent() for label in figure.axes[0].get_yticklabels()]
    assert len(boxes) == 11
    assert all(below.y1 < above.y0 for below, above in zip(boxes, boxes[1:], strict=False))


def test_bars_and_beats():
    (axes,) = plots.draw_score(melody("C4 -*31")).axes
    assert lines(axes, "beats") == [0, 4, 8, 12, 16, 20, 24, 28]
    assert lines(axes, "bars") == [0, 16]
    assert list(axes.get_xticks()) == [8, 24]  # Numbers stand below the middles of their bars.
    assert texts(axes.get_xticklabels()) == ["1", "2"]


def test_octaves_and_the_black_keys_of_a_piano():
    (axes,) = plots.draw_score(melody("C4 C5")).axes
    assert axes.get_ylim() == (57.5, 74.5)
    assert lines(axes, "rows") == [60, 72]
    assert lines(axes, "black keys") == [58, 61, 63, 66, 68, 70, 73]  # Bb C# Eb F# G# Bb C#
    (found,) = [each for each in axes.collections if each.get_label() == "black keys"]
    points_of_a_row = axes.bbox.height / axes.figure.dpi * 72 / 17
    assert found.get_linewidth() == pytest.approx(points_of_a_row)
    assert found.get_zorder() < note_collections(axes)[0].get_zorder()


def test_drums_have_no_keys():
    (axes,) = plots.draw_score(drums("K")).axes
    assert lines(axes, "black keys") == []
    assert lines(axes, "rows") == [row + 0.5 for row in range(8)]


def test_drums_are_a_grid():
    (axes,) = plots.draw_score(drums("K+H . S+H . O . L . M . T . C . R .")).axes
    kinds = [(0, 0), (0, 2), (2, 1), (2, 2), (4, 3), (6, 4), (8, 5), (10, 6), (12, 7), (14, 8)]
    assert rectangles(axes) == [(step, 1, kind) for step, kind in kinds]
    assert axes.get_ylabel() == "drums"
    assert texts(axes.get_yticklabels()) == [
        *("kick", "snare", "closed hi-hat", "open hi-hat"),
        *("low tom", "mid tom", "high tom", "crash", "ride"),
    ]


def test_a_kind_is_hit_once_a_step_for_one_step_and_other_pitches_are_not_hits():
    unreduced = drums("K - - -")
    for pitch in (35, 36, 127):  # Another kick, the same one again, none of the nine.
        unreduced.notes.add().CopyFrom(unreduced.notes[0])
        unreduced.notes[-1].pitch = pitch
    (axes,) = plots.draw_score(unreduced).axes
    assert rectangles(axes) == [(0, 1, 0)]


def test_a_trio_is_a_score_of_three_tracks_on_one_time_axis():
    figure = plots.draw_score(trio(2))
    assert [axes.get_ylabel() for axes in figure.axes] == ["lead", "bass", "drums"]
    assert [len(notes(axes)) for axes in figure.axes] == [2, 1, 1]
    assert {axes.get_xlim() for axes in figure.axes} == {(0, TWO_BARS)}
    lefts, bottoms, widths, _ = np.transpose([axes.get_position().bounds for axes in figure.axes])
    assert len(set(lefts)) == len(set(widths)) == 1
    assert list(bottoms) == sorted(bottoms, reverse=True)
    assert len({color for axes in figure.axes for color in note_colors(axes)}) == 3
    assert [len(axes.get_xticks()) for axes in figure.axes] == [0, 0, 2]  # Numbers below the last.


@pytest.mark.parametrize("num_bars, systems", [(1, [1]), (8, [8]), (9, [8, 1]), (32, [8] * 4)])
def test_a_long_score_continues_below(num_bars, systems):
    figure = plots.draw_score(melody(f"C4 -*{16 * num_bars - 2} D4"))
    limits = [axes.get_xlim() for axes in figure.axes]
    assert [(last - first) / 16 for first, last in limits] == systems
    assert [first for first, _ in limits[1:]] == [last for _, last in limits[:-1]]
    assert rectangles(figure.axes[-1])[-1] == (16 * num_bars - 1, 1, 62)
    numbers = [int(text) for axes in figure.axes for text in texts(axes.get_xticklabels())]
    assert numbers == list(range(1, num_bars + 1))
    assert len({axes.get_ylim() for axes in figure.axes}) == 1
    assert figure.get_figwidth() < 12


def test_a_note_held_into_the_next_system_is_drawn_in_both():
    figure = plots.draw_score(melody("C4 .*126 D4 -*3"))
    assert [rectangles(axes) for axes in figure.axes] == [
        [(0, 1, 60), (127, 4, 62)],
        [(127, 4, 62)],
    ]


def test_a_soft_note_is_paler_but_shows():
    (axes,) = plots.draw_score(melody("C4 D4 E4", velocities=[1, 60, 127])).axes
    alphas = note_collections(axes)[0].get_facecolors()[:, 3]
    assert picture_layout.MIN_ALPHA < alphas[0] < alphas[1] < alphas[2] == 1


@pytest.mark.parametrize("tracks, rest", [(MELODY, 129), (DRUMS, 0)])
def test_silence(tracks, rest):
    (axes,) = plots.draw_score(detokenize(np.full((TWO_BARS, 1), rest), tracks)).axes
    assert not notes(axes)
    assert axes.get_xlim() == (0, TWO_BARS)
    assert (len(axes.get_yticks()) == 9) == (tracks is DRUMS)


def test_random_tokens_of_a_trio():
    """What a model may sample before it has learned anything."""
    rng = np.random.default_rng(1)
    tokens = np.stack([rng.integers(track.num_classes, size=256) for track in TRIO], axis=-1)
    figure = plots.draw_score(detokenize(tokens, TRIO))
    counts = np.array([len(notes(axes)) for axes in figure.axes]).reshape(2, 3).sum(axis=0)
    hits = sum(int(token).bit_count() for token in tokens[:, 2])
    held = sum(int(column[127] < 128 == column[128]) for column in tokens[:, :2].T)
    assert counts.sum() == (tokens[:, :2] < 128).sum() + hits + held


def test_an_interpolation_is_a_strip():
    windows = [melody(f"{name} -*30 {name}") for name in ("C4", "D4", "E4", "F4")]
    (axes,) = plots.draw_interpolation(windows).axes
    starts = [0, 31, 32, 63, 64, 95, 96, 127]
    assert [start for start, *_ in rectangles(axes)] == starts
    assert axes.get_xlim() == (0, 4 * TWO_BARS)
    assert lines(axes, "windows") == [32, 64, 96]
    assert lines(axes, "bars") == list(range(0, 128, 16))
    assert lines(axes, "beats") == list(range(0, 128, 4))
    assert list(axes.get_xticks()) == [16, 48, 80, 112]
    assert texts(axes.get_xticklabels()) == ["1", "2", "3", "4"]
    assert axes.get_xlabel() == "step of the interpolation"


@pytest.mark.parametrize(
    "num_windows, num_bars, rows",
    [
        *[(15, 2, [5, 5, 5]), (9, 2, [3, 3, 3])],  # The paper's
        *[(2, 2, [2]), (5, 2, [5]), (6, 2, [3, 3]), (7, 2, [4, 3]), (11, 2, [4, 4, 3])],
        *[(3, 16, [1, 1, 1]), (4, 4, [2, 2]), (2, 10, [1, 1])],
    ],
)
def test_a_long_interpolation_continues_below(num_windows, num_bars, rows):
    steps = 16 * num_bars
    figure = plots.draw_interpolation([melody(f"C4 -*{steps - 1}")] * num_windows)
    assert [axes.get_xlim()[1] - axes.get_xlim()[0] for axes in figure.axes] == [
        steps * row for row in rows
    ]
    assert [len(notes(axes)) for axes in figure.axes] == rows
    numbers = [int(text) for axes in figure.axes for text in texts(axes.get_xticklabels())]
    assert numbers == list(range(1, num_windows + 1))
    drawn = [color for axes in figure.axes for color in note_colors(axes)]
    assert [index for index, color in enumerate(drawn) if color == "#000000"] == [
        0,
        num_windows - 1,
    ]
    assert [bool(axes.get_xlabel()) for axes in figure.axes] == [False] * (len(rows) - 1) + [True]
    assert len({axes.get_ylim() for axes in figure.axes}) == 1


def test_numbers_and_names_of_rows_do_not_touch():
    """The lowest name of a roll and the number below its first bar, in the corner."""
    for figure in (
        plots.draw_score(melody(f"G3 -*{16 * 9 - 1}")),
        plots.draw_interpolation([melody("G3 -*31")] * 15),
        plots.draw_score(trio(16)),
    ):
        figure.draw_without_rendering()
        for axes in figure.axes:
            labels = [*axes.get_xticklabels(), *axes.get_yticklabels(), axes.xaxis.label]
            boxes = [label.get_window_extent() for label in labels if label.get_text()]
            for index, box in enumerate(boxes):
                assert not any(box.overlaps(other) for other in boxes[:index])


@pytest.mark.parametrize("make, text", [(melody, "C4"), (drums, "K")])
@pytest.mark.parametrize("num_steps", [1, 2, 3, 9, 15])
def test_end_points_are_black_and_what_is_between_is_not(make, text, num_steps):
    figure = plots.draw_interpolation([make(text)] * num_steps)
    drawn = [color for axes in figure.axes for color in note_colors(axes)]
    first, *between = drawn[: num_steps - 1] or drawn
    assert first == drawn[-1] == "#000000"
    assert "#000000" not in between
    assert len(set(between)) == max(num_steps - 2, 0)


def test_a_track_silent_at_an_end_point_is_still_drums():
    silent = detokenize(np.zeros((TWO_BARS, 1), int), DRUMS)
    (axes,) = plots.draw_interpolation([silent, drums("K"), silent]).axes
    assert rectangles(axes) == [(TWO_BARS, 1, 0)]


def test_what_is_no_window_is_refused():
    unquantized = seconds_only(melody("C4"))
    with pytest.raises(ValueError, match="4 steps a quarter.*steps_per_quarter=0"):
        plots.draw_score(unquantized)
    with pytest.raises(ValueError, match="steps_per_quarter=0"):
        plots.draw_interpolation([melody("C4"), unquantized])
    with pytest.raises(ValueError, match="at least one sequence"):
        plots.draw_interpolation([])


@pytest.mark.parametrize("name", ["", r"$\no_math$ 100%", "Acoustic Grand Piano " * 5])
@pytest.mark.parametrize("num_bars", [1, 9])
def test_nothing_is_cut_off_whatever_it_is_called(name, num_bars):
    song = trio(num_bars)
    song.instrument_infos[0].name = name
    for figure in (plots.draw_score(song, name), plots.draw_interpolation([song], name)):
        width, height = figure.get_size_inches()
        box = figure.get_tightbbox()
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height
        for axes in figure.axes:  # Names of tracks stay beside them, left of the names of rows.
            track = axes.yaxis.label.get_window_extent()
            assert track.height < axes.bbox.height
            assert track.x1 < min(row.get_window_extent().x0 for row in axes.get_yticklabels())
        assert len(figure.texts) == 1 and figure.texts[0].get_text().startswith(name[:10])


def test_writing_a_png(tmp_path):
    figure = plots.draw_score(melody("C4"), "One note")
    path = tmp_path / "note.png"
    path.write_bytes(b"an older picture")
    plots.write_picture(figure, path, dots_per_inch=50)
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n" and data[-8:-4] == b"IEND"
    assert read_sizes(path) == tuple(int(inches * 50) for inches in figure.get_size_inches())
    assert os.listdir(tmp_path) == ["note.png"]
    pixels = imread(path)[..., :3].reshape(-1, 3)
    blue = np.array(to_rgb(plots.TRACK_COLORS[0]))
    assert (np.abs(pixels - blue).max(axis=1) < 0.01).sum() > 10


@pytest.mark.parametrize("suffix, begins", [("pdf", b"%PDF-"), ("svg", b"<?xml"), ("SVG", b"<?x")])
def test_writing_vectors(tmp_path, suffix, begins):
    """The same bytes whenever and by whatever thread: no date, no random names within."""
    figures = [plots.draw_score(melody("C4 D4 E4"), "Three notes") for _ in range(4)]
    paths = [tmp_path / f"{index}.{suffix}" for index in range(4)]
    settings = dict(matplotlib.rcParams)
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(plots.write_picture, figures, paths))
    assert {path.read_bytes() for path in paths} == {paths[0].read_bytes()}
    data = paths[0].read_bytes()
    assert data.startswith(begins)
    assert b"CreationDate" not in data and b"dc:date" not in data
    assert dict(matplotlib.rcParams) == settings
    if suffix != "pdf":  # A PDF's drawing is compressed.
        assert data.count(b"fill: #0072b2") == 3


def test_any_other_kind_of_picture_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"end in .png, .pdf, .svg. Received: .*note.gif"):
        plots.write_picture(plots.Figure(), tmp_path / "note.gif")
    assert not list(tmp_path.iterdir())


def test_hits_of_a_long_strip_do_not_touch(tmp_path):
    path = tmp_path / "strip.png"
    plots.write_picture(plots.draw_interpolation([drums("H*32")] * 15), path)
    is_black = imread(path)[..., :3].max(axis=-1) < 0.1
    changes = np.abs(np.diff(is_black.astype(int), axis=1)).sum(axis=1)
    height = len(changes) // 2
    for end_point in (changes[:height], changes[height:]):  # In the first row and in the last.
        assert end_point.max() >= 2 * 32  # Each hit begins and ends.


def test_a_png_is_written_whole_or_not_at_all(tmp_path):
    class Interrupted(plots.Figure):
        def savefig(self, file, **kwargs):
            file.write(b"half a picture")
            raise KeyboardInterrupt

    path = tmp_path / "note.png"
    path.write_bytes(b"an older picture")
    with pytest.raises(KeyboardInterrupt):
        plots.write_picture(Interrupted(), path)
    assert path.read_bytes() == b"an older picture"
    assert os.listdir(tmp_path) == ["note.png"]


def test_nothing_is_left_behind():
    window = melody("C4 D4")
    before, settings = window.SerializeToString(), dict(matplotlib.rcParams)
    plots.draw_score(window, "title")
    plots.draw_interpolation([window] * 3)
    assert window.SerializeToString() == before
    assert dict(matplotlib.rcParams) == settings
    assert not _pylab_helpers.Gcf.figs


def test_pyplot_is_not_loaded():
    program = "import sys, magenta_vae.music.plots; print('matplotlib.pyplot' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.stdout.strip() == "False", ran.stderr


def test_threads_draw_the_same_picture(tmp_path):
    song = song_to_note_sequence(note_sequence_to_song(synthesize_song(2, num_bars=4)))

    def draw(index):
        path = tmp_path / f"{index}.png"
        plots.write_picture(plots.draw_score(song, "A song"), path, dots_per_inch=40)
        return path.read_bytes()

    with ThreadPoolExecutor(4) as threads:
        pictures = set(threads.map(draw, range(6)))
    assert pictures == {draw("alone")}


def test_rows_of_windows_stand_below_one_another_on_the_same_pitches():
    one, other = melody("C4 .*15 C4"), melody(".*31 C5")
    rows = {"original": [one, other], "copy": [melody(".*31 C6")] * 2}
    original, copy = plots.draw_rows(rows).axes
    assert rectangles(original) == [(0, 1, 60), (16, 1, 60), (TWO_BARS + 31, 1, 72)]
    assert rectangles(copy) == [(31, 1, 84), (TWO_BARS + 31, 1, 84)]
    assert original.get_ylim() == copy.get_ylim() == (57.5, 86.5)
    assert set(note_colors(original)) == {to_hex(sheets.TRUE.color)}
    assert set(note_colors(copy)) == {plots.TRACK_COLORS[0].lower()}
    assert [axes.get_xlabel() for axes in (original, copy)] == ["original", "copy"]


@pytest.mark.parametrize(
    "rows",
    [{}, {"a": []}, {"a": [melody("C4")], "b": []}, {"a": [melody("C4")], "b": [melody("C4*17")]}],
)
def test_rows_that_are_not_alike_are_refused(rows):
    with pytest.raises(ValueError, match="Rows must be of windows, all alike. Received"):
        plots.draw_rows(rows)


def test_one_row_has_a_colour_and_a_narrow_picture_is_no_wider_than_asked():
    windows = [melody(".*31 C5")] * 4
    figure = plots.draw_rows({"sampled": windows}, width_inches=6)
    assert set(note_colors(figure.axes[0])) == {plots.TRACK_COLORS[0].lower()}
    assert figure.get_figwidth() == pytest.approx(picture_layout.LEFT + 6 + picture_layout.RIGHT)
    figure = plots.draw_interpolation(windows, width_inches=6)
    assert figure.get_figwidth() == pytest.approx(picture_layout.LEFT + 6 + picture_layout.RIGHT)
