"""What defines a data set, beside its songs."""

import dataclasses
import json
from collections.abc import Sequence

import numpy as np

from magenta_vae.data import vocabularies as track_values
from magenta_vae.music import classes, metres, readers, songs, tokens
from magenta_vae.music.window_format import WindowFormat


@dataclasses.dataclass(frozen=True)
class Settings:
    """What defines a data set, beside its songs.

    Args:
        tracks: the vocabularies of a window, in the order of its tokens.
        num_bars: the length of a window.
        max_rest_steps: the longest run of rests allowed in any track of a window.
        eval_fraction, test_fraction: the shares of songs in `eval` (held out) and `test`, by a hash
            of their bytes; of 0 to 1 each and together.
        reader: what reads MIDI, one of `readers.MIDI_READERS`.
        taken_as_4_4: metres that files are taken to be in 4/4 for, such as "1/4" where every beat
            is given a bar of its own, or "2/4" and "2/2", half and whole bars of 4/4. The paper's
            rule, that a song in another metre is dropped, is none.
    """

    tracks: Sequence[tokens.Vocabulary]
    num_bars: int
    max_rest_steps: int = songs.STEPS_PER_BAR  # paper, Dataset: "at most a single bar"
    eval_fraction: float = 0.1  # The paper does not say.
    reader: str = "symusic"
    taken_as_4_4: Sequence[str] = ()
    test_fraction: float = 0.0

    def __post_init__(self):
        try:
            _ = self.accepted_metres
        except (AttributeError, ValueError) as error:
            raise ValueError(
                "taken_as_4_4 must be a list of metres whose bars make up bars of 4/4, as in "
                f"('1/4', '2/4'). Received: taken_as_4_4={self.taken_as_4_4!r}."
            ) from error
        _ = self.window_format  # Refuses tracks and bars that no window has.
        for track in self.tracks:
            classes.check(track)
        shares = self.eval_fraction, self.test_fraction
        if not (all(0 <= share <= 1 for share in shares) and sum(shares) <= 1):
            raise ValueError(
                "eval_fraction and test_fraction must be in [0, 1], as must their sum. "
                f"Received: eval_fraction={shares[0]}, test_fraction={shares[1]}."
            )
        if self.reader not in readers.MIDI_READERS:
            raise ValueError(
                f"reader must be one of {', '.join(readers.MIDI_READERS)}. "
                f"Received: reader={self.reader}."
            )

    @property
    def window_format(self) -> WindowFormat:
        """What every window is."""
        return WindowFormat(self.tracks, self.num_bars)

    @property
    def num_steps(self) -> int:
        """Sixteenth notes in a window."""
        return self.window_format.num_steps

    @property
    def row_size(self) -> int:
        """Tokens in a window."""
        return self.num_steps * len(self.tracks)

    @property
    def token_dtype(self) -> np.dtype:
        """The smallest integer that holds every class."""
        return np.min_scalar_type(max(self.window_format.num_classes) - 1)

    @property
    def accepted_metres(self) -> frozenset[metres.Metre]:
        """The metres that are taken as 4/4, beside 4/4 itself."""
        return frozenset(map(metres.parse_name, self.taken_as_4_4))

    def describe(self) -> dict:
        """Returns the settings as JSON values, later ones only where they say something."""
        described = dataclasses.asdict(self)
        for name in ("taken_as_4_4", "test_fraction"):
            if not described[name]:  # As versions wrote it that did not know the setting.
                del described[name]
        described["tracks"] = track_values.describe(self.tracks)
        return json.loads(json.dumps(described))


def num_steps(num_bars: int) -> int:
    """Returns the sixteenth notes of a window of so many bars."""
    if not isinstance(num_bars, int):
        raise ValueError(f"num_bars must be a whole number. Received: num_bars={num_bars!r:.40}.")
    return num_bars * songs.STEPS_PER_BAR


def settings_of(described: dict) -> Settings:
    """Returns the settings that `Settings.describe` gave. Raises `ValueError` for any others."""
    try:
        tracks = track_values.from_description(described["tracks"])
        return Settings(**{**described, "tracks": tracks})
    except KeyError as error:
        raise ValueError(f"The settings of the data set hold no {error}: {described}.") from error
    except (TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"These are no settings of a data set: {described}: {error}") from error
