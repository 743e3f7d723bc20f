"""`mkgan dataset`: what it prints, and that bad input ends with exit code 2, one clear line and nothing written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mkgan_core.imaging import images
from mkgan_core.machine.storage import Store


@pytest.fixture
def photographs(tmp_path: Path, picture: np.ndarray) -> Path:
    store = Store(str(tmp_path / "photographs"))
    for name in ("a", "b"):
        store.write(f"{name}.png", images.encode_png(picture))
    mask = np.zeros((96, 120), bool)
    mask[:, 40:100] = True
    Store(str(tmp_path / "masks")).write("a.png", images.encode_png(mask))
    return tmp_path / "photographs"


def test_make_and_check(mkgan, photographs: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "made")
    code, said, _ = mkgan("dataset", "make", str(photographs), out, "--kind", "div2krk")
    assert code == 0
    assert "2 made, 0 already present" in said
    code, said, _ = mkgan("dataset", "make", str(photographs), out, "--kind", "div2krk")
    assert "0 made, 2 already present" in said
    assert said.strip().splitlines()[-1].startswith("data set: file://")
    code, said, _ = mkgan("dataset", "check", out)
    assert code == 0
    assert "4 images checked, 0 with a problem" in said
    Image.new("RGB", (9, 9)).save(tmp_path / "made" / "lr_x4" / "b.png")
    code, said, _ = mkgan("dataset", "check", out, "--scale", "4")
    assert code == 1
    assert "2 images checked, 1 with a problem" in said
    assert "9x9" in said


def test_two_blurs_say_what_is_left_out(mkgan, photographs: Path, tmp_path: Path) -> None:
    options = ["--kind", "two-blur", "--masks", str(tmp_path / "masks"), "--scale", "2"]
    code, said, _ = mkgan("dataset", "make", str(photographs), str(tmp_path / "made"), *options)
    assert code == 0
    assert "b.png" in said
    assert "1 made, 0 already present, 1 left out" in said


def test_one_blur_per_object(mkgan, photographs: Path, tmp_path: Path) -> None:
    second = np.zeros((96, 120), bool)
    second[:, :36] = True
    Store(str(tmp_path / "masks")).write("a-2.png", images.encode_png(second))
    options = ["--kind", "two-blur", "--masks", str(tmp_path / "masks"), "--scale", "2"]
    made, said = str(tmp_path / "made"), ""
    for count in ("1 made, 0 already present", "0 made, 1 already present"):
        code, said, _ = mkgan("dataset", "make", str(photographs), made, *options, "--per-object")
        assert code == 0
        assert count in said
    assert len(list((tmp_path / "made" / "gt_k_x2").iterdir())) == 3
    code, said, _ = mkgan("dataset", "check", made)
    assert code == 0
    assert "1 images checked, 0 with a problem" in said
    code, _, _ = mkgan("dataset", "make", str(photographs), made, *options)
    assert code == 2


@pytest.mark.parametrize(
    ("arguments", "datum"),
    [
        (["--kind", "div2krk", "--scale", "3"], "--scale 3"),
        (["--kind", "div2krk", "--scale", "2.5"], "--scale 2.5"),
        (["--kind", "div2kr"], "--kind 'div2kr'"),
        (["--kind", "two-blur"], "--masks"),
        (["--kind", "two-blur", "--masks", "M", "--weights", "W"], "--weights"),
        (["--kind", "two-blur", "--masks", "nowhere"], "nowhere"),
        (["--kind", "two-blur", "--weights", "nowhere.tflite"], "nowhere.tflite"),
        (["--kind", "motion", "--kernels", "nowhere.mat"], "nowhere.mat"),
        (["--kind", "motion", "--jpeg", "0"], "--jpeg 0"),
        (["--kind", "div2krk", "--per-object"], "--per-object"),
        (["--kind", "motion", "--per-object"], "--kind two-blur"),
        (["--kind", "two-blur", "--per-object"], "--masks"),
    ],
)
def test_bad_input(mkgan, photographs: Path, tmp_path: Path, arguments: list[str], datum: str) -> None:
    code, out, err = mkgan("dataset", "make", str(photographs), str(tmp_path / "made"), *arguments)
    assert code == 2
    assert datum in err
    assert err.count("\n") == 1
    assert "Traceback" not in out + err
    assert not (tmp_path / "made").exists()


def test_bad_folders(mkgan, photographs: Path, tmp_path: Path) -> None:
    for arguments in (
        ["make", str(tmp_path / "nowhere"), str(tmp_path / "made"), "--kind", "div2krk"],
        ["make", str(photographs), str(photographs), "--kind", "div2krk"],
        ["check", str(tmp_path / "nowhere")],
        ["check", str(photographs)],
    ):
        code, _, err = mkgan("dataset", *arguments)
        assert code == 2
        assert err.startswith("error: ")


def test_scales_are_refused_by_the_benchmark_too(mkgan) -> None:
    for scale in ("3", "2.5", "two"):
        code, _, err = mkgan("benchmark", "--scale", scale)
        assert code == 2
        assert f"--scale {scale}" in err
