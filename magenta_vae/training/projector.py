"""Posterior means for TensorBoard's projector: vectors, and what is known of each."""

import os
from collections.abc import Mapping, Sequence

import numpy as np

from magenta_vae import file_errors, files

CONFIG = "projector_config.pbtxt"  # Where the plugin looks, in each folder that has curves.
VECTORS, METADATA = "projector_mu.tsv", "projector_metadata.tsv"


def write(folder: str, mu: np.ndarray, metadata: Mapping[str, Sequence | np.ndarray]) -> None:
    """Writes vectors into a folder of TensorBoard's; what an earlier call wrote is replaced.

    Args:
        folder: of a run's curves.
        mu: float [windows, z_size].
        metadata: columns by their names, [windows] each: numbers, of which those that are NaN are
            left empty, or texts.

    Raises:
        OSError: where it cannot be written.
    """
    columns = [list(map(_cell, column)) for column in metadata.values()]
    # A file of one column has no heading: the plugin would take it for a window.
    heading = [list(metadata)] if len(columns) > 1 else []
    rows = [*heading, *zip(*columns, strict=True)]
    config = (
        "embeddings {\n"
        f'  tensor_name: "mu of {len(mu):,} held-out windows"\n'
        f'  tensor_path: "{VECTORS}"\n'
        f'  metadata_path: "{METADATA}"\n'
        "}\n"
    )
    with file_errors.writing(folder):
        files.write_lines(os.path.join(folder, VECTORS), _lines(_digits(row) for row in mu))
        files.write_lines(os.path.join(folder, METADATA), _lines(rows))
        files.write_text(os.path.join(folder, CONFIG), config)  # Last: it names the others.


def _lines(rows):
    return ("\t".join(row) + "\n" for row in rows)


def _digits(row: np.ndarray) -> list[str]:
    return [f"{number:.5g}" for number in row.tolist()]


def _cell(value) -> str:
    if isinstance(value, str):
        # The name of a file may hold tabs, and bytes that are no text.
        return " ".join(value.split()).encode("utf-8", "replace").decode("utf-8")
    return "" if np.isnan(value) else f"{value:.5g}"
