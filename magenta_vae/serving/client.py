"""A client of a served model: music in, music out, the model elsewhere.

Neither the weights nor, by REST, TensorFlow are needed where the client runs.
"""

import functools
import json
from collections.abc import Mapping, Sequence

import numpy as np

from magenta_vae.data import vocabularies
from magenta_vae.inference import data_prior, validation
from magenta_vae.inference.data_prior import STANDARD
from magenta_vae.inference.music_model import MusicModel
from magenta_vae.inference.reading import REFUSE, Music, WindowReader
from magenta_vae.inference.validation import TEMPERATURE, NoteSequences
from magenta_vae.music.window_format import WindowFormat
from magenta_vae.serving import prior, seeds, transports
from magenta_vae.serving.prior import SAMPLE_FROM_DATA
from magenta_vae.serving.seeds import ROWS_PER_REQUEST

MAX_SIZE = 2**16  # Of z and of bars, far beyond any model: arrays are made of them.


class Client(MusicModel):
    """Encodes, decodes, samples and interpolates music on a TensorFlow Serving server.

    Answers as `generation.TrainedModel` does of the same weights: the same seed, of 0 to 2^32 - 1,
    gives the same music. What the model's tracks and bars are is asked of the server, at the first
    call. See `MusicModel`.

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
        self._polyphony = polyphony
        self._pad = pad

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

    @functools.cached_property
    def window_format(self) -> WindowFormat:
        """The tracks and the length of a window."""
        return _window_format(self.description)

    @functools.cached_property
    def _reader(self) -> WindowReader:
        return WindowReader(self.window_format, self._polyphony, self._pad)

    # Both follow from the rest, but a server answers them at once.

    def reconstruct(
        self, music: Music | Sequence[Music], temperature: float = TEMPERATURE, seed: int = 0
    ) -> NoteSequences:
        """Encodes and decodes music, one piece for each window."""
        validation.check_temperature(temperature)
        reading = self.read(music)
        tokens = reading.tokens
        windows = self._generate("reconstruct", len(tokens), temperature, seed, tokens=tokens)
        return self._detokenize(windows, reading.playbacks)

    def sample(
        self,
        num_samples: int,
        temperature: float = TEMPERATURE,
        seed: int = 0,
        prior: str = STANDARD,
    ) -> NoteSequences:
        """Samples music from a prior, `standard` or `data`; see `MusicModel.sample`."""
        validation.check_count("num_samples", num_samples)
        validation.check_temperature(temperature)
        data_prior.check(prior)
        signature = "sample" if prior == STANDARD else self._require_data_prior()
        return self._detokenize(self._generate(signature, num_samples, temperature, seed))

    def decode_rows(self, z: np.ndarray, temperature: float, pairs: np.ndarray) -> np.ndarray:
        """Returns int32 [points, steps, tracks]; see `TrainedModel.decode_rows`.

        Raises:
            ValueError: for pairs of seeds that one number cannot hold; see `seeds`.
        """
        return self._tokens("decode", temperature, seeds.of_pairs(pairs), z=z)

    def prior_rows(self, pairs: np.ndarray, prior: str = STANDARD) -> np.ndarray:
        """Returns float32 [points, z_size]; see `TrainedModel.prior_rows`; raises as above."""
        data_prior.check(prior)
        return self._standard(pairs) if prior == STANDARD else self._from_data(pairs)

    def _posterior(self, tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if not len(tokens):  # In JSON no rows have no shape: a server cannot tell what they are.
            return np.zeros([0, self.z_size], np.float32), np.zeros([0, self.z_size], np.float32)
        outputs = self._batched("encode", tokens=tokens)
        return outputs["mu"].astype(np.float32), outputs["sigma"].astype(np.float32)

    def _decode(self, z: np.ndarray, temperature: float, seed: int) -> np.ndarray:
        return self._generate("decode", len(z), temperature, seed, z=z)

    def _prior(self, num_samples: int, seed: int) -> np.ndarray:
        return self._standard(seeds.pairs(seed, num_samples))

    def _data_prior(self, num_samples: int, seed: int) -> np.ndarray:
        return self._from_data(seeds.pairs(seed, num_samples))

    def _standard(self, pairs: np.ndarray) -> np.ndarray:
        return prior.points(pairs, self.z_size)

    def _from_data(self, pairs: np.ndarray) -> np.ndarray:
        inputs = {
            "temperature": np.ones(len(pairs), np.float32),  # Of the tokens, which are not needed.
            "seed": seeds.of_pairs(pairs),
        }
        return self._ask(self._require_data_prior(), "z", **inputs).astype(np.float32)

    def _require_data_prior(self) -> str:
        """Returns the signature that draws where the training windows lie."""
        if SAMPLE_FROM_DATA not in self.description.get("signatures", {}):
            raise ValueError(
                f"prior=data needs the signature {SAMPLE_FROM_DATA}, which the served model has "
                "not: it was exported by an older version, or without its training windows. Export "
                "it again."
            )
        return SAMPLE_FROM_DATA

    def _generate(
        self, signature: str, num_rows: int, temperature: float, seed: int, **inputs
    ) -> np.ndarray:
        """Returns the int32 [rows, steps, tracks] that a signature draws."""
        return self._tokens(signature, temperature, seeds.row_seeds(seed, num_rows), **inputs)

    def _tokens(
        self, signature: str, temperature: float, row_seeds: np.ndarray, **inputs: np.ndarray
    ) -> np.ndarray:
        if not len(row_seeds):  # As of `_posterior`.
            return np.zeros([0, self.window_format.num_steps, len(self.tracks)], np.int32)
        inputs["temperature"] = np.full(len(row_seeds), temperature, np.float32)
        inputs["seed"] = row_seeds
        return self._ask(signature, "tokens", **inputs).astype(np.int32)

    def _ask(self, signature: str, output: str, **inputs: np.ndarray) -> np.ndarray:
        """Returns one output of a signature."""
        outputs = self._batched(signature, **inputs)
        return outputs[output] if output in outputs else outputs[""]

    def _batched(self, signature: str, **inputs: np.ndarray) -> transports.Values:
        """Asks for rows of any number, some at a time: no row depends on another."""
        num_rows = max(1, *map(len, inputs.values()))
        batches = [
            self._transport.predict(
                signature,
                {name: value[first : first + ROWS_PER_REQUEST] for name, value in inputs.items()},
            )
            for first in range(0, num_rows, ROWS_PER_REQUEST)
        ]
        return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def _parse(text: str) -> dict:
    """Returns what a server says of its model, or raises `ServingError` where it is nonsense."""
    try:
        description = json.loads(text)
        for name in ("num_bars", "z_size"):
            validation.check_count(name, description[name])
            if description[name] > MAX_SIZE:
                raise ValueError(f"{name} must be at most {MAX_SIZE}")
        _window_format(description)
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise transports.ServingError(
            f"The server does not describe its model as an export of this package does: {error!r}."
        ) from error
    return description


def _window_format(description: Mapping) -> WindowFormat:
    tracks = vocabularies.from_description(description["tracks"])
    return WindowFormat(tracks, description["num_bars"])
