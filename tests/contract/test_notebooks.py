"""The notebooks run from top to bottom, show what they promise, and are stored without outputs."""

import re
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("**/*.ipynb"))
KERNELSPEC = {"display_name": "Python 3", "language": "python", "name": "python3"}
LONGEST_S = 300
"""Of one cell: many times what the slowest takes."""


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


def code_of(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@pytest.fixture
async def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[AsyncKernelManager]:
    """A kernel of this Python that talks over sockets in a folder: no network, and no settings of whoever runs the tests."""
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    monkeypatch.delenv("MPLBACKEND", raising=False)  # else figures are not shown inline
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(name, "1")
    # Paths of sockets must be short, which those of tmp_path may not be.
    with tempfile.TemporaryDirectory(prefix="eil-nb-") as short:
        connection = {"ip": str(Path(short) / "k"), "connection_file": str(Path(short) / "kernel.json")}
        manager = AsyncKernelManager(kernel_name="python3", transport="ipc", **connection)
        yield manager
        if manager.has_kernel:
            await manager.shutdown_kernel(now=True)


def test_there_are_notebooks():
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_stored_clean(path: Path):
    notebook = read(path)
    nbformat.validate(notebook)
    run = [cell.id for cell in code_of(notebook) if cell.outputs or cell.execution_count is not None]
    assert not run, "clear the outputs before storing the notebook"
    assert dict(notebook.metadata["kernelspec"]) == KERNELSPEC
    assert set(notebook.metadata) == {"kernelspec", "language_info"}, "metadata of the editor do not belong to it"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_has_a_title_sections_and_code(path: Path):
    notebook = read(path)
    headings = [
        line
        for cell in notebook.cells
        if cell.cell_type == "markdown"
        for line in cell.source.splitlines()
        if line.startswith("#")
    ]
    assert notebook.cells[0].source.startswith("# ")
    assert [line for line in headings if line.startswith("# ")] == headings[:1], "one title, and it comes first"
    assert len([line for line in headings if line.startswith("## ")]) >= 3
    assert len(code_of(notebook)) >= 3
    assert all(cell.source.strip() for cell in notebook.cells)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_links_of_a_notebook_lead_somewhere(path: Path):
    text = "".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    assert not [link for link in links if link and not (path.parent / link).exists()]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
async def test_a_notebook_runs_from_top_to_bottom(path: Path, kernel: AsyncKernelManager):
    notebook = read(path)
    client = NotebookClient(
        notebook, km=kernel, timeout=LONGEST_S, resources={"metadata": {"path": str(path.parent)}}, record_timing=False
    )
    await client.async_execute()  # raises what a cell raises
    for place, cell in enumerate(code_of(notebook), 1):
        assert cell.execution_count == place
        drawn = [output for output in cell.outputs if "image/png" in output.get("data", {})]
        assert len(drawn) == cell.source.count("plt.show()"), f"figures of cell {cell.id}"
        warned = [output.text for output in cell.outputs if output.get("name") == "stderr"]
        assert not warned, f"cell {cell.id} wrote to stderr"
