"""What a picture of music holds, for tests."""

from matplotlib.collections import PolyCollection
from matplotlib.colors import to_hex


def notes(axes):
    """Returns the corners of each note drawn, [corners, (x, y)]."""
    return [path.vertices for each in note_collections(axes) for path in each.get_paths()]


def note_colors(axes):
    """Returns the colour of each note drawn, as hexadecimal digits."""
    return [to_hex(color) for each in note_collections(axes) for color in each.get_facecolors()]


def note_collections(axes):
    """Returns what is drawn of each window."""
    return [each for each in axes.collections if isinstance(each, PolyCollection)]
