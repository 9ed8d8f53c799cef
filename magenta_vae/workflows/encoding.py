"""Where a run puts windows in its latent space: as a file, a map, and in TensorBoard."""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from magenta_vae import display
from magenta_vae.data import provenance, sources
from magenta_vae.data.settings import Settings
from magenta_vae.inference import latent_files, latent_maps, latents
from magenta_vae.inference.latents import Latents, Windows
from magenta_vae.inference.music_model import MusicModel
from magenta_vae.music import attributes, plots, windows
from magenta_vae.music.songs import SongError
from magenta_vae.training import projector
from magenta_vae.workflows import inputs
from magenta_vae.workflows.runs import Run

MAX_PROJECTED = 3_000  # Windows in the projector, which a browser turns round smoothly.


def encode(
    run: Run,
    data_dir: str | None = None,
    split: str = "eval",
    music: Sequence[str] = (),
    output: str | None = None,
    tokens: bool = False,
    map_path: str | None = None,
    color: str | None = None,
    track: str | None = None,
    method: str = latent_maps.PCA,
    seed: int = 0,
    report: Callable[[str], None] = lambda line: None,
) -> None:
    """Writes the posteriors of a data set's windows, or of those of music, and a map of them.

    Of any number of windows some are in memory at a time, and those that are drawn.

    Args:
        run: an opened run.
        data_dir: a data set; the run's own for None.
        split: of the data set.
        music: files, folders, globs and archives, in the place of a data set: the windows that
            `song_windows` cuts, each as often as it occurs.
        output: an NPZ file, see `latent_files.writing`; None for none.
        tokens: whether that holds the windows too.
        map_path: a picture of at most `latent_maps.MAX_POINTS` of them; None for none.
        color: the attribute that colours the map; the first that the track has for None.
        track: whose attribute; see `attributes.choose_track`.
        method: of the map, see `latent_maps.project`.
        seed: of which windows are drawn, and of UMAP.
        report: is given lines about the result.

    Raises:
        FileNotFoundError: where there is no such data set or music.
        SongError: where no piece of the music fits.
        ValueError: for a model without a latent space, and as `latent_maps.project` does.
    """
    model = run.model(data_dir)
    if map_path:
        latent_maps.check(method, model.z_size)
    color = _choose_color(model, color, track)
    if music:
        batches = _encode_music(model, run.settings, music, report)
        what = f"of {', '.join(music)}"
    else:
        batches = model.encode_dataset(data_dir, split)
        what = f"of {split} of {data_dir or run.data_dir()}"
    drawn = latent_maps.Drawn(seed=seed)
    with latent_files.writing(output, tokens) if output else contextlib.nullcontext() as file:
        for batch in batches:
            if file:
                file.add(batch)
            if map_path:
                drawn.add(batch)
    if file:
        report(f"wrote {output}: {_describe(file, what)}")
    if map_path:
        points = latent_maps.project(drawn.mu, method, seed)
        values = attributes.measure(drawn.tokens, model.tracks, track)[color]
        label = f"{color.replace('_', ' ')} ({attributes.ATTRIBUTES[color].unit})"
        title = f"{len(drawn.mu):,} of {drawn.num_seen:,} windows {what}"
        plots.write_picture(latent_maps.draw(points, values, label, title), map_path)
        report(f"wrote {map_path}: {title}; {', '.join(points.labels)}")


def song_windows(
    pieces: Sequence[str], settings: Settings, report: Callable[[str], None] = lambda line: None
) -> Iterator[Windows]:
    """Yields the windows of each song, one bar apart, as they are cut for a data set.

    Pieces that do not fit are left out, counted by their reasons and reported at the end.

    Args:
        pieces: files, folders, globs and archives.
        settings: what a window is.
        report: is given the reasons.

    Raises:
        FileNotFoundError: for a piece that names nothing.
        SongError: where no piece fits.
    """
    num_read, left_out = 0, []
    found = sources.read_sources(sources.find_files(pieces))
    for source in display.track(found, "encoding songs"):
        try:
            read = source.parse(source.read(), settings.reader)
            song = windows.in_common_time(read, settings.accepted_metres)
            for cut in windows.song_windows(song, settings.window_format, settings.max_rest_steps):
                places = np.zeros(len(cut.tokens), np.int32)
                yield Windows(cut.tokens, places, cut.bars + 1, [source.name])
            num_read += 1
        except SongError as error:
            left_out.append(SongError(f"{source.name}: {error.reason}", error.detail))
    if left_out:
        inputs.report_left_out(left_out, num_read, report)
    if not num_read:
        raise SongError(f"--input: none of {len(left_out):,} pieces fits", "see the reasons above")


def together(several: Sequence[Windows]) -> Windows:
    """Returns the windows of several songs, which are known, as one."""
    counts = [len(each.tokens) for each in several]
    return Windows(
        np.concatenate([each.tokens for each in several]),
        np.repeat(np.arange(len(several)), counts),
        np.concatenate([each.bars for each in several if each.bars is not None]),
        [each.paths[0] for each in several],
    )


def show_in_projector(
    run_dir: str, model: MusicModel, tokens: np.ndarray, data_dir: str | None = None
) -> None:
    """Writes where a model puts held-out windows for TensorBoard's projector.

    Beside each stand its attributes, and where they are known its song and bar.

    Args:
        run_dir: the run's folder.
        model: with a latent space.
        tokens: the held-out windows, int [windows, steps, tracks]; the first of them are shown,
            which is no choice: they are in the order of a hash.
        data_dir: the data set that they are of.
    """
    known = None
    with contextlib.suppress(OSError, ValueError):  # Damaged, or read without damaged records.
        known = provenance.read(data_dir, "eval", len(tokens)) if data_dir else None
    shown = np.array(tokens[:MAX_PROJECTED])
    metadata: dict[str, Sequence | np.ndarray] = {}
    if known is not None:
        metadata["song"] = [known.paths[song] for song in known.songs[: len(shown)].tolist()]
        metadata["bar"] = known.bars[: len(shown)] + 1
    metadata |= attributes.measure(shown, model.tracks)
    folder = os.path.join(run_dir, "eval")  # The plugin looks where curves are.
    projector.write(folder, model.encode_tokens(shown), metadata)


def _encode_music(
    model: MusicModel, settings: Settings, music: Sequence[str], report: Callable[[str], None]
) -> Iterator[Latents]:
    """Yields the posteriors of the windows of songs, those of several songs together."""
    pending: list[Windows] = []
    for each in song_windows(music, settings, report):
        pending.append(each)
        if sum(len(windows.tokens) for windows in pending) >= latents.NUM_AT_ONCE:
            yield from latents.encode(model, together(pending))
            pending = []
    if pending:
        yield from latents.encode(model, together(pending))


def _choose_color(model: MusicModel, color: str | None, track: str | None) -> str:
    """Returns the attribute that colours a map. Raises `ValueError` for one that there is not."""
    names = attributes.names(model.tracks[attributes.choose_track(model.tracks, track)])
    if color is not None and color not in names:
        raise ValueError(f"--color must be one of: {', '.join(names)}. Received: {color}.")
    return color or names[0]


def _describe(file: latent_files.LatentFile, what: str) -> str:
    songs = f" of {file.num_songs:,} songs" if file.num_songs else ""
    unknown = "" if songs else ". The data set does not say which song a window is of"
    return f"{file.num_windows:,} windows{songs} {what}{unknown}"
