"""`mkgan upscale` and its like on several photographs: a bad one costs only itself."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mkgan_core.imaging.images import to_uint8

METHOD = ["--method", "bicubic+back-projection"]


@pytest.fixture
def photos(picture: np.ndarray, tmp_path: Path) -> dict[str, str]:
    """Two good photographs, one of very few pixels, one that is no image, and one that does not exist."""
    for name in ("good", "fine"):
        Image.fromarray(to_uint8(picture)).save(tmp_path / f"{name}.png")
    (tmp_path / "broken.png").write_bytes(b"no image")
    Image.fromarray(to_uint8(picture[:5, :5])).save(tmp_path / "tiny.png")
    return {name: str(tmp_path / f"{name}.png") for name in ("good", "fine", "broken", "tiny", "missing")}


def test_a_bad_photograph_costs_only_itself(mkgan, photos: dict[str, str], tmp_path: Path) -> None:
    code, out, err = mkgan("upscale", *photos.values(), *METHOD, "--out", str(tmp_path / "out"))
    assert code == 1
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"good_x2.png", "fine_x2.png", "tiny_x2.png"}
    lines = err.splitlines()
    bad = ("missing", "broken")  # what is not there is known before work starts
    assert [line.startswith("error: ") for line in lines] == [True] * 2 + [False] * 3
    for line, name in zip(lines[:2] + lines[3:], bad + bad, strict=True):  # and again at the end
        assert f"{name}.png" in line
    assert out.count("_x2.png") == 3
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
    assert err.count("error: ") == 1
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
    assert "bicubic" in out.splitlines()[0]
    assert len(list((tmp_path / "out").iterdir())) == 3


def test_a_line_for_each_picture_and_its_file(mkgan, photos: dict[str, str], tmp_path: Path) -> None:
    options = ["--out", str(tmp_path / "out"), *METHOD]
    code, out, err = mkgan("upscale", photos["good"], photos["fine"], *options)
    assert (code, err) == (0, "")
    first, written, *others = out.splitlines()
    assert re.fullmatch(r"good\.png 120x96 -> 240x192: .+, \d+\.\d s", first)
    assert written == f"written: {tmp_path / 'out' / 'good_x2.png'}"
    assert len(others) == 2


@pytest.mark.parametrize(
    ("options", "name", "kind"),
    [
        (["-o", "OUT/large.jpg", "--quality", "80"], "large.jpg", "JPEG"),
        (["-o", "OUT/deep/large.tiff"], "deep/large.tiff", "TIFF"),
        (["--out", "OUT", "--format", "webp"], "good_x2.webp", "WEBP"),
        (["--out", "OUT"], "good_x2.png", "PNG"),
    ],
)
def test_formats(mkgan, photos: dict[str, str], tmp_path: Path, options: list[str], name: str, kind: str) -> None:
    places = [option.replace("OUT", str(tmp_path / "out")) for option in options]
    code, _, _ = mkgan("upscale", photos["good"], *places, *METHOD)
    assert code == 0
    written = Image.open(tmp_path / "out" / name)
    assert (written.format, written.size) == (kind, (240, 192))


def test_nothing_is_overwritten_unasked(mkgan, photos: dict[str, str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "good_x2.png").write_bytes(b"mine")
    command = ["upscale", photos["good"], photos["fine"], "--out", str(out), *METHOD]
    code, _, err = mkgan(*command)
    assert code == 2
    assert "good_x2.png" in err
    assert err.count("\n") == 1
    assert [path.name for path in out.iterdir()] == ["good_x2.png"]  # nothing was started
    code, said, _ = mkgan(*command, "--skip-existing")
    assert code == 0
    assert "good_x2.png" in said
    assert (out / "good_x2.png").read_bytes() == b"mine"
    assert (out / "fine_x2.png").exists()
    code, _, _ = mkgan(*command, "--overwrite")
    assert code == 0
    assert Image.open(out / "good_x2.png").size == (240, 192)


@pytest.mark.parametrize("options", [["--overwrite"], ["--skip-existing"], []])
def test_no_photograph_becomes_its_own_result(
    mkgan, photos: dict[str, str], tmp_path: Path, options: list[str]
) -> None:
    before = Path(photos["good"]).read_bytes()
    code, _, err = mkgan("upscale", photos["good"], "-o", photos["good"], *options, *METHOD)
    assert code == 2
    assert "good.png" in err
    assert Path(photos["good"]).read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "datum"),
    [
        (["FOLDER", "-o", "large.png"], "-o large.png"),
        (["GOOD", "-o", "large.gif"], "large.gif"),
        (["GOOD", "--format", "bmp"], "bmp"),
        (["GOOD", "--quality", "80"], "--quality 80"),
        (["GOOD", "--overwrite", "--skip-existing"], "--skip-existing"),
    ],
)
def test_options_that_cannot_be(
    mkgan, photos: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], datum: str
) -> None:
    monkeypatch.chdir(tmp_path)
    named = {"FOLDER": str(tmp_path), "GOOD": photos["good"]}
    code, _, err = mkgan("upscale", *[named.get(argument, argument) for argument in arguments])
    assert code == 2
    assert datum in err
    assert err.count("\n") == 1


def test_folders_within_folders(mkgan, photos: dict[str, str], tmp_path: Path) -> None:
    for name in ("in/a.png", "in/sub/a.png", "in/sub/a.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.open(photos["tiny"]).convert("RGB").save(tmp_path / name)
    out = tmp_path / "in" / "out"  # results are no inputs of the next call
    for options in (["--skip-existing"], ["--overwrite"]):
        code, _, _ = mkgan("upscale", str(tmp_path / "in"), "--recursive", "--out", str(out), *options, *METHOD)
        assert code == 0
        found = {str(path.relative_to(out)) for path in out.rglob("*.png")}
        assert found == {"a_x2.png", "sub/a_png_x2.png", "sub/a_jpg_x2.png"}


def test_quiet_and_verbose(mkgan, photos: dict[str, str], tmp_path: Path) -> None:
    command = ["upscale", photos["good"], photos["broken"], "--out", str(tmp_path / "out"), "--overwrite", *METHOD]
    code, out, err = mkgan(*command, "--quiet")
    assert (code, out) == (1, "")
    assert "broken.png" in err
    assert (tmp_path / "out" / "good_x2.png").exists()
    _, _, err = mkgan(*command, "-v")
    assert "enlarge good by" in err


def test_a_photograph_needs_no_pipeline(photos: dict[str, str], tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from flows.cli.main import main\n"
        f"sys.argv = ['mkgan', 'upscale', {photos['good']!r}, '--out', {str(tmp_path)!r}, '--method', 'bicubic']\n"
        "try:\n    main()\n"
        "finally:\n    print([m for m in ('prefect', 'pandas', 'matplotlib') if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
