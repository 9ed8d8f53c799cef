"""What a study of Table 1 is made of: models, columns and seeds, of which each cell is one run."""

from collections.abc import Sequence
from typing import NamedTuple

from magenta_vae.training import table1

MODELS = ("drums_2bar", "mel_2bar", "hierdec_mel_32bar", "hierdec_trio_16bar")
COLUMNS = {  # The paper's; a decoder to measure the hierarchical one against; what it leaves open.
    "baseline": (table1.BASELINE, ("variants/baseline.gin",)),
    "vae": (table1.VAE, ("variants/teacher_forcing.gin",)),
    "scheduled": (table1.SCHEDULED, ()),
    "flat": ("Flat VAE w/ scheduled sampling", ("variants/flat_decoder.gin",)),
    "tanh": ("VAE w/ scheduled sampling, tanh states", ("variants/tanh_states.gin",)),
    "unclipped": ("VAE w/ scheduled sampling, unclipped", ("variants/unclipped.gin",)),
}
PAPER_COLUMNS = ("baseline", "vae", "scheduled")
SCALES = {  # The gin file of a model at each scale.
    "full": None,
    "small": "scale/small.gin",
    "few_visits": "scale/few_visits/{model}.gin",
    "tiny": "scale/tiny.gin",
}


class Cell(NamedTuple):
    """One training: a model in a column of Table 1, with a seed."""

    model: str
    column: str
    seed: int

    def __str__(self) -> str:
        return f"{self.model}-{self.column}-seed{self.seed}"


def make_cells(models: Sequence[str], columns: Sequence[str], seeds: Sequence[int]) -> list[Cell]:
    """Returns the cells of a study, seeds outermost: every column has something early.

    A cell that is named twice is one cell.

    Raises:
        ValueError: for a model or a column that there is not.
    """
    for name, given, known in (("models", models, MODELS), ("columns", columns, COLUMNS)):
        unknown = [each for each in given if each not in known]
        if unknown or not given:
            received = ", ".join(unknown) if given else "none"
            raise ValueError(f"--{name} must be of {', '.join(known)}. Received: {received}.")
    cells = (Cell(model, column, seed) for seed in seeds for model in models for column in columns)
    return list(dict.fromkeys(cells))
