"""The notebook, executed from its first cell to its last."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

NOTEBOOK = Path(__file__).parents[2] / "examples" / "notebook.ipynb"


def printed(cell: nbformat.NotebookNode) -> str:
    """Return everything that a cell showed."""
    shown = [out.get("text", "") for out in cell.outputs]
    shown += [out["data"]["text/plain"] for out in cell.outputs if "data" in out]
    return "".join(shown)


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """Execute the notebook; return what each code cell showed, by its source."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    folder = str(tmp_path_factory.mktemp("notebook"))
    client = NotebookClient(
        notebook, timeout=200, resources={"metadata": {"path": folder}}
    )
    client.execute()
    return {c.source: printed(c) for c in notebook.cells if c.cell_type == "code"}


def the_cell(shown: dict[str, str], words: str) -> str:
    """Return what the one cell with these words showed."""
    (output,) = [text for source, text in shown.items() if words in source]
    return output


def test_it_lists_a_version_for_every_round(shown):
    lines = the_cell(shown, 'registry.list("line")').splitlines()
    assert [line.split()[0] for line in lines] == [
        "line:1.2.0",
        "line:1.1.0",
        "line:1.0.0",
    ]
    assert all("eval_loss" in line for line in lines)


def test_it_loads_the_line_that_was_fitted(shown):
    assert "array(" in the_cell(shown, 'registry.load("line@latest")')
    assert "tensor(" in the_cell(shown, "to_torch")


def test_it_shows_the_lineage(shown):
    expected = "['line:1.2.0', 'line:1.1.0', 'line:1.0.0']"
    assert the_cell(shown, "registry.lineage") == expected


def test_it_names_both_nodes(shown):
    assert len(the_cell(shown, "registry.contributions").splitlines()) == 2


def test_it_is_stored_without_outputs():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells)


def test_it_uses_the_promoted_version(shown):
    output = the_cell(shown, "Predictor(")
    assert output.startswith("line:1.2.0\n") and output.count("array(") == 2
    assert the_cell(shown, "registry.drift") == "[]"
