"""The notebook of examples/, executed as a reader would: cell by cell, in a kernel of its own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.conftest import needs

TOUR = Path(__file__).parent.parent / "examples" / "tour.ipynb"


def test_the_tour_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs("nbclient", "ipykernel")
    import nbformat
    from jupyter_client.kernelspec import KernelSpec
    from jupyter_client.manager import AsyncKernelManager
    from nbclient import NotebookClient

    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    notebook = nbformat.read(TOUR, as_version=4)
    nbformat.validate(notebook)
    manager = AsyncKernelManager()
    # this interpreter, whatever kernels the machine has
    command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    manager._kernel_spec = KernelSpec(argv=command, display_name="tests", language="python")
    client = NotebookClient(notebook, km=manager, timeout=600, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()  # raises with the cell and its traceback
    outputs = [cell["outputs"] for cell in notebook.cells if cell["cell_type"] == "code"]
    assert all(outputs[1:2]) and not any(one["output_type"] == "error" for some in outputs for one in some)
