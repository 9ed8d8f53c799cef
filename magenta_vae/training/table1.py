"""Table 1 of the paper, beside which a run's metrics are printed."""

# (track, tracks of the model, bars) -> column -> (next accuracy, reconstruction accuracy, KL in
# nats). Rows 1 to 6 of Table 1; the KL of a trio stands in its first row and counts for all three.
BASELINE, VAE, SCHEDULED = "Baseline", "VAE", "VAE w/ scheduled sampling"
PAPER: dict[tuple[str, int, int], dict[str, tuple[float, float, float | None]]] = {
    ("drums", 1, 2): {
        BASELINE: (0.722, 0.395, None),
        VAE: (0.979, 0.917, 70.7),
        SCHEDULED: (0.972, 0.963, 73.5),
    },
    ("melody", 1, 2): {
        BASELINE: (0.723, 0.619, None),
        VAE: (0.986, 0.951, 72.9),
        SCHEDULED: (0.989, 0.987, 76.2),
    },
    ("melody", 1, 32): {
        BASELINE: (0.736, 0.579, None),
        VAE: (0.824, 0.674, 173.2),
        SCHEDULED: (0.724, 0.722, 343.8),
    },
    ("lead", 3, 16): {
        BASELINE: (0.735, 0.423, None),
        VAE: (0.818, 0.653, 177.4),
        SCHEDULED: (0.763, 0.761, 811.6),
    },
    ("bass", 3, 16): {
        BASELINE: (0.781, 0.414, None),
        VAE: (0.882, 0.692, 177.4),
        SCHEDULED: (0.824, 0.823, 811.6),
    },
    ("drums", 3, 16): {
        BASELINE: (0.810, 0.221, None),
        VAE: (0.926, 0.808, 177.4),
        SCHEDULED: (0.871, 0.868, 811.6),
    },
}


def format_cells(metrics: dict, num_bars: int, column: str | None) -> str:
    """Returns the cells of Table 1 that a run stands for, beside the paper's values.

    Args:
        metrics: as `evaluation.Evaluation` returns them.
        num_bars: the length of a window.
        column: `BASELINE`, `VAE` or `SCHEDULED`; None for a run of none.

    Returns:
        A table, or nothing where the paper has no such cell.
    """
    if column is None:
        return ""
    lines = []
    for track, values in metrics["tracks"].items():
        cell = PAPER.get((track, len(metrics["tracks"]), num_bars), {}).get(column)
        if cell is None:
            continue
        ours = (values["next_accuracy"], values["reconstruction_accuracy"], metrics["kl_nats"])
        for name, value, paper in zip(("next", "recon", "KL (nats)"), ours, cell, strict=True):
            if paper is not None:
                digits = 1 if name.startswith("KL") else 3
                lines.append(f"{track:<10}{name:<12}{value:>10.{digits}f}{paper:>10.{digits}f}")
    if not lines:
        return ""
    heading = f"Table 1, {column}, {num_bars} bars"
    return "\n".join([heading, f"{'track':<10}{'':<12}{'this run':>10}{'paper':>10}", *lines])
