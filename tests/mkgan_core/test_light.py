"""What importing the core costs, and what it must not load."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = (
    "torch prefect pydantic pandas pyarrow cv2 skimage ultralytics segment_anything torchvision aiohttp matplotlib "
    "jinja2 scipy PIL typer rich dask"
)


@pytest.mark.parametrize(
    ("code", "heavy"),
    [
        ("import mkgan_core; mkgan_core.list_methods; mkgan_core.super_resolve", HEAVY),
        ("import mkgan_core", HEAVY + " numpy fsspec"),
        (
            "import mkgan_core.reports.page, mkgan_core.reports.rows, mkgan_core.reports.contact_sheet;"
            "import mkgan_core.reports.photo_page;"
            "import mkgan_core.datasets.maker, mkgan_core.datasets.check, mkgan_core.datasets.sample;"
            "from mkgan_core.pipeline import parts, walk;"
            "from mkgan_core.pipeline.method import parse; parse('multi-kernelgan+zssr').settings_hash('fast');"
            "[parts.part_class('segmenter', name) for name in parts.names('segmenter')]",
            HEAVY,
        ),
    ],
)
def test_importing_the_core_is_light(code: str, heavy: str) -> None:
    code += f"; import sys; print([m for m in '{heavy}'.split() if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
