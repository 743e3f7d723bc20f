"""`mkgan upscale --html`: the page, also of a run in which a photograph fails, and a refusal before anything starts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from PIL import Image
from typer.testing import CliRunner

from flows.cli.app import app
from mkgan_core.errors import ConfigError, StorageError


@pytest.fixture
def folder(picture: np.ndarray, tmp_path: Path) -> Path:
    for name in ("a", "b"):
        Image.fromarray((picture * 255).astype(np.uint8)).save(tmp_path / f"{name}.png")
    return tmp_path


def upscale(folder: Path, page: Path, *images: Path, more: tuple[str, ...] = ()) -> Result:
    command = ["upscale", *map(str, images), "--method", "bicubic", "--out", str(folder / "out"), "--html", str(page)]
    return CliRunner().invoke(app, [*command, *more])


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
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize(("name", "fault"), [("a.png", StorageError), ("page.html", ConfigError)])
def test_no_file_is_replaced_unasked(folder: Path, name: str, fault: type[Exception]) -> None:
    (folder / "page.html").write_text("mine")
    before = (folder / name).read_bytes()
    assert isinstance(upscale(folder, folder / name, folder / "a.png").exception, fault)
    assert (folder / name).read_bytes() == before


def test_a_page_is_replaced_if_asked_and_when_a_run_continues(folder: Path) -> None:
    page = folder / "page.html"
    for more in ((), ("--overwrite",), ("--skip-existing",)):
        image = folder / ("b.png" if "--skip-existing" in more else "a.png")
        assert upscale(folder, page, image, more=more).exit_code == 0
        assert image.name in page.read_text()
