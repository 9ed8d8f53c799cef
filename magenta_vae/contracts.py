"""What the parts of the system offer each other, as protocols: a class meets one by its methods.

A part of one's own, named in a gin file, stands in the place of any of them. Encoders and decoders
are Keras layers, whose weights Keras trains and saves; nothing else need be inherited.
Shapes: B examples, T steps of a window, K tracks, V classes of a track.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:  # Modules that know no TensorFlow read this one too.
    import numpy as np
    import tensorflow as tf


class Notes(NamedTuple):
    """Notes on the grid, ordered by start, then pitch: int32 [notes] each, ends > starts."""

    starts: np.ndarray
    ends: np.ndarray
    pitches: np.ndarray


class Instrument(Protocol):
    """What a vocabulary is asked about: an instrument of a song.

    Attributes:
        program: its General MIDI program, 0 to 127.
        is_drum: whether it plays on the channel of drums.
    """

    @property
    def program(self) -> int:
        """Its General MIDI program, 0 to 127."""

    @property
    def is_drum(self) -> bool:
        """Whether it plays on the channel of drums."""


class Vocabulary(Protocol):
    """The notes of one track <-> tokens, one token for each sixteenth note.

    There are two kinds. In a line at most one note sounds at a time: a class starts a note of one
    pitch, and `sustain` lets it sound on. In hits (`is_drum`) several start at a time and last one
    step: each kind of hit has a power of two, a class is the sum of its hits, and `rest`, `sustain`
    and `release` are 0.

    Every vocabulary is tokenized by the formula of `music.tokens`, of the four attributes `onsets`,
    `rest`, `sustain` and `release`. A class starts the same notes wherever it stands.

    What no vocabulary can hold: how loud a note is (velocity), what lies between the steps of the
    grid (micro-timing, triplets), and chords, several notes of a line at a time. Generated notes
    have one velocity and begin and end on the grid.

    Attributes:
        name: what the track is called in tables and files.
        is_drum: whether it is hits.
        num_classes: the tokens are 0 to `num_classes` - 1.
        rest: the token of a step at which nothing sounds.
        sustain: the token of a step at which the sounding note goes on.
        release: the token of the step at which silence begins.
        output_program: the General MIDI program that generated notes are given.
    """

    @property
    def name(self) -> str:
        """What the track is called in tables and files."""

    @property
    def is_drum(self) -> bool:
        """Whether the track is hits, not a line."""

    @property
    def num_classes(self) -> int:
        """How many tokens there are: 0 to `num_classes` - 1."""

    @property
    def rest(self) -> int:
        """The token of a step at which nothing sounds."""

    @property
    def sustain(self) -> int:
        """The token of a step at which the sounding note goes on."""

    @property
    def release(self) -> int:
        """The token of the step at which silence begins; `rest` where that has none of its own."""

    @property
    def output_program(self) -> int:
        """The General MIDI program that generated notes are given."""

    @property
    def onsets(self) -> np.ndarray:
        """The token of each MIDI pitch that starts, `rest` for what has none: int32 [128]."""

    def accepts(self, instrument: Instrument) -> bool:
        """Says whether an instrument of a song can be this track."""

    def reduce(self, notes: Notes) -> Notes:
        """Returns those notes that the track can hold, of all that an instrument plays."""

    def detokenize(self, tokens: np.ndarray) -> Notes:
        """Returns the notes of int [steps] tokens, also of many windows as one line."""

    def is_silent(self, tokens: np.ndarray) -> np.ndarray:
        """Says at which steps of int [..., steps] tokens nothing sounds: bool [..., steps]."""


class Noise(Protocol):
    """What a model asks for draws."""

    def uniform(self, purpose: int, num_steps: int, size: int) -> tf.Tensor:
        """Returns float32 [num_steps, B, size] in (0, 1)."""

    def normal(self, purpose: int, size: int) -> tf.Tensor:
        """Returns float32 [B, size] of the standard normal distribution."""


class TokenChooser(Protocol):
    """How a decoder that runs on its own output chooses what the next step reads."""

    def __call__(self, step: Any, logits: Sequence[tf.Tensor]) -> tf.Tensor:
        """Returns a token of each track: int32 [B, K].

        Args:
            step: the step of the window, int32 scalar.
            logits: float [B, V] of each track.
        """


class Schedule(Protocol):
    """A value at each training step, as a learning rate schedule of Keras is one."""

    def __call__(self, step: Any) -> tf.Tensor:
        """Returns a float32 scalar, at an integer step."""


class Encoder(Protocol):
    """Tokens -> the posterior of z.

    Attributes:
        z_size: dimensions of the latent space.
    """

    z_size: int

    def __call__(self, tokens: tf.Tensor, training: bool = False) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns mu and sigma, float32 [B, z_size], of int32 [B, T, K].

        Args:
            tokens: of all tracks.
            training: whether a gradient will be taken: what it needs is then kept. Without, the
                values are the same, and a gradient would take far more memory.
        """


class Conductor(Protocol):
    """z -> an embedding of each segment of the window.

    Attributes:
        num_segments: how many embeddings, S.
        embedding_size: width of an embedding.
    """

    num_segments: int
    embedding_size: int

    def __call__(self, z: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Returns float [B, S, embedding_size] of float [B, z_size]."""


class Decoder(Protocol):
    """z -> logits and tokens. A track's token V is read as nothing, before the first step.

    Attributes:
        num_steps: steps of a window, T.
    """

    num_steps: int

    def predict(self, z: tf.Tensor, tokens: tf.Tensor, training: bool = False) -> list[tf.Tensor]:
        """Returns teacher-forced logits of each track, float32 [B, T, V].

        Args:
            z: float [B, z_size].
            tokens: int32 [B, T, K], the true tokens.
            training: whether a gradient will be taken: what it needs is then kept. Without, the
                values are the same, and a gradient would take far more memory.
        """

    def predict_scheduled(
        self, z: tf.Tensor, tokens: tf.Tensor, probability: tf.Tensor, noise: Noise
    ) -> list[tf.Tensor]:
        """Returns logits as `predict` does while training, some steps reading the model's samples.

        Args:
            z: float [B, z_size].
            tokens: int32 [B, T, K], the true tokens.
            probability: float scalar, of reading what the model sampled.
            noise: for the samples, and for the choice between them and the truth.
        """

    def sample(self, z: tf.Tensor, choose: TokenChooser) -> tf.Tensor:
        """Returns the tokens that were chosen step by step, int32 [B, T, K].

        Args:
            z: float [B, z_size].
            choose: what each step reads.
        """


class LatentModel(Protocol):
    """What training, evaluation, sampling and exports ask of a model; `MusicVAE` offers it.

    Attributes:
        track_names: of the tracks, in the order of the tokens.
        z_size: dimensions of the latent space.
        decoder: what the model decodes with.
        variables, trainable_variables: of all layers.
    """

    track_names: Sequence[str]
    decoder: Decoder

    @property
    def z_size(self) -> int:
        """Dimensions of the latent space."""

    @property
    def variables(self) -> list:
        """The variables of all layers."""

    @property
    def trainable_variables(self) -> list:
        """Those that are trained."""

    def count_params(self) -> int:
        """Returns the number of weights."""

    def encode(self, tokens: tf.Tensor, training: bool = False) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns mu and sigma, float32 [B, z_size], of int32 [B, T, K]."""

    def sample(self, z: tf.Tensor, choose: TokenChooser) -> tf.Tensor:
        """Returns the chosen tokens, int32 [B, T, K], of float [B, z_size]."""

    def sampler(self, temperature: Any, noise: Noise) -> TokenChooser:
        """Returns a choice that draws from the softmax at a temperature."""

    def draw_choices(self, noise: Noise) -> tf.Tensor:
        """Returns the draws of `sampler`, float [T, B, K] in (0, 1)."""

    def training_terms(
        self,
        tokens: tf.Tensor,
        step: tf.Tensor,
        seed: tf.Tensor,
        num_rows: Any = None,
        first_row: Any = 0,
    ) -> dict[str, tf.Tensor]:
        """Returns the training loss and what it is made of, float [B] or scalars."""

    def held_out_terms(
        self, tokens: tf.Tensor, step: tf.Tensor, seed: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Returns what Table 1 is made of, float [B] or [B, K]."""
