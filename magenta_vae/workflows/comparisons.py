"""What a model made beside the music it was made of: onsets right, pictures, and what is said."""

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from magenta_vae.inference.reading import Reading
from magenta_vae.music import notes_right
from magenta_vae.music.window_format import WindowFormat
from magenta_vae.workflows import inputs
from magenta_vae.workflows.runs import Run

RECONSTRUCTED, GENERATED = "reconstructed", "generated"


@dataclasses.dataclass(frozen=True)
class Made:
    """Music that was made, each window beside the one that it was made of.

    Args:
        music: the NoteSequences.
        kinds: what each is: `RECONSTRUCTED` or `GENERATED`.
        read: the music that was read; None for samples.
        sources: which window of it each was made of, None for none.
        ways: how far each is on the way between two windows, 0 to 1, None where it is on none.
        prior: what samples are of, as titles name it.
    """

    music: Sequence[Any]
    kinds: Sequence[str]
    read: Reading | None = None
    sources: Sequence[int | None] = ()
    ways: Sequence[float | None] = ()
    prior: str | None = None

    def source(self, index: int) -> int | None:
        """Returns the window that was read for one that was made, None for none."""
        return self.sources[index] if self.sources else None


def options(
    run: Run,
    made: Made,
    what: str,
    temperature: float,
    seed: int,
    report: Callable[[str], None],
    made_by: Mapping | None,
) -> dict[str, Any]:
    """Returns what `outputs.write_music` takes to show music beside what it was made of.

    Args:
        run: the run.
        made: the music.
        what: a piece of it is called, in titles and below the windows of a sheet.
        temperature, seed: of its draws.
        report: is told how many onsets are right.
        made_by: the record, which gets what was read and how many onsets of it are right.
    """
    window_format = run.settings.window_format
    onsets = [_onsets(made, index, window_format) for index in range(len(made.music))]
    record = dict(made_by) if made_by is not None else None
    total = ""
    if made.read is not None:
        right, of = (sum(each[name] for each in onsets if each) for name in ("right", "of"))
        total = f"onsets right (pitch and step): {_share(right, of)}"
        report(total)
        if record is not None:
            record["read"] = [window.as_json() for window in made.read.windows]
            record["onsets"] = onsets
    how = caption(run, temperature, seed) + (f", prior {made.prior}" if made.prior else "")
    bars = f"{window_format.num_bars} bar" + "s" * (window_format.num_bars > 1)

    def draw(index: int) -> Any:
        from magenta_vae.music import sheets  # Late, with matplotlib.

        title = f"{how}\n{what} {index + 1} of {len(made.music)}, {bars}"
        if (source := made.source(index)) is not None and made.read is not None:
            each = onsets[index] or {"right": 0, "of": 0}
            title += f": {_share(each['right'], each['of'])} onsets right"
            title += f"\n{made.read.windows[source]}"
        return sheets.draw_comparison(_window(made, index, window_format), title)

    def draw_all() -> Any:
        from magenta_vae.music import sheets

        title = f"{how}\n{len(made.music)} {what}s of {bars}"
        if made.read is not None:
            lines = inputs.describe(made.read.windows)
            more = f", and {len(lines) - 2:,} more" if len(lines) > 2 else ""
            title += "; " + total + "".join(f"\n{line}" for line in lines[:2]) + more
        windows = []
        for index, each in enumerate(onsets):
            label = str(index + 1) + (f": {each['right']}/{each['of']}" if each else "")
            windows.append(_window(made, index, window_format)._replace(label=label))
        axis = f"{what}: onsets right / of the input" if made.read is not None else what
        return sheets.draw_sheet(windows, title, axis)

    return {"draw": draw, "draw_all": draw_all, "made_by": record}


def caption(run: Run, temperature: float, seed: int) -> str:
    """Returns whose music it is and how it was drawn, as pictures say it."""
    name = os.path.basename(os.path.abspath(run.folder))
    return f"{name}, step {run.step:,}, temperature {temperature:g}, seed {seed}"


def _window(made: Made, index: int, window_format: WindowFormat) -> Any:
    """Returns a window of a sheet."""
    from magenta_vae.music import sheets

    source = made.source(index)
    true, first_bar = None, 1
    if source is not None and made.read is not None:
        true = window_format.detokenize(made.read.tokens[source])
        first_bar = made.read.windows[source].first_bar
    kind = sheets.BY_WORD[made.kinds[index]]
    way = made.ways[index] if made.ways else None
    return sheets.Window(made.music[index], kind, source=true, way=way, first_bar=first_bar)


def _onsets(made: Made, index: int, window_format: WindowFormat) -> dict[str, Any] | None:
    """Returns how many onsets of the window that was read are in the one that was made of it."""
    source = made.source(index)
    if source is None or made.read is None:
        return None
    true = made.read.tokens[source][np.newaxis]
    tokens = window_format.tokenize(made.music[index])[np.newaxis]
    counts = notes_right.count(tokens, true, window_format.tracks)
    right, of = (
        int(sum(getattr(each, name).sum() for each in counts)) for name in ("right", "true")
    )
    return {"read": source, "right": right, "of": of, "share": round(right / of, 4) if of else None}


def _share(right: int, of: int) -> str:
    return f"{right:,} of {of:,}" + (f" ({right / of:.0%})" if of else "")
