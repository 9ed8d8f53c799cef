"""A client of a served model: music in, music out, the model elsewhere.

Neither the weights nor, by REST, TensorFlow are needed where the client runs.
"""

import json
from collections.abc import Mapping, Sequence

import numpy as np

from magenta_vae.data import vocabularies
from magenta_vae.inference import validation
from magenta_vae.inference.reading import REFUSE, Music, WindowReader
from magenta_vae.inference.validation import TEMPERATURE, NoteSequences
from magenta_vae.music import tokens as music_tokens
from magenta_vae.serving import transports
from magenta_vae.serving.seeds import ROWS_PER_REQUEST, row_seeds

MAX_SIZE = 2**16  # Of z and of bars, far beyond any model: arrays are made of them.


class Client:
    """Encodes, decodes, samples and interpolates music on a TensorFlow Serving server.

    Answers as `generation.TrainedModel` does of the same weights: the same seed gives the same
    music. What the model's tracks and bars are is asked of the server, at the first call.

    Args:
        address: `grpc://host:8500` or `http://host:8501`, as the server listens.
        model: its name on the server.
        version: an integer, or None for the server's newest.
        timeout_seconds: the longest wait for an answer.
        description: the contents of the export's `assets/model.json`, to ask the server nothing.
        polyphony, pad: how music is read that does not fit; see `reading.WindowReader`.

    Example:
        >>> with Client("http://localhost:8501", "mel_2bar") as client:
        ...     between = client.interpolate("a.mid", "b.mid", num_steps=15)
    """

    def __init__(
        self,
        address: str,
        model: str,
        version: int | None = None,
        timeout_seconds: float = 60.0,
        description: Mapping | None = None,
        polyphony: str = REFUSE,
        pad: bool = False,
    ):
        self._transport = transports.connect(address, model, version, timeout_seconds)
        self._description = description
        self._reading = {"polyphony": polyphony, "pad": pad}
        self._tracks: tuple[music_tokens.Vocabulary, ...] | None = None

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def close(self) -> None:
        """Closes the connection."""
        self._transport.close()

    @property
    def description(self) -> Mapping:
        """What the model says of itself: the export's `assets/model.json`."""
        if self._description is None:
            answer = self._ask("describe", "json", row=np.zeros(1, np.int64))
            text = answer[0]
            self._description = _parse(text.decode() if isinstance(text, bytes) else str(text))
        return self._description

    @property
    def z_size(self) -> int:
        """Dimensions of the latent space."""
        return self.description["z_size"]

    @property
    def num_bars(self) -> int:
        """Bars of a window."""
        return self.description["num_bars"]

    @property
    def tracks(self) -> tuple[music_tokens.Vocabulary, ...]:
        """The vocabularies of the tokens, in their order."""
        if self._tracks is None:
            self._tracks = vocabularies.from_description(self.description["tracks"])
        return self._tracks

    def tokenize(self, music: Music | Sequence[Music]) -> np.ndarray:
        """Returns the windows of music: int32 [windows, steps, tracks]; see `reading`."""
        return WindowReader(self.tracks, self.num_bars, **self._reading).read(music)

    def encode(self, music: Music | Sequence[Music]) -> np.ndarray:
        """Returns the posterior's mean of each window: float32 [windows, z_size]."""
        return self._batched("encode", "mu", tokens=self.tokenize(music)).astype(np.float32)

    def decode(
        self, z: np.ndarray, temperature: float = TEMPERATURE, seed: int = 0
    ) -> NoteSequences:
        """Returns the music of each point, float [points, z_size], sampled at a temperature."""
        z = validation.as_points(z, self.z_size)
        return self._generate("decode", len(z), temperature, seed, z=z)

    def reconstruct(
        self, music: Music | Sequence[Music], temperature: float = TEMPERATURE, seed: int = 0
    ) -> NoteSequences:
        """Encodes and decodes music, one piece for each window."""
        tokens = self.tokenize(music)
        return self._generate("reconstruct", len(tokens), temperature, seed, tokens=tokens)

    def sample(
        self, num_samples: int, temperature: float = TEMPERATURE, seed: int = 0
    ) -> NoteSequences:
        """Samples music from the prior; sample i does not depend on `num_samples`."""
        validation.check_count("num_samples", num_samples)
        return self._generate("sample", num_samples, temperature, seed)

    def interpolate(
        self,
        start: Music,
        end: Music,
        num_steps: int,
        temperature: float = TEMPERATURE,
        seed: int = 0,
    ) -> NoteSequences:
        """Returns music at equal intervals from one window to another, both ends included."""
        position = validation.positions(num_steps).astype(np.float32)
        ends = {
            name: np.repeat(self.tokenize(music)[:1], num_steps, axis=0)
            for name, music in (("start", start), ("end", end))
        }
        return self._generate(
            "interpolate", num_steps, temperature, seed, position=position, **ends
        )

    def _generate(
        self, signature: str, num_rows: int, temperature: float, seed: int, **inputs
    ) -> NoteSequences:
        validation.check_temperature(temperature)
        inputs["temperature"] = np.full(num_rows, temperature, np.float32)
        inputs["seed"] = row_seeds(seed, num_rows)
        windows = self._batched(signature, "tokens", **inputs).astype(np.int32)
        return [music_tokens.detokenize(window, self.tracks) for window in windows]

    def _batched(self, signature: str, output: str, **inputs: np.ndarray) -> np.ndarray:
        """Asks for rows of any number, some at a time: no row depends on another."""
        num_rows = len(next(iter(inputs.values())))
        batches = [
            self._ask(
                signature,
                output,
                **{name: value[first : first + ROWS_PER_REQUEST] for name, value in inputs.items()},
            )
            for first in range(0, max(1, num_rows), ROWS_PER_REQUEST)
        ]
        return np.concatenate(batches)

    def _ask(self, signature: str, output: str, **inputs: np.ndarray) -> np.ndarray:
        outputs = self._transport.predict(signature, inputs)
        return outputs[output] if output in outputs else outputs[""]


def _parse(text: str) -> dict:
    """Returns what a server says of its model, or raises `ServingError` where it is nonsense."""
    try:
        description = json.loads(text)
        for name in ("num_bars", "z_size"):
            validation.check_count(name, description[name])
            if description[name] > MAX_SIZE:
                raise ValueError(f"{name} must be at most {MAX_SIZE}")
        vocabularies.from_description(description["tracks"])
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise transports.ServingError(
            f"The server does not describe its model as an export of this package does: {error!r}."
        ) from error
    return description
