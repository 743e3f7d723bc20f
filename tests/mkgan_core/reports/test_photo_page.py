"""The page of enlarged photographs: everything in one file, every kind of picture, whatever they are called."""

from __future__ import annotations

import base64
import io
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from mkgan_core.imaging import kernels
from mkgan_core.imaging.kernels import Kernel
from mkgan_core.imaging.regions import Region, whole
from mkgan_core.reports.photo_page import DETAIL, MAX_SIDE, Enlarged, PhotoPage


def enlarged(before: np.ndarray, scale: int = 2, **others: object) -> Enlarged:
    """A photograph and its enlargement by repeating pixels."""
    after = before.repeat(scale, axis=0).repeat(scale, axis=1)
    facts: dict[str, object] = {"name": "photo.png", "method": "auto+zssr", "preset": "fast", "seed": 7, "seconds": 3.2}
    facts |= {"regions": [whole(before.shape[:2])], "kernels": [Kernel(kernels.bicubic(scale))]}
    return Enlarged(before=before, after=after, **{**facts, **others})  # type: ignore[arg-type]


def sources(html: str, kind: str) -> list[Image.Image]:
    """The pictures of a class on the page."""
    found = re.findall(rf'<img class="{kind}" src="data:image/\w+;base64,([^"]*)"', html)
    return [Image.open(io.BytesIO(base64.b64decode(data))) for data in found]


@pytest.fixture
def pixels(picture: np.ndarray) -> np.ndarray:
    return (picture * 255).astype(np.uint8)


def test_one_file_that_asks_for_nothing(pixels: np.ndarray, tmp_path: Path) -> None:
    page = PhotoPage(2)
    page.add(enlarged(pixels, notes=["a note"]))
    page.add(enlarged(pixels, scale=4, name="<b>.png"))
    page.write(tmp_path / "page.html")
    html = (tmp_path / "page.html").read_text()
    assert "default-src 'none'" in html
    for attribute, value in re.findall(r'\b(src|href|action)="([^"]*)"', html):
        assert value.startswith(("data:", "#photo-")), attribute
    assert html.count("<article") == 2
    assert "<b>" not in html
    assert "&lt;b&gt;.png" in html
    for fact in ("120 × 96 → 240 × 192", "120 × 96 → 480 × 384", "auto+zssr", "seed 7", "3.2 s", "a note"):
        assert fact in html


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
def test_every_kind_of_pixels(pixels: np.ndarray, channels: int, kind: type) -> None:
    opaque = np.full((*pixels.shape[:2], 1), 255, np.uint8)
    opaque[:, :60] = 0
    colours = pixels[..., :1] if channels < 3 else pixels
    given = colours if channels in (1, 3) else np.concatenate([colours, opaque], axis=2)
    factor = {np.uint8: 1, np.uint16: 257, np.float32: 1 / 255}[kind]
    page = PhotoPage(1)
    page.add(enlarged((given.astype(float) * factor).astype(kind)))
    (before,), (after,) = sources(page.html(), "before"), sources(page.html(), "after")
    assert before.size == after.size == (240, 192)
    expected = np.broadcast_to(colours, pixels.shape).astype(float)
    if channels in (2, 4):
        expected[:, :60] = 255  # over white where it is clear
    for shown in (before, after):
        found = np.asarray(shown.convert("RGB"), float)
        assert np.abs(found.mean(axis=(0, 1)) - expected.mean(axis=(0, 1))).max() < 2


def test_a_large_photograph_is_shown_smaller_with_a_detail(pixels: np.ndarray) -> None:
    large = np.tile(np.full_like(pixels, 90), (12, 10, 1))
    photo = enlarged(large)
    photo.after[1800:2000, 400:600] = 0  # where the method mattered
    page = PhotoPage(1)
    page.add(photo)
    full, detail = sources(page.html(), "after")
    assert max(full.size) == MAX_SIDE
    assert detail.size == DETAIL
    assert (np.asarray(detail.convert("L")) < 20).mean() == pytest.approx(200 * 200 / (DETAIL[0] * DETAIL[1]), abs=0.02)
    assert sources(page.html(), "before")[1].size == DETAIL


def test_a_page_of_many_has_small_pictures() -> None:
    assert PhotoPage(1).side == PhotoPage(12).side == MAX_SIDE
    assert PhotoPage(500).side < PhotoPage(50).side < MAX_SIDE


def test_regions_and_their_kernels(pixels: np.ndarray) -> None:
    mask = np.zeros(pixels.shape[:2], bool)
    mask[20:70, 30:90] = True
    regions = [Region("object", mask), Region("background", ~mask)]
    page = PhotoPage(1)
    page.add(enlarged(pixels, regions=regions, kernels=[Kernel(kernels.gaussian(np.eye(2), 13, 2)), None]))
    html = page.html()
    (layer,) = (np.asarray(shown) for shown in sources(html, "layer"))
    assert layer.shape == (192, 240, 4)
    assert layer[40, 120, 3] == 255  # the upper edge of the object
    assert layer[10, 10, 3] == layer[90, 120, 3] == 0
    assert html.count("kernel: object") == 1
    assert "kernel: background" not in html
    page = PhotoPage(1)
    page.add(enlarged(pixels, kernels=[None]))
    assert not sources(page.html(), "layer")
    assert "kernel: " not in page.html()


def test_the_colour_profile_comes_along(pixels: np.ndarray) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    page = PhotoPage(1)
    page.add(enlarged(pixels, profile=profile))
    assert sources(page.html(), "after")[0].info["icc_profile"] == profile


def test_it_needs_no_tables_and_no_plots() -> None:
    code = "import sys; from mkgan_core.reports.photo_page import PhotoPage; PhotoPage(1).html();"
    code += "print([name for name in ('pandas', 'pyarrow', 'matplotlib', 'torch') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
