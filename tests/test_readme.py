"""The README's examples in Python; the first on every kind of image that it names."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mkgan_core.imaging.images import to_uint8

README = Path(__file__).parent.parent / "README.md"


def examples() -> list[str]:
    return re.findall(r"```python\n(.*?)```", README.read_text(), re.S)


@pytest.fixture
def photograph(picture: np.ndarray, tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.fromarray(to_uint8(picture[:64, :64])).save(path)
    return path


@pytest.mark.parametrize("kind", ["path", "Pillow", "uint8", "float"])
def test_the_example_runs(photograph: Path, kind: str) -> None:
    pixels = np.asarray(Image.open(photograph))
    given = {"path": photograph, "Pillow": Image.open(photograph), "uint8": pixels, "float": pixels / 255}
    names = {"image": given[kind]}
    exec(examples()[0], names)
    large = names["large"]
    assert np.shape(large) == (128, 128, 3) if isinstance(large, np.ndarray) else large.size == (128, 128)
    assert isinstance(large, Image.Image if kind in ("path", "Pillow") else np.ndarray)


def test_a_part_of_ones_own(own_parts: None) -> None:
    names: dict[str, Any] = {"__name__": "a_notebook"}
    for _ in range(2):  # as in a notebook, where a cell is run again
        exec(examples()[1], names)
    assert names["large"].shape == (80, 120, 3)
