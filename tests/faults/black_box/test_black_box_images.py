"""FAULTS.md, what single images and their names did: H4, M3, M4, M6, M9, M10, and of the L-class."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.faults.black_box.attack import Mkgan, provoked
from tests.faults.black_box.material import photograph, save

pytestmark = pytest.mark.e2e
HANG_S = 40
BICUBIC = ("--method", "bicubic")


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    return save(tmp_path / "photo.png")


def enlarged(mkgan: Mkgan, name: str, out: str = "out") -> np.ndarray:
    with Image.open(mkgan.folder / out / f"{name}_x2.png") as picture:
        return np.asarray(picture.convert("RGB"), float) if picture.mode == "RGB" else np.asarray(picture, float)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / max(np.mean((a - b) ** 2), 1e-9)))


@pytest.mark.parametrize("kind", ["16 bits .png", "16 bits .tif", "32 bits .tif", "floats .tif"])
def test_deep_images(mkgan: Mkgan, tmp_path: Path, kind: str) -> None:
    """H4: they come out as their twins of 8 bits do, or are refused by name."""
    grey = photograph()[..., 1]
    deep = {"16": grey.astype(np.uint16) * 257, "32": grey.astype(np.int32) * 257, "floats": grey / np.float32(255)}
    ending = kind[-4:]
    path, twin = tmp_path / f"deep{ending}", save(tmp_path / "twin.png", grey)
    Image.fromarray(deep[kind.split(" ")[0]]).save(path)
    done = mkgan("upscale", path, twin, *BICUBIC)
    done.is_orderly(0, 1, 2)
    if done.code:
        assert path.name in done.err
        return
    a, b = (enlarged(mkgan, name) for name in ("deep", "twin"))
    a = a / 257 if a.max() > 255 else a
    b = b[..., 1] if a.ndim < b.ndim else b
    assert psnr(a, b) > 45


def test_floats_that_are_no_numbers(mkgan: Mkgan, tmp_path: Path) -> None:
    """H4."""
    grey = photograph()[..., 1] / np.float32(255)
    grey[5, 5] = np.nan
    Image.fromarray(grey).save(tmp_path / "holes.tif")
    done = mkgan("upscale", tmp_path / "holes.tif", *BICUBIC)
    done.is_orderly(2)
    assert "holes.tif" in done.err


def test_a_name_that_is_no_utf_8(mkgan: Mkgan, tmp_path: Path, photo: Path) -> None:
    """M3, of a photograph."""
    odd = bytes(tmp_path) + b"/caf\xe9.png"
    Path(os.fsdecode(odd)).write_bytes(photo.read_bytes())
    mkgan.using(PYTHONIOENCODING="utf-8:strict")("upscale", odd, *BICUBIC).is_orderly(0, 2)


def test_names_that_look_like_markup(mkgan: Mkgan, tmp_path: Path) -> None:
    """M4: names are printed as they are."""
    closed = save(tmp_path / "d[/b]" / "x.png")
    done = mkgan("upscale", closed, *BICUBIC, "--out", tmp_path / "o[/b]")
    done.is_orderly(0)
    assert "o[/b]" in done.out
    red, star = save(tmp_path / "[red]rich.png"), save(tmp_path / "star*[a].png")
    done = mkgan("upscale", red, star, *BICUBIC)
    done.is_orderly(0)
    assert "[red]rich_x2.png" in done.out
    assert "star*[a]_x2.png" in done.out


@pytest.mark.parametrize("command", ["upscale", "estimate", "segment", "mask"])
def test_a_pipe_in_the_place_of_a_picture(mkgan: Mkgan, tmp_path: Path, photo: Path, command: str) -> None:
    """M6: refused by name, at once."""
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)
    provoked(stat.S_ISFIFO(pipe.stat().st_mode), "no pipe")
    calls = {
        "upscale": ("upscale", pipe, *BICUBIC),
        "estimate": ("estimate", pipe, "--estimator", "spectral"),
        "segment": ("segment", pipe, "--segmenter", "edges"),
        "mask": ("upscale", photo, *BICUBIC, "--mask", pipe),
    }
    done = mkgan(*calls[command], patience_s=HANG_S)
    done.is_orderly(2)
    assert "pipe.png" in done.err


def test_a_flat_image_among_others(mkgan: Mkgan, tmp_path: Path) -> None:
    """M9: it costs no other image."""
    first, last = save(tmp_path / "a.png"), save(tmp_path / "b.png", photograph(seed=1))
    flat = save(tmp_path / "flat.png", np.full((96, 96, 3), 128, np.uint8))
    done = mkgan("upscale", first, flat, last, "--method", "spectral+back-projection")
    done.is_orderly(0, 1, 2)
    assert (mkgan.folder / "out" / "a_x2.png").exists()
    assert (mkgan.folder / "out" / "b_x2.png").exists()
    assert done.code == 0 or "flat.png" in done.said


def test_a_kernel_that_kernelgan_cannot_find(mkgan: Mkgan, tmp_path: Path) -> None:
    """Section 5: a photograph whose kernel is refused is enlarged all the same, or refused by name."""
    photo = save(tmp_path / "hard.png")
    done = mkgan("upscale", photo, "--method", "kernelgan+back-projection")
    done.is_orderly(0, 1, 2)
    assert done.code == 0 or "hard.png" in done.said


def test_two_photographs_of_one_name(mkgan: Mkgan, tmp_path: Path) -> None:
    """M10: neither result is lost without a word."""
    one, two = save(tmp_path / "d1" / "x.png"), save(tmp_path / "d2" / "x.png", photograph(seed=1))
    done = mkgan("upscale", one, two, *BICUBIC)
    done.is_orderly(0, 2)
    assert done.code == 2 or len(list((mkgan.folder / "out").rglob("*.png"))) == 2


@pytest.mark.parametrize(
    "options", [("--seed", "-1", "--method", "bicubic+zssr"), ("--feather", "inf"), ("--feather", "1e9")]
)
def test_options_out_of_range(mkgan: Mkgan, tmp_path: Path, photo: Path, options: tuple[str, ...]) -> None:
    """L-class: a seed and feathers."""
    mask = np.zeros((96, 96), np.uint8)
    mask[:, :48] = 255
    masks = ("--mask", save(tmp_path / "mask.png", mask)) if "--feather" in options else ()
    method = () if "--method" in options else BICUBIC
    done = mkgan("upscale", photo, *method, *masks, *options)
    done.is_orderly(2)
    assert options[0] in done.err


def test_results_go_where_they_are_said_to(mkgan: Mkgan, photo: Path) -> None:
    """L-class: a URL is no folder of that name."""
    local = {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    mkgan.using(**local, AWS_MAX_ATTEMPTS="1")("upscale", photo, *BICUBIC, "--out", "s3://x/y")
    assert not (mkgan.folder / "s3:").exists()


def test_postscript_is_not_run(mkgan: Mkgan, tmp_path: Path) -> None:
    """L-class: EPS in a .png does not start Ghostscript."""
    marker, tools = tmp_path / "started", tmp_path / "tools"
    tools.mkdir()
    (tools / "gs").write_text(f"#!/bin/sh\ntouch {marker}\nexit 1\n")
    (tools / "gs").chmod(0o755)
    eps = tmp_path / "drawing.png"
    eps.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 96 96\n%%EndComments\nshowpage\n%%EOF\n")
    done = mkgan.using(PATH=f"{tools}{os.pathsep}{os.environ['PATH']}")("upscale", eps, *BICUBIC)
    done.is_orderly(2)
    assert "drawing.png" in done.err
    assert not marker.exists()


def test_a_large_image_gives_no_stray_warning(mkgan: Mkgan, tmp_path: Path) -> None:
    """L-class: between 89 and 179 Mpixel."""
    Image.new("L", (100_000_000, 1)).save(tmp_path / "line.png")
    done = mkgan("estimate", tmp_path / "line.png", "--estimator", "spectral")
    assert "Warning" not in done.err
    done.is_orderly(0, 1, 2)


def test_a_refusal_names_options_that_there_are(mkgan: Mkgan, tmp_path: Path) -> None:
    """L-class: `upscale` has no --images, and nobody knows an object by its address in memory."""
    small, garbage = save(tmp_path / "small.png", photograph(5, 5)), tmp_path / "garbage.png"
    garbage.write_bytes(b"no picture at all")
    for path in (small, garbage):
        done = mkgan("upscale", path, "--method", "spectral+zssr")
        done.is_orderly(0, 1, 2)
        assert "--images" not in done.said
        assert " object at 0x" not in done.said


def test_fewer_threads_are_used_where_that_is_wished(mkgan: Mkgan, tmp_path: Path, photo: Path) -> None:
    """L-class: OMP_NUM_THREADS bounds torch's threads. Says nothing on a machine of one core."""
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("one core")
    told = tmp_path / "threads"
    done = mkgan.using(BLACK_BOX_THREADS=str(told))("upscale", photo, "--method", "bicubic+back-projection")
    done.is_orderly(0)
    provoked(told.exists(), "torch was not used")
    assert set(told.read_text().split()) == {"1"}


def test_the_same_seed_gives_the_same_bits(mkgan: Mkgan, tmp_path: Path) -> None:
    """Section 5: held before."""
    small = save(tmp_path / "small.png", photograph(40, 40))
    made = []
    for out in ("first", "second"):
        mkgan("upscale", small, "--method", "bicubic+zssr", "--out", out).is_orderly(0)
        made.append((mkgan.folder / out / "small_x2.png").read_bytes())
    assert made[0] == made[1]
