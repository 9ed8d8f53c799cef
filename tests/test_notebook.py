"""The notebook runs from its first cell to its last, and shows and plays music."""

from pathlib import Path

import nbformat
from nbclient import NotebookClient

TOUR = Path(__file__).parent.parent / "docs" / "tour.ipynb"


def test_opening_the_tour_runs_nothing():
    """It holds no results, whose HTML a browser would run, and no attachments or raw HTML."""
    notebook = nbformat.read(TOUR, as_version=4)
    for cell in notebook.cells:
        assert not cell.get("outputs") and not cell.get("attachments")
        assert cell.cell_type == "code" or "<script" not in cell.source.lower()
    assert "trusted" not in str(notebook.metadata)


def test_the_tour_runs(tmp_path):
    notebook = nbformat.read(TOUR, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells)  # kept free of results
    setup = notebook.cells[1]
    assert "MAX_STEPS = 400" in setup.source
    setup.source = setup.source.replace("MAX_STEPS = 400", "MAX_STEPS = 20")
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": tmp_path}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    sounds = [o for o in outputs if "<audio" in o.get("data", {}).get("text/html", "")]
    assert len(pictures) == 8
    assert len(sounds) == 7
