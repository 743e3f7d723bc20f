"""`mkgan upscale --html`: the page, also of a run in which a photograph fails, and a refusal before anything starts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from flows.cli.app import app
from mkgan_core.errors import StorageError


@pytest.fixture
def folder(picture: np.ndarray, tmp_path: Path) -> Path:
    for name in ("a", "b"):
        Image.fromarray((picture * 255).astype(np.uint8)).save(tmp_path / f"{name}.png")
    return tmp_path


def upscale(folder: Path, page: Path, *images: Path) -> object:
    command = ["upscale", *map(str, images), "--method", "bicubic", "--out", str(folder / "out"), "--html", str(page)]
    return CliRunner().invoke(app, command)


def test_the_page_shows_what_was_enlarged(folder: Path) -> None:
    (folder / "bad.png").write_text("no picture")
    done = upscale(folder, folder / "page.html", folder / "a.png", folder / "bad.png", folder / "b.png")
    assert done.exit_code == 1
    html = (folder / "page.html").read_text()
    assert html.count("<article") == 2
    assert all(name in html for name in ("a.png", "b.png", "120 × 96 → 240 × 192"))


def test_a_page_that_cannot_be_written_is_refused_first(folder: Path) -> None:
    (folder / "file").write_text("")
    (folder / "empty").mkdir()
    before = sorted(folder.rglob("*"))
    for place in ("file/page.html", "empty", "no/such/page.html"):
        done = upscale(folder, folder / place, folder / "a.png")
        assert isinstance(done.exception, StorageError)
        assert str(folder / place) in str(done.exception)
    assert [path for path in sorted(folder.rglob("*")) if path != folder / "out"] == before
