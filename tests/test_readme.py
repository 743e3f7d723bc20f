"""The README's example in Python, on every kind of image that it names."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mkgan_core.imaging.images import to_uint8

README = Path(__file__).parent.parent / "README.md"


@pytest.fixture
def photograph(picture: np.ndarray, tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.fromarray(to_uint8(picture[:64, :64])).save(path)
    return path


@pytest.mark.parametrize("kind", ["path", "Pillow", "uint8", "float"])
def test_the_example_runs(photograph: Path, kind: str) -> None:
    pixels = np.asarray(Image.open(photograph))
    given = {"path": photograph, "Pillow": Image.open(photograph), "uint8": pixels, "float": pixels / 255}
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.S)
    names = {"image": given[kind]}
    exec(example, names)
    large = names["large"]
    assert np.shape(large) == (128, 128, 3) if isinstance(large, np.ndarray) else large.size == (128, 128)
    assert isinstance(large, Image.Image if kind in ("path", "Pillow") else np.ndarray)
