"""Pictures that compare show what was read above what was made, in one legend."""

import numpy as np
import pytest
from matplotlib.colors import to_hex, to_rgb
from musical import DRUMS, TRIO, part, sequence
from pictures import note_colors, notes

from magenta_vae.music import sheets
from magenta_vae.music.sheets import GENERATED, RECONSTRUCTED, TRUE, Window
from magenta_vae.music.window_format import WindowFormat

BLACK, BLUE, ORANGE = (str(kind.color).lower() for kind in (TRUE, RECONSTRUCTED, GENERATED))


def melody(text):
    return sequence(part(text, name="melody"))


def trio():
    rng = np.random.default_rng(0)
    tokens = np.stack([rng.integers(track.num_classes, size=32) for track in TRIO], axis=-1)
    return WindowFormat(TRIO, 2).detokenize(tokens)


def legend(figure):
    (found,) = figure.legends
    return [text.get_text() for text in found.get_texts()]


def labels(axes):
    return [label.get_text() for label in axes.get_xticklabels()]


def starts(axes):
    return [round(corners[:, 0].min()) for corners in notes(axes)]


def test_the_input_stands_above_the_output_on_the_same_pitches():
    window = Window(melody("C6 -*31"), RECONSTRUCTED, source=melody("C4 -*31"), first_bar=7)
    above, below = sheets.draw_comparison(window, "a title").axes
    assert (note_colors(above), note_colors(below)) == ([BLACK], [BLUE])
    assert above.get_position().y0 > below.get_position().y1
    assert above.get_ylim() == below.get_ylim()
    assert (labels(above), labels(below)) == ([], ["7", "8"])
    assert legend(above.figure) == ["true", "reconstructed"]


def test_what_was_made_of_nothing_stands_alone():
    figure = sheets.draw_comparison(Window(melody("C4 -*31"), GENERATED))
    (axes,) = figure.axes
    assert note_colors(axes) == [ORANGE]
    assert legend(figure) == ["generated"]


def test_a_long_comparison_continues_below():
    long = melody(f"C4 -*{16 * 9 - 1}")
    figure = sheets.draw_comparison(Window(long, RECONSTRUCTED, source=long))
    assert [axes.get_xlim() for axes in figure.axes] == [(0, 128)] * 2 + [(128, 144)] * 2


def test_tracks_are_compared_one_by_one():
    figure = sheets.draw_comparison(Window(trio(), GENERATED, source=trio()))
    bottoms = [axes.get_position().y0 for axes in figure.axes]
    assert bottoms == sorted(bottoms, reverse=True)
    names = [axes.get_ylabel() for axes in figure.axes]
    assert names == ["lead", "lead", "bass", "bass", "drums", "drums"]
    assert [note_colors(axes)[0] for axes in figure.axes] == [BLACK, ORANGE] * 3


def test_a_sheet_has_one_axis_of_pitches_and_a_label_below_each_window():
    windows = [
        Window(melody(f"{name} -*31"), RECONSTRUCTED, f"{index}: 1/1", melody("C4 -*31"))
        for index, name in enumerate(("C2", "C4", "C5", "C6", "C7", "C3"))
    ]
    figure = sheets.draw_sheet(windows, "six", "window")
    assert len({axes.get_ylim() for axes in figure.axes}) == 1
    assert [labels(axes) for axes in figure.axes] == [
        [], ["0: 1/1", "1: 1/1", "2: 1/1"], [], ["3: 1/1", "4: 1/1", "5: 1/1"],
    ]  # fmt: skip
    assert [starts(axes) for axes in figure.axes] == [[0, 32, 64]] * 2 + [[96, 128, 160]] * 2
    assert figure.axes[-1].get_xlabel() == "window"


def test_only_what_was_made_of_something_has_a_row_above_it():
    music = melody("C4 -*31")
    way = sheets.on_the_way([music] * 7, RECONSTRUCTED)
    way[0], way[6] = (each._replace(source=music) for each in (way[0], way[6]))
    figure = sheets.draw_sheet(way)
    first, row, last, last_row = figure.axes  # Four windows, then three.
    assert (first.get_xlim(), row.get_xlim()) == ((0, 32), (0, 128))
    assert (last.get_xlim(), last_row.get_xlim()) == ((192, 224), (128, 224))
    assert last.get_position().x1 == pytest.approx(last_row.get_position().x1)
    assert (note_colors(first), note_colors(last)) == ([BLACK], [BLACK])
    drawn = [*note_colors(row), *note_colors(last_row)]
    assert drawn[0] == drawn[-1] == BLUE
    assert drawn[1:-1] == [to_hex(sheets.ramp_color(step / 4)) for step in range(5)]
    assert legend(figure) == ["true", "reconstructed", "generated"]


def test_colours_are_told_apart_also_by_their_lightness():
    """Where no hue is seen: black, blue and the way's lightest orange; and no shade is as black."""
    weights = np.array([0.2126, 0.7152, 0.0722])
    shades = [sheets.ramp_color(step / 4) for step in range(5)]
    lightness = [float(weights @ to_rgb(color)) for color in (TRUE.color, *shades)]
    assert all(np.diff(lightness) > 0)
    assert lightness[1] - lightness[0] > 0.1


def test_a_sheet_of_many_has_wide_rows_and_an_end_that_it_tells(monkeypatch):
    windows = [Window(melody("C4 -*31"), GENERATED, str(index)) for index in range(256)]
    figure = sheets.draw_sheet(windows, "many")
    assert len(labels(figure.axes[0])) == 8  # Of at most 20 bars, in 32 rows as long.
    assert sum(len(labels(axes)) for axes in figure.axes) == 256
    monkeypatch.setattr(sheets, "MAX_SHEET_INCHES", 8)
    figure = sheets.draw_sheet(windows, "many")
    shown = sum(len(labels(axes)) for axes in figure.axes)
    assert 0 < shown < 256
    assert figure.texts[0].get_text() == f"many\nthe first {shown} of 256 windows"


def test_a_sheet_is_of_windows():
    with pytest.raises(ValueError, match="at least one window. Received: none"):
        sheets.draw_sheet([])


@pytest.mark.parametrize("title", [None, "A very long title, " * 20 + "/of/a/path" * 30])
@pytest.mark.parametrize("num_windows", [1, 7])
def test_nothing_is_cut_off_and_nothing_touches(title, num_windows):
    drums = WindowFormat(DRUMS, 2).detokenize(np.full((32, 1), 511))
    for music in (melody("C4 -*31"), melody("C-1 -*30 G9"), drums, trio()):
        windows = [Window(music, RECONSTRUCTED, f"{n}: 24/28", music) for n in range(num_windows)]
        for figure in (
            sheets.draw_sheet(windows, title, "window: onsets right / of the input"),
            sheets.draw_comparison(windows[0], title),
        ):
            figure.draw_without_rendering()
            width, height = figure.get_size_inches()
            box = figure.get_tightbbox()
            assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height
            (key,) = figure.legends
            above = min(text.get_window_extent().y0 for text in figure.texts)
            below = max(axes.bbox.y1 for axes in figure.axes)
            assert below < key.get_window_extent().y0
            assert key.get_window_extent().y1 <= above or not title
            for axes in figure.axes:
                named = [*axes.get_xticklabels(), axes.xaxis.label]
                boxes = [label.get_window_extent() for label in named if label.get_text()]
                for index, each in enumerate(boxes):
                    assert not any(each.overlaps(other) for other in boxes[:index])
