"""What a model makes of music while it trains, as pictures and sound for TensorBoard."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import tensorflow as tf
from note_seq.protobuf.music_pb2 import NoteSequence

from magenta_vae.music import audio
from magenta_vae.music.note_sequences import DEFAULT_QPM, seconds_per_step
from magenta_vae.music.window_format import WindowFormat
from magenta_vae.training import latent_summaries, summaries

MAX_BARS_PER_ROW = 32  # of a picture: below two pixels a step, notes can no longer be told apart
MIN_INTERPOLATION_STEPS = 3
WIDTH_INCHES = 5.0  # TensorBoard shows pictures 350 pixels wide until one is clicked.


class ShownModel(Protocol):
    """What is asked of a model that is shown; every `inference.music_model.MusicModel` offers it.

    Attributes:
        window_format: the tracks and the length of its windows.
        z_size: dimensions of the latent space, 0 where there is none.
    """

    @property
    def window_format(self) -> WindowFormat:
        """The tracks and the length of a window."""

    @property
    def z_size(self) -> int:
        """Dimensions of the latent space."""

    def posterior(self, tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns mu and sigma, float32 [windows, z_size], of int [windows, steps, tracks]."""

    def reconstruct(
        self, music: Sequence[NoteSequence], temperature: float, seed: int
    ) -> list[NoteSequence]:
        """Returns windows, encoded and decoded."""

    def sample(self, num_samples: int, temperature: float, seed: int) -> list[NoteSequence]:
        """Returns music of the prior."""

    def interpolate(
        self, start: NoteSequence, end: NoteSequence, num_steps: int, temperature: float, seed: int
    ) -> list[NoteSequence]:
        """Returns music on the way from one window to another."""


class Media:
    """Writes reconstructions, samples, an interpolation, and the posteriors of held-out windows.

    The windows shown are spread evenly over the held-out ones, and every draw is a function of the
    seed alone: from one evaluation to the next only the weights differ. Long windows are shown in
    smaller numbers. A model without a latent space has samples only.

    Args:
        trained_model: what is shown, always with the newest weights.
        tokens: held-out windows, [windows, steps, tracks].
        num_windows: windows of a picture, at most 32 bars of them but at least one; 0 for none.
        num_interpolation_steps: windows from one end of the interpolation to the other, at most 32
            bars of them but at least 3; 0 for none.
        num_clips: clips of each kind: original, reconstruction, sample; 0 for none.
        max_seconds: music of all clips of one kind. One that is longer is cut.
        sample_rate_hz: of the clips: 44 KB a second at 22,050.
        temperature: of the softmax (paper, Sampling Details).
        seed: of the draws.
    """

    def __init__(
        self,
        trained_model: ShownModel,
        tokens: np.ndarray,
        *,
        num_windows: int = 4,
        num_interpolation_steps: int = 7,
        num_clips: int = 2,
        max_seconds: float = 10.0,
        sample_rate_hz: int = 22_050,
        temperature: float = 0.5,
        seed: int = 0,
    ):
        counts = (num_windows, num_interpolation_steps, num_clips)
        if min(counts) < 0 or max_seconds <= 0 or temperature <= 0:
            sizes = (*counts, max_seconds, temperature)
            raise ValueError(
                "num_windows, num_interpolation_steps and num_clips must be at least 0, "
                f"max_seconds and temperature above 0. Received: {', '.join(map(str, sizes))}."
            )
        if num_clips:  # What cannot be played is to be known before the first step.
            audio.synthesize(NoteSequence(), sample_rate_hz)
        self._trained_model = trained_model
        self._tokens = tokens
        self._format = trained_model.window_format
        windows_per_row = max(1, MAX_BARS_PER_ROW // self._format.num_bars)
        self._num_windows = min(num_windows, windows_per_row)
        self._num_interpolation_steps = min(
            num_interpolation_steps, max(MIN_INTERPOLATION_STEPS, windows_per_row)
        )
        max_steps = max(1, int(max_seconds / seconds_per_step(DEFAULT_QPM)))
        self._num_clips = min(num_clips, max(1, max_steps // self._format.num_steps))
        self._clip_steps = min(self._format.num_steps, max_steps)
        self._sample_rate_hz = sample_rate_hz
        self._draws = (temperature, seed)
        self._originals_are_written = False

    def __call__(self) -> None:
        """Writes with `tf.summary`, to its default writer: the same for the same weights."""
        self._write_samples()
        if self._trained_model.z_size:
            self._write_reconstructions()
            self._write_interpolation()
            latent_summaries.write(*self._trained_model.posterior(self._tokens))

    def _write_samples(self) -> None:
        number = max(self._num_windows, self._num_clips)
        if not number:
            return
        samples = self._trained_model.sample(number, *self._draws)
        self._write_rows("sample", {"sampled from the prior": samples}, ["generated"])
        self._write_clips("sample", samples)

    def _write_reconstructions(self) -> None:
        originals = self._held_out(max(self._num_windows, self._num_clips))
        if not originals:
            return
        rebuilt = self._trained_model.reconstruct(originals, *self._draws)
        rows = {"held-out windows": originals, "reconstructed": rebuilt}
        self._write_rows("reconstruction", rows, ["true", "reconstructed"])
        self._write_clips("reconstruction", rebuilt)
        if not self._originals_are_written:  # They stay the same.
            self._write_clips("original", originals)
            self._originals_are_written = True

    def _write_interpolation(self) -> None:
        if not self._num_interpolation_steps:
            return
        from magenta_vae.music import sheets  # Late, with matplotlib: training starts sooner.

        ends = self._held_out(2)
        strip = self._trained_model.interpolate(
            ends[0], ends[-1], self._num_interpolation_steps, *self._draws
        )
        windows = sheets.on_the_way(strip, sheets.RECONSTRUCTED)
        summaries.write_figure(
            "pictures/interpolation",
            sheets.draw_sheet(windows, None, "step of the interpolation", WIDTH_INCHES),
            "From one held-out window to another, both as reconstructed (blue).",
        )

    def _held_out(self, number: int) -> list[NoteSequence]:
        """Returns up to so many windows, spread over the held-out ones."""
        rows = np.linspace(0, len(self._tokens) - 1, min(number, len(self._tokens))).astype(int)
        return [self._format.detokenize(self._tokens[row]) for row in rows]

    def _write_rows(
        self, name: str, rows: Mapping[str, Sequence[NoteSequence]], words: Sequence[str]
    ) -> None:
        rows = {title: row[: self._num_windows] for title, row in rows.items()}
        if self._num_windows:
            from magenta_vae.music import plots, sheets  # See above.

            kinds = [sheets.BY_WORD[word] for word in words]
            description = f"From top to bottom: {', '.join(rows)}."
            figure = plots.draw_rows(rows, width_inches=WIDTH_INCHES, kinds=kinds)
            summaries.write_figure(f"pictures/{name}", figure, description)

    def _write_clips(self, name: str, sequences: Sequence[NoteSequence]) -> None:
        clips = [self._play(sequence) for sequence in sequences[: self._num_clips]]
        if clips:
            sound = np.stack(clips)[..., None]  # [clips, frames, channels]
            tf.summary.audio(f"sound/{name}", sound, self._sample_rate_hz, max_outputs=len(clips))

    def _play(self, sequence: NoteSequence) -> np.ndarray:
        """Returns float32 [frames] of the beginning of a window."""
        tokens = self._format.tokenize(sequence)
        beginning = self._format.detokenize(tokens[: self._clip_steps])
        return audio.synthesize(beginning, self._sample_rate_hz)
