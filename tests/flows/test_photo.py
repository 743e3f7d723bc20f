"""`mkgan upscale` and its like on several photographs: a bad one costs only itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mkgan_core.imaging.images import to_uint8

METHOD = ["--method", "bicubic+back-projection"]


@pytest.fixture
def photos(picture: np.ndarray, tmp_path: Path) -> dict[str, str]:
    """Two good photographs, one that is no image, one that is too small, and one that does not exist."""
    for name in ("good", "fine"):
        Image.fromarray(to_uint8(picture)).save(tmp_path / f"{name}.png")
    (tmp_path / "broken.png").write_bytes(b"no image")
    Image.fromarray(to_uint8(picture[:5, :5])).save(tmp_path / "tiny.png")
    return {name: str(tmp_path / f"{name}.png") for name in ("good", "fine", "broken", "tiny", "missing")}


def test_a_bad_photograph_costs_only_itself(mkgan, photos: dict[str, str], tmp_path: Path) -> None:
    code, out, err = mkgan("upscale", *photos.values(), *METHOD, "--out", str(tmp_path / "out"))
    assert code == 1
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"good_x2.png", "fine_x2.png"}
    lines = err.splitlines()
    assert len(lines) == 3
    for line, name in zip(lines, ("broken", "tiny", "missing"), strict=True):
        assert line.startswith("error: ")
        assert f"{name}.png" in line
    assert out.count("_x2.png") == 2
    assert "Traceback" not in out + err


@pytest.mark.parametrize(
    ("command", "ending"),
    [(["estimate", "--estimator", "bicubic"], "_kernel.npy"), (["segment", "--segmenter", "whole"], "overlay.png")],
)
def test_so_it_does_for_kernels_and_masks(
    mkgan, photos: dict[str, str], tmp_path: Path, command: list[str], ending: str
) -> None:
    images = [photos[name] for name in ("good", "broken", "fine")]
    code, _, err = mkgan(*command, *images, "--out", str(tmp_path / "out"))
    assert code == 1
    assert len(list((tmp_path / "out").rglob(f"*{ending}"))) == 2
    assert err.count("\n") == 1
    assert "broken.png" in err


@pytest.mark.parametrize("command", [["upscale", *METHOD], ["segment", "--segmenter", "whole"]])
def test_only_bad_photographs_are_bad_input(mkgan, photos: dict[str, str], tmp_path: Path, command: list[str]) -> None:
    for bad in (["broken"], ["broken", "missing"]):
        code, _, err = mkgan(*command, *[photos[name] for name in bad], "--out", str(tmp_path / "out"))
        assert code == 2
        assert err.count("error: ") == err.count("\n") == len(bad)
        assert not list((tmp_path / "out").iterdir())


def test_what_is_wrong_for_all_stops_at_once(mkgan, photos: dict[str, str], tmp_path: Path) -> None:
    code, _, err = mkgan("upscale", *photos.values(), "--method", "zzsr", "--out", str(tmp_path / "out"))
    assert code == 2
    assert err.count("\n") == 1
    assert "zzsr" in err


def test_kernels_that_were_replaced_are_told(mkgan, tmp_path: Path) -> None:
    Image.new("RGB", (64, 64), "grey").save(tmp_path / "flat.png")
    options = ["--estimator", "spectral", "--out", str(tmp_path / "out")]
    code, out, _ = mkgan("estimate", str(tmp_path / "flat.png"), *options)
    assert code == 0
    assert out.startswith("flat: ")
    assert "whole" in out.splitlines()[0]
    assert len(list((tmp_path / "out").iterdir())) == 3
